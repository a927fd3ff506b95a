// The rows of the list: the first ones live from the feed, those below by key over HTTP as the person comes to them. What
// needs a person and what failed today are live lists of their own, so that these groups are complete.

import { type ActivityListItem, type Client, type Counts, FeedError, type ListFilter } from '@agentexec/client';
import { Observable } from '@agentexec/react';
import { comparatorOf } from '@agentexec/client/state';
import { type Group, groups } from './groups.ts';
import type { Section } from './list_layout.ts';
import { LIVE, ListedItems } from './listed_items.ts';
import { LookUps } from './look_ups.ts';
import { Pages } from './pages.ts';
import { listedCounts, needsOf, type Part, partsOf, queryOf, totalOf } from './part.ts';
import { type Filter, isTree } from './query.ts';
import { idPrefixOf, matcherOf } from './match.ts';
import { rights } from '../session.ts';

export { LIVE } from './listed_items.ts';
export const PAGE = 500;
const REFRESH = 5_000; // ms between two reads of the activity that is open, where it is far down
const AGAIN = 5_000; // ms before what was refused is tried again
const MINUTE = 60_000;
const FOUND = 50; // activities that an id's beginning may name
const SEARCHED = 2_000; // rows that a search for text reads by itself
const FURTHER = 10_000; // ... and how many more when the person asks for it

/** A group with its activities; the array is the same at every change. */
export type ListedGroup = Pick<Section, 'group' | 'items' | 'count' | 'open'>;

export interface Rows {
  sections: readonly ListedGroup[];
  /** Another number whenever activities were added, removed or moved. */
  version: number;
  /** Where an activity is, undefined where it is not here. */
  find(id: string): { group: Group; index: number } | undefined;
  get(id: string): ActivityListItem | undefined;
  /** How many activities were read. */
  looked: number;
  /** By status under the filter, as far as it is known. */
  counts: Counts | undefined;
  loading: boolean;
  /** More can be had. */
  more: boolean;
  /** A search for text read as much as it does by itself, and there is more: see searchOn. */
  paused: boolean;
  /** Why no more came, for people. It is tried again. */
  problem: string;
}

export class ListModel extends Observable<Rows> {
  #client: Client;
  #filter: Filter;
  #text = '';
  #listed: ListedItems;
  #pages: Pages;
  #lookUps: LookUps;
  #withMetadata = rights().metadata; // until the server refuses it
  #most = SEARCHED;
  #turn: AbortController | undefined;
  #timers = new Set<ReturnType<typeof setTimeout>>();
  #minute: ReturnType<typeof setInterval> | undefined;
  #open: string | undefined; // the activity that is open

