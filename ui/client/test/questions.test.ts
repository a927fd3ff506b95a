// Trees and questions over HTTP: what is sent for each call.

import { expect, test } from 'vitest';
import { createClient, type Question } from '../src/index.ts';

const ID = '6f1de0c4-5d0b-4d3a-9a53-0e1f6c5b7a11';
const asked = { agent_id: ID, key: 'pre/prints?', state: 'PENDING', prompt: 'Include them?' } as Question;

function connect(answer: object) {
  const sent: { method: string; path: string; body: unknown }[] = [];
  const client = createClient({
    url: 'http://127.0.0.1/below',
    fetch: (async (url: URL, { method, body }: { method: string; body: string | null }) => {
      sent.push({ method, path: url.pathname.replace('/below', '') + url.search, body: body && JSON.parse(body) });
      return new Response(JSON.stringify(answer), { status: 200 });
    }) as typeof fetch,
  });
  return { client, sent };
}

test('questions are listed, read, answered and declined', async () => {
  const { client, sent } = connect(asked);
  await client.questions();
  await client.questions({ state: 'ANY', agentType: 'research', metadata: { org: '1' }, agentId: ID, after: '["x"]', pageSize: 10 });
  await client.question(ID, 'pre/prints?');
  await client.question(ID, 'a', { wait: '30s' });
  expect(await client.answer(ID, 'pre/prints?', { include: true })).toEqual(asked);
  await client.answer(ID, 'a', false);
  await client.decline(ID, 'a');
  const at = `/v1/activities/${ID}/questions/`;
  expect(sent).toEqual([
    { method: 'GET', path: '/v1/questions?', body: null },
    { method: 'GET', path: `/v1/questions?state=ANY&agent_type=research&agent_id=${ID}&after=%5B%22x%22%5D&page_size=10&metadata.org=%221%22`, body: null },
    { method: 'GET', path: at + 'pre%2Fprints%3F?', body: null },
    { method: 'GET', path: at + 'a?wait=30s', body: null },
    { method: 'POST', path: at + 'pre%2Fprints%3F/answer', body: { answer: { include: true } } },
    { method: 'POST', path: at + 'a/answer', body: { answer: false } },
    { method: 'POST', path: at + 'a/decline', body: {} },
  ].map((call) => ({ ...call, path: call.path.replace(/\?$/, '') })));
});

test('trees are created, listed and canceled', async () => {
  const { client, sent } = connect({ agent_id: ID });
  await client.create('part', { parentAgentId: ID });
  await client.list({ parentAgentId: ID, waiting: true });
  await client.list({ rootAgentId: ID, waiting: false, pageSize: 5 });
  await client.list({ rootsOnly: true });
  await client.cancel(ID, { tree: true, grace: '5m' });
  expect(sent.map(({ path, body }) => [path, body])).toEqual([
    ['/v1/activities', { task_name: 'part', parent_agent_id: ID }],
    [`/v1/activities?parent_agent_id=${ID}&waiting=true`, null],
    [`/v1/activities?page_size=5&root_agent_id=${ID}&waiting=false`, null],
    ['/v1/activities?roots_only=true', null],
    [`/v1/activities/${ID}/cancel`, { tree: true, grace: '5m' }],
  ]);
});
