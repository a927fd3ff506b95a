import { act, cleanup, fireEvent, render } from '@testing-library/react';
import { useState } from 'react';
import { afterEach, expect, test, vi } from 'vitest';
import { type KeyHandler, useKey, useShortcuts } from '../src/frame/keys.ts';

afterEach(cleanup);

function Keys({ at, description = '', act: handler }: { at: string | readonly string[]; description?: string; act: KeyHandler }) {
  useKey(at, description, handler);
  return null;
}

const press = (key: string, more: KeyboardEventInit = {}, target: Element = document.body) => fireEvent.keyDown(target, { key, ...more });

test('a key is handled while its component is mounted', () => {
  const handler = vi.fn();
  const { unmount } = render(<Keys at="j" act={handler} />);
  expect(press('j')).toBe(false);
  expect(handler).toHaveBeenCalledExactlyOnceWith('j');
  unmount();
  expect(press('j')).toBe(true);
  expect(handler).toHaveBeenCalledTimes(1);
});

test('keys are left alone with modifiers and in fields', () => {
  const handler = vi.fn();
  render(<><Keys at={['j', 'Escape']} act={handler} /><input /><textarea /></>);
  for (const more of [{ ctrlKey: true }, { metaKey: true }, { altKey: true }, { isComposing: true }]) press('j', more);
  const input = document.querySelector('input')!;
  input.focus();
  press('j', {}, input);
  press('j', {}, document.querySelector('textarea')!);
  press('Escape', {}, input);
  expect(document.activeElement).toBe(document.body);
  expect(handler).not.toHaveBeenCalled();
});

test('Enter is left to links and buttons', () => {
  const handler = vi.fn();
  render(<><Keys at="Enter" act={handler} /><button type="button">b</button></>);
  press('Enter', {}, document.querySelector('button')!);
  expect(handler).not.toHaveBeenCalled();
  press('Enter');
  expect(handler).toHaveBeenCalledTimes(1);
});

test('the handler that was registered last comes first, and may leave the key to the one before', () => {
  const calls: string[] = [];
  render(<><Keys at="Escape" act={() => void calls.push('frame')} /><Keys at="Escape" act={() => (calls.push('list'), calls.length > 1)} /></>);
  press('Escape');
  expect(calls).toEqual(['list', 'frame']);
  press('Escape');
  expect(calls).toEqual(['list', 'frame', 'list']);
});

test('a sequence is two keys, one soon after the other', () => {
  vi.useFakeTimers();
  try {
    const [go, o] = [vi.fn(), vi.fn()];
    render(<><Keys at="g o" act={go} /><Keys at="o" act={o} /></>);
    press('o');
    expect([go, o].map((f) => f.mock.calls.length)).toEqual([0, 1]);
    press('g');
    press('o');
    expect([go, o].map((f) => f.mock.calls.length)).toEqual([1, 1]);
    press('g');
    vi.advanceTimersByTime(2_000);
    press('o');
    expect([go, o].map((f) => f.mock.calls.length)).toEqual([1, 2]);
  } finally {
    vi.useRealTimers();
  }
});

test('the help lists what is registered, each description once', () => {
  let listed: string[] = [];
  function List() {
    listed = useShortcuts().map(({ keys, description }) => `${keys.join(' ')}: ${description}`);
    return null;
  }
  const { rerender } = render(<><List /><Keys at={['j', 'k']} description="Move" act={() => {}} /><Keys at="x" act={() => {}} /></>);
  expect(listed).toEqual(['j k: Move']);
  act(() => rerender(<><List /><Keys at={['j', 'k']} description="Move" act={() => {}} /><Keys at="x" description="Select" act={() => {}} /></>));
  expect(listed).toEqual(['j k: Move', 'x: Select']);
});

test('a key that is pressed right after its component has appeared is handled', async () => {
  const handler = vi.fn();
  const Late = () => {
    const [shown, setShown] = useState(false);
    return <><button type="button" onClick={() => setShown(true)}>more</button>{shown && <Keys at="Escape" act={handler} />}</>;
  };
  render(<Late />);
  document.querySelector('button')!.click(); // not through act(), which would run what the page does only after it has painted
  await Promise.resolve();
  document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
  expect(handler).toHaveBeenCalledOnce();
});
