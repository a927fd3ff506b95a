import type { Client, ListEvent, ListFilter } from '@agentexec/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { firstShown } from '../src/first.ts';
import { NeedsModel } from '../src/frame/needs.ts';

let hidden = false;
let stop = () => {};

beforeEach(() => {
  hidden = false;
  vi.spyOn(document, 'hidden', 'get').mockImplementation(() => hidden);
});
afterEach(() => {
  stop();
  vi.restoreAllMocks();
});

const look = (away: boolean) => {
  hidden = away;
  document.dispatchEvent(new Event('visibilitychange'));
};

test('waiting and stale activities always count, each once; failures count while the page is hidden', async () => {
  let tell: ((event: ListEvent) => void) | undefined;
  let wait: typeof tell;
  const model = new NeedsModel({ watchList: (filter: ListFilter, _: object, on: typeof tell) => (filter.waiting ? (wait = on) : (tell = on)) } as unknown as Client);
  stop = model.subscribe(() => {});
  firstShown(); // nothing is counted before
  await vi.waitFor(() => expect(wait).toBeDefined());
  const counted = (ERROR: number, stale = 0) => {
    tell!({ type: 'changes', items: [], removed: [], counts: { RUNNING: 0, QUEUED: 0, COMPLETE: 0, CANCELED: 0, ERROR, stale } });
    return model.get();
  };
  expect(counted(7, 1)).toEqual({ now: 1, failed: 0 });
  expect(counted(8)).toEqual({ now: 0, failed: 0 });
  look(true);
  expect(counted(10, 1)).toEqual({ now: 1, failed: 2 });
  look(false);
  expect(model.get()).toEqual({ now: 1, failed: 0 });
  look(true);
  expect(counted(8).failed, 'two are retried').toBe(0);
  expect(counted(9).failed).toBe(1);
  wait!({ type: 'snapshot', items: [], counts: { RUNNING: 3, QUEUED: 1, COMPLETE: 0, CANCELED: 0, ERROR: 0, stale: 1 } });
  counted(8, 1);
  expect(model.get().now, 'one of the four that wait is the stale one').toBe(4);
});
