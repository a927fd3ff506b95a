import type { Counts, RangeStats } from '@agentexec/client';
import { StateIcon, useNow } from '@agentexec/react';
import { type DisplayState, duration } from '@agentexec/client/text';
import { Link } from '../frame/top.tsx';
import { grouped } from '../numbers.ts';
import { pathOf } from '../route.ts';
import { type Range, ranges } from './range.ts';

interface Figure {
  state: DisplayState;
  label: string;
  value: number | undefined;
  /** Beside the value. */
  more?: string | undefined;
  /** The list that it counts. */
  query: string;
  /** Whether it needs a person. */
  hot?: boolean;
}

interface Props {
  counts: Counts | undefined;
  /** The number of activities with an open question. */
  waiting: number | undefined;
  /** When the oldest open question was asked. */
  oldestAsked: string | undefined;
  stats: RangeStats | undefined;
  range: Range;
}

/** How many activities there are in each state, each a link to them. */
export function Figures({ counts, waiting, oldestAsked, stats, range }: Props) {
  const now = useNow();
  const { label } = ranges[range];
  const age = (iso: string | null | undefined, before = '') => (iso ? before + duration((now - Date.parse(iso)) / 1000) : undefined);
  const messages = stats?.failures.length ?? 0;
  const figures: Figure[] = [
    { state: 'waiting', label: 'Waiting', value: waiting, more: age(oldestAsked, 'oldest '), query: '?waiting=true', hot: true },
    { state: 'stale', label: 'Stale', value: counts?.stale ?? (counts && 0), more: age(stats?.oldest_stale_at), query: '?stale=true', hot: true },
    { state: 'error', label: `Failed, ${label}`, value: stats?.ended.error, more: messages ? `${messages} ${messages === 1 ? 'message' : 'messages'}` : undefined, query: `?status=ERROR&since=${range}`, hot: true },
    { state: 'stopping', label: 'Stopping', value: stats?.stopping, query: '?stopping=true' },
    { state: 'running', label: 'Running', value: counts?.RUNNING, query: '?status=RUNNING' },
    { state: 'queued', label: 'Queued', value: counts?.QUEUED, more: age(stats?.oldest_queued_at, 'oldest '), query: '?status=QUEUED' },
    { state: 'complete', label: `Complete, ${label}`, value: stats?.ended.complete, query: `?status=COMPLETE&since=${range}` },
    { state: 'canceled', label: `Canceled, ${label}`, value: stats?.ended.canceled, query: `?status=CANCELED&since=${range}` },
  ];
  return (
    <section className="ax-panel figures" aria-label="Counts">
      {figures.map(({ state, label, value, more, query, hot }) => (
        <Link key={state} to={pathOf(null, query)} data-st={state} className={hot && value ? 'hot' : undefined}>
          <span className="k"><StateIcon state={state} label="" />{label}</span>
          <span className="v" data-figure={state}>{value === undefined ? '–' : grouped(value)} {Boolean(value) && more && <small>{more}</small>}</span>
        </Link>
      ))}
    </section>
  );
}
