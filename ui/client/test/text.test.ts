import { expect, test } from 'vitest';
import { beginning, clean, conditionsOf, duration, elapsed, headline } from '../src/text.ts';
import type { ActivityState, CancelRequest, Status } from '../src/types.ts';

test('control characters are shown, not obeyed', () => {
  expect(clean('\u0000\u0007\u001b[31mred\u007f\u009b\u202eevil\u2066x\u2069')).toBe('␀␇␛[31mred␡\ufffd\ufffdevil\ufffdx\ufffd');
  expect(clean('tab\tand\r\nline, café 🚀 أُنجزت')).toBe('tab\tand\nline, café 🚀 أُنجزت');
  expect(clean('a\rb')).toBe('a␍b');
});

test('a headline has no colours of a terminal, and one line', () => {
  expect(headline('\u001b[36mcache\u001b[0m hit\nand more')).toBe('cache hit');
  expect(headline('\u001b[2J\u001b[31mlong text', 4)).toBe('long');
  expect(headline('cut in a sequence \u001b[3')).toBe('cut in a sequence ');
});

test('a text is cut between characters', () => {
  expect(beginning('🚀🚀', 3)).toBe('🚀');
  expect(beginning('abc', 3)).toBe('abc');
  expect(beginning('a\nb\nc', 10, 2)).toBe('a\nb');
  expect(beginning('', 5)).toBe('');
});

test('elapsed counts from the start to the end', () => {
  const at = (s: number) => new Date(s * 1000).toISOString();
  const a = { status: 'RUNNING' as const, latest_percentage: null, last_seq: 1, attempt: 1, created_at: at(0), started_at: at(10), updated_at: at(20), finished_at: null };
  expect(elapsed(a, 52_000)).toBe('42s');
  expect(elapsed(a, 0)).toBe('0s'); // a clock that is behind
  expect(elapsed(a, 195_000)).toBe('3m 05s');
  expect(elapsed({ ...a, started_at: null }, 7_620_000)).toBe('2h 07m');
  expect(elapsed({ ...a, status: 'ERROR', finished_at: at(385_210) })).toBe('4d 11h');
});

test('a duration is one number and its unit', () => {
  expect([-1, 0, 0.9, 45, 119, 120, 7199, 7200, 172_799, 172_800].map(duration)).toEqual(['0 s', '0 s', '0 s', '45 s', '119 s', '2 min', '119 min', '2 h', '47 h', '2 days']);
});

const at = (s: number) => new Date(s * 1000).toISOString().replace('Z', '+00:00');
const activity = (status: Status, more: Partial<ActivityState> = {}): ActivityState => ({
  status, latest_percentage: null, last_seq: 1, attempt: 1, started_at: at(10), updated_at: at(20), finished_at: null, ...more,
});
const request: CancelRequest = { seq: 3, message: 'Cancel requested', requested_by: null, requested_at: at(20), force_at: at(50), forced: false };
const said = (a: ActivityState, now: number) => conditionsOf(a, now * 1000).map(({ kind, text }) => `${kind}: ${text}`);

test('an activity of an earlier version, and a healthy one, have no condition', () => {
  for (const status of ['QUEUED', 'RUNNING', 'COMPLETE', 'ERROR'] as const) expect(said(activity(status), 1000)).toEqual([]);
  expect(said(activity('RUNNING', { stale: false, expect_every: 30, last_seen_at: at(20), cancel: null }), 1000)).toEqual([]);
  expect(said(activity('CANCELED', { finished_at: at(20), cancel: request }), 1000), 'the worker ended by itself').toEqual([]);
});

test('the text of stale has its age and the promise', () => {
  const stale = activity('RUNNING', { stale: true, expect_every: 30, last_seen_at: at(80) });
  expect(said(stale, 200)).toEqual(['stale: Last seen 2 min ago; promised every 30 s']);
  expect(said(stale, 70), 'a clock that is behind').toEqual(['stale: Last seen 0 s ago; promised every 30 s']);
});

test('the text of stopping has the time that is left', () => {
  const stopping = (more: Partial<CancelRequest> = {}) => activity('RUNNING', { cancel: { ...request, ...more } });
  expect(said(stopping(), 38.2)).toEqual(['stopping: Stopping, 12 s left']);
  expect(said(stopping(), 50)).toEqual(['stopping: Stopping, no time left']);
  expect(said(stopping({ force_at: null }), 38)).toEqual(['stopping: Stopping']);
  const both = activity('RUNNING', { cancel: request, stale: true, expect_every: 5, last_seen_at: at(20) });
  expect(said(both, 40)).toEqual(['stopping: Stopping, 10 s left', 'stale: Last seen 20 s ago; promised every 5 s']);
});

test('a canceled activity shows whether its worker answered, and whether it still writes', () => {
  const canceled = (forced: boolean, updated_at: string) => activity('CANCELED', { finished_at: at(50), updated_at, cancel: { ...request, forced } });
  expect(said(canceled(true, at(50)), 60)).toEqual(['forced: Canceled, the worker never answered']);
  expect(said(canceled(false, at(50.5)), 60)).toEqual(['trailing: Still writing after it was canceled']);
  expect(said(canceled(true, at(51)), 60)).toEqual(['forced: Canceled, the worker never answered', 'trailing: Still writing after it was canceled']);
  expect(said(activity('COMPLETE', { finished_at: at(50), updated_at: at(51) }), 60)).toEqual([]);
});
