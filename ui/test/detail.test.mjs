// One activity: its head, live, and what is said where there is none.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { create, eventually, finish, log, logMany, move, play, scene, sql, state } from './stage.mjs';
import { lineCount, live, messages, range, rowOf, seqs, shows, text } from './screen.mjs';

const badge = (page, status) => eventually(async () => assert.equal(await text(page, '.title .ax-pill'), status));
const time = /^\d\d:\d\d:\d\d/;

scene('one activity is live', () =>
  play('/activities', async (page) => {
    const id = await create('crawler', 'crawl example.org');
    await create('other');
    await rowOf(page, 'crawler').click();
    await shows(page, 'crawl example.org');
    assert.equal(new URL(page.url()).pathname, '/activities/' + id);
    assert.equal(await page.locator('.row .type[aria-current=true]').textContent(), 'crawler');
    assert.equal(await page.locator('.curve').count(), 0, 'nothing to draw yet');

    await log(id, 'fetching', { status: 'RUNNING', percentage: 10 });
    await log(id, 'fetched 30 pages', { percentage: 60, data: { pages: 30, hosts: ['a', 'b'] } });
    await shows(page, 'crawl example.org', 'fetching', 'fetched 30 pages');
    // The log and the head are drawn each in its own time.
    await badge(page, 'Running');
    await eventually(async () => assert.equal(await text(page, '.curve figcaption b'), '60%'));
    assert.equal(await text(page, '.ax-lines > :last-child .ax-line-percent'), '60%');
    assert.match(await text(page, '#started'), time);
    assert.equal(await page.locator('#finished').count(), 0);
    assert.equal(await page.title(), '60% crawler · agentexec');
    assert.match(await page.locator('.plotbox').getAttribute('aria-valuetext'), /^60% at /);
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
    await eventually(async () => assert.equal(await page.locator('#finished').count(), 0));
    await finish(id, 'complete', 'crawled');
    await badge(page, 'Complete');
    await eventually(async () => assert.deepEqual(await seqs(page), range(1, 6)));

    await page.goBack();
    await eventually(async () => assert.equal(await page.locator('.detail').count(), 0));
    assert.equal(await page.title(), 'Activities · agentexec');
  }));

scene('a deep link opens one activity, in any spelling of its id', async () => {
  const id = await create('linked', 'hello');
  await logMany(id, 3);
  await play('/activities/' + id.toUpperCase() + '?status=QUEUED', async (page) => {
    await eventually(async () => assert.deepEqual(await seqs(page), [1, 2, 3]));
    await eventually(async () => assert.equal(await page.locator('.row .type[aria-current=true]').textContent(), 'linked'));
    await page.reload();
    await eventually(async () => assert.deepEqual(await seqs(page), [1, 2, 3]));
    assert.equal(new URL(page.url()).search, '?status=QUEUED');
  });
});

