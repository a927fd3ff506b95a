// A small server of the feed's protocol that can be made to misbehave, and a line to it that can be cut.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import net from 'node:net';
import { once } from 'node:events';
import { type WebSocket, WebSocketServer } from 'ws';
import { compareItems } from '../src/state.ts';
import type { ActivityListItem, ActivityLog, ActivityState, Counts, Status } from '../src/types.ts';

export const ID = '6f1de0c4-5d0b-4d3a-9a53-0e1f6c5b7a11';

/** The way a frame of lines is sent. */
export type Fate = 'sent' | 'skipped' | 'twice' | 'halved' | 'late';

interface Sub {
  name: string | undefined;
  cursor: number;
  ended: boolean;
  send(frame: object): void;
}

/** What a list selects. The counts of a list say how many the last four select. */
interface Selected {
  statuses?: Status[] | undefined;
  stale?: boolean | undefined;
  parent_agent_id?: string | undefined;
  root_agent_id?: string | undefined;
  roots_only?: boolean | undefined;
  waiting?: boolean | undefined;
}

interface ListSub extends Selected {
  limit: number;
  /** The items the client has, by agent_id. */
  known: Map<string, string>;
  send(frame: object): void;
}

const time = (seq: number) => new Date(Date.UTC(2026, 0, 1) + seq * 1000).toISOString();

