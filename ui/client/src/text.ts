// How text that comes from anywhere is made fit to be shown.

import { isFinal } from './state.ts';
import type { ActivityState, Status } from './types.ts';

/** The label of each status. */
export const statusNames: Record<Status, string> = {
  RUNNING: 'Running', QUEUED: 'Queued', COMPLETE: 'Complete', ERROR: 'Error', CANCELED: 'Canceled',
};

/**
 * Shows control characters as their pictures, also those that would turn the direction of the text around them. The
 * element (dir="auto") isolates the remaining bidirectional text.
 */
export function clean(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(/[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, (c) => {
    const code = c.charCodeAt(0);
    return code < 32 ? String.fromCharCode(0x2400 + code) : code === 127 ? '\u2421' : '\ufffd';
  });
}

// Of a sequence whose end is missing only the beginning is dropped, so that it hides no text.
const SEQUENCE = /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)|[\]PX^_]|[ -/]+[0-~]|[0-Z\\`-~])/g;
const CUT = /\x1b(?:\[[0-?]*)?$/;

/** The text with other text in place of each escape sequence of a terminal. */
export const withoutSequences = (text: string, instead: (sequence: string) => string): string => text.replace(SEQUENCE, instead).replace(CUT, '');

/** The text without the escape sequences of terminals. */
export const plain = (text: string): string => (text.includes('\x1b') ? withoutSequences(text, () => '') : text);

/** The beginning of the first line of a message, fit to be shown in one line. */
export const headline = (message: string, length = 300): string => clean(beginning(plain(message), length, 1));

/** The beginning of a text, at most so many characters and lines, cut between characters. */
export function beginning(text: string, length: number, lines = Infinity): string {
  let end = Math.min(length, text.length);
  for (let at = text.indexOf('\n'); at >= 0 && at < end; at = text.indexOf('\n', at + 1)) {
    if (--lines === 0) end = at;
  }
  if (end < text.length && /[\ud800-\udbff]/.test(text[end - 1] ?? '')) end--;
  return text.slice(0, end);
}

/** How long an activity has been at work, or waiting, or took: "42s", "3m 05s", "2h 07m", "4d 11h". */
export function elapsed(a: ActivityState & { created_at: string; started_at: string | null; finished_at: string | null }, now = Date.now()): string {
  const end = isFinal(a.status) ? Date.parse(a.finished_at ?? a.updated_at) : now;
  const seconds = Math.max(0, Math.floor((end - Date.parse(a.started_at ?? a.created_at)) / 1000));
  const [s, m, h, d] = [seconds % 60, Math.floor(seconds / 60) % 60, Math.floor(seconds / 3600) % 24, Math.floor(seconds / 86400)];
  const two = (n: number) => String(n).padStart(2, '0');
  return d ? `${d}d ${two(h)}h` : h ? `${h}h ${two(m)}m` : m ? `${m}m ${two(s)}s` : `${s}s`;
}

/** A duration, rounded down: "90 s", "2 min", "3 h", "2 days". */
export function duration(seconds: number): string {
  const [size, unit] = seconds < 120 ? [1, 's'] : seconds < 7200 ? [60, 'min'] : seconds < 172_800 ? [3600, 'h'] : [86_400, 'days'];
  return `${Math.max(0, Math.floor(seconds / size))} ${unit}`;
}

/** The state of an activity as it is displayed: its status, or what matters more than the status. */
export type DisplayState = 'queued' | 'running' | 'waiting' | 'stale' | 'stopping' | 'complete' | 'error' | 'canceled';

/** The label of each displayed state. */
export const displayNames: Record<DisplayState, string> = {
  queued: 'Queued', running: 'Running', waiting: 'Waiting for a person', stale: 'Stale', stopping: 'Stopping', complete: 'Complete', error: 'Error', canceled: 'Canceled',
};

/** Returns the state to display: a requested cancel wins over an open question, that wins over stale, and that over the status. */
export function displayState({ status, stale, cancel, open_questions }: Pick<ActivityState, 'status' | 'stale' | 'cancel' | 'open_questions'>): DisplayState {
  if (status === 'RUNNING' && cancel) return 'stopping';
  if (open_questions && !isFinal(status)) return 'waiting';
  if (status === 'RUNNING' && stale) return 'stale';
  return status.toLowerCase() as DisplayState;
}

/**
 * A fact about an activity beside its status. `stale`: the worker did not keep its promise. `stopping`: a cancel was requested.
 * `forced`: canceled without the worker. `trailing`: lines came after it was canceled.
 */
export interface Condition {
  kind: 'stale' | 'stopping' | 'forced' | 'trailing';
  /** The text to show, with the reason and the time. */
  text: string;
}

/** Returns the conditions of an activity; `now` is the database's time, from `client.now()`. */
export function conditionsOf({ status, stale, cancel, ...a }: ActivityState, now: number): Condition[] {
  const all: Condition[] = [];
  const add = (kind: Condition['kind'], text: string) => all.push({ kind, text });
  if (status === 'RUNNING') {
    if (cancel) add('stopping', 'Stopping' + (cancel.force_at ? ', ' + timeLeft(Date.parse(cancel.force_at) - now) : ''));
    if (stale) {
      const promise = a.expect_every ? `; promised every ${duration(a.expect_every)}` : '';
      add('stale', `Last seen ${duration((now - Date.parse(a.last_seen_at ?? a.updated_at)) / 1000)} ago${promise}`);
    }
  } else if (status === 'CANCELED') {
    if (cancel?.forced) add('forced', 'Canceled, the worker never answered');
    if (a.finished_at && a.updated_at > a.finished_at) add('trailing', 'Still writing after it was canceled');
  }
  return all;
}

const timeLeft = (ms: number) => (ms > 0 ? `${duration(Math.ceil(ms / 1000))} left` : 'no time left');
