// A Node process that is done with the client ends at once: nothing of the client keeps it alive. Real processes, and the
// sidecar of ../../stage_test.go.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Rolldown } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createClient } from '../src/index.ts';

const url = process.env['PAGE_URL']!;
const MOST = 20_000; // ms from the last statement of the program to its end; what used to hold it up took 45 s

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'agentexec-'));
  const input = fileURLToPath(new URL('../src/index.ts', import.meta.url));
  const { output } = (await build({
    configFile: false, logLevel: 'error', build: { write: false, target: 'es2022', rolldownOptions: { input, preserveEntrySignatures: 'strict' } },
  })) as Rolldown.RolldownOutput;
  await writeFile(path.join(folder, 'client.mjs'), output[0].code);
  await symlink(fileURLToPath(new URL('../../node_modules', import.meta.url)), path.join(folder, 'node_modules'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs a program, and returns what it printed before its last statement and how long it then went on, in milliseconds. */
async function run(transport: string, id: string, program: string): Promise<{ said: string; lasted: number }> {
  const file = path.join(folder, `program${Math.random()}.mjs`);
  await writeFile(file, `
    import { createClient } from './client.mjs';
    import { WebSocket } from 'ws';
    const client = createClient({ url: '${url}', WebSocket: ${transport === 'http' ? 'null' : 'WebSocket'} });
    const id = '${id}';
    ${program}
    console.log('done');
  `);
  const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  let done = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    if (said.endsWith('done\n')) done = Date.now();
  });
  const late = setTimeout(() => child.kill(), 60_000);
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  clearTimeout(late);
  expect([said.endsWith('done\n'), code, signal], said).toEqual([true, 0, null]);
  return { said, lasted: Date.now() - done };
}

const programs: Record<string, string> = {
  'a loop that is left at the end': `for await (const e of client.watchActivity(id)) { console.log(e.type); if (e.type === 'end') break; }`,
  'a loop that is left in the middle': `for await (const e of client.watchActivity(id)) break;`,
  'a loop that is aborted': `
    const abort = new AbortController();
    for await (const e of client.watchActivity(id, { signal: abort.signal })) if (e.type === 'end') abort.abort();`,
  'a callback that is stopped': `await new Promise((go) => { const stop = client.watchActivity(id, {}, (e) => e.type === 'end' && (stop(), go())); });`,
  'a list': `for await (const e of client.watchList({ limit: 1 })) break;`,
  'a client that is closed': `await new Promise((go) => client.watchActivity(id, {}, (e) => e.type === 'end' && go())); client.close();`,
  'an unknown activity': `try { for await (const e of client.watchActivity('00000000-0000-4000-8000-000000000000')); } catch (e) { console.log(e.code); }`,
};

for (const transport of ['http', 'websocket']) {
  for (const state of ['finished', 'running']) {
    test(`a process ends when it is done with a ${state} activity, over ${transport}`, async () => {
      const client = createClient({ url });
      const id = await client.create('leaves');
      await client.log(id, 'line 2', { status: 'RUNNING' });
      if (state === 'finished') await client.complete(id);
      const chosen = Object.entries(programs).filter(([, program]) => state === 'finished' || !program.includes("'end'"));
      const results = await Promise.all(chosen.map(async ([name, program]) => [name, await run(transport, id, program)] as const));
      for (const [name, { lasted }] of results) expect(lasted, name).toBeLessThan(MOST);
    });
  }
}
