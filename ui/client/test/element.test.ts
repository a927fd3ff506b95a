// @vitest-environment jsdom

import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import type { AgentexecProgress } from '../src/element.ts';
import { createClient } from '../src/index.ts';
import { FeedServer, ID, until } from './server.ts';

let server: FeedServer;
beforeAll(async () => {
  // jsdom has no style sheets of a script's own.
  vi.stubGlobal('CSSStyleSheet', class { replaceSync() {} });
  vi.stubGlobal('WebSocket', WebSocket);
  await import('../src/element.ts');
});
beforeEach(async () => {
  server = new FeedServer();
  await server.start();
});
afterEach(async () => {
  document.body.replaceChildren();
  await server.stop();
});

function show(attributes: Record<string, string> = {}): AgentexecProgress {
  const e = document.createElement('agentexec-progress') as AgentexecProgress;
  for (const [name, value] of Object.entries({ src: server.url, 'agent-id': ID, ...attributes })) e.setAttribute(name, value);
  document.body.append(e);
  return e;
}

const text = (e: Element, part: string) => e.shadowRoot!.querySelector('.' + part)!.textContent;
const bar = (e: Element) => e.shadowRoot!.querySelector('[role=progressbar]')!;

test('it shows how far an activity is, live, to the end', async () => {
  server.append(200);
  const e = show();
  await until(() => text(e, 'text') === 'line');
  expect(server.paths[0]).toBe(`/v1/activities/${ID}?limit=0`);
  expect(server.messages.find((m) => m.type === 'subscribe')!.after_seq).toBe(199); // not the whole log
  expect(text(e, 'type')).toBe('test');
  expect(bar(e).getAttribute('aria-label')).toBe('test');
  expect(bar(e).getAttribute('aria-valuetext')).toBe('Running');
  expect(bar(e).hasAttribute('aria-valuenow')).toBe(false); // it is unknown
  expect(e.getAttribute('status')).toBe('RUNNING');

  const ends: unknown[] = [];
  document.body.addEventListener('agentexec-event', (event) => ends.push((event as CustomEvent<{ type: string }>).detail.type));
  server.percentage = 40;
  server.append(1, '\u202ehalf\u0007 <b>done</b>');
  await until(() => text(e, 'status') === 'Running · 40%');
  expect(bar(e).getAttribute('aria-valuenow')).toBe('40');
  expect(text(e, 'text')).toBe('\ufffdhalf␇ <b>done</b>');
  expect(e.shadowRoot!.querySelector('b')).toBeNull();
  server.append(1, '🚀'.repeat(400));
  await until(() => /^(🚀){150}$/u.test(text(e, 'text')!));
  server.percentage = 100;
  server.finish();
  await until(() => text(e, 'status') === 'Complete');
  expect(ends).toContain('end');
});

test('it shows that the activity is stale, and that it is stopping', async () => {
  server.time = '2026-01-01T00:02:02+00:00'; // not the time of this machine
  server.append(2);
  const e = show();
  await until(() => text(e, 'text') === 'line');
  expect(e.getAttribute('condition')).toBe('');
  server.change({ stale: true, expect_every: 30, last_seen_at: '2026-01-01T00:00:02+00:00' });
  await until(() => text(e, 'text') === 'Last seen 2 min ago; promised every 30 s · line');
  expect(e.getAttribute('condition')).toBe('stale');
  expect(bar(e).getAttribute('aria-valuetext')).toBe('Running: Last seen 2 min ago; promised every 30 s');
  const cancel = { seq: 2, message: '', requested_by: null, requested_at: '2026-01-01T00:02:00+00:00', force_at: '2026-01-01T00:02:30+00:00', forced: false };
  server.change({ stale: false, cancel });
  await until(() => /^Stopping, \d+ s left · line$/.test(text(e, 'text')!));
  const left = text(e, 'text');
  await until(() => text(e, 'text') !== left); // the time that is left gets shorter
  server.change({ status: 'CANCELED', finished_at: '2026-01-01T00:02:40+00:00', updated_at: '2026-01-01T00:02:40+00:00', cancel: { ...cancel, forced: true } });
  await until(() => text(e, 'text') === 'Canceled, the worker never answered · line');
  expect(text(e, 'status')).toBe('Canceled');
});

test('it says when it does not know, and when it is offline', async () => {
  const unknown = show({ 'agent-id': '00000000-0000-4000-8000-000000000000', label: 'My task' });
  await until(() => text(unknown, 'text') === 'No such activity');
  expect(text(unknown, 'type')).toBe('My task');
  server.append(1);
  const e = show();
  await until(() => e.getAttribute('connection') === 'live');
  await server.stop();
  await until(() => text(e, 'status')!.startsWith('Running · offline since '));
  await server.start();
  await until(() => text(e, 'status') === 'Running');
});

test('what keeps it from showing anything is said', async () => {
  for (const [attributes, said] of [
    [{ 'agent-id': '' }, 'No activity: the attribute agent-id is missing'],
    [{ src: 'http://' }, 'No server: the attribute src is no address'],
    [{ src: 'http://127.0.0.1:9' }, /^http:\/\/127\.0\.0\.1:9 cannot be reached/],
  ] as const) {
    const e = show(attributes as Record<string, string>);
    await until(() => (typeof said === 'string' ? text(e, 'text') === said : said.test(text(e, 'text')!)), String(said));
    expect(bar(e).getAttribute('aria-valuetext')).toContain(text(e, 'text'));
  }
});

test('elements share a socket, and leave it when they go', async () => {
  server.append(1);
  const all = [show(), show(), show()];
  await until(() => all.every((e) => text(e, 'text') === 'line'));
  expect(server.protocols).toHaveLength(1);
  all[0]!.setAttribute('agent-id', '00000000-0000-4000-8000-000000000000');
  await until(() => text(all[0]!, 'text') === 'No such activity');
  for (const e of all) e.remove();
  await until(() => server.sockets.size === 0);
});

test('it takes a client, such as one with a token', async () => {
  server.append(1);
  const client = createClient({ url: server.url, token: 'secret', WebSocket });
  const e = document.createElement('agentexec-progress') as AgentexecProgress;
  e.client = client;
  e.setAttribute('agent-id', ID);
  document.body.append(e);
  await until(() => text(e, 'text') === 'line');
  expect(server.protocols).toEqual([['agentexec.v1', 'bearer.secret']]);
});
