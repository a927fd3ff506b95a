// Stale activities, requests to cancel, and retries.

import assert from 'node:assert/strict';
import { create, eventually, finish, log, play, scene, sql, state, statusOf } from './stage.mjs';
import { conditions, live, row, rows, seqs, shows, text } from './screen.mjs';

const phone = { viewport: { width: 375, height: 740 }, hasTouch: true, isMobile: true };
const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
const running = async (type, message = 'reading') => {
  const id = await create(type);
  await log(id, message, { status: 'RUNNING', percentage: 30 });
  return id;
};
const beat = (id, every) => sql(`select (agentexec.heartbeat('${id}', '${every}')).status::text`);
const says = (page, ...expected) => eventually(async () => {
  const said = await conditions(page);
  assert.equal(said.length, expected.length, said.join());
  expected.forEach((e, n) => assert.match(said[n], e));
});
const stale = async (id) => (await sql(`select stale from agentexec.activity_list where agent_id = '${id}'`))[0].stale;

// silenced makes an activity whose worker promised a heartbeat every second and sent the last one two minutes ago.
async function silenced(type) {
  const id = await running(type);
  await beat(id, '1 s');
  const ago = `now() - interval '125 s'`;
  await sql(`update agentexec.activity set created_at = now() - interval '9 min', started_at = now() - interval '8 min', updated_at = ${ago} where agent_id = '${id}'`);
  await sql(`update agentexec.activity_log l set created_at = l.created_at - interval '8 min' from agentexec.activity a where a.id = l.activity_id and a.agent_id = '${id}'`);
  await sql(`update agentexec.activity_heartbeat h set beat_at = ${ago} from agentexec.activity a where a.id = h.activity_id and a.agent_id = '${id}'`);
  await eventually(async () => assert.equal(await stale(id), true));
  return id;
}

scene('a stale activity is marked, in the list and on its page', async () => {
  const id = await silenced('silent');
  await running('lively');
  await play('/activities/' + id, async (page) => {
    await live(page);
    await says(page, /^Last seen \d min ago; promised every 1 s$/);
    assert.equal(await text(page, '.title .ax-pill'), 'Stale');
    await eventually(async () => assert.match((await row(page, 'silent')).why, /^Silent for \d min$/));
    assert.equal((await row(page, 'silent')).status, 'stale');
    assert.equal((await row(page, 'lively')).why, '');
    assert.equal(await text(page, '#announce'), 'silent: stale');
    await state(page, 'stale');
    await finish(id, 'complete', 'done after all');
    await eventually(async () => assert.equal(await text(page, '.title .ax-pill'), 'Complete'));
    await says(page);
    await eventually(async () => assert.equal((await row(page, 'silent')).why, ''));
  });
});

scene('an activity becomes stale and fresh again without a line', async () => {
  const id = await running('sleepy');
  await play('/activities/' + id, async (page) => {
    await live(page);
    await shows(page, 'queued', 'reading');
    await beat(id, '1 s');
    await says(page, /^Last seen \d+ s ago; promised every 1 s$/);
    await eventually(async () => assert.match((await row(page, 'sleepy')).why, /^Silent for/));
    await beat(id, '1 day');
    await says(page);
    await eventually(async () => assert.equal((await row(page, 'sleepy')).why, ''));
    assert.deepEqual(await seqs(page), [1, 2], 'all that without a line');
  });
});

scene('the list can show only stale activities', async () => {
  await silenced('lost');
  await running('found');
  await play('/activities', async (page) => {
    await live(page);
    await page.getByRole('link', { name: /^Needs me \d+$/ }).click();
    await eventually(async () => assert.ok((await rows(page)).every((r) => /^Silent for/.test(r.why))));
    assert.ok((await rows(page)).some((r) => r.type === 'lost'));
    assert.equal(new URL(page.url()).search, '?waiting=true&stale=true');
    await state(page, 'stale-list');
    await page.getByRole('link', { name: /^All/ }).click();
    await eventually(async () => assert.ok((await rows(page)).some((r) => r.type === 'found')));
  });
});

