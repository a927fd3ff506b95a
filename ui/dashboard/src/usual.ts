// The durations of the runs of each type over the last 7 days. They are read every 5 minutes while something shows them: the
// server counts all runs of the range.

import { useSyncExternalStore } from 'react';
import type { Client } from '@agentexec/client';
import { useClient } from '@agentexec/react';
import { afterFirst } from './first.ts';

const EVERY = 300_000; // ms
const RANGE = { since: '7d', bucket: '1d' };

export interface Usual {
  /** Seconds that half of the runs take, and 95 of 100. */
  p50: number;
  p95: number;
}

class UsualStore {
  #client: Client;
  #listeners = new Set<() => void>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #types: ReadonlyMap<string, Usual> = new Map();

  constructor(client: Client) {
    this.#client = client;
  }

  get = (): ReadonlyMap<string, Usual> => this.#types;

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (!this.#timer) {
      this.#timer = setInterval(() => void this.#read(), EVERY);
      afterFirst(() => void this.#read());
    }
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  };

  async #read(): Promise<void> {
    try {
      const { types } = await this.#client.stats(RANGE);
      this.#types = new Map((types ?? []).flatMap(({ agent_type, p50, p95 }) => (p50 === null || p95 === null ? [] : [[agent_type, { p50, p95 }]])));
      for (const listener of [...this.#listeners]) listener();
    } catch {
      // It is read again; until then the last answer holds.
    }
  }
}

const stores = new WeakMap<Client, UsualStore>();

/** The durations of runs over the last 7 days, by type. */
export function useUsual(): ReadonlyMap<string, Usual> {
  const client = useClient();
  let store = stores.get(client);
  if (!store) stores.set(client, (store = new UsualStore(client)));
  return useSyncExternalStore(store.subscribe, store.get);
}
