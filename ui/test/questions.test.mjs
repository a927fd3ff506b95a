// Questions of agents to a person: on the page of the activity, in the overview, and how they are closed.

import assert from 'node:assert/strict';
import { base, create, eventually, finish, log, move, play, quoted, scene, sql, state, token } from './stage.mjs';
import { live, text } from './screen.mjs';

// agent is a RUNNING activity, and how it asks.
async function agent(type) {
  const id = await create(type, 'Starting');
  await log(id, 'Reading', { status: 'RUNNING', percentage: 20 });
  await log(id, 'Comparing', { percentage: 48 });
  const ask = (key, prompt, schema = null, expires = null) =>
    sql(`select agentexec.ask(${[id, key, prompt, schema && JSON.stringify(schema)].map(quoted).join()}${expires ? `, '${expires}'` : ''})`);
  return { id, ask };
}

// answered waits as a worker does, with a long poll, until its question is closed.
const closedQuestion = async (id, key) => (await fetch(`${base}/v1/activities/${id}/questions/${encodeURIComponent(key)}?wait=30s`)).json();
const questionOf = async (id, key) => (await fetch(`${base}/v1/activities/${id}/questions/${encodeURIComponent(key)}`)).json();
const closeBy = (id, key, who, answer) => sql(`select agentexec.${answer === undefined ? 'decline' : 'answer'}('${id}', '${key}', ${answer === undefined ? '' : `'${JSON.stringify(answer)}', `}'${who}')`);

const card = (page) => page.locator('.ax-ask');
const button = (page, name) => card(page).getByRole('button', { name, exact: true });
const says = (page, expected) => eventually(async () => assert.match(await card(page).innerText(), expected));
const preprints = {
  type: 'object', required: ['include'],
  properties: { include: { type: 'boolean', title: 'Include' }, note: { type: 'string', title: 'Note', maxLength: 20 }, count: { type: 'integer', title: 'How many', minimum: 1 } },
};

