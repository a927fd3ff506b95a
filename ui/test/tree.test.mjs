// Trees: rows that unfold, their children live, the group "Needs me", a cancel of a whole tree, and the tab Children.

import assert from 'node:assert/strict';
import { create, eventually, finish, log, play, scene, sql, state, statusOf } from './stage.mjs';
import { groups, live, row, rowOf, rows, search, text, tokens, types, views } from './screen.mjs';

const twisty = (page, type) => rowOf(page, type).locator('.twisty');
const grid = (page, type) => page.locator('[role=row]').filter({ has: page.locator('.row').filter({ has: page.getByText(type, { exact: true }) }) });
const quote = (text) => `'${text.replaceAll("'", "''")}'`;
const ask = (id, key, prompt) => sql(`select (agentexec.ask('${id}', ${quote(key)}, ${quote(prompt)})).key`);
const answer = (id, key) => sql(`select (agentexec.answer('${id}', ${quote(key)}, 'true', 'operator')).key`);
const focusedType = (page) => page.evaluate(() => document.activeElement.closest('.row, .child')?.querySelector('.type')?.textContent);
const dialog = (page) => page.locator('dialog[open]');

// child registers a child and has it run.
async function child(parent, type, message = 'at work', percentage = 10, more = {}) {
  const id = await create(type, 'queued', { parent_agent_id: parent, ...more });
  await log(id, message, { status: 'RUNNING', percentage });
  return id;
}
async function running(type, metadata, message = 'at work') {
  const id = await create(type, 'queued', { metadata });
  await log(id, message, { status: 'RUNNING', percentage: 40 });
  return id;
}
const manyChildren = (parent, type, n) => sql(`select count(agentexec.create_activity('${type}', 'page ' || n, parent_agent_id => '${parent}')) from generate_series(1, ${n}) n`);
const listed = async (page) => (await page.$$eval('[role=row] .row', (all) => all.map((r) => [r.querySelector('.type')?.textContent ?? 'rest', Number(r.dataset.level)])));

scene('the list shows roots; a row with children unfolds, and its children are live', async () => {
  const metadata = { tree: 1 };
  const root = await running('coordinator', metadata);
  const one = await child(root, 'part-one', 'reading', 20);
  await child(root, 'part-two', 'writing', 60);
  await running('alone', metadata);
  await play('/activities?metadata.tree=1', async (page) => {
    await eventually(async () => assert.deepEqual(await types(page), ['alone', 'coordinator']));
    assert.equal(await twisty(page, 'coordinator').innerText(), '2');
    assert.equal(await twisty(page, 'coordinator').getAttribute('aria-label'), '2 children: 2 running; 40 %');
    assert.equal(await twisty(page, 'alone').count(), 0);
    assert.equal(await grid(page, 'coordinator').getAttribute('aria-expanded'), 'false');
    assert.equal(await grid(page, 'alone').getAttribute('aria-expanded'), null);

    await twisty(page, 'coordinator').click();
    await eventually(async () => assert.deepEqual(await listed(page), [['alone', 1], ['coordinator', 1], ['part-two', 2], ['part-one', 2]]));
    assert.equal(await grid(page, 'coordinator').getAttribute('aria-expanded'), 'true');
    assert.deepEqual(await Promise.all(['aria-level', 'aria-posinset', 'aria-setsize'].map((name) => grid(page, 'part-one').getAttribute(name))), ['2', '2', '2']);
    assert.deepEqual((await row(page, 'part-one')).chips, [], 'what it has from its parent is not said again');
    await state(page, 'tree-unfolded');

    await log(one, 'reading page 7', { percentage: 35 });
    await eventually(async () => assert.deepEqual([(await row(page, 'part-one')).latest, (await row(page, 'part-one')).percentage], ['reading page 7', 35]));
    await child(root, 'part-three');
    await eventually(async () => assert.deepEqual((await types(page)).slice(1), ['coordinator', 'part-three', 'part-two', 'part-one']));
    await eventually(async () => assert.equal(await twisty(page, 'coordinator').innerText(), '3'));
    await finish(one, 'complete', 'all read');
    await eventually(async () => assert.equal((await row(page, 'part-one')).status, 'complete'));
    assert.equal((await row(page, 'part-one')).group, 'running', 'it stays below its parent');
    await eventually(async () => assert.match(await twisty(page, 'coordinator').getAttribute('aria-label'), /^3 children: 2 running, 1 complete;/));

    await page.reload();
    await eventually(async () => assert.equal((await listed(page)).length, 5), 'it is unfolded after a reload');
    await twisty(page, 'coordinator').click();
    await eventually(async () => assert.deepEqual(await types(page), ['alone', 'coordinator']));
  });
});

