// What the browser's tests stand on: a browser, pages that report their own errors, and the stage (browser_test.go).

import assert from 'node:assert/strict';
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
const quote = (v) =>
  v === null ? 'null' : typeof v === 'object' ? quote(JSON.stringify(v)) + '::jsonb' : typeof v === 'number' ? v : `e'${v.replace(/[\\']/g, '\\$&')}'`;

const call = (name, args) =>
  `agentexec.${name}(${Object.entries(args).map(([k, v]) => `${k} => ${quote(v)}`).join(', ')})`;

// create registers an activity and returns its id.
export async function create(type, message = 'queued', more = {}) {
  const rows = await sql(`select ${call('create_activity', { task_name: type, message, ...more })}::text as id`);
  return rows[0].id;
}

// log appends a line.
export const log = (id, message, more = {}) => sql(`select (${call('append_log', { agent_id: id, message, ...more })}).seq`);

export const finish = (id, how, message) => sql(`select (${call(how, { agent_id: id, message })}).seq`);

// logMany appends "line <seq>" until last is reached.
export const logMany = (id, last) =>
  sql(`select agentexec.append_logs((select jsonb_agg(jsonb_build_object('agent_id', '${id}', 'message', 'line ' || n) order by n)
    from agentexec.activity a, generate_series(a.last_seq + 1, ${last}) n where a.agent_id = '${id}'))`);

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

export const scene = (name, play) => test(name, { timeout: 120_000 }, play);

let browser;
before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.AGENTEXEC_TEST_CHROMIUM,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
});
after(() => browser?.close());

// play opens a page, and fails on any error the page itself had. What the network had to say while the sidecar was
// away is no error of the page.
export async function play(at, act, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 }, locale: 'en-GB', timezoneId: 'UTC', colorScheme: 'light', ...options,
  });
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (e) => errors.push(e.stack));
  page.on('console', (m) => {
    if (['error', 'warning'].includes(m.type()) && !/WebSocket connection|Failed to load resource/.test(m.text())) errors.push(m.text());
  });
  try {
    await page.goto(new URL(at, base).href);
    await act(page);
    assert.deepEqual(errors, []);
  } catch (e) {
    await shot(page, 'failed-' + at.replaceAll(/\W/g, '-'));
    throw e;
  } finally {
    await context.close();
  }
}

// shot leaves a picture of the page, where the person running this asked for pictures.
export async function shot(page, name) {
  if (!process.env.SCREENSHOTS) return;
  await page.waitForTimeout(350); // what moves has come to rest
  await page.screenshot({ path: path.join(process.env.SCREENSHOTS, name + '.png') });
}

// What is on screen.
export const text = (page, selector) => page.locator(selector).innerText();
export const seqs = (page) => page.$$eval('.log .line', (lines) => lines.map((l) => Number(l.dataset.seq)));
export const messages = (page) => page.$$eval('.log .line .text', (lines) => lines.map((l) => l.textContent));
export const rows = (page) =>
  page.$$eval('.row', (all) => all.map((r) => ({
    type: r.querySelector('.type').textContent,
    status: r.querySelector('.badge').textContent,
    latest: r.querySelector('.latest').textContent,
    percentage: Number(r.querySelector('.bar').ariaValueNow),
    elapsed: r.querySelector('.elapsed').textContent,
  })));
export const row = async (page, type) => (await rows(page)).find((r) => r.type === type);
export const rowOf = (page, type) => page.locator('.row').filter({ has: page.getByText(type, { exact: true }) });
export const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
export const live = (page) => eventually(async () => assert.equal(await text(page, '#connection'), 'Live'), 60_000);
