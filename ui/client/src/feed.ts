import type { Clock } from './clock.ts';
import { createFallback } from './fallback.ts';
import { type Api, ProblemError, type Request, wireOf } from './http.ts';
import type { Explain } from './reason.ts';
import type { Tokens } from './tokens.ts';
import { FeedError, type Frame, type Watch } from './watch.ts';

const PROTOCOL = 'agentexec.v1';
const CHECK = 5_000; // between two looks at whether the socket lives
const QUIET = 20_000; // a socket that said nothing for so long is asked whether it lives
const PATIENCE = 10_000; // how long a welcome or a pong may take
const ASLEEP = 60_000; // a socket that said nothing for so long is given up when the page wakes
const STABLE = 5_000; // a connection that lived so long starts the delays anew
const LINGER = 100; // how long the socket outlives its last watch
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const WAKING = ['online', 'pageshow', 'visibilitychange'];

/** How it stands with the connection. */
export interface Connection {
  /** `idle`: nothing is watched. `connecting`: for the first time. `offline`: since `since`; it tries again by itself. */
  state: 'idle' | 'connecting' | 'catching up' | 'live' | 'offline';
  /** When it was last live, while it is offline or catching up after that; else null. */
  since: Date | null;
  /** Why it is offline, where that is known, for people: with what to do about it. */
  reason: string;
  /**
   * The same for programs: `unauthorized` where the server wants another token, `refused_origin` where it does not let in
   * pages of this origin, `unreachable` where it cannot be reached, `no_answer` where it has not answered for long, and other codes
   * of its problems.
   */
  code: string;
  /** `http` where WebSockets do not get through: lines come as Server-Sent Events, lists are asked for every few seconds. */
  transport: 'websocket' | 'http';
}

/** The part of a WebSocket that the feed uses: the browser's, Node's (22 and later) or that of the package ws. */
export type WebSocketClass = new (url: string, protocols: string[]) => {
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(): void;
};

export interface FeedOptions {
  base: URL;
  tokens: Tokens;
  request: Request;
  api: Api;
  explain: Explain;
  clock: Clock;
  parse: (json: string) => unknown;
  WebSocket: WebSocketClass | undefined;
  retryDelay: (attempt: number) => number;
  checkReady: boolean | undefined;
  /** Whether nothing needs the connection now, because the page is hidden. Default: it is hidden. */
  asleep?: (() => boolean) | undefined;
}

export interface Feed {
  add(watch: Watch): void;
  remove(watch: Watch): void;
  pause(watch: Watch): void;
  resume(watch: Watch): void;
  connection(): Connection;
  onConnection(listener: () => void): () => void;
  wake(): void;
  close(): void;
}