scene('a tree is walked with the keyboard, as a treegrid', async () => {
  const metadata = { tree: 2 };
  const root = await running('top', metadata);
  const middle = await child(root, 'middle');
  const low = await child(middle, 'low');
  await child(low, 'lowest');
  await running('next', metadata);
  await play('/activities?metadata.tree=2', async (page) => {
    await eventually(async () => assert.deepEqual(await types(page), ['next', 'top']));
    await rowOf(page, 'next').locator('.type').focus();
    const press = async (key, at) => {
      await page.keyboard.press(key);
      await eventually(async () => assert.equal(await focusedType(page), at, `after ${key}`));
    };
    await press('ArrowDown', 'top');
    await press('ArrowLeft', 'top'); // there is nothing to fold
    await page.keyboard.press('ArrowRight');
    for (const type of ['middle', 'low']) {
      await eventually(async () => assert.ok((await types(page)).includes(type)));
      await press('ArrowRight', type);
      await page.keyboard.press('ArrowRight');
    }
    await eventually(async () => assert.deepEqual(await listed(page), [['next', 1], ['top', 1], ['middle', 2], ['low', 3], ['lowest', 4]]));
    await press('j', 'lowest');
    await press('ArrowRight', 'lowest'); // it has no children
    await state(page, 'tree-deep');
    await press('ArrowLeft', 'low');
    await page.keyboard.press('ArrowLeft');
    await eventually(async () => assert.deepEqual(await types(page), ['next', 'top', 'middle', 'low']));
    await press('ArrowLeft', 'middle');
    await press('ArrowUp', 'top');
    await press('ArrowUp', 'next');
    await press('ArrowUp', 'next');
    await page.keyboard.press('?');
    assert.match(await dialog(page).innerText(), /Unfold or fold the children/);
  });
});

scene('a thousand children: more of them on demand, and only those in sight are drawn', async () => {
  const root = await running('fan-out', { tree: 3 });
  await manyChildren(root, 'page', 1000);
  await play('/activities?metadata.tree=3', async (page) => {
    await eventually(async () => assert.equal(await twisty(page, 'fan-out').innerText(), '1,000'));
    await twisty(page, 'fan-out').click();
    await eventually(async () => assert.ok((await rows(page)).length > 5));
    const end = () => page.evaluate(() => void (document.querySelector('.list').scrollTop = 1e9));
    const more = page.getByRole('button', { name: 'Show more' });
    for (const missing of ['900 more', '600 more']) {
      await eventually(async () => (await end(), assert.equal(await page.locator('.rest-cell > span').innerText(), missing)));
      await state(page, 'tree-more');
      await more.click();
    }
    await eventually(async () => (await end(), assert.equal(await page.locator('.rest-cell').count(), 0)));
    const { height, drawn } = await page.evaluate(() => ({ height: document.querySelector('.rows').offsetHeight, drawn: document.querySelectorAll('.row').length }));
    assert.equal(height, 32 + 1001 * 36);
    assert.ok(drawn < 60, `${drawn} rows are drawn`);
    await eventually(async () => (await end(), assert.equal(await page.locator('[role=row]').last().getAttribute('aria-posinset'), '1000')));
    await sql(`select count(agentexec.append_log(agent_id, 'fetched', 50, 'RUNNING')) from agentexec.activity where parent_agent_id = '${root}' and agent_id in (select agent_id from agentexec.activity where parent_agent_id = '${root}' order by id limit 300)`);
    await page.evaluate(() => void (document.querySelector('.list').scrollTop = 0));
    await eventually(async () => assert.equal((await rows(page))[1].latest, 'fetched', 'those that run come first'));
    await eventually(async () => assert.match(await twisty(page, 'fan-out').getAttribute('aria-label'), /^1,000 children: 700 queued, 300 running;/));
  });
});

scene('a cancel asks for the whole tree, says how many, and can leave the children alone', async () => {
  const metadata = { tree: 4 };
  const root = await running('boss', metadata);
  const below = await child(root, 'worker');
  const deep = await child(below, 'helper');
  const over = await child(root, 'done');
  await finish(over, 'complete', 'done');
  const kept = await running('keeper', metadata);
  const child2 = await child(kept, 'kept-child');
  await play('/activities?metadata.tree=4', async (page) => {
    await eventually(async () => assert.deepEqual(await types(page), ['keeper', 'boss']));
    await rowOf(page, 'boss').locator('.check input').check({ force: true });
    await page.getByRole('button', { name: 'Cancel 1…' }).click();
    await eventually(async () => assert.match(await dialog(page).innerText(), /Cancel 3 activities\?[^]*1 running\.[^]*With the whole tree: 2 more below it/));
    await state(page, 'confirm-tree');
    await page.getByRole('button', { name: 'Cancel 3', exact: true }).click();
    await eventually(async () => assert.equal((await row(page, 'boss')).status, 'stopping'));
    const requested = await sql(`select a.agent_id::text as id from agentexec.activity a where a.agent_id in ('${root}', '${below}', '${deep}', '${over}') and a.cancel_seq is not null`);
    assert.deepEqual(requested.map(({ id }) => id).sort(), [root, below, deep].sort());

    await rowOf(page, 'keeper').locator('.check input').check({ force: true });
    await page.getByRole('button', { name: 'Cancel 1…' }).click();
    await dialog(page).getByRole('checkbox').uncheck();
    await page.getByRole('button', { name: 'Cancel 1', exact: true }).click();
    await eventually(async () => assert.equal((await row(page, 'keeper')).status, 'stopping'));
    assert.equal((await sql(`select cancel_seq from agentexec.activity where agent_id = '${child2}'`))[0].cancel_seq, null);
    assert.equal(await statusOf(over), 'COMPLETE');
  });
});

