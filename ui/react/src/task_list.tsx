import { memo, useCallback, useLayoutEffect, useMemo, useRef, useState } from 'react';
import type { ActivityListItem, ListFilter } from '@agentexec/client';
import { isFinal } from '@agentexec/client/state';
import { beginning, clean, headline } from '@agentexec/client/text';
import { useActivityList, useConnection } from './hooks.tsx';
import { classes, Elapsed, Liveness, ProgressBar, StatusBadge } from './parts.tsx';
import { useVirtual } from './virtual_items.ts';

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

/**
 * Activities in groups, RUNNING, QUEUED and finished, each with its progress and latest line. Only the rows near those in sight
 * are in the page. It scrolls where it is higher than `--agentexec-list-height`, by default the height of the window.
 */
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

function Tasks({ items = [], loading, empty = 'No activities yet.', ...props }: TaskListProps) {
  if (items.length) return <Groups items={items} {...props} />;
  return <p className={classes('agentexec ax-note', props.className)} aria-busy={Boolean(loading)}>{loading ? 'Loading …' : empty}</p>;
}

const HEADING = 38; // px of the heading of a group, until one is measured
const ROW = 46; // px of a row, until one is measured
const FIRST = 30; // rows and headings that are drawn where there is no layout, as on a server

interface Section {
  name: string;
  items: readonly ActivityListItem[];
  /** The index of its heading in the sequence of all headings and rows; its rows follow. */
  from: number;
}

function Groups({ items, onTaskClick, href, selectedAgentId, className }: TaskListProps & { items: readonly ActivityListItem[] }) {
  const box = useRef<HTMLDivElement>(null);
  const [heights, setHeights] = useState({ heading: HEADING, row: ROW });
  const [focused, setFocused] = useState<string | null>(null);
  const { sections, keys, version } = useSections(items);
  const sectionOf = (index: number) => sections.findLast(({ from }) => from <= index);
  const indexOf = (key: string | number) => keys.indexOf(String(key));
  const virtual = useVirtual({
    box, count: keys.length, indexOf, measured: true,
    keyOf: (index) => keys[index] ?? '',
    sizeOf: (index) => (sectionOf(index)?.from === index ? heights.heading : heights.row),
    version: `${version} ${heights.heading} ${heights.row}`,
    keep: focused === null ? -1 : indexOf(focused),
    groupOf: (index) => (sectionOf(index)?.from === index ? undefined : sectionOf(index)?.name),
  });
  const drawn = virtual.items.length ? virtual.items.map(({ index }) => index) : Array.from(keys.slice(0, FIRST), (_, index) => index);
  // An element that has no height is not laid out.
  const measure = useCallback((element: HTMLElement | null) => {
    if (!element || element.offsetHeight) virtual.measure(element);
  }, [virtual.measure]);

  // Most rows have the same height, so that of one is the estimate for the others.
  useLayoutEffect(() => {
    const heading = box.current!.querySelector<HTMLElement>('.ax-group')?.offsetHeight || heights.heading;
    const row = box.current!.querySelector<HTMLElement>('.ax-rows > li')?.offsetHeight || heights.row;
    if (heading !== heights.heading || row !== heights.row) setHeights({ heading, row });
  });

  // A row that changes its group is another element.
  useLayoutEffect(() => {
    if (focused === null || document.activeElement !== document.body) return;
    const index = indexOf(focused);
    if (index < 0) setFocused(null);
    else box.current!.querySelector<HTMLElement>(`li[data-index="${index}"] .ax-row`)?.focus({ preventScroll: true });
  });

  const plain = !onTaskClick && !href; // nothing in the box takes the focus
  return (
    <div
      className={classes('agentexec ax-list', className)} ref={box} onBlur={() => setFocused(null)}
      onFocus={(e) => setFocused(keys[Number(e.target.closest<HTMLElement>('.ax-rows > li')?.dataset['index'] ?? -1)] ?? null)}
      {...(plain && { tabIndex: 0, role: 'group', 'aria-label': 'Activities' })}
    >
      {sections.map(({ name, items: some, from }, n) => {
        const end = sections[n + 1]?.from;
        const height = (end === undefined ? virtual.size : virtual.startOf(end)) - virtual.startOf(from);
        return (
          <section key={name} aria-label={name} style={{ height }}>
            <h3 className="ax-group" data-index={from} ref={measure}>{name} <span className="ax-muted">{some.length}</span></h3>
            <ul className="ax-rows">
              {drawn.filter((index) => index > from && index <= from + some.length).map((index) => {
                const item = some[index - from - 1]!;
                return (
                  <Row
                    key={item.agent_id} item={item} selected={item.agent_id === selectedAgentId} onTaskClick={onTaskClick} href={href?.(item.agent_id)}
                    index={index} top={virtual.startOf(index) - virtual.startOf(from + 1)} place={index - from} of={some.length} measure={measure}
                  />
                );
              })}
            </ul>
          </section>
        );
      })}
    </div>
  );
}

/** The groups that have items, the keys of their headings and rows as one sequence, and a number that changes with the keys. */
function useSections(items: readonly ActivityListItem[]) {
  const version = useRef({ n: 0, keys: [] as string[] });
  return useMemo(() => {
    const sections: Section[] = [];
    const keys: string[] = [];
    for (const { name, holds } of groups) {
      const some = items.filter(holds);
      if (!some.length) continue;
      sections.push({ name, items: some, from: keys.length });
      keys.push('group ' + name);
      for (const { agent_id } of some) keys.push(agent_id);
    }
    const before = version.current;
    if (keys.length !== before.keys.length || keys.some((key, n) => key !== before.keys[n])) version.current = { n: before.n + 1, keys };
    return { sections, keys, version: version.current.n };
  }, [items]);
}

interface RowProps {
  item: ActivityListItem;
  selected: boolean;
  onTaskClick: TaskListProps['onTaskClick'];
  href: string | undefined;
  /** The place in the sequence of all headings and rows. */
  index: number;
  /** px below the heading of the group. */
  top: number;
  /** The place in the group, from 1 on. */
  place: number;
  of: number;
  measure: (element: HTMLElement | null) => void;
}

// An item is another object where it changed, so only rows that changed are rendered.
const Row = memo(function Row({ item, selected, onTaskClick, href, index, top, place, of, measure }: RowProps) {
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
    <li ref={measure} data-index={index} aria-posinset={place} aria-setsize={of} style={{ transform: `translateY(${top}px)` }}>
      {href !== undefined ? <a {...common} href={href} onClick={click}>{content}</a>
        : click ? <button {...common} type="button" onClick={click}>{content}</button>
        : <div {...common}>{content}</div>}
    </li>
  );
});
