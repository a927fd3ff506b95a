import { act, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ActivityListItem } from '@agentexec/client';
import { AgentexecProvider, TaskList, type TaskListProps } from '../src/index.ts';
import { FakeClient, item } from './fake.ts';

const [BOX, HEAD, ROW] = [400, 38, 46]; // px

// jsdom has no layout.
beforeEach(() => {
  vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(BOX);
  vi.spyOn(HTMLElement.prototype, 'offsetHeight', 'get').mockImplementation(function (this: HTMLElement) {
    return this.tagName === 'LI' ? ROW : this.tagName === 'H3' ? HEAD : BOX;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

const fake = new FakeClient();
const show = (items: readonly ActivityListItem[], more: Partial<TaskListProps> = {}) => (
  <AgentexecProvider client={fake.client}><TaskList items={items} onTaskClick={() => {}} {...more} /></AgentexecProvider>
);
const numbered = (n: number) => Array.from({ length: n }, (_, i) => item('id ' + i, 'COMPLETE', { agent_type: 'type ' + i }));
const drawn = (container: HTMLElement) => [...container.querySelectorAll('li .ax-type')].map((e) => Number(e.textContent!.slice(5)));
const scroll = (container: HTMLElement, top: number) =>
  act(() => {
    const box = container.querySelector<HTMLElement>('.ax-list')!;
    box.scrollTop = top;
    box.dispatchEvent(new Event('scroll'));
  });

test('only the rows near those in sight are in the page', () => {
  const { container } = render(show(numbered(10_000)));
  expect(drawn(container).length).toBeLessThan(40);
  expect(drawn(container)[0]).toBe(0);
  scroll(container, HEAD + 5000 * ROW);
  const seen = drawn(container);
  expect(seen.length).toBeLessThan(40);
  expect(seen).toEqual(Array.from(seen, (_, n) => seen[0]! + n));
  for (let n = 5000; n < 5000 + Math.floor(BOX / ROW); n++) expect(seen).toContain(n);
  const row = screen.getByText('type 5000').closest('li')!;
  expect([row.getAttribute('aria-posinset'), row.getAttribute('aria-setsize')]).toEqual(['5001', '10000']);
  expect(row.style.transform).toBe(`translateY(${5000 * ROW}px)`);
  scroll(container, HEAD + 10_000 * ROW - BOX);
  expect(drawn(container).at(-1)).toBe(9999);
});

test('a row that is scrolled out of sight keeps the focus', () => {
  const { container } = render(show(numbered(10_000)));
  const button = screen.getByText('type 3').closest('button')!;
  act(() => button.focus());
  scroll(container, HEAD + 5000 * ROW);
  expect(document.activeElement).toBe(button);
  expect(drawn(container)[0]).toBe(3);
  scroll(container, 0);
  expect(document.activeElement).toBe(button);
  expect(drawn(container).filter((n) => n === 3)).toHaveLength(1);
});

test('a row that changes its group keeps the focus', () => {
  const items = [item('a', 'RUNNING', { agent_type: 'type 1' }), item('b', 'RUNNING', { agent_type: 'type 2' })];
  const { rerender } = render(show(items));
  act(() => screen.getByText('type 1').closest('button')!.focus());
  rerender(show([{ ...items[0]!, status: 'COMPLETE' }, items[1]!]));
  expect(document.activeElement).toBe(screen.getByText('type 1').closest('button'));
  expect(document.activeElement!.closest('section')!.getAttribute('aria-label')).toBe('Finished');
  rerender(show([items[1]!]));
  rerender(show(items));
  expect(document.activeElement).toBe(document.body); // a row that is gone does not take the focus when it is back
});

test('what is read does not move when rows are added above', () => {
  const items = numbered(10_000);
  const { container, rerender } = render(show(items));
  scroll(container, HEAD + 1000 * ROW);
  rerender(show([item('new', 'COMPLETE'), ...items]));
  expect(container.querySelector('.ax-list')!.scrollTop).toBe(HEAD + 1001 * ROW);
});

test('a list without links and buttons is scrolled with the keyboard', () => {
  const { container, rerender } = render(show(numbered(3), { onTaskClick: undefined }));
  const box = container.querySelector<HTMLElement>('.ax-list')!;
  expect([box.tabIndex, box.getAttribute('role'), box.getAttribute('aria-label')]).toEqual([0, 'group', 'Activities']);
  rerender(show(numbered(3)));
  expect(box.tabIndex).toBe(-1);
});

test('without a layout the first rows are in the page', () => {
  vi.restoreAllMocks();
  const { container } = render(show(numbered(10_000)));
  const seen = drawn(container);
  expect(seen.length).toBeGreaterThan(10);
  expect(seen.length).toBeLessThan(100);
  const clicked = vi.fn();
  render(show(numbered(1), { onTaskClick: clicked }));
  fireEvent.click(screen.getAllByRole('button').at(-1)!);
  expect(clicked).toHaveBeenCalledWith('id 0');
});
