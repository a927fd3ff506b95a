// The feed against a small server: one socket, its states, tokens, and the way around WebSockets.

import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { type ActivityEvent, type Client, type ClientOptions, createClient, FeedError, type ListEvent, type WebSocketClass } from '../src/index.ts';
import { FeedServer, ID, range, until } from './server.ts';

let server: FeedServer;
let clients: Client[] = [];
beforeEach(async () => {
  server = new FeedServer();
  await server.start();
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await server.stop();
});

function connect(options: ClientOptions = {}): Client {
  const client = createClient({ url: server.url, WebSocket, retryDelay: () => 5, ...options });
  clients.push(client);
  return client;
}

const seqsOf = (events: ActivityEvent[]) => events.flatMap((e) => (e.type === 'logs' ? e.logs.map((l) => l.seq) : []));
const types = (events: { type: string }[]) => events.map((e) => e.type);
const subscriptions = () => server.messages.filter((m) => m.type === 'subscribe');

// jwt is a token as far as the client looks into it.
const jwt = (seconds: number, name = 'a') =>
  `${name}.${Buffer.from(JSON.stringify({ exp: Math.floor(Date.now() / 1000) + seconds, sub: 'ü' })).toString('base64url')}.x`;

test('one socket serves all watches, from the first to the last', async () => {
  const client = connect();
  expect(client.connection.state).toBe('idle');
  expect(server.protocols).toHaveLength(0);
  server.append(3);
  const first: ActivityEvent[] = [];
  const second: ActivityEvent[] = [];
  const list: ListEvent[] = [];
  const stops = [
    client.watchActivity(ID.toUpperCase(), {}, (e) => first.push(e)),
    client.watchActivity(ID, { afterSeq: 2 }, (e) => second.push(e)),
    client.watchList({ statuses: ['RUNNING'], agentType: 'test', metadata: { org: '1', n: 2 }, sort: 'duration', order: 'asc', since: '24h', until: '1h', includeMetadata: true, limit: 10 }, {}, (e) => list.push(e)),
  ];
  await until(() => seqsOf(first).length === 3 && seqsOf(second).length === 1 && list.length === 1);
  expect(server.protocols).toEqual([['agentexec.v1']]);
  expect(subscriptions()).toEqual([
    { type: 'subscribe', agent_id: ID, after_seq: 0 }, // without a name, so that all share one encoded frame
    { type: 'subscribe', sub: 'w1', agent_id: ID, after_seq: 2 },
    { type: 'subscribe', sub: 'w2', list: { statuses: ['RUNNING'], agent_type: 'test', metadata: { org: '1', n: 2 }, sort: 'duration', order: 'asc', since: '24h', until: '1h', include_metadata: true, limit: 10 } },
  ]);
  expect(list[0]).toEqual({ type: 'snapshot', items: [server.item()], counts: server.counts() });
  expect(first[0]).toEqual({ type: 'snapshot', activity: server.activity() });

  stops[0]!();
  stops[2]!();
  stops[2]!(); // once more does nothing
  server.append(1);
  await until(() => seqsOf(second).length === 2);
  expect(seqsOf(first)).toEqual([1, 2, 3]);
  expect(server.sockets.size).toBe(1);
  stops[1]!();
  await until(() => server.sockets.size === 0);
  expect(client.connection.state).toBe('idle');

  client.watchActivity(ID, { afterSeq: 4 }, (e) => first.push(e));
  server.append(1);
  await until(() => seqsOf(first).length === 4);
  expect(server.protocols).toHaveLength(2);
});

test('a watch that is replaced at once gets nothing of the one before, and the socket stays', async () => {
  const client = connect();
  server.append(5);
  const all: ActivityEvent[][] = [];
  for (let n = 0; n < 5; n++) {
    const events: ActivityEvent[] = [];
    all.push(events);
    const stop = client.watchActivity(ID, { afterSeq: 4 - n }, (e) => events.push(e));
    if (n === 1) await until(() => seqsOf(events).length > 0);
    if (n < 4) stop();
  }
  await until(() => seqsOf(all[4]!).length === 5);
  expect(subscriptions()).toHaveLength(4); // the first had no socket yet; frames of the one before would look like missing lines
  expect(all.map((events) => events.length > 0)).toEqual([false, true, false, false, true]);
  expect(server.protocols).toHaveLength(1);
});

