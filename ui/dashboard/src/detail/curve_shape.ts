// The shape of the curve of the percentage: one line for each attempt, over a common axis of time.

import type { Activity } from '@agentexec/client';
import { type DisplayState } from '@agentexec/client/text';
import { type Attempt, exactTime, type Point } from '@agentexec/react';

export const WIDE = 600;
export const HIGH = 100;
const COLUMNS = 300; // of what falls into one the first, the last and the lowest are drawn
const TICKS = 6; // on the axis, at most
const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000].map((s) => s * 1000);

export interface Stroke {
  state: DisplayState;
  /** The line, and the area below it, as paths. */
  line: string;
  area: string;
  end: { x: number; y: number };
}

export interface Shape {
  from: number;
  to: number;
  strokes: Stroke[];
  /** Where attempts start, in percent of the width. */
  starts: { number: number; x: number; failed: boolean }[];
  /** Where the cancel was requested, in percent of the width. */
  asked: number | null;
  ticks: { x: number; text: string }[];
}

interface Options {
  points: readonly Point[];
  attempts: readonly Attempt[];
  activity: Activity;
  /** Milliseconds, by the clock of the server. */
  now: number;
}

/** Returns null where there is nothing to draw: fewer than two points. */
export function shapeOf({ points, attempts, activity, now }: Options): Shape | null {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last || first === last) return null;
  const live = activity.finished_at === null;
  const begun = attempts.find((a) => a.startedAt !== null)?.startedAt ?? first.at;
  const from = Math.min(begun, points.find((p) => p.percentage > 0)?.at ?? first.at);
  const to = live ? Math.max(now, last.at) : Math.max(Date.parse(activity.finished_at!), last.at);
  if (to <= from) return null;
  const x = (at: number) => Math.min(WIDE, Math.max(0, ((at - from) / (to - from)) * WIDE));
  const y = (percentage: number) => HIGH - (percentage / 100) * HIGH;
  const askedAt = activity.cancel ? Date.parse(activity.cancel.requested_at) : null;
  const strokes: Stroke[] = [];
  for (const number of new Set(points.map((p) => p.attempt))) {
    const attempt = attempts.find((a) => a.number === number);
    const own = points.filter((p) => p.attempt === number);
    const end = attempt?.end?.at ?? (number === last.attempt ? to : own.at(-1)!.at);
    const state = attempt?.end ? (attempt.end.status.toLowerCase() as DisplayState) : 'running';
    const corners: [number, number][] = thin(own.map((p) => [x(p.at), y(p.percentage)]));
    const [lastX, lastY] = corners.at(-1)!;
    const goesOn = x(end) > lastX + 0.5;
    // From the request on, the line of what is still at work has the colour of "stopping".
    if (goesOn && !attempt?.end && askedAt !== null) {
      const cut = Math.max(lastX, x(askedAt));
      strokes.push(stroke(state, [...corners, [cut, lastY]]), stroke('stopping', [[cut, lastY], [x(end), lastY]]));
    } else strokes.push(stroke(state, goesOn ? [...corners, [x(end), lastY]] : corners));
  }
  const starts = attempts.filter((a) => a.startedAt !== null).map((a) => ({ number: a.number, x: (x(a.startedAt!) / WIDE) * 100, failed: a.end?.status === 'ERROR' }));
  return { from, to, strokes, starts, asked: askedAt === null || askedAt < from ? null : (x(askedAt) / WIDE) * 100, ticks: ticksOf(from, to, live) };
}

function stroke(state: DisplayState, corners: [number, number][]): Stroke {
  const line = corners.map(([x, y], n) => `${n ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');
  const [[first], [last, y]] = [corners[0]!, corners.at(-1)!];
  return { state, line, area: `${line}L${last.toFixed(1)} ${HIGH}L${first.toFixed(1)} ${HIGH}Z`, end: { x: last, y } };
}

/** Of many corners some: in each column the first, the lowest percentage and the last. */
export function thin(corners: [number, number][]): [number, number][] {
  if (corners.length <= 2 * COLUMNS) return corners;
  const kept: [number, number][] = [];
  for (let n = 0; n < corners.length; ) {
    const column = Math.floor((corners[n]![0] / WIDE) * COLUMNS);
    const from = n;
    let lowest = n;
    while (n < corners.length && Math.floor((corners[n]![0] / WIDE) * COLUMNS) === column) {
      if (corners[n]![1] > corners[lowest]![1]) lowest = n;
      n++;
    }
    for (const at of new Set([from, lowest, n - 1].sort((a, b) => a - b))) kept.push(corners[at]!);
  }
  return kept;
}

function ticksOf(from: number, to: number, live: boolean): Shape['ticks'] {
  const step = steps.find((s) => (to - from) / s <= TICKS) ?? steps.at(-1)!;
  const zone = new Date(from).getTimezoneOffset() * 60_000; // ticks are at full hours of the day here
  const text = (at: number) => (step >= 86_400_000 ? new Date(at).toDateString().slice(4, 10) : exactTime(at).slice(0, step < 60_000 ? 8 : 5));
  const ticks: Shape['ticks'] = [];
  for (let at = Math.ceil((from - zone) / step) * step + zone; at < to; at += step) {
    const x = ((at - from) / (to - from)) * 100;
    if (x < 82) ticks.push({ x, text: text(at) });
  }
  return [...ticks, { x: 100, text: live ? 'now' : exactTime(to).slice(0, step < 60_000 ? 8 : 5) }];
}
