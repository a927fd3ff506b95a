import { memo } from 'react';
import type { ActivityListItem, Children, Json } from '@agentexec/client';
import { Icon, StateIcon } from '@agentexec/react';
import { beginning, clean, displayState, headline } from '@agentexec/client/text';
import { Ago, Reason, Took } from './age.tsx';
import type { Asked } from './asked.ts';
import { Guides, indentOf } from './guides.tsx';
import { grouped } from '../numbers.ts';
import { type Filter, searchOf, textOfValue } from './query.ts';
import { go, pathOf } from '../route.ts';
import type { Usual } from '../usual.ts';

const CHIPS = 2;

interface Props {
  /** The key of the row: see list_layout.ts. */
  id: string;
  item: ActivityListItem;
  level: number;
  guide: string;
  /** px below the heading of the group. */
  top: number;
  place: number;
  of: number;
  search: string;
  /** It is the activity that is open. */
  current: boolean;
  /** Whether its children are shown; undefined where it has none. */
  expanded: boolean | undefined;
  onUnfold: (id: string, open: boolean) => void;
  /** Whether it is selected; undefined where nothing can be. */
  selected: boolean | undefined;
  /** There is little room: two lines. */
  short: boolean;
  /** There is very little room, beside an activity. */
  beside: boolean;
  filter: Filter;
  /** The time of the database in milliseconds; it changes once a second. */
  now: number;
  /** How long runs of its type take. */
  usual: Usual | undefined;
  /** What it asks, where that is known. */
  asked: Asked | undefined;
  /** Metadata that is not shown: that of the row above. */
  inherited: ActivityListItem['metadata'] | undefined;
  /** The type of its parent, where the row is not below it. */
  within: string | null | undefined;
  /** Selects it, or with `range` all from the last one on. */
  select: (id: string, range: boolean) => void;
}

