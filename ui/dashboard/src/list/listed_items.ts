import type { ActivityListItem, Counts, ListEvent } from '@agentexec/client';
import { GroupedItems } from './grouped_items.ts';
import { noPart, type Part } from './part.ts';
import { seen } from './seen.ts';
import type { Compare } from './sorted_items.ts';

export const LIVE = 200; // items the feed keeps of each list

/**
 * The items of the list, from its live list, from the live lists beside it, and from pages below. An item stays while one of them
 * holds it.
 */
export class ListedItems {
  readonly items: GroupedItems;
  main: Part = noPart();
  #parts = new Map<string, Part>();
  #compare: Compare;
  #rootsOnly: boolean;

  constructor(compare: Compare, rootsOnly: boolean, now: () => number) {
    this.#compare = compare;
    this.#rootsOnly = rootsOnly;
    this.items = new GroupedItems(compare, now);
  }

  /** The live list beside the list that has a name, which is created where it is missing. */
  part(name: string): Part {
    let part = this.#parts.get(name);
    if (!part) this.#parts.set(name, (part = noPart()));
    return part;
  }

  countsOf = (name: string): Counts | undefined => this.#parts.get(name)?.counts;

  full = (name: string): boolean => (this.#parts.get(name)?.ids.size ?? 0) >= LIVE;

  clear(): void {
    this.items.clear();
    this.main = noPart();
    this.#parts.clear();
  }

  put(item: ActivityListItem): void {
    seen.note(item);
    this.items.put(item);
  }

  /** Puts an item that was read from elsewhere, unless a later state of it is known: each list is read in its own time. */
  putOlder(item: ActivityListItem): void {
    const known = this.items.all.get(item.agent_id);
    if (!known || known.last_seq <= item.last_seq) this.put(item);
  }

  held(id: string): boolean {
    if (this.main.ids.has(id)) return true;
    for (const { ids } of this.#parts.values()) if (ids.has(id)) return true;
    return false;
  }

  /** Takes an event of a live list. `end` is the last item that pages were read to: undefined for no page, null for all. */
  take(part: Part, event: ListEvent, end: ActivityListItem | null | undefined): void {
    const whole = part === this.main && event.type === 'snapshot';
    const before = event.type === 'snapshot' ? [...part.ids] : event.removed;
    for (const id of before) part.ids.delete(id);
    for (const item of event.items) {
      if (whole) this.put(item);
      else this.putOlder(item);
      part.ids.add(item.agent_id);
    }
    part.counts = event.counts;
    part.problem = '';
    if (whole) this.#dropMissing(end !== undefined);
    else this.#dropLeft(before, end);
  }

  /** Has a part hold these items, and no others. */
  hold(name: string, items: readonly ActivityListItem[], end: ActivityListItem | null | undefined): void {
    const part = this.part(name);
    const before = [...part.ids];
    part.ids = new Set(items.map(({ agent_id }) => agent_id));
    for (const item of items) this.putOlder(item);
    this.#dropLeft(before, end);
  }

  /** The last item of the live list where that is full, so that there may be more below. */
  lastLive(): ActivityListItem | undefined {
    if (this.main.ids.size < LIVE) return undefined;
    let last: ActivityListItem | undefined;
    for (const id of this.main.ids) {
      const item = this.items.all.get(id)!;
      if (!last || this.#compare(item, last) > 0) last = item;
    }
    return last;
  }

  // dropLeft deletes the items that left a live list, unless a page holds them further down. Pages of roots hold no children.
  #dropLeft(left: readonly string[], end: ActivityListItem | null | undefined): void {
    const last = this.lastLive();
    for (const id of left) {
      const item = this.items.all.get(id);
      if (!item || this.held(id)) continue;
      const below = last !== undefined && this.#compare(item, last) > 0 && !(this.#rootsOnly && item.parent_agent_id);
      const read = end !== undefined && (!end || this.#compare(item, end) <= 0);
      if (!below || !read) this.items.delete(id);
    }
  }

  // dropMissing deletes the items that a snapshot should contain and does not.
  #dropMissing(pages: boolean): void {
    const last = this.lastLive();
    const end = pages && last ? this.items.all.place(last) : Infinity;
    for (const { agent_id } of this.items.all.all.slice(0, end)) if (!this.held(agent_id)) this.items.delete(agent_id);
  }
}
