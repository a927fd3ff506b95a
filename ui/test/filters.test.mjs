// The filters of the list: by status, type, metadata and free text, all in the address.

import assert from 'node:assert/strict';
import { create, createMany, eventually, finish, log, play, scene, sql, state } from './stage.mjs';
import { proxy } from './proxy.mjs';
import { counts, groups, live, row, rowOf, rows, text, types } from './screen.mjs';

const query = (page) => Object.fromEntries(new URL(page.url()).searchParams);
const shows = (page, ...expected) => eventually(async () => assert.deepEqual((await types(page)).sort(), expected.sort()));

scene('by status', async () => {
  const id = await create('failing');
  await finish(id, 'error', 'it broke');
  await create('waiting');
  await play('/', async (page) => {
    await shows(page, 'failing', 'waiting');
    await page.locator('.filter[data-status=ERROR]').click();
    await shows(page, 'failing');
    assert.deepEqual(query(page), { status: 'ERROR' });
    assert.equal(await page.locator('.filter[data-status=ERROR]').getAttribute('aria-pressed'), 'true');
    const { QUEUED, ERROR } = await counts(page);
    assert.deepEqual([QUEUED, ERROR], ['1', '1'], 'the counts say what the others would show');

    await rowOf(page, 'failing').click();
    await eventually(async () => assert.equal(await text(page, '.title h2'), 'failing'));
    await page.reload();
    await shows(page, 'failing');
    await eventually(async () => assert.equal(await text(page, '.title h2'), 'failing', 'a filter and an activity are one address'));

    await log(id, 'again', { status: 'RUNNING' });
    await shows(page);
    await page.locator('.filter[data-status=QUEUED]').click();
    await shows(page, 'waiting');
    assert.deepEqual(query(page), { status: 'ERROR,QUEUED' });
    await page.locator('.filter[data-status=CANCELED]').click();
    await page.locator('.filter[data-status=QUEUED]').click();
    await page.locator('.filter[data-status=ERROR]').click();
    await eventually(async () => assert.match(await text(page, '#unmatched'), /No activity matches/));
    await state(page, 'unmatched');
    await page.getByRole('button', { name: 'Show all activities' }).click();
    await shows(page, 'failing', 'waiting');
    assert.equal(new URL(page.url()).search, '');

    await page.goBack();
    await eventually(async () => assert.deepEqual(query(page), { status: 'CANCELED' }));
    await shows(page);
    await page.goto(new URL('/?status=NONSENSE,RUNNING', page.url()).href);
    await shows(page, 'failing');
  });
});

scene('by type', async () => {
  const type = `it's "a" type, 100% & <b>`;
  await create(type);
  await createMany('bulk', 30);
  await play('/', async (page) => {
    await live(page);
    const field = page.getByLabel('Type, exactly');
    await field.fill(type);
    await field.press('Enter');
    await shows(page, type);
    assert.deepEqual(query(page), { agent_type: type });
    await page.reload();
    await shows(page, type);
    assert.equal(await field.inputValue(), type);
    const { ALL, QUEUED } = await counts(page);
    assert.deepEqual([ALL, QUEUED], ['1', '1'], 'the counts are those of the type');
    await create(type, 'another');
    await create('none of these');
    await shows(page, type, type);

    assert.ok((await page.locator('#types option').evaluateAll((all) => all.map((o) => o.value))).includes(type));
    await field.fill('');
    await field.press('Enter');
    await eventually(async () => assert.deepEqual(await groups(page), ['Running 1', 'Queued 34']));
    assert.equal(new URL(page.url()).search, '');
  });
});