  constructor(client: Client, filter: Filter) {
    super(0);
    this.#client = client;
    this.#filter = filter;
    const compare = comparatorOf(filter);
    const query = () => queryOf(this.#filter, this.#withMetadata);
    this.#listed = new ListedItems(compare, isTree(filter), () => client.now());
    this.#pages = new Pages(this.#listed, compare, (after, signal) => client.list({ ...query(), pageSize: PAGE, after, signal }), () => this.changed());
    this.#lookUps = new LookUps((idPrefix, signal) => client.list({ ...query(), idPrefix, pageSize: FOUND, signal }), (name, items) => {
      this.#listed.hold(name, items, this.#pages.end);
      this.changed();
    });
    this.#match(filter.text);
  }

  /** Shows those alone that hold the words. */
  search(text: string): void {
    if (text === this.#text) return;
    this.#match(text);
    this.#most = SEARCHED;
    if (this.#turn) void this.#lookUps.lookUp('found', idPrefixOf(text));
    this.changed();
  }

  /** Has an activity among the rows although it may be far down, where it is one of the list. */
  include(id: string | undefined): void {
    if (id === this.#open) return;
    this.#open = id;
    if (this.#turn) void this.#lookUps.lookUp('open', id);
  }

  /** Reads further for a search that is paused. */
  searchOn(): void {
    this.#most = this.#listed.items.all.all.length + FURTHER;
    this.changed();
  }

  #match(text: string): void {
    this.#text = text;
    this.#listed.items.match(matcherOf(text));
  }

  protected override start(): void {
    this.#turn = new AbortController();
    this.#watchAll();
    this.#minute = setInterval(() => this.#age(), MINUTE);
    void this.#lookUps.lookUp('found', idPrefixOf(this.#text));
    void this.#lookUps.lookUp('open', this.#open);
  }

  protected override stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    clearInterval(this.#minute);
    this.#turn?.abort();
    this.#lookUps.stop();
    this.#turn = undefined;
    this.#listed.clear();
    this.#pages.clear();
  }

  #watchAll(): void {
    this.#watch(this.#listed.main, queryOf(this.#filter, this.#withMetadata));
    for (const { name, query } of partsOf(this.#filter, this.#withMetadata, this.#client.now())) this.#watch(this.#listed.part(name), query);
  }

  #watch(part: Part, query: ListFilter): void {
    const { signal } = this.#turn!;
    this.#client.watchList({ ...query, limit: LIVE }, { signal }, (event) => {
      this.#listed.take(part, event, this.#pages.end);
      if (part === this.#listed.main && event.type === 'snapshot' && part.ids.size < LIVE) this.#pages.drop();
      this.changed();
    }, (error) => {
      if (query.includeMetadata && error instanceof FeedError && error.code === 'forbidden') return this.#withoutMetadata();
      part.problem = error.message;
      const timer = setTimeout(() => (this.#timers.delete(timer), this.#watch(part, query)), AGAIN);
      this.#timers.add(timer);
      this.changed();
    });
  }

  // The token does not grant the metadata: everything is asked for anew without it.
  #withoutMetadata(): void {
    if (!this.#withMetadata) return;
    this.#withMetadata = false;
    this.stop();
    this.start();
  }

  protected read(): Rows {
    const more = this.#more();
    const { items, main } = this.#listed;
    return {
      sections: this.#sections(more), version: items.version, looked: items.all.all.length, counts: main.counts && { ...main.counts },
      find: (id) => items.find(id),
      get: (id) => items.all.get(id),
      loading: !main.counts && !main.problem, more, paused: more && this.#exhausted(), problem: main.problem || this.#pages.problem,
    };
  }

  #exhausted = (): boolean => this.#text !== '' && this.#listed.items.all.all.length >= this.#most;

  #more = (): boolean => Boolean(this.#listed.main.counts) && (this.#pages.more ?? this.#listed.main.ids.size >= LIVE);

  #sections(more: boolean): ListedGroup[] {
    const { items, main, full } = this.#listed;
    const counts = main.counts && listedCounts(this.#filter, main.counts);
    const here = (group: Group) => items.in(group).length;
    const needs = Math.max(here('needs'), this.#text ? 0 : this.#needs(more));
    const roots = isTree(this.#filter) ? items.in('needs').filter((item) => !item.parent_agent_id).length : needs;
    const all: Partial<Record<Group, number>> = counts && more && !this.#text
      ? { running: counts.RUNNING - roots, queued: counts.QUEUED, finished: counts.COMPLETE + counts.ERROR + counts.CANCELED - here('failed') } : {};
    return groups.map((group) => ({
      group, items: items.in(group), count: group === 'needs' ? needs : Math.max(here(group), all[group] ?? 0),
      open: group === 'failed' ? full('failed') : more && all[group] === undefined && group !== 'needs',
    }));
  }

  // needs is how many need a person where their lists are full, so that the server must say it; otherwise 0.
  #needs(more: boolean): number {
    const { main, full, countsOf } = this.#listed;
    const { stale, waiting } = this.#filter;
    if (!(more && (stale || waiting)) && !full('waiting') && !full('stale')) return 0;
    if (waiting && !stale) return main.counts ? totalOf(main.counts) : 0;
    const [stales, waits] = [stale ? main.counts : countsOf('stale'), countsOf('waiting')];
    return stales && waits ? needsOf(stales, waits) : (stales?.stale ?? 0);
  }

  // age moves what failed more than a day ago.
  #age(): void {
    this.#listed.items.age('failed');
    this.changed();
  }

  /** The person looks at these activities: the next page is read where they are the last, and old pages are read again. */
  inSight(first: ActivityListItem | undefined, last: ActivityListItem | undefined, end: boolean): void {
    if (this.#open && !this.#listed.main.ids.has(this.#open) && this.#lookUps.old('open', REFRESH)) void this.#lookUps.lookUp('open', this.#open);
    if (this.#turn) this.#pages.look({ first, last, end }, this.#more() && !this.#exhausted(), this.#turn.signal);
  }
}
