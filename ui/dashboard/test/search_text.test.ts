import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Filter, filterOf, metadataOf, noFilter, searchOf, sorts } from '../src/list/query.ts';
import { chipsOf, misspelled, parsed, textOf, tokenize } from '../src/list/search_text.ts';
import { statuses } from './items.ts';

const ID = '6f1de0c4-5d0b-4d3a-9a53-0e1f6c5b7a11';

const text = fc.string({ unit: fc.constantFrom('a', 'B', '1', '"', '\\', ' ', '=', ':', ',', 'true', 'ü', '\t'), maxLength: 8 });
const filter: fc.Arbitrary<Filter> = fc.record({
  statuses: fc.subarray(statuses),
  stale: fc.constant(false),
  waiting: fc.constant(false),
  stopping: fc.constant(false),
  parent: fc.constantFrom('', ID),
  root: fc.constantFrom('', ID),
  flat: fc.boolean(),
  type: text,
  metadata: fc.dictionary(text.filter((s) => s !== ''), text, { maxKeys: 3, noNullPrototype: true }).filter((m) => !Object.hasOwn(m, '__proto__')),
  text: fc.constantFrom('', 'word', 'two words', '"a quoted phrase"'),
  since: fc.constantFrom('', '1h', '2026-01-31T14:00:00Z'),
  until: fc.constantFrom('', '15m', '2026-02-01'),
  sort: fc.constantFrom(...sorts),
  order: fc.constantFrom('desc' as const, 'asc' as const),
});

test('a filter is written as a text that stands for it', () => {
  fc.assert(fc.property(filter, (f) => {
    const back = parsed(textOf(f));
    expect({ ...back, metadata: metadataOf(back) }).toEqual({ ...f, metadata: metadataOf(f) });
  }), { numRuns: 2000 });
});

test('any text is split into tokens that make it up', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (s) => {
    const tokens = tokenize(s);
    expect(tokens.map((t) => t.raw).join('').replace(/\s/g, '')).toBe(s.replace(/\s/g, ''));
    for (const { raw, from } of tokens) expect(s.startsWith(raw, from)).toBe(true);
    expect(parsed(s)).toBeDefined();
  }), { numRuns: 1000 });
});

test('the tokens of the manual', () => {
  expect(parsed('type:research org=1 status:error since:1h until:15m sort:duration order:asc some text')).toEqual({
    ...noFilter, type: 'research', metadata: { org: '1' }, statuses: ['ERROR'], since: '1h', until: '15m', sort: 'duration', order: 'asc', text: 'some text',
  });
  expect(parsed('stale:true').stale).toBe(true);
  expect(parsed('status:waiting')).toEqual({ ...noFilter, waiting: true });
  expect(parsed('is:waiting is:stale')).toEqual({ ...noFilter, waiting: true, stale: true });
  for (const s of ['is:stopping', 'status:stopping']) expect(parsed(s)).toEqual({ ...noFilter, stopping: true });
  expect(parsed('is:waiting is:stale is:stopping')).toEqual({ ...noFilter, stopping: true });
  expect(parsed('is:stopping is:stale')).toEqual({ ...noFilter, stale: true });
  expect(parsed('is:stopping status:error')).toEqual({ ...noFilter, statuses: ['ERROR'] });
  expect(textOf(parsed('is:stopping'))).toBe('is:stopping');
  expect(filterOf(searchOf(parsed('is:stopping')))).toEqual({ ...noFilter, stopping: true });
  expect(parsed('is:stale status:error')).toEqual({ ...noFilter, statuses: ['ERROR'] });
  expect(parsed(`parent:${ID.toUpperCase()} root:${ID} flat:true`)).toEqual({ ...noFilter, parent: ID, root: ID, flat: true });
  expect(parsed('status:running,queued STATUS:Error').statuses).toEqual(['RUNNING', 'QUEUED', 'ERROR']);
  expect(parsed('type:"a b" "my key"="c d" org="42" n=42').metadata).toEqual({ 'my key': 'c d', org: '"42"', n: '42' });
  expect(parsed('type:"say \\"hi\\""').type).toBe('say "hi"');
  expect(parsed('url=http://x?y=1').metadata).toEqual({ url: 'http://x?y=1' });
});

test('what is no filter is text', () => {
  for (const s of ['12:30', 'status:nonsense', 'is:nonsense', 'parent:6f1d', 'root:x', 'flat:maybe', 'since:yesterday', 'sort:size', 'type:', '=1', 'http://example.org', '"quoted: text"']) {
    expect(parsed(s)).toEqual({ ...noFilter, text: s });
  }
});

test('each chip can be taken off', () => {
  const f = parsed('type:a status:error,queued org=1 since:1h');
  expect(chipsOf(f).map((c) => c.key + c.separator + c.value)).toEqual(['type:a', 'status:queued', 'status:error', 'org=1', 'since:1h']);
  expect(chipsOf(f).map((c) => textOf(c.without))).toEqual([
    'status:queued status:error org=1 since:1h', 'type:a status:error org=1 since:1h', 'type:a status:queued org=1 since:1h',
    'type:a status:queued status:error since:1h', 'type:a status:queued status:error org=1',
  ]);
});

test('a word that looks like a filter is told from text', () => {
  expect(misspelled('typ:research x')).toEqual({ key: 'typ', word: 'typ:research' });
  expect(misspelled('type:research a https://example.org 12:30 "a: b" "type:research" std::vector org=1 a:')).toBeUndefined();
});