scene('ages are those of the database, whatever the clock of the browser', async () => {
  const id = await silenced('skewed');
  await play('/activities', async (page) => {
    await page.addInitScript(() => {
      const now = Date.now;
      Date.now = () => now() + 3_600_000;
    });
    await page.goto(new URL('/activities/' + id, page.url()).href);
    await live(page);
    await says(page, /^Last seen \d min ago; promised every 1 s$/);
    await eventually(async () => assert.match(await text(page, '#elapsed'), /^\dm /));
    assert.match((await row(page, 'skewed')).why, /^Silent for \d min$/);
    await page.goto(new URL('/activities', page.url()).href);
    await eventually(async () => assert.match((await row(page, 'skewed')).took, /^\dm /));
    assert.match((await row(page, 'skewed')).why, /^Silent for \d min$/);
  });
});

scene('a running agent is asked to stop, and has 30 s for it', async () => {
  const id = await running('busy');
  await play('/activities/' + id, async (page) => {
    await live(page);
    await page.locator('#cancel').click();
    assert.match(await text(page, 'dialog'), /busy is asked to stop\. Its worker gets 30 s to end/);
    await state(page, 'confirm-request');
    await page.getByRole('button', { name: 'Cancel it' }).click();
    await says(page, /^Stopping, \d+ s left$/);
    const [left] = await conditions(page);
    await eventually(async () => assert.notEqual((await conditions(page))[0], left, 'the time runs out'));
    assert.equal(await text(page, '.title .ax-pill'), 'Stopping');
    assert.equal(await statusOf(id), 'RUNNING');
    await eventually(async () => assert.match((await row(page, 'busy')).why, /^Stopping, \d+ s left$/));
    assert.equal(await page.locator('#cancel').count(), 0);
    await eventually(async () => assert.equal(await page.evaluate(() => document.activeElement.id), 'force', 'the focus stays where it was'));
    assert.equal(await text(page, '#announce'), 'busy: stopping');
    await state(page, 'stopping');

    await log(id, 'stopped half way', { status: 'CANCELED' });
    await eventually(async () => assert.equal(await text(page, '.title .ax-pill'), 'Canceled'));
    await says(page);
    await shows(page, 'queued', 'reading', 'Cancel requested', 'stopped half way');
    assert.equal(await page.locator('#force').count(), 0);
  });
});

scene('force is a second step, and an agent that goes on is said to', async () => {
  const id = await running('stubborn');
  await play('/activities/' + id, async (page) => {
    await live(page);
    await page.locator('#cancel').click();
    await page.route('**/cancel', async (route) => { // the request is seen before its answer comes
      const response = await route.fetch();
      await says(page, /^Stopping, /);
      await route.fulfill({ response });
    }, { times: 1 });
    await page.getByRole('button', { name: 'Cancel it' }).click();
    await says(page, /^Stopping, /);
    await eventually(async () => assert.equal(await page.evaluate(() => document.activeElement.id), 'force', 'the focus stays where it was'));
    await page.locator('#force').click();
    await state(page, 'confirm-force');
    await page.locator('dialog').getByRole('button', { name: 'Force cancel' }).click();
    await says(page, /^Canceled, the worker never answered$/);
    await eventually(async () => assert.equal((await row(page, 'stubborn')).why, 'Forced'));
    assert.equal(await text(page, '.title .ax-pill'), 'Canceled');
    assert.equal(await statusOf(id), 'CANCELED');
    await state(page, 'forced');
    await log(id, 'still here');
    await says(page, /^Canceled, the worker never answered$/, /^Still writing after it was canceled$/);
    await eventually(async () => assert.equal((await row(page, 'stubborn')).why, 'Forced, still writing'));
    await shows(page, 'queued', 'reading', 'Cancel requested', 'Canceled without the worker', 'still here');
    await state(page, 'trailing');
  });
});

