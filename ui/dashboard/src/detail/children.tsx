import { useEffect, useMemo, useRef } from 'react';
import type { ActivityListItem, Client } from '@agentexec/client';
import { Observable, StateIcon, useClient, useNow, useSnapshot, useVirtual } from '@agentexec/react';
import { beginning, clean, displayState, headline } from '@agentexec/client/text';
import { Reason, Took } from '../list/age.tsx';
import { type Asked, useAsked } from '../list/asked.ts';
import { branchesOf, expanded } from '../list/branches.ts';
import { ChildList, MOST } from '../list/child_list.ts';
import { Guides, indentOf } from '../list/guides.tsx';
import { type Entry, entryAt, indexesBelow, indexOfItem, lengthOf, placed, TITLES } from '../list/list_layout.ts';
import { follow, Twisty } from '../list/list_row.tsx';
import { noFilter, searchOf } from '../list/query.ts';
import { TreeModel } from '../list/tree_model.ts';
import { unfold, useUnfolded } from '../list/unfolded.ts';
import { grouped } from '../numbers.ts';
import { pathOf } from '../route.ts';
import { type Usual, useUsual } from '../usual.ts';
import { useRowKeys } from './row_keys.ts';

const FIRST = 200; // children that are read at first
const SPARE = 8; // rows drawn above and below those in sight
const [ROW, PHONE] = [36, 60]; // px

/** The direct children, as one list that changes by itself. */
class ChildrenModel extends Observable<{ list: ChildList; version: number }> {
  #list: ChildList;

  constructor(client: Client, id: string) {
    super(0);
    this.#list = new ChildList(client, id, noFilter, () => this.changed(), FIRST);
  }

