import type { Tokens } from './tokens.ts';
import type { ActivityDetail, ActivityList, ActivityLog, HeartbeatResult, Json, Stats, Status } from './types.ts';

export interface Problem {
  title?: string;
  detail?: string;
  code?: string;
  /** The errors in the request, part by part, where they are known. */
  errors?: { location: string; message: string }[];
  [more: string]: unknown;
}

/** A request that the server refused: a problem document (RFC 9457). */
export class ProblemError extends Error {
  override name = 'ProblemError';
  /** The HTTP status. */
  status: number;
  /** The kind of the error, for programs: TA404, TA409, TA422, 23505, or a word such as `unavailable`; '' where no problem document came. */
  code: string;
  /** The whole document; `{}` where none came. */
  problem: Problem;

  constructor(status: number, problem: Problem) {
    super(problem.detail || problem.title || `the server answered ${status}`);
    this.status = status;
    this.code = problem.code ?? '';
    this.problem = problem;
  }
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
}

/** Metadata to filter by: every key must have an equal value. Of several objects, at most 16, one must match. */
export type MetadataFilter = Record<string, Json> | readonly Record<string, Json>[];

export interface ListOptions extends CallOptions {
  /** From 1 on. Default 1; not together with `after`. */
  page?: number | undefined;
  /** 1 to 1000. Default 50. */
  pageSize?: number | undefined;
  statuses?: readonly Status[] | undefined;
  agentType?: string | undefined;
  /**
   * Over HTTP a value is a string, a number, a boolean or null, and a number also matches the string of its digits. Of
   * several objects only those can be asked for that differ in this alone: `[{ org: 42 }, { org: '42' }]`.
   */
  metadata?: MetadataFilter | undefined;
  /** True for only the stale activities, false for only the others. Default both. */
  stale?: boolean | undefined;
  /** The `next` of an earlier page. */
  after?: string | null | undefined;
  /** Returns each one's metadata, where the token allows it. */
  includeMetadata?: boolean | undefined;
}

export interface DetailOptions extends CallOptions {
  /** Leaves out the lines up to this seq. Default 0. */
  afterSeq?: number | undefined;
  /** The most lines of this page, 0 to 1000. Default 1000; `next_after_seq` says whether there are more. */
  limit?: number | undefined;
  /** Returns the metadata too, where the token allows it. */
  includeMetadata?: boolean | undefined;
}

export interface LineOptions extends CallOptions {
  /** 0 to 100. Without it, the latest one stays. */
  percentage?: number | undefined;
  /** Any JSON to keep with the line. */
  data?: Json | undefined;
}

export interface CancelOptions extends CallOptions {
  /** The reason, for the log and the worker. Default "Cancel requested". */
  message?: string | undefined;
  /** The time that the worker of a RUNNING activity has to end it, such as "5m", or "never". Default "30s". */
  grace?: string | undefined;
  /** Cancels the activity at once, without the worker. */
  force?: boolean | undefined;
}

export interface CanceledPending {
  /** How many activities were canceled. */
  canceled: number;
  /** How many more match and were not: another transaction kept them locked for longer than 1 s, or their log is full. */
  skipped: number;
}

/** The HTTP API. Whatever the server refuses rejects with a ProblemError. */
export interface Api {
  list(options?: ListOptions): Promise<ActivityList>;
  detail(agentId: string, options?: DetailOptions): Promise<ActivityDetail>;
  stats(options?: CallOptions): Promise<Stats>;
  /** Registers an activity, QUEUED, and returns its agent_id. */
  create(taskName: string, options?: CallOptions & { message?: string | undefined; agentId?: string | undefined; metadata?: Record<string, Json> | undefined }): Promise<string>;
  /**
   * Appends a line. Without a status the current one stays. With `atSeq` the line is written only with that seq. If that line
   * exists already with the same content, it is returned, so a call whose answer was lost can be repeated. Otherwise the call
   * fails with TA409.
   */
  log(agentId: string, message: string, options?: LineOptions & { status?: Status | undefined; atSeq?: number | undefined }): Promise<ActivityLog>;
  /**
   * Records that the worker is alive. `expectEvery`, such as "30s" (1 s to 1 day), is its promise to send a heartbeat or a line
   * at least that often; otherwise the activity is stale. Default the earlier promise, or 60 s.
   */
  heartbeat(agentId: string, options?: CallOptions & { expectEvery?: string | undefined }): Promise<HeartbeatResult>;
  complete(agentId: string, message?: string, options?: LineOptions): Promise<ActivityLog>;
  error(agentId: string, message?: string, options?: CallOptions & { data?: Json | undefined }): Promise<ActivityLog>;
  /**
   * Cancels an activity. QUEUED and ERROR become CANCELED at once. For RUNNING this is a request: the activity stays RUNNING
   * until its worker ends it or the grace period is over. Returns the line of the request, or the line that canceled it.
   */
  cancel(agentId: string, options?: CancelOptions): Promise<ActivityLog>;
  /**
   * Cancels the QUEUED and RUNNING ones that match. At least one of agentType, metadata and idleFor must be given, or else
   * `all`. `idleFor` is such as "15m": no line for so long. Of several metadata objects each is a request of its own.
   */
  cancelPending(options: CallOptions & { agentType?: string | undefined; metadata?: MetadataFilter | undefined; idleFor?: string | undefined; all?: boolean | undefined }): Promise<CanceledPending>;
}

