import { act, render, renderHook } from '@testing-library/react';
import { StrictMode, type ReactNode } from 'react';
import { beforeEach, afterEach, expect, test, vi } from 'vitest';
import { FeedError } from '@agentexec/client';
import { AgentexecProvider, useActivity, useActivityList, useConnection, useCounts } from '../src/index.ts';
import { activity, counts, FakeClient, ID, item, line, lines, state } from './fake.ts';

let fake: FakeClient;
const wrapper = ({ children }: { children: ReactNode }) => <AgentexecProvider client={fake.client}>{children}</AgentexecProvider>;

beforeEach(() => {
  fake = new FakeClient();
  vi.useFakeTimers();
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const frame = () => act(() => vi.advanceTimersByTime(20));
const snapshot = (status = 'RUNNING' as const, last_seq = 2) => ({ type: 'snapshot' as const, activity: activity(status, last_seq) });

test('an activity comes and goes on', () => {
  const { result, rerender } = renderHook(({ id }: { id: string | null }) => useActivity(id), { wrapper, initialProps: { id: ID as string | null } });
  expect(result.current).toMatchObject({ activity: undefined, logs: [], loading: true });
  const [w] = fake.activities;
  expect(w!.what).toEqual({ id: ID, afterSeq: 0 });
  w!.event(snapshot());
  w!.event({ type: 'logs', logs: lines(1, 2), activity: state('RUNNING', 2, 40) });
  frame();
  expect(result.current).toMatchObject({ loading: false, ended: false, activity: { status: 'RUNNING', latest_percentage: 40 } });
  const before = result.current.logs;
  w!.event({ type: 'logs', logs: [line(3, 'done', { status: 'COMPLETE' })], activity: state('COMPLETE', 3, 100) });
  w!.event({ type: 'end', status: 'COMPLETE', last_seq: 3 });
  frame();
  expect(result.current).toMatchObject({ ended: true, activity: { status: 'COMPLETE', finished_at: line(3).created_at } });
  expect(result.current.logs.map((l) => l.seq)).toEqual([1, 2, 3]);
  expect(before).toHaveLength(2); // what was rendered does not change

  rerender({ id: null });
  expect(result.current).toMatchObject({ activity: undefined, loading: false });
  act(() => vi.advanceTimersByTime(1_100));
  expect(w!.stopped).toBe(true);
});

test('a thousand changes in a frame are one render', () => {
  let renders = 0;
  const { result } = renderHook(() => (renders++, useActivityList()), { wrapper });
  const [w] = fake.lists;
  w!.event({ type: 'snapshot', items: [item('a', 'RUNNING')], counts: counts() });
  frame();
  const before = renders;
  const asked = vi.spyOn(globalThis, 'requestAnimationFrame');
  for (let n = 0; n < 1000; n++) w!.event({ type: 'changes', items: [item('a', 'RUNNING', { last_seq: n + 2, latest_log: 'log ' + n })], removed: [], counts: counts({ RUNNING: n }) });
  frame();
  expect(asked).toHaveBeenCalledTimes(1);
  expect(renders).toBe(before + 1);
  expect(result.current.items[0]!.latest_log).toBe('log 999');
  expect(result.current.counts!.RUNNING).toBe(999);
});

test('all who show the same share one watch', () => {
  function Both() {
    useActivity(ID);
    useActivityList({ statuses: ['RUNNING'], metadata: { a: 1, b: 2 } });
    return null;
  }
  function Other() {
    useActivity(ID);
    useActivityList({ metadata: { b: 2, a: 1 }, statuses: ['RUNNING'] }); // another object at each render
    return null;
  }
  const { rerender, unmount } = render(<StrictMode>{wrapper({ children: [<Both key="1" />, <Other key="2" />] })}</StrictMode>);
  rerender(<StrictMode>{wrapper({ children: [<Both key="1" />, <Other key="3" />] })}</StrictMode>);
  act(() => vi.advanceTimersByTime(5_000));
  expect(fake.activities).toHaveLength(1);
  expect(fake.lists).toHaveLength(1);
  expect(fake.activities[0]!.stopped).toBe(false);
  unmount();
  act(() => vi.advanceTimersByTime(900));
  expect(fake.activities[0]!.stopped).toBe(false); // a component may use it again
  act(() => vi.advanceTimersByTime(200));
  expect(fake.activities[0]!.stopped).toBe(true);
  expect(fake.lists[0]!.stopped).toBe(true);
});

test('of a long log the newest lines are kept', () => {
  const { result } = renderHook(() => useActivity(ID, { maxLogs: 100 }), { wrapper });
  const [w] = fake.activities;
  w!.event(snapshot());
  for (let n = 0; n < 50; n++) {
    w!.event({ type: 'logs', logs: lines(n * 10 + 1, n * 10 + 10), activity: state('RUNNING', n * 10 + 10) });
    frame();
    expect(result.current.logs.length + result.current.earlier).toBe((n + 1) * 10);
    expect(result.current.logs.length).toBeLessThanOrEqual(100);
  }
  expect(result.current.logs.map((l) => l.seq)).toEqual(lines(401, 500).map((l) => l.seq));
});

test('void lines are taken back, and said', () => {
  const { result } = renderHook(() => useActivity(ID), { wrapper });
  const [w] = fake.activities;
  w!.event(snapshot());
  w!.event({ type: 'logs', logs: lines(1, 5), activity: state('RUNNING', 5) });
  const gap = { type: 'gap', reason: 'reset', after_seq: 5, next_seq: 4 } as const;
  w!.event(gap);
  frame();
  expect(result.current.logs.map((l) => l.seq)).toEqual([1, 2, 3]);
  expect(result.current.gaps).toEqual([gap]);
});

test('an error is told', () => {
  const one = renderHook(() => useActivity(ID), { wrapper });
  const list = renderHook(() => useActivityList({ limit: 0 }), { wrapper });
  fake.activities[0]!.over(new FeedError('not_found', 'there is no such activity'));
  fake.lists[0]!.over(new FeedError('invalid', 'limit'));
  frame();
  expect(one.result.current).toMatchObject({ loading: false, error: { code: 'not_found' } });
  expect(list.result.current).toMatchObject({ loading: false, error: { code: 'invalid' } });
});

test('counts and connection', () => {
  const { result } = renderHook(() => [useCounts({ agentType: 'x' }), useConnection()] as const, { wrapper });
  expect(fake.lists[0]!.what).toEqual({ agentType: 'x', metadata: undefined, limit: 1 });
  expect(result.current[0]).toMatchObject({ active: undefined, loading: true });
  fake.lists[0]!.event({ type: 'snapshot', items: [], counts: counts({ QUEUED: 2, RUNNING: 3, ERROR: 9 }) });
  frame();
  expect(result.current[0]).toMatchObject({ active: 5, loading: false });
  act(() => fake.connect({ state: 'offline', since: new Date() }));
  expect(result.current[1].state).toBe('offline');
});

test('without a provider it says what to do', () => {
  vi.spyOn(console, 'error').mockImplementation(() => {});
  expect(() => renderHook(() => useActivityList())).toThrow(/AgentexecProvider/);
  vi.restoreAllMocks();
});
