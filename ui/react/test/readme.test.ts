// @vitest-environment node
//
// The instructions in the READMEs of the packages work: both are built, packed and installed as they say, and every
// piece of TypeScript in them is complete and passes the type checker against what was installed.

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ui = fileURLToPath(new URL('../..', import.meta.url));
const readmes = ['client/README.md', 'react/README.md'];
const run = async (dir: string, command: string, ...args: string[]) => {
  const { stdout } = await promisify(execFile)(command, args, { cwd: dir }).catch((e: Error & { stdout: string }) => Promise.reject(new Error(e.message + e.stdout)));
  return stdout;
};

/** The blocks of code in a language, without the marks around them. */
const blocks = (text: string, language: string) => [...text.matchAll(new RegExp('^```' + language + '\\n([^]*?)^```$', 'gm'))].map((m) => m[1]!);

let project = '';
beforeAll(async () => {
  project = await mkdtemp(path.join(tmpdir(), 'agentexec-'));
  await run(ui, 'npm', 'run', '--silent', 'build', '-w', 'client', '-w', 'react');
  await run(ui, 'npm', 'run', '--silent', 'pack');
  await symlink(path.dirname(ui.replace(/\/$/, '')), path.join(project, 'agentexec')); // where the READMEs expect it
  await writeFile(path.join(project, 'package.json'), '{"private": true, "type": "module"}');
});
afterAll(() => rm(project, { recursive: true }));

test('the packages install as the READMEs say', async () => {
  const lines = (await Promise.all(readmes.map((name) => readFile(ui + name, 'utf8')))).flatMap((text) => blocks(text, 'sh').join('').split('\n'));
  expect(lines.filter((line) => line.startsWith('make'))).toEqual(Array(2).fill(expect.stringMatching(/^make -C agentexec ui( |$)/)));
  const installs = lines.filter((line) => line.startsWith('npm install '));
  expect(installs).toHaveLength(2);
  // React itself is the user's. What else is needed npm has kept since ui/ was installed.
  for (const line of installs) await run(project, 'npm', ...line.split(' ').slice(1), '--prefer-offline', '--legacy-peer-deps', '--no-audit', '--no-fund');
  const { dependencies } = JSON.parse(await readFile(path.join(project, 'package.json'), 'utf8')) as { dependencies: object };
  expect(Object.keys(dependencies)).toEqual(['@agentexec/client', '@agentexec/react']);

  const modules = path.join(project, 'node_modules');
  await mkdir(path.join(modules, '@types'), { recursive: true });
  for (const name of ['react', '@types/react', '@types/node', 'undici-types', 'csstype']) await symlink(path.join(ui, 'node_modules', name), path.join(modules, name));
  let files = 0;
  for (const name of readmes) {
    for (const language of ['ts', 'tsx']) {
      for (const code of blocks(await readFile(ui + name, 'utf8'), language)) await writeFile(path.join(project, `snippet${++files}.${language}`), code);
    }
  }
  expect(files).toBe(4);
  const options = ['--strict', '--noEmit', '--target', 'es2022', '--module', 'esnext', '--moduleResolution', 'bundler', '--jsx', 'react-jsx', '--lib', 'es2023,dom,dom.iterable,dom.asynciterable'];
  await run(project, path.join(ui, 'node_modules/.bin/tsc'), ...options, ...Array.from({ length: files }, (_, n) => `snippet${n + 1}.${n + 2 < files ? 'ts' : 'tsx'}`));
});
