// The search field: filters are typed as tokens, completed, shown as chips and taken off again; words are searched for.

import assert from 'node:assert/strict';
import { create, createMany, eventually, finish, play, scene, sql, state } from './stage.mjs';
import { live, row, rows, search, text, tokens, types } from './screen.mjs';

const query = (page) => Object.fromEntries(new URL(page.url()).searchParams);
const shows = (page, ...expected) => eventually(async () => assert.deepEqual((await types(page)).sort(), expected.sort()));
const options = (page) => page.$$eval('[role=option] code', (all) => all.map((e) => e.textContent));

scene('tokens become chips, and the rest is text', async () => {
  await create('research', 'about batteries', { metadata: { org: 1, topic: 'solid state' } });
  await create('research', 'about wind', { metadata: { org: 2 } });
  await create('review', 'about batteries', { metadata: { org: 1 } });
  await play('/activities', async (page) => {
    await live(page);
    const field = page.locator('.find');
    await field.pressSequentially('type:research org=1 bat');
    await shows(page, 'research');
    assert.deepEqual(await tokens(page), ['type:research', 'org=1']);
    assert.equal(await field.inputValue(), 'bat');
    await eventually(async () => assert.deepEqual(query(page), { agent_type: 'research', 'metadata.org': '1', q: 'bat' }));
    await state(page, 'search-tokens');

    await page.getByRole('button', { name: 'Remove org=1' }).click();
    await eventually(async () => assert.deepEqual(await tokens(page), ['type:research']));
    await field.fill('');
    await field.press('Backspace');
    await eventually(async () => assert.deepEqual(await tokens(page), []));
    await shows(page, 'research', 'research', 'review');

    await field.fill('topic="solid state" status:queued since:1h sort:duration order:asc');
    await field.press('Enter');
    await shows(page, 'research');
    await eventually(async () => assert.deepEqual(query(page), { status: 'QUEUED', 'metadata.topic': 'solid state', since: '1h', sort: 'duration', order: 'asc' }));
    assert.deepEqual(await tokens(page), ['status:queued', 'topic="solid state"', 'since:1h', 'sort:duration', 'order:asc']);
    await page.reload();
    await shows(page, 'research');
    assert.equal((await tokens(page)).length, 5, 'the address holds all of it');
    await page.goBack();
  });
});

scene('a token that is none says what it takes', () =>
  play('/activities', async (page) => {
    await live(page);
    await search(page, 'status:nonsense');
    await eventually(async () => assert.match(await text(page, '.search-problem'), /^status: takes running, queued, complete, error, canceled, waiting, stale or stopping$/));
    assert.equal(await page.locator('.find').inputValue(), 'status:nonsense', 'what cannot be used is not lost');
    assert.equal(await page.locator('.find').getAttribute('aria-invalid'), 'true');
    await state(page, 'search-problem');
    await page.locator('.find').blur();
    assert.match(await text(page, '.search-problem'), /^status: takes /, 'as long as the query is in force');
  }));

scene('an unknown filter is searched for as text, and the page says so', async () => {
  await create('misspelled', 'see https://example.org/a and note:this');
  await play('/activities', async (page) => {
    await live(page);
    const field = page.locator('.find');
    await field.fill('typ:misspelled ');
    await eventually(async () => assert.match(await text(page, '#misspelled'), /^There is no filter typ:, so typ:misspelled is searched for as text\. The filters are type:, status:/));
    await field.fill('https://example.org/none ');
    await page.locator('#unmatched code', { hasText: 'example.org/none' }).waitFor();
    assert.equal(await page.locator('#misspelled').count(), 0);
    await field.fill('note:this ');
    await eventually(async () => assert.equal((await rows(page)).length, 1));
  });
});

scene('a wrong value in the address is a token that says what it takes', async () => {
  await create('any', 'q');
  for (const [address, token] of [['q=status:nonsense', 'status:nonsense'], ['status=NONSENSE', 'status:NONSENSE'], ['since=x', 'since:x']]) {
    await play('/activities?' + address, async (page) => {
      await live(page);
      await eventually(async () => assert.match(await text(page, '.search-problem'), /^(status|since): takes /));
      assert.equal(await page.locator('.find').inputValue(), token);
      assert.doesNotMatch(await page.locator('.list').innerText(), /Searched all/);
      await page.locator('.find').fill('');
      await eventually(async () => assert.equal(await page.locator('.search-problem').count(), 0));
      assert.equal(new URL(page.url()).search, '');
    });
  }
});

