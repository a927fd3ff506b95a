// Stores for the hooks: the state of one watch, shared by all components that show it, and new at most once a frame.

import type { ActivityListItem, Client, Counts, FeedError, ListFilter } from '@agentexec/client';
import { applyList, compareItems } from '@agentexec/client/state';
import { Shared, sharedOf, type Store } from './observable.ts';

interface Watching<T> {
  /** The state now, as an object of its own. */
  read(): T;
  stop(): void;
}

/** Begins a watch, and calls changed after each change. */
type Begin<T> = (changed: () => void) => Watching<T>;

class Watched<T> extends Shared<T> {
  #empty: T;
  #begin: Begin<T>;
  #watching: Watching<T> | undefined;

  constructor(client: Client, key: string, empty: T, begin: Begin<T>) {
    super(client, key);
    this.#empty = empty;
    this.#begin = begin;
  }

  protected override start(): void {
    super.start();
    this.#watching = this.#begin(() => this.changed());
  }

  protected override stop(): void {
    super.stop();
    this.#watching?.stop();
    this.#watching = undefined;
  }

  protected read(): T {
    return this.#watching ? this.#watching.read() : this.#empty;
  }
}

/** The store of a client with this key. */
export function storeOf<T>(client: Client, key: string, empty: T, begin: Begin<T>): Store<T> {
  return sharedOf(client, key, () => new Watched(client, key, empty, begin));
}

export interface ListResult {
  /** In the order of a list: RUNNING, QUEUED, finished, and in each the newest first. */
  items: readonly ActivityListItem[];
  /** The number per status under the filter's type and metadata, whatever its statuses. */
  counts: Counts | undefined;
  loading: boolean;
  error: FeedError | undefined;
}

export const noList: ListResult = { items: [], counts: undefined, loading: true, error: undefined };

export function listStore(client: Client, filter: ListFilter): Store<ListResult> {
  return storeOf(client, 'list ' + canonical(filter), noList, (changed) => {
    const items = new Map<string, ActivityListItem>();
    let counts: Counts | undefined;
    let error: FeedError | undefined;
    const stop = client.watchList(
      filter,
      {},
      (event) => {
        applyList(items, event);
        counts = event.counts;
        changed();
      },
      (e) => {
        error = e;
        changed();
      },
    );
    return { read: () => ({ items: [...items.values()].sort(compareItems), counts, loading: !counts && !error, error }), stop };
  });
}

/** JSON with sorted keys: filters that are equal give equal text. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, v: unknown) =>
    v && typeof v === 'object' && !Array.isArray(v) ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1))) : v,
  ) ?? '';
}