export type Request = (path: string, options?: { signal?: AbortSignal | undefined; body?: unknown; accept?: string }) => Promise<Response>;

/** Requests relative to base, with the token; one that is refused is renewed once. */
export function createRequest(base: URL, tokens: Tokens, fetch: typeof globalThis.fetch): Request {
  return async (path, { signal, body, accept } = {}) => {
    for (let renewed = false; ; renewed = true) {
      const token = await tokens.get(renewed);
      const headers: Record<string, string> = {};
      if (accept) headers['Accept'] = accept;
      if (token) headers['Authorization'] = 'Bearer ' + token;
      if (body) headers['Content-Type'] = 'application/json';
      const answer = await fetch(new URL(path, base), {
        method: body ? 'POST' : 'GET',
        headers,
        body: body ? JSON.stringify(body) : null,
        signal: signal ?? null,
      });
      if (answer.ok) return answer;
      const problem = (await answer.json().catch(() => null)) as Problem | null;
      if (answer.status !== 401 || renewed || !tokens.renewable) throw new ProblemError(answer.status, problem ?? {});
    }
  };
}

export function createApi(request: Request, parse: (json: string) => unknown): Api {
  const call = async <T>(path: string, { signal }: CallOptions = {}, body?: object) =>
    parse(await (await request('v1/' + path, { signal, body })).text()) as T;
  const activity = (id: string) => 'activities/' + encodeURIComponent(id);
  const post = <T>(id: string, verb: string, options: object) => {
    const { signal, ...body } = options as CallOptions;
    return call<T>(`${activity(id)}/${verb}`, { signal }, body);
  };
  const write = (verb: string) => (id: string, message?: string, more?: object) => post<ActivityLog>(id, verb, { message, ...more });
  return {
    list: async ({ page, pageSize, statuses, agentType, metadata, stale, after, includeMetadata, ...rest } = {}) => {
      const query = queryOf({ page, page_size: pageSize, status: statuses?.join(), agent_type: agentType, stale, after, include_metadata: includeMetadata });
      for (const [key, text] of textsOf(metadata ?? {})) query.append('metadata.' + key, text);
      return call('activities?' + query, rest);
    },
    detail: (id, { afterSeq, limit, includeMetadata, ...rest } = {}) =>
      call(`${activity(id)}?${queryOf({ after_seq: afterSeq, limit, include_metadata: includeMetadata })}`, rest),
    stats: (options) => call('stats', options),
    create: async (task_name, { message, agentId, metadata, ...rest } = {}) =>
      (await call<{ agent_id: string }>('activities', rest, { task_name, message, agent_id: agentId, metadata })).agent_id,
    log: (id, message, { atSeq: at_seq, ...more } = {}) => post(id, 'logs', { message, at_seq, ...more }),
    heartbeat: (id, { expectEvery: expect_every, ...rest } = {}) => post(id, 'heartbeat', { expect_every, ...rest }),
    complete: write('complete'),
    error: write('error'),
    cancel: (id, options = {}) => post(id, 'cancel', options),
    cancelPending: async ({ agentType: agent_type, metadata, idleFor: idle_for, all, ...rest }) => {
      const sum = { canceled: 0, skipped: 0 };
      for (const metadata_filter of (Array.isArray(metadata) ? metadata : [metadata]) as (object | undefined)[]) {
        const { canceled, skipped } = await call<CanceledPending>('activities/cancel-pending', rest, { agent_type, metadata_filter, idle_for, all });
        sum.canceled += canceled;
        sum.skipped += skipped;
      }
      return sum;
    },
  };
}

// textsOf writes a filter as the query of a list does: 42 is the number and the string, "42" the string alone.
function textsOf(metadata: MetadataFilter): [key: string, text: string][] {
  const filters = (Array.isArray(metadata) ? metadata : [metadata]) as readonly Record<string, Json>[];
  const values = new Map<string, Set<string>>(); // in JSON
  for (const filter of filters) for (const [key, value] of Object.entries(filter)) values.set(key, (values.get(key) ?? new Set()).add(JSON.stringify(value)));
  let combinations = 1;
  const texts = [...values].map(([key, set]): [string, string] => {
    combinations *= set.size;
    const [first, second, third] = [...set].sort(); // a string is before a number
    const text = first!.startsWith('"') ? (JSON.parse(first!) as string) : first!;
    const known = second ? text !== first && !third && Number(text) === Number(second) : /^["tfn\-\d]/.test(first!);
    if (!known) combinations = NaN;
    return [key, second || text === first ? text : `"${text}"`];
  });
  if (combinations !== filters.length || filters.some((filter) => Object.keys(filter).length < values.size)) {
    throw new ProblemError(422, { code: 'TA422', detail: 'metadata: only strings, numbers, true, false and null can be asked for over HTTP' });
  }
  return texts;
}

// queryOf leaves out what is not given.
function queryOf(values: Record<string, string | number | boolean | null | undefined>): URLSearchParams {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) if (value != null && value !== '') query.set(key, String(value));
  return query;
}
