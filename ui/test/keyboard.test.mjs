// The keys of the frame, and the help that lists what a page has registered.

import assert from 'node:assert/strict';
import { create, eventually, play, scene, state } from './stage.mjs';
import { live, text } from './screen.mjs';

const pathname = (page) => new URL(page.url()).pathname;
const at = (page, path) => eventually(() => assert.equal(pathname(page), path));
const help = (page) => page.getByRole('dialog', { name: 'Keyboard' });

scene('two keys go to the overview and to the activities', async () => {
  const id = await create('keys', 'line 1');
  await play('/activities/' + id, async (page) => {
    await live(page);
    await page.keyboard.press('g');
    await page.keyboard.press('o');
    await at(page, '/');
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await page.keyboard.press('g');
    await page.keyboard.press('a');
    await at(page, '/activities');
    await page.goBack();
    await at(page, '/');
  });
});

scene('Esc closes the activity, and leaves a field first', async () => {
  const id = await create('keys', 'line 1');
  await play('/activities/' + id, async (page) => {
    await live(page);
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement.matches('.search-place input')), true);
    await page.keyboard.press('Escape');
    assert.equal(await page.evaluate(() => document.activeElement.matches('input')), false);
    await at(page, '/activities/' + id);
    await page.keyboard.press('Escape');
    await at(page, '/activities');
  });
});

scene('the help lists the keys of the page, and keys do nothing behind it', async () => {
  await create('keys');
  await play('/', async (page) => {
    await live(page);
    await page.keyboard.press('?');
    const said = await help(page).innerText();
    for (const words of ['Search', 'Go to the overview', 'Go to the activities', 'Show these keys']) assert.ok(said.includes(words), words);
    await state(page, 'keyboard-help');
    await page.keyboard.press('g');
    await page.keyboard.press('a');
    assert.equal(pathname(page), '/');
    await page.keyboard.press('Escape');
    assert.equal(await help(page).count(), 0);
    await page.getByRole('button', { name: 'Keyboard shortcuts' }).click();
    await help(page).getByRole('button', { name: 'Close' }).click();
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Keyboard shortcuts', 'the focus is back');
  });
});

scene('keys are text in a field, and commands of the browser with modifiers', async () => {
  await create('keys');
  await play('/', async (page) => {
    await live(page);
    for (const modifier of ['Control', 'Alt', 'Meta']) await page.keyboard.press(modifier + '+?');
    assert.equal(await help(page).count(), 0);
    await page.keyboard.press('/');
    await page.keyboard.type('go?');
    await eventually(async () => assert.equal(await page.locator('.search-place input').inputValue(), 'go?'));
    assert.equal(await help(page).count(), 0);
    assert.equal(await text(page, '#connection'), 'Live');
  });
});
