// The messages on the wire, named and shaped as the server writes them. Times are ISO 8601 in UTC. A server of
// an earlier version leaves out the fields that are optional here.

/** Where an activity stands. COMPLETE and CANCELED are final; ERROR may be retried. */
export type Status = 'QUEUED' | 'RUNNING' | 'COMPLETE' | 'ERROR' | 'CANCELED';

/** Any JSON value. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** The fields of an activity that its lines change. */
export interface ActivityState {
  status: Status;
  /** 0 to 100, null while none was reported. */
  latest_percentage: number | null;
  /** The time of the first line with RUNNING, null before. */
  started_at: string | null;
  updated_at: string;
  /** When it became COMPLETE, ERROR or CANCELED, null while it is none of them. */
  finished_at: string | null;
  /** The seq of the last line; it grows with every change, so it is also the activity's version. */
  last_seq: number;
  /** 1, and one more after each retry of an ERROR. */
  attempt: number;
  /** The time of the last line or heartbeat. A heartbeat alone sends no event, so the last one may be later than this. */
  last_seen_at?: string;
  /** The promise of the worker: a heartbeat or a line at least every so many seconds. Null without a promise, and after the run. */
  expect_every?: number | null;
  /** RUNNING, and no heartbeat or line came for longer than promised. */
  stale?: boolean;
  /** The request to cancel the activity; null where there is none. */
  cancel?: CancelRequest | null;
  /** The number of questions that wait for the answer of a person. */
  open_questions?: number;
}

/** A request to cancel an activity. The activity is RUNNING until its worker ends it, or the grace period is over. */
export interface CancelRequest {
  /** The seq of the line of the request. */
  seq: number;
  /** The message of that line, at most its first 500 characters. */
  message: string;
  /** The name of the requester: the subject of the token, or the name that the caller gave. Null where there is none. */
  requested_by: string | null;
  requested_at: string;
  /** When the activity becomes CANCELED without its worker; null for never, and where it was canceled at once. */
  force_at: string | null;
  /** Whether the activity was CANCELED without its worker. */
  forced: boolean;
}

/** An activity without its lines. */
export interface Activity extends ActivityState {
  agent_id: string;
  agent_type: string;
  created_at: string;
  /** The activity that this one is a part of; null for a root. */
  parent_agent_id?: string | null;
  /** The activity at the top of the tree; null for a root. */
  root_agent_id?: string | null;
  /** The direct children that the token shows; null where there is none. */
  children?: Children | null;
  /** Only where it was asked for; null where there is none. */
  metadata?: { [key: string]: Json } | null;
}

/** The direct children of an activity, counted by status. */
export interface Children {
  total: number;
  queued: number;
  running: number;
  complete: number;
  error: number;
  canceled: number;
  /** The mean of their percentages, rounded down. A finished child counts as 100. */
  percentage: number;
}

/** Where a question stands. The last four are final. */
export type QuestionState = 'PENDING' | 'ANSWERED' | 'DECLINED' | 'EXPIRED' | 'WITHDRAWN';

/** A question of an activity to a person. */
export interface Question {
  agent_id: string;
  /** Only in a list of questions. */
  agent_type?: string;
  /** Its name within the activity. */
  key: string;
  prompt: string;
  /** The JSON Schema of the answer; null where any JSON but null is one. */
  schema: Json;
  state: QuestionState;
  /** Null while there is none. */
  answer: Json;
  /** The subject of the token of the person who answered or declined; null where it is not known. */
  answered_by: string | null;
  asked_at: string;
  /** When it becomes EXPIRED; null for never. */
  expires_at: string | null;
  /** When it was answered, declined, expired or withdrawn; null before. */
  closed_at: string | null;
}

/** One page of questions, the oldest first. */
export interface QuestionList {
  items: Question[];
  /** The `after` of the next page, null at the end. */
  next: string | null;
}

/** One line of an activity's log. */
export interface ActivityLog {
  id: number;
  /** The number of the line in its activity, from 1 on without gaps. */
  seq: number;
  message: string;
  /** The activity's status after this line. */
  status: Status;
  percentage: number | null;
  created_at: string;
  data: Json;
  /** The attempt that the line belongs to. */
  attempt?: number;
  /** Whether a cancel was requested before the line. In the answer to a line, it tells the worker to end. */
  cancel_requested?: boolean;
}

/** The answer to a heartbeat. */
export interface HeartbeatResult {
  status: Status;
  attempt: number;
  /** Tells the worker to end: a cancel was requested, with this message. */
  cancel_requested: boolean;
  cancel_message: string | null;
}

/** An activity with lines of its log: of a long one a page, at most 1,000 lines or 4 MiB. */
export interface ActivityDetail extends Activity {
  logs: ActivityLog[];
  /** The `afterSeq` of the next page; null where no line is left. */
  next_after_seq?: number | null;
}

