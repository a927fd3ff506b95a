// Stale activities and requests to cancel, over the feed and over HTTP.

import type { IncomingMessage } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type ActivityEvent, type Client, createClient, type ListEvent } from '../src/index.ts';
import { FeedServer, ID, until } from './server.ts';

let server: FeedServer;
let client: Client;
beforeEach(async () => {
  server = new FeedServer();
  await server.start();
  client = createClient({ url: server.url, WebSocket, retryDelay: () => 5 });
});
afterEach(async () => {
  client.close();
  await server.stop();
});

const silent = { stale: true, expect_every: 30, last_seen_at: '2026-01-01T00:00:02+00:00' };

for (const transport of ['websocket', 'http'] as const) {
  test(`a watch gets changes without a line: ${transport}`, async () => {
    if (transport === 'http') server.blocked = 403;
    server.append(2);
    const events: ActivityEvent[] = [];
    client.watchActivity(ID, {}, (e) => events.push(e));
    await until(() => events.length === 2);
    server.change(silent);
    await until(() => events.length === 3);
    expect(events[2]).toMatchObject({ type: 'state', activity: { ...silent, status: 'RUNNING', last_seq: 2 } });
    expect(events[2]).not.toHaveProperty('sub');
    server.change({ stale: false });
    server.append(1);
    await until(() => events.length === 5);
    expect(events.map((e) => e.type)).toEqual(['snapshot', 'logs', 'state', 'state', 'logs']);
    expect(events[4]).toMatchObject({ activity: { stale: false, last_seq: 3 }, logs: [{ seq: 3, attempt: 1 }] });
  });

  test(`a list of stale activities: ${transport}`, async () => {
    if (transport === 'http') server.blocked = 403;
    server.append(1);
    const [stale, others] = [[] as ListEvent[], [] as ListEvent[]];
    server.change(silent);
    client.watchList({ stale: true, agentType: 'test' }, {}, (e) => stale.push(e));
    client.watchList({ stale: false }, {}, (e) => others.push(e));
    await until(() => stale.length > 0 && others.length > 0);
    expect(stale[0]).toMatchObject({ items: [{ agent_id: ID, ...silent }], counts: { RUNNING: 1, stale: 1 } });
    expect(others[0]).toMatchObject({ items: [], counts: { RUNNING: 1, stale: 1 } });
    if (transport === 'websocket') expect(server.messages[0]).toMatchObject({ list: { stale: true, agent_type: 'test' } });
  });
}

test('over HTTP a server without stale still has counts', async () => {
  server.blocked = 403;
  server.append(1);
  server.answer = (request, response) => {
    if (!request.url!.includes('stale=')) return false;
    response.writeHead(422, { 'Content-Type': 'application/problem+json' }).end('{"code":"TA422","detail":"there is no parameter stale"}');
    return true;
  };
  const list: ListEvent[] = [];
  client.watchList({ agentType: 'test' }, {}, (e) => list.push(e));
  await until(() => list.length > 0);
  expect(list[0]!.counts).toEqual({ QUEUED: 0, RUNNING: 1, COMPLETE: 0, ERROR: 0, CANCELED: 0, stale: undefined });
});

test('the clock is that of the server after its welcome', async () => {
  const behind = -3_600_000;
  expect(Math.abs(client.now() - Date.now())).toBeLessThan(60_000);
  server.time = new Date(Date.now() + behind).toISOString();
  server.append(1);
  for await (const event of client.watchActivity(ID)) if (event.type === 'logs') break;
  const skew = client.now() - Date.now();
  expect(skew).toBeLessThanOrEqual(behind + 60_000);
  expect(skew).toBeGreaterThanOrEqual(behind - 60_000);
});

const bodyOf = async (request: IncomingMessage) => JSON.parse((await request.toArray()).join('')) as unknown;

test('calls over HTTP have the names of the wire', async () => {
  const calls: [path: string, body: unknown][] = [];
  server.answer = (request, response) => {
    if (request.method !== 'POST') return false;
    void bodyOf(request).then((body) => {
      calls.push([request.url!, body]);
      response.writeHead(200).end('{"status":"RUNNING","attempt":1,"cancel_requested":true,"cancel_message":"enough"}');
    });
    return true;
  };
  await client.cancel('a');
  await client.cancel('a', { message: 'enough', grace: '5s' });
  await client.cancel('a', { force: true, signal: new AbortController().signal });
  await client.log('a', 'line', { atSeq: 7, percentage: 5 });
  await client.log('a', 'line', { status: 'RUNNING' });
  await client.complete('a', 'done', { data: 1 });
  expect(await client.heartbeat('a')).toEqual({ status: 'RUNNING', attempt: 1, cancel_requested: true, cancel_message: 'enough' });
  await client.heartbeat('a', { expectEvery: '30s' });
  expect(calls).toEqual([
    ['/v1/activities/a/cancel', {}],
    ['/v1/activities/a/cancel', { message: 'enough', grace: '5s' }],
    ['/v1/activities/a/cancel', { force: true }],
    ['/v1/activities/a/logs', { message: 'line', at_seq: 7, percentage: 5 }],
    ['/v1/activities/a/logs', { message: 'line', status: 'RUNNING' }],
    ['/v1/activities/a/complete', { message: 'done', data: 1 }],
    ['/v1/activities/a/heartbeat', {}],
    ['/v1/activities/a/heartbeat', { expect_every: '30s' }],
  ]);
  await client.list({ stale: true });
  await client.list({ stale: false });
  expect(server.paths.slice(-2)).toEqual(['/v1/activities?stale=true', '/v1/activities?stale=false']);
});
