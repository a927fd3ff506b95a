import { memo } from 'react';
import type { ActivityListItem, ListFilter } from '@agentexec/client';
import { isFinal } from '@agentexec/client/state';
import { beginning, clean, headline } from '@agentexec/client/text';
import { useActivityList, useConnection } from './hooks.tsx';
import { classes, Elapsed, Liveness, ProgressBar, StatusBadge } from './parts.tsx';

export interface TaskListProps {
  /** Which activities to show, live. */
  filter?: ListFilter | undefined;
  /** The activities to show, in place of a live list. */
  items?: readonly ActivityListItem[] | undefined;
  /** With `items`: they are on their way. */
  loading?: boolean | undefined;
  /** Makes the rows buttons. */
  onTaskClick?: ((agentId: string) => void) | undefined;
  /** Makes the rows links. */
  href?: ((agentId: string) => string) | undefined;
  selectedAgentId?: string | null | undefined;
  /** The text of an empty list. */
  empty?: string | undefined;
  className?: string | undefined;
}

/** Activities in groups, RUNNING, QUEUED and finished, each with its progress and latest line. */
export function TaskList({ items, filter, ...props }: TaskListProps) {
  return items ? <Tasks items={items} {...props} /> : <LiveTasks filter={filter} {...props} />;
}

function LiveTasks({ filter, ...props }: TaskListProps) {
  const { items, loading, error } = useActivityList(filter);
  const { reason } = useConnection();
  if (error) return <p className={classes('agentexec ax-note', props.className)} role="alert">The list cannot be shown: {clean(error.message)}</p>;
  if (loading && reason) return <p className={classes('agentexec ax-note', props.className)} role="alert">The list cannot be shown yet: {clean(reason)}</p>;
  return <Tasks {...props} items={items} loading={loading} />;
}

const groups = [
  { name: 'Running', holds: (i: ActivityListItem) => i.status === 'RUNNING' },
  { name: 'Queued', holds: (i: ActivityListItem) => i.status === 'QUEUED' },
  { name: 'Finished', holds: (i: ActivityListItem) => isFinal(i.status) },
];

function Tasks({ items = [], loading, onTaskClick, href, selectedAgentId, empty = 'No activities yet.', className }: TaskListProps) {
  if (!items.length) {
    return <p className={classes('agentexec ax-note', className)} aria-busy={Boolean(loading)}>{loading ? 'Loading …' : empty}</p>;
  }
  return (
    <div className={classes('agentexec ax-list', className)}>
      {groups.map(({ name, holds }) => {
        const some = items.filter(holds);
        return some.length > 0 && (
          <section key={name} aria-label={name}>
            <h3 className="ax-group">{name} <span className="ax-muted">{some.length}</span></h3>
            <ul className="ax-rows">
              {some.map((item) => (
                <Row
                  key={item.agent_id} item={item} selected={item.agent_id === selectedAgentId}
                  onTaskClick={onTaskClick} href={href?.(item.agent_id)}
                />
              ))}
            </ul>
          </section>
        );
      })}
    </div>
  );
}

interface RowProps {
  item: ActivityListItem;
  selected: boolean;
  onTaskClick: TaskListProps['onTaskClick'];
  href: string | undefined;
}

// An item is another object where it changed, so only rows that changed are rendered.
const Row = memo(function Row({ item, selected, onTaskClick, href }: RowProps) {
  const type = clean(beginning(item.agent_type, 255));
  const content = (
    <>
      <span className="ax-type" dir="auto">{type}</span>
      <StatusBadge status={item.status} stale={item.stale} />
      <span className="ax-said">
        <Liveness activity={item} />
        <span className="ax-latest" dir="auto">{headline(item.latest_log ?? '', 200)}</span>
      </span>
      <span className="ax-percent">{item.latest_percentage === null ? '' : `${item.latest_percentage}%`}</span>
      <Elapsed activity={item} />
      <ProgressBar percentage={item.latest_percentage} status={item.status} stale={item.stale} label={type} />
    </>
  );
  const common = { className: 'ax-row', 'aria-current': selected || undefined, 'data-status': item.status };
  const click = onTaskClick && (() => onTaskClick(item.agent_id));
  return (
    <li>
      {href !== undefined ? <a {...common} href={href} onClick={click}>{content}</a>
        : click ? <button {...common} type="button" onClick={click}>{content}</button>
        : <div {...common}>{content}</div>}
    </li>
  );
});
