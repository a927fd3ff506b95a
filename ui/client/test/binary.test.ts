// The client with a real sidecar over a real Postgres (../../stage_test.go), which is killed and started again.

import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type ActivityEvent, type ActivityListItem, type Client, createClient, ProblemError, type TokenSource, type WebSocketClass } from '../src/index.ts';
import { type ActivityView, applyActivity, applyList } from '../src/state.ts';
import { range, until } from './server.ts';

const url = process.env['PAGE_URL']!;
const unknown = '00000000-0000-4000-8000-000000000000';
const clients: Client[] = [];
afterEach(() => clients.splice(0).forEach((client) => client.close()));

async function move(what: string, body?: string): Promise<unknown> {
  const answer = await fetch(process.env['CONTROL_URL'] + what, { method: 'POST', body: body ?? null });
  const text = await answer.text();
  expect(answer.ok, `${what}: ${text}`).toBe(true);
  return JSON.parse(text);
}

// append adds lines with SQL, whether the sidecar is there or not.
const append = (id: string, count: number, message = 'line') =>
  move('/sql', `select agentexec.append_logs((select jsonb_agg(jsonb_build_object('agent_id', '${id}', 'message', '${message} ' || n, 'status', 'RUNNING') order by n)
    from generate_series(1, ${count}) n))`);

class Forbidden {
  constructor() {
    throw new Error('WebSockets are forbidden here');
  }
}

function connect(transport = 'websocket', at = url, token?: TokenSource): Client {
  const client = createClient({ url: at, token, WebSocket: (transport === 'http' ? Forbidden : WebSocket) as unknown as WebSocketClass, retryDelay: () => 20 });
  clients.push(client);
  return client;
}

test('the whole HTTP API', async () => {
  const client = connect();
  const id = await client.create('research', { message: 'Queued', metadata: { org: 'it\'s "1"', paid: true, n: 5 } });
  expect(id).toMatch(/^[0-9a-f-]{36}$/);
  const line = await client.log(id, 'Reading <b>papers</b>', { percentage: 40, status: 'RUNNING', data: { page: 3 } });
  expect(line).toMatchObject({ seq: 2, message: 'Reading <b>papers</b>', percentage: 40, status: 'RUNNING', data: { page: 3 } });

  expect(await client.detail(id)).toMatchObject({ agent_id: id, agent_type: 'research', status: 'RUNNING', last_seq: 2, logs: [{ seq: 1 }, line] });
  expect((await client.detail(id, { afterSeq: 1 })).logs).toEqual([line]);
  expect((await client.detail(id, { limit: 1 })).logs).toHaveLength(1);
  expect(await client.detail(id)).not.toHaveProperty('metadata');
  const metadata = { org: 'it\'s "1"', paid: true, n: 5 };
  expect(await client.detail(id, { includeMetadata: true, limit: 0 })).toMatchObject({ metadata, logs: [] });
  expect((await client.list({ includeMetadata: true })).items[0]).toMatchObject({ metadata });
  for (const metadata of [{ org: 'it\'s "1"' }, { paid: true }]) {
    const page = await client.list({ statuses: ['RUNNING', 'QUEUED'], agentType: 'research', metadata, pageSize: 10 });
    expect(page).toMatchObject({ total: 1, page: 1, next: null });
    expect(page.items[0]).toMatchObject({ agent_id: id, latest_log: 'Reading <b>papers</b>' });
  }
  expect((await client.list({ metadata: { paid: 'true' } })).items).toHaveLength(0);
  for (const metadata of [{ n: 5 }, [{ n: 5 }, { n: '5' }], [{ n: 5, paid: true }, { n: '5', paid: true }]]) {
    expect((await client.list({ metadata })).items, JSON.stringify(metadata)).toHaveLength(1);
  }
  expect((await client.list({ metadata: { n: '5' } })).items).toHaveLength(0);
  for (const metadata of [{ n: { a: 1 } }, [{ n: 5 }, { n: 6 }], [{ n: 5 }, { n: '5', paid: true }], []]) {
    await expect(client.list({ metadata }), JSON.stringify(metadata)).rejects.toMatchObject({ status: 422 });
  }
  expect(await client.stats()).toMatchObject({ counts: { RUNNING: 1, QUEUED: 0 }, active: 1 });
  const range = await client.stats({ since: '10m', bucket: '1m' });
  expect(range).toMatchObject({ bucket: 60, stopping: 0, ended: { complete: 0 }, types: [{ agent_type: 'research', running: 1, p50: null }], failures: [] });
  expect(range.series.reduce((n, b) => n + b.started, 0)).toBe(1);
  await expect(client.stats({ since: '1d', bucket: '1s' })).rejects.toMatchObject({ status: 422, code: 'TA422' });
  expect((await client.list({ sort: 'duration', order: 'asc', since: '1h', until: '0s', idPrefix: id.slice(0, 8) })).items).toMatchObject([{ agent_id: id }]);
  expect((await client.list({ until: '1h' })).items).toHaveLength(0);

  const ids = [await client.create('a'), await client.create('a'), await client.create('b', { agentId: '11111111-1111-4111-8111-111111111111' })];
  const page = await client.list({ pageSize: 2 });
  expect((await client.list({ pageSize: 2, after: page.next })).items).toHaveLength(2);
  expect(await client.complete(id, 'Done', { data: [1] })).toMatchObject({ status: 'COMPLETE', percentage: 100, message: 'Done', data: [1] });
  expect(await client.error(ids[0]!, 'It broke', { data: null })).toMatchObject({ status: 'ERROR', message: 'It broke' });
  expect(await client.cancel(ids[1]!)).toMatchObject({ status: 'CANCELED', message: 'Cancel requested' });
  expect(await client.cancel(ids[0]!, { message: 'no retry' })).toMatchObject({ status: 'CANCELED', message: 'no retry' });
  expect(await client.cancelPending({ agentType: 'b', idleFor: '1h' })).toEqual({ canceled: 0, skipped: 0 });
  expect(await client.cancelPending({ agentType: 'b' })).toEqual({ canceled: 1, skipped: 0 });
  for (const n of [7, '7', 8]) await client.create('c', { metadata: { n } });
  expect(await client.cancelPending({ metadata: [{ n: 7 }, { n: '7' }] })).toEqual({ canceled: 2, skipped: 0 });
  await expect(client.cancelPending({})).rejects.toMatchObject({ status: 422 });
  expect(await client.cancelPending({ all: true })).toEqual({ canceled: expect.any(Number) as number, skipped: 0 });
  expect((await client.stats()).active).toBe(0);

  const problem = await client.log(id, 'again', { status: 'RUNNING' }).catch((e: unknown) => e);
  expect(problem).toBeInstanceOf(ProblemError);
  expect(problem).toMatchObject({ name: 'ProblemError', status: 409, code: 'TA409' });
  await expect(client.detail(unknown)).rejects.toMatchObject({ status: 404, code: 'TA404' });
  await expect(client.detail('no/such')).rejects.toMatchObject({ status: 422 });
  await expect(client.create('b', { agentId: ids[2] })).rejects.toMatchObject({ status: 409, code: '23505' });
  const invalid = (await client.log(id, 'x', { percentage: 101 }).catch((e: unknown) => e)) as ProblemError;
  expect(invalid).toMatchObject({ status: 422, code: 'TA422' });
  expect(invalid.message).toContain('percentage');
});

