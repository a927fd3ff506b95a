import { useMemo, useSyncExternalStore } from 'react';
import type { Client } from '@agentexec/client';
import { useClient, useConnection } from './hooks.tsx';

interface Clock {
  subscribe(listener: () => void): () => void;
  read(): number;
}

const clocks = new WeakMap<Client, Clock>();

// clockOf returns the clock of a client. All components share its timer.
function clockOf(client: Client): Clock {
  let clock = clocks.get(client);
  if (!clock) clocks.set(client, (clock = createClock(client)));
  return clock;
}

function createClock(client: Client): Clock {
  const listeners = new Set<() => void>();
  let now = 0; // while the timer runs
  let timer: ReturnType<typeof setInterval> | undefined;
  let leave = () => {};
  const tick = () => {
    if (globalThis.document?.hidden) return;
    now = client.now();
    for (const each of [...listeners]) each();
  };
  return {
    subscribe(listener) {
      listeners.add(listener);
      if (!timer) {
        now = client.now();
        timer = setInterval(tick, 1000);
        leave = client.onConnection(tick); // a new welcome may have set the time
      }
      return () => {
        listeners.delete(listener);
        if (listeners.size) return;
        clearInterval(timer);
        timer = undefined;
        leave();
      };
    },
    // React requires the same value for repeated reads, so it is rounded to a second.
    read: () => (timer ? now : Math.floor(client.now() / 1000) * 1000),
  };
}

/**
 * The time of the database in milliseconds (see `client.now`), updated every second. It stops while the connection is lost,
 * because data that is not live must not look live.
 */
export function useNow(): number {
  const client = useClient();
  const { state, since } = useConnection();
  const { subscribe, read } = clockOf(client);
  const time = useSyncExternalStore(subscribe, read, read);
  const lostAt = state === 'offline' && since ? since.getTime() : null; // by the clock of this machine
  const stopped = useMemo(() => lostAt !== null && lostAt + client.now() - Date.now(), [client, lostAt]);
  return stopped === false ? time : stopped;
}
