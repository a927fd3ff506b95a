import { expect, test } from 'vitest';
import { displayState } from '../src/text.ts';
import type { CancelRequest } from '../src/types.ts';

const cancel: CancelRequest = { seq: 3, message: '', requested_by: null, requested_at: '2026-01-01T00:00:00Z', force_at: null, forced: false };

test('what matters most decides the displayed state', () => {
  expect(displayState({ status: 'RUNNING', stale: true, cancel, open_questions: 1 })).toBe('stopping');
  expect(displayState({ status: 'RUNNING', stale: true, cancel: null, open_questions: 1 })).toBe('waiting');
  expect(displayState({ status: 'RUNNING', stale: true, cancel: null })).toBe('stale');
  expect(displayState({ status: 'RUNNING', stale: false, cancel: null, open_questions: 0 })).toBe('running');
  expect(displayState({ status: 'CANCELED', stale: false, cancel })).toBe('canceled');
  expect(displayState({ status: 'QUEUED', open_questions: 1 })).toBe('waiting');
  expect(displayState({ status: 'QUEUED' })).toBe('queued');
});
