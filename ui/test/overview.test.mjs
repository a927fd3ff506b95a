// The overview: activities that need a person, what runs, how it went lately.

import assert from 'node:assert/strict';
import { create, eventually, finish, log, play, scene, sql, state } from './stage.mjs';
import { live, text } from './screen.mjs';

const address = (page) => page.url().slice(new URL(page.url()).origin.length);
const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.querySelector('.overview').scrollWidth <= document.querySelector('.overview').clientWidth);
const figure = (page, state) => page.locator(`[data-figure=${state}]`);
const shows = (page, state, expected) => eventually(async () => assert.match((await figure(page, state).innerText()).replace(/\s+/g, ' ').trim(), expected));

// ran makes activities that began some seconds ago and took some seconds: [type, ago, seconds, message of the error].
const ran = (...all) => sql(`do $$
declare
  v_run jsonb; v_id uuid; v_started timestamptz; v_finished timestamptz;
begin
  for v_run in select e from jsonb_array_elements('${JSON.stringify(all.map(([type, ago, seconds, error]) => ({ type, ago, seconds, error }))).replaceAll("'", "''")}') e loop
    v_id := agentexec.create_activity(v_run->>'type', 'queued');
    perform agentexec.append_log(v_id, 'working', 50, 'RUNNING');
    if v_run ? 'error' then perform agentexec.error(v_id, v_run->>'error'); else perform agentexec.complete(v_id, 'done'); end if;
    v_started := now() - make_interval(secs => (v_run->>'ago')::float8);
    v_finished := v_started + make_interval(secs => (v_run->>'seconds')::float8);
    update agentexec.activity set created_at = v_started - interval '1 s', started_at = v_started, updated_at = v_finished, finished_at = v_finished where agent_id = v_id;
    update agentexec.activity_log l set created_at = v_finished from agentexec.activity a where l.activity_id = a.id and l.seq = a.last_seq and a.agent_id = v_id;
  end loop;
end $$`);

// silenced makes an activity whose worker promised a heartbeat every second and sent the last one minutes ago.
async function silenced(type, minutes) {
  const id = await create(type);
  await log(id, 'chunk 4,118 of 9,640', { status: 'RUNNING', percentage: 43 });
  await sql(`select (agentexec.heartbeat('${id}', '1 s')).status::text`);
  await sql(`update agentexec.activity_heartbeat h set beat_at = now() - interval '${minutes} min' from agentexec.activity a where a.id = h.activity_id and a.agent_id = '${id}'`);
  await sql(`update agentexec.activity set updated_at = now() - interval '${minutes} min' where agent_id = '${id}'`);
  return id;
}

const failures = ['RateLimitError: 429, tokens per minute for large-2', 'TimeoutError: request timed out after 600 s\nat step 4', 'HTTP 503 from the patent search, 4 tries', 'Worker lost: connection reset by peer'];
let made;
// day makes a day of work, once for all scenes.
const day = () => (made ??= (async () => {
  const of = { 'support-triage': [24, 58], 'code-review': [16, 220], 'ingest-docs': [9, 665], research: [8, 400], 'summarise-call': [5, 115] };
  await ran(...Object.entries(of).flatMap(([type, [runs, seconds]]) => Array.from({ length: runs }, (_, n) => [type, seconds + 20 + (n * 3300) / runs, seconds * (0.6 + (n % 7) * 0.15)])));
  await ran(...[0, 0, 0, 1, 1, 2, 3].map((message, n) => [['research', 'ingest-docs', 'research', 'code-review'][message], 2400 - n * 300, 90, failures[message]]));
  await ran(['nightly-report', 20_000, 530], ['nightly-report', 300_000, 570, 'an old failure']);
  const [{ last }] = await sql(`select agent_id::text as last from agentexec.activity where status = 'ERROR' order by finished_at desc limit 1`);
  for (let n = 0; n < 3; n++) await create('support-triage', 'waiting');
  for (let n = 0; n < 2; n++) await log(await create('code-review'), 'reading the diff', { status: 'RUNNING', percentage: 20 });
  const stopping = await create('research');
  await log(stopping, 'searching', { status: 'RUNNING' });
  await sql(`select (agentexec.cancel('${stopping}', 'please', '1 h')).seq`);
  const canceled = await create('research');
  await sql(`select (agentexec.cancel('${canceled}', 'not needed')).seq`);
  return { stale: await silenced('ingest-docs', 4), last };
})());

