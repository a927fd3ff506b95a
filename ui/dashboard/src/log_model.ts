// One activity with its log, each line once and in order, as rows: lines, and notes where something is missing.

import type { Activity, ActivityEvent, ActivityGap, ActivityLog, Client, FeedError } from '@agentexec/client';
import { type ActivityView, applyActivity } from '@agentexec/client/state';
import { Model } from './model.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const MOST_LINES = 250_000;
const MOST_CHARACTERS = 32e6;
const MOST_POINTS = 4_000;
const AGAIN = 2_000; // between two looks whether there is such an activity
const REFUSED = 5_000; // before what was refused for another reason is tried again

/** Whether a text is what an id looks like, in lower case. */
export const isId = (text: string): boolean => UUID.test(text);

export interface Line extends ActivityLog {
  kind: 'line';
  /** It changed the status. */
  changed: boolean;
  /** Whether it is the first line of a second or later attempt. */
  begins: boolean;
  /** When it was written, in milliseconds. */
  at: number;
}

export interface Note {
  kind: 'note';
  seq: number;
  text: string;
}

export type Entry = Line | Note;

/** A change of the percentage. */
export interface Point {
  seq: number;
  at: number;
  percentage: number;
}

export interface Log {
  activity: Activity | undefined;
  /** By seq. The same array at every change; it grew, or `torn` counts. */
  entries: readonly Entry[];
  length: number;
  /** How often entries went at the beginning or the end: what is known of their places is void. */
  torn: number;
  /** The percentage from the beginning on, also of lines that are no longer here; of very many points only some. */
  points: readonly Point[];
  /** The last seq that came. */
  cursor: number;
  /** How many earlier lines came and are not kept here. */
  earlier: number;
  loading: boolean;
  /** There is no such activity, or it is gone. */
  missing: boolean;
  /** Why nothing comes, for people. It is tried again. */
  problem: string;
}

export class LogModel extends Model<Log> {
  readonly id: string;
  #client: Client;
  #view: ActivityView = { activity: undefined, logs: [], ended: false }; // of the lines only the last
  #entries: Entry[] = [];
  #points: Point[] = [];
  #torn = 0;
  #cursor = 0;
  #earlier = 0;
  #characters = 0;
  #error: FeedError | undefined;
  #over: (() => void) | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;

  constructor(client: Client, id: string) {
    super();
    this.#client = client;
    this.id = id;
  }

  protected start(): void {
    if (!isId(this.id)) return;
    this.#over = this.#client.watchActivity(this.id, { afterSeq: this.#cursor }, (event) => this.#take(event), (error) => {
      this.#error = error;
      this.#again = setTimeout(() => this.start(), error.code === 'not_found' ? AGAIN : REFUSED);
      this.changed();
    });
  }

  protected stop(): void {
    clearTimeout(this.#again);
    this.#over?.();
  }

  protected read(): Log {
    const { activity } = this.#view;
    const missing = this.#error ? this.#error.code === 'not_found' : !isId(this.id);
    return {
      activity, missing, entries: this.#entries, length: this.#entries.length, torn: this.#torn, points: this.#points, cursor: this.#cursor,
      earlier: this.#earlier,
      loading: !activity && !this.#error && !missing,
      problem: this.#error && !missing ? this.#error.message : '',
    };
  }

  #take(event: ActivityEvent): void {
    this.#error = undefined;
    applyActivity(this.#view, event);
    this.#view.logs.splice(0, this.#view.logs.length - 1);
    if (event.type === 'logs') this.#add(event.logs);
    if (event.type === 'gap') this.#note(event);
    this.changed();
  }

  #note({ reason, after_seq, next_seq }: ActivityGap): void {
    if (reason === 'reset') this.#withdraw(next_seq);
    const [from, to] = reason === 'reset' ? [next_seq, Math.max(after_seq, next_seq)] : [after_seq + 1, next_seq - 1];
    const lines = from === to ? `ine ${from} is` : `ines ${from} to ${to} are`;
    const text = reason === 'reset' ? `The database was set back: l${lines} void.` : `L${lines} no longer kept.`;
    this.#entries.push({ kind: 'note', seq: next_seq - 1, text });
    this.#cursor = next_seq - 1;
  }

  #add(lines: ActivityLog[]): void {
    let before: ActivityLog | undefined = this.#entries.findLast((e) => e.kind === 'line');
    for (const line of lines) {
      const at = Date.parse(line.created_at);
      const begins = (line.attempt ?? 1) !== (before?.attempt ?? 1); // a server of an earlier version leaves it out
      this.#entries.push({ ...line, kind: 'line', changed: before?.status !== line.status, begins, at });
      this.#characters += weight(line);
      if (line.percentage !== null && line.percentage !== this.#points.at(-1)?.percentage) this.#points.push({ seq: line.seq, at, percentage: line.percentage });
      before = line;
    }
    this.#cursor = lines.at(-1)!.seq;
    if (this.#points.length > MOST_POINTS) this.#points = this.#points.filter((_, n) => n % 2 === 0);
    if (this.#characters > MOST_CHARACTERS || this.#entries.length > MOST_LINES) this.#drop();
  }

  // drop lets a quarter go, so that it is not done for every line.
  #drop(): void {
    let n = 0;
    while (n < this.#entries.length - 1 && (this.#characters > 0.75 * MOST_CHARACTERS || this.#entries.length - n > 0.75 * MOST_LINES)) {
      const entry = this.#entries[n++]!;
      if (entry.kind === 'note') continue;
      this.#earlier++;
      this.#characters -= weight(entry);
    }
    this.#entries.splice(0, n);
    this.#torn++;
  }

  // withdraw takes lines back, and what was said of an earlier reset to the same line.
  #withdraw(from: number): void {
    for (let last = this.#entries.at(-1); last && last.seq >= (last.kind === 'note' ? from - 1 : from); last = this.#entries.at(-1)) {
      if (last.kind === 'line') this.#characters -= weight(last);
      this.#entries.pop();
    }
    this.#points = this.#points.filter(({ seq }) => seq < from);
    this.#torn++;
  }
}

// weight is roughly what a line takes, in characters.
const weight = ({ message, data }: ActivityLog) => message.length + 100 + (data === null ? 0 : typeof data === 'object' ? JSON.stringify(data).length : 20);
