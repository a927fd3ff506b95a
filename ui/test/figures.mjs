// The figures of the dashboard, measured in Chromium over the real binary and a real Postgres, all on this machine:
// figures.sh runs this. MINUTES is how long the list is watched under load.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { base, create, createMany, eventually, open, sql } from './stage.mjs';
import { lineCount, live, text } from './screen.mjs';

const minutes = Number(process.env.MINUTES ?? 2);
const figures = [];
const note = (what, figure) => void (figures.push([what, figure]), console.log(`${what}: ${figure}`));
after(() => console.log('\n' + figures.map(([what, figure]) => `| ${what} | ${figure} |`).join('\n') + '\n'));

const sorted = (numbers) => numbers.toSorted((a, b) => a - b);
const at = (numbers, share) => sorted(numbers)[Math.min(numbers.length - 1, Math.floor(numbers.length * share))];
const ms = (n) => `${n.toFixed(n < 10 ? 1 : 0)} ms`;
const mib = (n) => `${(n / 2 ** 20).toFixed(1)} MiB`;
const frames = (gaps) => {
  const seconds = gaps.reduce((a, b) => a + b, 0) / 1000;
  return `${(gaps.length / seconds).toFixed(0)} frames/s; a frame takes ${ms(at(gaps, 0.5))} (median), ${ms(at(gaps, 0.95))} (95%), ${ms(Math.max(...gaps))} (longest)`;
};