// createFeed keeps one socket for all watches. It comes back by itself, and then asks for every watch from where that is.
export function createFeed({ base, tokens, request, api, explain, clock, parse, WebSocket, retryDelay, checkReady, asleep = () => Boolean(globalThis.document?.hidden) }: FeedOptions): Feed {
  const watches = new Set<Watch>();
  const names = new Map<string, Watch | null>(); // on this socket; null until the server has left it too
  const listeners = new Set<() => void>();
  let connection: Connection = { state: 'idle', since: null, reason: '', code: '', transport: 'websocket' };
  let socket: InstanceType<WebSocketClass> | undefined;
  let turn = 0; // counts the attempts to connect: messages of an older one are ignored
  let attempt = 0; // failures in a row
  let welcomed = 0; // when this socket was; 0 while it is not open
  let worked = false; // a WebSocket has been welcomed at least once
  let caughtUp = false; // since the connection was lost
  let ready = true; // the server reaches its database
  let since: Date | null = null;
  let receivedAt = 0; // when the last frame came
  let askedAt = 0;
  let checkedAt = 0;
  let counter = 0;
  let opening = false;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let linger: ReturnType<typeof setTimeout> | undefined;
  let renewal: ReturnType<typeof setTimeout> | undefined;
  let checking: ReturnType<typeof setInterval> | undefined;

  const fallback = createFallback({ base, request, api, explain, parse, retryDelay, deliver, report, asleep });

  function report(reason = '', code = '') {
    const transport = fallback.on ? 'http' : 'websocket';
    const connected = welcomed || (fallback.on && fallback.works);
    let state: Connection['state'] = 'idle';
    if (watches.size) {
      if (connected) caughtUp ||= [...watches].every((w) => w.current || w.paused);
      else {
        caughtUp = false;
        if (reason) since ??= new Date();
      }
      if (connected && ready && caughtUp) since = null;
      state = !connected || !ready ? (since ? 'offline' : 'connecting') : caughtUp ? 'live' : 'catching up';
    }
    if (state !== 'offline') reason = code = '';
    else if (!ready) reason = 'the server does not reach its database';
    else if (!reason) ({ reason, code } = connection);
    const next: Connection = { state, since, reason, code, transport };
    if (JSON.stringify(next) === JSON.stringify(connection)) return;
    connection = next;
    for (const listener of [...listeners]) listener();
  }

  function send(message: object) {
    socket!.send(JSON.stringify(message));
  }

  // start has a watch's frames come, from its cursor on.
  function start(w: Watch) {
    if (w.paused || w.name || !watches.has(w)) return;
    w.current = false;
    if (fallback.on) return fallback.start(w);
    if (!welcomed) return;
    // Under the activity's own name the server shares one encoded frame among all who watch it. An id that is no UUID
    // gets a name of its own, under which the server refuses it.
    w.name = w.id && UUID.test(w.id) && !names.has(w.id) ? w.id : 'w' + ++counter;
    names.set(w.name, w);
    send({
      type: 'subscribe',
      sub: w.name === w.id ? undefined : w.name,
      ...(w.id ? { agent_id: w.id, after_seq: w.cursor } : { list: wireOf(w.filter ?? {}) }),
    });
  }

  function stop(w: Watch) {
    w.abort?.abort();
    if (!w.name) return;
    names.set(w.name, null);
    send({ type: 'unsubscribe', sub: w.name });
    w.name = undefined;
  }

  // deliver hands a frame to its watch, and returns true where lines before it are missing.
  function deliver(w: Watch, frame: Frame, size: number): boolean {
    let hole = false;
    if (frame.type === 'error') {
      remove(w);
      w.over(new FeedError(frame.code, frame.message));
    } else hole = w.take(frame, size);
    if (!caughtUp) report();
    return hole;
  }

  function remove(w: Watch) {
    if (!watches.delete(w)) return;
    stop(w);
    if (!watches.size) linger = setTimeout(() => watches.size || drop(), LINGER);
    else report();
  }

  function beginFallback() {
    if (fallback.on) return;
    fallback.on = true;
    watches.forEach(start);
  }

  function endFallback() {
    fallback.on = fallback.works = false;
    for (const w of watches) w.abort?.abort();
  }

  function receive(data: string) {
    receivedAt = Date.now();
    askedAt = 0;
    const frame = parse(data) as Frame;
    if (frame.type === 'welcome') {
      welcomed = receivedAt;
      clock.set(frame.time);
      worked = true;
      clearTimeout(retry);
      endFallback();
      watches.forEach(start);
      renewLater();
      return report();
    }
    const name = frame.sub;
    if (name === undefined) return;
    const w = names.get(name);
    if (w) {
      if (frame.type === 'error') {
        names.delete(name);
        w.name = undefined;
      }
      if (deliver(w, frame, data.length) && w.name) {
        stop(w);
        setTimeout(start, retryDelay(w.holes++), w);
      }
    } else if (frame.type === 'unsubscribed' || (frame.type === 'error' && frame.code === 'invalid')) {
      names.delete(name);
    }
  }

  // drop leaves the socket and all that belongs to it.
  function drop() {
    turn++;
    clearTimeout(retry);
    clearTimeout(renewal);
    clearTimeout(linger);
    const old = socket;
    socket = undefined;
    opening = caughtUp = false;
    welcomed = askedAt = 0;
    names.clear();
    for (const w of watches) w.name = undefined;
    if (old) {
      old.onmessage = old.onclose = null;
      old.close();
    }
    if (watches.size) return;
    endFallback();
    clearInterval(checking);
    checking = undefined;
    for (const e of WAKING) globalThis.removeEventListener?.(e, wakeUp);
    attempt = 0;
    since = null;
    ready = true;
    report();
  }

  function lost(reason: string, at = Date.now(), code?: number) {
    const open = welcomed;
    if (open && Date.now() - open > STABLE) attempt = 0;
    if (code === 4429) attempt = Math.max(attempt, 4);
    since ??= new Date(at);
    drop();
    if (!watches.size) return;
    attempt++;
    if (!open && (!worked || attempt > 2)) beginFallback();
    retry = setTimeout(connect, retryDelay(fallback.works ? 6 : attempt - 1));
    // Of a refusal HTTP says more than a socket that does not open.
    report(connection.code ? '' : reason, code === 4401 ? 'unauthorized' : '');
  }

  async function connect() {
    if (socket || opening) return;
    clearTimeout(retry);
    if (!WebSocket) {
      beginFallback();
      return report();
    }
    const mine = ++turn;
    const current = () => mine === turn;
    opening = true;
    retry = setTimeout(() => current() && lost('no answer'), PATIENCE);
    try {
      const token = await tokens.get(connection.code === 'unauthorized');
      if (!current()) return;
      const url = new URL('v1/feed', base);
      url.protocol = url.protocol.replace('http', 'ws');
      socket = new WebSocket(url.href, token ? [PROTOCOL, 'bearer.' + token] : [PROTOCOL]);
      let why = 'the connection broke';
      socket.onmessage = ({ data }: { data: string }) => {
        if (!current()) return;
        try {
          receive(data);
        } catch (e) {
          lost(String(e));
        }
      };
      socket.onerror = ({ message }: { message?: string }) => (why = message || why);
      socket.onclose = ({ code, reason }: { code: number; reason: string }) => current() && lost(reason || why, undefined, code);
    } catch (e) {
      if (current()) lost(String(e));
    }
  }

  function renewLater() {
    clearTimeout(renewal);
    const due = tokens.due();
    if (!tokens.renewable || due === Infinity) return;
    renewal = setTimeout(async () => {
      const mine = turn;
      const token = await tokens.get(true).catch(() => undefined);
      if (mine !== turn) return;
      if (token) send({ type: 'auth', token });
      renewLater();
    }, Math.min(Math.max(due, CHECK), 2 ** 31 - 1));
  }

  function ask(patience: number) {
    if (askedAt) return;
    askedAt = Date.now() - PATIENCE + patience;
    send({ type: 'ping' });
  }

  // wakeUp is called when the page was asleep, or the network came back, and when the page is hidden.
  function wakeUp() {
    if (!asleep()) wake();
    else if (fallback.on) fallback.rest();
  }

  // wake makes sure of the connection now.
  function wake() {
    if (!watches.size) return;
    if (fallback.on) watches.forEach(start);
    if (!socket) void connect();
    else if (!welcomed) return;
    else if (Date.now() - receivedAt < ASLEEP) ask(3_000);
    else {
      lost('no answer', receivedAt);
      void connect();
    }
  }

  async function check() {
    const now = Date.now();
    const slept = now - checkedAt > ASLEEP;
    checkedAt = now;
    if (slept) wakeUp();
    else if (askedAt && now - askedAt > PATIENCE) lost('no answer', receivedAt);
    else if (welcomed && now - receivedAt > QUIET) ask(PATIENCE);
    if (!checkReady || !(welcomed || fallback.works) || asleep()) return;
    // A tail that only lacks wake-ups reads on a timer.
    ready = await request('readyz').then(() => true, (e) => !(e instanceof ProblemError && e.status === 503 && !e.problem['tail']));
    if (!ready) since ??= new Date();
    report();
  }

  return {
    add(w) {
      watches.add(w);
      if (!checking) {
        checkedAt = Date.now();
        checking = setInterval(check, CHECK);
        for (const e of WAKING) globalThis.addEventListener?.(e, wakeUp);
        void connect();
      } else start(w);
      report();
    },
    remove,
    pause(w) {
      if (w.paused) return;
      w.paused = true;
      stop(w);
    },
    resume(w) {
      if (!w.paused) return;
      w.paused = false;
      start(w);
    },
    connection: () => connection,
    onConnection(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    wake,
    close() {
      for (const w of watches) {
        remove(w);
        w.over();
      }
      drop();
    },
  };
}
