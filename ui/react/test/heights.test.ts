import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Heights } from '../src/log/heights.ts';

type Step = { push: number } | { set: [number, number] } | { truncate: number };

const height = fc.integer({ min: 1, max: 200 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ push: height }) },
  { weight: 2, arbitrary: fc.record({ set: fc.tuple(fc.nat(2000), height) }) },
  fc.record({ truncate: fc.nat(2000) }),
);

test('sums and places are those of the heights one after the other', () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 300, size: 'max' }), fc.nat(20_000), (steps, y) => {
    const heights = new Heights();
    const plain: number[] = [];
    for (const s of steps) {
      if ('push' in s) {
        heights.push(s.push);
        plain.push(s.push);
      } else if ('set' in s) {
        const index = s.set[0] % (plain.length || 1);
        if (!plain.length) continue;
        heights.set(index, s.set[1]);
        plain[index] = s.set[1];
      } else {
        heights.truncate(s.truncate);
        plain.length = Math.min(plain.length, s.truncate);
      }
    }
    expect(heights.length).toBe(plain.length);
    let top = 0;
    let at = 0;
    for (const [index, h] of plain.entries()) {
      expect(heights.at(index)).toBe(h);
      expect(heights.top(index)).toBe(top);
      if (top <= y) at = index;
      top += h;
    }
    expect(heights.total).toBe(top);
    expect(heights.index(y)).toBe(at);
  }), { numRuns: 200 });
});

test('more rows than there was room for at first', () => {
  const heights = new Heights();
  for (let n = 0; n < 100_000; n++) heights.push(n % 2 ? 30 : 20);
  expect(heights.total).toBe(2_500_000);
  heights.set(50_000, 1020);
  expect(heights.top(50_001) - heights.top(50_000)).toBe(1020);
  expect(heights.total).toBe(2_501_000);
  expect(heights.index(1_250_000 + 1019)).toBe(50_000);
  expect(heights.index(1_250_000 + 1020)).toBe(50_001);
});

test('the edges', () => {
  const heights = new Heights();
  expect([heights.total, heights.index(0), heights.index(100), heights.at(0)]).toEqual([0, 0, 0, 0]);
  heights.push(20);
  expect([heights.index(-5), heights.index(19.5), heights.index(20), heights.index(1e9)]).toEqual([0, 0, 0, 0]);
});

test('rows of one height are added at once, and then as pushed ones are', () => {
  const heights = new Heights();
  heights.fill(3000, 20);
  expect([heights.length, heights.total, heights.top(1500), heights.index(30_010)]).toEqual([3000, 60_000, 30_000, 1500]);
  heights.set(10, 100);
  heights.fill(3002, 46);
  expect([heights.length, heights.total, heights.index(60_080 + 45), heights.index(60_080 + 46)]).toEqual([3002, 60_172, 3000, 3001]);
});
