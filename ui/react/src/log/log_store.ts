// One activity and its log. The end of the log is live; every other part is read when it is wanted, in pages.

import type { Activity, ActivityEvent, ActivityGap, ActivityLog, Client, FeedError, Json } from '@agentexec/client';
import { type ActivityView, applyActivity, isFinal } from '@agentexec/client/state';
import { beginning } from '@agentexec/client/text';
import { type Level, levelOf } from './levels.ts';
import { AllRows, type Note, type Rows } from './log_rows.ts';
import { Shared, sharedOf } from '../observable.ts';
import { Outline, type OutlineState } from './outline.ts';

export const PAGE = 250; // lines
const MOST_LINES = 250_000;
const MOST_CHARACTERS = 32e6;
const PAGE_CHARACTERS = 8e6; // beyond it, of the long lines of a page only the beginning is kept
const LONG = 16_384; // characters
const AT_ONCE = 2; // pages that are read at the same time
const AGAIN = 2_000; // ms between two looks whether there is such an activity
const REFUSED = 5_000; // ms before what was refused for another reason is tried again
const MOST_GAPS = 100;

/** A line with what its place in the log says. */
export interface Line extends ActivityLog {
  /** When it was written, in milliseconds. */
  at: number;
  attempt: number;
  /** The time since the line before, in milliseconds; null where that is not known. */
  gap: number | null;
  /** It changed the status. */
  changed: boolean;
  /** It is the first line of a second or later attempt. */
  begins: boolean;
  /** It was written after the attempt had ended. */
  trailing: boolean;
  level: Level | null;
  /** Only the beginning of the message is here, and no data: this many characters and, roughly, characters of data there are. */
  cut: { message: number; data: number } | null;
}

export interface LogState extends OutlineState {
  activity: Activity | undefined;
  /** All rows, whether or not their lines were read. */
  rows: Rows;
  /** The seq of the last line that is known. */
  last: number;
  /** The seq of the last line that is about a question, of those that were read; 0 for none. */
  asked: number;
  /** Counts the changes of lines. */
  version: number;
  /** Nothing is known yet. */
  loading: boolean;
  /** There is no such activity, or it is gone. */
  missing: boolean;
  /** Why nothing comes, if the server said so. It is tried again. */
  problem: FeedError | undefined;
  /** The same, also where there is no such activity. */
  error: FeedError | undefined;
  /** All lines are there and leave the activity finished. */
  ended: boolean;
  /** The newest exceptions from "each line once". */
  gaps: readonly ActivityGap[];
  /** Pages could not be read; reading is tried again when they are wanted. */
  unread: boolean;
}

interface Page {
  lines: (Line | undefined)[];
  count: number;
  characters: number;
}

/** The newest lines: at most maxLogs of those after a seq. */
export interface Newest {
  afterSeq: number;
  maxLogs: number;
}

export class LogStore extends Shared<LogState> {
  readonly id: string;
  readonly client: Client;
  #view: ActivityView = { activity: undefined, logs: [], ended: false }; // without lines
  #pages = new Map<number, Page>();
  #notes: readonly Note[] = [];
  #rows = new AllRows(0, []);
  #last = 0; // what came of the live end
  #asked = 0;
  #opened = false; // the live end was found
  #version = 0;
  #epoch = 0; // how often lines became void
  #lines = 0;
  #characters = 0;
  #reading = new Map<number, Promise<boolean>>();
  #wanted: readonly number[] = []; // pages
  #unread = false;
  #error: FeedError | undefined;
  #gaps: readonly ActivityGap[] = [];
  #followed = new Set<Newest>();
  #readers = 0;
  #from = Infinity; // while the watch sends earlier lines: it began after this seq
  #over: (() => void) | undefined;
  #tail: ((last: number) => boolean) | undefined; // goes on at the end of a long log, and returns whether it did
  #again: ReturnType<typeof setTimeout> | undefined;
  readonly outline: Outline;

  constructor(client: Client, id: string) {
    super(client, keyOf(id));
    this.client = client;
    this.id = id;
    this.outline = new Outline(this, () => this.changed());
  }

  protected override start(): void {
    super.start();
    this.#watch();
  }