scene('what is typed is completed from what was seen, by keyboard and by pointer', async () => {
  await create('summarise', 'queued', { metadata: { stage: 'draft', lang: 'de' } });
  await play('/activities', async (page) => {
    await eventually(async () => assert.ok(await row(page, 'summarise')));
    const field = page.locator('.find');
    const press = (key) => page.keyboard.press(key);
    await press('/');
    assert.equal(await field.getAttribute('role'), 'combobox');
    await field.pressSequentially('sta');
    await eventually(async () => assert.deepEqual(await options(page), ['status:', 'stale:', 'stage=']));
    assert.equal(await field.getAttribute('aria-expanded'), 'true');
    await state(page, 'search-completion');
    await press('ArrowDown');
    const active = await field.getAttribute('aria-activedescendant');
    assert.equal(await page.locator(`[id="${active}"]`).getAttribute('aria-selected'), 'true');
    await press('Enter');
    assert.equal(await field.inputValue(), 'status:');
    await eventually(async () => assert.deepEqual(await options(page), ['status:running', 'status:queued', 'status:complete', 'status:error', 'status:canceled', 'status:waiting', 'status:stopping']));
    await field.pressSequentially('que');
    await press('ArrowDown');
    await press('Enter');
    await eventually(async () => assert.deepEqual(await tokens(page), ['status:queued']));
    assert.equal(await field.inputValue(), '');

    await field.pressSequentially('stag');
    await page.locator('[role=option]', { hasText: 'stage=' }).click();
    await eventually(async () => assert.deepEqual(await options(page), ['stage=draft']));
    await page.locator('[role=option]').click();
    await eventually(async () => assert.deepEqual(query(page), { status: 'QUEUED', 'metadata.stage': 'draft' }));
    await shows(page, 'summarise');

    await field.pressSequentially('type:sum');
    await eventually(async () => assert.deepEqual(await options(page), ['type:summarise']));
    await press('Escape');
    await eventually(async () => assert.equal(await field.getAttribute('aria-expanded'), 'false'));
    assert.equal(await page.evaluate(() => document.activeElement.className), 'find', 'the first Esc closes the completions');
    await press('Escape');
    await eventually(async () => assert.notEqual(await page.evaluate(() => document.activeElement.className), 'find'));
  });
});

scene('a pasted text is taken as a whole, from the overview too', async () => {
  await play('/', async (page) => {
    await live(page);
    const field = page.locator('.find');
    await field.focus();
    await page.evaluate(() => {
      const field = document.querySelector('.find');
      field.dispatchEvent(new ClipboardEvent('paste', { bubbles: true }));
      document.execCommand('insertText', false, 'type:research org=1 stage=draft');
    });
    await eventually(async () => assert.deepEqual(query(page), { agent_type: 'research', 'metadata.org': '1', 'metadata.stage': 'draft' }));
    assert.equal(new URL(page.url()).pathname, '/activities');
    assert.deepEqual(await tokens(page), ['type:research', 'org=1', 'stage=draft']);
  });
});

scene('an id or the beginning of one is found, however far down', async () => {
  const id = await create('buried', 'long ago');
  await finish(id, 'complete', 'done');
  await sql(`update agentexec.activity set created_at = now() - interval '9 days', finished_at = now() - interval '9 days' where agent_id = '${id}'`);
  await createMany('above', 2300);
  await play('/activities', async (page) => {
    await live(page);
    await page.fill('.find', id.slice(0, 8));
    await shows(page, 'buried');
    await page.fill('.find', id);
    await shows(page, 'buried');
  });
});

scene('a search for text says how much it read, and reads further when asked', async () => {
  await play('/activities?q=no+such+words', async (page) => {
    await eventually(async () => assert.match(await text(page, '#further'), /^Searched 2,[\d]{3} activities/), 60_000);
    await state(page, 'search-further');
    await page.getByRole('button', { name: 'Search further' }).click();
    await eventually(async () => assert.match(await text(page, '#unmatched'), /No activity matches/), 60_000);
  });
});

scene('what is typed is shown as text', () => {
  const html = '<img src=x onerror="window.pwned = 1">';
  return play('/activities?' + new URLSearchParams({ q: html, agent_type: html, [`metadata.${html}`]: html }), async (page) => {
    await live(page);
    assert.equal((await tokens(page)).length, 2);
    assert.equal(await page.locator('img').count(), 0);
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.deepEqual(await rows(page), []);
  });
});
