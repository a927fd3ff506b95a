// The log over the real client and sockets.

import { WebSocket } from 'ws';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Client, createClient, FeedError, type WebSocketClass } from '@agentexec/client';
import { FeedServer, ID, range, until } from '../../client/test/server.ts';
import { Finder } from '../src/log/finder.ts';
import { AllRows, SomeRows } from '../src/log/log_rows.ts';
import { LogStore, PAGE } from '../src/log/log_store.ts';
import { activity, FakeClient, ID as FAKE, lines, state } from './fake.ts';

let server: FeedServer;
let client: Client;
let leave = () => {};

// answering has a server answer the reading of pages too.
function answering(feed: FeedServer): FeedServer {
  feed.batch = 1000;
  feed.answer = (request, response) => {
    const url = new URL(request.url!, 'http://x');
    if (!url.pathname.startsWith('/v1/activities/')) return false;
    const [after, limit] = [Number(url.searchParams.get('after_seq') ?? 0), Number(url.searchParams.get('limit') ?? 1000)];
    const logs = feed.lines.filter(({ seq }) => seq > after && !feed.pruned.has(seq)).slice(0, limit);
    response.end(JSON.stringify({ ...feed.activity(), logs }));
    return true;
  };
  return feed;
}

beforeEach(async () => {
  server = answering(new FeedServer());
  await server.start();
  client = createClient({ url: server.url, WebSocket: WebSocket as unknown as WebSocketClass, retryDelay: () => 5 });
});
afterEach(async () => {
  leave();
  client.close();
  await server.stop();
});

function logOf(id = ID): LogStore {
  const store = new LogStore(client, id);
  leave = store.open(() => {});
  return store;
}

const shown = (store: LogStore) => {
  const { rows } = store.get();
  return range(0, rows.length - 1).map((n) => rows.at(n)!).map((row) => row.note?.text ?? (store.line(row.seq) ? row.seq : `(${row.seq})`));
};
const shows = (store: LogStore, entries: (number | string)[]) => until(() => String(shown(store)) === String(entries), 'the log shows ' + String(entries).slice(0, 100));
const flags = (store: LogStore, flag: 'changed' | 'begins' | 'trailing') => range(1, store.last).filter((seq) => store.line(seq)?.[flag]);
const again = async (more: Partial<FeedServer>, to: number) => {
  const { port, lines } = server;
  await server.stop();
  server = answering(Object.assign(new FeedServer(), { port, lines, ...more }));
  server.reset(to);
  await server.start();
};

test('lines as they come, with what they changed', async () => {
  server.append(2);
  const store = logOf();
  expect(store.get()).toMatchObject({ loading: true, activity: undefined, missing: false });
  await shows(store, [1, 2]);
  server.append(1);
  server.finish('ERROR');
  server.append(1, 'a line after the end');
  await shows(store, range(1, 5));
  expect(store.get()).toMatchObject({ loading: false, last: 5, problem: undefined });
  expect([flags(store, 'changed'), flags(store, 'begins'), flags(store, 'trailing')]).toEqual([[1, 4], [], [5]]);
  expect(range(1, 5).map((seq) => store.line(seq)!.level)).toEqual([null, null, null, 'error', null]);
});

test('a log of several attempts is divided where the next one begins', async () => {
  server.append(2);
  server.finish('ERROR');
  const store = logOf();
  await shows(store, [1, 2, 3]);
  server.attempt = 2;
  server.status = 'RUNNING';
  server.append(2);
  await shows(store, range(1, 5));
  expect(flags(store, 'begins')).toEqual([4]);
  expect(store.get().attempts.map(({ number, seq, end }) => [number, seq, end?.seq, end?.status])).toEqual([[1, 1, 3, 'ERROR'], [2, 4, undefined, undefined]]);
  // Lines that were void come again: the log is divided once.
  await again({ attempt: 2 }, 4);
  await shows(store, [1, 2, 3, 4, 'The database was set back: line 5 is void.']);
  server.append(1);
  await until(() => store.last === 5);
  expect(flags(store, 'begins')).toEqual([4]);
});

test('a log without attempts, of an earlier version, is not divided', async () => {
  server.append(2);
  for (const line of server.lines) delete line.attempt;
  const store = logOf();
  await shows(store, [1, 2]);
  expect([flags(store, 'begins'), store.get().attempts.length]).toEqual([[], 1]);
});

