// A client whose events the test makes.

import type { Activity, ActivityEvent, ActivityListItem, ActivityLog, ActivityState, Client, Connection, Counts, FeedError, ListEvent, ListFilter, Status } from '@agentexec/client';

export const ID = '6f1de0c4-5d0b-4d3a-9a53-0e1f6c5b7a11';
const time = (n: number) => new Date(Date.UTC(2026, 0, 1, 12) + n * 1000).toISOString();

export const state = (status: Status, last_seq: number, latest_percentage: number | null = null): ActivityState => ({
  status, last_seq, latest_percentage, attempt: 1, started_at: null, updated_at: time(last_seq),
  finished_at: status === 'QUEUED' || status === 'RUNNING' ? null : time(last_seq),
});
export const activity = (status: Status, last_seq: number, more: Partial<Activity> = {}): Activity => ({
  ...state(status, last_seq), agent_id: ID, agent_type: 'research', created_at: time(0), ...more,
});
export const item = (agent_id: string, status: Status, more: Partial<ActivityListItem> = {}): ActivityListItem => ({
  ...activity(status, 1), agent_id, latest_log: 'latest of ' + agent_id, latest_log_truncated: false, ...more,
});
export const line = (seq: number, message = 'line ' + seq, more: Partial<ActivityLog> = {}): ActivityLog => ({
  id: seq, seq, message, status: 'RUNNING', percentage: null, created_at: time(seq), data: null, ...more,
});
export const lines = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => line(from + n));
export const counts = (more: Partial<Counts> = {}): Counts => ({ QUEUED: 0, RUNNING: 0, COMPLETE: 0, ERROR: 0, CANCELED: 0, ...more });

interface Watched<E> {
  what: unknown;
  event(e: E): void;
  over(e: FeedError): void;
  stopped: boolean;
}

export class FakeClient {
  activities: Watched<ActivityEvent>[] = [];
  lists: Watched<ListEvent>[] = [];
  connection: Connection = { state: 'live', since: null, reason: '', code: '', transport: 'websocket' };
  /** How far the database's clock is ahead of this machine's, in milliseconds. */
  skew = 0;
  #listeners = new Set<() => void>();

  now = () => Date.now() + this.skew;

  watchActivity = (id: string, options: { afterSeq?: number }, event: (e: ActivityEvent) => void, over: (e: FeedError) => void) =>
    this.#add(this.activities, { id, ...options }, event, over);
  watchList = (filter: ListFilter, _: object, event: (e: ListEvent) => void, over: (e: FeedError) => void) => this.#add(this.lists, filter, event, over);
  onConnection = (listener: () => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #add<E>(all: Watched<E>[], what: unknown, event: (e: E) => void, over: (e: FeedError) => void) {
    const w: Watched<E> = { what, event, over, stopped: false };
    all.push(w);
    return () => {
      w.stopped = true;
    };
  }

  connect(connection: Partial<Connection>) {
    this.connection = { ...this.connection, ...connection };
    for (const listener of this.#listeners) listener();
  }

  get client(): Client {
    return this as unknown as Client;
  }
}
