// The colour scheme that the person chose. It is kept in this browser, where the browser keeps anything.

import { useSyncExternalStore } from 'react';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'agentexec.theme';
const themes: readonly Theme[] = ['system', 'light', 'dark'];
const listeners = new Set<() => void>();
let theme: Theme = 'system';

function stored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // as where cookies are blocked
  }
}

function show(next: string | null): void {
  theme = themes.find((t) => t === next) ?? 'system';
  if (theme === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
  for (const listener of [...listeners]) listener();
}

/** Chooses a theme, for all tabs. */
export function setTheme(next: Theme): void {
  try {
    if (next === 'system') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // It lasts as long as the page.
  }
  show(next);
}

/** The theme after this one. */
export const nextTheme = (t: Theme): Theme => themes[(themes.indexOf(t) + 1) % themes.length]!;

export const useTheme = (): Theme => useSyncExternalStore((listener) => (listeners.add(listener), () => void listeners.delete(listener)), () => theme);

/** Calls a listener after each change of colours: by the person or by the system. Returns what stops it. */
export function onColours(listener: () => void): () => void {
  const system = matchMedia('(prefers-color-scheme: dark)');
  listeners.add(listener);
  system.addEventListener('change', listener);
  return () => {
    listeners.delete(listener);
    system.removeEventListener('change', listener);
  };
}

show(stored());
addEventListener('storage', ({ key, newValue }) => (key === KEY || key === null) && show(newValue));
