// The log over the real client and sockets.

import { WebSocket } from 'ws';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Client, createClient, type WebSocketClass } from '@agentexec/client';
import { FeedServer, ID, range, until } from '../../client/test/server.ts';
import { stepsOf } from '../src/chart.tsx';
import { upTo } from '../src/log.tsx';
import { between } from '../src/log_row.tsx';
import { type Entry, isId, LogModel } from '../src/log_model.ts';
import { Matches } from '../src/matches.ts';

let server: FeedServer;
let client: Client;
let leave = () => {};

beforeEach(async () => {
  server = new FeedServer();
  server.batch = 1000;
  await server.start();
  client = createClient({ url: server.url, WebSocket: WebSocket as unknown as WebSocketClass, retryDelay: () => 5 });
});
afterEach(async () => {
  leave();
  client.close();
  await server.stop();
});

function logOf(id = ID): LogModel {
  const model = new LogModel(client, id);
  leave = model.subscribe(() => {});
  return model;
}

const shown = (model: LogModel) => model.get().entries.map((e) => (e.kind === 'line' ? e.seq : e.text));
const shows = (model: LogModel, entries: (number | string)[]) => until(() => String(shown(model)) === String(entries), 'the log shows ' + String(entries).slice(0, 100));

test('lines as they come, with what they changed', async () => {
  server.append(2);
  const model = logOf();
  expect(model.get()).toMatchObject({ loading: true, activity: undefined, missing: false });
  await shows(model, [1, 2]);
  server.append(1);
  server.finish('ERROR');
  await shows(model, [1, 2, 3, 4]);
  expect(model.get()).toMatchObject({ loading: false, cursor: 4, earlier: 0, length: 4, problem: '' });
  await until(() => model.get().activity?.status === 'ERROR');
  expect(model.get().entries.map((e) => e.kind === 'line' && e.changed)).toEqual([true, false, false, true]);
});

test('a log of several attempts is divided where the next one begins', async () => {
  const begins = (model: LogModel) => model.get().entries.map((e) => e.kind === 'line' && e.begins);
  server.append(2);
  server.finish('ERROR');
  const model = logOf();
  await shows(model, [1, 2, 3]);
  expect(begins(model)).toEqual([false, false, false]);
  server.attempt = 2;
  server.status = 'RUNNING';
  server.append(2);
  await shows(model, range(1, 5));
  expect(begins(model)).toEqual([false, false, false, true, false]);
  // Lines that were void come again: the log is divided once.
  const { port, lines } = server;
  await server.stop();
  server = Object.assign(new FeedServer(), { port, lines, attempt: 2 });
  server.reset(4);
  await server.start();
  await shows(model, [1, 2, 3, 4, 'The database was set back: line 5 is void.']);
  server.append(1);
  await until(() => model.get().cursor === 5);
  expect(begins(model)).toEqual([false, false, false, true, false, false]);
});

test('a log without attempts, of an earlier version, is not divided', async () => {
  server.append(2);
  for (const line of server.lines) delete line.attempt;
  const model = logOf();
  await shows(model, [1, 2]);
  expect(model.get().entries.map((e) => e.kind === 'line' && e.begins)).toEqual([false, false]);
});

test('who leaves and comes back has each line once', async () => {
  server.append(5);
  const model = logOf();
  await shows(model, range(1, 5));
  leave();
  server.append(5);
  leave = model.subscribe(() => {});
  await shows(model, range(1, 10));
  expect(server.messages.filter((m) => m.type === 'subscribe').map((m) => m.after_seq)).toEqual([0, 5]);
});

test('lines that are no longer kept, and lines that are void', async () => {
  server.append(10);
  for (const seq of [3, 4, 6]) server.pruned.add(seq);
  const model = logOf();
  await shows(model, [1, 2, 'Lines 3 to 4 are no longer kept.', 5, 'Line 6 is no longer kept.', 7, 8, 9, 10]);

  const { port, lines } = server;
  const back = async (to: number) => {
    await server.stop();
    server = Object.assign(new FeedServer(), { port, lines, pruned: server.pruned });
    server.reset(to);
    await server.start();
  };
  await back(8);
  await shows(model, [1, 2, 'Lines 3 to 4 are no longer kept.', 5, 'Line 6 is no longer kept.', 7, 8, 'The database was set back: lines 9 to 10 are void.']);
  server.append(1);
  await until(() => model.get().cursor === 9);
  // Set back to the same line once more: one note says it.
  await back(8);
  await shows(model, [1, 2, 'Lines 3 to 4 are no longer kept.', 5, 'Line 6 is no longer kept.', 7, 8, 'The database was set back: line 9 is void.']);
  expect(model.get().torn).toBe(2);
  const keys = model.get().entries.map((e) => `${e.kind} ${e.seq}`);
  expect(new Set(keys).size).toBe(keys.length);
  server.append(2);
  await until(() => model.get().cursor === 10);
});

