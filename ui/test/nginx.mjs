// A real nginx in front of the sidecar, with the settings of docs/deploy/proxies.md.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { base, eventually } from './stage.mjs';

const page = await readFile(new URL('../../docs/deploy/proxies.md', import.meta.url), 'utf8');
const documented = /```nginx\n(.*?)```/s.exec(page)[1];

// replaced replaces what must be there.
function replaced(text, what, by) {
  if (!text.includes(what)) throw new Error(`docs/deploy/proxies.md: the nginx settings have no ${what}`);
  return text.replaceAll(what, by);
}

// settings are those of the documentation, for another prefix, address and port.
function settings({ port, prefix, to, strip, sockets, files }) {
  let conf = replaced(documented, 'listen 80;', `listen 127.0.0.1:${port};`);
  if (!strip || !prefix) conf = replaced(conf, 'proxy_set_header X-Forwarded-Prefix /agentexec;', '');
  conf = replaced(conf, 'http://127.0.0.1:8484/', to + (strip ? '/' : ''));
  if (!sockets) conf = replaced(conf, 'proxy_http_version 1.1;', 'proxy_http_version 1.1; if ($http_upgrade) { return 403; }');
  if (!prefix || !strip) conf = conf.replace(/location = \/agentexec \{[^}]*\}/, '');
  if (!strip) conf = conf.replace('location /agentexec/ {', 'location ~ ^/agentexec(/|$) {');
  if (!prefix) return withFiles(conf.replaceAll('/agentexec', ''), files);
  return withFiles(conf.replace('server {', 'server {\n    location / { return 404; }').replaceAll('/agentexec', prefix), files);
}

const withFiles = (conf, files) =>
  files ? conf.replace('server {', `server {\n    location /files/ { alias ${files}/; types { text/html html; text/javascript js; } }`) : conf;

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * Starts nginx. It serves the sidecar at `to` below `prefix`, which it removes or, with `strip: false`, leaves; with
 * `sockets: false` it refuses WebSockets. It serves a folder of `files` at /files/. `strays` returns the requests that were
 * not below the prefix.
 */
export async function nginx({ prefix = '', to = base, strip = true, sockets = true, files } = {}) {
  const port = await freePort();
  const dir = await mkdtemp(path.join(tmpdir(), 'agentexec-nginx-'));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`).join(' ');
  await writeFile(path.join(dir, 'nginx.conf'), `
daemon off; master_process off; pid ${dir}/pid; error_log stderr warn;
events { worker_connections 1024; }
http {
  ${temporary}
  log_format asked '$request_uri'; access_log ${dir}/asked asked;
  ${settings({ port, prefix, to, strip, sockets, files })}
}`);
  const child = spawn('nginx', ['-p', dir, '-c', path.join(dir, 'nginx.conf')], { stdio: ['ignore', 'inherit', 'inherit'] });
  const end = () => child.kill();
  process.once('exit', end); // a scene that ran out of time closes nothing
  const ended = once(child, 'exit');
  let failed;
  ended.then(([code]) => (failed = `nginx ended with ${code}`), (e) => (failed = String(e)));
  await eventually(async () => {
    if (failed) throw new Error(failed);
    const socket = net.connect(port, '127.0.0.1');
    await once(socket, 'connect').finally(() => socket.destroy());
  });
  const isBelow = (uri) => uri.startsWith(prefix) && /^($|[/?])/.test(uri.slice(prefix.length));
  return {
    origin: `http://127.0.0.1:${port}`,
    url: `http://127.0.0.1:${port}${prefix}`,
    strays: async () => (await readFile(path.join(dir, 'asked'), 'utf8')).split('\n').filter((uri) => uri && !isBelow(uri)),
    close: async () => {
      end();
      process.off('exit', end);
      await ended;
      await rm(dir, { recursive: true });
    },
  };
}
