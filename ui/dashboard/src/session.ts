// The token that the server asks for, where it does: from the address, #token=..., which browsers do not send, or
// typed in. It lives as long as the tab.

import { useSyncExternalStore } from 'react';
import { base } from './route.ts';

const KEY = 'agentexec.token' + (base === '/' ? '' : ' ' + base); // pages below other prefixes may be of other servers
const PATIENCE = 10_000;

// A browser may keep nothing for us: then it lives as long as the page.
let memory = '';
let store: Storage | undefined;
try {
  store = sessionStorage;
} catch {
  // as where cookies are blocked
}

const held = () => store?.getItem(KEY) ?? memory;

function hold(token: string): void {
  memory = token;
  store?.setItem(KEY, token);
}

// given takes the token out of the address: out of sight, and out of the history.
function given(): boolean {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token === null) return false;
  hold(token.trim());
  history.replaceState(null, '', location.pathname + location.search);
  return true;
}

given();
// The same page with another token: nothing of what was seen with the first may stay.
addEventListener('hashchange', () => given() && location.reload());

/** What is wrong with the token: there is none, it is not valid, it has expired, or it does not allow to read. */
export type Refusal = 'missing' | 'wrong' | 'expired' | 'no rights';

/** Why the server does not let us in, and what to call with another token. */
export interface Question {
  kind: Refusal;
  reason: string;
  answer: (token: string) => void;
}

let question: Question | null = null;
const listeners = new Set<() => void>();

function ask(next: Question | null): void {
  question = next;
  for (const listener of [...listeners]) listener();
}

/** The question for a token that is open, if one is. */
export const useQuestion = (): Question | null =>
  useSyncExternalStore((listener) => (listeners.add(listener), () => void listeners.delete(listener)), () => question);

let open = false; // the server wanted no token when it was last asked

/** Has the server asked again whether it wants a token: the connection to it was lost. */
export const doubt = (): void => void (open = false);

/** Gets a token that the server takes, '' where it wants none; while it takes none, the person is asked. */
export async function token(): Promise<string> {
  for (;;) {
    const refused = open ? null : await refusal(held());
    if (!refused) {
      open = !held();
      ask(null);
      return held();
    }
    hold(await new Promise<string>((answer) => ask({ ...refused, answer })));
  }
}

// refusal is why the server does not let us in, or null where that is not what is wrong: a WebSocket does not say.
async function refusal(t: string): Promise<Pick<Question, 'kind' | 'reason'> | null> {
  if (t && !/^[\w.~+/=-]+$/.test(t)) return { kind: 'wrong', reason: 'that is no token: a token has no spaces' };
  try {
    const headers: Record<string, string> = t ? { Authorization: 'Bearer ' + t } : {};
    // Of a type that no activity has: the total of a large table would take its time.
    const answer = await fetch(base + 'v1/activities?page_size=1&agent_type=-', { headers, cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) });
    if (answer.status !== 401 && answer.status !== 403) return (void answer.body?.cancel(), null);
    const { detail = '' } = (await answer.json()) as { detail?: string };
    const kind = answer.status === 403 ? 'no rights' : !t ? 'missing' : /expired/.test(detail) ? 'expired' : 'wrong';
    return { kind, reason: detail || `the server answers ${answer.status}` };
  } catch {
    return null;
  }
}

const everything: Rights = { cancel: true, answer: true, metadata: true };
let judged: [token: string, rights: Rights] = ['', everything];

/** What the token allows. It is only read to hide what would be refused: the server decides. */
export interface Rights {
  cancel: boolean;
  answer: boolean;
  metadata: boolean;
}

export function rights(): Rights {
  const t = held();
  if (t !== judged[0]) judged = [t, rightsOf(t)];
  return judged[1];
}

/** Whether the token allows to cancel. */
export const mayCancel = (): boolean => rights().cancel;

function rightsOf(token: string): Rights {
  try {
    if (!token) return everything;
    const bytes = Uint8Array.from(atob(token.split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
    const { agentexec } = JSON.parse(new TextDecoder().decode(bytes)) as { agentexec?: { cancel?: boolean; answer?: boolean; include_metadata?: boolean } };
    return { cancel: agentexec?.cancel === true, answer: agentexec?.answer === true, metadata: agentexec?.include_metadata === true };
  } catch {
    return everything; // no JWT that we can read
  }
}