/** Follows a link within the page, unless it is to open elsewhere. */
export function follow(e: React.MouseEvent<HTMLAnchorElement>, to: string): void {
  if (e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
  e.preventDefault();
  go(to);
}

export const Row = memo(function Row({
  id: key, item, level, guide, top, place, of, search, current, expanded, onUnfold, selected, short, beside, filter, now, usual, asked, inherited, within, select,
}: Props) {
  const { agent_id: id, attempt, children } = item;
  const percentage = item.latest_percentage || (children?.percentage ?? item.latest_percentage); // one that reports nothing of its own shows that of its children
  const to = pathOf(id, search);
  const type = clean(beginning(item.agent_type, 255));
  const state = displayState(item);
  const question = state === 'waiting' && asked ? headline(asked.prompt) : '';
  const latest = question || headline(item.latest_log ?? '');
  const bar = percentage !== null && state !== 'queued' && state !== 'complete' && state !== 'canceled';
  // The box shows what is selected, also where a click changes nothing.
  const choose = (e: React.MouseEvent<HTMLInputElement>) => {
    e.currentTarget.checked = selected ?? false;
    select(id, e.shiftKey);
  };
  // Where an activity was canceled without its worker, its last line repeats that.
  const forced = state === 'canceled' && item.cancel?.forced && item.updated_at === item.finished_at;
  const indent = level > 1 ? { paddingInlineStart: indentOf(level) } : undefined;
  return (
    <div role="row" className="place" aria-level={level} aria-expanded={expanded} aria-posinset={place} aria-setsize={of} style={{ transform: `translateY(${top}px)` }}>
      <div
        className="row" data-id={id} data-key={key} data-level={level} data-st={state} data-selected={selected || undefined} data-current={current || undefined} data-bare={!bar || undefined}
        data-parent={expanded !== undefined || undefined}
      >
        <Guides guide={guide} />
        {selected !== undefined && (
          <span role="gridcell" className="cell">
            <label className="check">
              <input type="checkbox" className="ax-check" aria-label={`Select ${type}`} checked={selected} readOnly onClick={choose} />
            </label>
          </span>
        )}
        <span role="gridcell" className="cell"><StateIcon state={state} /></span>
        <span role="gridcell" className="cell">
          <a className="type ax-clip" href={to} dir="auto" title={type} aria-current={current || undefined} style={indent} onClick={(e) => follow(e, to)}>{type}</a>
        </span>
        <span role="gridcell" className="latest" style={short ? indent : undefined}>
          <Reason item={item} now={now} asked={asked} />
          {within && <span className="within ax-clip" title={`A child of ${clean(within)}`}>in {clean(beginning(within, 60, 1))}</span>}
          <span className="said ax-clip" dir="auto" title={latest ? (question && 'Asks: ') + latest : undefined}>{forced ? '' : latest}</span>
        </span>
        {!short && (item.metadata ? <Chips metadata={item.metadata} inherited={inherited} filter={filter} /> : <span role="gridcell" className="chips" />)}
        <span role="gridcell" className="children">{children && expanded !== undefined && <Twisty of={children} open={expanded} onClick={() => onUnfold(id, !expanded)} />}</span>
        <span role="gridcell" className="percent">
          {bar && <svg className="ax-meter" aria-hidden="true"><rect width={`${percentage}%`} height="100%" /></svg>}
          {bar && <span>{percentage}%</span>}
        </span>
        {!short && <span role="gridcell" className="attempt" title={attempt > 1 ? `Attempt ${attempt}` : undefined}>{attempt > 1 ? `×${attempt}` : ''}</span>}
        {!short && <span role="gridcell" className="cell"><Took item={item} now={now} usual={usual} /></span>}
        <span role="gridcell" className="cell"><Ago iso={item.started_at ?? item.created_at} now={now} short={beside} /></span>
      </div>
    </div>
  );
});

/** The number of children, which unfolds and folds them. */
export function Twisty({ of, open, onClick }: { of: Children; open: boolean; onClick: () => void }) {
  const words = childrenInWords(of);
  return (
    <button type="button" className="twisty" aria-label={words} title={words} aria-expanded={open} onClick={onClick}>
      <Icon name={open ? 'down' : 'right'} />{grouped(of.total)}
    </button>
  );
}

/** The children of an activity: "6 children: 2 running, 3 complete, 1 failed; 58 %". */
export function childrenInWords({ total, queued, running, complete, error, canceled, percentage }: Children): string {
  const parts = ([[queued, 'queued'], [running, 'running'], [error, 'failed'], [canceled, 'canceled'], [complete, 'complete']] as const).filter(([n]) => n).map(([n, word]) => `${grouped(n)} ${word}`);
  return `${grouped(total)} ${total === 1 ? 'child' : 'children'}: ${parts.join(', ')}; ${percentage} %`;
}

// The metadata of an item is the same object until the item changes.
const Chips = memo(function Chips({ metadata, inherited, filter }: { metadata: Record<string, Json>; inherited: ActivityListItem['metadata'] | undefined; filter: Filter }) {
  const all = Object.entries(metadata).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(inherited?.[key]));
  const plain = all.filter(([, value]) => typeof value !== 'object' || value === null).slice(0, CHIPS);
  const rest = all.filter(([key]) => !plain.some(([shown]) => shown === key));
  return (
    <span role="gridcell" className="chips">
      {plain.map(([key, value]) => <Chip key={key} name={key} value={value} filter={filter} />)}
      {rest.length > 0 && <span className="chips-more" title={clean(rest.map(([key, value]) => `${key}=${beginning(textOfValue(value), 100, 1)}`).join('\n'))}>+{rest.length}</span>}
    </span>
  );
});

function Chip({ name, value, filter }: { name: string; value: Json; filter: Filter }) {
  const text = textOfValue(value);
  const to = pathOf(null, searchOf({ ...filter, metadata: { ...filter.metadata, [name]: text } }));
  const shown = clean(beginning(typeof value === 'string' ? value : text, 60, 1));
  return (
    <a className="ax-chip" href={to} title={`Only with ${clean(name)}=${shown}`} onClick={(e) => follow(e, to)}>
      <b><bdi>{clean(beginning(name, 40, 1))}</bdi></b><bdi className="ax-clip">{shown}</bdi>
    </a>
  );
}
