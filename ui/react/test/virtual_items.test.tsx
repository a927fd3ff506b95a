import { useRef } from 'react';
import { act, cleanup, render } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { useVirtual, type VirtualOptions } from '../src/index.ts';

// jsdom has no layout: the box is 200 px high.
beforeEach(() => {
  vi.stubGlobal('ResizeObserver', class { observe() {} unobserve() {} disconnect() {} });
  for (const name of ['offsetHeight', 'clientHeight'] as const) vi.spyOn(HTMLElement.prototype, name, 'get').mockReturnValue(200);
});
afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

function List({ ids, ...more }: { ids: string[] } & Partial<VirtualOptions>) {
  const box = useRef<HTMLDivElement>(null);
  const { items, size } = useVirtual({
    box, count: ids.length, keyOf: (i) => ids[i]!, indexOf: (key) => ids.indexOf(String(key)), sizeOf: () => 20, version: ids, spare: 2, ...more,
  });
  return (
    <div ref={box} data-testid="box">
      <ol style={{ height: size }}>{items.map(({ index, start }) => <li key={ids[index]} data-start={start}>{ids[index]}</li>)}</ol>
    </div>
  );
}

const numbered = (n: number) => Array.from({ length: n }, (_, i) => 'row ' + i);
const scroll = (box: HTMLElement, top: number) =>
  act(() => {
    box.scrollTop = top;
    box.dispatchEvent(new Event('scroll'));
  });

test('only the items in sight are in the page, and one that is kept', () => {
  const { getByTestId, container, rerender } = render(<List ids={numbered(100_000)} />);
  expect(container.querySelector('ol')!.style.height).toBe('2000000px');
  const drawn = () => [...container.querySelectorAll('li')].map((e) => e.textContent);
  expect(drawn()).toHaveLength(12);
  scroll(getByTestId('box'), 1000);
  expect(drawn()[0]).toBe('row 48');
  rerender(<List ids={numbered(100_000)} keep={3} />);
  expect(drawn().slice(0, 2)).toEqual(['row 3', 'row 48']);
});

test('items added above do not move what is in sight', () => {
  const ids = numbered(1000);
  const { getByTestId, container, rerender } = render(<List ids={ids} />);
  const box = getByTestId('box');
  scroll(box, 1000);
  rerender(<List ids={[...numbered(300).map((id) => 'new ' + id), ...ids]} />);
  expect(box.scrollTop).toBe(7000);
  expect(container.querySelector('li')!.textContent).toBe('row 48'); // drawn at once, not after the scroll event
  rerender(<List ids={ids.slice(10)} />);
  expect(box.scrollTop).toBe(800);
});

test('at the top, new items push the others down unless the view is held', () => {
  const ids = numbered(1000);
  const { getByTestId, rerender } = render(<List ids={ids} />);
  rerender(<List ids={['first', ...ids]} />);
  expect(getByTestId('box').scrollTop).toBe(0);
  rerender(<List ids={['second', 'first', ...ids]} hold={() => true} />);
  expect(getByTestId('box').scrollTop).toBe(20);
});

test('the item under the pointer stays where it is, whatever happens above it', () => {
  const ids = numbered(1000);
  const { getByTestId, rerender } = render(<List ids={ids} />);
  rerender(<List ids={[ids[0]!, 'between', ...ids.slice(1)]} hold={() => 'row 5'} />);
  expect(getByTestId('box').scrollTop).toBe(20);
});

test('an item that is covered does not hold the view', () => {
  const ids = numbered(1000);
  const { getByTestId, rerender } = render(<List ids={ids} covered={40} />);
  scroll(getByTestId('box'), 1000);
  const without = ids.filter((id) => id !== 'row 51'); // 'row 50' and 'row 51' are covered, 'row 52' is in sight
  rerender(<List ids={without} covered={40} />);
  expect(getByTestId('box').scrollTop).toBe(980);
});

test('an item that changed its group does not hold the view', () => {
  const ids = numbered(1000);
  const moved = [...ids.slice(0, 50), ...ids.slice(51, 500), ids[50]!, ...ids.slice(500)];
  const { getByTestId, rerender } = render(<List ids={ids} groupOf={() => 'a'} />);
  scroll(getByTestId('box'), 1000);
  rerender(<List ids={moved} groupOf={(i) => (moved[i] === 'row 50' ? 'b' : 'a')} />);
  expect(getByTestId('box').scrollTop).toBe(980); // 'row 51' stays
});
