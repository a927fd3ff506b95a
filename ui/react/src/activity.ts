// One activity with its newest lines: a view of its log, which all components that show the activity share.

import type { Activity, ActivityGap, ActivityLog, Client, FeedError } from '@agentexec/client';
import { useClient } from './hooks.tsx';
import { type LogState, type LogStore, logStore } from './log/log_store.ts';
import { type Store, useSnapshot } from './observable.ts';

export interface ActivityResult {
  /** The activity, undefined until it is known. */
  activity: Activity | undefined;
  /** The lines in seq order: of a log longer than maxLogs the newest. */
  logs: readonly ActivityLog[];
  /** How many earlier lines there are that are not kept here. */
  earlier: number;
  /** The newest exceptions from "each line once". */
  gaps: readonly ActivityGap[];
  /** All lines are there and leave the activity finished. */
  ended: boolean;
  /** Nothing is known yet. */
  loading: boolean;
  /** Why nothing comes, such as an activity that there is not (`not_found`). It is tried again. */
  error: FeedError | undefined;
}

const noActivity: ActivityResult = { activity: undefined, logs: [], earlier: 0, gaps: [], ended: false, loading: true, error: undefined };

const activities = new WeakMap<LogStore, Map<string, Store<ActivityResult>>>();

/** The lines after a seq, of more than maxLogs the newest: a view of the log that all share. */
function activityStore(client: Client, id: string, afterSeq: number, maxLogs: number): Store<ActivityResult> {
  const log = logStore(client, id);
  let ofLog = activities.get(log);
  if (!ofLog) activities.set(log, (ofLog = new Map()));
  const key = `${afterSeq} ${maxLogs}`;
  let store = ofLog.get(key);
  if (!store) ofLog.set(key, (store = createActivity(log, afterSeq, maxLogs)));
  return store;
}

function createActivity(log: LogStore, afterSeq: number, maxLogs: number): Store<ActivityResult> {
  let state: LogState | undefined;
  let value = noActivity;
  let version = -1;
  let held: Pick<ActivityResult, 'logs' | 'earlier'> = noActivity;
  return {
    subscribe: (listener) => log.follow({ afterSeq, maxLogs }, listener),
    get() {
      if (log.get() === state) return value;
      state = log.get();
      const { activity, ended, gaps, loading, error } = state;
      if (state.version !== version) held = log.newest({ afterSeq, maxLogs });
      version = state.version;
      value = { activity, ...held, gaps: gaps.filter(({ reason, next_seq }) => reason === 'reset' || next_seq > afterSeq + 1), ended, loading, error };
      return value;
    },
  };
}

const unselected: ActivityResult = { ...noActivity, loading: false };
const nothing: Store<ActivityResult> = { subscribe: () => () => {}, get: () => unselected };

export interface UseActivityOptions {
  /** Only lines after this seq. Default 0, all. */
  afterSeq?: number;
  /** The most lines to keep, the newest. Default 10,000. */
  maxLogs?: number;
}

/**
 * One activity and its newest lines, live; nothing for null. All components that show the activity share one watch, also those
 * with other options and with `useLog`. They render at most once a frame.
 */
export function useActivity(agentId: string | null | undefined, { afterSeq = 0, maxLogs = 10_000 }: UseActivityOptions = {}): ActivityResult {
  const client = useClient();
  return useSnapshot(agentId ? activityStore(client, agentId, afterSeq, maxLogs) : nothing);
}