scene('an agent asks, a person answers in the dashboard, and the worker gets the answer', async () => {
  const { id, ask } = await agent('research');
  await play('/activities/' + id, async (page) => {
    await live(page);
    assert.equal(await page.locator('#tab-Questions').count(), 0);
    await ask('pre/prints', 'Include the two preprints that are not peer reviewed?', preprints);
    const worker = closedQuestion(id, 'pre/prints');
    await says(page, /^Waits for you\s+\d+ s\s+key pre\/prints\s+Include the two preprints/);
    await eventually(async () => assert.equal(await text(page, '.title .ax-pill'), 'Running, waits for you'));
    await eventually(async () => assert.match(await page.title(), /^\(1\) /));
    assert.equal(await text(page, '#tab-Questions span'), '1');
    await button(page, 'Answer').waitFor();
    await state(page, 'question');

    // What is missing or wrong is said at its field, which gets the focus; nothing is sent.
    await page.getByLabel('How many').fill('0');
    await button(page, 'Answer').press('Enter');
    await says(page, /Include is required[^]*How many must be at least 1, got 0/);
    assert.equal(await page.evaluate(() => document.activeElement.type), 'radio');
    await state(page, 'question-problems');

    await page.keyboard.press('Space');
    assert.ok(await page.getByRole('radio', { name: 'Yes' }).isChecked());
    await page.getByLabel('How many').fill('2');
    await page.getByLabel('Note').fill('fine');
    await page.keyboard.press('Enter');
    assert.deepEqual((await worker).answer, { include: true, note: 'fine', count: 2 });
    await says(page, /^Answered\s+key[^]*Answered at \d\d:\d\d:\d\d: \{"note":"fine","count":2,"include":true\}$/);
    assert.ok(await page.evaluate(() => document.activeElement.matches('.ax-ask')), 'the focus stays where the form was');
    await eventually(async () => assert.equal(await text(page, '.title .ax-pill'), 'Running'));
    await eventually(async () => assert.doesNotMatch(await page.title(), /^\(/));
    await state(page, 'question-answered');
  });
});

scene('a question is declined, others are expired and withdrawn, and each is shown as what it is', async () => {
  const { id, ask } = await agent('research');
  await ask('first', 'Which source counts?', { enum: ['Nature', 'Science'] });
  await closeBy(id, 'first', 'anna', 'Science');
  await ask('gone', 'Shall I wait for the data?');
  await sql(`select agentexec.withdraw('${id}', 'gone')`);
  await ask('spend', 'May I spend 40 EUR?', { type: 'boolean' });
  await ask('second', 'And later?');
  await play('/activities/' + id, async (page) => {
    await says(page, /May I spend 40 EUR\?/);
    await button(page, 'Decline').click();
    // The next one takes its place.
    await says(page, /And later\?/);
    assert.equal((await questionOf(id, 'spend')).state, 'DECLINED');
    await ask('late', 'Is it good enough?', null, '2 seconds');
    await page.getByRole('button', { name: '1 more question waits' }).click();
    const asked = () => page.locator('.asked').evaluateAll((all) => all.map((e) => [e.dataset.state, e.querySelector('.t').innerText]));
    await eventually(async () => assert.deepEqual(await asked(), [
      ['PENDING', 'And later?'], ['EXPIRED', 'Is it good enough?'], ['DECLINED', 'May I spend 40 EUR?'], ['WITHDRAWN', 'Shall I wait for the data?'], ['ANSWERED', 'Which source counts?'],
    ]), 40_000);
    assert.match(await page.locator('.asked[data-state=ANSWERED]').innerText(), /Answered by anna at [\d:]+: Science/);
    await state(page, 'questions');
    await page.getByRole('button', { name: 'Answer: And later?' }).click();
    assert.ok(await page.evaluate(() => document.activeElement.matches('.ax-ask textarea')));
    await finish(id, 'complete', 'done');
    await says(page, /^Withdrawn/);
  });
});

scene('the time of a question is over while its form is open', async () => {
  const { id, ask } = await agent('deploy');
  await ask('go', 'Go on?', { type: 'boolean' }, '8 seconds');
  await play('/activities/' + id, async (page) => {
    await says(page, /expires in \d s/);
    await says(page, /^Expired[^]*Its time was over before an answer came/);
    assert.equal(await button(page, 'Answer').count(), 0);
  });
});

scene('another person answers meanwhile: while the form is open, and while the answer is on its way', async () => {
  const { id, ask } = await agent('deploy');
  await ask('go', 'Go on?', { type: 'boolean' });
  await play('/activities/' + id, async (page) => {
    await page.getByRole('radio', { name: 'Yes' }).check();
    await closeBy(id, 'go', 'anna', false);
    await says(page, /^Answered[^]*Answered by anna at [\d:]+: No$/);

    // The page does not hear of it, and the server refuses its answer.
    await ask('again', 'And now?', { type: 'boolean' });
    await page.getByRole('radio', { name: 'Yes' }).check();
    await page.route('**/answer', async (route) => {
      await closeBy(id, 'again', 'bert');
      await route.continue();
    });
    await button(page, 'Answer').click();
    await says(page, /^Declined[^]*Declined by bert at [\d:]+\. There is no answer/);
    assert.equal((await questionOf(id, 'again')).state, 'DECLINED');
  });
});

scene('an answer that only the server finds wrong is shown at its field', async () => {
  const { id, ask } = await agent('deploy');
  await ask('size', 'How large?', { type: 'object', properties: { size: { type: 'number', title: 'Size' }, unit: { type: 'string', maxLength: 3 } } });
  await play('/activities/' + id, async (page) => {
    await page.route('**/answer', (route) => route.continue({ postData: JSON.stringify({ answer: { size: 1, unit: 'meters' } }) }));
    await page.getByLabel('Size').fill('1');
    await button(page, 'Answer').click();
    await says(page, /unit must have at most 3 characters, got 6/);
    assert.equal(await page.evaluate(() => document.activeElement.dataset.path), 'answer.unit');
    assert.equal((await questionOf(id, 'size')).state, 'PENDING');
    await page.unroute('**/answer');
    await page.getByLabel('unit').fill('m');
    await button(page, 'Answer').dblclick();
    await says(page, /^Answered/);
    assert.deepEqual((await questionOf(id, 'size')).answer, { size: 1, unit: 'm' });
  });
});

scene('a token without the verb shows the question and disables its form', async () => {
  const { id, ask } = await agent('deploy');
  await ask('go', 'Go on?', { type: 'boolean' });
  const guarded = await move('/guarded');
  await play(`${guarded}/activities/${id}#token=${await token('--read')}`, async (page) => {
    await says(page, /Go on\?[^]*The token does not grant answer, so this form is disabled/);
    assert.ok(await button(page, 'Answer').isDisabled());
    assert.ok(await page.getByRole('radio', { name: 'Yes' }).isDisabled());
    await state(page, 'question-not-granted');
  });
  await play(`${guarded}/activities/${id}#token=${await token('--read', '--answer', '--subject carla')}`, async (page) => {
    await page.getByRole('radio', { name: 'No' }).check();
    await button(page, 'Answer').click();
    await says(page, /Answered by carla/);
  });
});

scene('the overview lists what waits, and a person answers there', async () => {
  await sql(`select agentexec.cancel(agent_id, 'over', grace => '0s') from agentexec.activity_list where status in ('QUEUED', 'RUNNING')`);
  const { id, ask } = await agent('support');
  await ask('refund', 'Refund 1,240.00 EUR for order 88213?', { type: 'boolean' }, '1 hour');
  await play('/', async (page) => {
    await live(page);
    const attention = page.locator('.attention');
    await attention.getByText('Waiting for a person').waitFor();
    assert.match(await attention.innerText(), /1 question\s+Refund 1,240\.00 EUR for order 88213\?\s+support · waits \d+ s · expires in (59|60) min/);
    await eventually(async () => assert.match(await text(page, '[data-figure=waiting]'), /^1\s+oldest \d+ s/));
    const size = page.viewportSize();
    await page.setViewportSize({ width: 320, height: 740 });
    assert.ok(await attention.locator('.s').first().evaluate((e) => e.scrollWidth <= e.clientWidth), 'the deadline is not cut off on a phone');
    await page.setViewportSize(size);
    const other = await agent('research');
    await other.ask('pre', 'Include them?');
    await eventually(async () => assert.match(await attention.innerText(), /2 questions/));
    await eventually(async () => assert.match(await page.title(), /^\(2\) /));

    await attention.getByRole('button', { name: 'Answer: Refund' }).click();
    await button(page, 'Answer').waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.type), 'radio');
    await state(page, 'overview-question');
    await page.keyboard.press('Space');
    await page.keyboard.press('Enter');
    await says(page, /Answered at [\d:]+: Yes/);
    assert.equal((await questionOf(id, 'refund')).answer, true);
    await eventually(async () => assert.match(await attention.innerText(), /1 question\s/));
    await attention.getByRole('button', { name: 'Hide: Refund' }).click();
    assert.doesNotMatch(await attention.innerText(), /Refund/);
  });
});

