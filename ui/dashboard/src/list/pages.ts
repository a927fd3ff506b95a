import type { ActivityList, ActivityListItem } from '@agentexec/client';
import type { ListedItems } from './listed_items.ts';
import type { Compare } from './sorted_items.ts';

const REFRESH = 5_000; // ms: pages in sight are read again, because the feed says nothing of them
const AGAIN = 5_000; // ms before what was refused is tried again

// A page holds what comes after `from`, up to `to`; null is the beginning, and the end.
interface Page {
  after: string | null;
  next: string | null;
  from: ActivityListItem | null;
  to: ActivityListItem | null;
  readAt: number;
}

/** The part of the list that is in sight. */
export interface Sight {
  first: ActivityListItem | undefined;
  last: ActivityListItem | undefined;
  /** The end of what was read is near. */
  end: boolean;
}

/** The list below its live list: pages that are read by key over HTTP as the person comes to them. */
export class Pages {
  /** Why the last page did not come, for people. */
  problem = '';
  #listed: ListedItems;
  #compare: Compare;
  #read: (after: string | null, signal: AbortSignal) => Promise<ActivityList>;
  #changed: () => void;
  #pages: Page[] = [];
  #reading = false;
  #pause = 0; // no page is asked for before this time

  constructor(listed: ListedItems, compare: Compare, read: (after: string | null, signal: AbortSignal) => Promise<ActivityList>, changed: () => void) {
    this.#listed = listed;
    this.#compare = compare;
    this.#read = read;
    this.#changed = changed;
  }

  /** The last item that was read: undefined without a page, null where all were read. */
  get end(): ActivityListItem | null | undefined {
    return this.#pages.at(-1)?.to;
  }

  /** Whether there is a next page; undefined without a page. */
  get more(): boolean | undefined {
    const last = this.#pages.at(-1);
    return last && last.next !== null;
  }

  /** The pages are void: the live list holds everything. */
  drop(): void {
    this.#pages = [];
  }

  clear(): void {
    this.drop();
    this.#reading = false;
    this.problem = '';
  }

  /** Reads the next page where the person is near the end and there is more, or else an old page in sight again. */
  look({ first, last, end }: Sight, more: boolean, signal: AbortSignal): void {
    if (this.#reading || Date.now() < this.#pause) return;
    if (end && more) {
      const before = this.#pages.at(-1);
      void this.#load({ after: before?.next ?? null, next: null, from: before?.to ?? null, to: null, readAt: 0 }, true, signal);
      return;
    }
    if (!first || !last) return;
    const [top, bottom] = this.#compare(first, last) < 0 ? [first, last] : [last, first]; // a group may lie far down
    if (this.#listed.main.ids.has(bottom.agent_id)) return;
    const old = Date.now() - REFRESH;
    const lowest = end ? this.#pages.at(-1) : undefined; // also where none of its rows are left
    const inSight = (p: Page) => (!p.to || this.#compare(p.to, top) >= 0) && (!p.from || this.#compare(p.from, bottom) < 0);
    const page = this.#pages.find((p) => p.readAt < old && (p === lowest || inSight(p)));
    if (page) void this.#load(page, false, signal);
  }

  async #load(page: Page, added: boolean, signal: AbortSignal): Promise<void> {
    const pages = this.#pages;
    this.#reading = true;
    try {
      const { items, next } = await this.#read(page.after, signal);
      if (signal.aborted || pages !== this.#pages) return; // a snapshot came that made the pages void
      this.#bound(page, items, next, added);
      this.#replace(page, items);
      this.problem = '';
    } catch (e) {
      if (signal.aborted) return;
      this.problem = e instanceof Error ? e.message : String(e);
      this.#pause = Date.now() + AGAIN;
    } finally {
      if (!signal.aborted) {
        this.#reading = false;
        this.#changed();
      }
    }
  }

  // bound says what the page holds now. One that is read again ends where it did, because the next one begins there; where
  // the answer does not reach so far, what is between the two is a page of its own, and still to be read.
  #bound(page: Page, items: ActivityListItem[], next: string | null, added: boolean): void {
    const end = next === null ? null : (items.at(-1) ?? null);
    page.readAt = Date.now();
    if (added) {
      Object.assign(page, { next, to: end });
      this.#pages.push(page);
    } else if (end && (!page.to || this.#compare(end, page.to) < 0)) {
      this.#pages.splice(this.#pages.indexOf(page) + 1, 0, { ...page, after: next, from: end, readAt: 0 });
      Object.assign(page, { next, to: end });
    }
  }

  #replace({ from, to }: Page, items: ActivityListItem[]): void {
    const { items: known } = this.#listed;
    const here = new Set(items.map(({ agent_id }) => agent_id));
    const [first, last] = [from ? known.all.place(from) : 0, to ? known.all.place(to) + 1 : Infinity];
    for (const item of known.all.all.slice(first, last)) {
      const within = (!from || this.#compare(item, from) > 0) && (!to || this.#compare(item, to) <= 0);
      if (within && !here.has(item.agent_id) && !this.#listed.held(item.agent_id)) known.delete(item.agent_id);
    }
    for (const item of items) if (!this.#listed.main.ids.has(item.agent_id)) this.#listed.putOlder(item);
  }
}
