// The activities whose children are shown in the list. They stay so in this tab of the browser, also after a reload.

import { useSyncExternalStore } from 'react';

const KEY = 'agentexec.unfolded';
const MOST = 200; // that are remembered, the last ones

let store: Storage | undefined;
try {
  store = sessionStorage;
} catch {
  // A browser may keep nothing for a page: then it lives as long as the page.
}

let unfolded: ReadonlySet<string> = read();
const listeners = new Set<() => void>();

function read(): Set<string> {
  try {
    const all = JSON.parse(store?.getItem(KEY) ?? '[]') as unknown;
    return new Set(Array.isArray(all) ? all.filter((id) => typeof id === 'string').slice(-MOST) : []);
  } catch {
    return new Set();
  }
}

/** Shows the children of an activity, or hides them. */
export function unfold(id: string, open: boolean): void {
  if (unfolded.has(id) === open) return;
  const next = [...unfolded].filter((other) => other !== id);
  if (open) next.push(id);
  unfolded = new Set(next.slice(-MOST));
  try {
    store?.setItem(KEY, JSON.stringify([...unfolded]));
  } catch {
    // full, or not allowed: it lives as long as the page
  }
  for (const listener of [...listeners]) listener();
}

/** The ids of the activities whose children are shown; another set after each change. */
export const useUnfolded = (): ReadonlySet<string> =>
  useSyncExternalStore((listener) => (listeners.add(listener), () => void listeners.delete(listener)), () => unfolded);
