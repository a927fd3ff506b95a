import fc from 'fast-check';
import { expect, test } from 'vitest';
import { problemIn } from '../src/list/complete.ts';
import { baseOf, go, pathOf, routeOf } from '../src/route.ts';
import { type Filter, isTime, metadataOf, noFilter, searchOf, secondsOf, serverTime, sorts } from '../src/list/query.ts';
import { statuses } from './items.ts';

const ID = '6f1de0c4-5d0b-4d3a-9a53-0e1f6c5b7a11';

const text = fc.string({ unit: 'binary', maxLength: 20 }).filter((s) => !/\p{Surrogate}/u.test(s)); // an address has no halves of characters
const filter: fc.Arbitrary<Filter> = fc.record({
  statuses: fc.subarray(statuses),
  stale: fc.boolean(),
  waiting: fc.boolean(),
  stopping: fc.boolean(),
  parent: fc.constantFrom('', ID),
  root: fc.constantFrom('', ID),
  flat: fc.boolean(),
  type: text,
  metadata: fc.dictionary(text.filter((s) => s !== ''), text, { maxKeys: 4, noNullPrototype: true }).filter((m) => !Object.hasOwn(m, '__proto__')),
  text,
  since: fc.constantFrom('', '90s', '15m', '1h', '7d', '2026-01-31T14:00:00Z'),
  until: fc.constantFrom('', '2026-02-01', '5m'),
  sort: fc.constantFrom(...sorts),
  order: fc.constantFrom('desc' as const, 'asc' as const),
});

test('a filter goes into the address and comes back', () => {
  fc.assert(fc.property(filter, (f) => {
    const url = new URL('http://x' + pathOf(null, searchOf(f)));
    expect(routeOf(url.pathname, url.search)).toEqual({ page: 'list', id: null, filter: f, search: searchOf(f) });
  }), { numRuns: 500 });
});

test('what an address says', () => {
  const id = '6f1de0c4-5d0b-4d3a-9a53-0e1f6c5b7a11';
  expect(routeOf('/', '')).toEqual({ page: 'overview', id: null, filter: noFilter, search: '' });
  expect(routeOf('/', '?range=24h').page).toBe('overview');
  expect(['/activities', '/activities/', '/activities/' + id].map((path) => routeOf(path, '').page)).toEqual(['list', 'list', 'detail']);
  expect(routeOf('/', '?status=ERROR').page).toBe('list');
  expect(routeOf('/activities/' + id.toUpperCase(), '').id).toBe(id);
  expect(routeOf('/activities/', '').id).toBeNull();
  expect(routeOf('/activities/a/b', '').id).toBeNull();
  expect(routeOf('/', '?status=QUEUED,RUNNING,nonsense&status=ERROR').filter.statuses).toEqual(['RUNNING', 'QUEUED']);
  expect(routeOf('/', '?metadata.org=1&metadata.org=2&metadata.=3&metadata=4').filter.metadata).toEqual({ org: '2' });
  expect(routeOf('/', '?agent_type=%00%FF&q=%')).toMatchObject({ filter: { type: '\0\ufffd', text: '%' } });
  expect(searchOf({ ...noFilter, statuses: ['RUNNING', 'QUEUED'], type: 'a b', text: '<&' })).toBe('?status=RUNNING,QUEUED&agent_type=a+b&q=%3C%26');
  expect(searchOf({ ...noFilter, stale: true })).toBe('?stale=true');
  expect(routeOf('/', '?stale=false').filter.stale).toBe(false);
  expect(searchOf({ ...noFilter, waiting: true, stale: true })).toBe('?waiting=true&stale=true');
  expect(searchOf({ ...noFilter, parent: id, flat: true })).toBe(`?parent_agent_id=${id}&flat=true`);
  expect(routeOf('/', '?root_agent_id=' + id.toUpperCase() + '&parent_agent_id=6f1d').filter).toEqual({ ...noFilter, root: id, text: 'parent:6f1d' });
  expect(searchOf({ ...noFilter, since: '24h', sort: 'duration', order: 'asc' })).toBe('?since=24h&sort=duration&order=asc');
  expect(pathOf(id, '?q=x')).toBe(`/activities/${id}?q=x`);
});

