import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const css = readFileSync(path.join(root, 'react/src/tokens.css'), 'utf8');

// The first value of each token is the one without a media query.
const tokens = new Map<string, string>();
for (const [, name, value] of css.replace(/\/\*.*?\*\//gs, '').matchAll(/--ax-([\w-]+):\s*([^;}]+)/g)) if (!tokens.has(name!)) tokens.set(name!, value!.trim());

type Scheme = 'light' | 'dark';

function colour(name: string, scheme: Scheme): string {
  const value = tokens.get(name);
  const [, light, dark] = /^light-dark\((#\w+),\s*(#\w+)\)$/.exec(value ?? '') ?? [];
  if (light) return scheme === 'light' ? light : dark!;
  const [, other] = /^var\(--ax-([\w-]+)\)$/.exec(value ?? '') ?? [];
  return other ? colour(other, scheme) : value!;
}

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}

function contrast(a: string, b: string): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high! + 0.05) / (low! + 0.05);
}

const surfaces = ['canvas', 'surface', 'sunken', 'raised', 'hover', 'hover-raised', 'selected'];
const statuses = ['queued', 'running', 'complete', 'error', 'canceled', 'stale', 'waiting', 'stopping'];
const log = ['sunken', 'surface', 'hover', 'error-bg'];

// What stands on what, and the contrast that it needs at least (WCAG 2 AA).
const pairs: [foreground: string, backgrounds: string[], least: number][] = [
  ...['text', 'text-2', 'text-3', 'accent'].map((t): [string, string[], number] => [t, surfaces, 4.5]),
  ...statuses.map((s): [string, string[], number] => [s, [...surfaces, s + '-bg'], 4.5]),
  ...['text', 'text-2'].map((t): [string, string[], number] => [t, statuses.map((s) => s + '-bg'), 4.5]),
  ...['red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'gray'].map((c): [string, string[], number] => ['ansi-' + c, log, 4.5]),
  ['text', ['hit'], 4.5], ['on-hit-now', ['hit-now'], 4.5], ['on-solid', ['solid', 'error'], 4.5], ['on-accent', ['accent'], 4.5],
  ['line-field', ['surface', 'canvas'], 3], ['accent', ['track'], 3],
];

test.each(['light', 'dark'] as const)('text can be read on everything that it stands on, %s', (scheme) => {
  const poor = pairs.flatMap(([foreground, backgrounds, least]) =>
    backgrounds.map((background) => ({ foreground, background, is: contrast(colour(foreground, scheme), colour(background, scheme)), least })).filter(({ is }) => !(is >= least)),
  );
  expect(poor).toEqual([]);
});

test('colours are written in tokens.css alone', () => {
  const written = ['react/src', 'dashboard/src'].flatMap((folder) => readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => path.join(folder, file)))
    .filter((file) => /\.(css|tsx)$/.test(file) && !file.endsWith('tokens.css'))
    .flatMap((file) => readFileSync(path.join(root, file), 'utf8').split('\n').flatMap((line, n) =>
      (line.match(/#[0-9a-f]{3}\b(?![\w-])|#[0-9a-f]{6}\b|\b(rgba?|hsla?|oklch|oklab|color)\(\s*[\d.]/gi) ?? []).map((found) => `${file}:${n + 1}: ${found}`)));
  expect(written).toEqual([]);
});
