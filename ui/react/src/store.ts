// Stores for the hooks: the state of one watch, shared by all components that show it, and new at most once a frame.

import type { ActivityGap, ActivityListItem, ActivityLog, Activity, Client, Counts, FeedError, ListFilter } from '@agentexec/client';
import { type ActivityView, applyActivity, applyList, compareItems } from '@agentexec/client/state';

const LINGER = 1_000; // how long a watch outlives the last who showed it: a page that changes comes back to it
const MOST_GAPS = 100;
const UNSEEN = 1_000; // ms between two reports in a page in the background

export interface Store<T> {
  subscribe(listener: () => void): () => void;
  get(): T;
}

interface Watching<T> {
  /** The state now, as an object of its own. */
  read(): T;
  stop(): void;
}

const stores = new WeakMap<Client, Map<string, Store<unknown>>>();

/** The store of a client with this key; start begins its watch, and calls changed after each change. */
export function storeOf<T>(client: Client, key: string, empty: T, start: (changed: () => void) => Watching<T>): Store<T> {
  let ofClient = stores.get(client);
  if (!ofClient) stores.set(client, (ofClient = new Map()));
  let store = ofClient.get(key) as Store<T> | undefined;
  if (!store) ofClient.set(key, (store = createStore(ofClient, key, empty, start)));
  return store;
}

function createStore<T>(all: Map<string, Store<unknown>>, key: string, empty: T, start: (changed: () => void) => Watching<T>): Store<T> {
  const listeners = new Set<() => void>();
  let watching: Watching<T> | undefined;
  let value = empty;
  let scheduled = false;
  let leaving: ReturnType<typeof setTimeout> | undefined;

  // All changes within a frame are reported as one.
  const changed = () => {
    if (scheduled) return;
    scheduled = true;
    nextFrame(() => {
      scheduled = false;
      if (!watching) return;
      value = watching.read();
      for (const listener of [...listeners]) listener();
    });
  };
  const leave = () => {
    clearTimeout(leaving);
    leaving = setTimeout(() => {
      watching?.stop();
      watching = undefined;
      value = empty;
      if (all.get(key) === store) all.delete(key);
    }, LINGER);
  };
  const store: Store<T> = {
    subscribe(listener) {
      clearTimeout(leaving);
      if (!all.has(key)) all.set(key, store);
      listeners.add(listener);
      watching ??= start(changed);
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) leave();
      };
    },
    get: () => value,
  };
  leave(); // a render that is given up leaves no subscription
  return store;
}

function nextFrame(go: () => void): void {
  if (globalThis.document?.hidden) setTimeout(go, UNSEEN); // where there are no frames
  else (globalThis.requestAnimationFrame ?? setTimeout)(go);
}

export interface ActivityResult {
  /** The activity, undefined until it is known. */
  activity: Activity | undefined;
  /** The lines in seq order: of a log longer than maxLogs the newest. */
  logs: readonly ActivityLog[];
  /** How many earlier lines came and are not kept here. */
  earlier: number;
  /** The newest exceptions from "each line once". */
  gaps: readonly ActivityGap[];
  /** All lines are there and leave the activity finished. */
  ended: boolean;
  /** Nothing is known yet. */
  loading: boolean;
  /** Why nothing more comes, such as an activity that there is not (`not_found`). */
  error: FeedError | undefined;
}

export const noActivity: ActivityResult = { activity: undefined, logs: [], earlier: 0, gaps: [], ended: false, loading: true, error: undefined };

export function activityStore(client: Client, id: string, afterSeq: number, maxLogs: number): Store<ActivityResult> {
  return storeOf(client, `activity ${id} ${afterSeq} ${maxLogs}`, noActivity, (changed) => {
    const view: ActivityView = { activity: undefined, logs: [], ended: false };
    let gaps: ActivityGap[] = [];
    let earlier = 0;
    let error: FeedError | undefined;
    let logs: ActivityLog[] = []; // as last read
    let touched = false;
    const stop = client.watchActivity(
      id,
      { afterSeq },
      (event) => {
        applyActivity(view, event);
        touched ||= event.type === 'logs' || event.type === 'gap';
        if (event.type === 'gap') gaps = [...gaps, event].slice(-MOST_GAPS);
        // Room for as much again, so that not every line moves all others.
        if (view.logs.length > 2 * maxLogs) earlier += view.logs.splice(0, view.logs.length - maxLogs).length;
        changed();
      },
      (e) => {
        error = e;
        changed();
      },
    );
    return {
      read() {
        if (touched) logs = view.logs.slice(-maxLogs);
        touched = false;
        const { activity, ended } = view;
        return { activity, logs, earlier: earlier + view.logs.length - logs.length, gaps, ended, loading: !activity && !error, error };
      },
      stop,
    };
  });
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