test('an unknown activity ends its watch alone', async () => {
  const client = connect();
  const unknown = '00000000-0000-4000-8000-000000000000';
  const events: ActivityEvent[] = [];
  const errors: FeedError[] = [];
  client.watchActivity(ID, {}, (e) => events.push(e));
  client.watchActivity(unknown, {}, () => {}, (e) => errors.push(e));
  const error = await (async () => {
    for await (const _ of client.watchActivity(unknown)) expect.unreachable();
  })().catch((e: unknown) => e);
  expect(error).toBeInstanceOf(FeedError);
  expect(error).toMatchObject({ code: 'not_found', message: 'there is no such activity' });
  await until(() => errors.length === 1);
  server.append(1);
  await until(() => seqsOf(events).length === 1);
  expect(client.connection.state).toBe('live');
});

test('what is not kept any more, and what was set back, is said', async () => {
  const client = connect();
  server.append(10);
  server.pruned = new Set([3, 4, 5, 6]);
  const events: ActivityEvent[] = [];
  client.watchActivity(ID, {}, (e) => events.push(e));
  await until(() => seqsOf(events).length === 6);
  expect(types(events)).toEqual(['snapshot', 'logs', 'gap', 'logs']);
  expect(events[2]).toEqual({ type: 'gap', after_seq: 2, next_seq: 7, reason: 'pruned' });
  await server.stop();
  server.reset(8);
  await server.start();
  await until(() => events.some((e) => e.type === 'gap' && e.reason === 'reset'));
  expect(events.at(-1)).toEqual({ type: 'gap', after_seq: 10, next_seq: 9, reason: 'reset' });
  server.append(1);
  await until(() => seqsOf(events).at(-1) === 9);
  expect(client.connection.state).toBe('live');
});

test.each([3, 12])('an activity made again while the connection was away, with %i lines, begins anew', async (lines) => {
  const client = connect();
  server.append(10);
  const events: ActivityEvent[] = [];
  client.watchActivity(ID, {}, (e) => events.push(e));
  await until(() => seqsOf(events).length === 10);
  await server.stop();
  server.makeAgain();
  server.append(lines);
  await server.start();
  await until(() => seqsOf(events).length === 10 + lines);
  const resets = events.filter((e) => e.type === 'gap');
  expect(resets).toEqual([{ type: 'gap', after_seq: 10, next_seq: 1, reason: 'reset' }]);
  expect(seqsOf(events).slice(10)).toEqual(Array.from({ length: lines }, (_, n) => n + 1));
});

test('a slow reader loses nothing, and does not fill the memory', async () => {
  const client = connect();
  server.batch = 1;
  server.append(100, 'x'.repeat(100_000)); // ten times what may wait
  const seqs: number[] = [];
  let first = true;
  for await (const event of client.watchActivity(ID)) {
    if (event.type === 'end') break;
    if (event.type !== 'logs') continue;
    seqs.push(...event.logs.map((l) => l.seq));
    if (!first) continue;
    first = false;
    await until(() => server.messages.some((m) => m.type === 'unsubscribe')); // it is not asked for more than may wait
    server.finish();
  }
  expect(seqs).toEqual(range(1, 101));
  const [, again] = subscriptions().map((m) => m.after_seq!); // what waited was all taken, and no more than may wait
  expect(again).toBeGreaterThanOrEqual(10);
  expect(again).toBeLessThanOrEqual(12);
});

test('an iteration ends by break, signal, return and close', async () => {
  const client = connect();
  server.append(1);
  for await (const event of client.watchActivity(ID)) {
    expect(event.type).toBe('snapshot');
    break;
  }
  const abort = new AbortController();
  for await (const event of client.watchActivity(ID, { signal: abort.signal })) {
    if (event.type === 'logs') setTimeout(() => abort.abort(), 5);
  }
  for await (const _ of client.watchActivity(ID, { signal: abort.signal })) expect.unreachable();

  const iterator = client.watchList()[Symbol.asyncIterator]();
  expect((await iterator.next()).value).toMatchObject({ type: 'snapshot' });
  const pending = [iterator.next(), iterator.next()];
  await iterator.return!();
  expect((await Promise.all(pending)).map((p) => p.done)).toEqual([true, true]);

  const other = client.watchList()[Symbol.asyncIterator]();
  await other.next();
  const last = other.next();
  client.close();
  expect((await last).done).toBe(true);
  await until(() => server.sockets.size === 0);
});

