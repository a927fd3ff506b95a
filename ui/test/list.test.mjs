// The list: live, in groups, never moving what is read, and as long as there are activities.

import assert from 'node:assert/strict';
import { create, createMany, eventually, finish, log, play, scene, sql, state } from './stage.mjs';
import { counts, groups, live, places, row, rowOf, rows, text, types } from './screen.mjs';

// readToTheEnd scrolls through a list of n rows, as Page Down does, and returns the ids that were drawn, by place.
async function readToTheEnd(page, n) {
  await eventually(async () => assert.ok((await rows(page)).length > 5));
  return page.evaluate(async (n) => {
    const box = document.querySelector('.list');
    const seen = new Map();
    const frame = () => new Promise((go) => requestAnimationFrame(go));
    for (const end = Date.now() + 90_000; Date.now() < end; ) {
      for (const place of document.querySelectorAll('.place[aria-posinset]')) seen.set(Number(place.ariaPosInSet), place.querySelector('.row').dataset.id);
      if (seen.has(n)) break;
      const last = [...document.querySelectorAll('.place')].at(-1);
      if (last.getBoundingClientRect().bottom >= box.getBoundingClientRect().bottom - 1) box.scrollTop += box.clientHeight / 2;
      await frame();
    }
    return [...seen].sort(([a], [b]) => a - b).map(([, id]) => id);
  }, n);
}