test('trees and questions over HTTP', async () => {
  const client = connect();
  const root = await client.create('coordinator', { metadata: { tree: 'yes' } });
  const child = await client.create('part', { parentAgentId: root });
  expect(await client.detail(child)).toMatchObject({ parent_agent_id: root, root_agent_id: root, children: null });
  expect(await client.detail(root)).toMatchObject({ parent_agent_id: null, root_agent_id: null, children: { total: 1, queued: 1, percentage: 0 }, open_questions: 0 });
  expect((await client.list({ parentAgentId: root })).items).toMatchObject([{ agent_id: child }]);
  expect((await client.list({ rootsOnly: true, metadata: { tree: 'yes' } })).items).toMatchObject([{ agent_id: root }]);

  const ask = (key: string, schema: object) => move('/sql', `select agentexec.ask('${child}', '${key}', 'How many?', '${JSON.stringify(schema)}')`);
  await ask('how many', { type: 'object', properties: { count: { type: 'integer', minimum: 1 } } });
  await ask('second', {});
  expect((await client.list({ waiting: true, rootAgentId: root })).items).toMatchObject([{ agent_id: child, open_questions: 2 }]);
  expect((await client.questions({ agentId: child })).items).toMatchObject([{ key: 'how many', state: 'PENDING', agent_type: 'part' }, { key: 'second' }]);
  await expect(client.answer(child, 'how many', { count: 0 })).rejects.toMatchObject({ status: 422, code: 'TA422', message: 'answer.count must be at least 1, got 0' });
  const waited = client.question(child, 'how many', { wait: '30s' });
  expect(await client.answer(child, 'how many', { count: 3 })).toMatchObject({ state: 'ANSWERED', answer: { count: 3 } });
  expect(await waited).toMatchObject({ state: 'ANSWERED', answer: { count: 3 } });
  await expect(client.answer(child, 'how many', { count: 4 })).rejects.toMatchObject({ status: 409, code: 'TA409' });
  expect(await client.ask(child, 'third', 'Third?', { schema: { type: 'boolean' }, expiresIn: '30m' })).toMatchObject({ state: 'PENDING', schema: { type: 'boolean' } });
  expect(await client.withdraw(child, 'third')).toMatchObject({ state: 'WITHDRAWN' });
  expect(await client.decline(child, 'second')).toMatchObject({ state: 'DECLINED', answer: null });
  await expect(client.question(child, 'fourth')).rejects.toMatchObject({ status: 404 });
  expect((await client.questions({ agentId: child, state: 'ANY' })).items).toHaveLength(3);
  await client.cancel(root, { tree: true });
  expect((await client.list({ rootAgentId: root })).items.find(({ agent_id }) => agent_id === child)).toMatchObject({ status: 'CANCELED' });
});

