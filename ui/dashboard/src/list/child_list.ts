import { type ActivityListItem, type Client, type Counts, FeedError, type ListEvent, type ListFilter, type Order, type Sort } from '@agentexec/client';
import { comparatorOf } from '@agentexec/client/state';
import { rights } from '../session.ts';
import { SortedItems } from './sorted_items.ts';
import { totalOf } from './part.ts';

export const FIRST = 100; // children that are read at first
export const MOST = 1000; // ... and at most: a live list holds no more
const AGAIN = 5_000; // ms before what was refused is tried again

export interface ChildOrder {
  sort: Sort;
  order: Order;
}

/** The direct children of an activity, live, in the order of the list. */
export class ChildList {
  readonly id: string;
  readonly items: SortedItems;
  counts: Counts | undefined;
  /** Why they are not there, for people. It is tried again. */
  problem = '';
  /** Another number whenever children were added, removed or moved. */
  version = 0;
  #client: Client;
  #order: ChildOrder;
  #changed: () => void;
  #limit: number;
  #withMetadata = rights().metadata; // until the server refuses it
  #turn: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(client: Client, id: string, order: ChildOrder, changed: () => void, limit = FIRST) {
    this.#client = client;
    this.id = id;
    this.#order = order;
    this.#changed = changed;
    this.#limit = limit;
    this.items = new SortedItems(comparatorOf(order));
  }

  /** How many children there are; undefined until it is known. */
  get total(): number | undefined {
    return this.counts && totalOf(this.counts);
  }

  /** Whether as many children are read as can be. */
  get full(): boolean {
    return this.#limit >= MOST;
  }

  start(): void {
    this.stop();
    this.#turn = new AbortController();
    const { sort, order } = this.#order;
    const filter: ListFilter = {
      parentAgentId: this.id, sort: sort === 'created' ? undefined : sort, order: order === 'desc' ? undefined : order,
      includeMetadata: this.#withMetadata || undefined, limit: this.#limit,
    };
    this.#client.watchList(filter, { signal: this.#turn.signal }, (event) => this.#take(event), (error) => this.#refused(error));
  }

  stop(): void {
    this.#turn?.abort();
    clearTimeout(this.#timer);
  }

  /** Reads more children. Those that are there stay until the others come. */
  more(): void {
    if (this.full) return;
    this.#limit = Math.min(MOST, this.#limit * 4);
    this.start();
  }

  #take(event: ListEvent): void {
    const here = new Set(event.items.map(({ agent_id }) => agent_id));
    const gone = event.type === 'snapshot' ? this.items.all.map(({ agent_id }) => agent_id).filter((id) => !here.has(id)) : event.removed;
    for (const id of gone) if (this.items.delete(id)) this.version++;
    for (const item of event.items) this.#put(item);
    this.counts = event.counts;
    this.problem = '';
    this.#changed();
  }

  #put(item: ActivityListItem): void {
    if (this.items.put(item)) this.version++;
  }

  #refused(error: FeedError): void {
    if (this.#withMetadata && error.code === 'forbidden') {
      this.#withMetadata = false;
      return this.start();
    }
    this.problem = error.message;
    this.#timer = setTimeout(() => this.start(), AGAIN);
    this.#changed();
  }
}
