import { gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { build, type Rolldown } from 'vite';
import { expect, test } from 'vitest';

// sizeOf is what a page that imports the entry downloads, in bytes: bundled, minified, compressed.
async function sizeOf(entry: string): Promise<number> {
  const output = (await build({
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      minify: true,
      target: 'es2022',
      rolldownOptions: { input: fileURLToPath(new URL('../src/' + entry, import.meta.url)), preserveEntrySignatures: 'strict' },
    },
  })) as Rolldown.RolldownOutput;
  expect(output.output).toHaveLength(1);
  return gzipSync(output.output[0].code, { level: 9 }).length;
}

test('the client is at most 10 KB', { timeout: 120_000 }, async () => {
  const size = await sizeOf('index.ts');
  console.log(`index.ts: ${size} bytes gzip`);
  expect(size).toBeLessThanOrEqual(10 * 1024);
});

test('the element is one small file', { timeout: 120_000 }, async () => {
  expect(await sizeOf('element.ts')).toBeLessThanOrEqual(10 * 1024);
});
