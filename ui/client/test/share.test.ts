// Tabs that share one connection: every line once in each of them, whatever happens to the others.

import { setMaxListeners } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { type Client, type ClientOptions, createClient, type FeedError } from '../src/index.ts';
import { applyList } from '../src/state.ts';
import type { ActivityListItem } from '../src/types.ts';
import { Browser, type Tab } from './browser.ts';
import { FeedServer, ID, range, until } from './server.ts';

interface Page {
  tab: Tab;
  client: Client;
  seqs: number[];
  items: Map<string, ActivityListItem>;
}

let server: FeedServer;
let browser: Browser;
let pages: Page[] = [];
const page = new EventTarget();
setMaxListeners(0, page);
const document = { hidden: false };

beforeEach(async () => {
  server = new FeedServer();
  await server.start();
  browser = new Browser();
  document.hidden = false;
  vi.stubGlobal('document', document);
  vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
  vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page));
});
afterEach(async () => {
  vi.useRealTimers();
  for (const { client } of pages.splice(0)) client.close();
  await server.stop();
  vi.unstubAllGlobals();
});

// open is a tab with an activity and a list.
function open(options: ClientOptions = {}, mayLock?: Promise<void>): Page {
  const { tab, made: client } = browser.open(() => createClient({ url: server.url, WebSocket, retryDelay: () => 5, share: true, ...options }), mayLock);
  const seqs: number[] = [];
  const items = new Map<string, ActivityListItem>();
  client.watchActivity(ID, {}, (e) => e.type === 'logs' && seqs.push(...e.logs.map((l) => l.seq)));
  client.watchList({}, {}, (e) => applyList(items, e));
  const opened = { tab, client, seqs, items };
  pages.push(opened);
  return opened;
}

const openMany = (n: number, options?: ClientOptions) => Array.from({ length: n }, () => open(options));
const all = (check: (page: Page) => boolean) => until(() => pages.every(check), String(check));
const has = (n: number) => (p: Page) => p.seqs.length >= n;
const shows = (n: number) => (p: Page) => p.items.get(ID)?.last_seq === n;
const once = (n: number) => {
  for (const p of pages) expect(p.seqs).toEqual(range(1, n));
};
const append = (n: number, message?: string) => {
  server.append(n, message);
  server.relist();
};
const leading = () => pages.find(({ tab }) => tab === browser.leader())!;
const close = (p: Page) => {
  pages = pages.filter((other) => other !== p);
  p.client.close();
};
const crash = (p: Page) => {
  pages = pages.filter((other) => other !== p);
  p.tab.crash();
  // Its timers would run on, and its socket stay open.
  p.client.close();
};

test('20 tabs have one socket, and each gets every line once', async () => {
  append(3);
  openMany(20);
  await all(has(3));
  append(50);
  await all((p) => has(53)(p) && shows(53)(p));
  once(53);
  expect(server.sockets.size).toBe(1);
  expect(server.protocols).toHaveLength(1);
  await all((p) => p.client.connection.state === 'live');
  const leader = leading();
  for (const p of [...pages]) if (p !== leader) close(p);
  await until(() => server.messages.filter((m) => m.type === 'unsubscribe').length === 38, 'what no tab watches is left');
});

test('the leader closes or crashes while lines come: nothing is lost or repeated', async () => {
  openMany(8);
  let last = 0;
  for (let round = 0; pages.length > 1; round++) {
    for (let n = 0; n < 20; n++) append(1 + (n % 3));
    last = server.lines.length;
    await until(() => pages.some(has(last - 20)));
    (round % 2 ? crash : close)(leading());
    append(5);
    last += 5;
    await all(has(last));
    once(last);
    await all(shows(last));
    await until(() => server.sockets.size === 1);
  }
  expect(pages[0]!.client.connection.state).toBe('live');
});

test('tabs with other tokens share nothing, and no token is sent to a tab', async () => {
  openMany(2, { token: 'first.token.x' });
  openMany(2, { token: 'second.token.x' });
  append(3);
  await all(has(3));
  once(3);
  expect(server.sockets.size).toBe(2);
  expect(server.protocols.map((p) => p[1]).sort()).toEqual(['bearer.first.token.x', 'bearer.second.token.x']);
  expect(browser.messages.join()).not.toMatch(/token\.x/);
  const groups = new Set([...browser.channels].map((c) => c.name.split(' ')[1]));
  expect(groups.size).toBe(2);
});

test('a tab that gets another token leaves the group, and nothing is lost', async () => {
  let token = 'one';
  const first = open({ token: () => token });
  await until(() => leading() === first);
  const second = open({ token: () => 'one' });
  append(3);
  await all(has(3));
  expect(server.sockets.size).toBe(1);
  token = 'two';
  server.blocked = 401;
  server.token = 'two';
  server.answer = (request, response) => {
    const refused = request.headers.authorization !== 'Bearer two';
    if (refused) response.writeHead(401).end(JSON.stringify({ code: 'unauthorized', detail: 'the token has expired' }));
    return refused;
  };
  for (const socket of server.sockets) socket.close(4401, 'the token has expired');
  append(2);
  await until(() => has(5)(first) && first.client.connection.state === 'live');
  await until(() => second.client.connection.code === 'unauthorized');
  expect(second.seqs).toHaveLength(3);
  server.blocked = 0;
  server.answer = undefined;
  await all(has(5));
  once(5);
});