test('a log that is left and opened again has each line once', async () => {
  server.append(5);
  const store = logOf();
  await shows(store, range(1, 5));
  leave();
  server.append(5);
  leave = store.open(() => {});
  await shows(store, range(1, 10));
  expect(server.messages.filter((m) => m.type === 'subscribe').map((m) => m.after_seq)).toEqual([0]);
});

test('lines that are no longer kept, and lines that are void', async () => {
  server.append(10);
  for (const seq of [3, 4, 6]) server.pruned.add(seq);
  const store = logOf();
  await shows(store, [1, 2, 'Lines 3 to 4 are no longer kept.', 5, 'Line 6 is no longer kept.', 7, 8, 9, 10]);
  await again({ pruned: server.pruned }, 8);
  await shows(store, [1, 2, 'Lines 3 to 4 are no longer kept.', 5, 'Line 6 is no longer kept.', 7, 8, 'The database was set back: lines 9 to 10 are void.']);
  server.append(1);
  await until(() => store.last === 9);
  // Set back to the same line once more: one note says it.
  await again({ pruned: server.pruned }, 8);
  await shows(store, [1, 2, 'Lines 3 to 4 are no longer kept.', 5, 'Line 6 is no longer kept.', 7, 8, 'The database was set back: line 9 is void.']);
  server.append(2);
  await shows(store, [1, 2, 'Lines 3 to 4 are no longer kept.', 5, 'Line 6 is no longer kept.', 7, 8, 'The database was set back: line 9 is void.', 9, 10]);
});

test('a long log opens at its end; what is wanted is read, and nothing else', async () => {
  server.append(10_000);
  const store = logOf();
  await until(() => store.last === 10_000);
  expect(server.messages.filter((m) => m.type === 'subscribe').map((m) => m.after_seq)).toEqual([0, 9_750]);
  expect(store.get().rows.length).toBe(10_000);
  expect([store.line(9_751)?.seq, store.line(10_000)?.seq, store.line(5_000)]).toEqual([9_751, 10_000, undefined]);
  store.want([5_000, 5_001]);
  await until(() => store.line(5_000) !== undefined);
  expect([store.line(5_000)!.seq, store.line(4_751)!.seq, store.line(5_002)]).toEqual([5_000, 4_751, undefined]);
  server.append(1);
  await until(() => store.line(10_001) !== undefined);
});

test('pruned lines are found out when they are wanted', async () => {
  server.append(1_000);
  for (const seq of range(1, 300)) server.pruned.add(seq);
  const store = logOf();
  await until(() => store.get().rows.at(0)?.note?.text === 'Lines 1 to 300 are no longer kept.');
  expect(store.get().rows.length).toBe(701);
  await until(() => store.line(301) !== undefined);
});

test('the attempts of a long log are found without reading all of it', async () => {
  server.append(3_000);
  server.finish('ERROR');
  server.attempt = 2;
  server.status = 'RUNNING';
  server.append(4_000);
  server.percentage = 70;
  server.append(1_000);
  const store = logOf();
  await until(() => store.get().attempts.length === 2);
  await until(() => store.get().attempts[0]!.end !== null);
  expect(store.get().attempts.map(({ seq, end }) => [seq, end?.seq, end?.message])).toEqual([[1, 3_001, 'done'], [3_002, undefined, undefined]]);
  await until(() => store.get().points.some((p) => p.seq < 7_500), 'samples of the percentage were read');
  expect(range(0, 31).filter((page) => store.whole(page)).length).toBeLessThan(10);
});

test('an unknown id is looked for again', async () => {
  const unknown = logOf(ID.replace('6', '7'));
  await until(() => unknown.get().missing);
  expect(unknown.get()).toMatchObject({ loading: false, problem: undefined });
});

