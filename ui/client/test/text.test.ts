import { expect, test } from 'vitest';
import { beginning, clean, elapsed } from '../src/text.ts';

test('control characters are shown, not obeyed', () => {
  expect(clean('\u0000\u0007\u001b[31mred\u007f\u009b\u202eevil\u2066x\u2069')).toBe('␀␇␛[31mred␡\ufffd\ufffdevil\ufffdx\ufffd');
  expect(clean('tab\tand\r\nline, café 🚀 أُنجزت')).toBe('tab\tand\nline, café 🚀 أُنجزت');
  expect(clean('a\rb')).toBe('a␍b');
});

test('a text is cut between characters', () => {
  expect(beginning('🚀🚀', 3)).toBe('🚀');
  expect(beginning('abc', 3)).toBe('abc');
  expect(beginning('a\nb\nc', 10, 2)).toBe('a\nb');
  expect(beginning('', 5)).toBe('');
});

test('elapsed counts from the start to the end', () => {
  const at = (s: number) => new Date(s * 1000).toISOString();
  const a = { status: 'RUNNING' as const, latest_percentage: null, last_seq: 1, attempt: 1, created_at: at(0), started_at: at(10), updated_at: at(20), finished_at: null };
  expect(elapsed(a, 52_000)).toBe('42s');
  expect(elapsed(a, 0)).toBe('0s'); // a clock that is behind
  expect(elapsed(a, 195_000)).toBe('3m 05s');
  expect(elapsed({ ...a, started_at: null }, 7_620_000)).toBe('2h 07m');
  expect(elapsed({ ...a, status: 'ERROR', finished_at: at(385_210) })).toBe('4d 11h');
});
