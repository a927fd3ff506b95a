// Errors in words, with what to do. Text of exceptions is never shown; the server's own words about a refusal are.

import { FeedError, ProblemError } from '@agentexec/client';
import { beginning, clean } from '@agentexec/client/text';

const MOST = 300; // characters of the server's words

/** A text as a sentence: with a capital and a full stop. */
export function sentence(text: string): string {
  const t = clean(beginning(text.trim(), MOST));
  return t && t[0]!.toUpperCase() + t.slice(1) + (/[.!?…]$/.test(t) ? '' : '.');
}

/** What an error means to a person. */
export function wordsOf(error: unknown): string {
  if (error instanceof ProblemError) return ofStatus(error);
  if (error instanceof FeedError) return error.code === 'not_found' ? 'There is no such activity, or the token does not show it.' : sentence(error.message);
  if (error instanceof DOMException && error.name === 'TimeoutError') return 'The server did not answer in time. Try again.';
  if (error instanceof DOMException && error.name === 'AbortError') return 'The request was stopped.';
  if (error instanceof DOMException && error.name === 'NotAllowedError') return 'The browser does not allow it.';
  if (error instanceof TypeError) return 'The server cannot be reached. Try again when the connection is back.';
  return 'Something went wrong in this page. Reload it.';
}

function ofStatus({ status, problem }: ProblemError): string {
  const said = sentence(problem.detail ?? '');
  if (status === 401) return 'The token is missing or no longer holds. Enter another one.';
  if (status === 403) return said || 'The token does not allow this.';
  if (status === 404) return said || 'There is no such activity, or the token does not show it.';
  if (status === 429) return said || 'The server gets too many requests. Try again in a moment.';
  if (status === 502 || status === 503 || status === 504) return `The server is not available at present (${status}). Try again in a moment.`;
  if (status >= 500) return `The server has a fault (${status}). Its log says more.`;
  return said || `The server refuses this (${status}).`;
}
