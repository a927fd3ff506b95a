import { useSyncExternalStore } from 'react';
import { useConnection } from './hooks.tsx';

const listeners = new Set<() => void>();
let now = 0; // while the timer runs
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void) {
  listeners.add(listener);
  if (!timer) now = Date.now();
  timer ??= setInterval(() => {
    if (globalThis.document?.hidden) return;
    now = Date.now();
    for (const each of [...listeners]) each();
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size) return;
    clearInterval(timer);
    timer = undefined;
  };
}

// read gives the same within a second, as React asks of it.
const read = () => (timer ? now : Math.floor(Date.now() / 1000) * 1000);

/**
 * The time, new every second: one timer for all who ask. It stands still while the connection is lost, because what is
 * not live must not look it.
 */
export function useNow(): number {
  const { state, since } = useConnection();
  const time = useSyncExternalStore(subscribe, read, read);
  return state === 'offline' && since ? since.getTime() : time;
}
