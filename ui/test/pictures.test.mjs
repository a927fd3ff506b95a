// The pictures in the README: `ONLY='the README' ui/test/run.sh docs` makes them anew.

import assert from 'node:assert/strict';
import { create, log, play, scene, shot, sql } from './stage.mjs';
import { live } from './screen.mjs';

// agent is an activity with lines: [seconds ago, message, percentage, data].
async function agent(type, status, metadata, ...lines) {
  const [[, queued], ...rest] = lines;
  const id = await create(type, queued, { metadata });
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

// hour makes the runs of the last hour, the same at every call.
const hour = () => sql(`do $$
declare
  v_types text[] := array['support-triage', 'code-review', 'ingest-docs', 'research', 'summarise-call'];
  v_take int[] := array[58, 220, 665, 400, 115];
  v_errors text[] := array['RateLimitError: 429, tokens per minute for large-2', 'TimeoutError: request timed out after 600 s', 'HTTP 503 from the patent search, 4 tries'];
  v_id uuid; v_n int; v_started timestamptz; v_finished timestamptz; v_failed boolean;
begin
  for i in 1..420 loop
    v_n := 1 + (array[0, 0, 0, 1, 1, 2, 2, 3, 0, 4])[1 + (i * 7) % 10];
    v_failed := v_n = 4 and i % 90 = any (array[21, 51]) or v_n = 3 and i % 23 = 0;
    v_finished := now() - make_interval(secs => 30 + (i * 3560.0 / 420) + (i * 7919 % 97));
    v_started := v_finished - make_interval(secs => v_take[v_n] * (0.5 + (i * 31 % 100) / 80.0));
    v_id := agentexec.create_activity(v_types[v_n], 'Queued', metadata => jsonb_build_object('org', i % 9, 'model', case i % 3 when 0 then 'large-2' else 'small-1' end));
    perform agentexec.append_log(v_id, 'Working', 40, 'RUNNING');
    perform agentexec.append_log(v_id, case when v_failed then v_errors[case when v_n = 3 then 2 when i % 90 = 21 then 1 else 3 end] else 'Done' end, case when v_failed then null else 100 end, case when v_failed then 'ERROR'::agentexec.status else 'COMPLETE' end);
    update agentexec.activity set created_at = v_started - interval '2 s', started_at = v_started, updated_at = v_finished, finished_at = v_finished where agent_id = v_id;
    update agentexec.activity_log l set created_at = v_finished from agentexec.activity a where l.activity_id = a.id and l.seq = a.last_seq and a.agent_id = v_id;
  end loop;
end $$`);

const wide = { viewport: { width: 1440, height: 900 } };
const phone = { viewport: { width: 375, height: 720 }, hasTouch: true, isMobile: true };

let made;
// work makes what runs now, once for all pictures; it returns the activity that is shown.
const work = () => (made ??= (async () => {
  await hour();
  await agent('nightly-report', 'CANCELED', { org: 4 }, [600, 'Queued'], [595, 'Indexing', 40], [560, 'Canceled: not needed today']);
  for (const [n, topic] of ['heat pumps', 'tidal power', 'geothermal wells'].entries()) await agent('summarise-call', 'QUEUED', { org: n }, [40 - 7 * n, `Waiting: ${topic}`]);
  await agent('translate', 'RUNNING', { org: 7, lang: 'fr' }, [95, 'Queued'], [90, 'Reading 120 pages', 5], [30, 'Page 21 of 120', 18]);
  await agent('code-review', 'RUNNING', { org: 2, repo: 'billing' }, [140, 'Queued'], [134, 'Reading the diff', 1], [20, '41 of 44 files read', 93]);
  const silent = await agent('ingest-docs', 'RUNNING', { org: 1, source: 'wiki' }, [700, 'Queued'], [690, 'Splitting', 2], [250, 'chunk 4,118 of 9,640', 43]);
  await sql(`select (agentexec.heartbeat('${silent}', '30 s')).status::text`);
  await sql(`update agentexec.activity_heartbeat h set beat_at = now() - interval '250 s' from agentexec.activity a where a.id = h.activity_id and a.agent_id = '${silent}'`);
  const stopping = await agent('support-triage', 'RUNNING', { org: 3, channel: 'mail' }, [80, 'Queued'], [75, 'Reading the thread', 30], [15, 'Drafting an answer', 58]);
  await sql(`select (agentexec.cancel('${stopping}', 'The customer has called', '10 min', 'ada')).seq`);
  const id = await agent('research', 'RUNNING', { org: 1, model: 'large-2', topic: 'batteries' },
    [184, 'Queued: solid-state batteries'], [181, 'INFO Planning', 2], [172, 'INFO 6 questions to answer', 6, { questions: 6, model: 'large-2' }],
    [150, 'INFO Searching the web', 10], [141, 'INFO 48 sources found', 18, { found: 48, kept: 31, languages: ['en', 'de', 'ja'] }], [118, 'DEBUG Reading 1 to 10 of 31', 29],
    [96, 'DEBUG Reading 11 to 20 of 31', 41], [83, 'WARN example.org answers slowly, 8.1 s', 48], [71, 'DEBUG Reading 21 to 31 of 31', 55],
    [52, 'WARN Two sources disagree on cycle life, reading a third', 58], [21, 'INFO Writing: chemistry', 66], [6, 'INFO Writing: costs', 74]);
  return id;
})());

// Light and dark are of one page: that the contrast holds is tested elsewhere.
const pages = [
  ['overview', () => '/', 'is silent for', wide], ['list', () => '/activities', 'chunk 4,118 of 9,640', wide], ['activity', (id) => '/activities/' + id, 'Writing: costs', wide],
  ['phone-overview', () => '/', 'is silent for', phone], ['phone-list', () => '/activities', 'chunk 4,118 of 9,640', phone], ['phone-activity', (id) => '/activities/' + id, 'Writing: costs', phone],
];

for (const [name, path, words, options] of pages) {
  scene(`the README shows it: ${name}`, async () => {
    const id = await work();
    await play(path(id), async (page) => {
      await live(page);
      await page.getByText(words).last().waitFor();
      if (name.endsWith('overview')) await page.locator('.types tbody tr').nth(4).waitFor();
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
      await shot(page, 'dashboard-' + name);
      await page.emulateMedia({ colorScheme: 'dark' });
      await shot(page, `dashboard-${name}-dark`);
    }, options);
  });
}
