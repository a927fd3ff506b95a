import { act, render, renderHook, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FeedError, type Question, type QuestionsOptions } from '@agentexec/client';
import type { ReactNode } from 'react';
import { AgentexecProvider, type QuestionsFilter, TaskDetail, useLog, useLogState, useQuestions } from '../src/index.ts';
import { activity, counts, FakeClient, ID, item, line, state } from './fake.ts';

class Asking extends FakeClient {
  reads: QuestionsOptions[] = [];
  keys: string[] = ['a'];
  next: string | null = null;
  fails = false;
  questions = async (options: QuestionsOptions) => {
    this.reads.push(options);
    if (this.fails) throw new TypeError('away');
    return { items: this.keys.map((key) => ({ agent_id: ID, key, prompt: key, schema: null, state: 'PENDING', asked_at: '2026-01-01T00:00:00Z', expires_at: null }) as Question), next: this.next };
  };
}

let fake: Asking;
beforeEach(() => {
  fake = new Asking();
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const wrapper = ({ children }: { children: ReactNode }) => <AgentexecProvider client={fake.client}>{children}</AgentexecProvider>;
const show = (filter: QuestionsFilter) => renderHook(() => useQuestions(filter), { wrapper }).result;
const showOf = (id: string) => renderHook(() => useQuestions({ log: useLog(id), state: 'ANY' }), { wrapper }).result;
const settle = (ms = 40) => act(() => vi.advanceTimersByTimeAsync(ms));

test('the questions of an activity are read again when a line is about one, and not otherwise', async () => {
  const result = showOf(ID);
  expect(result.current).toMatchObject({ questions: [], loading: true });
  const [w] = fake.activities;
  w!.event({ type: 'snapshot', activity: activity('RUNNING', 1, { open_questions: 1 }) });
  w!.event({ type: 'logs', logs: [line(1, 'Include them?', { data: { question: 'a' } })], activity: { ...state('RUNNING', 1), open_questions: 1 } });
  await settle();
  expect(result.current).toMatchObject({ questions: [{ key: 'a' }], loading: false, more: false });
  expect(fake.reads).toMatchObject([{ agentId: ID, state: 'ANY', pageSize: 1000 }]);

  w!.event({ type: 'logs', logs: [line(2), line(3)], activity: { ...state('RUNNING', 3), open_questions: 1 } });
  await settle(60_000);
  expect(fake.reads).toHaveLength(1);

  // One is closed and another asked, so that the number of open ones is the same.
  fake.keys = ['a', 'b'];
  w!.event({ type: 'logs', logs: [line(4, 'Answered: true', { data: { question: 'a' } }), line(5, 'And these?', { data: { question: 'b' } })], activity: { ...state('RUNNING', 5), open_questions: 1 } });
  await settle();
  expect(result.current.questions).toHaveLength(2);
  expect(fake.reads).toHaveLength(2);

  w!.event({ type: 'logs', logs: [line(6, 'done', { status: 'COMPLETE' })], activity: { ...state('COMPLETE', 6), open_questions: 0 } });
  await settle();
  expect(fake.reads).toHaveLength(3); // the end withdrew them
});

test('a log that is there already is followed too', async () => {
  renderHook(() => useLogState(useLog(ID)), { wrapper });
  const [w] = fake.activities;
  w!.event({ type: 'snapshot', activity: activity('RUNNING', 1) });
  w!.event({ type: 'logs', logs: [line(1)], activity: state('RUNNING', 1) });
  await settle();
  const result = showOf(ID);
  await settle();
  expect(result.current).toMatchObject({ questions: [{ key: 'a' }], loading: false });
});

test('the pending questions of all follow a live list of what waits', async () => {
  fake.next = 'more';
  const result = show({ pageSize: 8 });
  const [w] = fake.lists;
  expect(w!.what).toMatchObject({ waiting: true });
  w!.event({ type: 'snapshot', items: [item('x', 'RUNNING', { open_questions: 1 })], counts: counts() });
  await settle();
  expect(result.current).toMatchObject({ questions: [{ key: 'a' }], more: true });
  w!.event({ type: 'changes', items: [item('y', 'RUNNING', { open_questions: 1 })], removed: [], counts: counts() });
  await settle();
  w!.event({ type: 'changes', items: [], removed: ['x'], counts: counts() });
  await settle();
  expect(fake.reads).toHaveLength(3);
  for (let n = 0; n < 3; n++) w!.event({ type: 'changes', items: [item('y', 'RUNNING', { open_questions: 1, last_seq: n + 2 })], removed: [], counts: counts() });
  await settle();
  expect(fake.reads).toHaveLength(3); // other lines wait, and are one read
  await settle(6_000);
  expect(fake.reads).toHaveLength(4);
  await settle(600_000);
  expect(fake.reads).toHaveLength(4);
});

test('a detail shows the questions that wait', async () => {
  fake.keys = ['a', 'b'];
  render(<TaskDetail agentId={ID} />, { wrapper });
  const [w] = fake.activities;
  w!.event({ type: 'snapshot', activity: activity('RUNNING', 1) });
  w!.event({ type: 'logs', logs: [line(1)], activity: state('RUNNING', 1) });
  await settle();
  expect(fake.reads).toHaveLength(0);
  w!.event({ type: 'logs', logs: [line(2, 'Go on?', { data: { question: 'a' } })], activity: { ...state('RUNNING', 2), open_questions: 2 } });
  await settle();
  expect(screen.getAllByRole('button', { name: 'Decline' })).toHaveLength(2);
});

test('a read that failed is tried again, and a list that was refused too', async () => {
  fake.fails = true;
  const result = show({});
  const [w] = fake.lists;
  w!.event({ type: 'snapshot', items: [], counts: counts() });
  await settle();
  expect(result.current).toMatchObject({ questions: [], loading: false, error: expect.any(TypeError) });
  fake.fails = false;
  await settle(6_000);
  expect(result.current).toMatchObject({ questions: [{ key: 'a' }], error: undefined });
  w!.over(new FeedError('forbidden', 'no'));
  await settle(6_000);
  expect(fake.lists).toHaveLength(2);
});