test('a watch that is over leaves no listener at its signal', async () => {
  server.append(1);
  const client = connect();
  const { signal } = new AbortController();
  const listeners = () => getEventListeners(signal, 'abort').length;
  const unknown = '00000000-0000-4000-8000-000000000000';
  for (let n = 0; n < 3; n++) {
    let first = false;
    const stop = client.watchActivity(ID, { signal }, () => (first = true));
    await until(() => first);
    expect(listeners()).toBe(1);
    stop();
    expect(listeners(), 'of a callback that was stopped').toBe(0);
    client.watchActivity(unknown, { signal }, () => {}, () => (first = false));
    await until(() => !first);
    expect(listeners(), 'of a callback whose watch the server refused').toBe(0);
    for await (const _ of client.watchActivity(ID, { signal })) break;
    await expect(async () => { for await (const _ of client.watchActivity(unknown, { signal })); }).rejects.toThrow();
    expect(listeners(), 'of iterations').toBe(0);
  }
  client.watchActivity(ID, { signal }, () => {});
  const next = client.watchActivity(ID, { signal })[Symbol.asyncIterator]().next();
  await next;
  expect(listeners()).toBe(2);
  client.close();
  expect(listeners(), 'of a client that was closed').toBe(0);
});

test('what a callback throws is reported and disturbs nothing', async () => {
  const thrown: unknown[] = [];
  const before = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException').on('uncaughtException', (e) => thrown.push(e));
  try {
    const client = connect();
    server.append(2);
    const events: ActivityEvent[] = [];
    client.watchActivity(ID, {}, () => {
      throw new Error('mine');
    });
    client.watchActivity(ID, {}, (e) => events.push(e));
    await until(() => seqsOf(events).length === 2 && thrown.length === 2);
    expect(String(thrown[0])).toBe('Error: mine');
    expect(server.protocols).toHaveLength(1);
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const listener of before) process.on('uncaughtException', listener);
  }
});

test('how it stands with the connection is always known', async () => {
  const client = connect();
  const states: string[] = [];
  client.onConnection(() => states.push(client.connection.state));
  server.append(20);
  const events: ActivityEvent[] = [];
  client.watchActivity(ID, {}, (e) => events.push(e));
  await until(() => client.connection.state === 'live');
  expect(seqsOf(events)).toHaveLength(20);
  expect(states).toEqual(['connecting', 'catching up', 'live']);
  expect(client.connection.since).toBeNull();

  const before = Date.now();
  await server.stop();
  await until(() => client.connection.state === 'offline');
  const { since, reason } = client.connection;
  expect(since!.getTime()).toBeGreaterThanOrEqual(before);
  expect(reason).not.toBe('');
  const same = client.connection;
  await until(() => client.connection !== same || client.connection.reason !== reason); // further failures
  expect(client.connection.since).toEqual(since);

  await server.start();
  await until(() => client.connection.state === 'live');
  expect(client.connection).toMatchObject({ since: null, reason: '', code: '' });
  expect(states.slice(3).filter((s) => s !== 'offline')).toEqual(['catching up', 'live']);
});

test('a server that never answers is offline, not connecting', async () => {
  await server.stop();
  const client = connect();
  client.watchActivity(ID, {}, () => {});
  await until(() => client.connection.state === 'offline');
  expect(client.connection.since).toBeInstanceOf(Date);
  await server.start();
  await until(() => client.connection.state === 'live');
});

test('the token goes along, and is renewed before it expires', async () => {
  const token = vi.fn(() => Promise.resolve(jwt(11, 'n' + token.mock.calls.length))); // renewed half way, after 5.5 s
  const client = connect({ token });
  client.watchActivity(ID, {}, () => {});
  await until(() => server.messages.some((m) => m.type === 'auth'));
  expect(server.protocols).toHaveLength(1);
  expect(server.protocols[0]![1]).toMatch(/^bearer\.n1\.[\w-]+\.x$/);
  expect(server.messages.find((m) => m.type === 'auth')!.token).toMatch(/^n2\./);
});

