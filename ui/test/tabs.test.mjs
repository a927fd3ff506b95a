// Many tabs of one browser share one connection, whatever happens to some of them. The tabs are small pages with the
// client, which nginx serves at the sidecar's origin, and the dashboard itself.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { build } from 'vite';
import { base, create, eventually, log, open } from './stage.mjs';
import { live, range } from './screen.mjs';
import { nginx } from './nginx.mjs';

const TABS = 20;

// So many tabs take their time on a busy machine.
const scene = (name, play) => test(name, { timeout: 400_000 }, play);

const files = await mkdtemp(path.join(tmpdir(), 'agentexec-tabs-'));
after(() => rm(files, { recursive: true }));
const { output } = await build({
  configFile: false, logLevel: 'error', resolve: { conditions: ['@agentexec/source', 'module', 'browser', 'import', 'default'] },
  build: { write: false, target: 'es2022', rolldownOptions: { input: new URL('tabs.ts', import.meta.url).pathname } },
});
await writeFile(path.join(files, 'script.js'), output[0].code);
await writeFile(path.join(files, 'tab.html'), '<!doctype html><link rel="icon" href="data:,"><script type="module" src="script.js"></script>');

// sockets is how many connections of the feed the sidecar has, WebSockets and event streams.
const sockets = async () => Number(/^agentexec_sockets (\d+)/m.exec(await (await fetch(base + '/metrics')).text())[1]);

// openTabs opens tabs in one browser, one after the other, so that they lead in this order.
async function openTabs(n, url) {
  const tabs = [await open()];
  const context = tabs[0].context();
  context.setDefaultTimeout(60_000);
  while (tabs.length < n) tabs.push(await context.newPage());
  for (const tab of tabs) await tab.goto(url);
  return { tabs, context };
}

const crashed = new Set();

// all waits until a check holds in each tab that has not crashed, one after the other.
async function all(tabs, check) {
  for (const tab of tabs) await eventually(async () => crashed.has(tab) || check(await tab.evaluate(() => window.tab())), 60_000);
}
const have = (what) => eventually(async () => assert.ok(what(await sockets()), `${await sockets()} sockets`), 60_000);
const one = (n) => n === 1;
const six = (n) => n <= 6; // a browser opens so many connections
const hasOnce = (last) => ({ seqs, listed }) => {
  assert.deepEqual(seqs, range(1, last));
  assert.equal(listed, last);
};

// play has an activity, and tabs that watch it through nginx.
async function play(options, type, act) {
  const p = await nginx({ files, ...options });
  const id = await create(type, 'line 1');
  const { tabs, context } = await openTabs(TABS, `${p.origin}/files/tab.html?id=${id}&type=${type}`);
  try {
    await all(tabs, hasOnce(1));
    let last = 1;
    await act({ tabs, context, write: async (n) => { while (n--) await log(id, 'line ' + ++last); return last; } });
  } finally {
    await context.close();
    await p.close();
  }
}

scene('20 tabs have one WebSocket, and lose nothing when the leader closes, crashes or is frozen', () =>
  play({}, 'tabbed', async ({ tabs, context, write }) => {
    await have(one);
    await all(tabs, ({ connection }) => assert.deepEqual([connection.state, connection.transport], ['live', 'websocket']));
    for (const tab of tabs) tab.once('crash', () => crashed.add(tab));

    let writing = write(20);
    const [closed, crashing, ...rest] = tabs;
    await closed.close();
    await all([crashing, ...rest], hasOnce(await writing));
    await have(one);

    writing = write(20);
    (await context.newCDPSession(crashing)).send('Page.crash').catch(() => {}); // it is not answered
    await eventually(() => assert.ok(crashed.has(crashing)));
    await all(rest, hasOnce(await writing));
    await have(one);

    const [frozen, ...others] = rest.filter((tab) => !crashed.has(tab)); // several tabs may be of one process
    assert.ok(others.length > 0);
    const session = await context.newCDPSession(frozen);
    await session.send('Page.setWebLifecycleState', { state: 'frozen' });
    await all(others, hasOnce(await write(20)));
    await session.send('Page.setWebLifecycleState', { state: 'active' });
    await all([frozen, ...others], hasOnce(await write(5)));
    await have(one);
  }));

scene('20 tabs share the requests where WebSockets are blocked', () =>
  play({ sockets: false }, 'polled', async ({ tabs, write }) => {
    const [first, ...others] = tabs;
    await all(tabs, ({ connection }) => assert.deepEqual([connection.state, connection.transport], ['live', 'http']));
    await have(six);
    await all(tabs, hasOnce(await write(10)));
    await first.close();
    await all(others, hasOnce(await write(10)));
    await have(six);
  }));

scene('dashboards in several tabs have one WebSocket', async () => {
  const { tabs, context } = await openTabs(4, base + '/');
  try {
    for (const tab of tabs) await live(tab);
    await have(one);
    await tabs[0].close();
    for (const tab of tabs.slice(1)) await live(tab);
    await have(one);
  } finally {
    await context.close();
  }
});
