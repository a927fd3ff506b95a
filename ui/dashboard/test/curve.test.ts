import { expect, test } from 'vitest';
import type { Attempt, Point } from '@agentexec/react';
import { shapeOf, thin, WIDE } from '../src/detail/curve_shape.ts';
import { item } from './items.ts';

const minute = 60_000;
const point = (at: number, percentage: number, attempt = 1): Point => ({ seq: at + 1, at: at * minute, percentage, attempt });
const attempt = (number: number, started: number, ended?: number, status: 'ERROR' | 'COMPLETE' = 'ERROR'): Attempt => ({
  number, seq: started + 1, startedAt: started * minute, end: ended === undefined ? null : { seq: ended + 1, at: ended * minute, status, message: '' },
});
const iso = (at: number) => new Date(at * minute).toISOString();

test('each attempt has a line of its own, red where it failed, over a common time', () => {
  const points = [point(0, 0), point(2, 50), point(4, 0, 2), point(6, 40, 2)];
  const shape = shapeOf({ points, attempts: [attempt(1, 0, 3), attempt(2, 4)], activity: item(1, 'RUNNING', { attempt: 2 }), now: 8 * minute })!;
  expect([shape.from, shape.to]).toEqual([0, 8 * minute]);
  expect(shape.strokes.map(({ state, line }) => [state, line])).toEqual([
    ['error', 'M0.0 100.0L150.0 50.0L225.0 50.0'],
    ['running', 'M300.0 100.0L450.0 60.0L600.0 60.0'],
  ]);
  expect(shape.starts.map(({ number, x, failed }) => [number, x, failed])).toEqual([[1, 0, true], [2, 50, false]]);
  expect(shape.ticks.at(-1)).toEqual({ x: 100, text: 'now' });
  expect(shape.ticks.every(({ x }, n, all) => n === 0 || x > all[n - 1]!.x)).toBe(true);
});

test('a finished one ends where it ended', () => {
  const shape = shapeOf({ points: [point(0, 0), point(5, 100)], attempts: [attempt(1, 0, 5, 'COMPLETE')], activity: item(1, 'COMPLETE', { finished_at: iso(5) }), now: 99 * minute })!;
  expect(shape.to).toBe(5 * minute);
  expect(shape.strokes.map(({ state, end }) => [state, end])).toEqual([['complete', { x: WIDE, y: 0 }]]);
});

test('from the request to cancel on, the line is that of stopping', () => {
  const cancel = { seq: 3, message: '', requested_by: null, requested_at: iso(4), force_at: null, forced: false };
  const shape = shapeOf({ points: [point(0, 0), point(2, 50)], attempts: [attempt(1, 0)], activity: item(1, 'RUNNING', { cancel }), now: 8 * minute })!;
  expect(shape.strokes.map(({ state, line }) => [state, line])).toEqual([['running', 'M0.0 100.0L150.0 50.0L300.0 50.0'], ['stopping', 'M300.0 50.0L600.0 50.0']]);
  expect(shape.asked).toBe(50);
});

test('there is nothing to draw with fewer than two points, or without time', () => {
  const options = { attempts: [], activity: item(1, 'RUNNING'), now: 0 };
  expect([[], [point(0, 5)], [point(0, 5), point(0, 6)]].map((points) => shapeOf({ ...options, points }))).toEqual([null, null, null]);
});

test('of very many corners no more are drawn than can be seen, and a fall within a column is', () => {
  const corners = Array.from({ length: 10_000 }, (_, n): [number, number] => [(n / 10_000) * WIDE, n === 5_001 ? 99 : 10]);
  const thinned = thin(corners);
  expect(thinned.length).toBeLessThanOrEqual(900);
  expect(thinned).toContainEqual(corners[5_001]);
  expect([thinned[0], thinned.at(-1)]).toEqual([corners[0], corners.at(-1)]);
});
