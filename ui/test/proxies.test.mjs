// The settings of docs/deploy/proxies.md for every proxy that it names: the page, the API and WebSockets, at / and below a
// prefix. prefix.test.mjs has more of the page behind nginx.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { caddy } from './caddy.mjs';
import { missing, through } from './documented.mjs';
import { haproxy } from './haproxy.mjs';
import { nginx } from './nginx.mjs';
import { create, eventually, log, move, play, scene } from './stage.mjs';
import { live, row, rowOf, shows } from './screen.mjs';

// request begins a request to a proxy.
function request(p, { headers, ...options }) {
  const { protocol, host } = new URL(p.url);
  return (protocol === 'https:' ? https : http).request({
    host: '127.0.0.1', port: p.port, headers: { host, ...headers }, agent: false, rejectUnauthorized: false, ...options,
  });
}

// ask sends a request through a proxy and returns the answer, whose body is not read.
async function ask(p, path, { method = 'GET', headers, body, ...options } = {}) {
  const req = request(p, { path, method, headers, ...options });
  req.end(body);
  const [res] = await once(req, 'response');
  return { status: res.statusCode, headers: res.headers, res, req };
}

async function bodyOf({ res }) {
  let text = '';
  for await (const chunk of res.setEncoding('utf8')) text += chunk;
  return text;
}

// register creates an activity through a proxy and returns the path it is told.
async function register(p, prefix, headers) {
  const answer = await ask(p, prefix + '/v1/activities', {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: '{"task_name": "linked"}',
  });
  assert.equal(answer.status, 201);
  answer.req.destroy();
  return answer.headers.location;
}

// upgraded opens a WebSocket through a proxy and returns its subprotocol.
async function upgraded(p, prefix) {
  const req = request(p, {
    path: prefix + '/v1/feed',
    headers: {
      origin: p.origin, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': 13,
      'sec-websocket-key': 'MDEyMzQ1Njc4OWFiY2RlZg==', 'sec-websocket-protocol': 'agentexec.v1',
    },
  }).end();
  const [res, socket] = await once(req, 'upgrade');
  socket.destroy();
  return res.headers['sec-websocket-protocol'];
}

// inPlace serves streams in place of the sidecar while act runs with its address and what tells of a request.
async function inPlace(act) {
  const server = http.createServer((req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' }).write('event: snapshot\ndata: {}\n\n');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  try {
    await act(`http://127.0.0.1:${server.address().port}`, once(server, 'request'));
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const behind = await move('/behind', '/agentexec');
const trusting = await move('/behind', '');
const ways = {
  'at /': { prefix: '', to: trusting },
  'below a prefix that is removed': { prefix: '/agentexec', to: trusting },
  'below a prefix that is left': { prefix: '/agentexec', strip: false, to: behind },
};
const proxies = { nginx, haproxy, caddy };

for (const [program, start] of Object.entries(proxies)) {
  const skip = missing(program);

  for (const [where, options] of Object.entries(ways)) {
    const { prefix } = options;
    const name = program + prefix + where.replaceAll(' ', '-');

    // prefix.test.mjs has the page behind nginx. A prefix that is left is no different to the page.
    if (start !== nginx && options.strip !== false) scene(`${program}: the page is live through a WebSocket, ${where}`, () =>
      through(start, options, async (p) => {
        const id = await create(name, 'line 1');
        await play(`${p.url}/activities`, async (page) => {
          const opened = [];
          page.on('websocket', (socket) => socket.on('framereceived', () => opened.push(new URL(socket.url()).pathname)));
          await page.reload();
          await live(page);
          await eventually(async () => assert.ok(await row(page, name)));
          await rowOf(page, name).locator('a.type').click();
          await shows(page, 'line 1');
          await log(id, 'line 2', { status: 'RUNNING' });
          await shows(page, 'line 1', 'line 2');
          assert.equal(opened[0], prefix + '/v1/feed');
        }, { ignoreHTTPSErrors: true });
      }), { skip });

    scene(`${program}: WebSockets get through and links name the prefix, ${where}`, () =>
      through(start, options, async (p) => {
        assert.equal(await upgraded(p, prefix), 'agentexec.v1');
        const id = '[0-9a-f-]{36}$';
        assert.match(await register(p, prefix, { origin: p.origin }), new RegExp(`^${prefix}/v1/activities/${id}`));
        assert.match(await register(p, prefix, { 'x-forwarded-prefix': '/claimed' }), new RegExp(`^${prefix}/v1/`), 'a client cannot name a prefix');
        const openapi = await ask(p, prefix + '/openapi.json');
        assert.deepEqual(JSON.parse(await bodyOf(openapi)).servers, prefix ? [{ url: prefix }] : undefined);
        if (!prefix) return;
        for (const query of ['', '?status=ERROR&q=/agentexec']) {
          const bare = await ask(p, prefix + query);
          assert.ok([307, 308].includes(bare.status));
          assert.equal(bare.headers.location, prefix + '/' + query);
        }
      }), { skip });
  }

  if (start !== nginx) scene(`${program}: without WebSockets the page is live`, () =>
    through(start, { prefix: '/agentexec', to: trusting, sockets: false }, async (p) => {
      const id = await create(program + '-polled', 'line 1');
      await play(`${p.url}/activities/${id}`, async (page) => {
        await live(page);
        await log(id, 'line 2');
        await shows(page, 'line 1', 'line 2');
      }, { ignoreHTTPSErrors: true });
    }), { skip });

  scene(`${program}: the sidecar is told the host, the prefix and the client, and a stream ends with its client`, () =>
    inPlace((to, asked) =>
      through(start, { prefix: '/agentexec', to }, async (p) => {
        const { res, req } = await ask(p, '/agentexec/v1/feed/1?after_seq=0', {
          headers: { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-prefix': '/claimed' },
        });
        const [{ url, headers }, stream] = await asked;
        assert.equal(url, '/v1/feed/1?after_seq=0');
        assert.equal(headers.host, new URL(p.url).host);
        assert.equal(headers['x-forwarded-prefix'], '/agentexec');
        assert.equal(headers['x-forwarded-for'].split(', ').at(-1), '127.0.0.1');
        assert.equal(String((await once(res, 'data'))[0]), 'event: snapshot\ndata: {}\n\n');
        req.destroy();
        // HAProxy takes it for a client that only listens, until it has something to send to it.
        if (start !== haproxy) await eventually(() => assert.ok(stream.destroyed));
      })), { skip });
}
