// Small screens, dark ones, and the keyboard alone.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { create, createMany, eventually, log, logMany, play, scene, state } from './stage.mjs';
import { live, rowOf, rows, seqs, text } from './screen.mjs';

const phone = { viewport: { width: 375, height: 740 }, hasTouch: true, isMobile: true };
const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight);

scene('it works at 375 px', async () => {
  const long = 'a-type-with-a-rather-long-name-that-does-not-fit-on-a-phone';
  const id = await create(long, 'a first line that is long enough to need more than one line on a phone');
  await log(id, 'half way through the work of the day', { status: 'RUNNING', percentage: 50, data: { a: 1 } });
  await createMany('others', 8);
  await play('/activities', async (page) => {
    await live(page);
    await page.locator('.row').first().waitFor();
    assert.ok(await fits(page));
    assert.equal(await page.locator('.detail').count(), 0);
    await eventually(async () => assert.ok((await rows(page)).length >= 9));
    await state(page, 'phone-list');
    await rowOf(page, long).tap();
    await eventually(async () => assert.deepEqual(await seqs(page), [1, 2]));
    assert.ok(await page.locator('.list').isHidden());
    assert.ok(await fits(page));
    assert.ok(await page.locator('#connection').isVisible());
    await state(page, 'phone-detail');
    await page.locator('.detail').getByRole('button', { name: 'More actions' }).tap();
    await page.getByRole('menuitem', { name: 'Cancel…' }).tap();
    assert.ok(await fits(page));
    await state(page, 'phone-confirm');
    await page.getByRole('dialog').getByRole('button', { name: /^Keep/ }).tap();
    await page.getByRole('link', { name: 'All activities' }).tap();
    await eventually(async () => assert.ok(await page.locator('.list').isVisible()));
    assert.equal(new URL(page.url()).pathname, '/activities');
    await page.locator('.conn').tap();
    assert.match(await page.getByRole('dialog').innerText(), /^Live/, 'the words are behind the mark');
    assert.ok(await fits(page));
    await state(page, 'phone-connection');
  }, phone);
  await play('/activities/' + randomUUID(), async (page) => {
    await eventually(async () => assert.match(await text(page, '#message'), /No such activity/));
    assert.ok(await page.getByRole('link', { name: 'All activities' }).isVisible());
    await state(page, 'phone-unknown');
  }, phone);
});

scene('it is dark where the person prefers that', async () => {
  const id = await create('night', 'in the dark');
  const luminance = async (page) => (await page.evaluate(() => getComputedStyle(document.querySelector('.detail')).backgroundColor)).match(/\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b);
  for (const [colorScheme, dark] of [['dark', true], ['light', false]]) {
    await play('/activities/' + id, async (page) => {
      await eventually(async () => assert.deepEqual(await seqs(page), [1]));
      assert.equal((await luminance(page)) < 150, dark);
    }, { colorScheme });
  }
});

scene('the keyboard alone will do', async () => {
  await createMany('keys', 60);
  const id = await create('topmost');
  await logMany(id, 3);
  await play('/activities', async (page) => {
    await live(page);
    await page.locator('.row').first().waitFor();
    const focused = () => page.evaluate(() => document.activeElement.closest('[data-id]')?.dataset.id ?? document.activeElement.className);
    const order = (await rows(page)).map((r) => r.id);
    const at = (n) => eventually(async () => assert.equal(await focused(), order[n]));
    const press = (key) => page.keyboard.press(key);

    await press('j');
    await at(0);
    await press('j');
    await press('j');
    await at(2);
    await press('k');
    await at(1);
    await press('k');
    await press('k');
    await at(0);
    const ids = new Set([await focused()]);
    for (let n = 0; n < 40; n++) {
      await press('j');
      await eventually(async () => assert.ok(!ids.has(await focused())));
      ids.add(await focused());
    }
    assert.ok(await page.evaluate(() => {
      const [row, box] = [document.activeElement.closest('.row'), document.querySelector('.list')].map((e) => e.getBoundingClientRect());
      return row.top >= box.top && row.bottom <= box.bottom;
    }), 'what has the focus is in sight, far down too');

    const here = await focused();
    await press('Enter');
    await eventually(async () => assert.equal(new URL(page.url()).pathname, '/activities/' + here));
    await press('j');
    await press('Enter');
    await eventually(async () => assert.notEqual(new URL(page.url()).pathname, '/activities/' + here));
    await press('Escape');
    await eventually(async () => assert.equal(new URL(page.url()).pathname, '/activities'));

    await press('/');
    await eventually(async () => assert.equal(await focused(), 'find'));
    await page.keyboard.type('jk?/topmost');
    await eventually(async () => assert.match(await text(page, '#unmatched'), /No activity matches/));
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.type('topmost');
    await eventually(async () => assert.equal((await rows(page)).length, 1));
    await press('Escape'); // closes the completions
    if ((await focused()) === 'find') await press('Escape');
    await eventually(async () => assert.notEqual(await focused(), 'find'));
    await press('j');
    await press('Enter');
    await eventually(async () => assert.equal(await text(page, '.title h2'), 'topmost'));

    await press('?');
    const dialog = page.locator('dialog[open]');
    await eventually(async () => assert.match(await dialog.innerText(), /Search[^]*Next activity/));
    await state(page, 'help');
    const url = page.url();
    await press('j');
    await press('/');
    await press('Escape');
    await eventually(async () => assert.equal(await dialog.count(), 0));
    assert.equal(page.url(), url, 'a dialog takes the keys');
    await eventually(async () => assert.deepEqual(await seqs(page), [1, 2, 3]));
    await press('Escape');
    await eventually(async () => assert.equal(new URL(page.url()).pathname, '/activities'));
  });
});
