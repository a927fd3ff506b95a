import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ActivityListItem, Counts, Status } from '@agentexec/client';
import { compareItems } from '@agentexec/client/state';
import { newerThan, newest, sectionsOf, yOf, heightOf } from '../src/list_layout.ts';
import { SortedItems } from '../src/sorted_items.ts';
import { item, itemOf, noCounts, statuses } from './items.ts';

const anyItem = fc.tuple(fc.nat(30), fc.constantFrom(...statuses), fc.nat(5)).map(([n, status, seq]) => itemOf(n, status, { last_seq: seq }));

function countsOf(items: readonly ActivityListItem[]): Counts {
  const counts = noCounts();
  for (const { status } of items) counts[status]++;
  return counts;
}

test('items are in the order of a list, each once, however they change', () => {
  fc.assert(fc.property(fc.array(fc.oneof({ weight: 4, arbitrary: anyItem }, fc.nat(30)), { maxLength: 200, size: 'max' }), (steps) => {
    const items = new SortedItems();
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
    const sorted = [...plain.values()].sort(compareItems);
    expect(items.all).toEqual(sorted);
    expect(items.counts).toEqual(countsOf(sorted));
    for (const [index, i] of sorted.entries()) expect(items.index(i.agent_id)).toBe(index);
    expect(items.index('unknown')).toBe(-1);
    items.clear();
    expect([items.all, items.counts, items.get(sorted[0]?.agent_id ?? '')]).toEqual([[], noCounts(), undefined]);
  }), { numRuns: 300 });
});

test('the rows stand one below the other, each group under its heading', () => {
  fc.assert(fc.property(fc.array(anyItem, { maxLength: 40 }), (some) => {
    const items = new SortedItems(some);
    const sections = sectionsOf(items.counts, undefined, false);
    let y = 0;
    let before: string | undefined;
    const group = (s: Status) => (s === 'RUNNING' ? 'Running' : s === 'QUEUED' ? 'Queued' : 'Finished');
    for (const [index, { status }] of items.all.entries()) {
      if (group(status) !== before) {
        y += 36;
        before = group(status);
        expect(sections.find((s) => s.name === before)!.from).toBe(index);
      }
      expect(yOf(sections, index)).toBe(y);
      y += 60;
    }
    expect(heightOf(sections)).toBe(y);
    expect(sections.reduce((sum, s) => sum + s.length, 0)).toBe(items.all.length);
    expect(newest(sections, items.all)).toBe(items.all.map((i) => i.created_at).sort().at(-1) ?? '');
  }));
});

test('new rows are counted above the one that is read', () => {
  const items = new SortedItems([item(1, 'RUNNING'), item(2, 'QUEUED'), item(3, 'COMPLETE')].sort(compareItems));
  const then = newest(sectionsOf(items.counts, undefined, false), items.all);
  for (const i of [item(4, 'RUNNING'), item(5, 'QUEUED'), item(6, 'ERROR')]) items.put(i);
  const sections = sectionsOf(items.counts, undefined, false);
  expect(items.all.map((i) => Number(i.agent_id.slice(-3)))).toEqual([4, 1, 5, 2, 6, 3]);
  expect([0, 1, 2, 3, 4, 5, 6].map((index) => newerThan(then, sections, items.all, index))).toEqual([0, 1, 1, 2, 2, 3, 3]);
});

test('a group says how many there are, also of those that are not here yet', () => {
  const here: Counts = { ...noCounts(), RUNNING: 2, COMPLETE: 198 };
  const all: Counts = { RUNNING: 2, QUEUED: 0, COMPLETE: 5000, ERROR: 7, CANCELED: 1 };
  const said = (...args: Parameters<typeof sectionsOf>) => sectionsOf(...args).map((s) => [s.name, s.from, s.length, s.count, s.open]);
  expect(said(here, all, true)).toEqual([['Running', 0, 2, 2, false], ['Finished', 2, 198, 5008, false]]);
  expect(said(here, all, false)).toEqual([['Running', 0, 2, 2, false], ['Finished', 2, 198, 198, false]]);
  expect(said(here, undefined, true)).toEqual([['Running', 0, 2, 2, true], ['Finished', 2, 198, 198, true]]);
  // Counts of a large table are behind: never fewer than are shown.
  expect(said(here, { ...noCounts(), RUNNING: 1, COMPLETE: 10 }, true).map(([, , , count]) => count)).toEqual([2, 198]);
});
