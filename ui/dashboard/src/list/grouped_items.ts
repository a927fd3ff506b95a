import type { ActivityListItem } from '@agentexec/client';
import { type Group, groupOf, groups } from './groups.ts';
import { type Compare, SortedItems } from './sorted_items.ts';

/** Items in the order of the server, and those that match in their groups. */
export class GroupedItems {
  /** All of them, in the order of the server. */
  readonly all: SortedItems;
  /** Another number whenever an item of a group was added, removed or moved. */
  version = 0;
  #groups: ReadonlyMap<Group, SortedItems>;
  #groupOf = new Map<string, Group>();
  #matches: (item: ActivityListItem) => boolean = () => true;
  #now: () => number;

  /** now returns the time in milliseconds: a group may depend on it. */
  constructor(compare: Compare, now: () => number) {
    this.all = new SortedItems(compare);
    this.#groups = new Map(groups.map((group) => [group, new SortedItems(compare)]));
    this.#now = now;
  }

  /** The items of a group; the same array at every change. */
  in(group: Group): readonly ActivityListItem[] {
    return this.#groups.get(group)!.all;
  }

  /** Where an item is, undefined where it does not match or is not here. */
  find(id: string): { group: Group; index: number } | undefined {
    const group = this.#groupOf.get(id);
    return group && { group, index: this.#groups.get(group)!.index(id) };
  }

  /** Has those items alone in the groups that match. */
  match(matches: (item: ActivityListItem) => boolean): void {
    this.#matches = matches;
    for (const item of this.all.all) this.#place(item);
  }

  /** Moves the items whose group has changed with the time. */
  age(group: Group): void {
    for (const item of [...this.in(group)]) this.#place(item);
  }

  put(item: ActivityListItem): void {
    this.all.put(item);
    this.#place(item);
  }

  delete(id: string): void {
    this.all.delete(id);
    this.#remove(id);
  }

  clear(): void {
    this.all.clear();
    for (const items of this.#groups.values()) items.clear();
    this.#groupOf.clear();
    this.version++;
  }

  #place(item: ActivityListItem): void {
    const group = this.#matches(item) ? groupOf(item, this.#now()) : undefined;
    if (this.#groupOf.get(item.agent_id) !== group) this.#remove(item.agent_id);
    if (!group) return;
    this.#groupOf.set(item.agent_id, group);
    if (this.#groups.get(group)!.put(item)) this.version++;
  }

  #remove(id: string): void {
    const group = this.#groupOf.get(id);
    if (!group) return;
    this.#groups.get(group)!.delete(id);
    this.#groupOf.delete(id);
    this.version++;
  }
}