/** An activity as a list shows it. */
export interface ActivityListItem extends Activity {
  /** The message of the last line, at most its first 500 characters. */
  latest_log: string | null;
  /** True where `latest_log` is not the whole message. */
  latest_log_truncated?: boolean;
}

/** One page of a list: at most `page_size` items, fewer where they would have more than 4 MiB. */
export interface ActivityList {
  items: ActivityListItem[];
  /** Null, as page and pages are, on a page reached by `after`. */
  total: number | null;
  page: number | null;
  page_size: number;
  pages: number | null;
  /** The `after` of the next page, null at the end. */
  next: string | null;
}

/** The number of activities with each status; `stale` ones count as RUNNING too. */
export type Counts = Record<Status, number> & { stale?: number };

export interface Stats {
  counts: Counts;
  /** QUEUED and RUNNING ones. */
  active: number;
}

/** What happened in a range. A `series` bucket and a failure are counted by the end of the run, `started` by its start. */
export interface RangeStats extends Stats {
  /** The beginning of the range: the one asked for, rounded down to a multiple of the bucket. */
  since: string;
  /** Its end: the time of the read. */
  until: string;
  /** The length of a bucket in seconds. */
  bucket: number;
  /** RUNNING ones whose cancel was requested. */
  stopping: number;
  /** The created_at of the one that is QUEUED longest; null where none is. */
  oldest_queued_at: string | null;
  /** The last_seen_at of the stale one that is silent longest; null where none is. */
  oldest_stale_at: string | null;
  /** What ended in the range. */
  ended: EndedCounts;
  /** One for each bucket, oldest first, also the empty ones. */
  series: StatsBucket[];
  /** The 50 types with the most runs in the range, those first. */
  types: StatsType[];
  /** At most 20, newest first: of each type each message once. */
  failures: StatsFailure[];
  /** The number of failures that the counts in `failures` are of: the newest 5,000 of the range. */
  failures_counted: number;
}

export interface EndedCounts {
  complete: number;
  error: number;
  canceled: number;
}

export interface StatsBucket extends EndedCounts {
  /** Its beginning. */
  at: string;
  /** How many became RUNNING for the first time. */
  started: number;
}

export interface StatsType {
  agent_type: string;
  /** RUNNING now. */
  running: number;
  /** Ended in the range, however. */
  ended: number;
  error: number;
  canceled: number;
  /** The median of finished_at - started_at of the COMPLETE ones, in seconds; null where there is none. */
  p50: number | null;
  p95: number | null;
  /** How many ended in each twentieth of the range, oldest first. */
  series: number[];
}

export interface StatsFailure {
  /** The first line of the message, at most 200 characters. */
  message: string;
  agent_type: string;
  count: number;
  last_at: string;
  /** The last one that failed so. */
  agent_id: string;
}

/** By what a list is ordered within RUNNING, QUEUED and finished. */
export type Sort = 'created' | 'duration' | 'activity';

/** The newest or longest first (desc), or last (asc). */
export type Order = 'desc' | 'asc';

/** The activity as it is now: first of every watch, and again after every loss of the connection. */
export interface ActivitySnapshot {
  type: 'snapshot';
  activity: Activity;
}

/** Lines, at least one: each seq once and in order, whatever happens to the connection. */
export interface ActivityLogs {
  type: 'logs';
  logs: ActivityLog[];
  /** The state when it was read: its last_seq may be ahead of the lines. */
  activity: ActivityState;
}

/** All lines until now are there and leave the activity finished. Trailing lines and a retry may still follow. */
export interface ActivityEnd {
  type: 'end';
  status: Status;
  last_seq: number;
}

/**
 * An exception from "each line once". `pruned`: the lines between the two are no longer kept. `reset`: the
 * database was set back; lines from `next_seq` on are void, and what comes next takes their place.
 */
export interface ActivityGap {
  type: 'gap';
  reason: 'pruned' | 'reset';
  after_seq: number;
  next_seq: number;
}

/** The state changed without a line: the activity became stale, or is no longer stale. */
export interface ActivityStateChange {
  type: 'state';
  activity: ActivityState;
}

export type ActivityEvent = ActivitySnapshot | ActivityLogs | ActivityStateChange | ActivityEnd | ActivityGap;

/** All that match: it replaces what was known. */
export interface ListSnapshot {
  type: 'snapshot';
  items: ActivityListItem[];
  counts: Counts;
}

/** The changes of a list. Ignore ids in `removed` that are not known. */
export interface ListChanges {
  type: 'changes';
  items: ActivityListItem[];
  removed: string[];
  counts: Counts;
}

export type ListEvent = ListSnapshot | ListChanges;

/** Why a watch is over. */
export type FeedErrorCode = 'not_found' | 'invalid' | 'forbidden' | 'limit';
