// Saved views, the time range and the order: all of it is in the address.

import assert from 'node:assert/strict';
import { create, eventually, finish, log, play, scene, sql, state } from './stage.mjs';
import { live, rows, search, types, views } from './screen.mjs';

const query = (page) => Object.fromEntries(new URL(page.url()).searchParams);
const shows = (page, ...expected) => eventually(async () => assert.deepEqual(await types(page), expected));
const choose = async (page, menu, entry) => {
  await page.getByRole('button', { name: menu }).click();
  await page.getByRole('menuitemradio', { name: entry, exact: true }).click();
};
const ago = (id, created, ended) =>
  sql(`update agentexec.activity set created_at = now() - interval '${created}', started_at = now() - interval '${created}', updated_at = now() - interval '${ended}',
    finished_at = case when finished_at is not null then now() - interval '${ended}' end where agent_id = '${id}'`);

// three that are over: how long ago they were created and ended
async function three() {
  for (const [type, created, ended] of [['short', '2 hours', '119 minutes'], ['long', '3 days', '10 minutes'], ['old', '9 days', '8 days']]) {
    const id = await create(type, 'queued', { metadata: { views: 1 } });
    await log(id, 'at work', { status: 'RUNNING' });
    await finish(id, 'complete', 'done');
    await ago(id, created, ended);
  }
}

scene('a range shows what existed in it, by menu and as a token', async () => {
  await three();
  await play('/activities?metadata.views=1', async (page) => {
    await shows(page, 'short', 'long', 'old');
    await choose(page, /^Time range/, 'Last hour');
    await shows(page, 'long');
    assert.equal(query(page).since, '1h');
    await state(page, 'range');
    await choose(page, /^Time range/, 'Last 7 days');
    await shows(page, 'short', 'long');
    await page.getByRole('button', { name: /^Time range/ }).click();
    await state(page, 'range-menu');
    await page.getByRole('menuitemradio', { name: 'From and until …' }).click();
    const at = (days) => new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 16);
    await page.getByLabel('From', { exact: true }).fill(at(10));
    await page.getByLabel('Until', { exact: true }).fill(at(5));
    await state(page, 'range-dialog');
    await page.getByRole('button', { name: 'Show this range' }).click();
    await shows(page, 'old');
    await search(page, 'since:24h');
    await page.getByRole('button', { name: /^Remove until:/ }).click();
    await shows(page, 'short', 'long');
  });
});

scene('the order is chosen by menu and by the titles, within each group', () =>
  play('/activities?metadata.views=1', async (page) => {
    await shows(page, 'short', 'long', 'old');
    await choose(page, /^Order/, 'Longest first');
    await shows(page, 'long', 'old', 'short');
    assert.equal(query(page).sort, 'duration');
    await page.getByRole('button', { name: 'Took: Shortest first' }).click();
    await shows(page, 'short', 'old', 'long');
    await page.getByRole('button', { name: 'Latest line: Last activity first' }).click();
    await shows(page, 'long', 'short', 'old');
    await page.reload();
    await shows(page, 'long', 'short', 'old');
    await page.getByRole('button', { name: 'Started: Newest first' }).click();
    await shows(page, 'short', 'long', 'old');
    assert.deepEqual(query(page), { 'metadata.views': '1' });
  }));

scene('views are chosen by click and by key, and count', async () => {
  const silent = await create('silent', 'queued');
  await log(silent, 'at work', { status: 'RUNNING' });
  await sql(`select agentexec.heartbeat('${silent}', interval '1 second')`);
  const failed = await create('failed', 'queued');
  await finish(failed, 'error', 'no');
  await play('/activities', async (page) => {
    await live(page);
    await eventually(async () => assert.deepEqual(await views(page), { All: '5', 'Needs me': '1', 'Failed today': '1' }));
    await page.getByRole('link', { name: /^Needs me/ }).click();
    await shows(page, 'silent');
    assert.match(await page.locator('.views a[aria-current]').innerText(), /^Needs me\s*1$/);
    await page.keyboard.press('3');
    await shows(page, 'failed');
    assert.deepEqual(query(page), { status: 'ERROR', since: '24h' });
    await state(page, 'view');
    await page.keyboard.press('1');
    await eventually(async () => assert.equal((await rows(page)).length, 5));
    await page.keyboard.press('6');
    assert.equal(new URL(page.url()).search, '', 'a key without a view does nothing');
  });
});

scene('a filter is saved as a view, renamed and removed', () =>
  play('/activities?agent_type=failed', async (page) => {
    await shows(page, 'failed');
    await page.getByRole('button', { name: 'Save this view' }).click();
    const name = page.getByLabel('Name of the new view');
    await name.fill('Those that fail');
    await state(page, 'view-naming');
    await name.press('Enter');
    await eventually(async () => assert.equal((await views(page))['Those that fail'], '1'));
    assert.equal(await page.getByRole('button', { name: 'Save this view' }).count(), 0);
    await page.goto(new URL('/activities', page.url()).href);
    await live(page);
    await page.keyboard.press('4');
    await shows(page, 'failed');
    await page.getByRole('button', { name: 'Change the view Those that fail' }).click();
    await page.getByRole('menuitem', { name: 'Rename' }).click();
    await page.getByLabel('Name of the view').fill('Failures');
    await page.getByLabel('Name of the view').press('Enter');
    await eventually(async () => assert.ok('Failures' in (await views(page))));
    await page.getByRole('button', { name: 'Change the view Failures' }).click();
    await page.getByRole('menuitem', { name: 'Remove' }).click();
    await eventually(async () => assert.deepEqual(Object.keys(await views(page)), ['All', 'Needs me', 'Failed today']));
  }));

scene('views work where the browser keeps nothing', () =>
  play('/activities', async (page) => {
    await page.addInitScript(() => Object.defineProperty(window, 'localStorage', { get: () => { throw new DOMException('blocked', 'SecurityError'); } }));
    await page.goto(new URL('/activities?agent_type=failed', page.url()).href);
    await shows(page, 'failed');
    await page.getByRole('button', { name: 'Save this view' }).click();
    await page.getByLabel('Name of the new view').press('Enter');
    await eventually(async () => assert.ok('type:failed' in (await views(page))));
  }));
