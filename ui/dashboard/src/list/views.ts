// Saved views: a name and the query of an address. Those that a person saves stay in the browser.

import { useSyncExternalStore } from 'react';
import { filterOf, searchOf } from './query.ts';

export interface View {
  name: string;
  /** The query of its address. */
  search: string;
}

export const builtIn: readonly View[] = [
  { name: 'All', search: '' },
  { name: 'Needs me', search: '?waiting=true&stale=true' },
  { name: 'Failed today', search: '?status=ERROR&since=24h' },
];

const KEY = 'agentexec.views';
const MOST = 20;
const LONGEST = 40; // characters of a name

// A browser may keep nothing for a page: then the views live as long as the page.
let store: Storage | undefined;
try {
  store = localStorage;
} catch {
  // as where cookies are blocked
}

let saved: readonly View[] = read();
const listeners = new Set<() => void>();

function read(): View[] {
  try {
    const all = JSON.parse(store?.getItem(KEY) ?? '[]') as unknown;
    if (!Array.isArray(all)) return [];
    return all.filter((v): v is View => typeof v?.name === 'string' && typeof v.search === 'string').slice(0, MOST).map(({ name, search }) => ({ name: name.slice(0, LONGEST), search: searchOf(filterOf(search)) }));
  } catch {
    return [];
  }
}

function set(next: readonly View[]): void {
  saved = next;
  try {
    store?.setItem(KEY, JSON.stringify(next));
  } catch {
    // full, or not allowed: they live as long as the page
  }
  for (const listener of [...listeners]) listener();
}

// Another tab saved one.
addEventListener('storage', (e) => {
  if (e.key !== KEY) return;
  saved = read();
  for (const listener of [...listeners]) listener();
});

const nameOf = (name: string) => name.trim().slice(0, LONGEST);

/** Saves a filter under a name; a view with the same filter gets the name. */
export function save(name: string, search: string): void {
  if (!nameOf(name)) return;
  set([...saved.filter((v) => v.search !== search), { name: nameOf(name), search }].slice(-MOST));
}

export const rename = (search: string, name: string): void => {
  if (nameOf(name)) set(saved.map((v) => (v.search === search ? { name: nameOf(name), search } : v)));
};

export const remove = (search: string): void => set(saved.filter((v) => v.search !== search));

export const useSavedViews = (): readonly View[] =>
  useSyncExternalStore((listener) => (listeners.add(listener), () => void listeners.delete(listener)), () => saved);
