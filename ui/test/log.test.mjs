// The log of an activity: followed, searched, taken along, and as long as it may be.

import assert from 'node:assert/strict';
import { create, eventually, finish, log, logMany, play, scene, sql, state } from './stage.mjs';
import { downloaded, messages, parsed, range, seqs, shows, text } from './screen.mjs';

scene('following stops when the person scrolls up', async () => {
  const id = await create('long');
  await logMany(id, 200);
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.equal(await text(page, '#lines'), '200 lines'));
    const scroller = page.locator('.log');
    const below = () => scroller.evaluate((e) => e.scrollHeight - e.clientHeight - e.scrollTop);
    const last = () => page.$$eval('.line', (all) => Number(all.at(-1)?.dataset.seq));
    const follows = (yes) => eventually(async () => assert.equal(await page.locator('#follow').getAttribute('aria-pressed'), String(yes)));
    const atEnd = (seq) => eventually(async () => assert.ok((await below()) < 2 && (await last()) === seq, 'it follows'));
    await atEnd(200);
    await logMany(id, 210);
    await atEnd(210);

    await scroller.hover();
    await page.mouse.wheel(0, -600);
    await follows(false);
    await page.waitForFunction(() => new Promise((r) => { // until the wheel has come to rest
      const e = document.querySelector('.log');
      const top = e.scrollTop;
      setTimeout(() => r(e.scrollTop === top), 200);
    }));
    const seen = () => page.$$eval('.line', (all) => all.map((e) => [e.dataset.seq, e.getBoundingClientRect().top]).filter(([, top]) => top > 300 && top < 700));
    const before = await seen();
    assert.ok(before.length > 5);
    await logMany(id, 215);
    await eventually(async () => assert.equal(await text(page, '.logbox #newer'), '↓ 5 new lines'));
    assert.deepEqual(await seen(), before, 'what is read does not move');
    await state(page, 'scrolled-up');
    await page.locator('.logbox #newer').click();
    await atEnd(215);
    assert.equal(await page.locator('.logbox #newer').count(), 0);

    await scroller.focus();
    await page.keyboard.press('Home');
    await follows(false);
    await eventually(async () => assert.equal(await page.$eval('.line', (e) => e.dataset.seq), '1'));
    await page.keyboard.press('End');
    await follows(true);
    await page.locator('#follow').click();
    await follows(false);
    await page.locator('#follow').click();
    await follows(true);
    await atEnd(215);
  });
});

scene('each line says when it came, how long after the one before, and what it changed', async () => {
  const id = await create('timed', 'begun');
  await log(id, 'on', { status: 'RUNNING', percentage: 10 });
  for (let n = 0; n < 3; n++) await log(id, `step ${n}`, { percentage: 30 + 20 * n });
  await finish(id, 'complete', 'done');
  await sql(`update agentexec.activity_log l set created_at = '2026-03-04 05:06:07.089+00'::timestamptz
    + case l.seq when 1 then interval '0' when 2 then '250 ms' when 3 then '1.75 s' when 4 then '5 min 1.75 s' when 5 then '5 h' else '5 h' end
    from agentexec.activity a where a.id = l.activity_id and a.agent_id = '${id}'`);
  await play('/activities/' + id, async (page) => {
    await shows(page, 'begun', 'on', 'step 0', 'step 1', 'step 2', 'done');
    const column = (selector) => page.$$eval('.line', (all, selector) => all.map((l) => l.querySelector(selector)?.textContent ?? ''), selector);
    assert.deepEqual(await column('time'), ['05:06:07.089', '05:06:07.339', '05:06:08.839', '05:11:08.839', '10:06:07.089', '10:06:07.089']);
    assert.deepEqual(await column('.gap'), ['', '+250 ms', '+1.5 s', '+5 min', '+4.9 h', '+0 ms']);
    assert.deepEqual(await column('.ax-badge'), ['Queued', 'Running', '', '', '', 'Complete']);
    assert.deepEqual(await column('.percent'), ['0%', '10%', '30%', '50%', '70%', '100%']);
    const path = await page.locator('.chart path').getAttribute('d');
    assert.match(path, /^M0 60/, 'the curve begins at 0%');
    assert.match(path, /H600(\.0)?V0(\.0)?(H600(\.0)?)?$/, 'and ends at 100%');

    await page.locator('#changes').click();
    await shows(page, 'begun', 'on', 'done');
    assert.equal(await text(page, '#lines'), '3 of 6 lines');
    await page.locator('#changes').click();
    await shows(page, 'begun', 'on', 'step 0', 'step 1', 'step 2', 'done');
  });
});

scene('the log is searched', async () => {
  const id = await create('searched', 'begin here');
  await logMany(id, 500);
  await log(id, 'x'.repeat(5000) + ' Needle <b>&amp;</b> ' + 'y'.repeat(5000), { status: 'RUNNING' });
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.equal(await text(page, '#lines'), '501 lines'));
    const field = page.getByLabel('Search the log');
    await field.fill('LINE 49');
    await shows(page, 'line 49', ...range(490, 499).map((n) => `line ${n}`));
    assert.equal(await text(page, '#lines'), '11 of 501 lines');
    assert.deepEqual(await page.locator('.line mark').first().textContent(), 'line 49');
    await field.fill('needle <b>&');
    await eventually(async () => assert.deepEqual(await page.locator('.line mark').allTextContents(), ['Needle <b>&']));
    await state(page, 'searched');
    await log(id, 'another needle <b>& comes');
    await eventually(async () => assert.equal(await page.locator('.line mark').count(), 2, 'a search is live'));
    await page.locator('#changes').click();
    await eventually(async () => assert.deepEqual(await page.locator('.line mark').count(), 1, 'both at once'));
    await field.fill('nowhere');
    await eventually(async () => assert.match(await text(page, '.log'), /No line matches/));
    await field.fill('');
    await page.locator('#changes').click();
    await eventually(async () => assert.equal(await text(page, '#lines'), '502 lines'));
  });
});

