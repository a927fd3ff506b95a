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
