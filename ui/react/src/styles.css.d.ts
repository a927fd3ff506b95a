// Lets TypeScript take the import of the style sheet.
export {};
