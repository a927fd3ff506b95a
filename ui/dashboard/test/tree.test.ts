// The rows below others: which they are, how they are drawn, and the live lists that they come from.

import { WebSocket } from 'ws';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ActivityListItem, type Children, type Client, createClient, type WebSocketClass } from '@agentexec/client';
import { FeedServer, until } from '../../client/test/server.ts';
import { branchesOf } from '../src/list/branches.ts';
import { ChildList, FIRST } from '../src/list/child_list.ts';
import { entryAt, indexesBelow, indexOfItem, lengthOf, placed, shown } from '../src/list/list_layout.ts';
import { ListModel, LIVE } from '../src/list/list_model.ts';
import { childrenInWords } from '../src/list/list_row.tsx';
import { noFilter } from '../src/list/query.ts';
import { TreeModel } from '../src/list/tree_model.ts';
import { item } from './items.ts';

const none: Children = { total: 0, queued: 0, running: 0, complete: 0, error: 0, canceled: 0, percentage: 0 };
const children = (total: number): Children => ({ ...none, total, running: total });
const idOf = (n: number) => item(n, 'RUNNING').agent_id;
const child = (n: number, of: number, more: Partial<ActivityListItem> = {}) => item(n, 'RUNNING', { parent_agent_id: idOf(of), root_agent_id: idOf(of), ...more });

// listOf is a list of children that was read, of `total`.
function listOf(id: string, items: ActivityListItem[], total = items.length): ChildList {
  const list = new ChildList({} as Client, id, noFilter, () => {});
  for (const one of items) list.items.put(one);
  list.counts = { QUEUED: 0, RUNNING: total, COMPLETE: 0, ERROR: 0, CANCELED: 0 };
  return list;
}

function rowsOf(items: ActivityListItem[], lists: ChildList[], unfolded: number[]) {
  const groups = [{ group: 'running' as const, items, count: items.length, open: false }];
  const find = (id: string) => (items.some((i) => i.agent_id === id) ? { group: 'running', index: items.findIndex((i) => i.agent_id === id) } : undefined);
  const needed = new Set<string>();
  const branches = branchesOf(groups, find, { unfolded: new Set(unfolded.map(idOf)), listOf: (id) => lists.find((l) => l.id === id), needed });
  const sections = placed(groups.map((group, n) => ({ ...group, branches: branches[n]! })), new Set());
  return { sections, needed, rows: Array.from({ length: shown(sections[0]!) }, (_, n) => entryAt(sections, n + 1)!) };
}

const short = (key: string) => key.split('/').map((id) => (id === 'rest' ? id : Number(id.slice(-12)))).join('/');

test('the children of those that are unfolded stand below them, to any depth', () => {
  const roots = [item(3, 'RUNNING', { children: children(2) }), item(2, 'RUNNING', { children: children(1) }), item(1, 'RUNNING')];
  const lists = [listOf(idOf(3), [child(31, 3, { children: children(1) }), child(30, 3)]), listOf(idOf(31), [child(310, 31)]), listOf(idOf(2), [child(20, 2)])];
  const { rows, needed, sections } = rowsOf(roots, lists, [3, 31, 2, 1]);
  expect(rows.map(({ key, level, guide, place, of }) => [short(key), level, guide, place, of])).toEqual([
    ['3', 1, '', 1, 3], ['3/31', 2, '+', 1, 2], ['3/31/310', 3, '|L', 1, 1], ['3/30', 2, 'L', 2, 2], ['2', 1, '', 2, 3], ['2/20', 2, 'L', 1, 1], ['1', 1, '', 3, 3],
  ]);
  expect([...needed].map(short)).toEqual(['3', '31', '2']);
  expect(rowsOf(roots, lists, [31]).rows.map(({ key }) => short(key))).toEqual(['3', '2', '1']);
  expect(indexesBelow(sections).get(`${idOf(3)}/${idOf(30)}`)).toBe(4);
  expect(indexOfItem(sections[0]!, 2)).toBe(7);
});

test('a row says that children are loading, that there are more, or why they are not there', () => {
  const roots = [item(1, 'RUNNING', { children: children(5) })];
  const loading = rowsOf(roots, [], [1]).rows[1]!;
  expect(loading).toMatchObject({ rest: 'loading', level: 2, guide: 'L', parent: idOf(1), missing: 5 });
  const { rows } = rowsOf(roots, [listOf(idOf(1), [child(11, 1), child(10, 1)], 5)], [1]);
  expect(rows.map(({ key, guide, missing }) => [short(key), guide, missing])).toEqual([['1', '', undefined], ['1/11', '+', undefined], ['1/10', '+', undefined], ['1/rest', 'L', 3]]);
  const failed = listOf(idOf(1), []);
  failed.problem = 'no';
  expect(rowsOf(roots, [failed], [1]).rows[1]).toMatchObject({ rest: 'problem', problem: 'no' });
});

