import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createClock } from '../src/clock.ts';

beforeEach(() => void vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) }));
afterEach(() => void vi.useRealTimers());

const told = Date.UTC(2026, 5, 1);
const welcome = new Date(told).toISOString();

test('without the time of a server it is the clock of the machine', () => {
  const clock = createClock();
  for (const time of [undefined, '', 'noon']) clock.set(time);
  expect(clock.now()).toBe(Date.now());
});

test('it goes on from the time that the server told last', () => {
  const clock = createClock();
  clock.set(welcome);
  expect(clock.now()).toBe(told);
  vi.advanceTimersByTime(12_000);
  expect(clock.now()).toBe(told + 12_000);
  clock.set(undefined); // of an earlier server that took over
  expect(clock.now()).toBe(told + 12_000);
  clock.set(welcome);
  expect(clock.now()).toBe(told);
});

test('a clock of the machine that is set back does not set it back, and a sleep passes', () => {
  const clock = createClock();
  clock.set(welcome);
  vi.advanceTimersByTime(1_000);
  vi.setSystemTime(Date.UTC(2025, 0, 1));
  expect(clock.now()).toBe(told + 1_000);
  clock.set(welcome);
  vi.setSystemTime(Date.now() + 30_000); // the monotonic clock stood still meanwhile
  expect(clock.now()).toBe(told + 30_000);
});
