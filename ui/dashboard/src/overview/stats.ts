// The numbers of the overview: read when it is opened, every 10 seconds, and at once when the live counts change a lot.

import type { Client, Counts, RangeStats, StatsBucket } from '@agentexec/client';
import { Observable } from '@agentexec/react';
import { wordsOf } from '../frame/words.ts';
import { type Range, ranges } from './range.ts';

const EVERY = 10_000; // ms between two reads
const SOON = 1_000; // ms, at least, between two reads because of the counts
const MUCH = 0.05; // the part of the activities whose status must change for that, and 5 at least

export interface Numbers {
  stats: RangeStats | undefined;
  /** Why there are none, or no new ones, in words. */
  problem: string;
}

/** The buckets whose time is over. The last bucket of a series is usually still being counted. */
export const endedBuckets = ({ series, bucket, until }: Pick<RangeStats, 'series' | 'bucket' | 'until'>): StatsBucket[] =>
  series.filter(({ at }) => Date.parse(at) + bucket * 1000 <= Date.parse(until));

export class StatsModel extends Observable<Numbers> {
  #client: Client;
  #range: Range;
  #stats: RangeStats | undefined;
  #problem = '';
  #readAt = 0;
  #counts: Counts | undefined; // as of the last read
  #turn: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(client: Client, range: Range) {
    super(0);
    this.#client = client;
    this.#range = range;
  }

  protected override start(): void {
    this.#turn = new AbortController();
    document.addEventListener('visibilitychange', this.#visible);
    void this.#load();
  }

  protected override stop(): void {
    this.#turn?.abort();
    clearTimeout(this.#timer);
    document.removeEventListener('visibilitychange', this.#visible);
  }

  protected read(): Numbers {
    return { stats: this.#stats, problem: this.#problem };
  }

  // A page in the background reads nothing; it reads as soon as it is looked at.
  #visible = () => {
    if (!document.hidden && Date.now() - this.#readAt >= EVERY) this.#schedule(0);
  };

  /** Tells the model the live counts. */
  counted(counts: Counts | undefined): void {
    if (!counts) return;
    this.#counts ??= counts;
    const total = Object.values(this.#counts).reduce((sum, n) => sum + n, 0);
    const changed = (Object.keys(counts) as (keyof Counts)[]).reduce((sum, key) => sum + Math.abs((counts[key] ?? 0) - (this.#counts?.[key] ?? 0)), 0);
    // What changes its status changes two counts.
    if (changed / 2 < Math.max(5, total * MUCH) && !(total === 0 && changed)) return;
    this.#counts = counts;
    this.#schedule(Math.max(0, this.#readAt + SOON - Date.now()));
  }

  #schedule(ms: number): void {
    if (!this.#turn || this.#turn.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#load(), ms);
  }

  async #load(): Promise<void> {
    const { signal } = this.#turn!;
    this.#readAt = Date.now();
    try {
      const { bucket } = ranges[this.#range];
      const stats = await this.#client.stats({ since: this.#range, bucket, signal });
      [this.#stats, this.#problem] = [stats, ''];
    } catch (e) {
      if (signal.aborted) return;
      this.#problem = wordsOf(e);
    }
    if (signal.aborted) return;
    this.changed();
    if (!document.hidden) this.#schedule(EVERY);
  }
}