scene('by metadata, whatever its values', async () => {
  const value = `O'Neil "x" = \\ ü %22 <i>`;
  await create('quoted', 'queued', { metadata: { org: value, team: 'a' } });
  await create('plain', 'queued', { metadata: { org: '1', team: 'a' } });
  await create('flag', 'queued', { metadata: { org: true } });
  await create('word', 'queued', { metadata: { org: 'true' } });
  await create('none', 'queued', { metadata: { org: null } });
  await create('number', 'queued', { metadata: { org: 42, team: 'b' } });
  await create('digits', 'queued', { metadata: { org: '42' } });
  await play('/', async (page) => {
    await live(page);
    const field = page.getByLabel('Metadata, key=value');
    const by = async (text, ...expected) => {
      await field.fill(text);
      await field.press('Enter');
      await shows(page, ...expected);
    };
    await by('team = a', 'quoted', 'plain');
    await by('org=' + value, 'quoted');
    assert.deepEqual(query(page), { 'metadata.team': 'a', 'metadata.org': value });
    await page.reload();
    await shows(page, 'quoted');
    assert.deepEqual(await page.locator('.chosen bdi').allTextContents(), ['team=a', 'org=' + value]);
    assert.equal((await counts(page)).ALL, '1');
    await state(page, 'filtered');
    await page.getByRole('button', { name: 'Remove org=' }).click();
    await shows(page, 'quoted', 'plain');
    await page.getByRole('button', { name: 'Remove team=a' }).click();
    await eventually(async () => assert.ok((await rows(page)).length > 5));

    await by('org=1', 'plain');
    await by('org=true', 'flag');
    await by('org="true"', 'word');
    await by('org=null', 'none');
    await by('org=42', 'number', 'digits');
    assert.equal((await counts(page)).ALL, '2');
    await by('org="42"', 'digits');
    await by('org=042');
    await by('org=42', 'number', 'digits');
    await by('team=b', 'number');
    await page.reload();
    await shows(page, 'number');
    await page.getByRole('button', { name: 'Remove team=b' }).click();
    await shows(page, 'number', 'digits');
    await by('no such key=1');
    await field.fill('no sign of equality');
    assert.equal(await field.getAttribute('aria-invalid'), 'true');
    await field.press('Enter');
    assert.equal(await field.inputValue(), 'no sign of equality', 'what cannot be used is not lost');
  });
});

scene('by a number in the metadata, over more than the feed has, and without WebSockets', async () => {
  await sql(`select count(agentexec.create_activity('deeper', 'number ' || n, metadata => case n % 2 when 0 then '{"n": 7.5}' else '{"n": "7.5"}' end::jsonb)) from generate_series(1, 320) n`);
  const p = await proxy();
  try {
    for (const sockets of [true, false]) {
      p.set({ sockets });
      await play(p.url + '/?metadata.n=7.5', async (page) => {
        await eventually(async () => assert.equal((await counts(page)).QUEUED, '320'));
        await eventually(async () => {
          await page.locator('.list').evaluate((e) => (e.scrollTop = e.scrollHeight));
          assert.equal(await page.locator('.place').last().getAttribute('aria-posinset'), '320');
        });
      });
    }
  } finally {
    p.close();
  }
});

scene('by metadata, over more than the feed has', async () => {
  await sql(`select count(agentexec.create_activity('deep', 'number ' || n, metadata => '{"org": "say \\"hi\\", it''s"}')) from generate_series(1, 320) n`);
  await play('/?' + new URLSearchParams({ 'metadata.org': `say "hi", it's` }), async (page) => {
    await eventually(async () => assert.ok((await rows(page)).length > 5));
    await eventually(async () => {
      await page.locator('.list').evaluate((e) => (e.scrollTop = e.scrollHeight));
      assert.equal(await page.locator('.place').last().getAttribute('aria-posinset'), '320');
    });
    assert.deepEqual(await groups(page), ['Queued 320']);
    assert.equal((await counts(page)).QUEUED, '320');
  });
});

scene('by free text, in the type and the id, down to the last activity', async () => {
  const needle = await create('Straw-Needle');
  await createMany('hay', 1100);
  await play('/', async (page) => {
    await live(page);
    await page.fill('.find', 'NEEDLE');
    await shows(page, 'Straw-Needle');
    assert.deepEqual(query(page), { q: 'NEEDLE' });
    await page.fill('.find', needle.slice(9, 23).toUpperCase());
    await shows(page, 'Straw-Needle');
    await page.reload();
    await shows(page, 'Straw-Needle');
    assert.equal(await page.locator('.find').inputValue(), needle.slice(9, 23).toUpperCase());
    await page.fill('.find', 'no such thing <b>');
    await eventually(async () => assert.match(await text(page, '#unmatched'), /No activity matches/));
    await page.fill('.find', 'later');
    await create('comes later');
    await shows(page, 'comes later');
    await page.fill('.find', '');
    await eventually(async () => assert.equal(await row(page, 'Straw-Needle'), undefined));
    assert.equal(new URL(page.url()).search, '');
  });
});

scene('a filter that the server refuses says so, and how to leave it', () =>
  play('/?agent_type=a%00b', async (page) => {
    await eventually(async () => assert.match(await text(page, '.list'), /must not contain U\+0000/));
    await state(page, 'refused-filter');
    await page.getByRole('button', { name: 'Show all activities' }).click();
    await eventually(async () => assert.ok((await rows(page)).length > 5));
    await live(page);
  }));
