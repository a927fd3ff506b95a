// Without WebSockets a browser has six connections to a server, for all its tabs.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Client, createClient } from '../src/index.ts';
import { FeedServer, ID, range, until } from './server.ts';

let server: FeedServer;
let client: Client;
let seqs: number[];
const page = new EventTarget();
const document = { hidden: false };

beforeEach(async () => {
  server = new FeedServer();
  await server.start();
  server.blocked = 503;
  document.hidden = false;
  vi.stubGlobal('document', document);
  vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
  vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page));
  client = createClient({ url: server.url, retryDelay: () => 5, WebSocket: null as never });
  seqs = [];
});
afterEach(async () => {
  client.close();
  await server.stop();
  vi.unstubAllGlobals();
});

const watch = () => client.watchActivity(ID, {}, (e) => e.type === 'logs' && seqs.push(...e.logs.map((l) => l.seq)));
const see = (hidden: boolean) => {
  document.hidden = hidden;
  page.dispatchEvent(new Event('visibilitychange'));
};

test('a hidden page keeps no event stream, and loses nothing', async () => {
  let open = 0;
  server.answer = (request, response) => {
    if (!request.url!.startsWith('/v1/feed/')) return false;
    open++;
    response.on('close', () => open--);
    return false;
  };
  server.append(3);
  watch();
  await until(() => seqs.length === 3 && open === 1);
  see(true);
  await until(() => open === 0);
  server.append(2);
  await until(() => seqs.length === 5);
  await until(() => open === 0);
  see(false);
  await until(() => open === 1);
  server.append(2);
  await until(() => seqs.length === 7);
  expect(seqs).toEqual(range(1, 7));
  expect(open).toBe(1);
});

test('a page whose requests are not answered says that the browser may have no connection left', async () => {
  server.answer = () => true;
  watch();
  await until(() => client.connection.code === 'no_answer');
  expect(client.connection.state).toBe('offline');
  expect(client.connection.reason).toMatch(/^http:\/\/127\.0\.0\.1:\d+ has not answered for 5 s; .*six over HTTP\/1\.1: close other tabs/);
});
