// The log of an activity: followed, searched, taken along, and as long as it may be.

import assert from 'node:assert/strict';
import { create, eventually, finish, log, logMany, play, scene, sql, state } from './stage.mjs';
import { downloaded, lineCount, parsed, range, seqs, shows, text } from './screen.mjs';

scene('following stops when the person scrolls up', async () => {
  const id = await create('long');
  await logMany(id, 200);
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.equal(await lineCount(page), '200'));
    const scroller = page.locator('.ax-log');
    const below = () => scroller.evaluate((e) => e.scrollHeight - e.clientHeight - e.scrollTop);
    const last = () => page.$$eval('.ax-line:not([data-loading])', (all) => Math.max(...all.map((e) => Number(e.dataset.seq))));
    const follows = (yes) => eventually(async () => assert.equal(await page.locator('.ax-follow').getAttribute('aria-pressed'), String(yes)));
    const atEnd = (seq) => eventually(async () => assert.ok((await below()) < 2 && (await last()) === seq, 'it follows'));
    await atEnd(200);
    await logMany(id, 210);
    await atEnd(210);

    await scroller.hover();
    await page.mouse.wheel(0, -600);
    await follows(false);
    await page.waitForFunction(() => new Promise((r) => { // until the wheel has come to rest
      const e = document.querySelector('.ax-log');
      const top = e.scrollTop;
      setTimeout(() => r(e.scrollTop === top), 200);
    }));
    const seen = () => page.$$eval('.ax-line', (all) => all.map((e) => [e.dataset.seq, e.getBoundingClientRect().top]).filter(([, top]) => top > 500 && top < 760));
    const before = await seen();
    assert.ok(before.length > 5);
    await logMany(id, 215);
    await eventually(async () => assert.equal(await text(page, '.ax-newer'), '↓ 5 new lines'));
    assert.deepEqual(await seen(), before, 'what is read does not move');
    await state(page, 'scrolled-up');
    await page.locator('.ax-newer').click();
    await atEnd(215);
    assert.equal(await page.locator('.ax-newer').count(), 0);

    await scroller.focus();
    await page.keyboard.press('Home');
    await follows(false);
    await eventually(async () => assert.equal(await page.$eval('.ax-line', (e) => e.dataset.seq), '1'));
    await page.keyboard.press('End');
    await follows(true);
    await page.locator('.ax-follow').click();
    await follows(false);
    await page.locator('.ax-follow').click();
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
    const column = (selector) => page.$$eval('.ax-line', (all, selector) => all.map((l) => l.querySelector(selector)?.textContent ?? ''), selector);
    assert.deepEqual(await column('time'), ['05:06:07.089', '05:06:07.339', '05:06:08.839', '05:11:08.839', '10:06:07.089', '10:06:07.089']);
    const gaps = await page.$$eval('.ax-line time', (all) => all.map((e) => e.title.split(', ')[1] ?? ''));
    assert.deepEqual(gaps, ['', '250 ms after the line before', '1.5 s after the line before', '5 min after the line before', '4.9 h after the line before', '0 ms after the line before']);
    assert.deepEqual(await page.$$eval('.ax-line', (all) => all.map((l) => l.querySelector('[role=img]')?.ariaLabel ?? '')), ['Queued', 'Running', '', '', '', 'Complete']);
    assert.deepEqual(await column('.ax-line-percent'), ['0%', '10%', '30%', '50%', '70%', '100%']);

    await page.getByLabel('Levels').selectOption('Status changes');
    await shows(page, 'begun', 'on', 'done');
    assert.equal(await text(page, '.ax-filtered'), '3 of 6');
    await page.getByLabel('Levels').selectOption('All levels');
    await shows(page, 'begun', 'on', 'step 0', 'step 1', 'step 2', 'done');
  });
});

