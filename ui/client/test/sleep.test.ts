// Connections that die without a word, and pages that sleep: a socket of our own and a clock of our own.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Client, createClient, type WebSocketClass } from '../src/index.ts';
import { ID } from './server.ts';

class Socket {
  static all: Socket[] = [];
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror = null;
  sent: { type: string; after_seq?: number }[] = [];
  closed = false;
  constructor() {
    Socket.all.push(this);
  }
  send(data: string) {
    this.sent.push(JSON.parse(data) as { type: string });
  }
  close() {
    this.closed = true; // and no word of it, as on a dead network
  }
  receive(frame: object) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
  welcome() {
    this.receive({ type: 'welcome' });
    this.receive({ type: 'snapshot', sub: ID, activity: { last_seq: 0 } });
  }
  pings = () => this.sent.filter((m) => m.type === 'ping').length;
}

const page = new EventTarget();
const document = { hidden: false };
let client: Client;
const newest = () => Socket.all.at(-1)!;

beforeEach(async () => {
  vi.useFakeTimers();
  Socket.all = [];
  document.hidden = false;
  vi.stubGlobal('document', document);
  vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
  vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page));
  client = createClient({
    url: 'http://test', WebSocket: Socket as unknown as WebSocketClass, retryDelay: () => 8_000,
    fetch: () => Promise.reject(new Error('the network is down')),
  });
  client.watchActivity(ID, {}, () => {});
  await vi.advanceTimersByTimeAsync(0);
  newest().welcome();
  expect(client.connection.state).toBe('live');
});
afterEach(() => {
  client.close();
  expect(vi.getTimerCount()).toBe(0); // nothing is left behind
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test('a quiet socket is asked, and goes on when it answers', async () => {
  for (let n = 0; n < 10; n++) {
    await vi.advanceTimersByTimeAsync(30_000);
    newest().receive({ type: 'pong' });
  }
  expect(Socket.all).toHaveLength(1);
  expect(newest().pings()).toBe(10);
});

test('a socket that does not answer is offline since its last message, and reconnects', async () => {
  const died = Date.now();
  await vi.advanceTimersByTimeAsync(40_000);
  expect(newest().closed).toBe(true);
  expect(client.connection).toMatchObject({ state: 'offline', reason: 'no answer' });
  expect(client.connection.since!.getTime()).toBe(died);
  await vi.advanceTimersByTimeAsync(8_000);
  expect(Socket.all).toHaveLength(2);
  newest().welcome();
  expect(client.connection.state).toBe('live');
});

test('a socket that never opens is given up', async () => {
  newest().onclose!({ code: 1006, reason: '' });
  await vi.advanceTimersByTimeAsync(8_000);
  expect(Socket.all).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(18_000);
  expect(Socket.all).toHaveLength(3);
});

for (const event of ['visibilitychange', 'online', 'pageshow']) {
  test(`${event} reconnects at once what was waiting`, async () => {
    newest().onclose!({ code: 1001, reason: 'going away' });
    expect(client.connection).toMatchObject({ state: 'offline', reason: 'going away' });
    page.dispatchEvent(new Event(event));
    page.dispatchEvent(new Event(event));
    await vi.advanceTimersByTimeAsync(0);
    expect(Socket.all).toHaveLength(2);
  });
}

test('a page that is hidden lets it be', async () => {
  newest().onclose!({ code: 1001, reason: '' });
  document.hidden = true;
  page.dispatchEvent(new Event('visibilitychange'));
  await vi.advanceTimersByTimeAsync(0);
  expect(Socket.all).toHaveLength(1);
});

test('a page that wakes after long replaces the socket at once', async () => {
  vi.setSystemTime(Date.now() + 3600_000); // the timers stood still
  page.dispatchEvent(new Event('visibilitychange'));
  await vi.advanceTimersByTimeAsync(0);
  expect(Socket.all).toHaveLength(2);
  expect(Socket.all[0]!.closed).toBe(true);
});

test('a machine that slept does not wait for a pong either', async () => {
  vi.setSystemTime(Date.now() + 3600_000);
  await vi.advanceTimersByTimeAsync(5_000); // no event tells, but the clock
  expect(Socket.all).toHaveLength(2);
});

test('a page that wakes soon asks, and does not wait long for the answer', async () => {
  vi.setSystemTime(Date.now() + 30_000);
  page.dispatchEvent(new Event('visibilitychange'));
  expect(newest().pings()).toBe(1);
  newest().receive({ type: 'pong' });
  await vi.advanceTimersByTimeAsync(10_000);
  expect(Socket.all).toHaveLength(1);
  page.dispatchEvent(new Event('visibilitychange'));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(newest().closed).toBe(true);
});

test('reconnect() makes sure now', async () => {
  client.reconnect();
  expect(newest().pings()).toBe(1);
  newest().onclose!({ code: 1006, reason: '' });
  client.reconnect();
  await vi.advanceTimersByTimeAsync(0);
  expect(Socket.all).toHaveLength(2);
});

test('the delays grow, are jittered, and start anew after a connection that lasted', async () => {
  client.close();
  vi.spyOn(Math, 'random').mockReturnValue(1);
  client = createClient({ url: 'http://test', WebSocket: Socket as unknown as WebSocketClass, fetch: () => Promise.reject(new Error('down')) });
  client.watchActivity(ID, {}, () => {});
  await vi.advanceTimersByTimeAsync(0);
  const waits: number[] = [];
  const fail = async () => {
    const [count, at] = [Socket.all.length, Date.now()];
    newest().onclose!({ code: 1006, reason: '' });
    while (Socket.all.length === count) await vi.advanceTimersByTimeAsync(100);
    waits.push(Date.now() - at);
  };
  for (let n = 0; n < 6; n++) await fail();
  expect(waits).toEqual([1000, 2000, 4000, 8000, 15_000, 15_000]);
  newest().welcome();
  await vi.advanceTimersByTimeAsync(6_000);
  vi.mocked(Math.random).mockReturnValue(0);
  await fail();
  expect(waits.at(-1)).toBe(200);
  vi.restoreAllMocks();
});
