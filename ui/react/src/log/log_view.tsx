import { useMemo } from 'react';
import { isFinal } from '@agentexec/client/state';
import { Icon } from '../icons.tsx';
import { classes } from '../parts.tsx';
import { AttemptDivider, LogRow } from './log_row.tsx';
import { type LogHandle, type LogView as View, useLogView } from './log_handle.ts';
import { attemptAt } from './outline.ts';
import { useScroller } from './scroller.ts';

export interface LogViewProps {
  /** From `useLog`. */
  log: LogHandle;
  /** Is called when a person chooses a line by its number. Default: the address gets #L and the number. */
  onLink?: ((seq: number) => void) | undefined;
  className?: string | undefined;
}

/**
 * The lines of a log. It follows the newest line until the person scrolls up; from then on nothing moves what is read, and
 * new lines are counted. What is scrolled to is read when it is needed.
 */
export function LogView({ log: handle, onLink, className }: LogViewProps) {
  const chosen = useMemo(() => onLink ?? linkIn(handle), [handle, onLink]);
  const view = useLogView(handle);
  const { rows, log, sought, current, linked, wrap, following } = view;
  const { activity, attempts } = log;
  const scroller = useScroller(handle, view);
  const opened = useMemo(() => new Set<number>(), [handle]);
  const several = (activity?.attempt ?? 1) > 1;
  const begins = useMemo(() => new Map(several ? attempts.map((a) => [a.seq, a]) : []), [attempts, several]);
  const live = activity !== undefined && !isFinal(activity.status);
  const { first, last, unseen } = scroller;
  const drawn = Array.from({ length: Math.max(0, last - first) }, (_, n) => ({ index: first + n, row: rows.at(first + n)! }));
  return (
    <div className={classes('ax-logbox', className)}>
      <div className="ax-log" ref={scroller.box} role="log" aria-live="off" aria-label="Log lines" aria-busy={log.loading} tabIndex={0} data-wrap={wrap || undefined}>
        {!rows.length && <p className="ax-note">{emptyOf(view)}</p>}
        <div
          className="ax-lines" ref={scroller.list} style={{ height: scroller.size }}
          onClick={(e) => (e.target as HTMLElement).closest('summary, .ax-more, .ax-data') && scroller.hold()}
        >
          {drawn.map(({ index, row }) => {
            const line = row.note ? undefined : handle.store.line(row.seq);
            return (
              <LogRow
                key={row.note ? `note ${row.seq}` : row.seq} row={row} line={line} store={handle.store} index={index} top={scroller.topOf(index)} sought={sought}
                current={current === row.seq} linked={linked === row.seq} begins={row.note ? undefined : begins.get(row.seq)}
                canceled={line && activity?.cancel?.seq === row.seq ? activity.cancel : undefined}
                late={line !== undefined && line.trailing && !handle.store.line(row.seq - 1)?.trailing && view.filtered === undefined}
                opened={opened} sizes={scroller.sizes} onLink={chosen}
              />
            );
          })}
        </div>
      </div>
      {several && <Sticky view={view} top={scroller.top()} />}
      {log.unread && <p className="ax-log-unread" role="status">Some lines could not be read. Scroll to try again.</p>}
      {(live || unseen > 0) && (
        <div className="ax-log-end">
          {unseen > 0 && <button type="button" className="ax-button ax-newer" onClick={() => scroller.follow(true)}>↓ {unseen.toLocaleString()} new {unseen === 1 ? 'line' : 'lines'}</button>}
          {live && <button type="button" className="ax-button ax-follow" aria-pressed={following} onClick={() => scroller.follow(!following)}><Icon name="end" />Follow</button>}
        </div>
      )}
    </div>
  );
}

const linkIn = (handle: LogHandle) => (seq: number) => {
  history.replaceState(history.state, '', `#L${seq}`);
  handle.link(seq);
};

function emptyOf({ log, filtered }: View): string {
  if (filtered) return filtered.done ? 'No line matches.' : 'Searching …';
  return log.activity && log.activity.last_seq > log.last ? 'Reading the log …' : 'No lines yet.';
}

// The attempt of the first row in sight, where its own divider is not in sight.
function Sticky({ view: { rows, log: { attempts } }, top: { index, by } }: { view: View; top: { index: number; by: number } }) {
  const row = rows.at(index);
  const attempt = row && attemptAt(attempts, row.seq);
  if (!attempt || (attempt.seq === row.seq && by < 4)) return null;
  return <div className="ax-log-sticky"><AttemptDivider attempt={attempt} /></div>;
}
