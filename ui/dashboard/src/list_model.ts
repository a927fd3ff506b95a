// The rows of the list: the first ones live from the feed, those below by key over HTTP as the person comes to them.

import type { ActivityListItem, Client, Counts, ListEvent, Status } from '@agentexec/client';
import { compareItems } from '@agentexec/client/state';
import { type Section, sectionsOf } from './list_layout.ts';
import { Model } from './model.ts';
import { type Filter, metadataOf } from './route.ts';
import { SortedItems } from './sorted_items.ts';

export const LIVE = 200; // rows the feed keeps
export const PAGE = 500;
const REFRESH = 5_000; // pages in sight are read again, because the feed says nothing of them
const AGAIN = 5_000; // before what was refused is tried again
const MOST_TYPES = 200;

export interface Rows {
  /** In the order of a list, and those alone whose type or id holds the text. The same array, changed in place. */
  items: readonly ActivityListItem[];
  sections: readonly Section[];
  /** The place of a row, -1 where it is not here. */
  index(id: string): number;
  /** How many were looked at for the text. */
  looked: number;
  /** By status, under the type and the metadata, and how many of those that were looked at hold the text, where there is one. */
  counts: Counts | undefined;
  found: Counts | undefined;
  /** Types that were seen. */
  types: readonly string[];
  loading: boolean;
  /** More can be had. */
  more: boolean;
  /** Why no more came, for people. It is tried again. */
  problem: string;
}

// A page holds what comes after `from`, up to `to`; null is the beginning, and the end.
interface Page {
  after: string | null;
  next: string | null;
  from: ActivityListItem | null;
  to: ActivityListItem | null;
  readAt: number;
}

export class ListModel extends Model<Rows> {
  #client: Client;
  #filter: Filter;
  #text = '';
  #all = new SortedItems();
  #matching = this.#all;
  #live = new Set<string>(); // ids of what the feed keeps
  #pages: Page[] = [];
  #counts: Counts | undefined;
  #types = new Set<string>();
  #sortedTypes: string[] = [];
  #refused = '';
  #unread = '';
  #reading = false;
  #pause = 0; // no page is asked for before this time
  #turn: AbortController | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;

  constructor(client: Client, filter: Filter) {
    super();
    this.#client = client;
    this.#filter = filter;
    this.search(filter.text);
  }

