// What a search finds and completes, and which lists the page asks for.

import { beforeEach, expect, test } from 'vitest';
import { completionsOf, problemOf } from '../src/list/complete.ts';
import { inWords } from '../src/list/cancel_many.ts';
import { idPrefixOf, matcherOf } from '../src/list/match.ts';
import { listedCounts, needsOf, partsOf, queryOf } from '../src/list/part.ts';
import { noFilter } from '../src/list/query.ts';
import { tokenize } from '../src/list/search_text.ts';
import { seen } from '../src/list/seen.ts';
import { item } from './items.ts';

beforeEach(() => seen.clear());

test('words are found in the type, the id, the latest line and the metadata, each anywhere', () => {
  const it = item(1, 'QUEUED', { agent_type: 'Research', latest_log: 'Reading page 7', metadata: { org: 42, topic: 'Solid State', deep: { a: 1 } } });
  for (const text of ['', 'research', 'PAGE', '000001', '42', 'solid', '"solid state"', 'research 42', '"org=42"']) expect([text, matcherOf(text)(it)]).toEqual([text, true]);
  for (const text of ['research 43', '"state solid"', 'pageorg', 'nothing']) expect(matcherOf(text)(it)).toBe(false);
  expect(['feed', 'FEED-', '12ab cdef', 'fee', 'feeds', '"12345"', 'x 6f1de0c4-5d0b'].map(idPrefixOf)).toEqual(['feed', 'feed-', '12ab', undefined, undefined, '12345', '6f1de0c4-5d0b']);
});

test('completions come from what was seen', () => {
  seen.note(item(1, 'QUEUED', { agent_type: 'my type', metadata: { stage: 'draft', 'a key': true, n: 42, text: '42', deep: {} } }));
  seen.note(item(2, 'QUEUED', { agent_type: 'other', metadata: { stage: 'final version' } }));
  const of = (text: string) => completionsOf(tokenize(text).at(-1), seen).map(({ key, value }) => key + value);
  expect(of('')).toEqual(['type:', 'status:', 'since:', 'until:', 'sort:', 'order:', 'stale:', 'is:', 'parent:', 'root:', 'flat:', '"a key"=', 'n=', 'stage=', 'text=']);
  expect(of('sta')).toEqual(['status:', 'stale:', 'stage=']);
  expect(of('err')).toEqual(['status:error']);
  expect(of('wai')).toEqual(['status:waiting']);
  expect(of('is:')).toEqual(['is:waiting', 'is:stale', 'is:stopping']);
  expect(of('type:')).toEqual(['type:"my type"', 'type:other']);
  expect(of('type:oth')).toEqual(['type:other']);
  expect(of('stage=')).toEqual(['stage=draft', 'stage="final version"']);
  expect(of('stage=fi')).toEqual(['stage="final version"']);
  expect(of('stale:')).toEqual(['stale:true']);
  expect(of('unheard=')).toEqual([]);
});

test('a token with a value that its filter does not take is explained', () => {
  const of = (text: string) => problemOf(tokenize(text)[0]!);
  expect(['word', 'org=1', 'status:error', 'since:7d'].map(of)).toEqual(['', '', '', '']);
  expect(of('status:nonsense')).toBe('status: takes running, queued, complete, error, canceled, waiting, stale or stopping');
  expect(of('sort:size')).toBe('sort: takes created, duration or activity');
});

test('activities that need a person and what failed today are asked for beside the list', () => {
  const now = Date.parse('2026-01-31T12:00:00Z');
  const of = (filter: Partial<typeof noFilter>) => partsOf({ ...noFilter, ...filter }, false, now).map(({ name, query }) => [name, query.statuses, query.stale, query.since]);
  expect(of({})).toEqual([['waiting', undefined, undefined, undefined], ['stale', undefined, true, undefined], ['failed', ['ERROR'], undefined, '24h']]);
  expect(of({ since: '1h' })).toEqual([['waiting', undefined, undefined, '1h'], ['stale', undefined, true, '1h'], ['failed', ['ERROR'], undefined, '1h']]);
  expect(of({ since: '7d' })[2]).toEqual(['failed', ['ERROR'], undefined, '24h']);
  expect(of({ since: '2026-01-31T11:00:00Z' })[2]![3]).toBe('2026-01-31T11:00:00.000Z');
  expect(of({ since: '2026-01-01' })[2]![3]).toBe('24h');
  expect(of({ statuses: ['QUEUED', 'COMPLETE'] })).toEqual([['waiting', ['QUEUED'], undefined, undefined]]);
  expect(of({ statuses: ['ERROR'] }).map(([name]) => name)).toEqual(['failed']);
  expect(of({ stale: true })).toEqual([]);
  expect(of({ waiting: true })).toEqual([]);
  expect(of({ stopping: true })).toEqual([]);
  expect(of({ waiting: true, stale: true }).map(([name]) => name)).toEqual(['waiting']);
});

test('the list holds roots alone until something is picked out, and activities that need a person from everywhere', () => {
  const of = (filter: Partial<typeof noFilter>) => queryOf({ ...noFilter, ...filter }).rootsOnly;
  expect([{}, { since: '1h' }, { metadata: { org: '1' } }, { sort: 'duration' as const }].map(of)).toEqual([true, true, true, true]);
  expect([{ flat: true }, { type: 'a' }, { statuses: ['ERROR' as const] }, { text: 'x' }, { stale: true }, { waiting: true }, { stopping: true }, { parent: 'x' }, { root: 'x' }].map(of)).toEqual(Array(9).fill(undefined));
  expect(partsOf(noFilter, false, 0).map(({ query }) => query.rootsOnly)).toEqual([undefined, undefined, true]);
  expect(queryOf({ ...noFilter, waiting: true })).toMatchObject({ waiting: true, stale: undefined });
  expect(queryOf({ ...noFilter, stopping: true })).toMatchObject({ waiting: undefined, stale: undefined, stopping: true });
  expect(queryOf({ ...noFilter, waiting: true, stale: true })).toMatchObject({ waiting: undefined, stale: true });
});

test('the counts of what is listed', () => {
  const counts = { RUNNING: 5, QUEUED: 4, COMPLETE: 3, ERROR: 2, CANCELED: 1, stale: 2 };
  expect(listedCounts(noFilter, counts)).toEqual(counts);
  expect(listedCounts({ ...noFilter, statuses: ['ERROR'] }, counts)).toEqual({ RUNNING: 0, QUEUED: 0, COMPLETE: 0, ERROR: 2, CANCELED: 0, stale: 0 });
  expect(listedCounts({ ...noFilter, stale: true }, counts)).toMatchObject({ RUNNING: 2, QUEUED: 0, ERROR: 0 });
  expect(needsOf(counts, { RUNNING: 3, QUEUED: 1, COMPLETE: 0, ERROR: 0, CANCELED: 0, stale: 1 })).toBe(5);
});

test('what came of a cancel of many, in words', () => {
  const some = (n: number, reason: string) => Array.from({ length: n }, (_, i) => ({ activity: item(i + 1, 'QUEUED', { agent_type: 'a', agent_id: `1234567${i}-` }), reason }));
  expect(inWords({ canceled: 1200, failures: [] })).toBe('1,200 canceled.');
  expect(inWords({ canceled: 1, failures: [...some(4, 'already over'), ...some(1, 'no longer there')] }))
    .toBe('1 canceled. 5 not: a 12345670, a 12345671, a 12345672 and 1 more (already over); a 12345670 (no longer there).');
});