scene('data is a tree that folds, and its numbers are as written', async () => {
  const id = await create('numbers');
  const data = `{"id": 12345678901234567890, "n": 1.5, "list": [true, null, "text"], "deep": {"deeper": {"deepest": "here"}}, "<b>": "<i>&\\n"}`;
  await sql(`select (agentexec.append_log('${id}', 'ids', data => '${data}')).seq`);
  await sql(`select (agentexec.append_log('${id}', 'many', data => (select jsonb_agg(n) from generate_series(1, 450) n))).seq`);
  await play('/activities/' + id, async (page) => {
    const line = page.locator('.line[data-seq="2"]');
    await line.locator('.data > summary').click();
    const leaves = () => line.locator('.leaf, summary').evaluateAll((all) => all.map((e) => e.textContent));
    await eventually(async () => assert.deepEqual((await leaves()).sort(), [
      'data', '{5}', 'n: 1.5', 'id: 12345678901234567890', '<b>: "<i>&\\n"', 'deep: {1}', 'list: [3]'].sort()));
    await line.getByText('list:').click();
    await eventually(async () => assert.ok((await leaves()).includes('2: "text"')));
    await line.getByText('deep:').click();
    await line.getByText('deeper:').click();
    await eventually(async () => assert.ok((await leaves()).includes('deepest: "here"')));
    await state(page, 'data');
    await line.getByText('list:').click();
    await eventually(async () => assert.ok(!(await leaves()).includes('2: "text"')));

    const many = page.locator('.line[data-seq="3"]');
    await many.locator('.data > summary').click();
    await many.getByRole('button', { name: 'Show more of 450' }).click();
    await eventually(async () => assert.equal(await many.locator('.leaf').count(), 400));
  });
});

scene('the log is copied and downloaded', async () => {
  const id = await create('kept', 'first "line"');
  await sql(`select (agentexec.append_log('${id}', e'two\\nlines \\U0001F680', 40, 'RUNNING', '{"id": 12345678901234567890}')).seq`);
  await logMany(id, 300);
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.equal(await text(page, '#lines'), '300 lines'));
    const { name, text: all } = await downloaded(page);
    assert.equal(name, `${id}.jsonl`);
    const lines = parsed(all);
    assert.deepEqual(lines.map((l) => l.seq), range(1, 300));
    const [{ id: _, created_at, ...first }] = lines;
    assert.deepEqual(first, { seq: 1, attempt: 1, status: 'QUEUED', percentage: 0, cancel_requested: false, message: 'first "line"', data: null });
    assert.ok(Date.parse(created_at));
    assert.deepEqual([lines[1].message, lines[1].percentage, lines[1].status], ['two\nlines 🚀', 40, 'RUNNING']);
    assert.ok(all.split('\n')[1].includes('12345678901234567890'));

    await page.getByRole('button', { name: 'Copy' }).click();
    await eventually(async () => assert.equal(await text(page, '.tools .said'), 'Copied'));
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), all);
  }, { permissions: ['clipboard-read', 'clipboard-write'] });
});

scene('of huge lines fewer are kept, none is left out between them, and the download has all', async () => {
  const id = await create('huge');
  await logMany(id, 60);
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.equal(await text(page, '#lines'), '60 lines'));
    await page.locator('.log').evaluate((e) => (e.scrollTop = 0));
    await eventually(async () => assert.equal(await page.locator('#follow').getAttribute('aria-pressed'), 'false'));
    for (let n = 0; n < 8; n++) {
      await sql(`select agentexec.append_logs((select jsonb_agg(jsonb_build_object('agent_id', '${id}', 'message', repeat('x', 1000000))) from generate_series(1, 5)))`);
    }
    await eventually(async () => assert.equal(await text(page, '#lines'), '100 lines'), 60_000);
    const shown = await eventually(async () => {
      const shown = await seqs(page);
      assert.equal(shown.at(-1), 100);
      return shown;
    });
    assert.ok(shown.length < 40, 'some went');
    assert.deepEqual(shown, range(shown[0], 100));
    assert.equal(await page.locator('#hidden').textContent(), `${shown[0] - 1} earlier lines are not shown here. Download has them.`);
    await state(page, 'huge');
    assert.deepEqual(parsed((await downloaded(page)).text).map((l) => l.seq), range(1, 100));
  });
});

scene('a very long log opens at its end, and its beginning is as near', async () => {
  const id = await create('endless');
  await logMany(id, 20_000);
  await play('/activities/' + id, async (page) => {
    const drawn = () => page.$$eval('.line', (all) => all.map((l) => Number(l.dataset.seq)));
    await eventually(async () => assert.equal((await drawn()).at(-1), 20_000));
    await eventually(async () => assert.equal(await text(page, '#lines'), '20,000 lines'));
    assert.ok((await drawn()).length < 100, 'only what is in sight is in the page');
    await page.locator('.log').focus();
    await page.keyboard.press('Home');
    await eventually(async () => assert.equal((await drawn())[0], 1));
    await page.keyboard.press('End');
    await eventually(async () => assert.equal((await drawn()).at(-1), 20_000));
    await page.getByLabel('Search the log').fill('line 12345');
    await eventually(async () => assert.deepEqual(await messages(page), ['line 12345']));
    assert.deepEqual(parsed((await downloaded(page)).text).map((l) => l.seq), range(1, 20_000));
  });
});
