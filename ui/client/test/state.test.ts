import { expect, test } from 'vitest';
import { type ActivityView, applyActivity, applyList, comparatorOf, compareItems } from '../src/state.ts';
import type { Activity, ActivityListItem, ActivityLog, Status } from '../src/types.ts';

const time = (n: number) => `2026-01-01T00:00:${String(n).padStart(2, '0')}+00:00`;
const activity = (status: Status, last_seq: number): Activity => ({
  agent_id: 'a', agent_type: 't', status, last_seq, attempt: 1, latest_percentage: null,
  created_at: time(0), started_at: null, updated_at: time(last_seq), finished_at: null,
});
const item = (agent_id: string, status: Status, created: number, last_seq = 1): ActivityListItem => ({
  ...activity(status, last_seq), agent_id, created_at: time(created), latest_log: null, latest_log_truncated: false,
});
const line = (seq: number, status: Status): ActivityLog => ({ id: seq, seq, message: 'm', status, percentage: null, created_at: time(seq), data: null });

test('a list is in the order of the server', () => {
  const items = [item('a', 'ERROR', 9), item('b', 'QUEUED', 1), item('c', 'RUNNING', 2), item('d', 'RUNNING', 3), item('e', 'COMPLETE', 10), item('f', 'QUEUED', 1)];
  expect(items.sort(compareItems).map((i) => i.agent_id).join('')).toBe('dcfbea');
});

test('a list with another sort is in the order of the server', () => {
  const run = (agent_id: string, status: Status, created_at: string, started_at: string | null, updated_at: string, finished_at: string | null) =>
    ({ ...item(agent_id, status, 0), created_at, started_at, updated_at, finished_at });
  const t = (seconds: string) => `2026-01-01T00:00:${seconds}Z`;
  const items = [
    run('a', 'RUNNING', t('01.000000'), t('05.000000'), t('50.000000'), null),
    run('b', 'RUNNING', t('02.000000'), t('03.000000'), t('40.000000'), null),
    run('c', 'QUEUED', t('03.000000'), null, t('03.000000'), null),
    run('d', 'QUEUED', t('04.000000'), t('04.500000'), t('05.000000'), null), // a retry
    run('e', 'COMPLETE', t('10.000000'), t('11.000000'), t('59.000000'), t('12.000001')), // 1.000001 s
    run('f', 'ERROR', t('09.000000'), null, t('10.000000'), t('10.000000')), // 1 s, never RUNNING
    run('g', 'CANCELED', t('08.000000'), t('08.500000'), t('10.500000'), t('10.500000')), // 2 s
    run('h', 'CANCELED', t('08.000000'), t('08.500000'), t('10.500000'), t('10.500000')), // the same
  ];
  const sorted = (options: Parameters<typeof comparatorOf>[0]) => [...items].sort(comparatorOf(options)).map((i) => i.agent_id).join('');
  expect(sorted({})).toBe('badcefhg');
  expect(sorted({ order: 'asc' })).toBe('abcdghfe');
  expect(sorted({ sort: 'duration' })).toBe('bacdhgef');
  expect(sorted({ sort: 'duration', order: 'asc' })).toBe('abdcfegh');
  expect(sorted({ sort: 'activity' })).toBe('abdcehgf');
  expect(sorted({ sort: 'activity', order: 'asc' })).toBe('bacdfghe');
});

test('a list follows its events', () => {
  const items = new Map<string, ActivityListItem>();
  const counts = { QUEUED: 0, RUNNING: 0, COMPLETE: 0, ERROR: 0, CANCELED: 0 };
  applyList(items, { type: 'snapshot', items: [item('a', 'RUNNING', 1, 5), item('b', 'QUEUED', 2)], counts });
  applyList(items, { type: 'changes', items: [item('a', 'QUEUED', 1, 4), item('c', 'QUEUED', 3)], removed: ['b', 'unknown'], counts });
  expect([...items.values()].map((i) => i.agent_id + i.status)).toEqual(['aRUNNING', 'cQUEUED']); // an older version changes nothing
  applyList(items, { type: 'snapshot', items: [item('a', 'QUEUED', 1, 2)], counts });
  expect([...items.values()].map((i) => i.agent_id + i.last_seq)).toEqual(['a2']); // but a snapshot replaces everything
});

test('an activity becomes stale and fresh again without a line', () => {
  const view: ActivityView = { activity: activity('RUNNING', 3), logs: [], ended: false };
  const { agent_id: _id, agent_type: _type, created_at: _created, ...state } = activity('RUNNING', 3);
  applyActivity(view, { type: 'state', activity: { ...state, stale: true, expect_every: 30, last_seen_at: time(3) } });
  expect(view.activity).toMatchObject({ agent_id: 'a', stale: true, expect_every: 30, last_seen_at: time(3), last_seq: 3 });
  applyActivity(view, { type: 'state', activity: { ...state, last_seq: 2, stale: false } });
  expect(view.activity!.stale).toBe(true); // an older version changes nothing
  applyActivity(view, { type: 'state', activity: { ...state, stale: false } });
  expect(view.activity!.stale).toBe(false);
  expect(view.logs).toEqual([]);
});

test('an item that becomes stale changes without a line', () => {
  const items = new Map<string, ActivityListItem>();
  const counts = { QUEUED: 0, RUNNING: 1, COMPLETE: 0, ERROR: 0, CANCELED: 0, stale: 1 };
  applyList(items, { type: 'snapshot', items: [item('a', 'RUNNING', 1, 5)], counts });
  applyList(items, { type: 'changes', items: [{ ...item('a', 'RUNNING', 1, 5), stale: true }], removed: [], counts });
  expect(items.get('a')!.stale).toBe(true);
});

test('an activity follows its events', () => {
  const view: ActivityView = { activity: undefined, logs: [], ended: false };
  const state = (status: Status, last_seq: number, attempt = 1, finished: number | null = null) => ({
    status, last_seq, attempt, latest_percentage: 5, started_at: time(2), updated_at: time(last_seq), finished_at: finished === null ? null : time(finished),
  });
  const seqs = () => view.logs.map((l) => l.seq);
  applyActivity(view, { type: 'snapshot', activity: activity('QUEUED', 1) });
  applyActivity(view, { type: 'logs', logs: [line(1, 'QUEUED'), line(2, 'RUNNING')], activity: state('RUNNING', 2) });
  expect(view.activity).toMatchObject({ status: 'RUNNING', started_at: time(2), finished_at: null, latest_percentage: 5, last_seq: 2 });
  applyActivity(view, { type: 'logs', logs: [line(3, 'ERROR'), line(4, 'ERROR')], activity: state('ERROR', 4, 1, 3) });
  applyActivity(view, { type: 'end', status: 'ERROR', last_seq: 4 });
  expect(view).toMatchObject({ ended: true, activity: { status: 'ERROR', finished_at: time(3) } });
  applyActivity(view, { type: 'logs', logs: [line(5, 'RUNNING')], activity: state('RUNNING', 5, 2) });
  expect(view).toMatchObject({ ended: false, activity: { status: 'RUNNING', attempt: 2, started_at: time(2), finished_at: null } });
  applyActivity(view, { type: 'gap', reason: 'pruned', after_seq: 5, next_seq: 8 });
  expect(seqs()).toEqual([1, 2, 3, 4, 5]);
  applyActivity(view, { type: 'gap', reason: 'reset', after_seq: 5, next_seq: 3 });
  expect(seqs()).toEqual([1, 2]);
});
