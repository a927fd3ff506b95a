// A request that the server refuses is repeated: a client whose events the test makes, and a clock of our own.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FeedError } from '@agentexec/client';
import { activity, FakeClient, ID, lines, state } from '../../react/test/fake.ts';
import { ListModel } from '../src/list_model.ts';
import { LogModel } from '../src/log_model.ts';
import { noFilter } from '../src/route.ts';
import { item, noCounts } from './items.ts';

let fake: FakeClient;
beforeEach(() => {
  fake = new FakeClient();
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

test('a list', () => {
  const model = new ListModel(fake.client, noFilter);
  const leave = model.subscribe(() => {});
  fake.lists[0]!.over(new FeedError('limit', 'too many subscriptions'));
  expect(model.get()).toMatchObject({ problem: 'too many subscriptions', loading: false });
  vi.advanceTimersByTime(4_999);
  expect(fake.lists).toHaveLength(1);
  vi.advanceTimersByTime(1);
  expect(fake.lists).toHaveLength(2);
  fake.lists[1]!.event({ type: 'snapshot', items: [item(1, 'QUEUED')], counts: { ...noCounts(), QUEUED: 1 } });
  expect(model.get()).toMatchObject({ problem: '', items: [{ status: 'QUEUED' }] });

  fake.lists[1]!.over(new FeedError('limit', 'too many subscriptions'));
  leave();
  vi.advanceTimersByTime(60_000);
  expect(fake.lists, 'not after it was left').toHaveLength(2);
});

test.each([['not_found', 2_000, true], ['limit', 5_000, false], ['forbidden', 5_000, false]] as const)('an activity: %s', (code, pause, missing) => {
  const model = new LogModel(fake.client, ID);
  const leave = model.subscribe(() => {});
  fake.activities[0]!.event({ type: 'snapshot', activity: activity('RUNNING', 2) });
  fake.activities[0]!.event({ type: 'logs', logs: lines(1, 2), activity: state('RUNNING', 2) });
  fake.activities[0]!.over(new FeedError(code, 'no'));
  expect(model.get()).toMatchObject({ missing, problem: missing ? '' : 'no', length: 2 });
  vi.advanceTimersByTime(pause - 1);
  expect(fake.activities).toHaveLength(1);
  vi.advanceTimersByTime(1);
  expect(fake.activities[1]!.what).toEqual({ id: ID, afterSeq: 2 });
  fake.activities[1]!.event({ type: 'snapshot', activity: activity('RUNNING', 2) });
  expect(model.get()).toMatchObject({ missing: false, problem: '', length: 2 });
  leave();
  expect(fake.activities[1]!.stopped).toBe(true);
});

test('a page in the background changes once a second', () => {
  const hidden = vi.spyOn(document, 'hidden', 'get').mockReturnValue(true);
  const model = new ListModel(fake.client, noFilter);
  let told = 0;
  const leave = model.subscribe(() => told++);
  for (let n = 1; n <= 50; n++) fake.lists[0]!.event({ type: 'snapshot', items: [item(n, 'QUEUED')], counts: noCounts() });
  expect(told).toBe(0);
  vi.advanceTimersByTime(1_000);
  expect(told).toBe(1);
  expect(model.get().items[0]).toEqual(item(50, 'QUEUED'));
  leave();
  hidden.mockRestore();
});
