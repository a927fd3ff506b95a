// What the activities that wait ask. A list says only how many questions are open.

import { useEffect, useReducer } from 'react';
import type { ActivityListItem, Client, Question } from '@agentexec/client';
import { useClient } from '@agentexec/react';

const PAUSE = 1_000; // ms between two reads
const PAGE = 200;
const PAGES = 5; // that a read takes at most: the oldest questions

export type Asked = Pick<Question, 'prompt' | 'asked_at'>;

class AskedStore {
  readonly questions = new Map<string, Asked>();
  #client: Client;
  #listeners = new Set<() => void>();
  #state = '';
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reading = false;

  constructor(client: Client) {
    this.#client = client;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => {
      if (!this.#listeners.delete(listener) || this.#listeners.size) return;
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#state = '';
    };
  };

  /** Reads the questions again when the state of a waiting activity changed: at once, then at most once a second. */
  look(state: string): void {
    if (!state || state === this.#state) return;
    this.#state = state;
    if (!this.#timer && !this.#reading) void this.#read();
  }

  async #read(): Promise<void> {
    const state = this.#state;
    this.#reading = true;
    try {
      const found = new Map<string, Asked>();
      for (let page = 0, after: string | null = null; page === 0 || (after && page < PAGES); page++) {
        const { items, next }: { items: Question[]; next: string | null } = await this.#client.questions({ pageSize: PAGE, after });
        for (const { agent_id, prompt, asked_at } of items) if (!found.has(agent_id)) found.set(agent_id, { prompt, asked_at });
        after = next;
      }
      this.questions.clear();
      for (const [id, asked] of found) this.questions.set(id, asked);
      for (const listener of [...this.#listeners]) listener();
    } catch {
      // It is read again at the next change; until then rows show their latest line, which mostly is the question.
    }
    this.#reading = false;
    if (!this.#listeners.size) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#state !== state && this.#state) void this.#read();
    }, PAUSE);
  }
}

const stores = new WeakMap<Client, AskedStore>();

/** The oldest open question of each of these activities, by their id, as far as it is known. */
export function useAsked(items: readonly ActivityListItem[]): ReadonlyMap<string, Asked> {
  const client = useClient();
  let store = stores.get(client);
  if (!store) stores.set(client, (store = new AskedStore(client)));
  const again = useReducer((n: number) => n + 1, 0)[1];
  const state = items.filter(({ open_questions }) => open_questions).map(({ agent_id, last_seq, open_questions }) => `${agent_id} ${last_seq} ${open_questions}`).sort().join();
  useEffect(() => store.subscribe(again), [store]);
  useEffect(() => store.look(state), [store, state]);
  return store.questions;
}
