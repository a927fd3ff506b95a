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
  /** What there is now, as an object of its own. */
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

  /** Whatever changes within a frame is one change. There are no frames in the background, but a title. */
  protected changed(): void {
    this.#snapshot = undefined; // what is drawn meanwhile for another reason is drawn as it is now
    if (this.#scheduled) return;
    this.#scheduled = true;
    const tell = () => {
      this.#scheduled = false;
      for (const listener of [...this.#listeners]) listener();
    };
    if (document.hidden) setTimeout(tell, UNSEEN);
    else requestAnimationFrame(tell);
  }
}

/** What a model says now; it works as long as it is in use. */
export const useSnapshot = <T,>({ subscribe, get }: Model<T>): T => useSyncExternalStore(subscribe, get);
