// The state that follows from the events of a watch.

import type { Activity, ActivityEvent, ActivityListItem, ActivityLog, ActivityState, ListEvent, Order, Sort, Status } from './types.ts';

/** Whether an activity with this status has ended. An ERROR may still be retried. */
export const isFinal = (status: Status): boolean => status !== 'QUEUED' && status !== 'RUNNING';

const rank = (status: Status) => (status === 'RUNNING' ? 0 : status === 'QUEUED' ? 1 : 2);

/** The order of a list: RUNNING, QUEUED, finished, and in each the newest first. */
export const compareItems = comparatorOf({});

/** The order of a list with this sort and order, as the server has it. */
export function comparatorOf({ sort = 'created', order = 'desc' }: { sort?: Sort | undefined; order?: Order | undefined }): (a: ActivityListItem, b: ActivityListItem) => number {
  const sign = order === 'desc' ? -1 : 1;
  return (a, b) => rank(a.status) - rank(b.status) || sign * (within(a, b, sort) || compare(a.agent_id, b.agent_id));
}

// within compares two items of one rank, ascending. Of two that are not finished, the one that began later has the shorter duration.
function within(a: ActivityListItem, b: ActivityListItem, sort: Sort): number {
  if (sort === 'activity') return compare(isFinal(a.status) ? lastOf(a) : a.updated_at, isFinal(b.status) ? lastOf(b) : b.updated_at);
  if (sort === 'created' || a.status === 'QUEUED') return (sort === 'created' ? 1 : -1) * compare(a.created_at, b.created_at);
  return a.status === 'RUNNING' ? compare(startOf(b), startOf(a)) : took(a) - took(b);
}

const startOf = (a: ActivityListItem) => a.started_at ?? a.created_at;
const lastOf = (a: ActivityListItem) => a.finished_at ?? a.updated_at;
const took = (a: ActivityListItem) => micros(lastOf(a)) - micros(startOf(a));

// micros is a time in microseconds since 1970: a Date has milliseconds alone.
const micros = (time: string) => Date.parse(time.slice(0, 19) + 'Z') * 1000 + Number((/\.(\d+)/.exec(time)?.[1] ?? '').padEnd(6, '0').slice(0, 6));

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** Brings the items of a list, by agent_id, to where an event says they are. */
export function applyList(items: Map<string, ActivityListItem>, event: ListEvent): void {
  if (event.type === 'snapshot') items.clear();
  else for (const id of event.removed) items.delete(id);
  for (const item of event.items) {
    const known = items.get(item.agent_id);
    if (!known || known.last_seq <= item.last_seq) items.set(item.agent_id, item);
  }
}

/** An activity and the lines of it that are known, in seq order. */
export interface ActivityView {
  activity: Activity | undefined;
  logs: ActivityLog[];
  /** An `end` came, and nothing after it. */
  ended: boolean;
}

function merge(view: ActivityView, state: ActivityState): void {
  const { activity } = view;
  if (activity && state.last_seq >= activity.last_seq) view.activity = { ...activity, ...state };
}

/** Brings a view to where an event says the activity is. It and its `logs` are changed in place. */
export function applyActivity(view: ActivityView, event: ActivityEvent): void {
  switch (event.type) {
    case 'snapshot':
      view.activity = event.activity;
      break;
    case 'logs':
      for (const line of event.logs) view.logs.push(line);
      merge(view, event.activity);
      view.ended = false;
      break;
    case 'state':
      merge(view, event.activity);
      break;
    case 'end':
      view.ended = true;
      break;
    case 'gap': {
      if (event.reason === 'pruned') break;
      const from = view.logs.findIndex((line) => line.seq >= event.next_seq);
      if (from >= 0) view.logs.length = from;
      view.ended = false;
    }
  }
}
