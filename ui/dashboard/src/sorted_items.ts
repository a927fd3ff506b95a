import type { ActivityListItem, Counts } from '@agentexec/client';
import { compareItems } from '@agentexec/client/state';

const noCounts = (): Counts => ({ RUNNING: 0, QUEUED: 0, COMPLETE: 0, ERROR: 0, CANCELED: 0 });

/**
 * Items by id and in the order of a list. An update costs a search, and a move a shift of memory too: little
 * enough for 100,000 rows that change a thousand times a second.
 */
export class SortedItems {
  #byId = new Map<string, ActivityListItem>();
  #all: ActivityListItem[] = [];
  #counts = noCounts();

  constructor(sorted: readonly ActivityListItem[] = []) {
    for (const item of sorted) this.put(item);
  }

  /** In order; the same array at every change. */
  get all(): readonly ActivityListItem[] {
    return this.#all;
  }

  /** How many there are with each status. */
  get counts(): Counts {
    return this.#counts;
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
      if (compareItems(this.#all[mid]!, item) < 0) low = mid + 1;
      else high = mid;
    }
    return low;
  }

  put(item: ActivityListItem): void {
    const old = this.#byId.get(item.agent_id);
    if (old && compareItems(old, item) === 0) {
      this.#all[this.place(old)] = item;
      this.#counts[old.status]--;
    } else {
      if (old) this.delete(old.agent_id);
      const last = this.#all.at(-1);
      if (!last || compareItems(last, item) < 0) this.#all.push(item);
      else this.#all.splice(this.place(item), 0, item);
    }
    this.#byId.set(item.agent_id, item);
    this.#counts[item.status]++;
  }

  delete(id: string): void {
    const item = this.#byId.get(id);
    if (!item) return;
    this.#all.splice(this.place(item), 1);
    this.#byId.delete(id);
    this.#counts[item.status]--;
  }

  clear(): void {
    this.#byId.clear();
    this.#all.length = 0;
    this.#counts = noCounts();
  }
}
