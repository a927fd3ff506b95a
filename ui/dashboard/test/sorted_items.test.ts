import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ActivityListItem } from '@agentexec/client';
import { comparatorOf, compareItems } from '@agentexec/client/state';
import { reasonOf } from '../src/list/age.tsx';
import { groupOf, groups } from '../src/list/groups.ts';
import { indexOfRow, itemAt, lengthOf, newerThan, newest, placed, rowCount, rowOfIndex, sectionAt } from '../src/list/list_layout.ts';
import { sorts } from '../src/list/query.ts';
import { SortedItems } from '../src/list/sorted_items.ts';
import { item, itemOf, statuses } from './items.ts';

const anyItem = fc.tuple(fc.nat(30), fc.constantFrom(...statuses), fc.nat(5), fc.boolean()).map(([n, status, seq, stale]) => itemOf(n, status, { last_seq: seq, stale }));
const comparators = sorts.flatMap((sort) => (['asc', 'desc'] as const).map((order) => comparatorOf({ sort, order })));

test('items are in an order, each once, however they change', () => {
  fc.assert(fc.property(fc.constantFrom(...comparators), fc.array(fc.oneof({ weight: 4, arbitrary: anyItem }, fc.nat(30)), { maxLength: 200, size: 'max' }), (compare, steps) => {
    const items = new SortedItems(compare);
    const plain = new Map<string, ActivityListItem>();
    for (const s of steps) {
      if (typeof s === 'number') {
        items.delete(itemOf(s, 'QUEUED').agent_id);
        plain.delete(itemOf(s, 'QUEUED').agent_id);
      } else {
        items.put(s);
        plain.set(s.agent_id, s);
      }
    }
    const sorted = [...plain.values()].sort(compare);
    expect(items.all).toEqual(sorted);
    for (const [index, i] of sorted.entries()) expect(items.index(i.agent_id)).toBe(index);
    expect(items.index('unknown')).toBe(-1);
    items.clear();
    expect([items.all, items.get(sorted[0]?.agent_id ?? '')]).toEqual([[], undefined]);
  }), { numRuns: 300 });
});

test('the group of an activity', () => {
  const now = Date.parse('2026-01-02T00:00:00Z');
  const cancel = { seq: 2, message: '', requested_by: null, requested_at: '2026-01-01T00:00:00Z', force_at: null, forced: false };
  const of = (...args: Parameters<typeof item>) => groupOf(item(...args), now);
  expect([of(1, 'RUNNING'), of(1, 'RUNNING', { stale: true }), of(1, 'RUNNING', { open_questions: 1 }), of(1, 'QUEUED')]).toEqual(['running', 'needs', 'needs', 'queued']);
  expect([{}, { stale: true }, { open_questions: 1 }].map((more) => of(1, 'RUNNING', { ...more, cancel })), 'as the server counts').toEqual(['running', 'needs', 'needs']);
  expect([of(1, 'CANCELED', { cancel, open_questions: 1 }), of(1, 'QUEUED', { stale: true })]).toEqual(['finished', 'queued']);
  expect([of(1, 'ERROR', { finished_at: '2026-01-01T00:00:00Z' }), of(1, 'ERROR', { finished_at: '2025-12-31T23:59:59Z' }), of(1, 'COMPLETE'), of(1, 'CANCELED')])
    .toEqual(['failed', 'finished', 'finished', 'finished']);
});

const sectionsOf = (items: readonly ActivityListItem[], folded = new Set<(typeof groups)[number]>()) =>
  placed(groups.map((group) => {
    const some = items.filter((i) => groupOf(i, Date.UTC(2026, 0, 2)) === group).sort(compareItems);
    return { group, items: some, count: some.length, open: false, branches: [] };
  }), folded);

test('the words of one that is stopping say why it needs a person', () => {
  const now = Date.parse('2026-01-02T00:00:00Z');
  const cancel = { seq: 2, message: '', requested_by: null, requested_at: '2026-01-01T00:00:00Z', force_at: '2026-01-02T00:09:00Z', forced: false };
  const of = (more: Partial<ActivityListItem>) => reasonOf(item(1, 'RUNNING', { cancel, ...more }), now);
  expect(of({})).toBe('Stopping, 9 min left');
  expect(of({ stale: true, last_seen_at: '2026-01-01T23:58:00Z' })).toBe('Stopping, 9 min left, silent for 2 min');
  expect(of({ open_questions: 1 })).toBe('Stopping, 9 min left, waits for you');
});

test('the rows stand one below the other, each group under its heading', () => {
  fc.assert(fc.property(fc.uniqueArray(anyItem, { maxLength: 40, selector: (i) => i.agent_id }), fc.subarray([...groups]), (some, folded) => {
    const sections = sectionsOf(some, new Set(folded));
    let index = 0;
    let row = 0;
    for (const section of sections) {
      expect(section.from).toBe(index);
      expect([sectionAt(sections, index), itemAt(sections, index)]).toEqual([section, undefined]);
      index++;
      for (const i of section.folded ? [] : section.items) {
        expect(itemAt(sections, index)).toBe(i);
        expect([indexOfRow(sections, row), rowOfIndex(sections, index)]).toEqual([index, row]);
        [index, row] = [index + 1, row + 1];
      }
    }
    expect([lengthOf(sections), rowCount(sections), indexOfRow(sections, row)]).toEqual([index, row, -1]);
    expect(newest(sections)).toBe(some.map((i) => i.created_at).sort().at(-1) ?? '');
  }));
});

test('new rows are counted above the one that is read', () => {
  const before = [item(1, 'RUNNING'), item(2, 'QUEUED'), item(3, 'COMPLETE')];
  const then = newest(sectionsOf(before));
  const sections = sectionsOf([...before, item(4, 'RUNNING'), item(5, 'QUEUED'), item(6, 'CANCELED')]);
  expect(Array.from({ length: 9 }, (_, index) => itemAt(sections, index) && Number(itemAt(sections, index)!.agent_id.slice(-3)))).toEqual([undefined, 4, 1, undefined, 5, 2, undefined, 6, 3]);
  expect([1, 2, 3, 5, 6, 8, 9].map((index) => newerThan(then, sections, index))).toEqual([0, 1, 1, 2, 2, 3, 3]);
});
