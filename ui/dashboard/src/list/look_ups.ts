import type { ActivityListItem } from '@agentexec/client';

/** What is looked up: the activities that a search names by their id, and the one that is open. */
export type LookUp = 'found' | 'open';

/** Reads activities by the beginning of their id: they may be far down. A later look-up of a name takes the place of an earlier one. */
export class LookUps {
  #read: (idPrefix: string, signal: AbortSignal) => Promise<{ items: ActivityListItem[] }>;
  #hold: (name: LookUp, items: readonly ActivityListItem[]) => void;
  #turns = new Map<LookUp, AbortController>();
  #readAt = new Map<LookUp, number>();

  constructor(read: (idPrefix: string, signal: AbortSignal) => Promise<{ items: ActivityListItem[] }>, hold: (name: LookUp, items: readonly ActivityListItem[]) => void) {
    this.#read = read;
    this.#hold = hold;
  }

  /** Whether so many milliseconds passed since a name was looked up. */
  old = (name: LookUp, ms: number): boolean => Date.now() - (this.#readAt.get(name) ?? 0) > ms;

  async lookUp(name: LookUp, idPrefix: string | undefined): Promise<void> {
    this.#turns.get(name)?.abort();
    this.#readAt.set(name, Date.now());
    if (!idPrefix) return this.#hold(name, []);
    const turn = new AbortController();
    this.#turns.set(name, turn);
    try {
      const { items } = await this.#read(idPrefix, turn.signal);
      if (!turn.signal.aborted) this.#hold(name, items);
    } catch {
      // What was read is searched and shown all the same.
    }
  }

  stop(): void {
    for (const turn of this.#turns.values()) turn.abort();
  }
}
