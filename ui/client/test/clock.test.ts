import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createClock } from '../src/clock.ts';

beforeEach(() => void vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) }));
afterEach(() => void vi.useRealTimers());

const told = Date.UTC(2026, 5, 1);
const welcome = new Date(told).toISOString();

test('without a time from a server it is the clock of the machine', () => {
  const clock = createClock();
  for (const time of [undefined, '', 'noon']) clock.set(time);
  expect(clock.now()).toBe(Date.now());
});

test('it continues from the last time that the server sent', () => {
  const clock = createClock();
  clock.set(welcome);
  expect(clock.now()).toBe(told);
  vi.advanceTimersByTime(12_000);
  expect(clock.now()).toBe(told + 12_000);
  clock.set(undefined); // from a server of an earlier version
  expect(clock.now()).toBe(told + 12_000);
  clock.set(welcome);
  expect(clock.now()).toBe(told);
});

test('setting the clock of the machine back does not change it, and it counts a sleep', () => {
  const clock = createClock();
  clock.set(welcome);
  vi.advanceTimersByTime(1_000);
  vi.setSystemTime(Date.UTC(2025, 0, 1));
  expect(clock.now()).toBe(told + 1_000);
  clock.set(welcome);
  vi.setSystemTime(Date.now() + 30_000); // performance.now stops during a sleep
  expect(clock.now()).toBe(told + 30_000);
});
