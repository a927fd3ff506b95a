// Where the rows of the list are: three groups, each under a heading, all rows of one height.

import type { ActivityListItem, Counts, Status } from '@agentexec/client';

export const ROW = 60; // px, as in style.css
export const HEAD = 36;

const groups: { name: string; statuses: Status[] }[] = [
  { name: 'Running', statuses: ['RUNNING'] },
  { name: 'Queued', statuses: ['QUEUED'] },
  { name: 'Finished', statuses: ['COMPLETE', 'ERROR', 'CANCELED'] },
];

export interface Section {
  name: string;
  /** The first of its rows, and how many there are here. */
  from: number;
  length: number;
  /** How many there are in all, as far as it is known. */
  count: number;
  /** There may be more than count. */
  open: boolean;
}

/**
 * The groups that have rows. `here` counts the rows; `all`, where it is given, what there is beside them; `more` says
 * that not all rows are here.
 */
export function sectionsOf(here: Counts, all: Counts | undefined, more: boolean): Section[] {
  const sum = (counts: Counts, statuses: Status[]) => statuses.reduce((n, s) => n + counts[s], 0);
  let from = 0;
  const sections: Section[] = [];
  for (const { name, statuses } of groups) {
    const length = sum(here, statuses);
    if (!length) continue;
    const count = more && all ? Math.max(length, sum(all, statuses)) : length;
    sections.push({ name, from, length, count, open: more && !all });
    from += length;
  }
  return sections;
}

/** The height above a row, headings included. */
export function yOf(sections: readonly Section[], index: number): number {
  let heads = 0;
  for (const s of sections) if (s.from <= index) heads++;
  return index * ROW + heads * HEAD;
}

export const heightOf = (sections: readonly Section[]): number => sections.reduce((sum, s) => sum + HEAD + s.length * ROW, 0);

/** When the newest of the rows was created, '' where there is none: each group begins with its newest. */
export function newest(sections: readonly Section[], items: readonly ActivityListItem[]): string {
  return sections.reduce((max, s) => (items[s.from]!.created_at > max ? items[s.from]!.created_at : max), '');
}

/** How many of the rows above `index` were created after a time. */
export function newerThan(time: string, sections: readonly Section[], items: readonly ActivityListItem[], index: number): number {
  let n = 0;
  for (const { from, length } of sections) {
    let [low, high] = [from, Math.max(from, Math.min(from + length, index))];
    while (low < high) {
      const mid = (low + high) >> 1;
      if (items[mid]!.created_at > time) low = mid + 1;
      else high = mid;
    }
    n += low - from;
  }
  return n;
}
