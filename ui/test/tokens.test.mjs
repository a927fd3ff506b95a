// A server that asks for tokens: they are asked for, told apart, and say what may be done.

import assert from 'node:assert/strict';
import { create, eventually, log, move, play, scene, state, statusOf, token } from './stage.mjs';
import { live, row, rows, shows, text, types } from './screen.mjs';

const guarded = await move('/guarded');
const refused = async (page, reason) => {
  await eventually(async () => assert.match(await text(page, '#enter [role=alert]'), reason));
  assert.equal(await text(page, '#connection'), 'Not signed in');
};

scene('a server that wants a token says so, and is let in with one', async () => {
  const id = await create('guarded', 'for those with a token');
  await play(guarded + '/activities/' + id, async (page) => {
    await refused(page, /A token is needed/);
    await state(page, 'token');
    assert.deepEqual(await rows(page), []);
    for (const [bad, reason] of [['nonsense', /malformed/], ['two words', /no token/], ['<b>"\u202e', /no token/]]) {
      await page.fill('#token', bad);
      await page.click('#enter button');
      await refused(page, reason);
    }
    await page.fill('#token', await token('--read'));
    await page.click('#enter button');
    await live(page);
    assert.equal(await page.locator('#enter').count(), 0);
    await shows(page, 'for those with a token');
    await page.reload();
    await live(page); // it lives as long as the tab
    await shows(page, 'for those with a token');
  });
  await play(guarded + '/', (page) => refused(page, /A token is needed/)); // and no longer
});

scene('a token that runs out is asked for anew, and nothing is lost', async () => {
  const id = await create('outlives', 'line 1');
  // The token outlives the loading of the page, however slow this machine is.
  const began = Date.now();
  await play(`${guarded}/activities/${id}#token=${await token('--read')}`, (page) => shows(page, 'line 1'));
  const lifetime = 6_000 + 4 * (Date.now() - began);
  await play(`${guarded}/activities/${id}#token=${await move('/token/expiring', `${lifetime}ms`)}`, async (page) => {
    await shows(page, 'line 1');
    assert.equal(page.url(), `${guarded}/activities/${id}`, 'it is out of sight');
    await eventually(async () => assert.match(await text(page, '#enter [role=alert]'), /The token has expired/), 2 * lifetime);
    await refused(page, /The token has expired/);
    await state(page, 'token-expired');
    await log(id, 'line 2');
    await page.fill('#token', await token('--read'));
    await page.keyboard.press('Enter');
    await shows(page, 'line 1', 'line 2');
    await live(page);
  });
});

scene('what a token does not allow is not offered', async () => {
  const id = await create('guarded', 'working');
  const offered = async (page) => page.locator('#cancel').count();
  const offeredForAll = async (page) => page.getByRole('button', { name: 'More actions' }).count();
  await play(`${guarded}/activities/${id}#token=${await token('--read', '--write')}`, async (page) => {
    await live(page);
    await shows(page, 'working');
    assert.equal(await offered(page), 0);
    await state(page, 'read-only');
    await page.keyboard.press('Escape');
    await eventually(async () => assert.ok(await row(page, 'guarded')));
    assert.equal(await offeredForAll(page), 0);
  });
  await play(`${guarded}/activities/${id}#token=${await token('--read', '--cancel')}`, async (page) => {
    await live(page);
    await shows(page, 'working');
    await eventually(async () => assert.equal(await offered(page), 1));
    await page.locator('#cancel').click();
    await page.getByRole('button', { name: 'Cancel it' }).click();
    await eventually(async () => assert.equal(await text(page, '.title .ax-pill'), 'Canceled'));
    await page.keyboard.press('Escape');
    await eventually(async () => assert.equal(await offeredForAll(page), 1));
  });
  assert.equal(await statusOf(id), 'CANCELED');
});

scene('a token shows what lies in its scope, and no more', async () => {
  const mine = await create('mine', 'hello', { metadata: { org: '1' } });
  const theirs = await create('theirs', 'secret', { metadata: { org: '2' } });
  const other = await create('mine', 'hello', { metadata: { org: '1' } });
  await play(`${guarded}/activities#token=${await token('--read', '--cancel', '--metadata=org=1')}`, async (page) => {
    await eventually(async () => assert.deepEqual(await types(page), ['mine', 'mine']));
    await page.getByRole('button', { name: 'More actions' }).click();
    await page.getByRole('menuitem', { name: 'Cancel all running and queued…' }).click();
    await page.getByRole('button', { name: 'Cancel 2', exact: true }).click();
    await eventually(async () => assert.equal((await row(page, 'mine')).status, 'canceled'));
    await page.goto(`${guarded}/activities/${theirs}`);
    await eventually(async () => assert.match(await text(page, '#message'), /No such activity/));
  });
  assert.deepEqual(await Promise.all([mine, other, theirs].map(statusOf)), ['CANCELED', 'CANCELED', 'QUEUED']);
});

scene('a token that may not read is said to be of no use', async () => {
  await play(`${guarded}/#token=${await token('--write')}`, async (page) => {
    await refused(page, /read/);
    assert.deepEqual(await rows(page), []);
  });
});
