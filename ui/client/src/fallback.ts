import { type Api, type ListOptions, ProblemError, type Request } from './http.ts';
import type { Explain } from './reason.ts';
import type { Counts, FeedErrorCode, Status } from './types.ts';
import type { Frame, Watch } from './watch.ts';

const POLL = 3_000; // between two reads of what is polled
const ENDED = 15_000; // between two looks at whether a finished activity goes on
const SILENCE = 45_000; // an event stream without even a comment for so long is dead
const STREAMS = 4; // that stay: a browser opens six connections to a host, and others need some
const HUSH = 500; // a stream that may not stay and says nothing for so long has said all
const STATUSES: Status[] = ['QUEUED', 'RUNNING', 'COMPLETE', 'ERROR', 'CANCELED'];

const over: Record<string, FeedErrorCode> = { TA404: 'not_found', TA422: 'invalid', forbidden: 'forbidden' };

interface Options {
  request: Request;
  api: Api;
  explain: Explain;
  parse: (json: string) => unknown;
  retryDelay: (attempt: number) => number;
  /** Hands a frame to its watch, and returns true where lines before it are missing. */
  deliver: (w: Watch, frame: Frame, size: number) => boolean;
  report: (reason?: string, code?: string) => void;
}

// createFallback serves watches without a WebSocket. An activity is read as Server-Sent Events, with fetch rather than
// EventSource: that sends the token in a header, and tells a refusal from a broken line. Beyond what a browser opens at
// once, streams come in turns. A list is polled, because the server has no events of it.
export function createFallback({ request, api, explain, parse, retryDelay, deliver, report }: Options) {
  const fallback = {
    /** Watches are served here. */
    on: false,
    /** The last request was answered. */
    works: false,
    start,
  };
  let streams = 0;

  function answered() {
    fallback.works = true;
    report();
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
        pause = w.filter ? await pollList(w, signal, seen) : await stream(w, signal, streams++ < STREAMS).finally(() => streams--);
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
    signal.onabort = leave; // in Node a read of a stream that the server has ended does not always end with the signal
    try {
      watch(SILENCE);
      const answer = await request(`v1/feed/${w.id}?after_seq=${w.cursor}`, { accept: 'text/event-stream', signal });
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
    }
  }

  async function pollList(w: Watch, signal: AbortSignal, seen: { text: string }): Promise<number> {
    const { statuses, agentType, metadata, stale, limit } = w.filter!;
    const count = async (which: Pick<ListOptions, 'statuses' | 'stale'>) => (await api.list({ ...which, agentType, metadata, pageSize: 1, signal })).total;
    const countStale = async () => ['stale', await count({ stale: true }).catch(() => undefined)]; // a server of an earlier version rejects stale
    const [{ items }, counts] = await Promise.all([
      api.list({ statuses, agentType, metadata, stale, pageSize: limit, signal }),
      agentType || metadata
        ? Promise.all([...STATUSES.map(async (s) => [s, await count({ statuses: [s] })]), countStale()]).then((all) => Object.fromEntries(all) as Counts)
        : api.stats({ signal }).then((stats) => stats.counts),
    ]);
    if (signal.aborted) return 0;
    const text = JSON.stringify([items, counts]);
    if (text !== seen.text) deliver(w, { type: 'snapshot', items, counts } as Frame, text.length);
    seen.text = text;
    answered();
    return POLL;
  }
  return fallback;
}
