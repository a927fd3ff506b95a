import { createClock } from './clock.ts';
import { createFeed, type Connection, type Feed, type WebSocketClass } from './feed.ts';
import { createApi, createRequest, type Api } from './http.ts';
import { iterate } from './iterate.ts';
import { createExplain } from './reason.ts';
import type { ShareOptions } from './share.ts';
import { createTokens, type TokenSource, type Tokens } from './tokens.ts';
import type { ActivityEvent, ListEvent } from './types.ts';
import { activityWatch, type FeedError, listWatch, type ListFilter, type Sink, type Watch } from './watch.ts';

export interface ClientOptions {
  /** Where the sidecar is, such as `https://example.org/agentexec`. Default: the page's own origin. */
  url?: string | URL | undefined;
  /** A token, or what gets one: it is asked again before the token expires, and when the server refuses it. */
  token?: TokenSource | undefined;
  /** A WebSocket where there is none of that name, as in Node 20: that of the package ws. Without any, the client does without. */
  WebSocket?: WebSocketClass | undefined;
  fetch?: typeof globalThis.fetch | undefined;
  /** Reads JSON. Default JSON.parse, which rounds integers beyond 2^53 in `data`. */
  parse?: ((json: string) => unknown) | undefined;
  /** Milliseconds to wait after the failure with this number, from 0 on. Default: jittered, growing to 15 s. */
  retryDelay?: ((attempt: number) => number) | undefined;
  /** Also asks every 5 seconds whether the server reaches its database, and is `offline` while it does not. Default false. */
  checkReady?: boolean | undefined;
  /**
   * Shares one connection among all tabs of the browser whose page has the same origin, `url` and token. It needs a page of
   * HTTPS or localhost (Web Locks); elsewhere, and in Node, each client has a connection of its own. Default false.
   */
  share?: boolean | undefined;
}

/** Gets an error when the watch is over by itself: there is no such activity, or the server does not allow it. */
export type OnOver = (error: FeedError) => void;

export interface WatchOptions {
  /** Ends an iteration, quietly. */
  signal?: AbortSignal | undefined;
}

export interface ActivityOptions extends WatchOptions {
  /** The last seq you have: lines after it come. Default 0, all of them. */
  afterSeq?: number | undefined;
}

export interface Client extends Api {
  /**
   * The lines of an activity, each once and in order, and live when the past ones are through. An iteration goes on
   * after `end`: leave it there with `break`, or wait for a retry. It throws a FeedError where there is no such activity.
   */
  watchActivity(agentId: string, options?: ActivityOptions): AsyncIterable<ActivityEvent>;
  /** The same, as a callback. Returns what stops it. */
  watchActivity(agentId: string, options: ActivityOptions, onEvent: (event: ActivityEvent) => void, onOver?: OnOver): () => void;
  /** A live list: first a snapshot, then what changes. */
  watchList(filter?: ListFilter, options?: WatchOptions): AsyncIterable<ListEvent>;
  /** The same, as a callback. Returns what stops it. */
  watchList(filter: ListFilter, options: WatchOptions, onEvent: (event: ListEvent) => void, onOver?: OnOver): () => void;
  /** How it stands with the connection. The object is another one after each change. */
  readonly connection: Connection;
  /** Has the listener called after each change. Returns what stops it. */
  onConnection(listener: () => void): () => void;
  /**
   * The database's clock, in milliseconds since 1970, for ages and for time that is left. Before the first welcome on a
   * WebSocket of this client, and with a server of an earlier version, it is the clock of this machine.
   */
  now(): number;
  /** Makes sure of the connection now, without waiting for the next try. */
  reconnect(): void;
  /** Ends all watches, quietly, and closes the socket. */
  close(): void;
}

/** Makes a client. sharedFeed makes the feed of one that shares its connection; without it, none does. */
export function makeClient({
  url = '',
  token,
  WebSocket = globalThis.WebSocket,
  fetch = (...args) => globalThis.fetch(...args),
  parse = JSON.parse,
  retryDelay = (attempt) => Math.min(1000 * 2 ** attempt, 15_000) * (0.2 + 0.8 * Math.random()),
  checkReady,
  share,
}: ClientOptions, sharedFeed?: (options: ShareOptions) => Feed): Client {
  const base = new URL(url, globalThis.location?.origin);
  base.pathname = base.pathname.replace(/\/?$/, '/');
  const tokens = createTokens(token);
  const request = createRequest(base, tokens, fetch);
  const api = createApi(request, parse);
  const explain = createExplain(base, fetch);
  const clock = createClock();
  const create = (tokens: Tokens, asleep?: () => boolean): Feed =>
    createFeed({ base, tokens, request, api, explain, clock, parse, WebSocket, retryDelay, checkReady, asleep });
  const feed = share && sharedFeed ? sharedFeed({ base, tokens, clock, parse, retryDelay, create }) : create(tokens);

  function watch<E>(make: (sink: Sink<E>) => Watch, { signal }: WatchOptions, onEvent?: (event: E) => void, onOver?: OnOver) {
    if (!onEvent) {
      return iterate<E>((sink) => {
        const w = make(sink);
        feed.add(w);
        return { pause: () => feed.pause(w), resume: () => feed.resume(w), stop: () => feed.remove(w) };
      }, signal);
    }
    // An error of a callback is reported, and disturbs neither the feed nor other watches.
    const safely = <T>(call: (value: T) => void) => (value: T) => {
      try {
        call(value);
      } catch (e) {
        queueMicrotask(() => {
          throw e;
        });
      }
    };
    const leave = () => signal?.removeEventListener('abort', stop);
    const w = make({ event: safely(onEvent), over: safely((error) => (leave(), error && onOver?.(error))) });
    const stop = () => {
      leave();
      feed.remove(w);
    };
    if (signal?.aborted) return stop;
    signal?.addEventListener('abort', stop);
    feed.add(w);
    return stop;
  }

  return {
    ...api,
    watchActivity: ((id: string, o: ActivityOptions = {}, ...on: []) => watch((sink) => activityWatch(id, o.afterSeq ?? 0, sink), o, ...on)) as Client['watchActivity'],
    watchList: ((filter: ListFilter = {}, o: WatchOptions = {}, ...on: []) => watch((sink) => listWatch(filter, sink), o, ...on)) as Client['watchList'],
    get connection() {
      return feed.connection();
    },
    onConnection: feed.onConnection,
    now: clock.now,
    reconnect: feed.wake,
    close: feed.close,
  };
}
