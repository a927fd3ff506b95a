// The types of parents, for the rows of children that are shown without them.

import { useEffect, useReducer } from 'react';
import type { ActivityListItem, Client } from '@agentexec/client';
import { useClient } from '@agentexec/react';

const AT_ONCE = 4; // requests
const MOST = 5_000; // that are remembered
const AGAIN = 30_000; // ms before one that could not be read may be asked for again

/** What an activity is called, and what is above it. It never changes. */
export interface Named {
  agent_id: string;
  agent_type: string;
  parent_agent_id: string | null;
}

class Parents {
  readonly known = new Map<string, Named>();
  #client: Client;
  #asked = new Map<string, Promise<Named | undefined>>();
  #running = 0;
  #waiting: (() => void)[] = [];

  constructor(client: Client) {
    this.#client = client;
  }

  /** Reads an activity, once; undefined where it cannot be read. */
  read(id: string): Promise<Named | undefined> {
    let answer = this.#asked.get(id);
    if (!answer) this.#asked.set(id, (answer = this.#read(id)));
    return answer;
  }

  async #read(id: string): Promise<Named | undefined> {
    if (this.#running >= AT_ONCE) await new Promise<void>((go) => this.#waiting.push(go));
    this.#running++;
    try {
      const { agent_id, agent_type, parent_agent_id = null } = await this.#client.detail(id, { limit: 0 });
      if (this.known.size >= MOST) this.known.clear();
      const named = { agent_id, agent_type, parent_agent_id };
      this.known.set(id, named);
      return named;
    } catch {
      setTimeout(() => this.#asked.delete(id), AGAIN);
      return undefined; // such as one outside of the scope of the token
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }
}

const stores = new WeakMap<Client, Parents>();

export function parentsOf(client: Client): Parents {
  let store = stores.get(client);
  if (!store) stores.set(client, (store = new Parents(client)));
  return store;
}

/** The types of the parents of these activities, by their id, as far as they are known. */
export function useParents(items: readonly ActivityListItem[]): { get: (id: string) => string | undefined } {
  const store = parentsOf(useClient());
  const again = useReducer((n: number) => n + 1, 0)[1];
  const ids = [...new Set(items.map(({ parent_agent_id }) => parent_agent_id).filter((id) => typeof id === 'string'))].sort().join();
  useEffect(() => {
    for (const id of ids ? ids.split(',') : []) if (!store.known.has(id)) void store.read(id).then((named) => named && again());
  }, [store, ids]);
  return { get: (id) => store.known.get(id)?.agent_type };
}
