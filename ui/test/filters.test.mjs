// The filters of the list: by status, type, metadata and free text, all in the address. search.test.mjs has the field itself.

import assert from 'node:assert/strict';
import { create, createMany, eventually, finish, log, play, scene, sql, state } from './stage.mjs';
import { proxy } from './proxy.mjs';
import { groups, live, row, rowOf, rows, search, text, tokens, types, views } from './screen.mjs';

const query = (page) => Object.fromEntries(new URL(page.url()).searchParams);
const shows = (page, ...expected) => eventually(async () => assert.deepEqual((await types(page)).sort(), expected.sort()));

scene('by status', async () => {
  const id = await create('failing');
  await finish(id, 'error', 'it broke');
  await create('waiting');
  await play('/activities', async (page) => {
    await shows(page, 'failing', 'waiting');
    await search(page, 'status:error');
    await shows(page, 'failing');
    assert.deepEqual(query(page), { status: 'ERROR' });
    await eventually(async () => assert.equal((await views(page)).All, '2', 'the views count what they would show'));

    await rowOf(page, 'failing').locator('.type').click();
    await eventually(async () => assert.equal(new URL(page.url()).pathname, '/activities/' + id));
    await page.reload();
    await shows(page, 'failing');
    assert.deepEqual(query(page), { status: 'ERROR' }, 'a filter and an activity are one address');
    await page.goto(new URL('/activities?status=ERROR', page.url()).href);

    await log(id, 'again', { status: 'RUNNING' });
    await shows(page);
    await search(page, 'status:queued');
    await shows(page, 'waiting');
    await eventually(async () => assert.deepEqual(query(page), { status: 'QUEUED,ERROR' }));
    await page.getByRole('button', { name: 'Remove status:queued' }).click();
    await eventually(async () => assert.match(await text(page, '#unmatched'), /No activity matches[^]*status:error/));
    await state(page, 'unmatched');
    await page.getByRole('button', { name: 'Show all activities' }).click();
    await shows(page, 'failing', 'waiting');
    assert.equal(new URL(page.url()).search, '');

    await page.goBack();
    await eventually(async () => assert.deepEqual(query(page), { status: 'ERROR' }));
    await shows(page);
    await page.goto(new URL('/activities?status=NONSENSE,RUNNING', page.url()).href);
    await shows(page, 'failing');
  });
});

