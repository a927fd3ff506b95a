import { Fragment, type ReactNode, useState } from 'react';
import type { Activity, ActivityState, ListFilter, Status } from '@agentexec/client';
import { isFinal } from '@agentexec/client/state';
import { beginning, clean, conditionsOf, elapsed, statusNames } from '@agentexec/client/text';
import { useNow } from './clock.ts';
import { useConnection, useCounts } from './hooks.tsx';

/** A class of ours and those that were given. */
export const classes = (...names: (string | false | undefined)[]) => names.filter(Boolean).join(' ');

export interface StatusBadgeProps {
  status: Status;
  /** Whether the activity is stale. It does not look live then. */
  stale?: boolean | undefined;
  className?: string | undefined;
}

/** A status as a word with a colour. */
export function StatusBadge({ status, stale, className }: StatusBadgeProps) {
  return (
    <span className={classes('ax-badge', className)} data-status={status} data-stale={stale || undefined}>
      {statusNames[status] ?? status}
    </span>
  );
}

export interface ProgressBarProps {
  /** 0 to 100; null while it is unknown. */
  percentage: number | null | undefined;
  status?: Status | undefined;
  /** Whether the activity is stale. It does not look live then. */
  stale?: boolean | undefined;
  /** The accessible name of the bar. Default "Progress". */
  label?: string | undefined;
  className?: string | undefined;
}

/** How far something is. */
export function ProgressBar({ percentage, status, stale, label = 'Progress', className }: ProgressBarProps) {
  const known = typeof percentage === 'number' ? Math.min(100, Math.max(0, percentage)) : null;
  return (
    <div
      className={classes('ax-bar', className)} role="progressbar" data-status={status} data-indeterminate={known === null || undefined} data-stale={stale || undefined}
      aria-label={clean(label)} aria-valuemin={0} aria-valuemax={100} aria-valuenow={known ?? undefined}
    >
      <div className="ax-bar-fill" style={{ transform: `scaleX(${(known ?? 0) / 100})` }} />
    </div>
  );
}

export interface ActiveAgentsBadgeProps extends Pick<ListFilter, 'agentType' | 'metadata'> {
  /** The number to show; without it, the live number of QUEUED and RUNNING activities. */
  count?: number | undefined;
  className?: string | undefined;
}

/** How many agents are at work or waiting. */
export function ActiveAgentsBadge({ count, ...props }: ActiveAgentsBadgeProps) {
  return count === undefined ? <LiveBadge {...props} /> : <CountBadge count={count} className={props.className} />;
}

function LiveBadge({ agentType, metadata, className }: Omit<ActiveAgentsBadgeProps, 'count'>) {
  const { active } = useCounts({ agentType, metadata });
  const { reason } = useConnection();
  return <CountBadge count={active} className={className} title={reason} />;
}

function CountBadge({ count, className, title = '' }: { count: number | undefined; className: string | undefined; title?: string }) {
  return (
    <span className={classes('ax-active', className)} data-active={Boolean(count)} role="status" title={clean(title) || undefined}>
      {count === undefined ? '– active' : `${count.toLocaleString()} active`}
    </span>
  );
}

export interface LivenessProps {
  activity: ActivityState;
  className?: string | undefined;
}

/**
 * The conditions of an activity (see `conditionsOf` of the client): stale, stopping with the time that is left, forced, trailing.
 * It shows nothing without a condition.
 */
export function Liveness({ activity, className }: LivenessProps) {
  if (!conditionsOf(activity, 0).length) return null;
  return isFinal(activity.status) ? <Conditions activity={activity} className={className} now={0} /> : <TickingConditions activity={activity} className={className} />;
}

const TickingConditions = (props: LivenessProps) => <Conditions {...props} now={useNow()} />;

function Conditions({ activity, className, now }: LivenessProps & { now: number }) {
  return (
    <span className={classes('ax-conditions', className)}>
      {conditionsOf(activity, now).map(({ kind, text }) => <span key={kind} className="ax-condition" data-kind={kind}>{text}</span>)}
    </span>
  );
}

/** How long an activity has been at work, ticking, or took. */
export function Elapsed({ activity }: { activity: Activity }) {
  return <span className="ax-elapsed">{isFinal(activity.status) ? elapsed(activity) : <Ticking activity={activity} />}</span>;
}

const Ticking = ({ activity }: { activity: Activity }) => elapsed(activity, useNow());

// Made when first needed: that takes tens of milliseconds, which a page would wait for as it loads.
const formatter = (options: Intl.DateTimeFormatOptions) => {
  let made: Intl.DateTimeFormat | undefined;
  return (date: Date) => (made ??= new Intl.DateTimeFormat(undefined, options)).format(date);
};
const clock = formatter({ timeStyle: 'medium' });
const calendar = formatter({ dateStyle: 'medium', timeStyle: 'medium' });

/** A point in time, with the day where that is not today. */
export function Time({ iso, children = '–' }: { iso: string | null; children?: ReactNode }) {
  if (!iso) return <>{children}</>;
  const date = new Date(iso);
  const today = date.toDateString() === new Date().toDateString();
  return (
    <time dateTime={iso} title={iso}>
      {(today ? clock : calendar)(date)}
    </time>
  );
}

export interface MessageProps {
  text: string;
  /** The most characters and lines shown at first. Default 600 and 12. */
  length?: number | undefined;
  lines?: number | undefined;
}

/** Text from anywhere: as text, its control characters visible, its direction its own, and of a long one the beginning. */
export function Message({ text, length = 600, lines = 12 }: MessageProps) {
  const [open, setOpen] = useState(false);
  const short = beginning(text, length, lines);
  const folded = short.length < text.length;
  return (
    <Fragment>
      <span className="ax-message" dir="auto">
        {folded && !open ? clean(short) + ' …' : clean(text)}
      </span>
      {folded && (
        <button type="button" className="ax-more" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? 'Show less' : `Show all ${text.length.toLocaleString()} characters`}
        </button>
      )}
    </Fragment>
  );
}
