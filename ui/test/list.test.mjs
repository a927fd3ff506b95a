// The list: live, in groups, never moving what is read, and as long as there are activities.

import assert from 'node:assert/strict';
import { create, createMany, eventually, finish, log, play, scene, sql, state } from './stage.mjs';
import { groups, live, places, row, rowOf, rows, text, types, views } from './screen.mjs';

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
      if (last.getBoundingClientRect().bottom >= box.getBoundingClientRect().bottom - 1) box.scrollTop += box.clientHeight * 0.9;
      await frame();
    }
    return [...seen].sort(([a], [b]) => a - b).map(([, id]) => id);
  }, n);
}

// first of all: the list is empty only once
scene('an empty list says how to fill it', () =>
  play('/activities', async (page) => {
    await live(page);
    await eventually(async () => assert.match(await text(page, '#nothing'), /No activities yet[^]*psql[^]*agentexec\.create_activity\(/));
    await state(page, 'empty');
    const command = await page.locator('#nothing pre').textContent();
    await sql(command.match(/"(select [^]*)"/)[1]);
    await eventually(async () => assert.equal((await rows(page)).length, 1));
    assert.equal(await page.locator('#nothing').count(), 0);
  }));

scene('the list is live, in groups and counted', () =>
  play('/activities', async (page) => {
    await live(page);
    const first = await create('first', 'waiting for a worker');
    await create('second');
    await eventually(async () => assert.deepEqual((await types(page)).slice(0, 2), ['second', 'first']));

    await log(first, 'reading', { status: 'RUNNING', percentage: 20 });
    await eventually(async () => assert.equal((await rows(page))[0].type, 'first', 'what runs comes first'));
    await log(first, 'reading page 7', { percentage: 45 });
    await eventually(async () => {
      const r = await row(page, 'first');
      assert.deepEqual([r.status, r.latest, r.percentage], ['running', 'reading page 7', 45]);
    });
    const bar = page.locator('.row[data-st=running] .ax-meter');
    await eventually(async () => {
      const [whole, done] = [await bar.boundingBox(), await bar.locator('rect').boundingBox()];
      assert.ok(Math.abs(done.width / whole.width - 0.45) < 0.01, 'the bar is drawn at 45%');
    });
    const { took } = await row(page, 'first');
    await eventually(async () => assert.notEqual((await row(page, 'first')).took, took, 'the clock ticks'));
    await eventually(async () => assert.deepEqual(await views(page), { All: '3', 'Needs me': '0', 'Failed today': '0' }));

    const bad = await create('third');
    await finish(bad, 'error', 'the site is gone');
    await eventually(async () => assert.deepEqual(await groups(page), ['Running 1', 'Queued 2', 'Failed today 1']));
    await state(page, 'list');
    await finish(first, 'complete', 'all read');
    await eventually(async () => assert.deepEqual((await rows(page)).map((r) => r.status), ['queued', 'queued', 'error', 'complete']));
    await eventually(async () => assert.deepEqual(await groups(page), ['Queued 2', 'Failed today 1', 'Finished 1']));
    await sql(`delete from agentexec.activity where agent_id = '${bad}'`);
    await create('fourth');
    await eventually(async () => assert.ok(await row(page, 'fourth')));
  }));

scene('new rows do not push away what is read', async () => {
  await createMany('many', 100);
  await play('/activities', async (page) => {
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

scene('what is under the pointer stays there', async () => {
  const metadata = { pointer: 1 };
  await sql(`select count(agentexec.create_activity('pointed at', 'number ' || n, metadata => '{"pointer": 1}')) from generate_series(1, 40) n`);
  await play('/activities?metadata.pointer=1', async (page) => {
    await eventually(async () => assert.ok((await rows(page)).length > 5));
    await page.clock.setFixedTime(Date.now()); // the pointer has only just moved, however slow this machine is
    const target = page.locator('.row').nth(1);
    await target.hover();
    const before = await places(page);
    const type = 'while the pointer rests';
    const id = await create(type, 'queued', { metadata });
    await eventually(async () => assert.equal(await text(page, '.list #newer'), '↑ 1 new'));
    assert.deepEqual((await places(page)).slice(0, 5), before.slice(0, 5));
    const above = await create('above', 'queued', { metadata });
    await log(above, 'runs', { status: 'RUNNING' });
    await eventually(async () => assert.equal(await text(page, '.list #newer'), '↑ 2 new'));
    assert.deepEqual((await places(page)).slice(0, 5), before.slice(0, 5), 'also for a group that begins above');
    await finish(above, 'complete', 'done');
    await page.mouse.move(5, 5);
    await page.locator('.list #newer').click();
    await eventually(async () => assert.equal((await rows(page))[0].id, id));
  });
});

scene('a row keeps the focus as it moves', () =>
  play('/activities', async (page) => {
    await live(page);
    await page.locator('.row .type').first().focus();
    const focused = () => page.evaluate(() => document.activeElement.closest('.row')?.dataset.id);
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
  await play('/activities?agent_type=endless', async (page) => {
    await eventually(async () => assert.ok((await rows(page)).length > 5));
    assert.deepEqual(await readToTheEnd(page, n), expected, 'each once, and in order');
    await eventually(async () => assert.equal(await page.locator('.place').last().getAttribute('aria-setsize'), String(n)));
    assert.ok((await page.locator('.row').count()) < 60, 'only what is in sight is in the page');

    // The feed says nothing of rows so far down; they are read again.
    const last = expected.at(-1);
    await log(last, 'it moves, down here', { percentage: 33 });
    await eventually(async () => assert.equal(await page.locator(`.row[data-id="${last}"] .said`).textContent(), 'it moves, down here'));
    await finish(expected.at(-2), 'cancel', 'no more');
    await eventually(async () => assert.deepEqual(await groups(page), [`Queued ${(n - 1).toLocaleString('en')}`, 'Finished 1']));
  });
});

scene('activities of one moment are all listed, each in its place', async () => {
  const n = 1000;
  await createMany('tied', n);
  await sql(`update agentexec.activity set created_at = '2026-01-01T00:00:00Z' where agent_type = 'tied'`);
  const expected = (await sql(`select agent_id::text from agentexec.activity where agent_type = 'tied' order by agent_id desc`)).map((r) => r.agent_id);
  await play('/activities?agent_type=tied', async (page) => {
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
    await eventually(async () => assert.equal(await page.locator(`.row[data-id="${expected.at(-1)}"] .said`).textContent(), 'it moves, down here'));
  });
});

scene('a row is a link that may be opened elsewhere', () =>
  play('/activities', async (page) => {
    const id = await create('linked');
    await eventually(async () => assert.ok(await row(page, 'linked')));
    const [other] = await Promise.all([page.context().waitForEvent('page'), rowOf(page, 'linked').locator('.type').click({ modifiers: ['ControlOrMeta'] })]);
    await other.waitForURL((url) => url.pathname === '/activities/' + id); // it begins as about:blank
    assert.equal(new URL(page.url()).pathname, '/activities');
  }));

scene('activities that need a person and what failed today come first, also where they lie far down', async () => {
  const stale = await create('silent', 'queued', { metadata: { far: 1 } });
  await log(stale, 'embedding', { status: 'RUNNING', percentage: 43 });
  await sql(`select agentexec.heartbeat('${stale}', interval '1 second')`);
  const failed = await create('broken', 'queued', { metadata: { far: 1 } });
  await log(failed, 'at work', { status: 'RUNNING' });
  await finish(failed, 'error', 'HTTP 503, 4 tries');
  const long = await create('long ago', 'queued', { metadata: { far: 1 } });
  await finish(long, 'error', 'nobody looked');
  await sql(`update agentexec.activity set created_at = now() - interval '3 days', finished_at = now() - interval '2 days' where agent_id = '${long}'`);
  await sql(`select count(agentexec.append_log(agentexec.create_activity('over', 'number ' || n, metadata => '{"far": 1}'), 'at work', status => 'RUNNING')) from generate_series(1, 230) n`);
  await sql(`select count(agentexec.complete(agent_id)) from agentexec.activity where agent_type = 'over'`);
  await play('/activities?metadata.far=1', async (page) => {
    await eventually(async () => {
      const [first] = await rows(page);
      assert.deepEqual([first.group, first.type, first.status, first.latest], ['needs', 'silent', 'stale', 'embedding']);
      assert.match(first.why, /^Silent for \d+ s$/);
    });
    await eventually(async () => assert.deepEqual((await rows(page)).filter((r) => r.group === 'failed').map((r) => r.type).slice(-1), ['broken']));
    assert.ok(!(await rows(page)).some((r) => r.group === 'failed' && r.type === 'long ago'));
    await state(page, 'groups');
    await sql(`select agentexec.heartbeat('${stale}', interval '1 hour')`);
    await log(stale, 'back again');
    await eventually(async () => assert.equal((await row(page, 'silent')).group, 'running'));
    await finish(stale, 'complete', 'done');
    await eventually(async () => assert.deepEqual((await groups(page)).map((g) => g.replace(/ [\d,]+$/, '')), ['Failed today', 'Finished']));
  });
});

scene('a group can be folded, and says how many it has', () =>
  play('/activities?agent_type=over', async (page) => {
    await eventually(async () => assert.ok((await rows(page)).length > 5));
    const head = page.getByRole('button', { name: /^Finished/ });
    assert.equal(await head.getAttribute('aria-expanded'), 'true');
    await head.click();
    await eventually(async () => assert.equal((await rows(page)).length, 0));
    assert.deepEqual(await groups(page), ['Finished 230']);
    await state(page, 'folded');
    await head.press('Enter');
    await eventually(async () => assert.ok((await rows(page)).length > 5));
  }));

scene('a cancel that runs counts down in its row, and a second attempt is marked', async () => {
  const id = await create('stopped', 'queued');
  await log(id, 'at work', { status: 'RUNNING', percentage: 10 });
  await finish(id, 'error', 'no');
  await log(id, 'again', { status: 'RUNNING', percentage: 58 });
  await sql(`select (agentexec.cancel('${id}', grace => interval '10 minutes')).seq`);
  await play('/activities', async (page) => {
    await eventually(async () => {
      const r = await row(page, 'stopped');
      assert.deepEqual([r.group, r.status, r.attempt, r.percentage], ['running', 'stopping', '×2', 58]);
      assert.match(r.why, /^Stopping, \d+ min left$/);
    });
    assert.match(await rowOf(page, 'stopped').locator('.ago').getAttribute('title'), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
  });
  await sql(`update agentexec.activity_cancel c set force_at = now() from agentexec.activity a where a.id = c.activity_id and a.agent_id = '${id}'`).catch(() => {});
});

for (const [width, height, columns] of [[375, 812, 2], [768, 900, 1], [1024, 900, 1], [1440, 900, 1], [1920, 1080, 1]]) {
  scene(`the list fits at ${width} px`, async () => {
    await createMany('wide', 8);
    await log(await create('whole', 'q'), 'nearly done', { status: 'RUNNING', percentage: 100 });
    await play('/activities', async (page) => {
      await eventually(async () => assert.ok((await rows(page)).length > 5));
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
      const { height: row } = await page.locator('.row').first().boundingBox();
      assert.equal(row, columns === 2 ? 60 : 36);
      const inside = await page.locator('.row').first().evaluate((e) => [...e.children].every((c) => c.getBoundingClientRect().right <= e.getBoundingClientRect().right));
      assert.ok(inside, 'no cell leaves its row');
      const [gap, margin] = await rowOf(page, 'whole').first().locator('.percent').evaluate((e) => {
        const words = document.createRange();
        words.selectNodeContents(e.querySelector('span'));
        const { left, right } = words.getBoundingClientRect();
        return [left - e.querySelector('svg').getBoundingClientRect().right, e.closest('.row').getBoundingClientRect().right - right];
      });
      assert.ok(gap >= 4 && margin >= 15.5, `100% stands ${gap} px from its bar, and ${margin} px from the edge`);
      if (columns === 1) {
        const [title, cell] = [await page.locator('.titles .ago').boundingBox(), await page.locator('.row .ago').first().boundingBox()];
        assert.equal(Math.round(title.x + title.width), Math.round(cell.x + cell.width), 'titles stand above their columns');
      }
      await state(page, `list-${width}`);
    }, { viewport: { width, height } });
  });
}

scene('beside an activity the list is narrow, and marks the one that is open', async () => {
  const id = await create('marked', 'here');
  await createMany('newer', 60);
  await play('/activities/' + id, async (page) => {
    const open = page.locator('.row[data-current]');
    await eventually(async () => assert.equal(await open.getAttribute('data-id'), id));
    assert.equal((await open.boundingBox()).height, 52);
    const [row, box] = [await open.boundingBox(), await page.locator('.list').boundingBox()];
    assert.ok(row.y >= box.y && row.y + row.height <= box.y + box.height, 'it is in sight');
    assert.equal(await page.locator('.views').count(), 0);
  });
});
