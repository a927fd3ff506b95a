import type { ListOrder, ListTree, MetadataFilter } from './http.ts';
import type { Activity, ActivityEvent, ActivityLog, ActivityState, Counts, FeedErrorCode, ActivityListItem, ListEvent, Status } from './types.ts';

/** Why a watch is over: there is no such activity, or the server does not allow it. */
export class FeedError extends Error {
  override name = 'FeedError';
  code: FeedErrorCode;

  constructor(code: FeedErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Which activities a live list holds. */
export interface ListFilter extends ListOrder, ListTree {
  statuses?: readonly Status[] | undefined;
  agentType?: string | undefined;
  metadata?: MetadataFilter | undefined;
  /** True for only the stale activities, false for only the others. Default both. */
  stale?: boolean | undefined;
  /** The most items, 1 to 1000. Default 50. */
  limit?: number | undefined;
}

/** A message of the server, as it came. */
export type Frame = { sub?: string; message: string } & (
  | { type: 'welcome'; time?: string }
  | { type: 'pong' | 'unsubscribed' }
  | { type: 'error'; code: FeedErrorCode }
  | { type: 'snapshot'; activity?: Activity; items: ActivityListItem[]; counts: Counts }
  | { type: 'changes'; items: ActivityListItem[]; removed: string[]; counts: Counts }
  | { type: 'logs'; activity: ActivityState; logs: ActivityLog[] }
  | { type: 'state'; activity: ActivityState }
  | { type: 'gap'; after_seq: number; next_seq: number; reason: 'pruned' | 'reset' }
  | { type: 'end'; status: Status; last_seq: number }
);

/** Receives what a watch has to say; size is roughly what it weighs, in characters. */
export interface Sink<E> {
  event(event: E, size: number): void;
  /** Nothing more comes; without an error, because that was asked for. */
  over(error?: FeedError): void;
}

/** A subscription that outlives sockets: it knows where to go on, and what may be passed on. */
export interface Watch {
  /** The activity; undefined for a list. */
  id?: string;
  filter?: ListFilter;
  /** The last seq taken. */
  cursor: number;
  /** All that was there when it was subscribed has come. */
  current: boolean;
  /** How often in a row lines were missing. */
  holes: number;
  /** Its reader is behind: it is not subscribed until that has caught up. */
  paused?: boolean;
  /** The subscription's name on the socket, and how to leave the fallback. */
  name?: string | undefined;
  abort?: AbortController | undefined;
  /** Takes a frame, and returns true where lines before it are missing. */
  take(frame: Frame, size: number): boolean;
  over(error?: FeedError): void;
}

/** The one place that decides which lines are passed on: each seq once and in order. */
export function activityWatch(id: string, afterSeq: number, sink: Sink<ActivityEvent>): Watch {
  let target = 0; // the last seq there was when subscribed
  let ended = -1; // the last_seq of the end that was passed on
  let created = ''; // the created_at of the activity: another one under the same agent_id has another
  const watch: Watch = {
    id: id.toLowerCase(), // as the server names it
    cursor: afterSeq,
    current: false,
    holes: 0,
    over: sink.over,
    take(frame, size) {
      let { cursor } = watch;
      let hole = false;
      let pass = false;
      if (frame.type === 'snapshot') {
        const { last_seq, created_at } = frame.activity!;
        if (created && created !== created_at && cursor > 0) {
          sink.event({ type: 'gap', after_seq: cursor, next_seq: 1, reason: 'reset' }, 0);
          cursor = 0;
          hole = true; // what follows was asked for from the old cursor on
        }
        created = created_at;
        target = last_seq;
        pass = true;
      } else if (frame.type === 'logs') {
        frame.logs = frame.logs.filter(({ seq }) => {
          if (seq > cursor + 1) hole = true;
          if (hole || seq <= cursor) return false;
          cursor = seq;
          return true;
        });
        pass = frame.logs.length > 0;
      } else if (frame.type === 'state') {
        pass = true;
      } else if (frame.type === 'gap') {
        const reset = frame.reason === 'reset';
        const { next_seq } = frame;
        hole = !reset && frame.after_seq > cursor;
        pass = !hole && (reset ? next_seq <= cursor : next_seq > cursor + 1);
        if (pass) {
          frame.after_seq = cursor;
          cursor = next_seq - 1;
          if (reset) target = Math.min(target, cursor);
        }
      } else if (frame.type === 'end') {
        hole = frame.last_seq > cursor;
        pass = frame.last_seq === cursor && ended !== cursor;
        if (pass) ended = cursor;
      }
      if (cursor !== watch.cursor) watch.holes = 0;
      if (cursor < watch.cursor) ended = -1;
      watch.cursor = cursor;
      watch.current = cursor >= target;
      if (pass) sink.event(eventOf(frame), size);
      return hole;
    },
  };
  return watch;
}

export function listWatch(filter: ListFilter, sink: Sink<ListEvent>): Watch {
  const watch: Watch = {
    filter,
    cursor: 0,
    current: false,
    holes: 0,
    over: sink.over,
    take(frame, size) {
      watch.current = true;
      sink.event(eventOf(frame), size);
      return false;
    },
  };
  return watch;
}

// eventOf is what a watcher gets of a frame: all but its name on this socket.
function eventOf<E>(frame: Frame): E {
  delete frame.sub;
  return frame as E;
}