export class FeedServer {
  lines: ActivityLog[] = [];
  status: Status = 'QUEUED';
  percentage: number | null = null;
  attempt = 1;
  /** Fields of the activity that a server of an earlier version leaves out, such as `stale`. */
  life: Partial<ActivityState> = {};
  /** The time in a welcome; a server of an earlier version sends none. */
  time: string | undefined;
  /** Seqs that are no longer kept. */
  pruned = new Set<number>();
  created = 0;
  /** The fates of the next frames of lines; afterwards all are sent. */
  fates: Fate[] = [];
  /** WebSockets are answered with this, where it is not 0, but those with this token. */
  blocked = 0;
  token = 'no such token';
  /** Answers a request before anything else does. */
  answer: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  /** The items to list, in place of the one activity. Call `relist` after a change. */
  items: ActivityListItem[] | undefined;
  /** The messages on sockets and the paths of requests, in order of arrival. */
  messages: { type: string; sub?: string; token?: string; after_seq?: number; list?: object }[] = [];
  paths: string[] = [];
  protocols: string[][] = [];
  /** The most lines in a frame. */
  batch = 7;
  port = 0;
  sockets = new Set<WebSocket>();
  #subs = new Set<Sub>();
  #lists = new Set<ListSub>();
  #http: Server | undefined;

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const http = createServer((request, response) => this.#request(request, response));
    const wss = new WebSocketServer({ noServer: true, handleProtocols: () => 'agentexec.v1', perMessageDeflate: false });
    http.on('upgrade', (request, socket, head) => {
      socket.on('error', () => {});
      const protocols = (request.headers['sec-websocket-protocol'] ?? '').split(/, ?/);
      if (this.blocked && protocols[1] !== 'bearer.' + this.token) return void socket.end(`HTTP/1.1 ${this.blocked} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      this.protocols.push(protocols);
      wss.handleUpgrade(request, socket, head, (ws) => this.#serve(ws));
    });
    http.listen(this.port, '127.0.0.1');
    await once(http, 'listening');
    this.port = (http.address() as net.AddressInfo).port;
    this.#http = http;
  }

  /** Breaks every connection and listens no more. */
  async stop(): Promise<void> {
    for (const ws of this.sockets) ws.terminate();
    this.#http?.closeAllConnections();
    await new Promise((done) => this.#http?.close(done));
  }

  append(count: number, message = 'line'): void {
    if (this.status === 'QUEUED') this.status = 'RUNNING';
    for (let n = 0; n < count; n++) this.#add(message);
    this.#wake();
  }

  finish(status: Status = 'COMPLETE'): void {
    this.status = status;
    this.#add('done');
    this.#wake();
  }

  /** Changes the state without a line, and announces it. */
  change(life: Partial<ActivityState>): void {
    this.life = { ...this.life, ...life };
    for (const sub of this.#subs) sub.send({ type: 'state', sub: sub.name, activity: this.#state() });
  }

  /** Sets the database back: lines after seq are void. */
  reset(seq: number): void {
    this.lines.length = seq;
    this.status = 'RUNNING';
  }

  /** Deletes the activity and makes another under its agent_id. */
  makeAgain(): void {
    this.lines.length = 0;
    this.status = 'QUEUED';
    this.created++;
  }

  activity() {
    const last_seq = this.lines.length;
    const state = { status: this.status, latest_percentage: this.percentage, updated_at: time(last_seq), last_seq, attempt: this.attempt, ...this.life };
    return { agent_id: ID, agent_type: 'test', created_at: time(this.created), started_at: null, finished_at: null, ...state };
  }

  #state() {
    const { agent_id: _id, agent_type: _type, created_at: _created, ...state } = this.activity();
    return state;
  }

  item() {
    return { ...this.activity(), latest_log: this.lines.at(-1)?.message ?? null, latest_log_truncated: false };
  }

  counts({ statuses: _, stale: _stale, ...tree }: Selected = {}) {
    const counts = { QUEUED: 0, RUNNING: 0, COMPLETE: 0, ERROR: 0, CANCELED: 0, stale: 0 } satisfies Counts;
    for (const { status, stale } of this.#listed(tree)) {
      counts[status]++;
      if (stale) counts.stale++;
    }
    return counts;
  }

  /** Tells every live list what is different. */
  relist(): void {
    for (const list of this.#lists) {
      const items = this.#listed(list).slice(0, list.limit);
      const now = new Map(items.map((item) => [item.agent_id, JSON.stringify(item)]));
      const changed = items.filter(({ agent_id }) => now.get(agent_id) !== list.known.get(agent_id));
      const removed = [...list.known.keys()].filter((id) => !now.has(id));
      list.known = now;
      list.send({ type: 'changes', items: changed, removed, counts: this.counts(list) });
    }
  }

  #listed({ statuses, stale, parent_agent_id, root_agent_id, roots_only, waiting }: Selected): ActivityListItem[] {
    const all: ActivityListItem[] = this.items ?? [this.item()];
    return all.filter((item) =>
      (!statuses || statuses.includes(item.status)) && (stale === undefined || stale === Boolean(item.stale)) && (!roots_only || !item.parent_agent_id) &&
      (!parent_agent_id || item.parent_agent_id === parent_agent_id) && (!root_agent_id || item.root_agent_id === root_agent_id || item.agent_id === root_agent_id) &&
      (waiting === undefined || waiting === Boolean(item.open_questions))).sort(compareItems);
  }

  #add(message: string) {
    const seq = this.lines.length + 1;
    this.lines.push({ id: seq, seq, message, status: this.status, percentage: this.percentage, created_at: time(seq), data: null, attempt: this.attempt });
  }

  #wake() {
    for (const sub of [...this.#subs]) this.#push(sub);
  }

  #serve(ws: WebSocket) {
    const subs = new Map<string, Sub>();
    const lists = new Map<string, ListSub>();
    const send = (frame: object) => ws.send(JSON.stringify(frame));
    this.sockets.add(ws);
    ws.on('close', () => {
      this.sockets.delete(ws);
      for (const sub of subs.values()) this.#subs.delete(sub);
      for (const list of lists.values()) this.#lists.delete(list);
    });
    ws.on('error', () => {});
    send({ type: 'welcome', protocol: 'agentexec.v1', time: this.time });
    ws.on('message', (data) => {
      const m = JSON.parse(String(data)) as FeedServer['messages'][0] & { agent_id?: string };
      this.messages.push(m);
      const name = m.sub ?? m.agent_id!;
      if (m.type === 'ping') send({ type: 'pong' });
      if (m.type === 'unsubscribe') {
        const sub = subs.get(name);
        if (!sub) return send({ type: 'error', sub: name, code: 'invalid', message: 'no such subscription' });
        subs.delete(name);
        this.#subs.delete(sub);
        this.#lists.delete(lists.get(name)!);
        send({ type: 'unsubscribed', sub: name });
      }
      if (m.type !== 'subscribe') return;
      if (subs.has(name)) return send({ type: 'error', sub: name, code: 'invalid', message: 'the name is taken' });
      if (m.list) {
        const { limit = 50, ...selected } = m.list as Partial<ListSub>;
        const items = this.#listed(selected).slice(0, limit);
        const list = { ...selected, limit, known: new Map(items.map((item) => [item.agent_id, JSON.stringify(item)])), send: (frame: object) => send({ sub: name, ...frame }) };
        subs.set(name, { name, cursor: 0, ended: true, send });
        lists.set(name, list);
        this.#lists.add(list);
        return list.send({ type: 'snapshot', items, counts: this.counts(selected) });
      }
      if (m.agent_id !== ID) return send({ type: 'error', sub: name, code: 'not_found', message: 'there is no such activity' });
      subs.set(name, this.#join({ name, cursor: m.after_seq ?? 0, ended: false, send }));
    });
  }

  #join(sub: Sub): Sub {
    this.#subs.add(sub);
    sub.send({ type: 'snapshot', sub: sub.name, activity: this.activity() });
    if (sub.cursor > this.lines.length) {
      sub.send({ type: 'gap', sub: sub.name, after_seq: sub.cursor, next_seq: this.lines.length + 1, reason: 'reset' });
      sub.cursor = this.lines.length;
    }
    this.#push(sub);
    return sub;
  }

  #push(sub: Sub) {
    while (sub.cursor < this.lines.length) {
      let next = sub.cursor + 1;
      while (this.pruned.has(next)) next++;
      if (next > sub.cursor + 1) {
        sub.send({ type: 'gap', sub: sub.name, after_seq: sub.cursor, next_seq: next, reason: 'pruned' });
        sub.cursor = next - 1;
        continue;
      }
      let to = next;
      while (to - next + 1 < this.batch && to < this.lines.length && !this.pruned.has(to + 1)) to++;
      this.#lines(sub, this.lines.slice(next - 1, to));
      sub.cursor = to;
      sub.ended = false;
    }
    if (!sub.ended && this.status !== 'QUEUED' && this.status !== 'RUNNING') {
      sub.ended = true;
      sub.send({ type: 'end', sub: sub.name, status: this.status, last_seq: sub.cursor });
    }
  }

  #lines(sub: Sub, logs: ActivityLog[]) {
    const activity = this.#state();
    const send = (some: ActivityLog[]) => some.length && sub.send({ type: 'logs', sub: sub.name, activity, logs: some });
    const half = Math.ceil(logs.length / 2);
    switch (this.fates.shift()) {
      case 'skipped':
        return;
      case 'twice':
        send(logs);
        break;
      case 'halved':
        send(logs.slice(0, half));
        return send(logs.slice(half));
      case 'late': // and so out of order
        setImmediate(send, logs);
        return;
    }
    send(logs);
  }

  #request(request: IncomingMessage, response: ServerResponse) {
    this.paths.push(request.url!);
    if (this.answer?.(request, response)) return;
    const url = new URL(request.url!, 'http://x');
    const json = (body: object, status = 200) => response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    const after = Number(url.searchParams.get('after_seq') ?? 0);
    if (url.pathname === '/v1/feed/' + ID) {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders();
      const sub: Sub = {
        name: undefined, cursor: after, ended: false,
        send: (frame) => {
          const { type } = frame as { type: string };
          if (response.writableEnded) return;
          response.write(`event: ${type}\ndata: ${JSON.stringify(frame)}\n\n: still here\n\n`);
          if (type === 'end') response.end();
        },
      };
      response.on('close', () => this.#subs.delete(sub));
      this.#join(sub);
    } else if (url.pathname === '/v1/activities/' + ID) {
      const limit = Number(url.searchParams.get('limit') ?? Infinity);
      json({ ...this.activity(), logs: this.lines.filter((l) => l.seq > after && !this.pruned.has(l.seq)).slice(0, limit) });
    } else if (url.pathname === '/v1/activities') {
      const [size, key] = [Number(url.searchParams.get('page_size') ?? 50), url.searchParams.get('after')];
      const text = (name: string) => url.searchParams.get(name) ?? undefined;
      const flag = (name: string) => (url.searchParams.has(name) ? url.searchParams.get(name) === 'true' : undefined);
      const all = this.#listed({
        statuses: text('status')?.split(',') as Status[] | undefined, stale: flag('stale'), waiting: flag('waiting'), roots_only: flag('roots_only'),
        parent_agent_id: text('parent_agent_id'), root_agent_id: text('root_agent_id'),
      });
      const rest = key ? all.filter((item) => compareItems(item, JSON.parse(key) as ActivityListItem) > 0) : all;
      const items = rest.slice(0, size);
      const { agent_id, status, created_at } = items.at(-1) ?? {};
      const next = rest.length > size ? JSON.stringify({ agent_id, status, created_at }) : null;
      json({ items, total: key ? null : all.length, page: key ? null : 1, page_size: size, pages: key ? null : Math.ceil(all.length / size), next });
    } else if (url.pathname === '/v1/stats') {
      json({ counts: this.counts(), active: 1 });
    } else {
      json({ type: 'about:blank', title: 'Not Found', status: 404, detail: 'no activity with that id', code: 'TA404' }, 404);
    }
  }
}

/**
 * A line to a server. Each connection is cut after so many bytes from the server as the next of budgets says, in the
 * middle of a frame as well as between two; once they are used up, connections last.
 */
export class Line {
  budgets: number[] = [];
  /** Milliseconds that each piece of data takes. */
  delay = 0;
  connections = 0;
  #server: net.Server;
  #open = new Set<net.Socket>();
  port = 0;

  constructor(to: () => number) {
    this.#server = net.createServer((near) => {
      this.connections++;
      let budget = this.budgets.shift() ?? Infinity;
      const far = net.connect(to(), '127.0.0.1');
      const end = () => {
        near.destroy();
        far.destroy();
      };
      this.#open.add(near);
      near.on('error', end).on('close', () => (this.#open.delete(near), end()));
      far.on('error', end).on('close', end);
      near.pipe(far);
      far.on('data', (data) => {
        const pass = data.subarray(0, budget);
        budget -= data.length;
        const go = () => {
          near.write(pass);
          if (budget < 0) near.destroySoon();
        };
        if (this.delay) setTimeout(go, this.delay);
        else go();
      });
    });
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as net.AddressInfo).port;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }
}

/** Resolves when it holds. */
export async function until(holds: () => boolean, what = String(holds)): Promise<void> {
  for (const end = Date.now() + 30_000; !holds(); await new Promise((go) => setTimeout(go, 2))) {
    if (Date.now() > end) throw new Error('this never came to hold: ' + what);
  }
}

export const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);