scene('the cancel of the activity that is open covers its tree too', async () => {
  const top = await running('chief', { tree: 10 });
  const aide = await child(top, 'aide');
  await play('/activities/' + top, async (page) => {
    await page.locator('#cancel').click();
    await eventually(async () => assert.match(await dialog(page).innerText(), /Cancel 2 activities\?[^]*With the whole tree: 1 more below it/));
    await state(page, 'confirm-tree-detail');
    await dialog(page).getByRole('button', { name: 'Cancel 2' }).click();
    await eventually(async () => assert.notEqual((await sql(`select cancel_seq from agentexec.activity where agent_id = '${aide}'`))[0].cancel_seq, null));
  });
});

scene('"Needs me" holds what waits and what is stale, also deep in a tree, and lets it go', async () => {
  const metadata = { tree: 5 };
  const root = await running('planner', metadata);
  const middle = await child(root, 'searcher');
  const deep = await child(middle, 'checker', 'comparing');
  await play('/activities?metadata.tree=5', async (page) => {
    await live(page);
    await eventually(async () => assert.deepEqual(await groups(page), ['Running 1']));
    await ask(deep, 'limit', 'Is 4.3 V the right limit?');
    await eventually(async () => assert.deepEqual(await groups(page), ['Needs me 1', 'Running 1']));
    await eventually(async () => {
      const r = await row(page, 'checker');
      assert.deepEqual([r.group, r.status, r.latest], ['needs', 'waiting', 'Is 4.3 V the right limit?']);
      assert.match(r.why, /^Waits \d+ s$/);
    });
    await eventually(async () => assert.equal(await rowOf(page, 'checker').locator('.within').innerText(), 'in searcher'));
    await state(page, 'tree-needs');

    await page.getByRole('link', { name: /^Needs me \d+$/ }).click();
    await eventually(async () => assert.deepEqual(await types(page), ['checker']));
    await eventually(async () => assert.equal((await views(page))['Needs me'], '1'));
    await search(page, 'is:waiting');
    await eventually(async () => assert.deepEqual(await tokens(page), ['is:waiting', 'stale:true']));
    await page.goto(new URL('/activities', page.url()).href);
    await search(page, 'status:waiting ');
    await eventually(async () => assert.equal(new URL(page.url()).search, '?waiting=true'));
    await eventually(async () => assert.deepEqual(await types(page), ['checker']));

    await answer(deep, 'limit');
    await eventually(async () => assert.deepEqual(await types(page), []));
    await page.goto(new URL('/activities?metadata.tree=5', page.url()).href);
    await eventually(async () => assert.deepEqual(await groups(page), ['Running 1']));

    await sql(`select (agentexec.heartbeat('${middle}', interval '1 second')).status`);
    await eventually(async () => {
      const r = await row(page, 'searcher');
      assert.deepEqual([r.group, r.status], ['needs', 'stale']);
    });
    await log(middle, 'back again');
    await eventually(async () => assert.deepEqual(await groups(page), ['Running 1']));
  });
});

scene('a filter shows what matches in rows of their own, and going back leaves the tree as it was', async () => {
  const root = await running('archive', { tree: 6 });
  const part = await child(root, 'indexer', 'indexing shelf 4');
  await child(part, 'scanner', 'scanning');
  await play('/activities?metadata.tree=6', async (page) => {
    await eventually(async () => assert.deepEqual(await types(page), ['archive']));
    await twisty(page, 'archive').click();
    await eventually(async () => assert.deepEqual(await types(page), ['archive', 'indexer']));
    await search(page, 'type:scanner');
    await eventually(async () => assert.deepEqual(await types(page), ['scanner']));
    await eventually(async () => assert.equal(await rowOf(page, 'scanner').locator('.within').innerText(), 'in indexer'));
    await state(page, 'tree-flat');
    await page.goBack();
    await eventually(async () => assert.deepEqual(await types(page), ['archive', 'indexer']));
    await search(page, 'shelf');
    await eventually(async () => assert.deepEqual(await types(page), ['indexer']));
    await page.goto(new URL(`/activities?parent_agent_id=${root}`, page.url()).href);
    await eventually(async () => assert.deepEqual([await types(page), await tokens(page)], [['indexer'], ['parent:' + root]]));
    assert.equal(await rowOf(page, 'indexer').locator('.within').count(), 0, 'the filter says it');
    await page.goto(new URL(`/activities?root_agent_id=${root}`, page.url()).href);
    await eventually(async () => assert.ok((await types(page)).includes('scanner')));
    await page.goto(new URL('/activities?metadata.tree=6', page.url()).href);
    await page.getByRole('button', { name: /^Order/ }).click();
    await page.getByRole('menuitemradio', { name: 'Children as rows of their own' }).click();
    await eventually(async () => assert.equal((await types(page)).length, 4), 'three, and one below the one that is unfolded');
  });
});

