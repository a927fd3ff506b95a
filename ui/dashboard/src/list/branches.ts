// The rows below the activities that are unfolded: their children, and what stands for those that are not there.

import type { ActivityListItem } from '@agentexec/client';
import type { ChildList } from './child_list.ts';
import type { Branch, Entry } from './list_layout.ts';
import type { ListedGroup } from './list_model.ts';

interface Context {
  unfolded: ReadonlySet<string>;
  listOf: (id: string) => ChildList | undefined;
  /** Takes the ids of all activities that are unfolded and in the list, also those deep in a tree. */
  needed: Set<string>;
}

const hasChildren = ({ children }: ActivityListItem): boolean => Boolean(children?.total);

/** Whether the children of an activity are shown; undefined where it has none. */
export const expanded = (item: ActivityListItem, unfolded: ReadonlySet<string>): boolean | undefined => (hasChildren(item) ? unfolded.has(item.agent_id) : undefined);

/** The branches of each group, by its place. `find` tells where an activity is among the groups. */
export function branchesOf(
  groups: readonly ListedGroup[], find: (id: string) => { group: string; index: number } | undefined, context: Context,
): Branch[][] {
  const branches: Branch[][] = groups.map(() => []);
  for (const id of context.unfolded) {
    const found = find(id);
    const at = found ? groups.findIndex(({ group }) => group === found.group) : -1;
    const item = found && groups[at]?.items[found.index];
    if (item && hasChildren(item)) branches[at]!.push({ at: found.index, rows: below(item, id, 2, '', context) });
  }
  for (const some of branches) some.sort((a, b) => a.at - b.at);
  return branches;
}

// below lists the rows below an activity, whose own row has the key. A guide has a character for each level above: | where a line
// goes on to a later row, a space where none does; then + for a row in between, L for the last one.
function below(parent: ActivityListItem, key: string, level: number, guide: string, context: Context): Entry[] {
  const { agent_id: id } = parent;
  context.needed.add(id);
  const list = context.listOf(id);
  const items = list?.items.all ?? [];
  const total = Math.max(items.length, list?.total ?? parent.children?.total ?? 0);
  const rest = rowOfRest(list, items.length, total);
  const rows: Entry[] = [];
  for (const [n, item] of items.entries()) {
    const last = n === items.length - 1 && !rest;
    const child = `${key}/${item.agent_id}`;
    rows.push({ key: child, level, guide: guide + (last ? 'L' : '+'), item, inherited: parent.metadata, place: n + 1, of: total });
    if (context.unfolded.has(item.agent_id) && hasChildren(item)) rows.push(...below(item, child, level + 1, guide + (last ? ' ' : '|'), context));
  }
  if (rest) rows.push({ key: `${key}/rest`, level, guide: guide + 'L', parent: id, place: items.length + 1, of: total, ...rest });
  return rows;
}

function rowOfRest(list: ChildList | undefined, read: number, total: number): { rest: 'loading' | 'more' | 'problem'; missing: number; problem: string } | undefined {
  const missing = total - read;
  if (list?.problem) return { rest: 'problem', missing, problem: list.problem };
  if (!list?.counts) return { rest: 'loading', missing, problem: '' };
  return missing > 0 ? { rest: 'more', missing, problem: '' } : undefined;
}
