// The rows of a log by their index: a row for each line, and one for each note about lines that are not there.

/** What is said of lines that are not there. */
export interface Note {
  /** The note stands after the line with this seq. */
  seq: number;
  /** The first of the lines up to seq that it stands for; seq + 1 where it stands for none. */
  from: number;
  text: string;
}

export type Row = { seq: number; note: null } | { seq: number; note: Note };

/** Rows in the order of their seqs. */
export interface Rows {
  readonly length: number;
  /** The rows of the same kind, longer at the end, have the same generation: what is known of their places stays true. */
  readonly generation: unknown;
  at(index: number): Row | undefined;
  /** The index of the row with this seq, or of the first one after it. */
  indexOf(seq: number): number;
  has(seq: number): boolean;
}

interface Block {
  index: number;
  seq: number;
  length: number;
  note: Note | null;
}

/** All lines up to `last`, without those that the notes stand for. The notes are by seq. */
export class AllRows implements Rows {
  readonly generation: unknown;
  readonly last: number;
  readonly length: number;
  #blocks: Block[] = [];

  constructor(last: number, notes: readonly Note[]) {
    this.generation = notes;
    this.last = last;
    let [index, seq] = [0, 1];
    const lines = (until: number) => {
      if (until < seq) return;
      this.#blocks.push({ index, seq, length: until - seq + 1, note: null });
      index += until - seq + 1;
      seq = until + 1;
    };
    for (const note of notes) {
      lines(Math.min(note.from - 1, last));
      this.#blocks.push({ index: index++, seq: note.seq, length: 1, note });
      seq = Math.max(seq, note.seq + 1);
    }
    lines(last);
    this.length = index;
  }

  at(index: number): Row | undefined {
    if (index < 0 || index >= this.length) return undefined;
    const block = this.#blocks[lastWhere(this.#blocks.length, (n) => this.#blocks[n]!.index <= index)]!;
    return block.note ? { seq: block.seq, note: block.note } : { seq: block.seq + index - block.index, note: null };
  }

  indexOf(seq: number): number {
    const block = this.#blocks[lastWhere(this.#blocks.length, (n) => this.#blocks[n]!.seq <= seq)];
    if (!block) return 0;
    if (block.note) return block.seq === seq ? block.index : block.index + 1;
    return Math.min(block.index + seq - block.seq, block.index + block.length);
  }

  has(seq: number): boolean {
    const row = this.at(this.indexOf(seq));
    return row !== undefined && row.note === null && row.seq === seq;
  }
}

/** Some lines, by their seqs in ascending order. */
export class SomeRows implements Rows {
  readonly generation: unknown;
  readonly length: number;
  #seqs: readonly number[];

  constructor(seqs: readonly number[], generation: unknown) {
    this.#seqs = seqs;
    this.length = seqs.length;
    this.generation = generation;
  }

  at(index: number): Row | undefined {
    const seq = this.#seqs[index];
    return seq === undefined ? undefined : { seq, note: null };
  }

  indexOf(seq: number): number {
    return lastWhere(this.#seqs.length, (n) => this.#seqs[n]! < seq) + 1;
  }

  has(seq: number): boolean {
    return this.#seqs[this.indexOf(seq)] === seq;
  }
}

/** The last of 0 to length - 1 for which the condition holds, -1 where it holds for none. It holds for all before. */
export function lastWhere(length: number, holds: (n: number) => boolean): number {
  let [low, high] = [0, length];
  while (low < high) {
    const mid = (low + high) >> 1;
    if (holds(mid)) low = mid + 1;
    else high = mid;
  }
  return low - 1;
}
