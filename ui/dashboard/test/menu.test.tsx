import { cleanup, render, screen } from '@testing-library/react';
import { afterEach, expect, test, vi } from 'vitest';
import { Entry, Menu } from '../src/frame/menu.tsx';

afterEach(cleanup);

// Without act(), which would run what the page does only after it has painted: a person may be faster than that.
const rendered = () => Promise.resolve();
const press = (key: string) => document.activeElement!.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));

function open() {
  const chosen = vi.fn();
  render(<Menu label="More actions" button="…"><Entry onClick={() => chosen('one')}>One</Entry><Entry onClick={() => chosen('two')}>Two</Entry></Menu>);
  const button = screen.getByRole('button', { name: 'More actions' });
  button.click();
  return { button, chosen };
}

test('Esc right after the click that opened the menu closes the menu, and nothing else', async () => {
  const outside = vi.fn();
  addEventListener('keydown', outside);
  try {
    const { button } = open();
    await rendered();
    press('Escape');
    await rendered();
    expect(screen.queryByRole('menu')).toBeNull();
    expect(document.activeElement).toBe(button);
    expect(outside).not.toHaveBeenCalled();
  } finally {
    removeEventListener('keydown', outside);
  }
});

test('the first entry has the focus at once, and arrows, Home and End move it', async () => {
  open();
  await rendered();
  const at = () => document.activeElement!.textContent;
  expect(at()).toBe('One');
  for (const [key, text] of [['ArrowDown', 'Two'], ['ArrowDown', 'One'], ['ArrowUp', 'Two'], ['Home', 'One'], ['End', 'Two']]) {
    press(key!);
    expect(at(), key).toBe(text);
  }
});

test('a choice closes the menu and is made once', async () => {
  const { button, chosen } = open();
  await rendered();
  (document.activeElement as HTMLElement).click();
  await rendered();
  expect(chosen).toHaveBeenCalledExactlyOnceWith('one');
  expect(screen.queryByRole('menu')).toBeNull();
  expect(document.activeElement).toBe(button);
});
