import { render } from '@testing-library/react';
import { afterEach, expect, test, vi } from 'vitest';
import { grouped } from '../src/numbers.ts';
import { exact, When } from '../src/times.tsx';

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
