/** A count with its thousands apart. What the language itself has for it takes 10 ms to load, before the first paint. */
export const grouped = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, ',');