for (const transport of ['websocket', 'http']) {
  test(`an activity becomes stale, is requested to stop, and is forced, over ${transport}`, async () => {
    const client = connect(transport);
    const id = await client.create('silent');
    await client.log(id, 'reading', { status: 'RUNNING' });
    const view: ActivityView = { activity: undefined, logs: [], ended: false };
    const types: string[] = [];
    client.watchActivity(id, {}, (e) => {
      types.push(e.type);
      applyActivity(view, e);
    });
    let stale: string[] | undefined;
    const items = new Map<string, ActivityListItem>();
    client.watchList({ stale: true }, {}, (e) => {
      applyList(items, e);
      stale = [...items.keys()];
    });
    await until(() => view.logs.length === 2 && stale !== undefined);
    expect(view.activity).toMatchObject({ stale: false, expect_every: null, cancel: null });

    expect(await client.heartbeat(id, { expectEvery: '1s' })).toEqual({ status: 'RUNNING', attempt: 1, cancel_requested: false, cancel_message: null });
    await until(() => view.activity!.stale === true && stale!.includes(id));
    expect(view.activity).toMatchObject({ status: 'RUNNING', expect_every: 1, last_seq: 2 });
    expect((await client.list({ stale: true })).items.map((i) => i.agent_id)).toContain(id);
    await client.heartbeat(id, { expectEvery: '1h' });
    await until(() => view.activity!.stale === false && !stale!.includes(id));
    expect([types.filter((t) => t === 'logs').length, view.activity!.last_seq], 'all that without a line').toEqual([1, 2]);

    expect(await client.cancel(id, { message: 'enough', grace: '1h' })).toMatchObject({ seq: 3, status: 'RUNNING', message: 'enough' });
    await until(() => Boolean(view.activity!.cancel));
    expect(view.activity).toMatchObject({ status: 'RUNNING', cancel: { seq: 3, message: 'enough', forced: false } });
    const left = Date.parse(view.activity!.cancel!.force_at!) - client.now();
    expect(left).toBeGreaterThan(0);
    expect(await client.heartbeat(id)).toMatchObject({ cancel_requested: true, cancel_message: 'enough' });
    const line = await client.log(id, 'going on', { atSeq: 4 });
    expect(line).toMatchObject({ seq: 4, attempt: 1, cancel_requested: true });
    expect(await client.log(id, 'going on', { atSeq: 4 }), 'again').toEqual(line);
    await expect(client.log(id, 'something else', { atSeq: 4 })).rejects.toMatchObject({ status: 409, code: 'TA409' });

    expect(await client.cancel(id, { force: true })).toMatchObject({ status: 'CANCELED' });
    await until(() => view.ended);
    expect(view.activity).toMatchObject({ status: 'CANCELED', cancel: { seq: 3, message: 'enough', forced: true } });
  });

  test(`no line is lost or doubled while the sidecar comes and goes, over ${transport}`, async () => {
    const client = connect(transport);
    const id = await client.create('survivor');
    const seqs: number[] = [];
    const statuses: string[] = [];
    client.watchActivity(id, {}, (e) => {
      if (e.type === 'logs') seqs.push(...e.logs.map((l) => l.seq));
      if (e.type === 'end') statuses.push(e.status);
      expect(e.type).not.toBe('gap');
    });
    const read = (async () => {
      const taken: number[] = [];
      for await (const e of client.watchActivity(id, { afterSeq: 1 })) {
        if (e.type === 'end') return taken;
        if (e.type === 'logs') taken.push(...e.logs.map((l) => l.seq));
      }
      return taken;
    })();
    let last = 1;
    for (const state of ['here', 'gone', 'here', 'gone', 'here']) {
      if (state === 'gone') {
        await until(() => seqs.at(-1) === last);
        const pending = append(id, 300); // some of it arrives
        await move('/sidecar/kill');
        await pending;
        await until(() => client.connection.state === 'offline');
        await append(id, 300);
        last += 600;
        await move('/sidecar/start');
      } else {
        await append(id, 50);
        last += 50;
      }
    }
    await until(() => seqs.at(-1) === last && client.connection.state === 'live');
    await client.complete(id);
    await until(() => statuses.length > 0);
    expect(seqs).toEqual(range(1, last + 1));
    expect(await read).toEqual(range(2, last + 1));
    expect(statuses).toEqual(['COMPLETE']);
  });

  test(`a list stays right while the sidecar comes and goes, over ${transport}`, async () => {
    const client = connect(transport);
    const type = 'list ' + transport;
    const known = new Map<string, ActivityListItem>();
    let counts: object = {};
    client.watchList({ agentType: type, metadata: { of: transport } }, {}, (e) => {
      if (e.type === 'snapshot') known.clear();
      else for (const id of e.removed) known.delete(id);
      for (const item of e.items) known.set(item.agent_id, item);
      counts = e.counts;
    });
    const shown = () => [...known.values()].map((i) => `${i.status} ${i.latest_log}`).sort();
    const create = () => client.create(type, { message: 'new', metadata: { of: transport } });
    await client.create('other');
    const first = await create();
    await until(() => shown().join() === 'QUEUED new');
    await move('/sidecar/kill');
    await append(first, 3);
    await until(() => client.connection.state === 'offline');
    await move('/sidecar/start');
    await until(() => shown().join() === 'RUNNING line 3');
    await create();
    await client.complete(first, 'done');
    await until(() => shown().join() === 'COMPLETE done,QUEUED new');
    await until(() => JSON.stringify(counts) === JSON.stringify({ ...counts, QUEUED: 1, COMPLETE: 1, RUNNING: 0 }));
  });

  test(`an unknown activity is not found, over ${transport}`, async () => {
    const client = connect(transport);
    const over = (async () => {
      for await (const _ of client.watchActivity(unknown)) expect.unreachable();
    })();
    await expect(over).rejects.toMatchObject({ name: 'FeedError', code: 'not_found' });
  });
}

