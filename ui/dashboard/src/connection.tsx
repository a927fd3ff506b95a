import { useClient, useConnection } from '@agentexec/react';
import { clean } from '@agentexec/client/text';
import { useQuestion } from './session.ts';
import { clock } from './times.tsx';

const names = { idle: 'Connecting', connecting: 'Connecting', 'catching up': 'Catching up', live: 'Live' };

/** How it stands with the connection, and why: always in sight. */
export function Connection() {
  const client = useClient();
  const { state, since, reason, transport } = useConnection();
  const asked = useQuestion() !== null;
  const text = asked ? 'Not signed in' : state === 'offline' ? `Offline since ${since ? clock(since) : 'just now'}` : names[state];
  const more = asked ? '' : state === 'offline' ? clean(reason.slice(0, 200)) : transport === 'http' ? 'without a WebSocket: the list is up to 3 s behind' : '';
  return (
    <div className="connection" data-state={asked ? 'refused' : state}>
      <div role="status">
        <span id="connection">{text}</span>
        {more && <span id="reason">{more}</span>}
      </div>
      {!asked && state === 'offline' && <button type="button" id="retry" onClick={() => client.reconnect()}>Retry now</button>}
    </div>
  );
}