scene('levels are recognised, shown and filtered', async () => {
  const id = await create('levels', 'queued');
  await log(id, 'INFO in the message', { status: 'RUNNING' });
  await log(id, 'a pino warning', { data: { level: 40 } });
  await log(id, '[debug] details');
  await log(id, 'none');
  await log(id, 'E0101 10:00:00.000 klog');
  await play('/activities/' + id, async (page) => {
    const levels = () => page.$$eval('.ax-line', (all) => all.map((l) => l.querySelector('.ax-line-level').textContent));
    await eventually(async () => assert.deepEqual(await levels(), ['', 'INF', 'WRN', 'DBG', '', 'ERR']));
    await state(page, 'levels');
    await page.getByLabel('Levels').selectOption('Warnings, errors');
    await shows(page, 'a pino warning', 'E0101 10:00:00.000 klog');
    await log(id, 'ERROR one more');
    await shows(page, 'a pino warning', 'E0101 10:00:00.000 klog', 'ERROR one more');
    await page.getByLabel('Search the log').fill('klog');
    await eventually(async () => assert.equal(await text(page, '.ax-find-count'), '1 of 1', 'both at once'));
    await page.getByLabel('Levels').selectOption('Errors');
    await page.getByLabel('Search the log').fill('nowhere');
    await page.getByRole('button', { name: 'Only hits' }).click();
    await eventually(async () => assert.match(await text(page, '.ax-log'), /No line matches/));
  });
});

scene('colours of terminals are shown, and nothing else of their sequences', async () => {
  const id = await create('colours', 'queued');
  await sql(`select (agentexec.append_log('${id}', e'\\x1b[31mred\\x1b[0m \\x1b[38;5;46mgreen\\x1b[0m \\x1b[38;2;250;80;240mpink\\x1b[0m \\x1b[41mground\\x1b[0m \\x1b[2J\\x1b]8;;http://x\\x07link\\x1b]8;;\\x07 \\x1b[8mplain')).seq`);
  await play('/activities/' + id, async (page) => {
    await shows(page, 'queued', 'red green pink ground link plain');
    const parts = await page.$$eval('.ax-line[data-seq="2"] .ax-message [data-color], .ax-line[data-seq="2"] .ax-message [data-back]', (all) => all.map((e) => [e.textContent, e.dataset.color ?? 'on ' + e.dataset.back]));
    assert.deepEqual(parts, [['red', 'red'], ['green', 'green'], ['pink', 'magenta'], ['ground', 'on red']]);
    assert.equal(await page.locator('.ax-message [style], .ax-message a').count(), 0);
    await state(page, 'colours');
  });
});

scene('a link to a line opens the log there', async () => {
  const id = await create('linked');
  await logMany(id, 5_000);
  await play(`/activities/${id}#L1234`, async (page) => {
    const line = page.locator('.ax-line[data-seq="1234"]');
    await eventually(async () => assert.equal(await line.getAttribute('data-linked'), 'true'));
    await eventually(async () => assert.equal(await line.locator('.ax-message').innerText(), 'line 1234'));
    const inSight = (locator) => locator.evaluate((e) => {
      const [r, box] = [e.getBoundingClientRect(), e.closest('.ax-log').getBoundingClientRect()];
      return r.top >= box.top && r.bottom <= box.bottom;
    });
    assert.equal(await inSight(line), true);
    await state(page, 'linked');
    await page.locator('.ax-line[data-seq="1236"] .ax-line-seq').click();
    await eventually(async () => assert.equal(await page.locator('.ax-line[data-linked]').getAttribute('data-seq'), '1236'));
    assert.equal(new URL(page.url()).hash, '#L1236');
    await page.evaluate(() => (location.hash = '#L4990'));
    await eventually(async () => assert.equal(await inSight(page.locator('.ax-line[data-linked][data-seq="4990"]')), true));
  });
});

scene('long lines wrap, or do not, as the person wants', async () => {
  const id = await create('wide', 'queued');
  await log(id, 'x'.repeat(900), { status: 'RUNNING' });
  await play('/activities/' + id, async (page) => {
    const line = page.locator('.ax-line[data-seq="2"]');
    const height = () => line.evaluate((e) => e.offsetHeight);
    await eventually(async () => assert.ok((await height()) > 100));
    const wrap = page.getByRole('button', { name: 'Wrap lines' });
    await wrap.click();
    await eventually(async () => assert.equal(await height(), 20));
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
    await state(page, 'unwrapped');
    await page.reload();
    await eventually(async () => assert.equal(await height(), 20, 'it is kept'));
    await wrap.click();
    await eventually(async () => assert.ok((await height()) > 100));
  });
});

