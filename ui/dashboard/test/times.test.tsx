import { render } from '@testing-library/react';
import { afterEach, expect, test, vi } from 'vitest';
import { grouped } from '../src/numbers.ts';
import { ago, exact, took, When } from '../src/times.tsx';

afterEach(() => void vi.useRealTimers());

test('a count has its thousands apart', () => {
  expect([0, 7, 999, 1000, 12_345, 1_234_567].map(grouped)).toEqual(['0', '7', '999', '1,000', '12,345', '1,234,567']);
});

test('a time of day has milliseconds', () => {
  expect(exact(new Date(2026, 0, 2, 3, 4, 5, 6).getTime())).toBe('03:04:05.006');
});

test('a point in time has its day where that is another', () => {
  vi.setSystemTime(new Date(2026, 10, 9, 23, 0));
  const shown = (t: Date | null) => render(<When iso={t && t.toISOString()} />).container.textContent;
  expect(shown(new Date(2026, 10, 9, 0, 0, 1))).toBe('00:00:01');
  expect(shown(new Date(2026, 10, 8, 23, 59, 59))).toBe('2026-11-08 23:59:59');
  expect(shown(new Date(2025, 10, 9, 12, 0))).toBe('2025-11-09 12:00:00');
  expect(shown(null)).toBe('–');
});

test('ages and durations', () => {
  expect([0, 999, 42_000, 180_000, 7_200_000, 5 * 86_400_000].map(ago)).toEqual(['just now', 'just now', '42 s ago', '3 min ago', '2 h ago', '5 days ago']);
  expect([0, 0.42, 9.96, 59.6, 400, 7_620, 385_200].map(took)).toEqual(['0s', '0.4s', '10s', '1m 00s', '6m 40s', '2h 07m', '4d 11h']);
});
