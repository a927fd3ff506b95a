import { FeedError, ProblemError } from '@agentexec/client';
import { expect, test } from 'vitest';
import { sentence, wordsOf } from '../src/frame/words.ts';

test('an error is words, and never the text of an exception', () => {
  const secret = 'x is undefined at app.js:12';
  const errors = [
    new Error(secret), new TypeError(secret), new RangeError(secret), new SyntaxError(secret), new DOMException(secret, 'TimeoutError'), new DOMException(secret, 'AbortError'),
    new DOMException(secret, 'NotAllowedError'), secret, null, undefined, { message: secret }, new ProblemError(500, { detail: secret }), new ProblemError(502, {}), new ProblemError(401, { detail: secret }),
  ];
  for (const error of errors) {
    expect(wordsOf(error)).not.toContain('undefined');
    expect(wordsOf(error)).toMatch(/^[A-Z].*\.$/);
  }
});

test('what the server says of a refusal is shown, as a sentence', () => {
  expect(wordsOf(new ProblemError(409, { detail: 'activity 1 is COMPLETE and cannot become RUNNING' }))).toBe('Activity 1 is COMPLETE and cannot become RUNNING.');
  expect(wordsOf(new ProblemError(403, { detail: 'the token does not grant cancel' }))).toBe('The token does not grant cancel.');
  expect(wordsOf(new ProblemError(403, {}))).toBe('The token does not allow this.');
  expect(wordsOf(new ProblemError(418, {}))).toBe('The server refuses this (418).');
  expect(wordsOf(new FeedError('forbidden', 'the token does not allow it'))).toBe('The token does not allow it.');
  expect(wordsOf(new FeedError('not_found', 'no activity'))).toMatch(/^There is no such activity/);
});

test('a sentence is clean, short and ends with a stop', () => {
  expect(sentence('  tail\u0000 ')).toBe('Tail\u2400.');
  expect(sentence('Why?')).toBe('Why?');
  expect(sentence('')).toBe('');
  expect(sentence('x'.repeat(10_000)).length).toBeLessThan(400);
});