// first of all: the list is empty only once
scene('an empty list says how to fill it', () =>
  play('/', async (page) => {
    await live(page);
    await eventually(async () => assert.match(await text(page, '#nothing'), /No activities yet[^]*psql[^]*agentexec\.create_activity\(/));
    await state(page, 'empty');
    const command = await page.locator('#nothing pre').textContent();
    await sql(command.match(/"(select [^]*)"/)[1]);
    await eventually(async () => assert.equal((await rows(page)).length, 1));
    assert.equal(await page.locator('#nothing').count(), 0);
  }));

scene('the list is live, in groups and counted', () =>
  play('/', async (page) => {
    await live(page);
    const first = await create('first', 'waiting for a worker');
    await create('second');
    await eventually(async () => assert.deepEqual((await types(page)).slice(0, 2), ['second', 'first']));

    await log(first, 'reading', { status: 'RUNNING', percentage: 20 });
    await eventually(async () => assert.equal((await rows(page))[0].type, 'first', 'what runs comes first'));
    await log(first, 'reading page 7', { percentage: 45 });
    await eventually(async () => {
      const r = await row(page, 'first');
      assert.deepEqual([r.status, r.latest, r.percentage], ['Running', 'reading page 7', 45]);
    });
    const bar = page.locator('.row[data-status=RUNNING] .ax-bar');
    await eventually(async () => {
      const [whole, done] = [await bar.boundingBox(), await bar.locator('.ax-bar-fill').boundingBox()];
      assert.ok(Math.abs(done.width / whole.width - 0.45) < 0.01, 'the bar is drawn at 45%');
    });
    const { elapsed } = await row(page, 'first');
    await eventually(async () => assert.notEqual((await row(page, 'first')).elapsed, elapsed, 'the clock ticks'));
    await eventually(async () => {
      const { ALL, RUNNING, QUEUED, COMPLETE } = await counts(page);
      assert.deepEqual({ ALL, RUNNING, QUEUED, COMPLETE }, { ALL: '3', RUNNING: '1', QUEUED: '2', COMPLETE: '0' });
    });

    const bad = await create('third');
    await finish(bad, 'error', 'the site is gone');
    await eventually(async () => assert.deepEqual(await groups(page), ['Running 1', 'Queued 2', 'Finished 1']));
    await state(page, 'list');
    await finish(first, 'complete', 'all read');
    await eventually(async () => assert.deepEqual((await rows(page)).map((r) => r.status), ['Queued', 'Queued', 'Error', 'Complete']));
    await eventually(async () => assert.deepEqual(await groups(page), ['Queued 2', 'Finished 2']));
    await sql(`delete from agentexec.activity where agent_id = '${bad}'`);
    await create('fourth');
    await eventually(async () => assert.ok(await row(page, 'fourth')));
  }));

scene('new rows do not push away what is read', async () => {
  await createMany('many', 100);
  await play('/', async (page) => {
    await eventually(async () => assert.ok((await rows(page)).length > 5));
    await page.locator('.list').evaluate((e) => (e.scrollTop = 2400));
    const drawn = await eventually(async () => {
      const seen = await places(page);
      assert.ok(seen.length > 5);
      return seen;
    });
    await create('newest');
    const runner = await create('runner');
    await log(runner, 'running', { status: 'RUNNING' });
    await eventually(async () => assert.equal(await text(page, '.list #newer'), '↑ 2 new'));
    assert.deepEqual(await places(page), drawn, 'nothing moves, also not for a group that begins above');
    await state(page, 'pinned');

    // One that is read moves to another group, and leaves those around it where they are.
    const [gone, ...others] = drawn.map(([id]) => id);
    await finish(gone, 'complete', 'done');
    await eventually(async () => assert.ok(!(await places(page)).some(([id]) => id === gone)));
    const now = new Map(await places(page));
    for (const id of others.slice(2, 5)) assert.equal(now.get(id), new Map(drawn).get(id));

    await page.locator('.list #newer').click();
    await eventually(async () => assert.deepEqual((await types(page)).slice(0, 2), ['runner', 'newest']));
    await eventually(async () => assert.equal(await page.locator('.list #newer').count(), 0));
    await finish(runner, 'complete', 'done');
  });
});

scene('what is under the pointer stays there', () =>
  play('/', async (page) => {
    await eventually(async () => assert.ok((await rows(page)).length > 5));
    await page.clock.setFixedTime(Date.now()); // the pointer has only just moved, however slow this machine is
    const target = page.locator('.row').nth(2);
    await target.hover();
    const before = await places(page);
    const type = 'while the pointer rests';
    const id = await create(type);
    await eventually(async () => assert.equal(await text(page, '.list #newer'), '↑ 1 new'));
    assert.deepEqual((await places(page)).slice(0, 5), before.slice(0, 5));
    await page.mouse.move(5, 5);
    await page.locator('.list #newer').click();
    await eventually(async () => assert.equal((await rows(page))[0].id, id));
  }));

scene('a row keeps the focus as it moves', () =>
  play('/', async (page) => {
    await live(page);
    await page.locator('.row').first().focus();
    const focused = () => page.evaluate(() => document.activeElement.dataset.id);
    const id = await focused();
    assert.ok(id);
    await create('pushes it down');
    await eventually(async () => assert.ok(await row(page, 'pushes it down')));
    assert.equal(await focused(), id);
    await log(id, 'runs now', { status: 'RUNNING' });
    await eventually(async () => assert.equal((await rows(page))[0].id, id));
    assert.equal(await focused(), id);
    await page.keyboard.press('Enter');
    await eventually(async () => assert.equal(new URL(page.url()).pathname, '/activities/' + id));
  }));

scene('the list goes on by key to its very end', async () => {
  const n = 2300;
  await createMany('endless', n);
  const expected = (await sql(`select agent_id::text from agentexec.activity where agent_type = 'endless' order by created_at desc, agent_id desc`)).map((r) => r.agent_id);
  await play('/?agent_type=endless', async (page) => {
    await eventually(async () => assert.ok((await rows(page)).length > 5));
    assert.deepEqual(await readToTheEnd(page, n), expected, 'each once, and in order');
    await eventually(async () => assert.equal(await page.locator('.place').last().getAttribute('aria-setsize'), String(n)));
    assert.ok((await page.locator('.row').count()) < 60, 'only what is in sight is in the page');

    // The feed says nothing of rows so far down; they are read again.
    const last = expected.at(-1);
    await log(last, 'it moves, down here', { percentage: 33 });
    await eventually(async () => assert.equal(await page.locator(`.row[data-id="${last}"] .latest`).textContent(), 'it moves, down here'));
    await finish(expected.at(-2), 'cancel', 'no more');
    await eventually(async () => assert.equal(await page.locator(`.row[data-id="${expected.at(-3)}"] ~ .row[data-id="${expected.at(-2)}"]`).count(), 0));
  });
});

scene('activities of one moment are all listed, each in its place', async () => {
  const n = 1000;
  await createMany('tied', n);
  await sql(`update agentexec.activity set created_at = '2026-01-01T00:00:00Z' where agent_type = 'tied'`);
  const expected = (await sql(`select agent_id::text from agentexec.activity where agent_type = 'tied' order by agent_id desc`)).map((r) => r.agent_id);
  await play('/?agent_type=tied', async (page) => {
    assert.deepEqual(await readToTheEnd(page, n), expected, 'each once, and in order');

    // Rows far down are read again and again, and nothing of them changes meanwhile.
    await page.evaluate(() => {
      window.moved = [];
      const note = (changes) => window.moved.push(...changes.map((c) => `${c.type} ${c.attributeName ?? ''} ${c.target.className}`));
      new MutationObserver(note).observe(document.querySelector('.rows'), { subtree: true, childList: true, attributes: true, attributeFilter: ['data-id', 'href', 'aria-posinset', 'style'] });
    });
    for (let read = 0; read < 3; read++) await page.waitForResponse((r) => r.url().includes('page_size=500'), { timeout: 30_000 });
    await live(page);
    assert.deepEqual(await page.evaluate(() => window.moved), []);

    // One that changes is drawn anew where it is.
    await log(expected.at(-1), 'it moves, down here');
    await eventually(async () => assert.equal(await page.locator(`.row[data-id="${expected.at(-1)}"] .latest`).textContent(), 'it moves, down here'));
  });
});

scene('a row is a link that may be opened elsewhere', () =>
  play('/', async (page) => {
    const id = await create('linked');
    await eventually(async () => assert.ok(await row(page, 'linked')));
    const [other] = await Promise.all([page.context().waitForEvent('page'), rowOf(page, 'linked').click({ modifiers: ['ControlOrMeta'] })]);
    assert.equal(new URL(other.url()).pathname, '/activities/' + id);
    assert.equal(new URL(page.url()).pathname, '/');
  }));