test('a refused token is asked for again', async () => {
  let n = 0;
  const client = connect({ token: () => `opaque${++n}` });
  client.watchActivity(ID, {}, () => {});
  await until(() => client.connection.state === 'live');
  for (const ws of server.sockets) ws.close(4401, 'the token expired');
  await until(() => server.protocols.length === 2);
  expect(server.protocols.map((p) => p[1])).toEqual(['bearer.opaque1', 'bearer.opaque2']);

  const seen: (string | undefined)[] = [];
  server.answer = (request, response) => {
    seen.push(request.headers.authorization);
    if (seen.length > 1) return false;
    response.writeHead(401, { 'Content-Type': 'application/problem+json' }).end('{"code":"unauthorized","detail":"the token expired"}');
    return true;
  };
  await client.stats();
  expect(seen).toEqual(['Bearer opaque2', 'Bearer opaque3']);
});

test('a server that wants a token is said to, and let in with one', async () => {
  server.blocked = 401;
  server.token = 'good';
  let token = 'bad';
  server.answer = (request, response) => {
    if (request.headers.authorization === 'Bearer good') return false;
    response.writeHead(401, { 'Content-Type': 'application/problem+json' }).end('{"code":"unauthorized","detail":"the token does not hold"}');
    return true;
  };
  const client = connect({ token: () => token });
  const events: ActivityEvent[] = [];
  client.watchActivity(ID, {}, (e) => events.push(e));
  await until(() => client.connection.code === 'unauthorized');
  expect(client.connection).toMatchObject({ state: 'offline', reason: 'the token does not hold' });
  const codes = new Set<string>();
  client.onConnection(() => codes.add(client.connection.code));
  const tries = server.paths.length;
  await until(() => server.paths.length > tries + 5);
  expect([...codes]).toEqual([]); // it does not waver
  token = 'good';
  client.reconnect();
  await until(() => client.connection.state === 'live' && client.connection.transport === 'websocket');
  expect(client.connection.code).toBe('');
  expect(server.protocols.at(-1)).toEqual(['agentexec.v1', 'bearer.good']);
});

test('an event stream whose token expired goes on with another', async () => {
  server.blocked = 403;
  server.append(2);
  let expired = true;
  server.answer = (request, response) => {
    if (!expired || !request.url!.startsWith('/v1/feed/')) return false;
    expired = false;
    response.writeHead(200).end('event: error\ndata: {"type":"error","code":"forbidden","message":"the token has expired"}\n\n');
    return true;
  };
  const client = connect({ token: () => 'it' });
  for await (const event of client.watchActivity(ID)) if (event.type === 'logs') break;
  expect(expired).toBe(false);
});

test('a token function that fails is called again, and its error is the reason of being offline', async () => {
  let broken = true;
  const client = connect({
    token() {
      if (broken) throw new Error('no user is signed in');
      return 'good';
    },
  });
  client.watchActivity(ID, {}, () => {});
  await until(() => client.connection.reason.includes('no user is signed in'));
  expect(client.connection.state).toBe('offline');
  broken = false;
  await until(() => client.connection.state === 'live');
});

test('where WebSockets do not get through, HTTP does, until they do', async () => {
  server.blocked = 403;
  server.append(4);
  const client = connect();
  const events: ActivityEvent[] = [];
  const list: ListEvent[] = [];
  client.watchActivity(ID, {}, (e) => events.push(e));
  client.watchList({ agentType: 'it', metadata: { a: 'x"y', b: true }, sort: 'activity', since: '7d', includeMetadata: true }, {}, (e) => list.push(e));
  await until(() => client.connection.state === 'live' && list.length === 1);
  expect(client.connection.transport).toBe('http');
  expect(list[0]).toEqual({ type: 'snapshot', items: [server.item()], counts: server.counts() });
  expect(server.paths).toContain(`/v1/feed/${ID}?after_seq=0`);
  expect(server.paths.map(decodeURIComponent)).toContain('/v1/activities?agent_type=it&sort=activity&since=7d&include_metadata=true&metadata.a="x"y"&metadata.b=true');
  server.append(2, 'line\u2028with\ta separator');
  await until(() => seqsOf(events).length === 6);

  server.blocked = 0;
  await until(() => client.connection.transport === 'websocket' && client.connection.state === 'live');
  server.append(2);
  await until(() => seqsOf(events).length === 8);
  expect(seqsOf(events)).toEqual(range(1, 8));
});

