import { useEffect, useState } from 'react';
import type { Connection as State } from '@agentexec/client';
import { useClient, useConnection } from '@agentexec/react';
import { useQuestion } from '../session.ts';
import { clock } from '../times.tsx';
import { Dialog } from './dialogs.tsx';
import { sentence } from './words.ts';

const SHORT = 4_000; // ms: a connection that was lost so lately is said to be reconnecting

interface Said {
  /** The shape of the mark: a dot, a ring, a diamond. */
  mark: 'live' | 'wait' | 'off';
  text: string;
  /** More, beside the text. */
  more: string;
  /** What to do about it, in a dialog. */
  advice: string;
}

function say({ state, since, reason, code, transport }: State, asked: boolean, lately: boolean): Said {
  if (asked) return { mark: 'off', text: 'Not signed in', more: '', advice: 'The server wants a token. Enter one in the form on this page.' };
  if (state === 'live') {
    const more = transport === 'http' ? 'without a WebSocket: the list is up to 3 s behind' : '';
    return { mark: 'live', text: 'Live', more, advice: more ? 'A proxy between this page and the server blocks WebSockets. Lines arrive all the same; lists are read every few seconds. Let the proxy pass the header Upgrade.' : 'What is shown is what the server knows.' };
  }
  if (state === 'catching up') return { mark: 'wait', text: 'Catching up', more: '', advice: 'The connection is back. What happened meanwhile is being read.' };
  if (state !== 'offline') return { mark: 'wait', text: 'Connecting', more: '', advice: 'The page connects to the server for the first time.' };
  if (code === 'refused_origin') {
    return { mark: 'off', text: 'Refused', more: 'the server does not let in pages of this origin', advice: `${sentence(reason)} Then restart it and reload this page.` };
  }
  if (lately && code !== 'unreachable') return { mark: 'wait', text: 'Reconnecting', more: '', advice: 'The connection was lost. The page connects again by itself.' };
  const text = `Offline since ${since ? clock(since) : 'just now'}`;
  const again = 'What is shown is from then. The page tries again by itself.';
  if (code === 'unreachable') return { mark: 'off', text, more: 'the server cannot be reached', advice: `The server does not answer. Check that it runs and that this machine reaches it. ${again}` };
  return { mark: 'off', text, more: sentence(reason).replace(/\.$/, ''), advice: `${sentence(reason)} ${again}` };
}

function useLately(since: Date | null): boolean {
  const [, over] = useState<Date>();
  const left = since ? since.getTime() + SHORT - Date.now() : 0;
  useEffect(() => {
    if (left <= 0) return;
    const timer = setTimeout(() => over(since!), left);
    return () => clearTimeout(timer);
  }, [since]);
  return left > 0;
}

/** The state of the connection in words, and what to do: always in sight. On a phone the words are behind the mark. */
export function Connection() {
  const client = useClient();
  const connection = useConnection();
  const asked = useQuestion() !== null;
  const lately = useLately(connection.state === 'offline' ? connection.since : null);
  const [open, setOpen] = useState(false);
  const { mark, text, more, advice } = say(connection, asked, lately);
  return (
    <div className="connection" data-conn={mark}>
      <button type="button" className="conn" aria-haspopup="dialog" onClick={() => setOpen(true)}>
        <span role="status"><span id="connection">{text}</span>{more && <span id="reason">{more}</span>}</span>
      </button>
      {!asked && mark === 'off' && (
        text === 'Refused'
          ? <button type="button" className="ax-button small" onClick={() => setOpen(true)}>What to do</button>
          : <button type="button" className="ax-button small" id="retry" onClick={() => client.reconnect()}>Retry now</button>
      )}
      {open && (
        <Dialog title={text} onClose={() => setOpen(false)}>
          {(close) => (
            <>
              <p>{advice}</p>
              <div className="buttons">
                {mark !== 'live' && !asked && <button type="button" className="ax-button" onClick={() => client.reconnect()}>Retry now</button>}
                <button type="button" className="ax-button" autoFocus onClick={close}>Close</button>
              </div>
            </>
          )}
        </Dialog>
      )}
    </div>
  );
}
