import { memo } from 'react';
import type { ActivityListItem } from '@agentexec/client';
import { Elapsed, Liveness, ProgressBar, StatusBadge } from '@agentexec/react';
import { beginning, clean, conditionsOf } from '@agentexec/client/text';
import { go, pathOf } from './route.ts';

interface Props {
  item: ActivityListItem;
  /** px below the heading. */
  top: number;
  place: number;
  of: number;
  search: string;
  selected: boolean;
}

export const Row = memo(function Row({ item, top, place, of, search, selected }: Props) {
  const to = pathOf(item.agent_id, search);
  const type = clean(beginning(item.agent_type, 255));
  // If the activity was canceled without its worker, its last line repeats the condition.
  const said = conditionsOf(item, 0).at(-1)?.kind === 'forced';
  return (
    <div role="listitem" className="place" aria-posinset={place} aria-setsize={of} style={{ transform: `translateY(${top}px)` }}>
      <a
        className="row" href={to} data-id={item.agent_id} data-status={item.status} aria-current={selected || undefined}
        onClick={(e) => {
          if (e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
          e.preventDefault();
          go(to);
        }}
      >
        <StatusBadge status={item.status} stale={item.stale} />
        <span className="type" dir="auto">{type}</span>
        <Elapsed activity={item} />
        <span className="words">
          <Liveness activity={item} />
          <span className="latest" dir="auto">{said ? '' : clean(beginning(item.latest_log ?? '', 300, 1))}</span>
        </span>
        <span className="percent">{item.latest_percentage === null ? '' : `${item.latest_percentage}%`}</span>
        <ProgressBar percentage={item.latest_percentage} status={item.status} stale={item.stale} label={type} />
      </a>
    </div>
  );
});