scene('turning to and fro shows each line once', async () => {
  const [a, b] = [await create('to'), await create('fro')];
  await Promise.all([logMany(a, 40), logMany(b, 40)]);
  await play('/activities', async (page) => {
    await live(page);
    await rowOf(page, 'fro').waitFor();
    await page.evaluate(() => {
      const find = (type) => [...document.querySelectorAll('.row')].find((r) => r.querySelector('.type').textContent === type);
      for (let n = 0; n < 21; n++) find(n % 2 ? 'fro' : 'to').querySelector('.type').click();
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
    const places = await page.$$eval('.ax-lines > *', (all) => all.map((e) => e.querySelector('.ax-line')?.dataset.seq ?? e.textContent));
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
    await eventually(async () => assert.equal(await text(page, '.ax-line-note'), 'The database was set back: lines 7 to 10 are void.'), 60_000);
    assert.deepEqual(await seqs(page), range(1, 6));
    await log(id, 'line 7 again');
    await eventually(async () => assert.deepEqual(await seqs(page), range(1, 7)));
    assert.equal((await messages(page)).at(-1), 'line 7 again');
    await eventually(async () => assert.equal(await lineCount(page), '7'));
  });
});

scene('the last error is on top, with its line and a copy', async () => {
  const id = await create('failing', 'queued');
  await log(id, 'working', { status: 'RUNNING', percentage: 10 });
  await finish(id, 'error', 'TypeError: x is not a function');
  await logMany(id, 600);
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.match(await text(page, '.banner[data-st=error]'), /^Failed\s+TypeError: x is not a function/));
    assert.equal(await page.locator('.banner').count(), 1);
    await page.getByRole('button', { name: 'Copy', exact: true }).click();
    await eventually(async () => assert.equal(await text(page, '.meta .said'), 'Message copied'));
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'TypeError: x is not a function');
    await page.getByRole('button', { name: 'Show line' }).click();
    await page.locator('.ax-line[data-linked][data-seq="3"][data-level=error]').waitFor();
    assert.equal(new URL(page.url()).hash, '#L3');
    await state(page, 'banner');

    await log(id, 'again', { status: 'RUNNING' });
    await eventually(async () => assert.match(await text(page, '.banner[data-st=error]'), /^Attempt 1 failed/, 'also while the next attempt runs'));
    await page.getByRole('button', { name: '2 attempts' }).click();
    await eventually(async () => assert.match(await text(page, '.facts [role=menu]'), /Attempt 1\s*started .*, failed after \d+s\s+Attempt 2\s*started/));
    await page.getByRole('menuitem', { name: /Attempt 2/ }).click();
    await page.locator('.ax-line[data-linked][data-seq="601"]').waitFor();
    await finish(id, 'complete', 'done');
    await eventually(async () => assert.equal(await page.locator('.banner').count(), 0, 'what went well in the end needs nobody'));
  }, { permissions: ['clipboard-read', 'clipboard-write'] });
});

scene('metadata are chips that filter the list, and a tree', async () => {
  const id = await create('labeled', 'hello', { metadata: { org: 1, zip: '08001', topic: 'batteries', nested: { a: [1, 2] } } });
  await create('unlabeled');
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.deepEqual((await page.locator('.meta .ax-chip').allTextContents()).sort(), ['nested{"a":[1,2]}', 'org1', 'topicbatteries', 'zip08001']));
    await page.getByRole('tab', { name: 'Data' }).click();
    await eventually(async () => assert.match(await text(page, '.data'), /topic: "batteries"/));
    await state(page, 'metadata');
    await page.keyboard.press('ArrowLeft');
    await page.locator('.ax-log').waitFor();
    await page.locator('.meta a.ax-chip').filter({ hasText: 'zip' }).click();
    await eventually(async () => assert.equal(await page.locator('.detail').count(), 0));
    assert.equal(new URL(page.url()).searchParams.get('metadata.zip'), '"08001"');
    await rowOf(page, 'labeled').waitFor();
    assert.equal(await rowOf(page, 'unlabeled').count(), 0);
  });
});

scene('the id and the link are copied, and the activity is closed', async () => {
  const id = await create('copied', 'hello');
  await play('/activities/' + id, async (page) => {
    await shows(page, 'hello');
    await page.keyboard.press('y');
    await eventually(async () => assert.equal(await text(page, '.meta .said'), 'Id copied'));
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), id);
    const more = page.getByRole('button', { name: 'More actions' });
    await more.click();
    assert.deepEqual(await page.locator('.title [role=menuitem]').allInnerTexts(), ['Copy id\ny', 'Copy link', 'Download the log', 'Cancel…']);
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Copy id y');
    await state(page, 'menu');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await eventually(async () => assert.equal(await text(page, '.meta .said'), 'Link copied'));
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), page.url());
    await more.click();
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('[role=menu]').count(), 0);
    assert.equal(await more.evaluate((e) => e === document.activeElement), true);
    assert.equal(new URL(page.url()).pathname, '/activities/' + id, 'Esc closed the menu alone');
    await page.getByRole('link', { name: 'Close' }).click();
    await eventually(async () => assert.equal(await page.locator('.detail').count(), 0));
  }, { permissions: ['clipboard-read', 'clipboard-write'] });
});

