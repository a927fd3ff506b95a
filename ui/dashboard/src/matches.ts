import type { Entry, Log } from './log_model.ts';

/** The lines to find in a log: those that changed the status, those that contain a text in lower case, or all. */
export interface Wanted {
  changes: boolean;
  text: string;
}

/** The entries that are wanted. Those that were looked at once are not looked at again, as long as they stay. */
export class Matches {
  #wanted: Wanted;
  #torn = -1;
  #looked = 0;
  #found: Entry[] = [];

  constructor(wanted: Wanted) {
    this.#wanted = wanted;
  }

  /** The same array, longer, unless the log was torn. */
  of({ entries, torn }: Log): readonly Entry[] {
    const { changes, text } = this.#wanted;
    if (!changes && !text) return entries;
    if (torn !== this.#torn) {
      this.#torn = torn;
      this.#looked = 0;
      this.#found = [];
    }
    for (; this.#looked < entries.length; this.#looked++) {
      const e = entries[this.#looked]!;
      if (e.kind === 'line' && (!changes || e.changed) && (!text || e.message.toLowerCase().includes(text))) this.#found.push(e);
    }
    return this.#found;
  }
}