  protected override start = (): void => this.#list.start();
  protected override stop = (): void => this.#list.stop();
  protected read = () => ({ list: this.#list, version: this.#list.version });
}

interface Props {
  id: string;
  search: string;
  /** The window is narrow: two lines a row. */
  short: boolean;
}

/** The direct children of an activity, live, and below those that are unfolded theirs. Only rows in sight are in the page. */
export function Children({ id, search, short }: Props) {
  const client = useClient();
  const model = useMemo(() => new ChildrenModel(client, id), [client, id]);
  const tree = useMemo(() => new TreeModel(client, noFilter), [client, id]);
  const { list, version } = useSnapshot(model);
  const box = useRef<HTMLDivElement>(null);
  const { sections, unfolded, shape } = useRows(list, tree);
  const height = short ? PHONE : ROW;
  const below = indexesBelow(sections);
  const indexOf = (key: string) => (key.includes('/') ? (below.get(key) ?? 0) : sections[0] ? indexOfItem(sections[0], list.items.index(key)) : 0) - 1;
  const rowAt = (index: number) => entryAt(sections, index + 1); // the sequence begins with a heading
  const count = Math.max(0, lengthOf(sections) - 1);
  const { focused, ...keys } = useRowKeys({ box, count, rowAt, indexOf, unfolded, scrollTo: (index) => virtual.scrollTo(index) });
  const titles = short ? 0 : TITLES;
  const virtual = useVirtual({
    box, count, margin: titles, covered: titles, indexOf: (key) => indexOf(String(key)), spare: SPARE, keyOf: (index) => rowAt(index)!.key, sizeOf: () => height, version: `${version} ${shape} ${height}`,
    keep: focused === null ? -1 : indexOf(focused),
  });
  const near = (virtual.items.at(-1)?.index ?? -1) >= count - 2 * SPARE;
  const missing = (list.total ?? 0) - list.items.all.length;
  useEffect(() => {
    if (near && missing > 0 && list.counts) list.more();
  }, [near, missing, list]);
  const now = useNow();
  const usual = useUsual();
  const rows = virtual.items.map(({ index, start }) => ({ start, entry: rowAt(index)! }));
  const asked = useAsked(rows.flatMap(({ entry }) => entry.item ?? []));
  const all = pathOf(null, searchOf({ ...noFilter, parent: id }));
  return (
    <div className="children-tab" ref={box} {...keys}>
      {list.problem && <p className="note problem" role="alert">The children cannot be read: {clean(list.problem)}. It is tried again every 5 seconds.</p>}
      {!list.counts && !list.problem && <p className="note" role="status">Loading children …</p>}
      {!short && <div className="child-titles" aria-hidden="true"><span /><span>Type</span><span>Latest line</span><span>Progress</span><span>Attempt</span><span>Took</span></div>}
      <div role="treegrid" aria-label="Children" className="child-rows" style={{ height: virtual.size }} hidden={!count}>
        {rows.map(({ start, entry }) => (
          <ChildRow key={entry.key} entry={entry} top={start - titles} search={search} short={short} open={entry.item && expanded(entry.item, unfolded)} now={now} usual={usual.get(entry.item?.agent_type ?? '')} asked={asked.get(entry.item?.agent_id ?? '')} onMore={() => tree.get().listOf(entry.parent!)?.more()} />
        ))}
      </div>
      {list.full && missing > 0 && <p className="note">The first {grouped(MOST)}. <a href={all} onClick={(e) => follow(e, all)}>Open all {grouped(list.total ?? 0)} as a list</a></p>}
    </div>
  );
}

// useRows are the children, and what is below those that are unfolded.
function useRows(list: ChildList, tree: TreeModel) {
  const { version, listOf } = useSnapshot(tree);
  const unfolded = useUnfolded();
  const needed = new Set<string>();
  const group = { group: 'running' as const, items: list.items.all, count: list.total ?? 0, open: false };
  const find = (id: string) => (list.items.get(id) ? { group: group.group, index: list.items.index(id) } : undefined);
  const [branches] = branchesOf([group], find, { unfolded, listOf, needed });
  const sections = placed([{ ...group, branches: branches! }], new Set());
  const watched = [...needed].join();
  useEffect(() => tree.watch(needed), [tree, watched]);
  return { sections, unfolded, shape: `${version} ${branches!.map(({ at, rows }) => `${at}:${rows.length}`)}` };
}

interface RowProps {
  entry: Entry;
  top: number;
  search: string;
  short: boolean;
  open: boolean | undefined;
  now: number;
  usual: Usual | undefined;
  asked: Asked | undefined;
  onMore: () => void;
}

function ChildRow({ entry, top, ...props }: RowProps) {
  const { level, guide, place, of, item, key, rest, missing = 0, problem } = entry;
  return (
    <div role="row" className="child" aria-level={level} aria-expanded={props.open} aria-posinset={place} aria-setsize={of} data-child={key} data-short={props.short || undefined} data-st={item && displayState(item)} style={{ transform: `translateY(${top}px)` }}>
      <Guides guide={guide} />
      {item ? <Cells item={item} level={level} {...props} /> : (
        <span role="gridcell" className="child-rest" style={{ paddingInlineStart: indentOf(level) }}>
          {rest === 'loading' ? 'Loading children …' : rest === 'problem' ? `The children cannot be read: ${clean(problem ?? '')}.` : <>{grouped(missing)} more <button type="button" className="ax-button small" onClick={props.onMore}>Show more</button></>}
        </span>
      )}
    </div>
  );
}

function Cells({ item, level, search, short, open, now, usual, asked }: Omit<RowProps, 'entry' | 'top' | 'onMore'> & { item: ActivityListItem; level: number }) {
  const { agent_id: id, attempt, children } = item;
  const state = displayState(item);
  const to = pathOf(id, search);
  const type = clean(beginning(item.agent_type, 255));
  const latest = state === 'waiting' && asked ? headline(asked.prompt) : headline(item.latest_log ?? '');
  const percentage = item.latest_percentage || (children?.percentage ?? item.latest_percentage);
  const bar = percentage !== null && state !== 'queued' && state !== 'complete' && state !== 'canceled';
  const indent = level > 1 ? { paddingInlineStart: indentOf(level) } : undefined;
  return (
    <>
      <span role="gridcell" className="cell"><StateIcon state={state} /></span>
      <span role="gridcell" className="name" style={indent}>
        <a className="type ax-clip" href={to} dir="auto" title={type} onClick={(e) => follow(e, to)}>{type}</a>
        {children && open !== undefined && <Twisty of={children} open={open} onClick={() => unfold(id, !open)} />}
      </span>
      <span role="gridcell" className="latest" style={short ? indent : undefined}><Reason item={item} now={now} asked={asked} /><span className="said ax-clip" dir="auto" title={latest || undefined}>{latest}</span></span>
      <span role="gridcell" className="percent">{bar && <><svg className="ax-meter" aria-hidden="true"><rect width={`${percentage}%`} height="100%" /></svg><span>{percentage}%</span></>}</span>
      {!short && <span role="gridcell" className="attempt" title={attempt > 1 ? `Attempt ${attempt}` : undefined}>{attempt > 1 ? `×${attempt}` : ''}</span>}
      <span role="gridcell" className="cell"><Took item={item} now={now} usual={usual} /></span>
    </>
  );
}
