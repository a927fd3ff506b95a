// The form of a question, which is loaded when a page has one.

export { QuestionCard as default } from '@agentexec/react';
