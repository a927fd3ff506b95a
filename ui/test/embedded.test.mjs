// The element and the React components on a page of another origin: whatever keeps them from showing something, they say
// it in words.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after } from 'node:test';
import { build } from 'vite';
import { base, create, eventually, move, open, scene } from './stage.mjs';

const { output } = await build({
  configFile: false, logLevel: 'error', resolve: { conditions: ['@agentexec/source', 'module', 'browser', 'import', 'default'] },
  define: { 'process.env.NODE_ENV': '"production"' },
  build: { write: false, target: 'es2022', rolldownOptions: { input: new URL('embedded.tsx', import.meta.url).pathname } },
});
const pages = http.createServer((req, res) => {
  if (req.url === '/favicon.ico') return void res.writeHead(204).end();
  const script = req.url === '/script.js';
  res.writeHead(200, { 'content-type': script ? 'text/javascript' : 'text/html' });
  res.end(script ? output[0].code : '<!doctype html><div id="root"></div><script type="module" src="/script.js"></script>');
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