scene('by type', async () => {
  const type = `it's "a" type, 100% & <b>`;
  await create(type);
  await createMany('bulk', 30);
  await play('/activities', async (page) => {
    await live(page);
    await search(page, `type:"${type.replaceAll('"', '\\"')}"`);
    await shows(page, type);
    assert.deepEqual(query(page), { agent_type: type });
    await page.reload();
    await shows(page, type);
    assert.equal((await tokens(page)).length, 1);
    await create(type, 'another');
    await create('none of these');
    await shows(page, type, type);
    await page.getByRole('button', { name: /^Remove type:/ }).click();
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
  await play('/activities', async (page) => {
    await live(page);
    const by = async (text, ...expected) => {
      await search(page, text);
      await shows(page, ...expected);
    };
    await by('team=a', 'quoted', 'plain');
    await by(`org="${value.replace(/["\\]/g, '\\$&')}"`, 'quoted');
    assert.deepEqual(query(page), { 'metadata.team': 'a', 'metadata.org': value });
    await page.reload();
    await shows(page, 'quoted');
    assert.equal((await tokens(page)).length, 2);
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
    await by('org="42"', 'digits');
    await by('org=042');
    await by('org=42', 'number', 'digits');
    await by('team=b', 'number');
    await page.reload();
    await shows(page, 'number');
    await page.getByRole('button', { name: 'Remove team=b' }).click();
    await shows(page, 'number', 'digits');
    await by('"no such key"=1');
  });
});

scene('a chip in a row adds its filter', async () => {
  await create('chip one', 'queued', { metadata: { stage: 'draft', n: 7, list: [1, 2], z: { a: 1 } } });
  await create('chip two', 'queued', { metadata: { stage: 'final', n: '7' } });
  await play('/activities?metadata.n=7', async (page) => {
    await shows(page, 'chip one', 'chip two');
    assert.deepEqual((await row(page, 'chip one')).chips, ['n=7', 'stage=draft']);
    assert.match(await rowOf(page, 'chip one').locator('.chips-more').innerText(), /^\+2$/);
    await rowOf(page, 'chip one').getByRole('link', { name: /^stage\s*=?\s*draft/ }).click();
    await shows(page, 'chip one');
    assert.deepEqual(query(page), { 'metadata.n': '7', 'metadata.stage': 'draft' });
    await state(page, 'chips');
  }, { viewport: { width: 1440, height: 900 } });
});

scene('by a number in the metadata, over more than the feed has, and without WebSockets', async () => {
  await sql(`select count(agentexec.create_activity('deeper', 'number ' || n, metadata => case n % 2 when 0 then '{"n": 7.5}' else '{"n": "7.5"}' end::jsonb)) from generate_series(1, 320) n`);
  const p = await proxy();
  try {
    for (const sockets of [true, false]) {
      p.set({ sockets });
      await play(p.url + '/activities?metadata.n=7.5', async (page) => {
        await eventually(async () => assert.deepEqual(await groups(page), ['Queued 320']));
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
  await play('/activities?' + new URLSearchParams({ 'metadata.org': `say "hi", it's` }), async (page) => {
    await eventually(async () => assert.ok((await rows(page)).length > 5));
    await eventually(async () => {
      await page.locator('.list').evaluate((e) => (e.scrollTop = e.scrollHeight));
      assert.equal(await page.locator('.place').last().getAttribute('aria-posinset'), '320');
    });
    assert.deepEqual(await groups(page), ['Queued 320']);
  });
});

scene('by free text, down to the last activity', async () => {
  const needle = await create('Straw-Needle', 'a line about Zebras', { metadata: { farm: 'Old MacDonald' } });
  await createMany('hay', 1100);
  await play('/activities', async (page) => {
    await live(page);
    for (const word of ['NEEDLE', 'zebras', 'macdonald', 'straw zebra', '"old mac"']) {
      await page.fill('.find', word);
      await shows(page, 'Straw-Needle');
      await eventually(async () => assert.deepEqual(query(page), { q: word }));
    }
    await page.fill('.find', needle.slice(9, 23).toUpperCase());
    await shows(page, 'Straw-Needle');
    await eventually(async () => assert.equal(query(page).q, needle.slice(9, 23).toUpperCase()));
    await page.reload();
    await shows(page, 'Straw-Needle');
    assert.equal(await page.locator('.find').inputValue(), needle.slice(9, 23).toUpperCase());
    await eventually(async () => assert.match(await text(page, '.list .note'), /^Searched all [\d,]+ activities\.$/));
    await page.fill('.find', 'no such thing <b>');
    await eventually(async () => assert.match(await text(page, '#unmatched'), /No activity matches/));
    await page.fill('.find', 'later');
    await create('comes later');
    await shows(page, 'comes later');
    await page.fill('.find', '');
    await eventually(async () => assert.equal(await row(page, 'Straw-Needle'), undefined));
    await eventually(async () => assert.equal(new URL(page.url()).search, ''));
  });
});

scene('a filter that the server refuses says so, and how to leave it', () =>
  play('/activities?agent_type=a%00b', async (page) => {
    await eventually(async () => assert.match(await text(page, '.list'), /must not contain U\+0000/));
    await state(page, 'refused-filter');
    await page.getByRole('button', { name: 'Show all activities' }).click();
    await eventually(async () => assert.ok((await rows(page)).length > 5));
    await live(page);
  }));

scene('those that are stopping', async () => {
  const id = await create('stops');
  const other = await create('runs');
  for (const each of [id, other]) await log(each, 'go', { status: 'RUNNING' });
  await play('/activities', async (page) => {
    await live(page);
    await search(page, 'is:stopping');
    await shows(page);
    assert.deepEqual(query(page), { stopping: 'true' });
    await sql(`select (agentexec.cancel('${id}', 'enough', '1 h')).seq`);
    await shows(page, 'stops');
    await eventually(async () => assert.match(await rowOf(page, 'stops').innerText(), /Stopping/));
    await finish(id, 'complete', 'done');
    await shows(page);
  });
});
