// Ages and durations in a row. The list updates them once a second, by the time of the database.

import type { ActivityListItem } from '@agentexec/client';
import { isFinal } from '@agentexec/client/state';
import { conditionsOf, displayState, duration, elapsed } from '@agentexec/client/text';
import type { Asked } from './asked.ts';
import { ago, took } from '../times.tsx';
import type { Usual } from '../usual.ts';

const digits = (n: number, many = 2) => String(n).padStart(many, '0');

/** A point in time with its day and time zone: "2026-11-29 14:06:03 UTC+01:00". The language's own formats take long to load. */
export function absolute(iso: string): string {
  const t = new Date(iso);
  const east = -t.getTimezoneOffset();
  const zone = east ? `UTC${east > 0 ? '+' : '-'}${digits(Math.floor(Math.abs(east) / 60))}:${digits(Math.abs(east) % 60)}` : 'UTC';
  const day = `${digits(t.getFullYear(), 4)}-${digits(t.getMonth() + 1)}-${digits(t.getDate())}`;
  return `${day} ${digits(t.getHours())}:${digits(t.getMinutes())}:${digits(t.getSeconds())} ${zone}`;
}

/** "3 min ago", or "3 min" where there is little room. `now` is the time of the database in milliseconds. */
export function Ago({ iso, now, short }: { iso: string; now: number; short: boolean }) {
  const text = ago(Math.max(0, now - Date.parse(iso)));
  return <time className="ago" dateTime={iso} title={absolute(iso)}>{short ? text.replace(/ ago$/, '') : text}</time>;
}

/** How long a run takes or took, marked where that is longer than 95 of 100 runs of its type. */
export function Took({ item, now, usual }: { item: ActivityListItem; now: number; usual: Usual | undefined }) {
  if (item.status === 'QUEUED') return <span className="took" />;
  const end = isFinal(item.status) ? Date.parse(item.finished_at ?? item.updated_at) : now;
  const slow = usual !== undefined && (end - Date.parse(item.started_at ?? item.created_at)) / 1000 > usual.p95;
  const usually = usual && `Usually ${took(usual.p50)}; 95 % of the runs within ${took(usual.p95)}`;
  return <span className="took" data-slow={slow || undefined} title={usually}>{elapsed(item, now)}</span>;
}

/** The coloured words that say why a row is where it is. */
export function Reason({ item, now, asked }: { item: ActivityListItem; now: number; asked: Asked | undefined }) {
  const words = reasonOf(item, now, asked);
  return words ? <span className="why" title={words}>{words}</span> : null;
}

const sentence = (words: string[]): string => words.join(', ').replace(/^./, (c) => c.toUpperCase());

/** "Waits 12 min", "Stopping, 12 s left", "Stopping, 9 min left, silent for 2 min", "Silent for 4 min", "Forced, still writing"; '' where there is nothing to say. */
export function reasonOf(item: ActivityListItem, now: number, asked?: Asked): string {
  const state = displayState(item);
  const silent = () => `silent for ${duration((now - Date.parse(item.last_seen_at ?? item.updated_at)) / 1000)}`;
  const waits = () => (asked ? `waits ${duration(Math.max(0, now - Date.parse(asked.asked_at)) / 1000)}` : 'waits for you');
  const conditions = state === 'stopping' || state === 'canceled' ? conditionsOf(item, now) : [];
  switch (state) {
    case 'stopping':
      return sentence([conditions.find(({ kind }) => kind === 'stopping')!.text, ...(item.open_questions ? [waits()] : []), ...(item.stale ? [silent()] : [])]);
    case 'waiting':
      return sentence([waits()]);
    case 'stale':
      return sentence([silent()]);
    default:
      return sentence(conditions.map(({ kind }) => (kind === 'forced' ? 'forced' : 'still writing')));
  }
}
