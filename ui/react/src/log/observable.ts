import { useSyncExternalStore } from 'react';

const LINGER = 1_000; // ms that it goes on after its last listener has left: a page that changes comes back to it
const UNSEEN = 1_000; // ms between two reports in a page in the background

/** State that changes by itself while it has listeners. Snapshots are new objects after each change. */
export abstract class Observable<T> {
  #listeners = new Set<() => void>();
  #scheduled = false;
  #running = false;
  #leaving: ReturnType<typeof setTimeout> | undefined;
  #snapshot: T | undefined;

  /** Is called when the first listener comes. */
  protected start(): void {}
  /** Is called a second after the last listener has left. */
  protected stop(): void {}
  /** Returns the current state as a new object. */
  protected abstract read(): T;

  subscribe = (listener: () => void): (() => void) => {
    clearTimeout(this.#leaving);
    this.#listeners.add(listener);
    if (!this.#running) {
      this.#running = true;
      this.start();
    }
    return () => {
      if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
      this.#leaving = setTimeout(() => {
        this.#running = false;
        this.stop();
      }, LINGER);
    };
  };

  get = (): T => (this.#snapshot ??= this.read());

  /** Reports a change now. */
  protected report(): void {
    this.#snapshot = undefined;
    for (const listener of [...this.#listeners]) listener();
  }

  /** Reports all changes within a frame as one. */
  protected changed(): void {
    this.#snapshot = undefined; // what is drawn meanwhile for another reason is drawn as it is now
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

/** Returns the snapshot, and keeps it up to date while the component is there. */
export const useSnapshot = <T,>({ subscribe, get }: Pick<Observable<T>, 'subscribe' | 'get'>): T => useSyncExternalStore(subscribe, get, get);
