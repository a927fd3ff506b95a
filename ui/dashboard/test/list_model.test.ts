// The list over the real client and sockets, and a server that keeps what is to be listed.

import { WebSocket } from 'ws';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type ActivityListItem, type Client, createClient, type Status, type WebSocketClass } from '@agentexec/client';
import { compareItems } from '@agentexec/client/state';
import { FeedServer, until } from '../../client/test/server.ts';
import { LIVE, ListModel, PAGE } from '../src/list/list_model.ts';
import { noFilter } from '../src/list/query.ts';
import { seen } from '../src/list/seen.ts';
import { item, statuses } from './items.ts';

let server: FeedServer;
let client: Client;
let leave = () => {};
let asked: Promise<unknown>[] = []; // pages

const clock = Date.now;
let ahead = 0; // ms
beforeEach(async () => {
  ahead = 0;
  vi.spyOn(Date, 'now').mockImplementation(() => clock() + ahead);
  server = new FeedServer();
  server.items = [];
  await server.start();
  client = createClient({ url: server.url, WebSocket: WebSocket as unknown as WebSocketClass, retryDelay: () => 5 });
  const { list } = client;
  asked = [];
  client.list = (options) => {
    const page = list(options);
    asked.push(page);
    return page;
  };
});
afterEach(async () => {
  leave();
  client.close();
  await server.stop();
  vi.restoreAllMocks();
});

function listOf(filter = noFilter): ListModel {
  const model = new ListModel(client, filter);
  leave = model.subscribe(() => {});
  return model;
}

const itemsOf = (model: ListModel) => model.get().sections.flatMap(({ items }) => items);
const sectionsOf = (model: ListModel) => model.get().sections.filter(({ items }) => items.length);
const sorted = () => [...server.items!].sort(compareItems);
const ids = (items: readonly ActivityListItem[]) => items.map(({ agent_id, status }) => agent_id.slice(-5) + status);
const shows = (model: ListModel, items = sorted()) => until(() => String(ids(itemsOf(model))) === String(ids(items)), 'the list shows what there is');
const fill = (from: number, to: number, status: Status = 'QUEUED') => {
  for (let n = from; n <= to; n++) server.items!.push(item(n, status));
};
const change = (n: number, more: Partial<ActivityListItem>) => {
  const at = server.items!.findIndex((i) => i.agent_id === item(n, 'QUEUED').agent_id);
  server.items![at] = { ...server.items![at]!, ...more, last_seq: server.items![at]!.last_seq + 1 };
};
const drop = (n: number) => (server.items = server.items!.filter((i) => i.agent_id !== item(n, 'QUEUED').agent_id));

// look has the person go through the whole list, until nothing more is read.
async function look(model: ListModel) {
  ahead += 6_000;
  for (let from = 0; ; ) {
    const items = itemsOf(model);
    const last = Math.min(items.length, from + 100);
    const before = asked.length;
    model.inSight(items[from], items[last - 1], last >= items.length - 16);
    if (asked.length > before) await asked.at(-1)!.then(() => {}, () => {});
    else if (last === items.length) return;
    else from = last;
  }
}

// away takes the server away, and it comes back where it was with what happened meanwhile.
async function away(happens: () => void) {
  await server.stop();
  happens();
  const { port, items } = server;
  server = Object.assign(new FeedServer(), { port, items });
  await server.start();
}

test('what is new, changed and gone', async () => {
  fill(1, 3);
  const model = listOf();
  expect(model.get()).toMatchObject({ loading: true, counts: undefined });
  expect(itemsOf(model)).toEqual([]);
  await shows(model);
  expect(model.get()).toMatchObject({ loading: false, more: false, problem: '', counts: { QUEUED: 3 } });
  for (const type of ['type 1', 'type 2', 'type 3']) expect(seen.types).toContain(type);

  fill(4, 4);
  change(2, { status: 'RUNNING', latest_log: 'begun' });
  drop(1);
  server.relist();
  await shows(model);
  const items = itemsOf(model);
  expect(items.map(({ latest_log }) => latest_log)).toEqual(['begun', 'line', 'line']);
  expect(sectionsOf(model).map(({ group, count }) => [group, count])).toEqual([['running', 1], ['queued', 2]]);
  expect(model.get().find(items[2]!.agent_id)).toEqual({ group: 'queued', index: 1 });
  expect(model.get().find(item(1, 'QUEUED').agent_id)).toBeUndefined();
});

test('a snapshot is another object after each change, and the same until then', async () => {
  fill(1, 1);
  const model = listOf();
  await shows(model);
  const before = model.get();
  expect(model.get()).toBe(before);
  fill(2, 2);
  server.relist();
  await shows(model);
  expect(model.get()).not.toBe(before);
});

test('more is read by key as the person comes to the end', async () => {
  fill(1, 2 * PAGE + 100);
  const model = listOf();
  await shows(model, sorted().slice(0, LIVE));
  expect(model.get().more).toBe(true);
  expect(sectionsOf(model)).toMatchObject([{ group: 'queued', count: 2 * PAGE + 100 }]);
  await look(model);
  await shows(model);
  expect(model.get().more).toBe(false);
  expect(asked.length).toBe(3);
});

