import type { ActivityListItem, Client } from '@agentexec/client';
import { Observable } from '@agentexec/react';
import { ChildList, type ChildOrder } from './child_list.ts';

export interface Tree {
  /** Another number whenever children were added, removed or moved. */
  version: number;
  /** The children of an activity, undefined where they are not watched. */
  listOf(id: string): ChildList | undefined;
  /** A child that is here. */
  get(id: string): ActivityListItem | undefined;
}

/** The live lists of the children that are shown. */
export class TreeModel extends Observable<Tree> {
  #client: Client;
  #order: ChildOrder;
  #lists = new Map<string, ChildList>();
  #ended = 0; // versions of lists that are no more
  #on = false;

  constructor(client: Client, order: ChildOrder) {
    super(0);
    this.#client = client;
    this.#order = order;
  }

  protected override start(): void {
    this.#on = true;
    for (const list of this.#lists.values()) list.start();
  }

  protected override stop(): void {
    this.#on = false;
    for (const list of this.#lists.values()) list.stop();
  }

  protected read(): Tree {
    let version = this.#ended;
    for (const list of this.#lists.values()) version += 1 + list.version;
    return {
      version,
      listOf: (id) => this.#lists.get(id),
      get: (id) => {
        for (const { items } of this.#lists.values()) {
          const item = items.get(id);
          if (item) return item;
        }
        return undefined;
      },
    };
  }

  /** Watches the children of these activities, and of no others. */
  watch(ids: ReadonlySet<string>): void {
    let changed = false;
    for (const [id, list] of this.#lists) {
      if (ids.has(id)) continue;
      list.stop();
      this.#lists.delete(id);
      this.#ended += 2 + list.version;
      changed = true;
    }
    for (const id of ids) {
      if (this.#lists.has(id)) continue;
      const list = new ChildList(this.#client, id, this.#order, () => this.changed());
      this.#lists.set(id, list);
      if (this.#on) list.start();
      changed = true;
    }
    if (changed) this.changed();
  }
}