// framesWhile has the page note how long each frame takes while something goes on.
async function framesWhile(page, act) {
  await page.evaluate(() => {
    window.gaps = [];
    let before = performance.now();
    const look = (now) => {
      window.gaps?.push(now - before);
      before = now;
      if (window.gaps) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  await act();
  return page.evaluate(() => {
    const { gaps } = window;
    window.gaps = undefined;
    return gaps.slice(2);
  });
}

// scrolled goes through a box, so many px a frame.
const scrolled = (page, selector, step, most) =>
  page.evaluate(async ([selector, step, most]) => {
    const box = document.querySelector(selector);
    for (let n = 0; n < most; n++) {
      box.scrollTop += step;
      await new Promise((go) => requestAnimationFrame(go));
    }
  }, [selector, step, most]);

// load appends lines to activities, so many a second in tenths of it, for so many seconds; returns how many it were.
async function load(ids, rate, seconds) {
  let written = 0;
  const start = Date.now();
  for (let n = 0; Date.now() - start < seconds * 1000; n++) {
    const entries = Array.from({ length: rate / 10 }, (_, i) => ({
      agent_id: ids[(written + i) % ids.length], message: `step ${written + i}`, percentage: (written + i) % 101,
    }));
    await sql(`select agentexec.append_logs('${JSON.stringify(entries)}'::jsonb)`);
    written += entries.length;
    const due = start + (n + 1) * 100 - Date.now();
    if (due > 0) await new Promise((go) => setTimeout(go, due));
  }
  return written / ((Date.now() - start) / 1000);
}

async function heapOf(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  await session.detach();
  return usedSize;
}

// running are activities at work.
async function running(n) {
  const ids = (await sql(`select agentexec.create_activity('worker', 'number ' || n)::text as id from generate_series(1, ${n}) n`)).map((r) => r.id);
  await sql(`select agentexec.append_logs('${JSON.stringify(ids.map((agent_id) => ({ agent_id, message: 'at work', status: 'RUNNING', percentage: 1 })))}'::jsonb)`);
  return ids;
}

async function visit(path, act) {
  const page = await open();
  try {
    await page.goto(base + path);
    await act(page);
  } finally {
    await page.context().close();
  }
}

let ids;
test('the first paint with data', async () => {
  ids = await running(200);
  await createMany('waiting', 300);
  for (const [what, path, selector] of [['list', '/activities', '.row'], ['one activity', '/activities/' + ids[0], '.ax-line']]) {
    const visits = { 'nothing cached': [], 'the second time': [] };
    for (let n = 0; n < 20; n++) {
      const page = await open();
      await page.addInitScript((selector) => {
        new MutationObserver((_, observer) => {
          if (!document.querySelector(selector)) return;
          observer.disconnect();
          requestAnimationFrame(() => setTimeout(() => (window.painted = performance.now())));
        }).observe(document, { childList: true, subtree: true });
      }, selector);
      for (const times of Object.values(visits)) {
        await page.goto('about:blank');
        await page.goto(base + path);
        await page.waitForFunction(() => window.painted);
        times.push(await page.evaluate(() => window.painted));
      }
      await page.context().close();
    }
    for (const [which, times] of Object.entries(visits)) {
      note(`First paint with data, ${what}, ${which}`, `${ms(at(times, 0.5))} (median of 20), ${ms(at(times, 0.95))} (95%)`);
    }
  }
});

test('many list changes a second', () =>
  visit('/activities', async (page) => {
    await page.addInitScript(() => {
      window.changes = 0;
      window.WebSocket = class extends WebSocket {
        constructor(...all) {
          super(...all);
          this.addEventListener('message', ({ data }) => (window.changes += data.split('"agent_id"').length - 1));
        }
      };
    });
    await page.reload();
    await live(page);
    await load(ids, 1000, 5); // what there is to compile is compiled
    const heap = [await heapOf(page)];
    let rate = [];
    const before = await page.evaluate(() => window.changes);
    const gaps = await framesWhile(page, async () => {
      for (let n = 0; n < minutes; n++) {
        rate.push(await load(ids, 1000, 60));
        heap.push(await heapOf(page));
      }
    });
    const changes = ((await page.evaluate(() => window.changes)) - before) / (minutes * 60);
    note(`List under load, ${minutes} min`, `${at(rate, 0.5).toFixed(0)} lines/s written, ${changes.toFixed(0)} changes/s received; ${frames(gaps)}`);
    note('Its heap after each minute', heap.map(mib).join(', '));
  }));

test('100,000 rows', async () => {
  for (let n = 0; n < 10; n++) await createMany('row', 10_000 - (n === 0 ? 500 : 0));
  await visit('/activities', async (page) => {
    await live(page);
    const start = Date.now();
    await page.evaluate(async () => {
      const box = document.querySelector('.list');
      while (box.scrollHeight < 99_990 * 36) {
        box.scrollTop = box.scrollHeight;
        await new Promise((go) => requestAnimationFrame(go));
      }
    });
    note('100,000 rows, read to the last', `${((Date.now() - start) / 1000).toFixed(0)} s; heap ${mib(await heapOf(page))}`);
    await page.evaluate(() => (document.querySelector('.list').scrollTop = 0));
    note('... scrolled fast (10,000 px a frame)', frames(await framesWhile(page, () => scrolled(page, '.list', 10_000, 350))));
    note('... scrolled slowly (100 px a frame)', frames(await framesWhile(page, () => scrolled(page, '.list', -100, 600))));
    note('... in the middle, under 1,000 changes/s', frames(await framesWhile(page, () => load(ids, 1000, 20))));
    await page.evaluate(() => (document.querySelector('.list').scrollTop = 0));
    note('... at the top, under 1,000 changes/s', frames(await framesWhile(page, () => load(ids, 1000, 20))));
  });
});

test('100,000 lines', async () => {
  const id = await create('long');
  for (let n = 0; n < 20; n++) {
    await sql(`select agentexec.append_logs((select jsonb_agg(jsonb_build_object('agent_id', '${id}', 'message', 'line ' || n || case when n % 7 = 0 then repeat(' and more', 40) else '' end, 'percentage', n % 101) order by n)
      from generate_series(1, 5000) n))`);
  }
  const shown = [];
  for (let n = 0; n < 10; n++) {
    const page = await open();
    await page.addInitScript(() => {
      new MutationObserver((_, observer) => {
        if (!document.querySelector('.ax-line[data-seq="100001"] .ax-message')) return;
        observer.disconnect();
        requestAnimationFrame(() => setTimeout(() => (window.painted = performance.now())));
      }).observe(document, { childList: true, subtree: true });
    });
    await page.goto(base + '/activities/' + id);
    await page.waitForFunction(() => window.painted);
    shown.push(await page.evaluate(() => window.painted));
    await page.context().close();
  }
  note('100,000 lines, the end is shown after', `${ms(at(shown, 0.5))} (median of 10), ${ms(Math.max(...shown))} (longest)`);
  await visit('/activities/' + id, async (page) => {
    await eventually(async () => assert.equal(await lineCount(page), '100,001'), 120_000);
    await page.evaluate(() => (document.querySelector('.ax-log').scrollTop = 0));
    note('... scrolled fast (5,000 px a frame)', frames(await framesWhile(page, () => scrolled(page, '.ax-log', 5_000, 550))));
    note('... scrolled slowly (100 px a frame)', frames(await framesWhile(page, () => scrolled(page, '.ax-log', -100, 600))));
    note('... while 1,000 lines/s come, read in the middle', frames(await framesWhile(page, () => load([id], 1000, 15))));
    await page.locator('.ax-follow').click();
    note('... and followed', frames(await framesWhile(page, () => load([id], 1000, 15))));
    const searched = await framesWhile(page, async () => {
      await page.getByLabel('Search the log').fill('line 4321');
      await page.locator('.ax-line mark').first().waitFor();
      await eventually(async () => assert.doesNotMatch(await text(page, '.ax-find-count'), /searched/), 60_000);
    });
    note('... searched', `longest frame ${ms(Math.max(...searched))}`);
  });
});