test('what is pushed out of what the feed keeps goes on further down', async () => {
  fill(1, LIVE + 50);
  const model = listOf();
  await shows(model, sorted().slice(0, LIVE));
  await look(model);
  await shows(model);
  for (let n = 0; n < 30; n++) {
    fill(1000 + 5 * n, 1004 + 5 * n);
    server.relist();
  }
  await shows(model);
});

test('without a page below, what is pushed out is gone', async () => {
  fill(1, LIVE);
  const model = listOf();
  await shows(model);
  fill(1000, 1004);
  server.relist();
  await shows(model, sorted().slice(0, LIVE));
  expect(model.get().more).toBe(true);
});

test('after a time away nothing is left out between the new ones and those that were there', async () => {
  fill(1, LIVE + PAGE + 300);
  const model = listOf();
  await shows(model, sorted().slice(0, LIVE));
  await look(model);
  await shows(model);
  await away(() => {
    fill(2000, 2000 + LIVE + 2 * PAGE); // more than the feed and a page hold
    for (let n = 1; n < 900; n += 7) change(n, { status: statuses[n % 5]! });
    for (let n = 3; n < 900; n += 50) drop(n);
  });
  await until(() => itemsOf(model)[0]?.agent_id === sorted()[0]!.agent_id);
  for (let round = 0; round < 3; round++) await look(model);
  await shows(model);
});

test('a list that became short holds nothing of before', async () => {
  fill(1, LIVE + 100);
  const model = listOf();
  await shows(model, sorted().slice(0, LIVE));
  await look(model);
  await shows(model);
  await away(() => (server.items = [item(5, 'QUEUED'), item(900, 'ERROR')]));
  await shows(model);
  expect(model.get().more).toBe(false);
});

test('only some statuses', async () => {
  fill(1, 3);
  fill(4, 5, 'ERROR');
  const model = listOf({ ...noFilter, statuses: ['ERROR'] });
  await shows(model, sorted().filter((i) => i.status === 'ERROR'));
  expect(model.get().counts).toMatchObject({ QUEUED: 3, ERROR: 2 });
  expect(sectionsOf(model)).toMatchObject([{ group: 'finished', count: 2 }]);
});

test('a list of stale activities changes without a line', async () => {
  fill(1, 2);
  fill(3, 20, 'RUNNING');
  for (let n = 21; n <= 30 + LIVE; n++) server.items!.push(item(n, 'RUNNING', { stale: true }));
  const model = listOf({ ...noFilter, stale: true });
  const stale = () => sorted().filter((i) => i.stale);
  await shows(model, stale().slice(0, LIVE));
  expect(model.get()).toMatchObject({ more: true, counts: { RUNNING: 228, stale: 210 } });
  expect(sectionsOf(model)).toMatchObject([{ group: 'needs', count: 210 }]);
  await look(model);
  await shows(model, stale());
  const at = server.items!.findIndex((i) => i.agent_id === item(30 + LIVE, 'RUNNING').agent_id);
  server.items![at] = { ...server.items![at]!, stale: false }; // not stale any more
  server.relist();
  await until(() => model.get().counts?.stale === 209);
  await shows(model, stale());
});

test('a text is looked for in what is here, without asking again', async () => {
  fill(1, LIVE + PAGE);
  const model = listOf({ ...noFilter, text: ' "TYPE 3" ' });
  const matching = (text: string, items = sorted()) => items.filter((i) => i.agent_type.includes(text) || i.agent_id.includes(text));
  await shows(model, matching('type 3', sorted().slice(0, LIVE)));
  expect(model.get()).toMatchObject({ looked: LIVE, more: true, paused: false });
  expect(sectionsOf(model)).toMatchObject([{ open: true, count: itemsOf(model).length }]);
  await look(model);
  await shows(model, matching('type 3'));
  const requests = asked.length;
  model.search('-000000000101');
  await shows(model, matching('-000000000101'));
  change(101, { latest_log: 'another line' });
  fill(1001, 1001);
  fill(10_000, 10_000);
  server.relist();
  await shows(model, matching('-000000000101'));
  model.search('');
  await shows(model);
  expect(asked.length).toBe(requests);
});

test('a server that answers 500 is said to, and asked again', async () => {
  fill(1, LIVE + 10);
  const model = listOf();
  await shows(model, sorted().slice(0, LIVE));
  server.answer = (request, response) => {
    if (!request.url!.startsWith('/v1/activities')) return false;
    response.writeHead(500, { 'Content-Type': 'application/problem+json' }).end('{"detail": "out of order"}');
    return true;
  };
  await look(model);
  await until(() => model.get().problem === 'out of order');
  expect(itemsOf(model).length).toBe(LIVE);
  const requests = asked.length;
  model.inSight(itemsOf(model)[0], itemsOf(model).at(-1), true);
  expect(asked.length, 'not at once').toBe(requests);
  server.answer = undefined;
  await look(model);
  await shows(model);
  expect(model.get().problem).toBe('');
});

test('who leaves and comes back begins anew', async () => {
  fill(1, 3);
  const model = listOf();
  await shows(model);
  leave();
  expect(model.get().loading).toBe(true);
  expect(itemsOf(model)).toEqual([]);
  leave = model.subscribe(() => {});
  await shows(model);
  expect(sectionsOf(model)).toHaveLength(1);
});