test('a list of a tree asks for it on both transports, and its counts over HTTP are of the tree', async () => {
  const filter = { rootAgentId: ID, parentAgentId: ID, rootsOnly: false, waiting: true, stopping: false };
  const list: ListEvent[] = [];
  const client = connect();
  client.watchList(filter, {}, (e) => list.push(e));
  await until(() => list.length === 1);
  expect(subscriptions()).toEqual([{ type: 'subscribe', sub: 'w1', list: { parent_agent_id: ID, root_agent_id: ID, roots_only: false, waiting: true, stopping: false } }]);

  server.blocked = 403;
  const other = connect();
  other.watchList(filter, {}, (e) => list.push(e));
  await until(() => list.length === 2);
  const query = `parent_agent_id=${ID}&root_agent_id=${ID}&roots_only=false&waiting=true&stopping=false`;
  for (const more of ['', 'page_size=1&status=RUNNING&']) expect(server.paths).toContain(`/v1/activities?${more}${query}`);
  expect(server.paths).toContain(`/v1/activities?page_size=1&stale=true&${query}`);
  expect(server.paths.some((path) => path.startsWith('/v1/stats'))).toBe(false);
});

test('without any WebSocket at all, many activities take turns', async () => {
  vi.stubGlobal('WebSocket', undefined);
  try {
    const client = connect({ WebSocket: undefined });
    server.append(3);
    const all = range(1, 9).map(() => [] as ActivityEvent[]);
    for (const events of all) client.watchActivity(ID, {}, (e) => events.push(e));
    await until(() => all.every((events) => seqsOf(events).length === 3));
    server.finish();
    await until(() => all.every((events) => events.at(-1)!.type === 'end'));
    for (const events of all) {
      expect(seqsOf(events)).toEqual([1, 2, 3, 4]);
      expect(types(events).filter((t) => t === 'end')).toHaveLength(1);
    }
    expect(client.connection).toMatchObject({ state: 'live', transport: 'http' });
  } finally {
    vi.unstubAllGlobals();
  }
});

test('over HTTP too an unknown activity ends its watch, and so does what cannot be asked', async () => {
  server.blocked = 403;
  const client = connect();
  const errors: FeedError[] = [];
  client.watchActivity('00000000-0000-4000-8000-000000000000', {}, () => {}, (e) => errors.push(e));
  client.watchList({ metadata: { n: [1] } }, {}, () => {}, (e) => errors.push(e));
  await until(() => errors.length === 2);
  expect(errors.map((e) => e.code).sort()).toEqual(['invalid', 'not_found']);
});

test('a server that lost its database is not called live', async () => {
  vi.useFakeTimers({ toFake: ['setInterval'] });
  try {
    const client = connect({ checkReady: true });
    let body: object | undefined = { ready: false, tail: false };
    server.answer = (request, response) => {
      if (request.url !== '/readyz') return false;
      response.writeHead(body ? 503 : 200).end(JSON.stringify(body ?? { ready: true }));
      return true;
    };
    client.watchActivity(ID, {}, () => {});
    await until(() => client.connection.state === 'live');
    vi.advanceTimersByTime(5_000);
    await until(() => client.connection.state === 'offline');
    expect(client.connection).toMatchObject({ reason: 'the server does not reach its database' });
    body = { ready: false, tail: true }; // it only reads on a timer
    vi.advanceTimersByTime(5_000);
    await until(() => client.connection.state === 'live');
    body = undefined;
    vi.advanceTimersByTime(5_000);
    expect(client.connection.state).toBe('live');
  } finally {
    vi.useRealTimers();
  }
});

test('a WebSocket class that throws is as good as none', async () => {
  server.append(1);
  class Forbidden {
    constructor() {
      throw new Error('insecure');
    }
  }
  const client = connect({ WebSocket: Forbidden as unknown as WebSocketClass });
  for await (const event of client.watchActivity(ID)) if (event.type === 'logs') break;
  expect(client.connection.transport).toBe('http');
});
