import { type Api, type ListOptions, ProblemError, type Request } from './http.ts';
import type { Explain } from './reason.ts';
import type { ActivityListItem, Counts, FeedErrorCode, Status } from './types.ts';
import type { Frame, ListFilter, Watch } from './watch.ts';

const POLL = 3_000; // between two reads of what is polled
const ENDED = 15_000; // between two looks at whether a finished activity goes on
const SILENCE = 45_000; // an event stream without even a comment for so long is dead
const STREAMS = 4; // that stay: a browser opens six connections to a host, and others need some
const STALLED = 5_000; // when nothing was answered for so long, the browser may have no connection left
const SAME = 1_000; // for so long the answer to a list serves all watches of it
const HUSH = 500; // a stream that may not stay and says nothing for so long has said all
const STATUSES: Status[] = ['QUEUED', 'RUNNING', 'COMPLETE', 'ERROR', 'CANCELED'];

const over: Record<string, FeedErrorCode> = { TA404: 'not_found', TA422: 'invalid', forbidden: 'forbidden' };

interface Options {
  base: URL;
  request: Request;
  api: Api;
  explain: Explain;
  parse: (json: string) => unknown;
  retryDelay: (attempt: number) => number;
  /** Hands a frame to its watch, and returns true where lines before it are missing. */
  deliver: (w: Watch, frame: Frame, size: number) => boolean;
  report: (reason?: string, code?: string) => void;
  /** Whether the page is hidden and nothing needs the connection: no stream stays then. */
  asleep: () => boolean;
}

/** A read of a list, for all watches that want the same. */
interface Read {
  answer: Promise<[items: ActivityListItem[], counts: Counts]>;
  /** When it was answered; Infinity before. */
  at: number;
  users: number;
  abort: AbortController;
}