test('a wrong value in an address becomes a token of the text, which says what it takes', () => {
  const of = (search: string) => routeOf('/', search).filter;
  expect(of('?since=yesterday&until=1x&sort=size&order=up&q=word')).toEqual({ ...noFilter, text: 'since:yesterday until:1x sort:size order:up word' });
  expect(of('?status=NONSENSE')).toEqual({ ...noFilter, text: 'status:NONSENSE' });
  expect(of('?status=error,a%20b')).toEqual({ ...noFilter, statuses: ['ERROR'], text: 'status:"a b"' });
  expect(of('?stale=x&flat=1&waiting=yes&stopping=no').text).toBe('stale:x is:waiting=yes is:stopping=no flat:1');
  expect(of('?status=&since=&sort=&order=&stale=&waiting=false&stopping=false&parent_agent_id=&flat=false')).toEqual(noFilter);
  for (const search of ['?status=NONSENSE', '?stale=x', '?waiting=yes', '?flat=1', '?since=x', '?root_agent_id=x']) {
    expect(problemIn(of(search).text), search).toMatch(/^\w+: takes /);
    expect(of(searchOf(of(search)))).toEqual(of(search));
  }
  expect(problemIn('word 12:30')).toBe('');
});

test('the page works below any prefix', () => {
  const id = '6f1de0c4-5d0b-4d3a-9a53-0e1f6c5b7a11';
  for (const base of ['/', '/agentexec/', '/a/b/', '/tools/activities/', '/activities/']) {
    expect([base, base + 'index.html', base + 'activities', base + 'activities/' + id].map(baseOf)).toEqual([base, base, base, base]);
  }
});

test('metadata is as the HTTP API reads it', () => {
  const of = (value: string) => (metadataOf({ ...noFilter, metadata: { k: value } }) as Record<string, unknown>)['k'];
  expect(['01', 'text', 'true', 'false', 'null', '"true"', '"a "quote""', '"', '""', 'TRUE', 'say "hi"'].map(of))
    .toEqual(['01', 'text', true, false, null, 'true', 'a "quote"', '"', '', 'TRUE', 'say "hi"']);
  expect(metadataOf(noFilter)).toBeUndefined();
  const both = (...numbers: string[]) => numbers.map((text) => metadataOf({ ...noFilter, metadata: { k: text } }));
  expect(both('42', '-1.5', '1e3', '0')).toEqual([[{ k: 42 }, { k: '42' }], [{ k: -1.5 }, { k: '-1.5' }], [{ k: 1000 }, { k: '1e3' }], [{ k: 0 }, { k: '0' }]]);
  expect(JSON.stringify(both('12345678901234567890'))).toContain('"k":1234567890123456'); // to the last digit, where the browser can
  expect(metadataOf({ ...noFilter, metadata: { a: '1', b: 'x', c: '"2"' } })).toEqual([{ a: 1, b: 'x', c: '2' }, { a: '1', b: 'x', c: '2' }]);
  expect(metadataOf({ ...noFilter, metadata: { a: '1', b: '2' } })).toHaveLength(4);
});

test('a range is a duration before now or a time', () => {
  expect(['90s', '15m', '1h', '24h', '7d', '2w', '0h', 'h', '1y', '1.5h'].map(secondsOf)).toEqual([90, 900, 3600, 86_400, 604_800, 1_209_600, undefined, undefined, undefined, undefined]);
  expect(['1d12h', '1h30m', '1w2d', '1d12h30m5s', '12h1d', '1d1d', '1d ', '0d0h'].map(secondsOf)).toEqual([129_600, 5400, 777_600, 131_405, undefined, undefined, undefined, undefined]);
  expect([serverTime('1d12h'), serverTime('1w2d'), serverTime('1w12h')]).toEqual(['1d12h', '9d', '7d43200s']);
  expect(['1h', '2026-01-31', '2026-01-31T14:00:00+01:00', 'now', '2026-13-01', ''].map(isTime)).toEqual([true, true, true, false, false, false]);
  expect([serverTime('2w'), serverTime('1h'), serverTime('2026-01-31T14:00:00+01:00'), serverTime('')]).toEqual(['14d', '1h', '2026-01-31T13:00:00.000Z', undefined]);
});

test('going to where one is leaves no step in the history', () => {
  const steps = history.length;
  go('/?q=1');
  expect(history.length).toBe(steps + 1);
  go('/?q=1');
  go('/?q=12', true);
  expect(history.length).toBe(steps + 1);
  expect(location.search).toBe('?q=12');
});
