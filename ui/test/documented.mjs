// What runs a real proxy in front of the sidecar with the settings of docs/deploy/proxies.md.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, closeSync, constants, openSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { eventually } from './stage.mjs';

const page = await readFile(new URL('../../docs/deploy/proxies.md', import.meta.url), 'utf8');

// documented returns the settings for a proxy, which the page has in a block of that language.
export const documented = (language) => new RegExp('```' + language + '\\n(.*?)```', 's').exec(page)[1];

// replaced replaces what must be there.
export function replaced(text, what, by) {
  if (!text.includes(what)) throw new Error(`docs/deploy/proxies.md: the settings have no ${what}`);
  return text.replaceAll(what, by);
}

// missing returns why a program cannot run, or false.
export const missing = (program) =>
  !process.env.PATH.split(path.delimiter).some((dir) => {
    try {
      accessSync(path.join(dir, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  }) && `no ${program} on this machine`;

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * Starts a program with the settings that `settings` makes of a free port and an empty folder; `args` are its arguments for the
 * file with the settings. What it prints goes to the file `asked` of the folder; what it says of itself is shown, or with `quiet`
 * only where it does not run. `requested` reads the paths of requests from `asked`; `strays` returns those that are not below the prefix.
 */
export async function run(program, { prefix, scheme = 'http', host = '127.0.0.1', settings, args, requested, quiet }) {
  const port = await freePort();
  const dir = await mkdtemp(path.join(tmpdir(), `agentexec-${program}-`));
  const [file, asked, said] = ['settings', 'asked', 'said'].map((name) => path.join(dir, name));
  await writeFile(file, settings(port, dir));
  const [out, err] = [openSync(asked, 'a'), openSync(said, 'a')];
  const child = spawn(program, args(file, dir), {
    stdio: ['ignore', out, quiet ? err : 'inherit'], env: { ...process.env, HOME: dir, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir },
  });
  [out, err].forEach(closeSync);
  const end = () => child.kill('SIGKILL'); // Caddy would wait for its requests
  process.once('exit', end); // a scene that ran out of time closes nothing
  const ended = once(child, 'exit');
  let failed;
  ended.then(([code]) => (failed = `${program} ended with ${code}`), (e) => (failed = String(e)));
  await eventually(async () => {
    if (failed) throw new Error(`${failed} ${await readFile(said, 'utf8')}`);
    const secure = scheme === 'https'; // then it is ready when it has a certificate
    const socket = secure ? tls.connect({ host: '127.0.0.1', port, servername: host, rejectUnauthorized: false }) : net.connect(port, '127.0.0.1');
    await once(socket, secure ? 'secureConnect' : 'connect').finally(() => socket.destroy());
  });
  const isBelow = (uri) => uri.startsWith(prefix) && /^($|[/?])/.test(uri.slice(prefix.length));
  const origin = `${scheme}://${host}:${port}`;
  return {
    port,
    origin,
    url: origin + prefix,
    async strays() {
      const all = requested((await readFile(asked, 'utf8')).split('\n').filter(Boolean));
      if (!all.length) throw new Error(`${program} has noted no request`);
      return all.filter((uri) => !isBelow(uri));
    },
    close: async () => {
      end();
      process.off('exit', end);
      await ended;
      await rm(dir, { recursive: true });
    },
  };
}

// through serves a sidecar behind a proxy while act runs; no request may leave the prefix. start is nginx, haproxy or caddy.
export async function through(start, options, act) {
  const p = await start(options);
  try {
    await act(p);
    assert.deepEqual(await p.strays(), [], 'every request lies below the prefix');
  } finally {
    await p.close();
  }
}
