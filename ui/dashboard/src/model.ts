import { useSyncExternalStore } from 'react';

const UNSEEN = 1_000; // ms between two changes of a page in the background

/** Something that changes by itself while it is shown; snapshots are new objects after each change. */
export abstract class Model<T> {
  #listeners = new Set<() => void>();
  #scheduled = false;
  #snapshot: T | undefined;

  /** Begins to watch. */
  protected abstract start(): void;
  protected abstract stop(): void;
  /** Returns the current state as a new object. */
  protected abstract read(): T;

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.start();
    return () => {
      if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
      this.stop();
      this.#snapshot = undefined;
    };
  };

  get = (): T => (this.#snapshot ??= this.read());

  /** Reports all changes within a frame as one. In the background, where there are no frames, a timer does it for the title. */
  protected changed(): void {
    this.#snapshot = undefined; // what is drawn meanwhile for another reason is drawn as it is now
    if (this.#scheduled) return;
    this.#scheduled = true;
    const notify = () => {
      this.#scheduled = false;
      for (const listener of [...this.#listeners]) listener();
    };
    if (document.hidden) setTimeout(notify, UNSEEN);
    else requestAnimationFrame(notify);
  }
}

/** Returns the snapshot of a model, and starts the model while a component uses it. */
export const useSnapshot = <T,>({ subscribe, get }: Model<T>): T => useSyncExternalStore(subscribe, get);
