// The pictures in the README: `ONLY='the README' ui/test/run.sh docs` makes them anew.

import assert from 'node:assert/strict';
import { create, eventually, log, play, scene, shot, sql, state } from './stage.mjs';
import { live, rows, text } from './screen.mjs';

// agent is an activity with lines: [seconds ago, message, percentage, data].
async function agent(type, status, ...lines) {
  const [[, queued], ...rest] = lines;
  const id = await create(type, queued);
  const ends = status !== 'RUNNING' && status !== 'QUEUED';
  for (const [, message, percentage = null, data = null] of ends ? rest.slice(0, -1) : rest) await log(id, message, { status: 'RUNNING', percentage, data });
  if (ends) await log(id, rest.at(-1)[1], { status, percentage: status === 'COMPLETE' ? 100 : null });
  const ago = (s) => `now() - interval '${s + ((s * 377) % 1000) / 1000} s'`;
  await sql(`update agentexec.activity_log l set created_at = case l.seq ${lines.map(([s], n) => `when ${n + 1} then ${ago(s)}`).join(' ')} else ${ago(lines.at(-1)[0])} end
    from agentexec.activity a where a.id = l.activity_id and a.agent_id = '${id}'`);
  const [created, started, finished] = [lines[0], lines[1] ?? lines[0], lines.at(-1)].map(([s]) => ago(s));
  await sql(`update agentexec.activity set created_at = ${created}, updated_at = ${finished}, started_at = case when started_at is not null then ${started} end,
    finished_at = case when finished_at is not null then ${finished} end where agent_id = '${id}'`);
  return id;
}

scene('the README shows it', async () => {
  await agent('research', 'COMPLETE', [900, 'Queued'], [890, 'Searching the web'], [760, '31 sources read, report written']);
  await agent('crawl', 'ERROR', [840, 'Queued'], [838, 'Fetching example.org', 12], [820, 'example.org answers 503, given up after 5 tries']);
  await agent('translate', 'COMPLETE', [700, 'Queued'], [690, 'Translating'], [655, '42 pages translated to French']);
  await agent('index', 'CANCELED', [600, 'Queued'], [595, 'Indexing', 40], [560, 'Canceled']);
  for (const [n, topic] of ['heat pumps', 'tidal power', 'geothermal wells'].entries()) await agent('summarise', 'QUEUED', [40 - 7 * n, `Waiting: ${topic}`]);
  await agent('translate', 'RUNNING', [95, 'Queued'], [90, 'Reading 120 pages', 5], [30, 'Page 21 of 120', 18]);
  await agent('crawl', 'RUNNING', [140, 'Queued'], [134, 'Fetching docs.example.org', 1], [20, '1,204 pages fetched, 96 to go', 93]);
  const id = await agent('research', 'RUNNING',
    [184, 'Queued: solid-state batteries'], [181, 'Planning', 2], [172, '6 questions to answer', 6, { questions: 6, model: 'large' }],
    [150, 'Searching the web', 10], [141, '48 sources found', 18, { found: 48, kept: 31, languages: ['en', 'de', 'ja'] }], [118, 'Reading 1 to 10 of 31', 29],
    [96, 'Reading 11 to 20 of 31', 41], [71, 'Reading 21 to 31 of 31', 55], [52, 'Two sources disagree on cycle life, reading a third', 58], [21, 'Writing: chemistry', 66], [6, 'Writing: costs', 74]);
  await play('/activities/' + id, async (page) => {
    await live(page);
    await eventually(async () => assert.equal(await text(page, '#lines'), '11 lines'));
    await eventually(async () => assert.equal((await rows(page)).length, 10));
    await page.locator('.line[data-seq="5"] .data > summary').click();
    await page.locator('.line[data-seq="5"] .json').waitFor();
    await page.locator('#follow').click();
    await state(page, 'dashboard');
  }, { viewport: { width: 1200, height: 720 } });
  await play('/activities/' + id, async (page) => {
    await live(page);
    await eventually(async () => assert.equal(await text(page, '#lines'), '11 lines'));
    await shot(page, 'dashboard-phone');
  }, { viewport: { width: 375, height: 720 }, hasTouch: true, isMobile: true });
});
