// Readers of the screen.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { eventually } from './stage.mjs';

export const text = (page, selector) => page.locator(selector).innerText();
export const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

export const live = (page) => eventually(async () => assert.equal(await text(page, '#connection'), 'Live'), 60_000);
export const offline = (page) => eventually(async () => assert.match(await text(page, '#connection'), /^Offline since \d\d:\d\d:\d\d/), 60_000);

// rows are those of the list that are drawn.
export const rows = (page) =>
  page.$$eval('.row', (all) => all.map((r) => ({
    id: r.dataset.id,
    group: r.closest('.group').dataset.group,
    type: r.querySelector('.type').textContent,
    status: r.dataset.st,
    latest: r.querySelector('.said').textContent,
    why: r.querySelector('.why')?.textContent ?? '',
    chips: [...r.querySelectorAll('.ax-chip')].map((e) => `${e.querySelector('b').textContent}=${e.lastElementChild.textContent}`),
    percentage: parseInt(r.querySelector('.percent')?.textContent ?? ''),
    attempt: r.querySelector('.attempt')?.textContent ?? '',
    took: r.querySelector('.took')?.textContent ?? '',
  })));
// conditions are what is said of the activity that is open, beside its status.
export const conditions = (page) => page.$$eval('.banner .condition', (all) => all.map((e) => e.textContent));
export const row = async (page, type) => (await rows(page)).find((r) => r.type === type);
export const rowOf = (page, type) => page.locator('.row').filter({ has: page.getByText(type, { exact: true }) });
export const types = async (page) => (await rows(page)).map((r) => r.type);

// groups are the headings of the list that are drawn, each with its count.
export const groups = (page) => page.$$eval('.group h2', (all) => all.map((e) => e.textContent.replace(/\s+/g, ' ').trim()));

// views are the saved views, each with its count.
export const views = (page) => page.$$eval('.views a', (all) => Object.fromEntries(all.map((e) => [e.querySelector('bdi').textContent, e.querySelector('.number')?.textContent ?? ''])));

// search types into the search field, and confirms it.
export async function search(page, text) {
  await page.locator('.find').fill(text);
  await page.locator('.find').press('Enter');
}
// tokens are the filters in the search field.
export const tokens = (page) => page.$$eval('.search .token bdi', (all) => all.map((e) => e.textContent));

// places are the rows of the list that are wholly in sight, and where.
export const places = (page) =>
  page.evaluate(() => {
    const box = document.querySelector('.list').getBoundingClientRect();
    const covered = box.top + ['.titles', '.group-head'].reduce((sum, name) => sum + (document.querySelector(name)?.offsetHeight ?? 0), 0);
    return [...document.querySelectorAll('.row')]
      .map((r) => [r.dataset.id, r.getBoundingClientRect()])
      .filter(([, r]) => r.top >= covered && r.bottom <= box.bottom)
      .map(([id, r]) => [id, r.top]);
  });

// lines are all lines of the log. Only those in sight are in the page, so it is gone through from the beginning, and left
// as it was where it follows.
const lines = (page) =>
  page.evaluate(async () => {
    const box = document.querySelector('.ax-log');
    const all = new Map();
    if (!box) return [];
    const frame = () => new Promise((go) => requestAnimationFrame(go));
    // settled waits until all lines in sight are read and drawn.
    const settled = async () => {
      for (let n = 0; n < 200; n++) {
        await frame();
        if (box.querySelector('[data-loading]')) continue;
        const drawn = [...box.querySelectorAll('.ax-lines > *')].map((e) => e.getBoundingClientRect());
        const [sight, whole] = [box.getBoundingClientRect(), box.querySelector('.ax-lines').getBoundingClientRect()];
        const [top, bottom] = [Math.max(sight.top, whole.top), Math.min(sight.top + box.clientHeight, whole.bottom)];
        if (bottom <= top) return;
        if (drawn.length && Math.min(...drawn.map((r) => r.top)) <= top + 1 && Math.max(...drawn.map((r) => r.bottom)) >= bottom - 1) return;
      }
    };
    const take = () => {
      for (const l of box.querySelectorAll('.ax-line')) if (l.querySelector('.ax-message')) all.set(Number(l.dataset.seq), l.querySelector('.ax-message').textContent);
    };
    await settled();
    take();
    if (box.scrollHeight > box.clientHeight) {
      const follow = () => document.querySelector('.ax-follow');
      const [follows, was] = [follow()?.ariaPressed === 'true', box.scrollTop];
      for (let at = 0; ; at += box.clientHeight / 2) {
        box.scrollTop = at;
        await settled();
        take();
        if (at + box.clientHeight >= box.scrollHeight) break;
      }
      if (!follows) box.scrollTop = was;
      await frame();
      if (follows && follow()?.ariaPressed === 'false') follow().click();
      await settled();
    }
    return [...all].sort(([a], [b]) => a - b);
  });
export const seqs = async (page) => (await lines(page)).map(([seq]) => seq);
export const messages = async (page) => (await lines(page)).map(([, message]) => message);

// shows waits until the log has these messages.
export const shows = (page, ...expected) => eventually(async () => assert.deepEqual(await messages(page), expected));

// lineCount is the number of lines that the tab of the log shows.
export const lineCount = (page) => text(page, '#tab-Log span');
export const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ',');

// downloaded is the log as the page gives it away: the whole of it, also what is not in sight.
export async function downloaded(page) {
  const [download] = await Promise.all([page.waitForEvent('download', { timeout: 60_000 }), page.getByRole('button', { name: 'Download the log' }).click()]);
  return { name: download.suggestedFilename(), text: await readFile(await download.path(), 'utf8') };
}
export const parsed = (text) => text.trimEnd().split('\n').map((line) => JSON.parse(line));

// unbroken has the page look at every frame whether the lines drawn are in order, each once and none left out between
// them; what is found wrong is returned later.
export async function unbroken(page) {
  await page.evaluate(() => {
    window.wrong = [];
    const look = () => {
      const drawn = [...document.querySelectorAll('.ax-line')].map((l) => Number(l.dataset.seq)).sort((a, b) => a - b);
      if (drawn.some((seq, n) => n > 0 && seq !== drawn[n - 1] + 1)) window.wrong.push(drawn.join());
      requestAnimationFrame(look);
    };
    look();
  });
  return () => page.evaluate(() => window.wrong.slice(0, 3));
}
