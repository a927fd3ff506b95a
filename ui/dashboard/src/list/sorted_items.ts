import type { ActivityListItem } from '@agentexec/client';

export type Compare = (a: ActivityListItem, b: ActivityListItem) => number;

/**
 * Items by id and in an order. An update costs a search, and a move a shift of memory too: little
 * enough for 100,000 rows that change a thousand times a second.
 */
export class SortedItems {
  #byId = new Map<string, ActivityListItem>();
  #all: ActivityListItem[] = [];
  #compare: Compare;

  constructor(compare: Compare) {
    this.#compare = compare;
  }

  /** In order; the same array at every change. */
  get all(): readonly ActivityListItem[] {
    return this.#all;
  }

  get(id: string): ActivityListItem | undefined {
    return this.#byId.get(id);
  }

  /** The place of an item, -1 where there is none. */
  index(id: string): number {
    const item = this.#byId.get(id);
    return item ? this.place(item) : -1;
  }

  /** How many come before an item, whether or not it is one of these. */
  place(item: ActivityListItem): number {
    let [low, high] = [0, this.#all.length];
    while (low < high) {
      const mid = (low + high) >> 1;
      if (this.#compare(this.#all[mid]!, item) < 0) low = mid + 1;
      else high = mid;
    }
    return low;
  }

  /** Returns whether items were added or moved, rather than one replaced in its place. */
  put(item: ActivityListItem): boolean {
    const old = this.#byId.get(item.agent_id);
    this.#byId.set(item.agent_id, item);
    if (old && this.#compare(old, item) === 0) {
      this.#all[this.place(old)] = item;
      return false;
    }
    if (old) this.#all.splice(this.place(old), 1);
    const last = this.#all.at(-1);
    if (!last || this.#compare(last, item) < 0) this.#all.push(item);
    else this.#all.splice(this.place(item), 0, item);
    return true;
  }

  delete(id: string): boolean {
    const item = this.#byId.get(id);
    if (!item) return false;
    this.#all.splice(this.place(item), 1);
    return this.#byId.delete(id);
  }

  clear(): void {
    this.#byId.clear();
    this.#all.length = 0;
  }
}