scene('the log is searched as a whole, and stays whole', async () => {
  const id = await create('searched', 'begin here');
  await logMany(id, 3_000);
  await log(id, 'x'.repeat(5000) + ' Needle <b>&amp;</b> ' + 'y'.repeat(5000), { status: 'RUNNING' });
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.equal(await lineCount(page), '3,001'));
    const field = page.getByLabel('Search the log');
    const count = (expected) => eventually(async () => assert.equal(await text(page, '.ax-find-count'), expected));
    const current = (seq) => eventually(async () => {
      assert.equal(await page.locator('.ax-line:has(mark[data-current])').getAttribute('data-seq'), String(seq));
    });
    await field.fill('LINE 49');
    await count('11 of 11');
    await current(499);
    assert.ok((await page.locator('.ax-line').count()) > 10, 'the lines around are there');
    await state(page, 'searched');
    await field.press('Shift+Enter');
    await current(498);
    await count('10 of 11');
    await page.locator('.ax-log').focus();
    await page.keyboard.press('N');
    await current(497);
    await page.keyboard.press('n');
    await page.keyboard.press('n');
    await page.keyboard.press('n');
    await count('1 of 11');
    await current(49);
    await field.fill('needle <b>&');
    await eventually(async () => assert.deepEqual(await page.locator('.ax-line mark').allTextContents(), ['Needle <b>&']));
    await log(id, 'another needle <b>& comes');
    await count('1 of 2');
    await page.getByRole('button', { name: 'Only hits' }).click();
    await eventually(async () => assert.deepEqual(await seqs(page), [3_001, 3_002]));
    await field.fill('nowhere');
    await eventually(async () => assert.match(await text(page, '.ax-log'), /No line matches/));
    await count('No hit');
    await field.press('Escape');
    await eventually(async () => assert.equal(await page.locator('.ax-find-count').count(), 0));
    await page.locator('.ax-line[data-seq="3002"]').waitFor();
  });
});

scene('data is a tree that folds, and its numbers are as written', async () => {
  const id = await create('numbers');
  const data = `{"id": 12345678901234567890, "n": 1.5, "list": [true, null, "text"], "deep": {"deeper": {"deepest": "here"}}, "<b>": "<i>&\\n"}`;
  await sql(`select (agentexec.append_log('${id}', 'ids', data => '${data}')).seq`);
  await sql(`select (agentexec.append_log('${id}', 'many', data => (select jsonb_agg(n) from generate_series(1, 450) n))).seq`);
  await play('/activities/' + id, async (page) => {
    const line = page.locator('.ax-line[data-seq="2"]');
    await line.locator('.ax-data').click();
    assert.match(await text(page, '.ax-line[data-seq="2"] .ax-data'), /\{.*deep.*\}$/);
    const leaves = () => line.locator('.ax-json-leaf, summary').evaluateAll((all) => all.map((e) => e.textContent));
    await eventually(async () => assert.deepEqual((await leaves()).sort(), [
      '{5}', 'n: 1.5', 'id: 12345678901234567890', '<b>: "<i>&\\n"', 'deep: {1}', 'list: [3]'].sort()));
    await line.getByText('list:').click();
    await eventually(async () => assert.ok((await leaves()).includes('2: "text"')));
    await line.getByText('deep:').click();
    await line.getByText('deeper:').click();
    await eventually(async () => assert.ok((await leaves()).includes('deepest: "here"')));
    await state(page, 'data');
    await line.getByText('list:').click();
    await eventually(async () => assert.ok(!(await leaves()).includes('2: "text"')));

    const many = page.locator('.ax-line[data-seq="3"]');
    await many.locator('.ax-data').click();
    await many.getByRole('button', { name: 'Show more of 450' }).click();
    await eventually(async () => assert.equal(await many.locator('.ax-json-leaf').count(), 400));
  });
});

