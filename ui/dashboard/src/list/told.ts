// What came of the last action on the list, for the one place that shows it.

import { useSyncExternalStore } from 'react';

let told = '';
const listeners = new Set<() => void>();

/** Shows a text until it is taken away, or another takes its place. */
export function tell(text: string): void {
  told = text;
  for (const listener of [...listeners]) listener();
}

export const useTold = (): string =>
  useSyncExternalStore((listener) => (listeners.add(listener), () => void listeners.delete(listener)), () => told);