test('an index and a row belong together, wherever branches are', () => {
  fc.assert(fc.property(fc.array(fc.nat(4), { minLength: 1, maxLength: 12 }), (sizes) => {
    const roots = sizes.map((size, n) => item(100 - n, 'RUNNING', { children: size ? children(size) : null }));
    const lists = sizes.map((size, n) => listOf(idOf(100 - n), Array.from({ length: size }, (_, c) => child(1000 * (100 - n) + 9 - c, 100 - n))));
    const { sections, rows } = rowsOf(roots, lists, sizes.map((_, n) => 100 - n));
    expect(rows).toHaveLength(sizes.reduce((sum, size) => sum + 1 + size, 0));
    expect(lengthOf(sections)).toBe(rows.length + 1);
    expect(rows.map(({ key }) => key)).toEqual(roots.flatMap((root, n) => [root.agent_id, ...lists[n]!.items.all.map((c) => `${root.agent_id}/${c.agent_id}`)]));
    const below = indexesBelow(sections);
    for (const [n, { key }] of rows.entries()) expect(key.includes('/') ? below.get(key) : indexOfItem(sections[0]!, roots.findIndex((r) => r.agent_id === key))).toBe(n + 1);
  }), { numRuns: 200 });
});

test('children in words', () => {
  expect(childrenInWords({ ...none, total: 6, running: 2, complete: 3, error: 1, percentage: 58 })).toBe('6 children: 2 running, 1 failed, 3 complete; 58 %');
  expect(childrenInWords({ ...none, total: 1, queued: 1 })).toBe('1 child: 1 queued; 0 %');
});

let server: FeedServer;
let client: Client;
let leave: (() => void)[] = [];
beforeEach(async () => {
  server = new FeedServer();
  server.items = [];
  await server.start();
  client = createClient({ url: server.url, WebSocket: WebSocket as unknown as WebSocketClass, retryDelay: () => 5 });
});
afterEach(async () => {
  for (const end of leave) end();
  leave = [];
  client.close();
  await server.stop();
});

const groupsOf = (model: ListModel) => model.get().sections.filter(({ items }) => items.length).map(({ group, items }) => [group, ...items.map(({ agent_id }) => short(agent_id))]);

test('the list holds roots, and activities that need a person from deep in a tree until it no longer does', async () => {
  server.items = [item(1, 'RUNNING', { children: children(2) }), child(10, 1, { open_questions: 1 }), child(11, 1), child(12, 1, { stale: true })];
  const model = new ListModel(client, noFilter);
  leave.push(model.subscribe(() => {}));
  await until(() => String(groupsOf(model)) === String([['needs', '12', '10'], ['running', '1']]), 'roots, and activities that need a person');
  server.items = server.items.map((i) => ({ ...i, open_questions: 0, stale: false, last_seq: i.last_seq + 1 }));
  server.relist();
  await until(() => String(groupsOf(model)) === String([['running', '1']]), 'only roots');
});

test('a child that no longer needs a person goes, although pages reach as far down', async () => {
  for (let n = 100; n < 100 + LIVE + 50; n++) server.items!.push(item(n, 'RUNNING'));
  server.items!.push(child(1, 100, { open_questions: 1 }));
  const model = new ListModel(client, noFilter);
  leave.push(model.subscribe(() => {}));
  await until(() => model.get().find(idOf(1)) !== undefined && model.get().more);
  model.inSight(undefined, undefined, true);
  await until(() => !model.get().more, 'the page below is read');
  server.items![server.items!.length - 1] = child(1, 100, { last_seq: 2 });
  server.relist();
  await until(() => model.get().find(idOf(1)) === undefined, 'the child is gone');
});

test('what waits and what is stale are one list, also what stops', async () => {
  const cancel = { seq: 2, message: '', requested_by: null, requested_at: '2026-01-01T00:00:00Z', force_at: null, forced: false };
  server.items = [item(1, 'RUNNING', { stale: true }), item(2, 'QUEUED', { open_questions: 1 }), item(3, 'RUNNING'), child(4, 3, { open_questions: 2, stale: true }), item(5, 'RUNNING', { stale: true, cancel })];
  const model = new ListModel(client, { ...noFilter, stale: true, waiting: true });
  leave.push(model.subscribe(() => {}));
  await until(() => String(groupsOf(model)) === String([['needs', '5', '4', '1', '2']]));
  expect(model.get().sections.find(({ group }) => group === 'needs')!.count).toBe(4);
});

test('children are watched while they are shown, and more of them when asked for', async () => {
  server.items = [item(1, 'RUNNING'), ...Array.from({ length: FIRST + 50 }, (_, n) => child(1000 + n, 1))];
  const tree = new TreeModel(client, noFilter);
  leave.push(tree.subscribe(() => {}));
  const lists = () => server.messages.filter((m) => m.type === 'subscribe').map((m) => m.list as { parent_agent_id?: string; limit?: number });
  tree.watch(new Set([idOf(1)]));
  await until(() => tree.get().listOf(idOf(1))?.total === FIRST + 50);
  const list = tree.get().listOf(idOf(1))!;
  expect(list.items.all).toHaveLength(FIRST);
  expect(lists()).toEqual([{ parent_agent_id: idOf(1), limit: FIRST, include_metadata: true }]);
  const { version } = tree.get();
  server.items.push(child(2000, 1));
  server.relist();
  await until(() => tree.get().get(idOf(2000)) !== undefined, 'a child that is new');
  expect(tree.get().version).not.toBe(version);
  list.more();
  expect(list.items.all, 'they stay until the others come').toHaveLength(FIRST);
  await until(() => list.items.all.length === FIRST + 51);
  tree.watch(new Set());
  await until(() => server.messages.filter((m) => m.type === 'unsubscribe').length === 2, 'they are not watched');
  expect(tree.get().listOf(idOf(1))).toBeUndefined();
});