scene('the log is copied and downloaded', async () => {
  const id = await create('kept', 'first "line"');
  await sql(`select (agentexec.append_log('${id}', e'two\\nlines \\U0001F680', 40, 'RUNNING', '{"id": 12345678901234567890}')).seq`);
  await logMany(id, 300);
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.equal(await lineCount(page), '300'));
    const { name, text: all } = await downloaded(page);
    assert.equal(name, `${id}.jsonl`);
    const lines = parsed(all);
    assert.deepEqual(lines.map((l) => l.seq), range(1, 300));
    const [{ id: _, created_at, ...first }] = lines;
    assert.deepEqual(first, { seq: 1, attempt: 1, status: 'QUEUED', percentage: 0, cancel_requested: false, message: 'first "line"', data: null });
    assert.ok(Date.parse(created_at));
    assert.deepEqual([lines[1].message, lines[1].percentage, lines[1].status], ['two\nlines 🚀', 40, 'RUNNING']);
    assert.ok(all.split('\n')[1].includes('12345678901234567890'));

    await page.getByRole('button', { name: 'Copy the log' }).click();
    await eventually(async () => assert.equal(await text(page, '.ax-said'), 'Copied'));
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), all);
  }, { permissions: ['clipboard-read', 'clipboard-write'] });
});

scene('of many huge lines the beginning is kept, and all of one is read when it is wanted', async () => {
  const id = await create('huge');
  await logMany(id, 60);
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.equal(await lineCount(page), '60'));
    for (let n = 0; n < 8; n++) {
      await sql(`select agentexec.append_logs((select jsonb_agg(jsonb_build_object('agent_id', '${id}', 'message', repeat('x', 1000000))) from generate_series(1, 5)))`);
    }
    await eventually(async () => assert.equal(await lineCount(page), '100'), 60_000);
    const last = page.locator('.ax-line[data-seq="100"]');
    await last.getByRole('button', { name: 'Show all 1,000,000 characters' }).click();
    await eventually(async () => assert.equal((await last.locator('.ax-message').textContent()).length, 1_000_000));
    await last.getByRole('button', { name: 'Show less' }).click();
    await state(page, 'huge');
    assert.deepEqual(parsed((await downloaded(page)).text).map((l) => [l.seq, l.message.length > 900_000]), range(1, 100).map((n) => [n, n > 60]));
  });
});

scene('a very long log opens at its end, reads what is looked at, and its beginning is as near', async () => {
  const id = await create('endless');
  await logMany(id, 20_000);
  await play('/activities/' + id, async (page) => {
    let read = 0;
    page.on('request', (r) => r.url().includes(`/v1/activities/${id}?`) && read++);
    const drawn = () => page.$$eval('.ax-line:not([data-loading])', (all) => all.map((l) => Number(l.dataset.seq)));
    await eventually(async () => assert.equal((await drawn()).at(-1), 20_000));
    await eventually(async () => assert.equal(await lineCount(page), '20,000'));
    assert.ok((await drawn()).length < 100, 'only what is in sight is in the page');
    await page.locator('.ax-log').focus();
    await page.keyboard.press('Home');
    await eventually(async () => assert.equal((await drawn())[0], 1));
    await page.keyboard.press('End');
    await eventually(async () => assert.equal((await drawn()).at(-1), 20_000));
    assert.ok(read < 200, `${read} requests`);
    await page.locator('.ax-log').evaluate((e) => (e.scrollTop = e.scrollHeight / 2));
    await eventually(async () => {
      const [first] = await drawn();
      assert.ok(first > 9_000 && first < 11_000, String(first));
      assert.equal(await page.locator('[data-loading]').count(), 0);
    });
    await page.getByLabel('Search the log').fill('line 12345');
    await eventually(async () => assert.deepEqual(await page.locator('.ax-line mark[data-current]').allTextContents(), ['line 12345']));
    assert.deepEqual(parsed((await downloaded(page)).text).map((l) => l.seq), range(1, 20_000));
  });
});