test('an unknown id, one that is none, and what the server refuses', async () => {
  const unknown = logOf(ID.replace('6', '7'));
  await until(() => unknown.get().missing);
  expect(unknown.get()).toMatchObject({ loading: false, problem: '' });
  leave();
  const none = logOf('<img>');
  expect(none.get()).toMatchObject({ loading: false, missing: true });
  expect([isId(ID), isId(ID.toUpperCase()), isId(ID + '0'), isId('')]).toEqual([true, false, false, false]);
});

test('the percentage over time', async () => {
  for (const p of [0, 0, 20, 20, 10, 100]) {
    server.percentage = p;
    server.append(1);
  }
  const model = logOf();
  await shows(model, range(1, 6));
  expect(model.get().points.map(({ seq, percentage }) => [seq, percentage])).toEqual([[1, 0], [3, 20], [5, 10], [6, 100]]);
});

test('a long log: 260,000 lines are kept in part, and the percentage whole', async () => {
  const model = logOf();
  await until(() => model.get().activity !== undefined);
  for (let n = 0; n < 26; n++) {
    server.percentage = n;
    server.append(10_000);
    await until(() => model.get().cursor === 10_000 * (n + 1));
  }
  const { entries, earlier, length, points, torn } = model.get();
  expect(earlier).toBeGreaterThan(0);
  expect(length).toBeLessThanOrEqual(250_000);
  expect(entries[0]!.seq).toBe(earlier + 1);
  expect(earlier + length).toBe(260_000);
  expect(torn).toBe(1);
  expect(points.map((p) => p.percentage)).toEqual(range(0, 25));
});

test('what is looked for is found as it comes, and each entry is looked at once', async () => {
  server.append(3, 'a needle');
  server.append(3, 'hay');
  const model = logOf();
  await shows(model, range(1, 6));
  const needles = new Matches({ changes: false, text: 'needle' });
  const changes = new Matches({ changes: true, text: '' });
  const seqs = (m: Matches) => m.of(model.get()).map((e) => e.seq);
  expect([seqs(needles), seqs(changes)]).toEqual([[1, 2, 3], [1]]);
  const before = needles.of(model.get());
  server.append(1, 'NEEDLE');
  server.finish();
  await shows(model, range(1, 8));
  expect([seqs(needles), seqs(changes)]).toEqual([[1, 2, 3, 7], [1, 8]]);
  expect(needles.of(model.get())).toBe(before);
  expect(new Matches({ changes: false, text: '' }).of(model.get())).toBe(model.get().entries);
  expect(needles.of({ ...model.get(), entries: [], torn: 5 })).toEqual([]);
});

test('the chart is a path of steps, and no longer than can be seen', () => {
  const point = (at: number, percentage: number) => ({ seq: at, at, percentage });
  expect(stepsOf([point(0, 0), point(50, 50), point(100, 100)], 200)).toBe('M0 60.0H150.0V30.0H300.0V0.0H600');
  expect(stepsOf([point(0, 0), point(100, 100)], 100), 'no longer than it is').toBe('M0 60.0H600.0V0.0');
  expect(stepsOf([0, 100, 20, 60].map((p, at) => point(at, p)), 1e6), 'a fall within a column is seen').toContain('V48.0');
  const many = stepsOf(range(0, 9999).map((n) => point(n, n % 101)), 10_000);
  expect(many.length).toBeLessThan(300 * 3 * 16);
  expect(many).not.toMatch(/NaN|Infinity/);
});

test('places by seq, and times in words', () => {
  const entries = [1, 2, 2, 5].map((seq) => ({ kind: 'note', seq, text: '' }) as Entry);
  expect([0, 1, 2, 3, 5, 9].map((seq) => upTo(entries, seq))).toEqual([0, 1, 3, 3, 4, 4]);
  expect([0, 999, 1000, 59_949, 59_950, 90_000, 3_569_999, 3_570_000, 9e6].map(between))
    .toEqual(['+0 ms', '+999 ms', '+1.0 s', '+59.9 s', '+1 min', '+2 min', '+59 min', '+1.0 h', '+2.5 h']);
});
