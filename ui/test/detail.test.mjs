// One activity: its head, live, and what is said where there is none.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { create, eventually, finish, log, logMany, move, play, scene, sql, state } from './stage.mjs';
import { live, messages, range, rowOf, seqs, shows, text } from './screen.mjs';

const badge = (page, status) => eventually(async () => assert.equal(await text(page, '.title .ax-badge'), status));
const time = /^\d\d:\d\d:\d\d$/;

scene('one activity is live', () =>
  play('/', async (page) => {
    const id = await create('crawler', 'crawl example.org');
    await create('other');
    await rowOf(page, 'crawler').click();
    await shows(page, 'crawl example.org');
    assert.equal(new URL(page.url()).pathname, '/activities/' + id);
    assert.equal(await page.locator('.row[aria-current=true] .type').textContent(), 'crawler');
    assert.equal(await page.locator('.chart').count(), 0, 'nothing to draw yet');

    await log(id, 'fetching', { status: 'RUNNING', percentage: 10 });
    await log(id, 'fetched 30 pages', { percentage: 60, data: { pages: 30, hosts: ['a', 'b'] } });
    await shows(page, 'crawl example.org', 'fetching', 'fetched 30 pages');
    // The log and the head are drawn each in its own time.
    await badge(page, 'Running');
    await eventually(async () => assert.equal(await text(page, '.progress .percent'), '60%'));
    assert.equal(await text(page, '.line:last-child .percent'), '60%');
    assert.match(await text(page, '#started'), time);
    assert.equal(await text(page, '#finished'), '–');
    assert.equal(await page.title(), '60% crawler · agentexec');
    assert.equal(await page.locator('.chart').getAttribute('aria-label'), 'Percentage over time: from 0% to 60%');
    const elapsed = await text(page, '#elapsed');
    await eventually(async () => assert.notEqual(await text(page, '#elapsed'), elapsed, 'the clock ticks'));
    await state(page, 'detail');

    await finish(id, 'error', 'the site is gone');
    await badge(page, 'Error');
    await eventually(async () => assert.match(await text(page, '#finished'), time));
    await eventually(async () => assert.equal(await page.title(), 'Error crawler · agentexec'));
    await state(page, 'error');
    await log(id, 'once more', { status: 'RUNNING' });
    await eventually(async () => assert.equal(await text(page, '.attempt'), 'Attempt 2'));
    await eventually(async () => assert.equal(await text(page, '#finished'), '–'));
    await finish(id, 'complete', 'crawled');
    await badge(page, 'Complete');
    await eventually(async () => assert.deepEqual(await seqs(page), range(1, 6)));

    await page.goBack();
    await eventually(async () => assert.equal(await page.locator('.detail').count(), 0));
    assert.equal(await page.title(), 'agentexec');
  }));

scene('a deep link opens one activity, in any spelling of its id', async () => {
  const id = await create('linked', 'hello');
  await logMany(id, 3);
  await play('/activities/' + id.toUpperCase() + '?status=QUEUED', async (page) => {
    await eventually(async () => assert.deepEqual(await seqs(page), [1, 2, 3]));
    await eventually(async () => assert.equal(await page.locator('.row[aria-current=true] .type').textContent(), 'linked'));
    await page.reload();
    await eventually(async () => assert.deepEqual(await seqs(page), [1, 2, 3]));
    assert.equal(new URL(page.url()).search, '?status=QUEUED');
  });
});

scene('turning to and fro shows each line once', async () => {
  const [a, b] = [await create('to'), await create('fro')];
  await Promise.all([logMany(a, 40), logMany(b, 40)]);
  await play('/', async (page) => {
    await live(page);
    await rowOf(page, 'fro').waitFor();
    await page.evaluate(() => {
      const find = (type) => [...document.querySelectorAll('.row')].find((r) => r.querySelector('.type').textContent === type);
      for (let n = 0; n < 21; n++) find(n % 2 ? 'fro' : 'to').click();
    });
    await logMany(a, 45);
    await eventually(async () => assert.deepEqual(await seqs(page), range(1, 45)));
    await eventually(async () => assert.equal(await text(page, '.title h2'), 'to'));
  });
});

scene('an unknown id is said to be unknown, until it is known', () =>
  play('/activities/' + randomUUID(), async (page) => {
    await eventually(async () => assert.match(await text(page, '#message'), /No such activity/));
    assert.equal(await page.locator('#activity').count(), 0);
    await state(page, 'unknown');
    await create('late', 'here at last', { agent_id: new URL(page.url()).pathname.split('/')[2] });
    await shows(page, 'here at last');
    assert.equal(await page.locator('#message').count(), 0);
  }));

scene('an activity that is deleted stays on screen, and is said to be gone', async () => {
  const id = await create('doomed', 'hello');
  await play('/activities/' + id, async (page) => {
    await shows(page, 'hello');
    await sql(`delete from agentexec.activity where agent_id = '${id}'`);
    await move('/sidecar/kill');
    await move('/sidecar/start');
    await eventually(async () => assert.match(await text(page, '#message'), /deleted/), 60_000);
    assert.deepEqual(await messages(page), ['hello']);
    assert.equal(await page.locator('#cancel').count(), 0);
    await state(page, 'deleted');
  });
});

scene('lines that are no longer kept are announced', async () => {
  const id = await create('pruned');
  await logMany(id, 10);
  await sql(`delete from agentexec.activity_log l using agentexec.activity a where a.id = l.activity_id and a.agent_id = '${id}' and l.seq between 3 and 6`);
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.deepEqual(await seqs(page), [1, 2, 7, 8, 9, 10]));
    const places = await page.$$eval('.log .place', (all) => all.map((e) => e.dataset.seq ?? e.textContent));
    assert.deepEqual(places, ['1', '2', 'Lines 3 to 6 are no longer kept.', '7', '8', '9', '10']);
    await state(page, 'pruned');
  });
});

scene('lines that the database lost are taken back', async () => {
  const id = await create('restored');
  await logMany(id, 10);
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.deepEqual(await seqs(page), range(1, 10)));
    await move('/sidecar/kill');
    await sql(`with a as (update agentexec.activity set last_seq = 6 where agent_id = '${id}' returning id)
      delete from agentexec.activity_log l using a where a.id = l.activity_id and l.seq > 6`);
    await move('/sidecar/start');
    await eventually(async () => assert.equal(await text(page, '.log .note'), 'The database was set back: lines 7 to 10 are void.'), 60_000);
    assert.deepEqual(await seqs(page), range(1, 6));
    await log(id, 'line 7 again');
    await eventually(async () => assert.deepEqual(await seqs(page), range(1, 7)));
    assert.equal((await messages(page)).at(-1), 'line 7 again');
    await eventually(async () => assert.equal(await text(page, '#lines'), '7 lines'));
  });
});
