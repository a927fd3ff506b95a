// Every line is passed on once and in order, through every failure of the connection.

import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type ActivityEvent, type Client, createClient, type WebSocketClass } from '../src/index.ts';
import { type Fate, FeedServer, ID, Line, range, until } from './server.ts';

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Takes the events of one watch as a log would: what it shows. */
class Shown {
  seqs: number[] = [];
  ends = 0;
  constructor(from = 0) {
    this.seqs = range(1, from);
  }
  take(event: ActivityEvent) {
    if (event.type === 'logs') this.seqs.push(...event.logs.map((l) => l.seq));
    if (event.type === 'gap' && event.reason === 'reset') this.seqs = this.seqs.filter((seq) => seq < event.next_seq);
    if (event.type === 'end') this.ends++;
  }
}

const op = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('append' as const), lines: fc.integer({ min: 1, max: 40 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pause' as const), ms: fc.integer({ min: 0, max: 15 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('goaway' as const), code: fc.constantFrom(1001, 4408, 4429, 4401) }) },
);
const plan = fc.record({
  ops: fc.array(op, { minLength: 1, maxLength: 25 }),
  budgets: fc.array(fc.integer({ min: 0, max: 6000 }), { maxLength: 12 }),
  fates: fc.array(fc.constantFrom<Fate>('sent', 'skipped', 'twice', 'halved', 'late'), { maxLength: 30 }),
  delay: fc.constantFrom(0, 0, 1, 5),
  batch: fc.integer({ min: 1, max: 20 }),
  afterSeq: fc.integer({ min: 1, max: 5 }),
});
type Plan = typeof plan extends fc.Arbitrary<infer P> ? P : never;

async function play(p: Plan, transport: 'websocket' | 'http') {
  const server = new FeedServer();
  const line = new Line(() => server.port);
  let client: Client | undefined;
  try {
    server.batch = p.batch;
    server.fates = p.fates.slice();
    server.append(p.afterSeq);
    await server.start();
    await line.start();
    line.budgets = p.budgets.slice();
    line.delay = p.delay;
    client = createClient({
      url: line.url,
      retryDelay: () => 1,
      WebSocket: transport === 'http' ? (class { constructor() { throw new Error('blocked'); } } as unknown as WebSocketClass) : WebSocket,
    });
    const whole = new Shown();
    const rest = new Shown(p.afterSeq);
    const slow = new Shown();
    client.watchActivity(ID, {}, (e) => whole.take(e));
    client.watchActivity(ID, { afterSeq: p.afterSeq }, (e) => rest.take(e));
    const reading = (async () => {
      for await (const event of client.watchActivity(ID)) {
        slow.take(event);
        if (event.type === 'end') return;
        await new Promise((go) => setImmediate(go));
      }
    })();

    for (const o of p.ops) {
      if (o.do === 'append') server.append(o.lines);
      if (o.do === 'pause') await new Promise((go) => setTimeout(go, o.ms));
      if (o.do === 'goaway') for (const ws of server.sockets) ws.close(o.code);
      if (o.do === 'restart') {
        await server.stop();
        await server.start();
      }
    }
    server.finish();
    await Promise.all([until(() => whole.ends > 0 && rest.ends > 0), reading]);
    const all = range(1, server.lines.length);
    expect(whole.seqs).toEqual(all);
    expect(rest.seqs).toEqual(all);
    expect(slow.seqs).toEqual(all);
    expect([whole.ends, rest.ends, slow.ends]).toEqual([1, 1, 1]);
  } finally {
    client?.close();
    await line.stop();
    await server.stop();
  }
}

const runs = Number(process.env['RUNS'] ?? 60);

describe('every line comes once and in order', () => {
  test('over a WebSocket that breaks', { timeout: 300_000 }, () => fc.assert(fc.asyncProperty(plan, (p) => play(p, 'websocket')), { numRuns: runs }));
  test('over Server-Sent Events that break', { timeout: 300_000 }, () => fc.assert(fc.asyncProperty(plan, (p) => play(p, 'http')), { numRuns: Math.ceil(runs / 3) }));
});
