import type { Tokens } from './tokens.ts';
import type { ActivityDetail, ActivityList, ActivityLog, HeartbeatResult, Json, Order, Question, QuestionList, QuestionState, RangeStats, Sort, Stats, Status } from './types.ts';

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

/** The order and the range of a list. */
export interface ListOrder {
  /**
   * Orders the activities within RUNNING, QUEUED and finished: `created` (default), `duration` (how long it has run; QUEUED: has
   * waited) or `activity` (the last line; finished: the line that ended it).
   */
  sort?: Sort | undefined;
  /** Default `desc`: the newest or longest first. Ties are by agent_id in the same order. */
  order?: Order | undefined;
  /** Only activities that were not finished before: an ISO 8601 time, or a duration before now such as `15m`, `1h`, `24h`, `7d`. */
  since?: string | undefined;
  /** Only activities that were created before: as `since`. */
  until?: string | undefined;
  /** Returns each one's metadata, where the token allows it. */
  includeMetadata?: boolean | undefined;
}

/** Which activities of trees a list holds, and whether they wait for a person or are stopping. The counts of a list count only these. */
export interface ListTree {
  /** Only the direct children of this activity. */
  parentAgentId?: string | undefined;
  /** Only the tree of this root: the root and everything below it, at any depth. */
  rootAgentId?: string | undefined;
  /** Only activities without a parent. */
  rootsOnly?: boolean | undefined;
  /** True for only the activities with an open question, false for only the others. Default both. */
  waiting?: boolean | undefined;
  /** True for only the RUNNING activities whose cancel was requested, false for only the others. Default both. */
  stopping?: boolean | undefined;
}

export interface StatsOptions extends CallOptions {
  /** The beginning of the range: an ISO 8601 time, or a duration before now such as `1h`. Default `1h`. */
  since?: string | undefined;
  /** The length of a bucket, from `1s`, such as `1m`; at most 1500 buckets. Default `1m`. */
  bucket?: string | undefined;
}

export interface ListOptions extends CallOptions, ListOrder, ListTree {
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
  /** Only activities whose agent_id begins with these hexadecimal digits, at least 4. */
  idPrefix?: string | undefined;
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
  /** Also cancels everything below the activity. */
  tree?: boolean | undefined;
}

