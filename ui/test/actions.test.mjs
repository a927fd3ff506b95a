// The actions of a user: cancel one activity, or all listed activities that are pending. life.test.mjs has the cancel of a
// RUNNING activity.

import assert from 'node:assert/strict';
import { create, eventually, finish, log, play, scene, state, statusOf } from './stage.mjs';
import { conditions, live, rows, shows, text } from './screen.mjs';

const dialog = (page) => page.locator('dialog[open]');

scene('one activity is canceled, once that is confirmed', async () => {
  const id = await create('one', 'waiting');
  await play('/activities/' + id, async (page) => {
    await shows(page, 'waiting');
    await page.locator('#cancel').click();
    await state(page, 'confirm');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Keep', 'Enter does no harm');
    await page.keyboard.press('Enter');
    await eventually(async () => assert.equal(await dialog(page).count(), 0));
    await page.locator('#cancel').click();
    await page.keyboard.press('Escape');
    await eventually(async () => assert.equal(await dialog(page).count(), 0));
    assert.equal(new URL(page.url()).pathname, '/activities/' + id, 'Esc closed the dialog alone');
    assert.equal(await statusOf(id), 'QUEUED');

    await page.locator('#cancel').click();
    await page.getByRole('button', { name: 'Cancel it' }).click();
    await eventually(async () => assert.equal(await text(page, '.title .ax-pill'), 'Canceled'));
    await shows(page, 'waiting', 'Cancel requested');
    assert.deepEqual(await conditions(page), []);
    assert.equal(await dialog(page).count(), 0);
    assert.equal(await page.locator('#cancel').count(), 0, 'there is nothing to cancel any more');
    assert.equal(await statusOf(id), 'CANCELED');
  });
});

scene('what has ended meanwhile is not canceled, and that is said', async () => {
  const id = await create('fast', 'working');
  await play('/activities/' + id, async (page) => {
    await page.locator('#cancel').click();
    await finish(id, 'complete', 'done');
    await eventually(async () => assert.equal(await text(page, '.title .ax-pill'), 'Complete'));
    await page.getByRole('button', { name: 'Cancel it' }).click();
    await eventually(async () => assert.match(await dialog(page).getByRole('alert').innerText(), /COMPLETE/));
    await state(page, 'not-canceled');
    await page.getByRole('button', { name: 'Keep' }).click();
    await eventually(async () => assert.equal(await dialog(page).count(), 0));
    assert.equal(await statusOf(id), 'COMPLETE');
  });
});

const cancelAll = async (page) => {
  await page.getByRole('button', { name: 'More actions' }).click();
  await page.getByRole('menuitem', { name: 'Cancel all running and queued…' }).click();
};

scene('the pending ones of what is listed are canceled, and no others', async () => {
  const metadata = { org: `it's "1"` };
  const mine = [await create('batch', 'q', { metadata }), await create('batch', 'q', { metadata }), await create('batch', 'q', { metadata })];
  await log(mine[0], 'on', { status: 'RUNNING' });
  const done = await create('batch', 'q', { metadata });
  await finish(done, 'complete', 'done');
  const others = [await create('batch', 'q', { metadata: { org: '2' } }), await create('other', 'q', { metadata })];

  await play('/activities?' + new URLSearchParams({ agent_type: 'batch', 'metadata.org': metadata.org }), async (page) => {
    await live(page);
    await cancelAll(page);
    assert.match(await dialog(page).innerText(), /1 running and 2 queued ones of type batch, with org=it's "1"\. This cannot be undone\./);
    await state(page, 'confirm-pending');
    await page.getByRole('button', { name: 'Keep' }).click();
    assert.equal(await statusOf(mine[1]), 'QUEUED');

    await cancelAll(page);
    await page.getByRole('button', { name: 'Cancel 3', exact: true }).click();
    await eventually(async () => assert.equal(await text(page, '.told span'), '3 canceled.'));
    await eventually(async () => assert.deepEqual((await rows(page)).map((r) => r.status).sort(), ['canceled', 'canceled', 'canceled', 'complete']));
  });
  assert.deepEqual(await Promise.all(mine.map(statusOf)), ['CANCELED', 'CANCELED', 'CANCELED']);
  assert.deepEqual(await Promise.all(others.map(statusOf)), ['QUEUED', 'QUEUED']);
  assert.equal(await statusOf(done), 'COMPLETE');
});

scene('what cannot be canceled as it is listed says why', async () => {
  await create('pending one');
  await play('/activities?q=pending', async (page) => {
    await live(page);
    await eventually(async () => assert.equal((await rows(page)).length, 1));
    await cancelAll(page);
    await eventually(async () => assert.match(await text(page, '.told span'), /^Clear the search text first/));
    assert.equal(await dialog(page).count(), 0);
    await page.goto(new URL('/activities?status=QUEUED', page.url()).href);
    await live(page);
    await cancelAll(page);
    await eventually(async () => assert.match(await text(page, '.told span'), /^Show both running and queued first/));
    await page.goto(new URL('/activities?status=QUEUED,RUNNING', page.url()).href);
    await live(page);
    await cancelAll(page);
    await eventually(async () => assert.equal(await dialog(page).count(), 1));
  });
});

scene('a cancel that does not get through says so, and can be tried again', async () => {
  const id = await create('stubborn', 'working');
  await play('/activities/' + id, async (page) => {
    let broken = true;
    await page.route('**/cancel', (route) => (broken ? route.fulfill({ status: 500, contentType: 'text/html', body: '<h1>500</h1>' }) : route.continue()));
    await page.locator('#cancel').click();
    await page.getByRole('button', { name: 'Cancel it' }).click();
    await eventually(async () => assert.match(await dialog(page).getByRole('alert').innerText(), /500/));
    broken = false;
    await page.getByRole('button', { name: 'Cancel it' }).click();
    await eventually(async () => assert.equal(await dialog(page).count(), 0));
    await eventually(async () => assert.equal(await text(page, '.title .ax-pill'), 'Canceled'));
  });
});
