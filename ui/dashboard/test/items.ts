import type { ActivityListItem, Counts, Status } from '@agentexec/client';

export const statuses: Status[] = ['RUNNING', 'QUEUED', 'COMPLETE', 'ERROR', 'CANCELED'];
export const noCounts = (): Counts => ({ QUEUED: 0, RUNNING: 0, COMPLETE: 0, ERROR: 0, CANCELED: 0 });

const time = (n: number) => new Date(Date.UTC(2026, 0, 1) + n * 1000).toISOString();

/** The nth activity: a later one is newer. */
export const item = (n: number, status: Status, more: Partial<ActivityListItem> = {}): ActivityListItem => ({
  agent_id: `6f1de0c4-5d0b-4d3a-9a53-${String(n).padStart(12, '0')}`, agent_type: 'type ' + (n % 7), status, latest_log: 'line', latest_log_truncated: false, latest_percentage: null,
  last_seq: 1, attempt: 1, created_at: time(n), updated_at: time(n), started_at: null, finished_at: null, ...more,
});

/** The nth activity, and three of the same age each. */
export const itemOf = (n: number, status: Status, more: Partial<ActivityListItem> = {}): ActivityListItem =>
  item(n, status, { created_at: time(Math.floor(n / 3)), ...more });
