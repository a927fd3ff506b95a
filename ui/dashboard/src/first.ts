// Reads in two steps: first the rows of the list, or the log of an activity; everything else when these are drawn, so that they
// come sooner.

import { useSyncExternalStore } from 'react';

const PATIENCE = 2_000; // ms after which the rest is read although the first is not there

let shown = false;
const waiting = new Set<() => void>();

function finish(): void {
  shown = true;
  for (const act of [...waiting]) act();
  waiting.clear();
}

setTimeout(finish, PATIENCE);

/** Says that what the page shows first is in the document; it is drawn with the next frame. */
export function firstShown(): void {
  if (!shown) requestAnimationFrame(() => setTimeout(finish));
}

/** Calls act once what the page shows first is drawn. Returns what prevents it. */
export function afterFirst(act: () => void): () => void {
  if (shown) act();
  else waiting.add(act);
  return () => void waiting.delete(act);
}

/** Whether what the page shows first is drawn. */
export const useFirstShown = (): boolean => useSyncExternalStore(afterFirst, () => shown);
