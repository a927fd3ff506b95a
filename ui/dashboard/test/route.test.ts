import fc from 'fast-check';
import { expect, test } from 'vitest';
import { baseOf, type Filter, go, metadataOf, noFilter, pathOf, routeOf, searchOf } from '../src/route.ts';
import { statuses } from './items.ts';

const text = fc.string({ unit: 'binary', maxLength: 20 }).filter((s) => !/\p{Surrogate}/u.test(s)); // an address has no halves of characters
const filter: fc.Arbitrary<Filter> = fc.record({
  statuses: fc.subarray(statuses),
  stale: fc.boolean(),
  type: text,
  metadata: fc.dictionary(text.filter((s) => s !== ''), text, { maxKeys: 4, noNullPrototype: true }).filter((m) => !Object.hasOwn(m, '__proto__')),
  text,
});

test('a filter goes into the address and comes back', () => {
  fc.assert(fc.property(filter, (f) => {
    const url = new URL('http://x' + pathOf(null, searchOf(f)));
    expect(routeOf(url.pathname, url.search)).toEqual({ id: null, filter: f, search: searchOf(f) });
  }), { numRuns: 500 });
});

test('what an address says', () => {
  const id = '6f1de0c4-5d0b-4d3a-9a53-0e1f6c5b7a11';
  expect(routeOf('/', '')).toEqual({ id: null, filter: noFilter, search: '' });
  expect(routeOf('/activities/' + id.toUpperCase(), '').id).toBe(id);
  expect(routeOf('/activities/', '').id).toBeNull();
  expect(routeOf('/activities/a/b', '').id).toBeNull();
  expect(routeOf('/', '?status=QUEUED,RUNNING,nonsense&status=ERROR').filter.statuses).toEqual(['RUNNING', 'QUEUED']);
  expect(routeOf('/', '?metadata.org=1&metadata.org=2&metadata.=3&metadata=4').filter.metadata).toEqual({ org: '2' });
  expect(routeOf('/', '?agent_type=%00%FF&q=%')).toMatchObject({ filter: { type: '\0\ufffd', text: '%' } });
  expect(searchOf({ ...noFilter, statuses: ['RUNNING', 'QUEUED'], type: 'a b', text: '<&' })).toBe('?status=RUNNING,QUEUED&agent_type=a+b&q=%3C%26');
  expect(searchOf({ ...noFilter, stale: true })).toBe('?stale=true');
  expect(routeOf('/', '?stale=false').filter.stale).toBe(false);
  expect(pathOf(id, '?q=x')).toBe(`/activities/${id}?q=x`);
});

test('the page works below any prefix', () => {
  const id = '6f1de0c4-5d0b-4d3a-9a53-0e1f6c5b7a11';
  for (const base of ['/', '/agentexec/', '/a/b/', '/tools/activities/', '/activities/']) {
    expect([base, base + 'index.html', base + 'activities/' + id].map(baseOf)).toEqual([base, base, base]);
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

test('going to where one is leaves no step in the history', () => {
  const steps = history.length;
  go('/?q=1');
  expect(history.length).toBe(steps + 1);
  go('/?q=1');
  go('/?q=12', true);
  expect(history.length).toBe(steps + 1);
  expect(location.search).toBe('?q=12');
});
