// The base of the browser's tests: a browser, pages that report their own errors, and the stage (stage_test.go).

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

export const base = process.env.PAGE_URL;

// move moves the stage; with a body, such as SQL.
export async function move(what, body) {
  const r = await fetch(process.env.CONTROL_URL + what, { method: 'POST', body });
  const text = await r.text();
  assert.ok(r.ok, `${what}: ${text}`);
  return JSON.parse(text);
}

export const sql = (text) => move('/sql', text);

// quote writes a value as SQL.
export const quoted = (v) =>
  v === null ? 'null' : typeof v === 'object' ? quoted(JSON.stringify(v)) + '::jsonb' : typeof v === 'number' ? v : `e'${v.replace(/[\\']/g, '\\$&')}'`;

const call = (name, args) =>
  `agentexec.${name}(${Object.entries(args).map(([k, v]) => `${k} => ${quoted(v)}`).join(', ')})`;

// create registers an activity and returns its id.
export async function create(type, message = 'queued', more = {}) {
  const rows = await sql(`select ${call('create_activity', { task_name: type, message, ...more })}::text as id`);
  return rows[0].id;
}

// createMany registers activities one after the other: "number 1", "number 2" and so on.
export const createMany = (type, n) => sql(`select count(agentexec.create_activity('${type}', 'number ' || n)) from generate_series(1, ${n}) n`);

// log appends a line.
export const log = (id, message, more = {}) => sql(`select (${call('append_log', { agent_id: id, message, ...more })}).seq`);

export const finish = (id, how, message) => sql(`select (${call(how, { agent_id: id, message })}).seq`);

// logMany appends "line <seq>" until last is reached.
export const logMany = (id, last) =>
  sql(`select agentexec.append_logs((select jsonb_agg(jsonb_build_object('agent_id', '${id}', 'message', 'line ' || n) order by n)
    from agentexec.activity a, generate_series(a.last_seq + 1, ${last}) n where a.agent_id = '${id}'))`);

export const statusOf = async (id) => (await sql(`select status::text from agentexec.activity where agent_id = '${id}'`))[0].status;

// token is one that `agentexec token` mints.
export const token = (...flags) => move('/token', flags.join(' '));

// eventually tries until it holds.
export async function eventually(check, patience = 20_000) {
  for (const end = Date.now() + patience; ; ) {
    try {
      return await check();
    } catch (e) {
      if (Date.now() > end) throw e;
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }
}

export const scene = (name, play, options) => test(name, { timeout: 120_000, ...options }, play);

let browser;
before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.AGENTEXEC_TEST_CHROMIUM,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
});
after(() => browser?.close());

// open is a page of its own, in a fresh browser context.
export async function open(options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 }, locale: 'en-GB', timezoneId: 'UTC', colorScheme: 'light', reducedMotion: 'reduce', ...options,
  });
  context.setDefaultTimeout(15_000);
  return context.newPage();
}

// play opens the page somewhere, and fails on any error the page itself had; what breaks the content security policy is
// one. Network errors of the API while the sidecar is away do not count.
export async function play(at, act, options = {}) {
  const page = await open(options);
  const errors = [];
  page.on('pageerror', (e) => errors.push(e.stack));
  page.on('console', (m) => {
    const network = /WebSocket connection|Failed to load resource|due to access control/.test(m.text()) && /\/(v1|readyz)\b/.test(`${m.location().url} ${m.text()}`);
    if (['error', 'warning'].includes(m.type()) && !network) errors.push(`${m.text()} ${m.location().url}`);
  });
  try {
    await page.goto(new URL(at, base).href);
    await act(page);
    assert.deepEqual(errors, []);
  } catch (e) {
    if (errors.length) console.error('the page said:', errors);
    await shot(page, 'failed-' + new URL(at, base).pathname.slice(0, 60).replaceAll(/\W/g, '-')).catch(() => {});
    throw e;
  } finally {
    await page.context().close();
  }
}

// shot leaves a picture of the page, where the person running this asked for pictures.
export async function shot(page, name) {
  if (!process.env.SCREENSHOTS) return;
  await page.waitForTimeout(350); // what moves has come to rest
  await page.screenshot({ path: path.join(process.env.SCREENSHOTS, name + '.png') });
}

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// state is one that the page can be in: it leaves a picture of it, light and dark, and axe finds nothing to object to in
// either. The dark page differs in its colours alone.
export async function state(page, name) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe);
  for (const [colorScheme, rules, suffix] of [['light', undefined, ''], ['dark', ['color-contrast'], '-dark']]) {
    await page.emulateMedia({ colorScheme });
    const found = await page.evaluate(async (rules) => {
      const { violations } = await window.axe.run(document, { resultTypes: ['violations'], ...(rules && { runOnly: rules }) });
      return violations.map((v) => `${v.id}: ${v.help}\n${v.nodes.map((n) => `  ${n.target}: ${n.failureSummary}`).join('\n')}`);
    }, rules);
    assert.deepEqual(found, [], `axe, in the state ${name}, ${colorScheme}`);
    await shot(page, name + suffix);
  }
  await page.emulateMedia({ colorScheme: null });
}