scene('the figures count each state, and lead to the list of it', async () => {
  await day();
  await play('/', async (page) => {
    await live(page);
    await shows(page, 'stale', /^1 4 min$/);
    await shows(page, 'error', /^7 4 messages$/);
    await shows(page, 'stopping', /^1$/);
    await shows(page, 'running', /^4$/);
    await shows(page, 'queued', /^3 oldest \d+ (s|min)$/);
    await shows(page, 'complete', /^62$/);
    await shows(page, 'canceled', /^1$/);
    assert.ok(await fits(page));
    await state(page, 'overview');
    await page.getByRole('link', { name: /^Failed, 1 h/ }).click();
    assert.equal(address(page), '/activities?status=ERROR&since=1h');
    await page.goBack();
    await page.getByRole('link', { name: /^Stale/ }).click();
    assert.equal(address(page), '/activities?stale=true');
  }, { viewport: { width: 1440, height: 900 } });
});

scene('what needs attention says why, and leads to the activity', async () => {
  const { stale, last } = await day();
  await play('/', async (page) => {
    await live(page);
    const needs = page.locator('.need');
    await eventually(async () => assert.equal(await needs.count(), 5));
    assert.match(await needs.first().innerText(), /ingest-docs is silent for 4 min\s+Promised a sign of life every 1 s · chunk 4,118 of 9,640/);
    const failed = (await page.locator('.need[data-st=error]').allInnerTexts()).map((t) => t.replace(/\s+/g, ' '));
    assert.match(failed[0], /Worker lost: connection reset by peer code-review · \d+ min ago 1$/);
    assert.match(failed[3], /RateLimitError: 429.* research · last \d+ min ago 3$/);
    assert.ok(failed.every((words) => !words.includes('at step 4')), 'the first line alone');
    await page.getByRole('link', { name: /^Worker lost/ }).click();
    assert.equal(address(page), '/activities/' + last);
    await page.goBack();
    await page.getByRole('link', { name: /is silent/ }).click();
    assert.equal(new URL(page.url()).pathname, '/activities/' + stale);
  });
});

scene('the types have runs, errors and durations, and lead to their list', async () => {
  await day();
  await play('/', async (page) => {
    await live(page);
    const row = page.locator('.types tbody tr').filter({ hasText: 'research' });
    await row.waitFor();
    const [name, runs, now, errors, p50, p95] = (await row.locator('th, td').allInnerTexts()).map((t) => t.trim());
    assert.deepEqual([name, now], ['research', '1']);
    assert.ok(Number(runs) >= 11, runs);
    assert.match(errors, /^(2[0-9]|3[0-9])\.\d %$/);
    assert.match(p50, /^\dm \d\ds$/);
    assert.match(p95, /^\d+m \d\ds$/);
    assert.deepEqual((await page.locator('.types tbody th').allInnerTexts()).slice(0, 2), ['support-triage', 'code-review'], 'those with most runs come first');
    await page.getByRole('link', { name: 'research', exact: true }).click();
    assert.equal(address(page), '/activities?agent_type=research&since=1h');
  });
});

