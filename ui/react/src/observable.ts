import { useSyncExternalStore } from 'react';
import type { Client } from '@agentexec/client';

const LINGER = 1_000; // ms that it goes on after its last listener has left: a page that changes comes back to it
const UNSEEN = 1_000; // ms between two reports in a page in the background

/** State for a component: get returns the same object until something has changed. */
export interface Store<T> {
  subscribe(listener: () => void): () => void;
  get(): T;
}

/** State that changes by itself while it has listeners. Snapshots are new objects after each change. */
export abstract class Observable<T> implements Store<T> {
  #linger: number;
  #listeners = new Set<() => void>();
  #scheduled = false;
  #running = false;
  #leaving: ReturnType<typeof setTimeout> | undefined;
  #snapshot: T | undefined;

  /** Makes one that goes on for linger ms after its last listener has left, default a second; with 0 it stops at once. */
  constructor(linger = LINGER) {
    this.#linger = linger;
  }

  /** Is called when the first listener comes. */
  protected start(): void {}
  /** Is called when it has lingered after its last listener has left. */
  protected stop(): void {}
  /** Returns the current state as a new object. */
  protected abstract read(): T;

  /** Whether it has listeners, or lingers. */
  get running(): boolean {
    return this.#running;
  }

  subscribe = (listener: () => void): (() => void) => {
    clearTimeout(this.#leaving);
    this.#listeners.add(listener);
    if (!this.#running) {
      this.#running = true;
      this.start();
    }
    return () => {
      if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
      if (this.#linger) this.#leaving = setTimeout(() => this.#end(), this.#linger);
      else this.#end();
    };
  };

  #end(): void {
    this.#running = false;
    this.stop();
    this.#snapshot = undefined;
  }

  get = (): T => (this.#snapshot ??= this.read());

  /** Reports a change now. */
  protected report(): void {
    this.#snapshot = undefined;
    for (const listener of [...this.#listeners]) listener();
  }

  /** Reports all changes within a frame as one. */
  protected changed(): void {
    this.#snapshot = undefined; // a render that comes before the report shows the new state
    if (this.#scheduled) return;
    this.#scheduled = true;
    const notify = () => {
      this.#scheduled = false;
      this.report();
    };
    if (globalThis.document?.hidden) setTimeout(notify, UNSEEN); // where there are no frames
    else (globalThis.requestAnimationFrame ?? setTimeout)(notify);
  }
}

const shared = new WeakMap<Client, Map<string, Observable<unknown>>>();

/** An Observable with a key. While it runs, `sharedOf` returns it for this key of the client. */
export abstract class Shared<T> extends Observable<T> {
  #all: Map<string, Observable<unknown>>;
  #key: string;

  constructor(client: Client, key: string) {
    super();
    this.#all = allOf(client);
    this.#key = key;
  }

  protected override start(): void {
    if (!this.#all.has(this.#key)) this.#all.set(this.#key, this);
  }

  protected override stop(): void {
    if (this.#all.get(this.#key) === this) this.#all.delete(this.#key);
  }
}

function allOf(client: Client): Map<string, Observable<unknown>> {
  let all = shared.get(client);
  if (!all) shared.set(client, (all = new Map()));
  return all;
}

/** Returns the observable of a client with this key. make creates it where there is none. */
export function sharedOf<S extends Shared<unknown>>(client: Client, key: string, make: () => S): S {
  const all = allOf(client);
  const known = all.get(key) as S | undefined;
  if (known) return known;
  const made = make();
  all.set(key, made);
  // A render that React gives up never subscribes.
  setTimeout(() => {
    if (!made.running && all.get(key) === made) all.delete(key);
  }, LINGER);
  return made;
}

/** Returns the snapshot, and keeps it up to date while the component is there. */
export const useSnapshot = <T,>({ subscribe, get }: Store<T>): T => useSyncExternalStore(subscribe, get, get);
