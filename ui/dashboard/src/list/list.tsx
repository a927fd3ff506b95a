import { type RefObject, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { useNow, useSnapshot, useVirtual, type Virtual } from '@agentexec/react';
import { useAsked } from './asked.ts';
import { firstShown, useFirstShown } from '../first.ts';
import { branchesOf, expanded } from './branches.ts';
import { GroupHead } from './group_head.tsx';
import type { Group } from './groups.ts';
import { entryAt, HEAD, indexesBelow, indexOfItem, itemAt, lengthOf, newerThan, newest, placed, type Section, sectionAt, shown, TITLES } from './list_layout.ts';
import { ListFooter } from './list_footer.tsx';
import { ListHead } from './list_head.tsx';
import type { ListModel, Rows } from './list_model.ts';
import { Row } from './list_row.tsx';
import { grouped } from '../numbers.ts';
import { useParents } from './parents.ts';
import type { Filter } from './query.ts';
import { RestRow } from './rest_row.tsx';
import type { Selection } from './selection.ts';
import type { TreeModel } from './tree_model.ts';
import { unfold, useUnfolded } from './unfolded.ts';
import { useUsual } from '../usual.ts';
import { useListKeys } from './use_list_keys.ts';
import { idOf, keyOf, useFocused, useRowFocus } from './use_row_focus.ts';

const SPARE = 8; // rows drawn above and below those in sight
const STILL = 1500; // ms: a list under a pointer that moved so lately does not move

interface Props {
  model: ListModel;
  tree: TreeModel;
  filter: Filter;
  search: string;
  /** The activity that is open. */
  current: string | null;
  selection: Selection;
  /** px of a row. */
  height: number;
  /** There is little room: two lines a row. */
  short: boolean;
}

/** The live list: only rows in sight are in the page, and what is read does not move. */
export function List({ model, tree, filter, search, current, selection, height, short }: Props) {
  const rows = useSnapshot(model);
  const now = useNow();
  const first = useFirstShown();
  const usual = useUsual();
  const box = useRef<HTMLDivElement>(null);
  const pointer = useRef({ at: 0, key: '' }); // when it last moved over the list, and over which row
  const [folded, setFolded] = useState<ReadonlySet<Group>>(new Set());
  const { focused, setFocused, onFocus, onBlur } = useFocused();
  const { sections, version, unfolded, indexOf } = useSections(rows, tree, folded);
  const titles = short ? 0 : TITLES;
  const virtual = useVirtual({
    box, count: lengthOf(sections), indexOf: (key) => indexOf(String(key)), spare: first ? SPARE : 0, margin: titles, covered: titles + HEAD,
    keyOf: (index) => entryAt(sections, index)?.key ?? 'group ' + sectionAt(sections, index)?.group,
    sizeOf: (index) => (entryAt(sections, index) ? height : HEAD),
    version: `${version} ${height} ${[...folded]}`,
    keep: focused === null ? -1 : indexOf(focused),
    groupOf: (index) => (entryAt(sections, index) ? sectionAt(sections, index)!.group : undefined),
    hold: () => Date.now() - pointer.current.at < STILL && (pointer.current.key || true),
  });
  const unseen = useUnseen(box, sections, virtual, filter);
  const focus = useRowFocus({ box, current, focused, setFocused, indexOf, scrollTo: virtual.scrollTo });
  useListKeys({ rows, sections, current, selection, unfolded, indexOf, focus });
  useInSight(model, rows, sections, virtual);
  useEffect(() => {
    if (!rows.loading && current === null) firstShown();
  }, [rows.loading, current]);
  const drawn = virtual.items.map(({ index }) => entryAt(sections, index)?.item).filter((item) => item !== undefined);
  const asked = useAsked(drawn);
  const parents = useParents(virtual.items.map(({ index }) => entryAt(sections, index)).filter((entry) => entry?.level === 1).map((entry) => entry!.item!));
  selection.between.current = (a, b) => between(sections, indexOf(a), indexOf(b));

  const fold = (group: Group) => setFolded(new Set(folded.has(group) ? [...folded].filter((g) => g !== group) : [...folded, group]));
  return (
    <div
      className="list" ref={box} onFocus={onFocus} onBlur={onBlur} onPointerLeave={() => (pointer.current.at = 0)}
      onPointerMove={(e) => (pointer.current = { at: Date.now(), key: keyOf(e.target as Element) ?? '' })}
    >
      {!short && <ListHead filter={filter} />}
      {unseen > 0 && <button type="button" id="newer" className="ax-button" onClick={() => (box.current!.scrollTop = 0)}>↑ {grouped(unseen)} new</button>}
      <div className="rows" aria-busy={rows.loading} style={{ height: virtual.size }}>
        {sections.map((section, n) => {
          const { group, from } = section;
          const places = virtual.items.filter(({ index }) => index > from && index <= from + shown(section));
          return (
            <section key={group} className="group" data-group={group} style={{ height: HEAD + shown(section) * height, zIndex: sections.length - n }}>
              <GroupHead section={section} filter={filter} model={model} onFold={() => fold(group)} />
              {places.length > 0 && (
                <div className="places" role="treegrid" aria-labelledby={'group-' + group}>
                  {places.map(({ index }) => {
                    const { key, level, guide, place, of, item, inherited, ...rest } = entryAt(sections, index)!;
                    const top = (index - from - 1) * height;
                    if (!item) return <RestRow key={key} id={key} level={level} guide={guide} top={top} place={place} of={of} {...rest} onMore={() => tree.get().listOf(rest.parent!)?.more()} />;
                    const id = item.agent_id;
                    return (
                      <Row
                        key={key} id={key} item={item} level={level} guide={guide} top={top} place={place} of={of} search={search} current={id === current} expanded={expanded(item, unfolded)} onUnfold={unfold}
                        selected={selection.possible ? selection.ids.has(id) : undefined} short={short} beside={current !== null} filter={filter} now={now} usual={usual.get(item.agent_type)} select={selection.toggle}
                        asked={asked.get(id)} inherited={inherited} within={level === 1 && item.parent_agent_id && item.parent_agent_id !== filter.parent ? parents.get(item.parent_agent_id) : undefined}
                      />
                    );
                  })}
                </div>
              )}
            </section>
          );
        })}
      </div>
      <ListFooter rows={rows} filter={filter} model={model} />
    </div>
  );
}

/** The groups with the rows below those that are unfolded, and a watch of the children there. */
function useSections(rows: Rows, tree: TreeModel, folded: ReadonlySet<Group>) {
  const { version, listOf } = useSnapshot(tree);
  const unfolded = useUnfolded();
  const needed = new Set<string>();
  const branches = branchesOf(rows.sections, rows.find, { unfolded, listOf, needed });
  const sections = placed(rows.sections.map((group, n) => ({ ...group, branches: branches[n]! })), folded);
  const watched = [...needed].join();
  useEffect(() => tree.watch(needed), [tree, watched]);
  const lower = indexesBelow(sections);
  const indexOf = (key: string): number => {
    const found = rows.find(key);
    if (!found) return lower.get(key) ?? [...lower].find(([other]) => idOf(other) === key)?.[1] ?? -1;
    const section = sections.find(({ group }) => group === found.group);
    return section && !section.folded ? indexOfItem(section, found.index) : -1;
  };
  const shape = useRef({ n: 0, text: '' });
  const text = `${rows.version} ${version} ${branches.map((some) => some.map(({ at, rows }) => `${at}:${rows.length}`)).join('|')}`;
  if (text !== shape.current.text) shape.current = { n: shape.current.n + 1, text };
  return { sections, version: shape.current.n, unfolded, indexOf };
}

function between(sections: readonly Section[], a: number, b: number): string[] {
  if (a < 0 || b < 0) return [];
  const from = Math.min(a, b);
  return Array.from({ length: Math.abs(a - b) + 1 }, (_, n) => itemAt(sections, from + n)?.agent_id).filter((id) => id !== undefined);
}

/** The number of rows above those in sight that came since the top was last seen. Only the newest first says that. */
function useUnseen(box: RefObject<HTMLElement | null>, sections: readonly Section[], { firstInSight }: Virtual, { sort, order }: Filter): number {
  const [unseen, setUnseen] = useState(0);
  const mark = useRef(''); // when the newest was created, as the top was last seen
  useLayoutEffect(() => {
    const first = firstInSight();
    if (box.current!.scrollTop === 0 || !mark.current) mark.current = newest(sections);
    setUnseen(sort === 'created' && order === 'desc' && first >= 0 ? newerThan(mark.current, sections, first) : 0);
  });
  return unseen;
}

/** Says to the model which activities are looked at, once a second and when they change. */
function useInSight(model: ListModel, rows: Rows, sections: readonly Section[], { items }: Virtual): void {
  const drawn = items.filter(({ index }) => entryAt(sections, index)?.level === 1);
  const [first, last] = [drawn[0]?.index ?? 0, drawn.at(-1)?.index ?? -1];
  const end = (items.at(-1)?.index ?? -1) >= lengthOf(sections) - 2 * SPARE;
  useEffect(() => {
    const look = () => model.inSight(itemAt(sections, first), itemAt(sections, last), end);
    look();
    const timer = setInterval(look, 1000);
    return () => clearInterval(timer);
  }, [model, rows, first, last, end]);
}