test('tokens are renewed in place, and asked for again where they expired', async () => {
  const guarded = (await move('/guarded')) as string;
  const mint = async (lifetime: string) => (await move('/token', `--read --subject ada --expires-in ${lifetime}`)) as string;
  const id = await connect().create('guarded');
  await Promise.all(['websocket', 'http'].map(async (transport) => {
    let tokens = 0;
    // The first is nonsense; the others live for 8 seconds and are renewed half way.
    const client = connect(transport, guarded, async () => (tokens++ ? mint('8s') : 'nonsense'));
    const states: string[] = [];
    client.watchActivity(id, {}, () => {});
    await until(() => client.connection.state === 'live');
    client.onConnection(() => states.push(client.connection.state));
    await until(() => tokens >= 5);
    expect(states.filter((s) => s !== 'live')).toEqual([]); // not once was the connection lost
    expect((await client.detail(id)).agent_id).toBe(id);
    client.close();
  }));
  const bad = connect('websocket', guarded, 'nonsense');
  bad.watchActivity(id, {}, () => {});
  await until(() => bad.connection.code === 'unauthorized');
  expect(bad.connection.state).toBe('offline');
  await expect(bad.stats()).rejects.toMatchObject({ status: 401, code: 'unauthorized' });
  const reader = connect('websocket', guarded, await mint('1h'));
  await expect(reader.cancel(id)).rejects.toMatchObject({ status: 403, code: 'forbidden' });
});

test('a slow reader of much gets all of it', async () => {
  const client = connect();
  const id = await client.create('large');
  await move('/sql', `select agentexec.append_logs((select jsonb_agg(jsonb_build_object('agent_id', '${id}', 'message', repeat('x', 50000))) from generate_series(1, 200)))`);
  await client.complete(id);
  const seqs: number[] = [];
  for await (const e of client.watchActivity(id) as AsyncIterable<ActivityEvent>) {
    if (e.type === 'end') break;
    if (e.type === 'logs') seqs.push(...e.logs.map((l) => l.seq));
    await new Promise((go) => setTimeout(go, 5));
  }
  expect(seqs).toEqual(range(1, 202));
});
