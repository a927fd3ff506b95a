// Several activities at once: select, copy their ids, cancel them; and all that queue.

import assert from 'node:assert/strict';
import { create, eventually, finish, log, move, play, scene, state, statusOf, token } from './stage.mjs';
import { groups, live, row, rowOf, rows, text } from './screen.mjs';

const dialog = (page) => page.locator('dialog[open]');
const check = (page, type) => rowOf(page, type).locator('.check input');
const bar = (page) => page.getByRole('region', { name: 'Selected activities' });

scene('several are selected and canceled, and it is said what becomes of each', async () => {
  const metadata = { bulk: 1 };
  const [running, queued, over, other] = [await create('running', 'q', { metadata }), await create('queued', 'q', { metadata }), await create('over', 'q', { metadata }), await create('other', 'q', { metadata })];
  await log(running, 'at work', { status: 'RUNNING' });
  await finish(over, 'complete', 'done');
  await play('/activities?metadata.bulk=1', async (page) => {
    await eventually(async () => assert.equal((await rows(page)).length, 4));
    for (const type of ['running', 'queued', 'over']) await check(page, type).check({ force: true });
    await eventually(async () => assert.match(await bar(page).innerText(), /^3 selected/));
    await state(page, 'selected');
    await page.getByRole('button', { name: 'Cancel 3…' }).click();
    assert.match(await dialog(page).innerText(), /Cancel 2 activities\?[^]*1 running, 1 queued, 1 already over/);
    await state(page, 'confirm-selected');
    await page.getByRole('button', { name: 'Keep' }).click();
    await page.getByRole('button', { name: 'Cancel 3…' }).click();
    await page.getByRole('button', { name: 'Cancel 2', exact: true }).click();
    await eventually(async () => assert.equal(await text(page, '.told span'), '2 canceled.'));
    await eventually(async () => assert.equal((await row(page, 'running')).status, 'stopping'));
    await eventually(async () => assert.equal((await row(page, 'queued')).status, 'canceled'));
    assert.equal(await bar(page).count(), 0);
    await state(page, 'canceled-selected');
  });
  assert.deepEqual(await Promise.all([queued, over, other].map(statusOf)), ['CANCELED', 'COMPLETE', 'QUEUED']);
});

scene('what cannot be canceled is named with its reason', async () => {
  const [one, two] = [await create('first', 'q', { metadata: { bulk: 2 } }), await create('second', 'q', { metadata: { bulk: 2 } })];
  await play('/activities?metadata.bulk=2', async (page) => {
    await eventually(async () => assert.equal((await rows(page)).length, 2));
    await page.route(`**/activities/${two}/cancel`, (route) => route.fulfill({ status: 409, contentType: 'application/problem+json', body: '{"code":"TA409","detail":"it is COMPLETE"}' }));
    for (const type of ['first', 'second']) await check(page, type).check({ force: true });
    await page.getByRole('button', { name: 'Cancel 2…' }).click();
    await page.getByRole('button', { name: 'Cancel 2', exact: true }).click();
    await eventually(async () => assert.equal(await text(page, '.told span'), `1 canceled. 1 not: second ${two.slice(0, 8)} (already over).`));
    assert.equal(await statusOf(one), 'CANCELED');
  });
});

scene('a range is selected with shift, one with x, and Esc selects none', async () => {
  for (let n = 1; n <= 6; n++) await create('range ' + n, 'q', { metadata: { bulk: 3 } });
  await play('/activities?metadata.bulk=3', async (page) => {
    await eventually(async () => assert.equal((await rows(page)).length, 6));
    await check(page, 'range 5').click({ force: true });
    await check(page, 'range 2').click({ force: true, modifiers: ['Shift'] });
    await eventually(async () => assert.match(await bar(page).innerText(), /^4 selected/));
    await check(page, 'range 5').click({ force: true, modifiers: ['Shift'] });
    assert.ok(await check(page, 'range 5').isChecked(), 'it stays selected');
    await rowOf(page, 'range 1').locator('.type').focus();
    await page.keyboard.press('x');
    await eventually(async () => assert.match(await bar(page).innerText(), /^5 selected/));
    await page.keyboard.press('x');
    await eventually(async () => assert.match(await bar(page).innerText(), /^4 selected/));
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.getByRole('button', { name: 'Copy ids' }).click();
    await eventually(async () => assert.equal((await page.evaluate(() => navigator.clipboard.readText())).split('\n').length, 4));
    await page.keyboard.press('Escape');
    await eventually(async () => assert.equal(await bar(page).count(), 0));
  });
});

scene('all that queue are canceled from the menu of their group, and nothing else', async () => {
  const metadata = { bulk: 4 };
  const running = await create('works', 'q', { metadata });
  await log(running, 'at work', { status: 'RUNNING' });
  const mine = [await create('waits', 'q', { metadata }), await create('waits', 'q', { metadata })];
  const other = await create('elsewhere', 'q');
  await play('/activities?metadata.bulk=4', async (page) => {
    await eventually(async () => assert.deepEqual(await groups(page), ['Running 1', 'Queued 2']));
    assert.equal(await page.getByText('Cancel all queued…').count(), 0, 'what destroys is in a menu');
    await page.getByRole('button', { name: 'Actions for queued activities' }).click();
    await state(page, 'group-menu');
    await page.getByRole('menuitem', { name: 'Cancel all queued…' }).click();
    assert.match(await dialog(page).innerText(), /Cancel 2 queued activities\?[^]*bulk=4/);
    await state(page, 'confirm-queued');
    await page.getByRole('button', { name: 'Cancel 2', exact: true }).click();
    await eventually(async () => assert.equal(await text(page, '.told span'), '2 canceled.'));
    await eventually(async () => assert.deepEqual(await groups(page), ['Running 1', 'Finished 2']));
  });
  assert.deepEqual(await Promise.all([...mine, other, running].map(statusOf)), ['CANCELED', 'CANCELED', 'QUEUED', 'RUNNING']);
});

scene('a token that may only read is offered no cancel', async () => {
  await create('look only', 'q', { metadata: { bulk: 5 } });
  await play(`${await move('/guarded')}/activities?metadata.bulk=5#token=${await token('--read')}`, async (page) => {
    await live(page);
    await eventually(async () => assert.equal((await rows(page)).length, 1));
    assert.equal(await page.getByRole('button', { name: 'Actions for queued activities' }).count(), 0);
    assert.equal(await page.getByRole('button', { name: 'More actions' }).count(), 0);
    await check(page, 'look only').check({ force: true });
    await eventually(async () => assert.match(await bar(page).innerText(), /^1 selected/));
    assert.equal(await page.getByRole('button', { name: /^Cancel \d/ }).count(), 0);
    assert.deepEqual((await row(page, 'look only')).chips, [], 'nor does it see metadata');
  });
});
