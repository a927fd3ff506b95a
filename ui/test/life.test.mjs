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
    assert.equal(await text(page, '.title .ax-badge'), 'Running', 'its status is what it was');
    await eventually(async () => assert.match((await row(page, 'silent')).conditions.join(), /^Last seen \d min ago; promised every 1 s$/));
    assert.deepEqual((await row(page, 'lively')).conditions, []);
    assert.equal(await text(page, '#announce'), 'silent: Running, stale');
    await state(page, 'stale');
    await finish(id, 'complete', 'done after all');
    await eventually(async () => assert.equal(await text(page, '.title .ax-badge'), 'Complete'));
    await says(page);
    await eventually(async () => assert.deepEqual((await row(page, 'silent')).conditions, []));
  });
});

scene('an activity becomes stale and fresh again without a line', async () => {
  const id = await running('sleepy');
  await play('/activities/' + id, async (page) => {
    await live(page);
    await shows(page, 'queued', 'reading');
    await beat(id, '1 s');
    await says(page, /^Last seen \d+ s ago; promised every 1 s$/);
    await eventually(async () => assert.match((await row(page, 'sleepy')).conditions.join(), /^Last seen/));
    await beat(id, '1 day');
    await says(page);
    await eventually(async () => assert.deepEqual((await row(page, 'sleepy')).conditions, []));
    assert.deepEqual(await seqs(page), [1, 2], 'all that without a line');
  });
});

scene('the list can show only stale activities', async () => {
  await silenced('lost');
  await running('found');
  await play('/?agent_type=found', async (page) => {
    await live(page);
    assert.equal(await page.locator('.filter[data-status=stale]').count(), 0, 'where there is none, it is not offered');
  });
  await play('/', async (page) => {
    await live(page);
    const chip = page.locator('.filter[data-status=stale]');
    await eventually(async () => assert.match(await chip.innerText(), /^Stale \d+$/));
    await chip.click();
    await eventually(async () => assert.ok((await rows(page)).every((r) => r.conditions.length > 0)));
    assert.ok((await rows(page)).some((r) => r.type === 'lost'));
    assert.equal(new URL(page.url()).search, '?stale=true');
    assert.equal(await page.locator('#cancel-pending').getAttribute('aria-disabled'), 'true', 'that would cancel others too');
    await state(page, 'stale-list');
    await page.locator('.filter[data-status=""]').click();
    await eventually(async () => assert.ok((await rows(page)).some((r) => r.type === 'found')));
  });
});

scene('ages are those of the database, whatever the clock of the browser', async () => {
  const id = await silenced('skewed');
  await play('/', async (page) => {
    await page.addInitScript(() => {
      const now = Date.now;
      Date.now = () => now() + 3_600_000;
    });
    await page.goto(new URL('/activities/' + id, page.url()).href);
    await live(page);
    await says(page, /^Last seen \d min ago; promised every 1 s$/);
    await eventually(async () => assert.match(await text(page, '#elapsed'), /^\dm /));
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
    assert.equal(await text(page, '.title .ax-badge'), 'Running');
    assert.equal(await statusOf(id), 'RUNNING');
    await eventually(async () => assert.match((await row(page, 'busy')).conditions.join(), /^Stopping, \d+ s left$/));
    assert.equal(await page.locator('#cancel').count(), 0);
    assert.equal(await page.locator('#force').evaluate((e) => e === document.activeElement), true, 'the focus stays where it was');
    assert.equal(await text(page, '#announce'), 'busy: Running, stopping');
    await state(page, 'stopping');

    await log(id, 'stopped half way', { status: 'CANCELED' });
    await eventually(async () => assert.equal(await text(page, '.title .ax-badge'), 'Canceled'));
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
    await page.getByRole('button', { name: 'Cancel it' }).click();
    await says(page, /^Stopping, /);
    await page.locator('#force').click();
    await state(page, 'confirm-force');
    await page.locator('dialog').getByRole('button', { name: 'Force cancel' }).click();
    await says(page, /^Canceled, the worker never answered$/);
    assert.equal(await text(page, '.title .ax-badge'), 'Canceled');
    assert.equal(await statusOf(id), 'CANCELED');
    await state(page, 'forced');
    await log(id, 'still here');
    await says(page, /^Canceled, the worker never answered$/, /^Still writing after it was canceled$/);
    await eventually(async () => assert.equal((await row(page, 'stubborn')).conditions.at(-1), 'Still writing after it was canceled'));
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
    assert.equal(await text(page, '.conditions .by'), 'Requested by alice');
    await eventually(async () => {
      await sql('select agentexec.sweep()');
      assert.deepEqual((await row(page, 'due')).conditions, ['Canceled, the worker never answered']);
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
    await eventually(async () => assert.equal(await text(page, '.title .ax-badge'), 'Canceled'));
    assert.equal(await statusOf(id), 'CANCELED');
  });
});

scene('the log of several attempts is divided where each begins', async () => {
  const id = await running('retried');
  await finish(id, 'error', 'the first one failed');
  await play('/activities/' + id, async (page) => {
    await eventually(async () => assert.deepEqual(await seqs(page), [1, 2, 3]));
    assert.equal(await page.locator('.begins').count(), 0, 'one attempt is not divided');
    await log(id, 'once more', { status: 'RUNNING' });
    await finish(id, 'error', 'the second one failed');
    await log(id, 'a last time', { status: 'QUEUED' });
    await log(id, 'working', { status: 'RUNNING' });
    await eventually(async () => assert.deepEqual(await seqs(page), [1, 2, 3, 4, 5, 6, 7]));
    const divided = () => page.$$eval('.line', (all) => all.map((e) => e.querySelector('.begins h4')?.textContent ?? ''));
    await eventually(async () => assert.deepEqual(await divided(), ['', '', '', 'Attempt 2', '', 'Attempt 3', '']));
    assert.match(await text(page, '.line[data-seq="4"] .begins time'), /^\d\d:\d\d:\d\d$/);
    await state(page, 'attempts');
    await page.locator('#changes').click();
    await eventually(async () => assert.deepEqual((await divided()).filter(Boolean), ['Attempt 2', 'Attempt 3'], 'also where lines are left out'));
  });
});

scene('all of that fits on a phone', async () => {
  const id = await silenced('an-agent-with-a-rather-long-name-on-a-phone');
  await sql(`select (agentexec.cancel('${id}', 'please', '1 h', 'somebody-with-a-long-name@example.org')).seq`);
  await sql(`update agentexec.activity set updated_at = now() - interval '125 s' where agent_id = '${id}'`);
  const forced = await running('forced');
  await sql(`select (agentexec.cancel('${forced}', 'now', '0')).seq`);
  await log(forced, 'still here');
  await play('/', async (page) => {
    await live(page);
    const conditionsOf = async (which) => (await rows(page)).find((r) => r.id === which)?.conditions.length;
    for (const which of [id, forced]) await eventually(async () => assert.equal(await conditionsOf(which), 2));
    assert.ok(await fits(page));
    await state(page, 'phone-life-list');
    await page.locator(`.row[data-id="${id}"]`).tap();
    await says(page, /^Stopping, \d+ min left$/, /^Last seen \d min ago; promised every 1 s$/);
    assert.ok(await fits(page));
    await state(page, 'phone-life');
  }, phone);
});
