// The element and the React components on a page of another origin: whatever keeps them from showing something, they say
// it in words.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after } from 'node:test';
import { build } from 'vite';
import { base, create, eventually, move, open, scene, state } from './stage.mjs';

const { output } = await build({
  configFile: false, logLevel: 'error', resolve: { conditions: ['@agentexec/source', 'module', 'browser', 'import', 'default'] },
  define: { 'process.env.NODE_ENV': '"production"' },
  build: { write: false, target: 'es2022', rolldownOptions: { input: new URL('embedded.tsx', import.meta.url).pathname } },
});
const page = '<!doctype html><html lang="en"><title>Agents</title><link rel="stylesheet" href="/styles.css"><main><h1>Agents</h1><h2>All</h2><div id="root"></div></main><script type="module" src="/script.js"></script>';
const pages = http.createServer((req, res) => {
  if (req.url === '/favicon.ico') return void res.writeHead(204).end();
  const script = req.url === '/script.js';
  const styles = req.url === '/styles.css';
  res.writeHead(200, { 'content-type': script ? 'text/javascript' : styles ? 'text/css' : 'text/html' });
  res.end(script ? output[0].code : styles ? output.find(({ fileName }) => fileName.endsWith('.css')).source : page);
});
await new Promise((go) => pages.listen(0, '127.0.0.1', go));
after(() => (pages.closeAllConnections(), pages.close()));
const origin = `http://127.0.0.1:${pages.address().port}`;

// embed opens the page; seen tells what each part of it shows, and logged what was written to the console by us.
async function embed(sidecar, id, act) {
  const p = await open();
  const logged = [];
  p.on('console', (m) => m.text().startsWith('agentexec: ') && logged.push(m.text()));
  const seen = () =>
    p.evaluate(() => ({
      element: document.querySelector('agentexec-progress').shadowRoot.querySelector('.text').textContent,
      list: document.querySelector('.ax-list, .ax-note').textContent,
      detail: document.querySelector('.ax-detail').textContent,
      badge: document.querySelector('.ax-active').title,
    }));
  try {
    await p.goto(`${origin}/?${new URLSearchParams({ sidecar, id })}`);
    await act({ seen, logged, page: p });
  } finally {
    await p.context().close();
  }
}

const says = (seen, pattern, parts = ['element', 'list', 'detail', 'badge']) =>
  eventually(async () => {
    const all = await seen();
    for (const part of parts) assert.match(all[part], pattern, part);
  });

scene('a refused origin is said to be refused, and how to let it in', async () => {
  const id = await create('foreign');
  await embed(base, id, async ({ seen, logged, page }) => {
    await says(seen, new RegExp(`${base} refuses pages of ${origin}: start the sidecar with --allow-origin ${origin}`));
    assert.doesNotMatch(Object.values(await seen()).join(), /Loading/);
    await eventually(() => assert.equal(logged.length, 2)); // the element has a client of its own
    assert.match(logged[0], /--allow-origin/);
    // Once for each client, however often it tries.
    let tried = 0;
    page.on('requestfailed', (r) => r.url().startsWith(base + '/v1') && tried++);
    await eventually(() => assert.ok(tried > 4));
    assert.equal(logged.length, 2);
  });
});

scene('a server that is away is said to be', async () => {
  await embed('http://127.0.0.1:9', '6f1de0c4-5d0b-4d3a-9a53-0e1f6c5b7a11', async ({ seen, logged }) => {
    await says(seen, /http:\/\/127\.0\.0\.1:9 cannot be reached/);
    assert.deepEqual(logged, []);
  });
});

scene('an allowed origin is shown all, and an id that is none is said to be', async () => {
  const sidecar = await move('/allowing', origin);
  const id = await create('welcome', 'hello');
  await embed(sidecar, id, async ({ seen }) => {
    await says(seen, /hello/, ['element', 'list', 'detail']);
  });
  await embed(sidecar, 'nonsense', async ({ seen }) => {
    await says(seen, /agent_id must be a UUID|nonsense/, ['element', 'detail']);
    assert.doesNotMatch((await seen()).detail, /Loading/);
  });
});

scene('of a list of 100,000 activities only the rows in sight are in the page', async () => {
  const p = await open();
  try {
    await p.goto(`${origin}/?${new URLSearchParams({ sidecar: base, id: '', many: '100000' })}`);
    const rows = () => p.$$eval('.ax-rows > li', (all) => all.map((row) => Number(row.querySelector('.ax-type').textContent.slice(5))));
    const place = (n) => p.getByText(`type ${n}`, { exact: true }).boundingBox();
    await eventually(async () => assert.equal((await rows())[0], 0));
    assert.ok((await rows()).length < 60);
    // Each row is where the one before it ends, and the list is no higher than the window.
    const edges = await p.$$eval('.ax-rows > li', (all) => all.map((row) => row.getBoundingClientRect()).map(({ top, bottom }) => [top, bottom]));
    for (const [n, [top]] of edges.entries()) if (n) assert.ok(Math.abs(top - edges[n - 1][1]) < 1, `row ${n}`);
    const { height, window: room } = await p.$eval('.ax-list', (list) => ({ height: list.clientHeight, window: innerHeight }));
    assert.ok(height <= room, `${height} px`);
    await state(p, 'embedded-list');

    await p.locator('.ax-list').hover();
    await p.keyboard.press('Tab');
    await p.keyboard.press('Tab');
    const focused = () => p.evaluate(() => document.activeElement.querySelector('.ax-type')?.textContent);
    assert.equal(await focused(), 'type 1');
    await p.mouse.wheel(0, 100_000);
    await eventually(async () => assert.ok((await rows()).at(-1) > 1000));
    assert.equal(await focused(), 'type 1');
    const still = (await rows()).at(-10);
    const { y } = await place(still);
    await p.evaluate(() => window.moved());
    await eventually(async () => assert.equal(await p.$eval('.ax-rows > li', (row) => row.getAttribute('aria-posinset')), '3')); // that with the focus
    assert.ok(Math.abs((await place(still)).y - y) < 1);
    await p.$eval('.ax-list', (list) => (list.scrollTop = list.scrollHeight));
    await eventually(async () => assert.equal((await rows()).at(-1), 99_999));
    assert.ok((await rows()).length < 60);
    // Tab goes from row to row through all of them.
    await p.$eval('.ax-list', (list) => (list.scrollTop = 0));
    await eventually(async () => assert.ok((await rows()).includes(1)));
    for (let n = 2; n < 60; n++) {
      await p.keyboard.press('Tab');
      assert.equal(await focused(), `type ${n}`);
    }
  } finally {
    await p.context().close();
  }
});