scene('a new question is notified once', async () => {
  const { ask } = await agent('asker');
  await play('/', async (page) => {
    await page.evaluate(() => {
      window.shown = [];
      window.Notification = class {
        static permission = 'default';
        static requestPermission = async () => (window.Notification.permission = 'granted');
        constructor(title, { body }) {
          window.shown.push(`${title}: ${body}`);
        }
      };
    });
    await live(page);
    await page.locator('#notify').click();
    await page.locator('#notify[aria-pressed=true]').waitFor();
    await ask('before', 'Is this known?');
    await page.locator('.attention').getByText('Is this known?').waitFor();
    await ask('after', 'Refund the order?');
    await eventually(async () => assert.deepEqual((await page.evaluate(() => window.shown)).filter((one) => /Refund/.test(one)), ['asker asks a question: Refund the order?']));
  });
});

scene('questions fit at 375 px, and a finger can answer', async () => {
  const { id, ask } = await agent('support-triage');
  await ask('refund', 'Refund 1,240.00 EUR for order 88213, which arrived broken and late, to the customer?', {
    type: 'object', required: ['amount', 'method'],
    properties: {
      amount: { type: 'number', minimum: 0, maximum: 1240, title: 'Amount', description: 'EUR, at most the price' }, method: { enum: ['Card', 'Bank transfer', 'Voucher', 'Credit', 'None'], title: 'Pay by' },
      reasons: { type: 'array', items: { enum: ['Late', 'Broken', 'Wrong item'] }, title: 'Reasons' }, words: { type: 'array', items: { type: 'string' }, title: 'Tags' }, more: { title: 'More' },
    },
  });
  await play('/activities/' + id, async (page) => {
    await button(page, 'Answer').waitFor();
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await state(page, 'phone-question');
    await page.getByLabel('Amount').fill('12.5');
    await page.getByLabel('Pay by').selectOption('Voucher');
    await page.getByRole('checkbox', { name: 'Broken' }).check();
    await page.getByLabel('Tags').fill('vip\nfast');
    await page.getByRole('textbox', { name: 'More' }).fill('{"a": 1}');
    await button(page, 'Answer').tap();
    await says(page, /^Answered/);
    assert.deepEqual((await questionOf(id, 'refund')).answer, { amount: 12.5, method: 'Voucher', reasons: ['Broken'], words: ['vip', 'fast'], more: { a: 1 } });
  }, { viewport: { width: 375, height: 740 }, hasTouch: true, isMobile: true });
});