test('a frozen tab holds up no other, and little waits for it', async () => {
  openMany(4);
  append(1);
  await all(has(1));
  const frozen = pages.find((p) => p !== leading())!;
  frozen.tab.freeze();
  const message = 'x'.repeat(10_000);
  for (let n = 0; n < 60; n++) {
    append(10, message);
    await until(() => pages.every((p) => p === frozen || has(server.lines.length)(p)));
  }
  expect(frozen.seqs).toHaveLength(1);
  expect(frozen.tab.queued).toBeGreaterThan(1 << 20); // of 6 million
  expect(frozen.tab.queued).toBeLessThan(1.5 * (1 << 20));
  frozen.tab.thaw();
  await all((p) => has(601)(p) && shows(601)(p));
  once(601);
  append(1);
  await all(has(602));
  expect(server.sockets.size).toBe(1);
});

test('a tab that hears the leader before it has its own lock loses nothing', async () => {
  open();
  append(2);
  await all(has(2));
  let allow = () => {};
  const second = open({}, new Promise<void>((go) => (allow = go)));
  await until(() => [...browser.channels].some((c) => c.tab === second.tab), 'it has its channels');
  page.dispatchEvent(new Event('visibilitychange')); // the leader says how it stands
  await new Promise((go) => setTimeout(go, 50));
  allow();
  append(1);
  await all((p) => has(3)(p) && shows(3)(p));
  once(3);
  expect(server.sockets.size).toBe(1);
});

test('a leader that does not answer is replaced, and follows when it answers again', async () => {
  openMany(4);
  append(2);
  await all(has(2));
  const stuck = leading();
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] });
  stuck.tab.freeze();
  // The intervals of tabs made before are real: these tabs come after.
  const later = openMany(3);
  await vi.advanceTimersByTimeAsync(0);
  for (let n = 0; n < 6 && browser.leader() === stuck.tab; n++) {
    vi.advanceTimersByTime(5_000);
    await new Promise((go) => setTimeout(go, 20));
  }
  expect(browser.leader()).not.toBe(stuck.tab);
  vi.useRealTimers();
  append(3);
  await until(() => later.every(has(5)));
  await until(() => server.sockets.size === 2, 'that of the stuck tab is still open');
  stuck.tab.thaw();
  await all((p) => has(5)(p) && shows(5)(p));
  await until(() => server.sockets.size === 1);
  append(1);
  await all((p) => has(6)(p) && shows(6)(p));
  once(6);
});

test('a tab that is seen takes over from a hidden one whose connection broke', async () => {
  openMany(3);
  append(1);
  await all((p) => has(1)(p) && p.client.connection.state === 'live');
  const first = leading();
  // One page stands for all of them here: it is hidden while the leader tells, and seen when the others look.
  document.hidden = true;
  page.dispatchEvent(new Event('visibilitychange'));
  await new Promise((go) => setTimeout(go, 20));
  document.hidden = false;
  const [second] = pages.filter((p) => p !== first);
  second!.client.reconnect();
  await new Promise((go) => setTimeout(go, 20));
  expect(leading()).toBe(first); // its WebSocket needs no timers
  await server.stop();
  document.hidden = true; // the leader tells again
  await all((p) => p.client.connection.state === 'offline');
  document.hidden = false;
  second!.client.reconnect();
  await until(() => leading() === second);
  await server.start();
  append(2);
  await all(has(3));
  once(3);
});

test('where WebSockets are blocked, tabs share the requests', async () => {
  server.blocked = 503;
  let most = 0;
  let open = 0;
  server.answer = (_request, response) => {
    most = Math.max(most, ++open);
    response.on('close', () => open--);
    return false;
  };
  openMany(12);
  append(3);
  await all((p) => has(3)(p) && p.client.connection.transport === 'http');
  await all((p) => p.client.connection.state === 'live');
  append(2);
  await all((p) => has(5)(p) && shows(5)(p));
  once(5);
  const lists = server.paths.filter((path) => path.startsWith('/v1/activities?')).length;
  expect(lists).toBeLessThan(12);
  close(leading());
  append(2);
  await all((p) => has(7)(p) && shows(7)(p));
  once(7);
});

test('a tab shows the connection of the leader, and why it is offline', async () => {
  openMany(3);
  await all((p) => p.client.connection.state === 'live');
  await server.stop();
  await all(({ client: { connection: c } }) => c.state === 'offline' && c.since !== null && c.reason !== '');
  await server.start();
  append(2);
  pages.find((p) => p !== leading())!.client.reconnect();
  await all((p) => p.client.connection.state === 'live' && has(2)(p));
  once(2);
  expect(pages.map((p) => p.client.connection.since)).toEqual([null, null, null]);
});

test('a watch that the server refuses is over in its tab alone', async () => {
  openMany(2);
  await all((p) => p.client.connection.state === 'live');
  const errors: FeedError[] = [];
  for (const { client } of pages) client.watchActivity('00000000-0000-4000-8000-000000000000', {}, () => {}, (e) => errors.push(e));
  await until(() => errors.length === 2);
  expect(errors.map((e) => e.code)).toEqual(['not_found', 'not_found']);
  append(1);
  await all(has(1));
});

test('a slow iteration in a tab loses nothing', async () => {
  openMany(2);
  await all((p) => p.client.connection.state === 'live');
  append(400, 'x'.repeat(10_000));
  for (const { client } of pages) {
    const seqs: number[] = [];
    for await (const e of client.watchActivity(ID)) {
      if (e.type === 'logs') seqs.push(...e.logs.map((l) => l.seq));
      await new Promise((go) => setTimeout(go, 1));
      if (seqs.length === 400) break;
    }
    expect(seqs).toEqual(range(1, 400));
  }
});

test('without Web Locks each tab has a connection of its own', async () => {
  vi.stubGlobal('navigator', {});
  const clients = [1, 2].map(() => createClient({ url: server.url, WebSocket, share: true }));
  for (const client of clients) client.watchList({}, {}, () => {});
  await until(() => clients.every((c) => c.connection.state === 'live'));
  expect(server.sockets.size).toBe(2);
  for (const client of clients) client.close();
});