  protected override stop(): void {
    super.stop();
    clearTimeout(this.#again);
    this.#over?.();
    this.#over = undefined;
  }

  protected read(): LogState {
    const { activity } = this.#view;
    if (this.#rows.generation !== this.#notes || this.#rows.last !== this.#last) this.#rows = new AllRows(this.#last, this.#notes);
    const missing = this.#error?.code === 'not_found';
    return {
      ...this.outline.read(activity), activity, missing, rows: this.#rows, last: this.#last, asked: this.#asked, version: this.#version, unread: this.#unread,
      loading: !activity && !this.#error, problem: missing ? undefined : this.#error, error: this.#error, ended: this.#view.ended, gaps: this.#gaps,
    };
  }

  /** Subscribes a view of the whole log: its attempts and its percentage over time are read too. Returns what ends that. */
  open(listener: () => void): () => void {
    this.#readers++;
    const leave = this.subscribe(listener);
    if (this.#opened) void this.outline.explore();
    return () => {
      this.#readers--;
      leave();
    };
  }

  /** Subscribes a view of the newest lines alone. They come over the watch, and stay here. Returns what ends that. */
  follow(newest: Newest, listener: () => void): () => void {
    const own = { ...newest };
    this.#followed.add(own);
    const leave = this.subscribe(listener);
    if (!this.#tail && this.#next() < Math.min(this.#last, this.#from)) this.#watch();
    return () => {
      this.#followed.delete(own);
      leave();
    };
  }

  /** The newest lines, as far as they are here without a hole, and how many there are before them. */
  newest({ afterSeq, maxLogs }: Newest): { logs: readonly ActivityLog[]; earlier: number } {
    const logs: ActivityLog[] = [];
    let seq = this.#last;
    while (seq > afterSeq && logs.length < maxLogs) {
      const line = this.line(seq);
      if (line) logs.push(line);
      else if (!this.#isGone(seq)) break;
      seq--;
    }
    return { logs: logs.reverse(), earlier: Math.max(0, seq - afterSeq - this.#goneIn(afterSeq + 1, seq)) };
  }

  /** The line with this seq, if it is here. */
  line(seq: number): Line | undefined {
    return this.#pages.get(pageOf(seq))?.lines[(seq - 1) % PAGE];
  }

  get last(): number {
    return this.#last;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Whether every line of a page is here. */
  whole(page: number): boolean {
    const { from, to } = this.#bounds(page);
    return (this.#pages.get(page)?.count ?? 0) >= to - from + 1 - this.#goneIn(from, to);
  }

  // goneIn returns how many of these lines are no longer kept.
  #goneIn = (from: number, to: number): number => this.#notes.reduce((sum, note) => sum + Math.max(0, Math.min(note.seq, to) - Math.max(note.from, from) + 1), 0);

  #isGone = (seq: number): boolean => this.#notes.some((note) => note.from <= seq && seq <= note.seq);

  /** The end of the log was found. */
  get opened(): boolean {
    return this.#opened;
  }

  /** Reads these lines soon, unless they are here. Only the newest wish counts. */
  want(seqs: readonly number[]): void {
    this.#wanted = [...new Set(seqs.map(pageOf))];
    if (this.#opened) this.#pump();
  }

  /** Reads a page, unless it is here. Returns false where that failed. */
  load(page: number): Promise<boolean> {
    if (this.whole(page)) return Promise.resolve(true);
    let reading = this.#reading.get(page);
    if (!reading) {
      reading = this.#read(page).then(() => true, () => false).then((read) => {
        this.#reading.delete(page);
        this.#unread = !read;
        this.changed();
        if (read) this.#pump();
        return read;
      });
      this.#reading.set(page, reading);
    }
    return reading;
  }

  /** Reads one line as a whole. */
  async full(seq: number): Promise<ActivityLog | undefined> {
    return (await this.client.detail(this.id, { afterSeq: seq - 1, limit: 1 })).logs.find((line) => line.seq === seq);
  }

  #watch(): void {
    const watch = (afterSeq: number) => {
      this.#over?.();
      this.#from = afterSeq < this.#last ? afterSeq : Infinity;
      this.#over = this.client.watchActivity(this.id, { afterSeq }, (event) => this.#take(event), (error) => this.#refused(error));
    };
    // The first snapshot says how long the log is. Of a long one only the end is watched.
    if (!this.#opened) {
      this.#tail = (last) => {
        this.#last = Math.min(wholePages(last - PAGE), ...[...this.#followed].map((newest) => beginningOf(newest, last)));
        if (this.#last) watch(this.#last);
        return this.#last > 0;
      };
    }
    watch(this.#next());
  }

  // next returns the seq after which the watch goes on: that of the last line, or an earlier one where followed lines are missing.
  #next(): number {
    const missing = (newest: Newest) => {
      const from = beginningOf(newest, this.#last);
      for (let seq = this.#last; seq > from; seq--) {
        const line = this.line(seq);
        if (line ? line.cut : !this.#isGone(seq)) return from;
      }
      return this.#last;
    };
    return Math.min(this.#last, ...[...this.#followed].map(missing));
  }

  #refused(error: FeedError): void {
    this.#error = error;
    this.#again = setTimeout(() => this.#watch(), error.code === 'not_found' ? AGAIN : REFUSED);
    this.changed();
  }

  #take(event: ActivityEvent): void {
    this.#error = undefined;
    if (event.type === 'snapshot' && this.#tail) {
      const tail = this.#tail;
      this.#tail = undefined;
      applyActivity(this.#view, event);
      if (tail(event.activity.last_seq)) return;
    }
    const { ended } = this.#view;
    const reached = event.type === 'logs' ? event.logs.at(-1)!.seq : event.type === 'gap' ? event.next_seq - 1 : 0;
    applyActivity(this.#view, event);
    this.#view.logs.length = 0;
    if (this.#from < Infinity && event.type === 'logs') this.#view.ended = ended; // they came before
    if (reached >= this.#last || event.type === 'end') this.#from = Infinity;
    if (event.type === 'gap') this.#gap(event);
    if (event.type === 'logs') {
      this.#insert(event.logs);
      this.#last = Math.max(this.#last, event.logs.at(-1)!.seq);
      if (this.#full()) this.#evict();
    }
    if (!this.#opened && this.#last >= this.#view.activity!.last_seq) {
      this.#opened = true;
      this.#pump();
      if (this.#readers) void this.outline.explore();
    }
    this.changed();
  }

  #gap(gap: ActivityGap): void {
    const { reason, after_seq, next_seq } = gap;
    const known = reason === 'pruned' && this.#gaps.some((other) => other.reason === reason && other.after_seq === after_seq && other.next_seq === next_seq);
    if (!known) this.#gaps = [...this.#gaps, gap].slice(-MOST_GAPS);
    if (reason === 'reset') {
      this.#withdraw(next_seq);
      const to = Math.max(after_seq, next_seq);
      this.#note({ seq: next_seq - 1, from: next_seq, text: `The database was set back: ${next_seq === to ? `line ${to} is` : `lines ${next_seq} to ${to} are`} void.` });
      this.#last = next_seq - 1;
      if (!this.#tail && this.#next() < this.#last) this.#watch(); // the lines that are the newest now were never here
    } else {
      this.#pruned(after_seq + 1, next_seq - 1);
      this.#last = Math.max(this.#last, next_seq - 1);
    }
  }

  #pruned(from: number, to: number): void {
    const near = this.#notes.filter((n) => n.from <= n.seq && n.from <= to + 1 && n.seq >= from - 1);
    const [first, last] = [Math.min(from, ...near.map((n) => n.from)), Math.max(to, ...near.map((n) => n.seq))];
    if (near.length === 1 && near[0]!.from === first && near[0]!.seq === last) return;
    this.#notes = this.#notes.filter((n) => !near.includes(n));
    this.#note({ from: first, seq: last, text: `${first === last ? `Line ${first} is` : `Lines ${first} to ${last} are`} no longer kept.` });
  }

  #note(note: Note): void {
    this.#notes = [...this.#notes, note].sort((a, b) => a.seq - b.seq);
    this.#version++;
  }

  // withdraw takes lines back, and what was said of an earlier reset to the same line.
  #withdraw(from: number): void {
    this.#epoch++;
    this.#asked = Math.min(this.#asked, from - 1);
    this.#notes = this.#notes.filter((n) => n.seq < from - 1 || (n.seq === from - 1 && n.from <= n.seq));
    for (const [number, page] of [...this.#pages]) {
      if (number < pageOf(from)) continue;
      this.#forget(number);
      const kept = page.lines.filter((line) => line && line.seq < from) as Line[];
      if (kept.length) this.#insert(kept);
    }
    this.outline.withdraw(from);
  }

  #insert(logs: readonly ActivityLog[]): void {
    for (const log of logs) {
      const number = pageOf(log.seq);
      let page = this.#pages.get(number);
      if (!page) this.#pages.set(number, (page = { lines: new Array<undefined>(PAGE).fill(undefined), count: 0, characters: 0 }));
      const place = (log.seq - 1) % PAGE;
      const old = page.lines[place];
      const line = this.#placed(log, page.characters > PAGE_CHARACTERS && !this.#followed.size);
      page.lines[place] = line;
      const characters = weight(line) - (old ? weight(old) : 0);
      page.characters += characters;
      this.#characters += characters;
      if (!old) {
        page.count++;
        this.#lines++;
      }
      if (log.seq > this.#asked && isAboutQuestion(log.data)) this.#asked = log.seq;
      this.outline.add(line);
    }
    this.#version++;
  }

  #placed(log: ActivityLog, full: boolean): Line {
    const before = this.line(log.seq - 1);
    const at = Date.parse(log.created_at);
    const attempt = log.attempt ?? 1; // a server of an earlier version leaves it out
    const changed = before ? before.status !== log.status : log.seq === 1;
    const ended = before !== undefined && isFinal(log.status) && !changed;
    const cut = full && weight(log) > LONG ? { message: log.message.length, data: weight(log) - log.message.length } : ((log as Partial<Line>).cut ?? null);
    return {
      ...log, ...(full && cut && { message: beginning(log.message, LONG), data: null }), cut, at, attempt, changed, gap: before ? Math.max(0, at - before.at) : null,
      begins: before !== undefined && before.attempt !== attempt,
      trailing: ended,
      level: levelOf(log) ?? (changed && log.status === 'ERROR' ? 'error' : null),
    };
  }

  #forget(number: number): void {
    const page = this.#pages.get(number);
    if (!page) return;
    this.#pages.delete(number);
    this.#lines -= page.count;
    this.#characters -= page.characters;
  }

  // Without a view of the whole log, the bound is twice the number of lines that are followed.
  get #most(): number {
    return this.#readers ? MOST_LINES : Math.max(2 * PAGE, 2 * this.#deepest);
  }

  // deepest is how many of the newest lines are followed.
  get #deepest(): number {
    return Math.max(0, ...[...this.#followed].map(({ maxLogs }) => maxLogs));
  }

  #full = (): boolean => this.#characters > MOST_CHARACTERS || this.#lines > this.#most;

  // evict forgets the pages that are the farthest from what is looked at, down to three quarters of the bound. The lines that are
  // followed stay.
  #evict(): void {
    const end = pageOf(Math.max(1, this.#last));
    const followed = pageOf(Math.max(1, this.#last - this.#deepest));
    const distance = (n: number) => Math.min(...(this.#wanted.length ? this.#wanted : [end]).map((page) => Math.abs(page - n)));
    for (const n of [...this.#pages.keys()].sort((a, b) => distance(b) - distance(a))) {
      if (this.#characters <= 0.75 * MOST_CHARACTERS && this.#lines <= 0.75 * this.#most) return;
      if (n < end && distance(n) > 0 && !(this.#deepest && n >= followed)) this.#forget(n);
    }
  }

  #pump(): void {
    for (const page of this.#wanted) {
      if (this.#reading.size >= AT_ONCE) return;
      if (!this.whole(page) && !this.#reading.has(page)) void this.load(page);
    }
  }

  #bounds(page: number) {
    return { from: page * PAGE + 1, to: Math.min((page + 1) * PAGE, this.#last) };
  }

  // The line before the page is read too: it says whether the first one changed the status.
  async #read(page: number): Promise<void> {
    const epoch = this.#epoch;
    const { from, to } = this.#bounds(page);
    for (let after = Math.max(0, from - 2); after < to; ) {
      const { logs } = await this.client.detail(this.id, { afterSeq: after, limit: to - after });
      if (epoch !== this.#epoch) return;
      let seq = after;
      for (const line of logs) {
        if (line.seq > seq + 1) this.#pruned(seq + 1, line.seq - 1);
        seq = line.seq;
      }
      if (!logs.length) this.#pruned(after + 1, to);
      this.#insert(logs.filter((line) => line.seq <= to && (line.seq >= from || !this.line(line.seq))));
      if (!logs.length) break;
      after = logs.at(-1)!.seq;
    }
    if (this.#full()) this.#evict();
  }
}

// Asking a question and closing it each write a line with the key of the question in its data.
const isAboutQuestion = (data: Json): data is { [key: string]: Json } => typeof data === 'object' && data !== null && !Array.isArray(data) && typeof data['question'] === 'string';

/** Whether the data of a line says that the line asks a question; one that closes a question has its state. */
export const asksQuestion = (data: Json): boolean => isAboutQuestion(data) && data['state'] === undefined;

/** The page that a line is in. */
export const pageOf = (seq: number): number => Math.floor((seq - 1) / PAGE);

// weight is roughly what a line takes, in characters.
const weight = ({ message, data }: ActivityLog) => message.length + 100 + (data === null ? 0 : typeof data === 'object' ? JSON.stringify(data).length : 20);

// The seq before the page of a line.
const wholePages = (seq: number): number => Math.floor(Math.max(0, seq) / PAGE) * PAGE;

const beginningOf = ({ afterSeq, maxLogs }: Newest, last: number): number => wholePages(Math.min(last, Math.max(afterSeq, last - maxLogs)));

const keyOf = (id: string): string => 'log ' + id;

/** The log of an activity. All components that show the activity share it. */
export function logStore(client: Client, agentId: string): LogStore {
  const id = agentId.toLowerCase();
  return sharedOf(client, keyOf(id), () => new LogStore(client, id));
}
