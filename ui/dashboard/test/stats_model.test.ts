import type { Client, Counts } from '@agentexec/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { rangeOf } from '../src/overview/range.ts';
import { endedBuckets, StatsModel } from '../src/overview/stats.ts';

let asked: { since: string; bucket: string; signal: AbortSignal }[] = [];
let answer: () => Promise<unknown>;
let stop = () => {};

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  answer = async () => ({ series: [], until: String(asked.length) });
});
afterEach(() => {
  stop();
  vi.useRealTimers();
});

function started(): StatsModel {
  const client = { stats: (options: (typeof asked)[0]) => (asked.push(options), answer()) } as unknown as Client;
  const model = new StatsModel(client, '24h');
  stop = model.subscribe(() => {});
  return model;
}

const counts = (RUNNING: number, COMPLETE = 0): Counts => ({ RUNNING, QUEUED: 0, COMPLETE, ERROR: 0, CANCELED: 0 });

test('the figures are read at once and every 10 seconds, for the range', async () => {
  const model = started();
  await vi.advanceTimersByTimeAsync(0);
  expect(asked).toMatchObject([{ since: '24h', bucket: '15m' }]);
  expect(model.get().stats?.until).toBe('1');
  await vi.advanceTimersByTimeAsync(9_000);
  expect(asked).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(asked).toHaveLength(2);
  stop();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toHaveLength(2);
  expect(asked[1]!.signal.aborted).toBe(true);
});

test('they are read again when many activities change their status', async () => {
  const model = started();
  await vi.advanceTimersByTimeAsync(2_000);
  model.counted(counts(100));
  model.counted(counts(97, 3));
  await vi.advanceTimersByTimeAsync(0);
  expect(asked).toHaveLength(1);
  model.counted(counts(94, 6));
  await vi.advanceTimersByTimeAsync(0);
  expect(asked).toHaveLength(2);
  model.counted(counts(80, 20));
  await vi.advanceTimersByTimeAsync(900);
  expect(asked, 'not twice a second').toHaveLength(2);
  await vi.advanceTimersByTimeAsync(200);
  expect(asked).toHaveLength(3);
});

test('the first activity is shown at once', async () => {
  const model = started();
  await vi.advanceTimersByTimeAsync(2_000);
  model.counted(counts(0));
  model.counted(counts(1));
  await vi.advanceTimersByTimeAsync(0);
  expect(asked).toHaveLength(2);
});

test('a failure is said in words, and what was read stays', async () => {
  const model = started();
  await vi.advanceTimersByTimeAsync(0);
  answer = () => Promise.reject(new TypeError('Failed to fetch'));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(model.get()).toMatchObject({ stats: { until: '1' }, problem: expect.stringMatching(/^The server cannot be reached/) });
  answer = async () => ({ series: [], until: 'new' });
  await vi.advanceTimersByTimeAsync(10_000);
  expect(model.get()).toMatchObject({ stats: { until: 'new' }, problem: '' });
});

test('the range is in the address', () => {
  expect(['', '?range=24h', '?range=7d', '?range=9y', '?range=toString'].map(rangeOf)).toEqual(['1h', '24h', '7d', '1h', '1h']);
});

test('the chart shows the buckets that have ended', () => {
  const series = ['12:00', '12:01', '12:02'].map((at) => ({ at: `2026-01-01T${at}:00Z`, started: 1, complete: 0, error: 0, canceled: 0 }));
  const shown = (until: string) => endedBuckets({ series, bucket: 60, until }).length;
  expect([shown('2026-01-01T12:02:00.1Z'), shown('2026-01-01T12:02:59.9Z'), shown('2026-01-01T12:03:00Z')]).toEqual([2, 2, 3]);
});