test.each([['not_found', 2_000, true], ['limit', 5_000, false], ['forbidden', 5_000, false]] as const)('what the server refuses is tried again: %s', async (code, pause, missing) => {
  vi.useFakeTimers();
  const fake = new FakeClient();
  const store = new LogStore(fake.client, FAKE);
  leave = store.open(() => {});
  fake.activities[0]!.event({ type: 'snapshot', activity: activity('RUNNING', 2) });
  fake.activities[0]!.event({ type: 'logs', logs: lines(1, 2), activity: state('RUNNING', 2) });
  fake.activities[0]!.over(new FeedError(code, 'no'));
  expect(store.get()).toMatchObject({ missing, last: 2 });
  expect(store.get().problem?.message).toBe(missing ? undefined : 'no');
  vi.advanceTimersByTime(pause - 1);
  expect(fake.activities).toHaveLength(1);
  vi.advanceTimersByTime(1);
  expect(fake.activities[1]!.what).toEqual({ id: FAKE, afterSeq: 2 });
  fake.activities[1]!.event({ type: 'snapshot', activity: activity('RUNNING', 2) });
  expect(store.get()).toMatchObject({ missing: false, problem: undefined, last: 2 });
  leave();
  vi.advanceTimersByTime(1_001);
  expect(fake.activities[1]!.stopped).toBe(true);
  vi.useRealTimers();
});

test('260,000 lines that come while the end is followed are kept in part', async () => {
  const store = logOf();
  await until(() => store.get().activity !== undefined);
  for (let n = 0; n < 26; n++) {
    server.percentage = n;
    server.append(10_000);
    await until(() => store.last === 10_000 * (n + 1), 'the lines came');
  }
  expect(store.get().rows.length).toBe(260_000);
  expect(range(0, 260_000 / PAGE - 1).filter((page) => store.whole(page)).length).toBeLessThanOrEqual(250_000 / PAGE);
  expect(store.line(260_000)).toBeDefined();
  expect(new Set(store.get().points.map((p) => p.percentage))).toEqual(new Set(range(0, 25)));
});

test('of long lines that fill a page only the beginning is kept, and all of one is read when it is wanted', async () => {
  server.append(12, 'x'.repeat(1_000_000));
  const store = logOf();
  await until(() => store.last === 12);
  expect(store.line(1)!.message).toHaveLength(1_000_000);
  expect([store.line(12)!.message.length, store.line(12)!.cut]).toEqual([16_384, { message: 1_000_000, data: 100 }]);
  expect((await store.full(12))!.message).toHaveLength(1_000_000);
});

test('a search reads the whole log, from its end, and goes on with what comes', async () => {
  server.append(1_500, 'hay');
  server.append(2, 'a needle');
  server.append(1_500, 'hay');
  const store = logOf();
  await until(() => store.last === 3_002);
  let reports = 0;
  const needles = new Finder(store, { text: 'needle', level: null, changes: false }, () => reports++);
  const changes = new Finder(store, { text: '', level: null, changes: true }, () => {});
  needles.run();
  await until(() => needles.found.done);
  expect(needles.found).toMatchObject({ seqs: [1_501, 1_502], looked: 3_002, total: 3_002 });
  expect(reports).toBeGreaterThan(0);
  const before = needles.found.generation;
  server.append(1, 'NEEDLE');
  await until(() => store.last === 3_003);
  needles.run();
  expect(needles.found).toMatchObject({ seqs: [1_501, 1_502, 3_003], generation: before, done: true });
  changes.run();
  await until(() => changes.found.done);
  expect(changes.found.seqs).toEqual([1]);
});

test('rows by index and by seq', () => {
  const rows = new AllRows(10, [{ from: 3, seq: 4, text: 'gone' }, { from: 9, seq: 8, text: 'void' }]);
  expect(range(0, rows.length).map((n) => rows.at(n)?.note?.text ?? rows.at(n)?.seq)).toEqual([1, 2, 'gone', 5, 6, 7, 8, 'void', 9, 10, undefined]);
  expect([1, 2, 3, 5, 9, 10, 11].map((seq) => rows.indexOf(seq))).toEqual([0, 1, 2, 3, 8, 9, 10]);
  expect([2, 3, 4, 8, 9, 11].map((seq) => rows.has(seq))).toEqual([true, false, false, false, true, false]);
  const some = new SomeRows([2, 5, 9], 0);
  expect([1, 2, 3, 9, 10].map((seq) => some.indexOf(seq))).toEqual([0, 0, 1, 2, 3]);
  expect([some.has(5), some.has(6), some.at(3)]).toEqual([true, false, undefined]);
});