scene('the tab Children shows the direct children, live, and the way to the root', async () => {
  const root = await running('report', { tree: 7 });
  const section = await child(root, 'section', 'writing', 50);
  const chart = await child(section, 'chart', 'drawing', 20);
  await play('/activities/' + root, async (page) => {
    await page.getByRole('tab', { name: 'Children 1' }).click();
    const children = () => page.$$eval('.child', (all) => all.map((r) => [r.querySelector('.type').textContent, r.dataset.st, r.querySelector('.said').textContent, r.querySelector('.percent').textContent, r.ariaLevel]));
    await eventually(async () => assert.deepEqual(await children(), [['section', 'running', 'writing', '50%', '1']]));
    assert.equal(await page.locator('.ancestors').count(), 0);
    const other = await child(root, 'appendix', 'listing', 5);
    await eventually(async () => assert.deepEqual((await children()).map(([type]) => type), ['appendix', 'section']));
    await finish(other, 'error', 'no sources');
    await eventually(async () => assert.deepEqual((await children()).map(([type, st, said]) => [type, st, said]), [['section', 'running', 'writing'], ['appendix', 'error', 'no sources']]));
    await page.locator('.child .type').first().focus();
    await page.keyboard.press('ArrowRight');
    await eventually(async () => assert.deepEqual((await children()).map(([type, , , , level]) => [type, level]), [['section', '1'], ['chart', '2'], ['appendix', '1']]));
    await page.keyboard.press('ArrowDown');
    await eventually(async () => assert.equal(await page.evaluate(() => document.activeElement.textContent), 'chart'));
    await state(page, 'children');
    await page.keyboard.press('Enter');
    await eventually(async () => assert.equal(new URL(page.url()).pathname, '/activities/' + chart));
    await eventually(async () => assert.deepEqual(await page.$$eval('.ancestors li', (all) => all.map((e) => e.textContent)), ['report', 'section', 'chart']));
    await state(page, 'ancestors');
    await page.getByRole('navigation', { name: 'Breadcrumb' }).getByRole('link', { name: 'report' }).click();
    await eventually(async () => assert.equal(new URL(page.url()).pathname, '/activities/' + root));
  });
});

scene('a thousand children stay smooth in the tab', async () => {
  const root = await running('spread', { tree: 8 });
  await manyChildren(root, 'leaf', 1000);
  await play('/activities/' + root, async (page) => {
    await page.getByRole('tab', { name: 'Children 1,000' }).click();
    await eventually(async () => assert.ok((await page.locator('.child').count()) > 3));
    const seen = new Set();
    await eventually(async () => {
      for (const said of await page.evaluate(() => {
        const box = document.querySelector('.children-tab');
        box.scrollTop += box.clientHeight;
        return [...document.querySelectorAll('.child .said')].map((e) => e.textContent);
      })) seen.add(said);
      assert.equal(seen.size, 1000);
    }, 90_000);
    assert.ok((await page.locator('.child').count()) < 60);
  });
});

scene('a tree unfolds on a phone too', async () => {
  const root = await running('phone-root', { tree: 9 });
  await child(root, 'phone-child');
  await play('/activities?metadata.tree=9', async (page) => {
    await twisty(page, 'phone-root').tap();
    await eventually(async () => assert.deepEqual(await listed(page), [['phone-root', 1], ['phone-child', 2]]));
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await state(page, 'tree-375');
    await rowOf(page, 'phone-child').locator('.type').tap();
    await eventually(async () => assert.equal(await text(page, '.detail h2'), 'phone-child'));
    await page.getByRole('link', { name: 'phone-root' }).tap();
    await page.getByRole('tab', { name: 'Children 1' }).tap();
    await eventually(async () => assert.equal(await page.locator('.child').count(), 1));
    await state(page, 'children-375');
    assert.match(await text(page, '#children'), /^1\s*1 not over$/);
  }, { viewport: { width: 375, height: 812 }, hasTouch: true });
});