scene('the chart is read with the pointer and with the arrow keys, and has a text', async () => {
  await day();
  await play('/', async (page) => {
    await live(page);
    const plot = page.getByRole('slider');
    await plot.waitFor();
    assert.match(await page.locator('.chart figcaption').textContent(), /^In the last hour, \d+ activities started, 70 finished, 7 of those failed\.$/);
    await plot.focus();
    await page.keyboard.press('End');
    const last = Number(await plot.getAttribute('aria-valuemax'));
    assert.ok(last >= 58 && last <= 59, `a bucket for each minute that is over: ${last}`);
    assert.equal(await plot.getAttribute('aria-valuenow'), String(last));
    await page.keyboard.press('ArrowLeft');
    assert.equal(await plot.getAttribute('aria-valuenow'), String(last - 1));
    assert.match(await plot.getAttribute('aria-valuetext'), /^\d\d:\d\d: \d+ started, \d+ finished, \d+ of those failed$/);
    assert.match(await text(page, '#chart-time'), /^\d\d:\d\d$/);
    await page.keyboard.press('Home');
    assert.equal(await plot.getAttribute('aria-valuenow'), '0');
    await state(page, 'overview-chart');
    await page.keyboard.press('Tab');
    await eventually(async () => assert.equal(await text(page, '#chart-time'), 'All'));
    const box = await page.locator('.u-over').boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await eventually(async () => assert.match(await text(page, '#chart-time'), /^\d\d:\d\d$/));
    const middle = await text(page, '#chart-time');
    await page.mouse.move(box.x + box.width - 2, box.y + 10);
    await eventually(async () => assert.notEqual(await text(page, '#chart-time'), middle));
  });
});

// colours are those of the pixels of the chart.
const colours = (page) => page.locator('.plot canvas').evaluate((canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  const all = new Set();
  for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) all.add(`${data[at]},${data[at + 1]},${data[at + 2]}`);
  return [...all];
});

scene('the chart takes the colours of the theme', async () => {
  await day();
  await play('/', async (page) => {
    await live(page);
    await page.locator('.plot canvas').waitFor();
    await eventually(async () => assert.ok((await colours(page)).includes('15,112,64')));
    await page.locator('#theme').click();
    await page.locator('#theme').click();
    await eventually(async () => assert.ok((await colours(page)).includes('95,207,149')));
    assert.ok(!(await colours(page)).includes('15,112,64'));
  });
});

scene('the range is in the address', async () => {
  await day();
  await play('/?range=24h', async (page) => {
    await live(page);
    await shows(page, 'complete', /^63$/);
    assert.equal(await page.getByRole('heading', { name: 'Per 15 minutes' }).count(), 1);
    await page.getByRole('button', { name: '7 d' }).click();
    assert.equal(address(page), '/?range=7d');
    await shows(page, 'error', /^8 5 messages$/);
    await page.locator('.need').filter({ hasText: 'an old failure' }).waitFor();
    await state(page, 'overview-7d');
    await page.reload();
    await shows(page, 'error', /^8 5 messages$/);
    await page.getByRole('button', { name: '1 h' }).click();
    assert.equal(address(page), '/');
    await shows(page, 'error', /^7 4 messages$/);
  });
});

for (const [width, height] of [[375, 812], [768, 1024], [1024, 768], [1440, 900], [1920, 1080]]) {
  scene(`the overview fits at ${width} px, light and dark`, async () => {
    await day();
    await play('/', async (page) => {
      await live(page);
      await page.locator('.types tbody tr').first().waitFor();
      await page.locator('.need').first().waitFor();
      assert.ok(await fits(page));
      await state(page, `overview-${width}`);
    }, width < 500 ? { viewport: { width, height }, hasTouch: true, isMobile: true } : { viewport: { width, height } });
  });
}

scene('a failure is there within seconds, without a reload', async () => {
  await day();
  await play('/', async (page) => {
    await live(page);
    await shows(page, 'error', /^7 /);
    for (let n = 0; n < 6; n++) await finish(await create('bursts'), 'error', 'the disk is full');
    await eventually(async () => assert.match((await page.locator('.need[data-st=error]').allInnerTexts())[0], /the disk is full\s+bursts · last (just now|\d+ s ago)\s+6$/));
    await shows(page, 'error', /^13 5 messages$/);
  });
});
