// Finds lines in a whole log: what is not here is read, from the end of the log to its beginning.

import { plain } from '@agentexec/client/text';
import { type Level, levels } from './levels.ts';
import type { Line, LogStore } from './log_store.ts';
import { PAGE, pageOf } from './log_store.ts';

const SLICE = 8; // ms of work between two frames

/** Which lines: those that contain a text in lower case, have at least a level, or changed the status. */
export interface Wanted {
  text: string;
  level: Level | null;
  changes: boolean;
}

export const isWanted = ({ text, level, changes }: Wanted, line: Line): boolean =>
  (!changes || line.changed) && (!level || (line.level !== null && levels.indexOf(line.level) >= levels.indexOf(level))) &&
  (!text || plain(line.message).toLowerCase().includes(text));

export interface Found {
  /** The seqs of the lines that were found, in ascending order. */
  seqs: readonly number[];
  /** The array is another one, or this counts, when lines were added elsewhere than at its end. */
  generation: number;
  /** The number of lines that were looked at, of `total`. */
  looked: number;
  total: number;
  /** All lines were looked at. */
  done: boolean;
}

/** One search. `run` is called until it is done, and again when lines came. */
export class Finder {
  readonly wanted: Wanted;
  #store: LogStore;
  #report: () => void;
  #pages = new Map<number, { seqs: number[]; upTo: number }>(); // what was looked at
  #found: Found = { seqs: [], generation: 0, looked: 0, total: 0, done: false };
  #next = -1; // the page to look at, from the end on
  #epoch = -1;
  #busy = false;
  #stopped = false;

  constructor(store: LogStore, wanted: Wanted, report: () => void) {
    this.#store = store;
    this.wanted = wanted;
    this.#report = report;
  }

  get found(): Found {
    return this.#found;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Looks at the lines that came at the end, and goes on with those before. */
  run(): void {
    const { epoch, last, opened } = this.#store;
    if (!opened) return;
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#pages.clear();
      this.#next = pageOf(Math.max(1, last));
    }
    const end = pageOf(Math.max(1, last));
    for (let page = Math.max(...this.#pages.keys(), this.#next); page <= end; page++) if (page > this.#next) this.#look(page);
    this.#collect();
    if (!this.#busy && this.#next >= 0) void this.#go();
  }

  async #go(): Promise<void> {
    this.#busy = true;
    let since = performance.now();
    while (this.#next >= 0 && !this.#stopped) {
      const { epoch } = this.#store;
      if (!(await this.#store.load(this.#next))) break; // it goes on when lines or the connection come
      if (this.#stopped || epoch !== this.#store.epoch) break;
      this.#look(this.#next--);
      if (performance.now() - since < SLICE && this.#next >= 0) continue;
      this.#collect();
      this.#report();
      await new Promise((go) => setTimeout(go));
      since = performance.now();
    }
    this.#busy = false;
  }

  #look(page: number): void {
    const from = page * PAGE + 1;
    const to = Math.min(from + PAGE - 1, this.#store.last);
    let looked = this.#pages.get(page);
    if (!looked) this.#pages.set(page, (looked = { seqs: [], upTo: from - 1 }));
    for (let seq = looked.upTo + 1; seq <= to; seq++) {
      const line = this.#store.line(seq);
      if (line && isWanted(this.wanted, line)) looked.seqs.push(seq);
    }
    looked.upTo = to;
  }

  #collect(): void {
    const seqs: number[] = [];
    let looked = 0;
    for (const [page, all] of [...this.#pages].sort(([a], [b]) => a - b)) {
      for (const seq of all.seqs) seqs.push(seq);
      looked += all.upTo - page * PAGE;
    }
    const before = this.#found;
    const grew = before.seqs.length <= seqs.length && before.seqs.every((seq, n) => seqs[n] === seq);
    this.#found = {
      seqs: grew && before.seqs.length === seqs.length ? before.seqs : seqs, generation: grew ? before.generation : before.generation + 1,
      looked, total: this.#store.last, done: this.#next < 0,
    };
  }
}