scene('the list and the activity share the width as the person wants', async () => {
  const id = await create('split', 'hello');
  const width = (page) => page.locator('.list-page').evaluate((e) => Math.round(e.getBoundingClientRect().width));
  await play('/activities/' + id, async (page) => {
    await shows(page, 'hello');
    const handle = page.getByRole('separator', { name: 'Width of the list' });
    assert.equal(await width(page), 340);
    const box = await handle.boundingBox();
    await page.mouse.move(box.x + 4, box.y + 200);
    await page.mouse.down();
    await page.mouse.move(box.x + 104, box.y + 200, { steps: 4 });
    await page.mouse.up();
    await eventually(async () => assert.equal(await width(page), 440));
    await page.keyboard.press('ArrowLeft');
    await eventually(async () => assert.equal(await width(page), 424));
    await page.reload();
    await shows(page, 'hello');
    assert.equal(await width(page), 424, 'it is kept');
    await handle.dblclick();
    await eventually(async () => assert.equal(await width(page), 340));
    await handle.focus();
    await page.keyboard.press('End');
    await eventually(async () => assert.ok((await width(page)) > 800));
    await page.setViewportSize({ width: 1100, height: 800 });
    await eventually(async () => assert.equal(await width(page), 680, 'the activity keeps its room'));
  });
});

scene('the curve has a line for each attempt, and is read with the pointer and with keys', async () => {
  const id = await create('curved');
  for (const percentage of [0, 20, 40]) await log(id, 'first', { status: 'RUNNING', percentage });
  await finish(id, 'error', 'failed');
  for (const percentage of [0, 30, 60]) await log(id, 'second', { status: 'RUNNING', percentage });
  await sql(`update agentexec.activity_log l set created_at = now() - interval '10 min' + l.seq * interval '1 min' from agentexec.activity a where a.id = l.activity_id and a.agent_id = '${id}'`);
  await sql(`update agentexec.activity set created_at = now() - interval '9 min', started_at = now() - interval '8 min' where agent_id = '${id}'`);
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.deepEqual(await page.$$eval('.curve g', (all) => all.map((e) => e.dataset.st)), ['error', 'running']));
    assert.deepEqual(await page.locator('.curve .labels text').allTextContents(), ['Attempt 1', '2']);
    const plot = page.getByRole('slider', { name: 'Percentage over time' });
    assert.equal(await text(page, '.curve figcaption b'), '60%');
    const box = await plot.boundingBox();
    await page.mouse.move(box.x + box.width * 0.3, box.y + 40);
    await eventually(async () => assert.equal(await text(page, '.curve figcaption b'), '40%'));
    await page.mouse.move(5, 5);
    await eventually(async () => assert.equal(await text(page, '.curve figcaption b'), '60%'));
    await plot.focus();
    await page.keyboard.press('ArrowLeft');
    await eventually(async () => assert.match(await plot.getAttribute('aria-valuetext'), /^30% at \d\d:\d\d:\d\d, attempt 2$/));
    await page.keyboard.press('Home');
    await eventually(async () => assert.match(await plot.getAttribute('aria-valuetext'), /^0% at/));
    await state(page, 'curve');
  });
});

for (const [width, height] of [[375, 812], [768, 1024], [1024, 768], [1440, 900], [1920, 1080]]) {
  scene(`the activity fits ${width} px`, async () => {
    const id = await create('an-agent-with-a-rather-long-name-' + 'x'.repeat(60), 'queued', { metadata: { organisation: 'a-long-value-'.repeat(8), org: 1 } });
    await log(id, 'INFO begun', { status: 'RUNNING', percentage: 10 });
    await finish(id, 'error', 'RateLimitError: ' + 'a long text '.repeat(30));
    await log(id, 'WARN unbroken' + 'x'.repeat(400), { status: 'RUNNING', percentage: 20, data: { key: 'value' } });
    await logMany(id, 40);
    await sql(`select (agentexec.cancel('${id}', 'wrong day', '1 h', 'ops@example.org')).seq`);
    await play('/activities/' + id, async (page) => {
      await eventually(async () => assert.equal(await page.locator('.banner').count(), 2));
      await page.locator('.ax-line[data-mark=cancel]').waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.querySelector('.detail').scrollWidth <= document.querySelector('.detail').clientWidth), true);
      await state(page, `detail-${width}`);
    }, { viewport: { width, height } });
  });
}
