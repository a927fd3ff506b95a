// The rows of the list as one sequence: each group is a heading and its rows, or the heading alone where it is folded. The
// rows of a group are its activities, and below those that are unfolded their children.

import type { ActivityListItem } from '@agentexec/client';
import type { Group } from './groups.ts';

export const HEAD = 32; // px, as --ax-row-group
export const TITLES = 28; // px of the table head

/** A row: an activity, or in place of children what is to be said of them. */
export interface Entry {
  /** The id of the activity, after those of the activities above it: it may have a row elsewhere too. */
  key: string;
  /** 1 for a row of the group itself. */
  level: number;
  /** The lines to the left of it: see branches.ts. */
  guide: string;
  place: number;
  of: number;
  item?: ActivityListItem;
  /** The metadata of the activity above, of which the row shows only what differs. */
  inherited?: ActivityListItem['metadata'];
  /** Instead of an activity: children are loading, there are more of them, or why they are not there. */
  rest?: 'loading' | 'more' | 'problem';
  /** The activity whose children it is about, and how many are missing. */
  parent?: string;
  missing?: number;
  problem?: string;
}

/** The rows below the activity at a place of its group. */
export interface Branch {
  at: number;
  rows: readonly Entry[];
}

export interface Section {
  group: Group;
  items: readonly ActivityListItem[];
  /** Sorted by their place. */
  branches: readonly Branch[];
  /** How many activities there are in all, without those below others, as far as it is known. */
  count: number;
  /** There may be more than count. */
  open: boolean;
  folded: boolean;
  /** The index of the heading in the sequence; the rows follow. */
  from: number;
}

export const shown = ({ items, branches, folded }: Section): number => (folded ? 0 : items.length + branches.reduce((n, { rows }) => n + rows.length, 0));

/** Places the groups that have rows one after the other. */
export function placed(sections: readonly Omit<Section, 'from' | 'folded'>[], folded: ReadonlySet<Group>): Section[] {
  let from = 0;
  return sections.filter(({ items }) => items.length > 0).map((s) => {
    const section = { ...s, folded: folded.has(s.group), from };
    from += 1 + shown(section);
    return section;
  });
}

/** The length of the sequence. */
export const lengthOf = (sections: readonly Section[]): number => sections.reduce((n, s) => n + 1 + shown(s), 0);

/** The section of an index in the sequence. */
export function sectionAt(sections: readonly Section[], index: number): Section | undefined {
  return sections.findLast(({ from }) => from <= index);
}

/** The row at an index, undefined for a heading. */
export function entryAt(sections: readonly Section[], index: number): Entry | undefined {
  const section = sectionAt(sections, index);
  if (!section) return undefined;
  const { items, branches, count, open } = section;
  let n = index - section.from - 1;
  for (const { at, rows } of branches) {
    if (n <= at) break;
    if (n <= at + rows.length) return rows[n - at - 1];
    n -= rows.length;
  }
  const item = items[n];
  return item && { key: item.agent_id, level: 1, guide: '', item, place: n + 1, of: open ? -1 : count };
}

/** The activity at an index, undefined for another row. */
export const itemAt = (sections: readonly Section[], index: number): ActivityListItem | undefined => entryAt(sections, index)?.item;

/** The index of the row of the nth activity of a section. */
export const indexOfItem = ({ from, branches }: Section, n: number): number =>
  from + 1 + n + branches.reduce((sum, { at, rows }) => sum + (at < n ? rows.length : 0), 0);

/** The indexes of the rows below others, by their key. */
export function indexesBelow(sections: readonly Section[]): Map<string, number> {
  const indexes = new Map<string, number>();
  for (const section of sections) {
    if (section.folded) continue;
    for (const { at, rows } of section.branches) {
      const first = indexOfItem(section, at) + 1;
      for (const [n, { key }] of rows.entries()) indexes.set(key, first + n);
    }
  }
  return indexes;
}

/** The index of the nth row, -1 where there is none. */
export function indexOfRow(sections: readonly Section[], row: number): number {
  for (const section of sections) {
    if (row < shown(section)) return section.from + 1 + row;
    row -= shown(section);
  }
  return -1;
}

/** The reverse: which of the rows is at an index. */
export function rowOfIndex(sections: readonly Section[], index: number): number {
  return index - sections.filter(({ from }) => from <= index).length;
}

export const rowCount = (sections: readonly Section[]): number => sections.reduce((n, s) => n + shown(s), 0);

/** When the newest of the activities was created, '' where there is none: each group begins with its newest. */
export const newest = (sections: readonly Section[]): string => sections.reduce((max, { items }) => (items[0]!.created_at > max ? items[0]!.created_at : max), '');

/** How many of the activities above an index were created after a time; each group begins with its newest. */
export function newerThan(time: string, sections: readonly Section[], index: number): number {
  let n = 0;
  for (const section of sections) {
    let [low, high] = [0, itemsAbove(section, index)];
    while (low < high) {
      const mid = (low + high) >> 1;
      if (section.items[mid]!.created_at > time) low = mid + 1;
      else high = mid;
    }
    n += low;
  }
  return n;
}

// itemsAbove is how many activities of a section, without those below others, have their row above an index.
function itemsAbove(section: Section, index: number): number {
  let n = Math.max(0, Math.min(shown(section), index - section.from - 1));
  for (const { at, rows } of section.branches) {
    if (n <= at) break;
    n -= Math.min(rows.length, n - at - 1);
  }
  return n;
}
