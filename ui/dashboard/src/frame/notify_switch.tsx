import { useEffect, useSyncExternalStore } from 'react';
import { useClient } from '@agentexec/react';
import { notifying, notifyOf, onNotifying, setNotifying } from './notify.ts';

const useNotifying = () => useSyncExternalStore(onNotifying, notifying);

/** Notifies on every page, while the person wants it. */
export function Notifier() {
  const client = useClient();
  const on = useNotifying() === 'on';
  useEffect(() => (on ? notifyOf(client) : undefined), [client, on]);
  return null;
}

/** Switches notifications of the browser on and off. */
export function NotifySwitch() {
  const state = useNotifying();
  if (state === 'unsupported') return null;
  const title = state === 'denied' ? 'The browser blocks notifications of this page: allow them in its settings' : 'A notification of the browser when an activity fails or needs a person';
  return (
    <button
      type="button" id="notify" className="ax-button ghost small" aria-pressed={state === 'on'} aria-disabled={state === 'denied'} title={title}
      onClick={() => state !== 'denied' && void setNotifying(state === 'off')}
    >
      Notify me
    </button>
  );
}
