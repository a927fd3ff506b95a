// What a person does with a log: what is looked for, which line is linked, whether the end is followed.

import { useEffect, useMemo } from 'react';
import { useClient } from '../hooks.tsx';
import { Finder, type Found, type Wanted } from './finder.ts';
import type { Level } from './levels.ts';
import { lastWhere, type Rows, SomeRows } from './log_rows.ts';
import { type LogState, type LogStore, logStore } from './log_store.ts';
import { Observable, useSnapshot } from '../observable.ts';

const WRAP = 'agentexec.wrap';

/** What of a log is shown, and how. */
export interface LogView {
  log: LogState;
  /** The rows to show: all of them, or those that were found. */
  rows: Rows;
  /** The text to find, as typed. */
  text: string;
  /** In lower case, '' for none. */
  sought: string;
  /** Only lines of at least this level; null for all. */
  level: Level | null;
  /** Only lines that changed the status. */
  changes: boolean;
  /** Only lines with the text are shown; else they are marked. */
  only: boolean;
  /** The result of the search for the text; undefined without a text. */
  hits: Found | undefined;
  /** The result of the filter; undefined without one. */
  filtered: Found | undefined;
  /** The seq of the hit that was gone to last. */
  current: number | null;
  /** The seq of the linked line. */
  linked: number | null;
  wrap: boolean;
  following: boolean;
}

/** Where the view is to go: the count tells two wishes apart. */
export interface Place {
  seq: number;
  count: number;
}

export class LogHandle extends Observable<LogView> {
  readonly store: LogStore;
  /** The place to go to, for the component that scrolls. */
  place: Place | null = null;
  #text = '';
  #level: Level | null = null;
  #changes = false;
  #only = false;
  #current: number | null = null;
  #linked: number | null = null;
  #wrap = remembered(WRAP) !== 'no';
  #following = true;
  #hits: Finder | undefined;
  #filter: Finder | undefined;
  #jump = false; // goes to the first hit that is found
  #leave: (() => void) | undefined;

  constructor(store: LogStore) {
    super();
    this.store = store;
  }

  protected override start(): void {
    this.#leave = this.store.open(() => {
      this.#hits?.run();
      this.#filter?.run();
      this.report(); // in the same frame
    });
  }

  protected override stop(): void {
    this.#leave?.();
    this.#hits?.stop();
    this.#filter?.stop();
  }

  protected read(): LogView {
    const log = this.store.get();
    const [hits, filtered] = [this.#hits?.found, this.#filter?.found];
    return {
      log, hits, filtered, rows: filtered ? new SomeRows(filtered.seqs, `${this.#filter!.wanted.text} ${filtered.generation}`) : log.rows,
      text: this.#text, sought: soughtOf(this.#text), level: this.#level, changes: this.#changes, only: this.#only,
      current: this.#current, linked: this.#linked, wrap: this.#wrap, following: this.#following,
    };
  }

  find(text: string): void {
    this.#text = text;
    this.#current = null;
    this.#search();
  }

  filter(more: { level?: Level | null; changes?: boolean; only?: boolean }): void {
    if (more.level !== undefined) this.#level = more.level;
    if (more.changes !== undefined) this.#changes = more.changes;
    if (more.only !== undefined) this.#only = more.only;
    this.#search();
  }

  #search(): void {
    const text = soughtOf(this.#text);
    const filter: Wanted = { text: this.#only ? text : '', level: this.#level, changes: this.#changes };
    this.#jump = text !== '' && !this.#only;
    this.#hits = this.#renew(this.#hits, { ...filter, text }, text !== '');
    this.#filter = this.#renew(this.#filter, filter, Boolean(filter.text || filter.level || filter.changes));
    this.changed();
  }

  #renew(old: Finder | undefined, wanted: Wanted, needed: boolean): Finder | undefined {
    if (old && needed && JSON.stringify(old.wanted) === JSON.stringify(wanted)) return old;
    old?.stop();
    if (!needed) return undefined;
    const finder: Finder = new Finder(this.store, wanted, () => {
      if (finder === this.#hits) this.#arrive();
      this.changed();
    });
    queueMicrotask(() => {
      finder.run();
      if (finder === this.#hits) this.#arrive();
      this.changed();
    });
    return finder;
  }

  #arrive(): void {
    if (this.#jump && this.#hits!.found.seqs.length) this.next(-1);
  }

  /** Goes to the next hit, or with -1 to the one before; from the last one to the first, and back. */
  next(by: 1 | -1 = 1): boolean {
    const seqs = this.#hits?.found.seqs ?? [];
    if (!seqs.length) return false;
    const from = this.#current ?? Infinity;
    const at = by > 0 ? lastWhere(seqs.length, (n) => seqs[n]! <= from) + 1 : lastWhere(seqs.length, (n) => seqs[n]! < from);
    this.#jump = false;
    this.#current = seqs[(at + seqs.length) % seqs.length]!;
    this.go(this.#current);
    return true;
  }

  /** Goes to a line, which need not be here yet. */
  go(seq: number): void {
    this.place = { seq, count: (this.place?.count ?? 0) + 1 };
    this.#following = false;
    this.changed();
  }

  /** Marks a line as the linked one, and goes to it. */
  link(seq: number | null): void {
    this.#linked = seq;
    if (seq !== null) this.go(seq);
    else this.changed();
  }

  wrap(on: boolean): void {
    this.#wrap = on;
    remember(WRAP, on ? 'yes' : 'no');
    this.changed();
  }

  follow(on: boolean): void {
    if (on) this.place = null;
    if (this.#following === on) return;
    this.#following = on;
    this.changed();
  }
}

const soughtOf = (text: string) => text.trim().toLowerCase();

// A page may not be allowed to keep anything.
function remembered(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function remember(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // It lasts as long as the page.
  }
}

/** The log of an activity, for LogTools and LogView. Components that get the same handle show the same place. */
export function useLog(agentId: string): LogHandle {
  const client = useClient();
  return useMemo(() => new LogHandle(logStore(client, agentId)), [client, agentId]);
}

/** What a handle shows, live. */
export const useLogView = (handle: LogHandle): LogView => useSnapshot(handle);

/** The activity of a handle and what is known of its log, live. */
export const useLogState = (handle: LogHandle): LogState => useSnapshot(handle).log;

/** Goes to the line that the address names (#L6488), now and whenever it changes. */
export function useLinkedLine(handle: LogHandle): void {
  useEffect(() => {
    const look = () => handle.link(linkedLine(location.hash));
    look();
    addEventListener('hashchange', look);
    return () => removeEventListener('hashchange', look);
  }, [handle]);
}

const linkedLine = (hash: string): number | null => Number(/^#L(\d{1,10})$/.exec(hash)?.[1]) || null;