// createFallback serves watches without a WebSocket. An activity is read as Server-Sent Events, with fetch rather than
// EventSource: that sends the token in a header, and tells a refusal from a broken line. Beyond what a browser opens at
// once, streams come in turns. A list is polled, because the server has no events of it.
export function createFallback({ base, request, api, explain, parse, retryDelay, deliver, report, asleep }: Options) {
  const fallback = {
    /** Watches are served here. */
    on: false,
    /** The last request was answered. */
    works: false,
    start,
    /** Gives up the streams that stay, for other tabs. */
    rest: () => [...staying.keys()].forEach(start),
  };
  const staying = new Map<Watch, AbortSignal>(); // the watches whose stream stays
  const reads = new Map<string, Read>();
  let streams = 0;
  let answeredAt = 0;

  function answered() {
    fallback.works = true;
    answeredAt = Date.now();
    report();
  }

  // awaited says so when an answer is late and no other came meanwhile. A browser does not tell that it has not even sent a
  // request: over HTTP/1.1 it opens six connections to a server, and event streams of other tabs may have all of them.
  async function awaited<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
    const stalled = setTimeout(() => {
      if (signal.aborted || Date.now() - answeredAt < STALLED) return;
      fallback.works = false;
      const why = globalThis.document
        ? 'the browser may have no connection left, because it opens six over HTTP/1.1: close other tabs of this server, or serve it over HTTPS with HTTP/2'
        : 'it may be too busy';
      report(`${base.origin} has not answered for ${STALLED / 1000} s; ${why}`, 'no_answer');
    }, STALLED);
    return answer.finally(() => clearTimeout(stalled));
  }

  // start serves a watch, anew where it is served.
  function start(w: Watch) {
    w.abort?.abort();
    w.abort = new AbortController();
    void run(w, w.abort.signal);
  }

  async function run(w: Watch, signal: AbortSignal) {
    const seen = { text: '' };
    for (let failures = 0; !signal.aborted; ) {
      let pause: number;
      try {
        pause = w.filter ? await pollList(w, signal, seen) : await stream(w, signal, streams++ < (asleep() ? 0 : STREAMS)).finally(() => streams--);
        failures = 0;
      } catch (e) {
        if (signal.aborted) return;
        const code = e instanceof ProblemError && over[e.code];
        if (code) return void deliver(w, { type: 'error', code, message: e.message }, 0);
        const why = await explain(e);
        if (signal.aborted) return;
        fallback.works = false;
        report(why.reason, why.code);
        pause = retryDelay(failures++);
      }
      if (signal.aborted) return;
      await new Promise<void>((go) => {
        const timer = setTimeout(go, pause);
        signal.onabort = () => (clearTimeout(timer), go());
      });
    }
  }

  // stream returns when the stream has ended, and how long to wait before the next. One that may not stay ends when it
  // has nothing more to say.
  async function stream(w: Watch, signal: AbortSignal, stay: boolean): Promise<number> {
    let reader: ReadableStreamDefaultReader<string> | undefined;
    let pause = stay ? retryDelay(0) : POLL;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const leave = () => reader?.cancel().catch(() => {});
    const watch = (patience: number) => {
      clearTimeout(timer);
      timer = setTimeout(() => (reader ? leave() : start(w)), patience);
    };
    if (stay) staying.set(w, signal);
    signal.onabort = leave; // in Node a read of a stream that the server has ended does not always end with the signal
    try {
      watch(SILENCE);
      const answer = await awaited(request(`v1/feed/${w.id}?after_seq=${w.cursor}`, { accept: 'text/event-stream', signal }), signal);
      answered();
      reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ''; ; ) {
        const { value, done } = await reader.read();
        if (done) return pause;
        watch(stay ? SILENCE : HUSH);
        const events = (rest + value).split('\n\n');
        rest = events.pop()!;
        for (const event of events) {
          const data = event.split('\n').find((line) => line.startsWith('data: '))?.slice(6);
          if (!data || signal.aborted) continue;
          const frame = parse(data) as Frame;
          if (frame.type === 'error' && frame.code === 'forbidden') return pause; // the token expired
          if (deliver(w, frame, data.length)) throw new Error('lines are missing');
          if (frame.type === 'end') pause = ENDED;
        }
      }
    } finally {
      clearTimeout(timer);
      if (staying.get(w) === signal) staying.delete(w);
    }
  }

  async function pollList(w: Watch, signal: AbortSignal, seen: { text: string }): Promise<number> {
    const [items, counts] = await awaited(readList(w.filter!, signal), signal);
    if (signal.aborted) return 0;
    const text = JSON.stringify([items, counts]);
    if (text !== seen.text) deliver(w, { type: 'snapshot', items, counts } as Frame, text.length);
    seen.text = text;
    answered();
    return POLL;
  }

  // readList reads a list once for all watches of it, such as those of several tabs. It ends when none is left.
  async function readList(filter: ListFilter, signal: AbortSignal): Promise<[ActivityListItem[], Counts]> {
    const key = JSON.stringify(filter);
    let read = reads.get(key);
    if (!read || read.abort.signal.aborted || Date.now() - read.at > SAME) {
      for (const [old, { at }] of reads) if (Date.now() - at > SAME) reads.delete(old);
      const abort = new AbortController();
      const next: Read = { answer: requestList(filter, abort.signal), at: Infinity, users: 0, abort };
      next.answer.then(() => (next.at = Date.now()), () => reads.get(key) === next && reads.delete(key));
      reads.set(key, (read = next));
    }
    const mine = read;
    mine.users++;
    const leave = () => --mine.users || mine.abort.abort();
    signal.addEventListener('abort', leave);
    return mine.answer.finally(() => signal.removeEventListener('abort', leave));
  }

  async function requestList(filter: ListFilter, signal: AbortSignal): Promise<[ActivityListItem[], Counts]> {
    const { statuses, stale, sort, order, includeMetadata, limit, ...which } = filter;
    const count = async (state: Pick<ListOptions, 'statuses' | 'stale'>) => (await api.list({ ...which, ...state, pageSize: 1, signal })).total;
    const countStale = async () => ['stale', await count({ stale: true }).catch(() => undefined)]; // a server of an earlier version rejects stale
    const [{ items }, counts] = await Promise.all([
      api.list({ ...which, statuses, stale, sort, order, includeMetadata, pageSize: limit, signal }),
      Object.values(which).some((value) => value !== undefined)
        ? Promise.all([...STATUSES.map(async (s) => [s, await count({ statuses: [s] })]), countStale()]).then((all) => Object.fromEntries(all) as Counts)
        : api.stats({ signal }).then((stats) => stats.counts),
    ]);
    return [items, counts];
  }

  return fallback;
}