export interface QuestionsOptions extends CallOptions {
  /** Default `PENDING`. */
  state?: QuestionState | 'ANY' | undefined;
  /** Only questions of activities with this type. */
  agentType?: string | undefined;
  /** Only questions of activities with this metadata, as in a list over HTTP. */
  metadata?: MetadataFilter | undefined;
  /** Only questions of this activity. */
  agentId?: string | undefined;
  /** The `next` of an earlier page. */
  after?: string | null | undefined;
  /** 1 to 1000. Default 50. */
  pageSize?: number | undefined;
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
  /** The counts of now; with a range, also what happened in it. The answer for a range may be 2 seconds old. */
  stats(options: StatsOptions & ({ since: string } | { bucket: string })): Promise<RangeStats>;
  stats(options?: CallOptions): Promise<Stats>;
  /** Registers an activity, QUEUED, and returns its agent_id. A child without metadata gets that of its parent. */
  create(taskName: string, options?: CallOptions & { message?: string | undefined; agentId?: string | undefined; metadata?: Record<string, Json> | undefined; parentAgentId?: string | undefined }): Promise<string>;
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
  /** A page of questions, the oldest first. */
  questions(options?: QuestionsOptions): Promise<QuestionList>;
  /** A question. With `wait`, such as "30s" (at most 55 s), the answer comes when it is closed, or when that time is over. */
  question(agentId: string, key: string, options?: CallOptions & { wait?: string | undefined }): Promise<Question>;
  /**
   * Puts a question to a person. `schema` is a JSON Schema for the answer, `expiresIn` such as "30m". The same key and prompt again
   * return the same question as it is now.
   */
  ask(agentId: string, key: string, prompt: string, options?: CallOptions & { schema?: Json | undefined; expiresIn?: string | undefined }): Promise<Question>;
  /** Closes a question that its worker no longer asks. It rejects with TA409 where it is closed in another way. */
  withdraw(agentId: string, key: string, options?: CallOptions): Promise<Question>;
  /**
   * Answers a question. The same answer again returns the same question. It rejects with TA409 where the question is closed in
   * another way, with TA422 and the path in the message where the answer breaks the schema, and with 403 where the token does not
   * grant `answer`.
   */
  answer(agentId: string, key: string, answer: Json, options?: CallOptions): Promise<Question>;
  /** Refuses to answer a question. It rejects as `answer` does. */
  decline(agentId: string, key: string, options?: CallOptions): Promise<Question>;
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
  const question = (key: string) => 'questions/' + encodeURIComponent(key);
  const post = <T>(id: string, verb: string, options: object) => {
    const { signal, ...body } = options as CallOptions;
    return call<T>(`${activity(id)}/${verb}`, { signal }, body);
  };
  const write = (verb: string) => (id: string, message?: string, more?: object) => post<ActivityLog>(id, verb, { message, ...more });
  return {
    list: async ({ page, pageSize, idPrefix, after, signal, ...filter } = {}) => {
      const { statuses, metadata, limit: _limit, ...rest } = wireOf(filter);
      const query = queryOf({ page, page_size: pageSize, status: statuses?.join(), ...rest, id_prefix: idPrefix, after });
      addMetadata(query, metadata);
      return call('activities?' + query, { signal });
    },
    detail: (id, { afterSeq, limit, includeMetadata, ...rest } = {}) =>
      call(`${activity(id)}?${queryOf({ after_seq: afterSeq, limit, include_metadata: includeMetadata })}`, rest),
    stats: ({ since, bucket, ...rest }: StatsOptions = {}) => call<RangeStats>('stats' + asQuery(queryOf({ since, bucket })), rest),
    create: async (task_name, { message, agentId: agent_id, metadata, parentAgentId: parent_agent_id, ...rest } = {}) =>
      (await call<{ agent_id: string }>('activities', rest, { task_name, message, agent_id, metadata, parent_agent_id })).agent_id,
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
    questions: async ({ state, agentType, metadata, agentId, after, pageSize, ...rest } = {}) => {
      const query = queryOf({ state, agent_type: agentType, agent_id: agentId, after, page_size: pageSize });
      addMetadata(query, metadata);
      return call('questions' + asQuery(query), rest);
    },
    question: (id, key, { wait, ...rest } = {}) => call(`${activity(id)}/${question(key)}${asQuery(queryOf({ wait }))}`, rest),
    ask: (id, key, prompt, { expiresIn: expires_in, ...more } = {}) => post(id, 'questions', { key, prompt, expires_in, ...more }),
    withdraw: (id, key, options = {}) => post(id, question(key) + '/withdraw', options),
    answer: (id, key, answer, options = {}) => post(id, question(key) + '/answer', { answer, ...options }),
    decline: (id, key, options = {}) => post(id, question(key) + '/decline', options),
  };
}

/** A filter with the names of the wire, for the list of a subscription and the query of HTTP. */
export const wireOf = ({
  statuses, agentType: agent_type, metadata, stale, parentAgentId: parent_agent_id, rootAgentId: root_agent_id, rootsOnly: roots_only, waiting, stopping, sort, order, since,
  until, includeMetadata: include_metadata, limit,
}: ListOptions & { limit?: number | undefined }) => ({
  statuses, agent_type, metadata, stale, parent_agent_id, root_agent_id, roots_only, waiting, stopping, sort, order, since, until, include_metadata, limit,
});

const asQuery = (query: URLSearchParams) => (query.size ? '?' + query : '');

function addMetadata(query: URLSearchParams, metadata: MetadataFilter = {}): void {
  for (const [key, text] of textsOf(metadata)) query.append('metadata.' + key, text);
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
