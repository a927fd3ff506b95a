// The state that follows from the events of a watch.

import type { Activity, ActivityEvent, ActivityListItem, ActivityLog, ActivityState, ListEvent, Status } from './types.ts';

/** Whether an activity with this status has ended. An ERROR may still be retried. */
export const isFinal = (status: Status): boolean => status !== 'QUEUED' && status !== 'RUNNING';

const rank = (status: Status) => (status === 'RUNNING' ? 0 : status === 'QUEUED' ? 1 : 2);

/** The order of a list: RUNNING, QUEUED, finished, and in each the newest first. */
export function compareItems(a: ActivityListItem, b: ActivityListItem): number {
  return rank(a.status) - rank(b.status) || compare(b.created_at, a.created_at) || compare(b.agent_id, a.agent_id);
}

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
