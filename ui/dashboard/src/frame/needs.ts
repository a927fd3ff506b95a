// How many activities need a person, also while the page is in the background.

import { useMemo } from 'react';
import type { Client, Counts, ListFilter } from '@agentexec/client';
import { Observable, useClient, useSnapshot } from '@agentexec/react';
import { afterFirst } from '../first.ts';

const AGAIN = 5_000; // ms before a list that was refused is asked for again

export interface Needs {
  /** Those that wait for a person or are stale at present, each once. */
  now: number;
  /** Failed since the page was last looked at. */
  failed: number;
}

export class NeedsModel extends Observable<Needs> {
  #client: Client;
  #end: AbortController | undefined;
  #stale = 0;
  #waiting = 0; // those that are not stale too
  #errors: number | undefined;
  #looked: number | undefined; // how many had failed when the page was last in sight

  constructor(client: Client) {
    super(0);
    this.#client = client;
  }

  protected override start(): void {
    this.#end = new AbortController();
    document.addEventListener('visibilitychange', this.#look);
    const { signal } = this.#end;
    signal.addEventListener('abort', afterFirst(() => this.#watchCounts(signal)));
  }

  #watchCounts(signal: AbortSignal): void {
    this.#watch(signal, {}, (counts) => {
      this.#stale = counts.stale ?? 0;
      this.#errors = counts.ERROR;
      this.#looked ??= counts.ERROR;
      this.#look();
    });
    this.#watch(signal, { waiting: true }, (counts) => {
      this.#waiting = counts.QUEUED + counts.RUNNING - (counts.stale ?? 0);
      this.changed();
    });
  }

  protected override stop(): void {
    this.#end?.abort();
    document.removeEventListener('visibilitychange', this.#look);
  }

  protected read(): Needs {
    return { now: this.#stale + this.#waiting, failed: Math.max(0, (this.#errors ?? 0) - (this.#looked ?? 0)) };
  }

  #watch(signal: AbortSignal, filter: ListFilter, counted: (counts: Counts) => void): void {
    this.#client.watchList({ ...filter, limit: 1 }, { signal }, ({ counts }) => counted(counts), () => setTimeout(() => signal.aborted || this.#watch(signal, filter, counted), AGAIN));
  }

  // A retry takes an activity out of ERROR: then fewer have failed than before.
  #look = () => {
    if (!document.hidden || (this.#errors ?? 0) < (this.#looked ?? 0)) this.#looked = this.#errors;
    this.changed();
  };
}

export function useNeeds(): Needs {
  const client = useClient();
  return useSnapshot(useMemo(() => new NeedsModel(client), [client]));
}