  /** Shows those alone whose type or id holds the text. */
  search(text: string): void {
    const wanted = text.trim().toLowerCase();
    if (wanted === this.#text) return;
    this.#text = wanted;
    this.#matching = wanted ? new SortedItems(this.#all.all.filter((item) => this.#matches(item))) : this.#all;
    this.changed();
  }

  #matches({ agent_id, agent_type }: ActivityListItem): boolean {
    return agent_id.includes(this.#text) || agent_type.toLowerCase().includes(this.#text);
  }

  get #query() {
    const { statuses, stale, type } = this.#filter;
    return { statuses: statuses.length ? statuses : undefined, stale: stale || undefined, agentType: type || undefined, metadata: metadataOf(this.#filter) };
  }

  protected start(): void {
    this.#turn = new AbortController();
    this.#watch();
  }

  #watch(): void {
    this.#client.watchList({ ...this.#query, limit: LIVE }, { signal: this.#turn!.signal }, (event) => this.#take(event), (error) => {
      this.#refused = error.message;
      this.#again = setTimeout(() => this.#watch(), AGAIN);
      this.changed();
    });
  }

  protected stop(): void {
    clearTimeout(this.#again);
    this.#turn?.abort();
    this.#clear();
    this.#reading = false;
    this.#counts = undefined;
    this.#refused = this.#unread = '';
  }

  protected read(): Rows {
    const more = this.#more();
    if (this.#sortedTypes.length !== this.#types.size) this.#sortedTypes = [...this.#types].sort();
    const { statuses, stale } = this.#filter;
    const counts = this.#counts && { ...this.#counts };
    // The group of a status that the filter leaves out is empty. Stale activities are RUNNING.
    const of = (status: Status, n: number) => (statuses.length && !statuses.includes(status) ? 0 : !stale ? n : status === 'RUNNING' ? (counts?.stale ?? 0) : 0);
    const listed = counts && (Object.fromEntries(Object.entries(counts).map(([s, n]) => [s, of(s as Status, n)])) as Counts);
    const { all, counts: here } = this.#matching;
    return {
      items: all, index: (id) => this.#matching.index(id), sections: sectionsOf(here, this.#text ? undefined : listed, more),
      looked: this.#all.all.length, counts, found: this.#text ? { ...here } : undefined, types: this.#sortedTypes,
      loading: !counts && !this.#refused, more, problem: this.#refused || this.#unread,
    };
  }

  #more(): boolean {
    if (!this.#counts) return false;
    return this.#pages.length ? this.#pages.at(-1)!.next !== null : this.#live.size >= LIVE;
  }

  #put(item: ActivityListItem): void {
    this.#all.put(item);
    if (this.#matching !== this.#all && this.#matches(item)) this.#matching.put(item);
    if (this.#types.size < MOST_TYPES) this.#types.add(item.agent_type);
  }

  // The feed and the pages are read each in its own time.
  #knowsNewer({ agent_id, last_seq }: ActivityListItem): boolean {
    const known = this.#all.get(agent_id);
    return known !== undefined && known.last_seq > last_seq;
  }

  #delete(id: string): void {
    this.#all.delete(id);
    if (this.#matching !== this.#all) this.#matching.delete(id);
  }

  #clear(): void {
    this.#all.clear();
    this.#matching.clear();
    this.#live.clear();
    this.#pages = [];
  }

  #take(event: ListEvent): void {
    const before = event.type === 'snapshot' ? [...this.#live] : event.removed;
    for (const id of before) this.#live.delete(id);
    for (const item of event.items) {
      if (event.type === 'snapshot' || !this.#knowsNewer(item)) this.#put(item);
      this.#live.add(item.agent_id);
    }
    if (event.type === 'snapshot') this.#dropMissing();
    else {
      // An item that left at the lower end, because new ones came, still exists one row further down.
      const last = this.#pages.length && this.#live.size >= LIVE ? this.#lastLive() : undefined;
      for (const id of before) {
        const item = this.#all.get(id);
        if (item && !this.#live.has(id) && !(last && compareItems(item, last) > 0)) this.#delete(id);
      }
    }
    this.#counts = event.counts;
    this.#refused = '';
    this.changed();
  }

  // dropMissing deletes the items that a snapshot should contain and does not.
  #dropMissing(): void {
    const last = this.#live.size >= LIVE ? this.#lastLive() : undefined;
    if (!last) this.#pages = [];
    const end = this.#pages.length && last ? this.#all.place(last) : Infinity;
    for (const { agent_id } of this.#all.all.slice(0, end)) if (!this.#live.has(agent_id)) this.#delete(agent_id);
  }

  #lastLive(): ActivityListItem | undefined {
    let last: ActivityListItem | undefined;
    for (const id of this.#live) {
      const item = this.#all.get(id)!;
      if (!last || compareItems(item, last) > 0) last = item;
    }
    return last;
  }

  /** The person looks at these rows: the next page is read where they are the last, and old pages are read again. */
  inSight(first: ActivityListItem | undefined, last: ActivityListItem | undefined, end: boolean): void {
    if (this.#reading || !this.#turn || Date.now() < this.#pause) return;
    if (end && this.#more()) {
      const before = this.#pages.at(-1);
      void this.#load({ after: before?.next ?? null, next: null, from: before?.to ?? null, to: null, readAt: 0 }, true);
      return;
    }
    if (!first || !last || this.#live.has(last.agent_id)) return;
    const old = Date.now() - REFRESH;
    const lowest = end ? this.#pages.at(-1) : undefined; // also where none of its rows are left
    const inSight = (p: Page) => (!p.to || compareItems(p.to, first) >= 0) && (!p.from || compareItems(p.from, last) < 0);
    const page = this.#pages.find((p) => p.readAt < old && (p === lowest || inSight(p)));
    if (page) void this.#load(page, false);
  }

  async #load(page: Page, added: boolean): Promise<void> {
    const { signal } = this.#turn!;
    const pages = this.#pages;
    this.#reading = true;
    try {
      const { items, next } = await this.#client.list({ ...this.#query, pageSize: PAGE, after: page.after, signal });
      if (signal.aborted || pages !== this.#pages) return; // a snapshot came that made the pages void
      this.#bound(page, items, next, added);
      this.#replace(page, items);
      this.#unread = '';
    } catch (e) {
      if (signal.aborted) return;
      this.#unread = e instanceof Error ? e.message : String(e);
      this.#pause = Date.now() + AGAIN;
    } finally {
      if (!signal.aborted) {
        this.#reading = false;
        this.changed();
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
    } else if (end && (!page.to || compareItems(end, page.to) < 0)) {
      this.#pages.splice(this.#pages.indexOf(page) + 1, 0, { ...page, after: next, from: end, readAt: 0 });
      Object.assign(page, { next, to: end });
    }
  }

  #replace({ from, to }: Page, items: ActivityListItem[]): void {
    const here = new Set(items.map(({ agent_id }) => agent_id));
    const [first, last] = [from ? this.#all.place(from) : 0, to ? this.#all.place(to) + 1 : Infinity];
    for (const item of this.#all.all.slice(first, last)) {
      const within = (!from || compareItems(item, from) > 0) && (!to || compareItems(item, to) <= 0);
      if (within && !here.has(item.agent_id) && !this.#live.has(item.agent_id)) this.#delete(item.agent_id);
    }
    for (const item of items) {
      if (!this.#live.has(item.agent_id) && !this.#knowsNewer(item)) this.#put(item);
    }
  }
}
