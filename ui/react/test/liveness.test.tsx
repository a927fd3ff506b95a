import { act, render, renderHook, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ActivityState, CancelRequest } from '@agentexec/client';
import { AgentexecProvider, Liveness, TaskDetail, TaskList, useCounts, useNow } from '../src/index.ts';
import { activity, counts, FakeClient, ID, item, line, state } from './fake.ts';

let fake: FakeClient;
beforeEach(() => {
  fake = new FakeClient();
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1, 12, 5) });
});
afterEach(() => {
  vi.useRealTimers();
});

const frame = () => act(() => vi.advanceTimersByTime(20));
const wrapper = ({ children }: { children: React.ReactNode }) => <AgentexecProvider client={fake.client}>{children}</AgentexecProvider>;
const at = (minutes: number, seconds = 0) => new Date(Date.UTC(2026, 0, 1, 12, minutes, seconds)).toISOString();
const cancel: CancelRequest = { seq: 2, message: 'Cancel requested', requested_by: null, requested_at: at(5), force_at: at(5, 30), forced: false };
const silent = { stale: true, expect_every: 30, last_seen_at: at(3) };

test('the time is that of the server, and stops while the connection is lost', () => {
  fake.skew = 3_600_000;
  const { result } = renderHook(useNow, { wrapper });
  expect(result.current).toBe(Date.now() + 3_600_000);
  act(() => vi.advanceTimersByTime(5_000));
  expect(result.current).toBe(Date.now() + 3_600_000);
  fake.skew = -60_000;
  act(() => fake.connect({ state: 'catching up' })); // a new welcome
  expect(result.current).toBe(Date.now() - 60_000);
  const lost = new Date();
  act(() => fake.connect({ state: 'offline', since: lost }));
  act(() => vi.advanceTimersByTime(60_000));
  expect(result.current).toBe(lost.getTime() - 60_000);
});

test('a stale activity shows its age by the clock of the server', () => {
  fake.skew = 60_000; // the server's clock shows 12:06
  const { container } = render(<Liveness activity={activity('RUNNING', 2, silent)} />, { wrapper });
  expect(container.textContent).toBe('Last seen 3 min ago; promised every 30 s');
  act(() => vi.advanceTimersByTime(60_000));
  expect(container.textContent).toBe('Last seen 4 min ago; promised every 30 s');
});

test('the time that is left gets shorter', () => {
  const { container } = render(<Liveness activity={activity('RUNNING', 2, { cancel })} />, { wrapper });
  expect(container.textContent).toBe('Stopping, 30 s left');
  act(() => vi.advanceTimersByTime(18_000));
  expect(container.textContent).toBe('Stopping, 12 s left');
  act(() => vi.advanceTimersByTime(18_000));
  expect(container.textContent).toBe('Stopping, no time left');
});

test('without a condition nothing is shown and no timer runs', () => {
  for (const a of [activity('RUNNING', 2), activity('RUNNING', 2, { stale: false, cancel: null }), activity('COMPLETE', 2)]) {
    const { container } = render(<Liveness activity={a} />); // without a provider
    expect(container.innerHTML).toBe('');
  }
  const { container } = render(<Liveness activity={activity('CANCELED', 2, { updated_at: at(7), finished_at: at(6), cancel: { ...cancel, forced: true } })} />);
  expect([...container.querySelectorAll('.ax-condition')].map((e) => e.textContent)).toEqual(['Canceled, the worker never answered', 'Still writing after it was canceled']);
  expect(vi.getTimerCount()).toBe(0);
});

test('a list and an activity follow changes without a line', () => {
  const { container } = render(<><TaskList /><TaskDetail agentId={ID} /></>, { wrapper });
  const [list] = fake.lists;
  const [detail] = fake.activities;
  list!.event({ type: 'snapshot', items: [item(ID, 'RUNNING')], counts: counts({ RUNNING: 1 }) });
  detail!.event({ type: 'snapshot', activity: activity('RUNNING', 1) });
  frame();
  const said = () => [...container.querySelectorAll('.ax-condition')].map((e) => e.textContent);
  expect(said()).toEqual([]);
  list!.event({ type: 'changes', items: [item(ID, 'RUNNING', silent)], removed: [], counts: counts({ RUNNING: 1, stale: 1 }) });
  detail!.event({ type: 'state', activity: { ...state('RUNNING', 1), ...silent } as ActivityState });
  frame();
  expect(said()).toEqual(Array(2).fill('Last seen 2 min ago; promised every 30 s'));
  expect(container.querySelectorAll('.ax-badge[data-stale], .ax-bar[data-stale]')).toHaveLength(4); // these do not look live
  detail!.event({ type: 'state', activity: state('RUNNING', 1) });
  frame();
  expect(said()).toHaveLength(2); // fields that are left out change nothing
  detail!.event({ type: 'state', activity: { ...state('RUNNING', 1), stale: false } });
  frame();
  expect(said()).toHaveLength(1);
});

test('the stale ones are counted', () => {
  const { result } = renderHook(() => useCounts(), { wrapper });
  fake.lists[0]!.event({ type: 'snapshot', items: [], counts: counts({ RUNNING: 2, stale: 1 }) });
  frame();
  expect(result.current).toMatchObject({ active: 2, stale: 1 });
});

test('a log of several attempts is divided', () => {
  const { container } = render(<TaskDetail agentId={ID} />, { wrapper });
  const [w] = fake.activities;
  w!.event({ type: 'snapshot', activity: activity('RUNNING', 4, { attempt: 2 }) });
  const logs = [line(1, 'a', { attempt: 1 }), line(2, 'b', { attempt: 1, status: 'ERROR' }), line(3, 'c', { attempt: 2 }), line(4, 'd', { attempt: 2 })];
  w!.event({ type: 'logs', logs, activity: { ...state('RUNNING', 4), attempt: 2 } });
  frame();
  const rows = [...container.querySelectorAll('.ax-lines > *')].map((e) => [e.querySelector('.ax-divider b')?.textContent, e.querySelector<HTMLElement>('.ax-line')!.dataset['seq']].filter(Boolean).join(': '));
  expect(rows).toEqual(['Attempt 1: 1', '2', 'Attempt 2: 3', '4']);
  expect(container.querySelectorAll('.ax-divider')[0]!.textContent).toMatch(/^Attempt 1 started .*, failed after 1s$/);
  expect(screen.getByText('Attempt 2', { selector: '.ax-muted' })).toBeTruthy(); // and in the head
});
