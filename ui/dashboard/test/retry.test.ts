// A request that the server refuses is repeated: a client whose events the test makes, and a clock of our own.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FeedError } from '@agentexec/client';
import { FakeClient } from '../../react/test/fake.ts';
import { ListModel } from '../src/list/list_model.ts';
import { noFilter } from '../src/list/query.ts';
import { item, noCounts } from './items.ts';

const itemsOf = (model: ListModel) => model.get().sections.flatMap(({ items }) => items);
let fake: FakeClient;
beforeEach(() => {
  fake = new FakeClient();
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

test('a list', () => {
  const model = new ListModel(fake.client, noFilter);
  const leave = model.subscribe(() => {});
  const first = fake.lists.length; // with those of "Needs me"
  fake.lists[0]!.over(new FeedError('limit', 'too many subscriptions'));
  expect(model.get()).toMatchObject({ problem: 'too many subscriptions', loading: false });
  vi.advanceTimersByTime(4_999);
  expect(fake.lists).toHaveLength(first);
  vi.advanceTimersByTime(1);
  expect(fake.lists).toHaveLength(first + 1);
  fake.lists[first]!.event({ type: 'snapshot', items: [item(1, 'QUEUED')], counts: { ...noCounts(), QUEUED: 1 } });
  expect(model.get().problem).toBe('');
  expect(itemsOf(model)).toMatchObject([{ status: 'QUEUED' }]);

  fake.lists[first]!.over(new FeedError('limit', 'too many subscriptions'));
  leave();
  vi.advanceTimersByTime(60_000);
  expect(fake.lists, 'not after it was left').toHaveLength(first + 1);
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
  expect(itemsOf(model)[0]).toEqual(item(50, 'QUEUED'));
  leave();
  hidden.mockRestore();
});
