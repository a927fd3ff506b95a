import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';

const dist = path.resolve(import.meta.dirname, '../dist');
const scripts = readdirSync(path.join(dist, 'assets')).filter((file) => file.endsWith('.js'));
const sizeOf = (file: string) => gzipSync(readFileSync(path.join(dist, 'assets', file)), { level: 9 }).length;

// The parts that a page does not load before it is drawn.
const later = ['question_card', 'children', 'cancel_selected', 'cancel_queued', 'cancel_many', 'toolbar_dialogs'];
const others: Record<string, string[]> = { overview: ['detail', ...later], list: ['overview', 'detail', ...later], detail: ['overview', ...later] };

test.each(Object.entries(others))('the scripts of the page %s are at most 100 KB', (_page, parts) => {
  for (const part of parts) expect(scripts.filter((file) => file.startsWith(part + '-'))).toHaveLength(1);
  const loaded = scripts.filter((file) => !parts.some((part) => file.startsWith(part + '-')));
  expect(loaded.reduce((sum, file) => sum + sizeOf(file), 0)).toBeLessThan(100_000);
});

test('the chart is loaded with the overview alone', () => {
  const page = readFileSync(path.join(dist, 'index.html'), 'utf8');
  const first = scripts.filter((file) => page.includes(file));
  expect(first).not.toHaveLength(0);
  for (const file of first) expect(readFileSync(path.join(dist, 'assets', file), 'utf8')).not.toContain('u-cursor-x');
});