scene('one that is never forced is stopping until it ends, and one whose time is over is canceled', async () => {
  const [patient, due] = [await running('patient'), await running('due')];
  await sql(`select (agentexec.cancel('${patient}', 'please', null, 'alice')).seq, (agentexec.cancel('${due}', 'now', '1 s')).seq`);
  await play('/activities/' + patient, async (page) => {
    await live(page);
    await says(page, /^Stopping$/);
    assert.match(await text(page, '.banner .by'), /^alice asked at /);
    await eventually(async () => {
      await sql('select agentexec.sweep()');
      assert.equal((await row(page, 'due')).why, 'Forced');
    });
    await says(page, /^Stopping$/);
  });
});

scene('a failed attempt that waits to be tried again can be canceled', async () => {
  const id = await running('flaky');
  await finish(id, 'error', 'the site is gone');
  await play('/activities/' + id, async (page) => {
    await live(page);
    await page.locator('#cancel').click();
    assert.match(await text(page, 'dialog'), /flaky is canceled at once/);
    await page.getByRole('button', { name: 'Cancel it' }).click();
    await eventually(async () => assert.equal(await text(page, '.title .ax-pill'), 'Canceled'));
    assert.equal(await statusOf(id), 'CANCELED');
  });
});

scene('the log of several attempts is divided where each begins', async () => {
  const id = await running('retried');
  await finish(id, 'error', 'the first one failed');
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.deepEqual(await seqs(page), [1, 2, 3]));
    assert.equal(await page.locator('.ax-divider').count(), 0, 'one attempt is not divided');
    await log(id, 'once more', { status: 'RUNNING' });
    await finish(id, 'error', 'the second one failed');
    await log(id, 'a last time', { status: 'QUEUED' });
    await log(id, 'working', { status: 'RUNNING' });
    await eventually(async () => assert.deepEqual(await seqs(page), [1, 2, 3, 4, 5, 6, 7]));
    const divided = () => page.$$eval('.ax-lines > *', (all) => all.map((e) => e.querySelector('.ax-divider b')?.textContent ?? ''));
    await eventually(async () => assert.deepEqual(await divided(), ['Attempt 1', '', '', 'Attempt 2', '', 'Attempt 3', '']));
    assert.match(await text(page, '.ax-lines > :nth-child(4) .ax-divider'), /Attempt 2\s+started \d\d:\d\d:\d\d, failed after \d+s/);
    await state(page, 'attempts');
    await page.getByLabel('Levels').selectOption('Status changes');
    await eventually(async () => assert.deepEqual((await divided()).filter(Boolean), ['Attempt 1', 'Attempt 2', 'Attempt 3'], 'also where lines are left out'));
  });
});

scene('all of that fits on a phone', async () => {
  const id = await silenced('an-agent-with-a-rather-long-name-on-a-phone');
  await sql(`select (agentexec.cancel('${id}', 'please', '1 h', 'somebody-with-a-long-name@example.org')).seq`);
  await sql(`update agentexec.activity set updated_at = now() - interval '125 s' where agent_id = '${id}'`);
  const forced = await running('forced');
  await sql(`select (agentexec.cancel('${forced}', 'now', '0')).seq`);
  await log(forced, 'still here');
  await play('/activities', async (page) => {
    await live(page);
    const why = async (which) => (await rows(page)).find((r) => r.id === which).why;
    await eventually(async () => assert.match(await why(id), /^Stopping, \d+ min left, silent for \d min$/));
    await eventually(async () => assert.equal(await why(forced), 'Forced, still writing'));
    assert.equal((await rows(page)).find((r) => r.id === id).group, 'needs', 'it is counted there');
    assert.ok(await fits(page));
    await state(page, 'phone-life-list');
    await page.locator(`.row[data-id="${id}"]`).tap();
    await says(page, /^Stopping, \d+ min left$/, /^Last seen \d min ago; promised every 1 s$/);
    assert.ok(await fits(page));
    await state(page, 'phone-life');
  }, phone);
});
