import { memo, type ReactNode, useLayoutEffect, useRef, useState } from 'react';
import type { ActivityGap, ActivityLog } from '@agentexec/client';
import { isFinal } from '@agentexec/client/state';
import { beginning, clean } from '@agentexec/client/text';
import { useActivity, useConnection } from './hooks.tsx';
import { classes, Elapsed, Liveness, Message, ProgressBar, StatusBadge, Time } from './parts.tsx';

const SHOWN = 500; // lines at first, and so many more with each wish

export interface TaskDetailProps {
  agentId: string;
  /** Adds a button that closes it. */
  onClose?: (() => void) | undefined;
  /** More for the head, such as a button that cancels. */
  actions?: ReactNode;
  className?: string | undefined;
}

/** One activity: what it is, how far it is, and its log, which follows the newest line until the person scrolls up. */
export function TaskDetail({ agentId, onClose, actions, className }: TaskDetailProps) {
  const { activity, logs, earlier, gaps, loading, error } = useActivity(agentId);
  const { state, since, reason } = useConnection();
  return (
    <article className={classes('agentexec ax-detail', className)} aria-busy={loading}>
      <header className="ax-head">
        <h2 className="ax-type" dir="auto">{activity ? clean(beginning(activity.agent_type, 255)) : loading && !reason ? 'Loading …' : 'Nothing to show'}</h2>
        <span role="status">{activity && <StatusBadge status={activity.status} stale={activity.stale} />}</span>
        {activity && activity.attempt > 1 && <span className="ax-muted">Attempt {activity.attempt}</span>}
        {actions}
        {onClose && <button type="button" className="ax-close" onClick={onClose} aria-label="Close">×</button>}
      </header>
      {state === 'offline' && since && <p className="ax-note" role="status">Offline since {since.toLocaleTimeString()}{reason && `: ${clean(reason)}`}. It comes back by itself.</p>}
      {error && <p className="ax-note" role="alert">{error.code === 'not_found' ? (activity ? 'This activity was deleted.' : 'There is no such activity.') : clean(error.message)}</p>}
      {activity && (
        <>
          <Liveness activity={activity} className="ax-note" />
          <div className="ax-progress">
            <ProgressBar percentage={activity.latest_percentage} status={activity.status} stale={activity.stale} label={activity.agent_type} />
            <span className="ax-percent">{activity.latest_percentage === null ? '' : `${activity.latest_percentage}%`}</span>
          </div>
          <dl className="ax-facts">
            <div><dt>Created</dt><dd><Time iso={activity.created_at} /></dd></div>
            <div><dt>Started</dt><dd><Time iso={activity.started_at} /></dd></div>
            <div><dt>Finished</dt><dd><Time iso={activity.finished_at} /></dd></div>
            <div><dt>{isFinal(activity.status) ? 'Took' : activity.started_at ? 'Elapsed' : 'Waiting'}</dt><dd><Elapsed activity={activity} /></dd></div>
            <div><dt>Id</dt><dd><code>{activity.agent_id}</code></dd></div>
          </dl>
          <Log key={agentId} logs={logs} earlier={earlier} gaps={gaps} />
        </>
      )}
    </article>
  );
}

interface LogProps {
  logs: readonly ActivityLog[];
  earlier: number;
  gaps: readonly ActivityGap[];
}

function Log({ logs, earlier, gaps }: LogProps) {
  const box = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const [most, setMost] = useState(SHOWN);
  const first = Math.max(0, logs.length - most);
  useLayoutEffect(() => {
    if (following.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [logs]);
  const scrolled = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current!;
    following.current = scrollHeight - scrollTop - clientHeight < 8;
  };
  const reset = gaps.findLast((gap) => gap.reason === 'reset');
  return (
    <div className="ax-log" ref={box} onScroll={scrolled} role="log" aria-live="off" aria-label="Log" tabIndex={0}>
      {reset && <p className="ax-note">The database was set back: lines {reset.next_seq} to {reset.after_seq} were void.</p>}
      {first > 0 && (
        <button type="button" className="ax-more" onClick={() => setMost(most + SHOWN)}>
          Show {Math.min(first, SHOWN).toLocaleString()} earlier lines
        </button>
      )}
      {first === 0 && earlier > 0 && <p className="ax-note">{earlier.toLocaleString()} earlier lines are not shown here.</p>}
      <ol className="ax-lines">
        {logs.slice(first).map((line, n, shown) => {
          const before = n ? shown[n - 1] : logs[first - 1];
          const begins = (line.attempt ?? 1) !== (before?.attempt ?? 1);
          return <Line key={line.seq} line={line} changed={before?.status !== line.status} begins={begins} missing={before ? line.seq - before.seq - 1 : 0} />;
        })}
      </ol>
    </div>
  );
}

interface LineProps {
  line: ActivityLog;
  changed: boolean;
  /** Whether the line begins a new attempt. */
  begins: boolean;
  missing: number;
}

const Line = memo(function Line({ line, changed, begins, missing }: LineProps) {
  return (
    <>
      {missing > 0 && <li className="ax-note">{missing === 1 ? '1 line is' : `${missing.toLocaleString()} lines are`} no longer kept.</li>}
      {begins && <li className="ax-attempt"><h3>Attempt {line.attempt}</h3> <Time iso={line.created_at} /></li>}
      <li className="ax-line" data-seq={line.seq} data-status={line.status}>
        <Time iso={line.created_at} />
        {changed && <StatusBadge status={line.status} />}
        {line.percentage !== null && <span className="ax-percent">{line.percentage}%</span>}
        <div className="ax-text">
          <Message text={line.message} />
          {line.data !== null && <Data value={line.data} />}
        </div>
      </li>
    </>
  );
});

// Data is written out only where it is shown: it may be large.
function Data({ value }: { value: unknown }) {
  const [open, setOpen] = useState(false);
  return (
    <details className="ax-data" onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>Data</summary>
      {open && <pre><Message text={JSON.stringify(value, null, 2)} length={20_000} lines={500} /></pre>}
    </details>
  );
}
