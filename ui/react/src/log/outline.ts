// What is known of a whole log without all of its lines: its attempts, and its percentage over time.

import type { Activity, ActivityLog, Status } from '@agentexec/client';
import { isFinal } from '@agentexec/client/state';
import { beginning } from '@agentexec/client/text';
import { lastWhere } from './log_rows.ts';
import { type Line, type LogStore, PAGE, pageOf } from './log_store.ts';

const WHOLE = 2_000; // lines: a log up to this long is read as a whole
const SAMPLES = 60; // places at which a longer one is read for its percentage
const SAMPLE = 5; // lines read at each
const AT_ONCE = 3;
const MOST_ATTEMPTS = 20; // the last ones whose beginnings are looked for
const MOST_POINTS = 4_000;
const PARTS = 1_000;
const LONGEST = 2_000; // characters kept of the message of an error
const NEAR = 20; // lines: an attempt seldom has more of them after its end

export interface Attempt {
  number: number;
  /** The seq of its first line. */
  seq: number;
  /** When it was first RUNNING, in milliseconds; null before. */
  startedAt: number | null;
  /** The line that ended it; null while it goes on. */
  end: { seq: number; at: number; status: Status; message: string } | null;
}

/** A percentage that a line reported. */
export interface Point {
  seq: number;
  at: number;
  attempt: number;
  percentage: number;
}

export interface OutlineState {
  /** Those that are known, the first one first. */
  attempts: readonly Attempt[];
  /** By seq; of very many only some. */
  points: readonly Point[];
}

interface Mark {
  seq: number;
  at: number;
  attempt: number;
  status: Status;
  message: string;
}

export class Outline {
  #store: LogStore;
  #changed: () => void;
  #marks = new Map<number, Mark>(); // lines that began an attempt or changed the status
  #points = new Map<number, Point>();
  #state: OutlineState | undefined;
  #explored = -1; // the epoch

  constructor(store: LogStore, changed: () => void) {
    this.#store = store;
    this.#changed = changed;
  }

  add({ seq, at, attempt, status, message, percentage, changed, begins }: Line): void {
    if (changed || begins || seq === 1) {
      this.#marks.set(seq, { seq, at, attempt, status, message: beginning(message, LONGEST) });
      this.#state = undefined;
    }
    if (percentage !== null) this.#point({ seq, at, attempt, percentage });
  }

  #point(point: Point): void {
    this.#points.set(point.seq, point);
    this.#state = undefined;
    if (this.#points.size <= MOST_POINTS) return;
    // Of each part of the log the first and the last are kept.
    const points = [...this.#points].sort(([a], [b]) => a - b);
    const [first, last] = [points[0]![0], points.at(-1)![0]];
    const part = (n: number) => Math.floor(((points[n]?.[0] ?? NaN) - first) / ((last - first + 1) / PARTS));
    this.#points = new Map(points.filter((_, n) => part(n) !== part(n - 1) || part(n) !== part(n + 1)));
  }

  withdraw(from: number): void {
    for (const all of [this.#marks, this.#points]) for (const seq of all.keys()) if (seq >= from) all.delete(seq);
    this.#state = undefined;
  }

  read(activity: Activity | undefined): OutlineState {
    this.#state ??= {
      attempts: attemptsOf([...this.#marks.values()].sort((a, b) => a.seq - b.seq), activity),
      points: [...this.#points.values()].sort((a, b) => a.seq - b.seq),
    };
    return this.#state;
  }

  /** Reads what is missing: the whole of a short log; of a long one the places where attempts begin, and samples. */
  async explore(): Promise<void> {
    const { last, epoch } = this.#store;
    const { activity } = this.#store.get();
    if (!activity || this.#explored === epoch) return;
    this.#explored = epoch;
    try {
      if (last <= WHOLE) {
        for (let page = pageOf(Math.max(1, last)); page >= 0; page--) await this.#store.load(page);
        return;
      }
      await this.#store.load(0);
      const { attempt } = activity;
      for (let n = Math.max(2, attempt - MOST_ATTEMPTS + 1); n <= attempt; n++) await this.#seek((line) => line.attempt >= n);
      if (isFinal(activity.status)) await this.#seek((line) => line.attempt >= attempt && isFinal(line.status));
      await this.#sample(last);
    } catch {
      this.#explored = -1; // it is tried again when the log is opened again
    }
  }

  // seek reads the page with the first line for which a condition holds. It holds for all lines after that.
  async #seek(holds: (line: { attempt: number; status: Status }) => boolean): Promise<void> {
    let [low, high] = [1, this.#store.last];
    for (const mark of this.#marks.values()) {
      if (!holds(mark)) low = Math.max(low, mark.seq + 1);
      else high = Math.min(high, mark.seq);
    }
    while (low < high) {
      const mid = (low + high) >> 1;
      const line = await this.#lineFrom(mid);
      if (!line || holds({ attempt: line.attempt ?? 1, status: line.status })) high = mid;
      else low = line.seq + 1;
    }
    await this.#store.load(pageOf(low));
    if ((low - 1) % PAGE < NEAR && low > PAGE) await this.#store.load(pageOf(low) - 1);
  }

  async #lineFrom(seq: number): Promise<ActivityLog | undefined> {
    return this.#store.line(seq) ?? (await this.#store.client.detail(this.#store.id, { afterSeq: seq - 1, limit: 1 })).logs[0];
  }

  async #sample(last: number): Promise<void> {
    let n = 1;
    const worker = async () => {
      while (n < SAMPLES) {
        const seq = Math.max(1, Math.floor((n++ / SAMPLES) * last) - SAMPLE);
        if (this.#store.whole(pageOf(seq))) continue;
        const { logs } = await this.#store.client.detail(this.#store.id, { afterSeq: seq - 1, limit: SAMPLE });
        for (const line of logs) if (line.percentage !== null) this.#point({ seq: line.seq, at: Date.parse(line.created_at), attempt: line.attempt ?? 1, percentage: line.percentage });
        this.#changed();
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  }
}

function attemptsOf(marks: Mark[], activity: Activity | undefined): Attempt[] {
  const attempts: Attempt[] = [];
  for (const { seq, at, attempt: number, status, message } of marks) {
    let attempt = attempts.at(-1);
    if (attempt?.number !== number) attempts.push((attempt = { number, seq, startedAt: null, end: null }));
    if (status === 'RUNNING') attempt.startedAt ??= at;
    if (isFinal(status)) attempt.end ??= { seq, at, status, message };
  }
  const [first] = attempts;
  if (first?.number === 1 && activity?.started_at) first.startedAt ??= Date.parse(activity.started_at);
  return attempts;
}

/** The attempt that a line belongs to, if its beginning is known. */
export const attemptAt = (attempts: readonly Attempt[], seq: number): Attempt | undefined => attempts[lastWhere(attempts.length, (n) => attempts[n]!.seq <= seq)];
