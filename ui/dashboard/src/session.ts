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

/** Why the server does not let us in, and what to call with another token. */
export interface Question {
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
    const reason = open ? '' : await refusal(held());
    if (!reason) {
      open = !held();
      ask(null);
      return held();
    }
    hold(await new Promise<string>((answer) => ask({ reason, answer })));
  }
}

// refusal is why the server does not let us in, or '' where that is not what is wrong: a WebSocket does not say.
async function refusal(t: string): Promise<string> {
  if (t && !/^[\w.~+/=-]+$/.test(t)) return 'that is no token';
  try {
    const headers: Record<string, string> = t ? { Authorization: 'Bearer ' + t } : {};
    // Of a type that no activity has: the total of a large table would take its time.
    const answer = await fetch(base + 'v1/activities?page_size=1&agent_type=-', { headers, cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) });
    if (answer.status !== 401 && answer.status !== 403) return (void answer.body?.cancel(), '');
    return ((await answer.json()) as { detail?: string }).detail || `the server answers ${answer.status}`;
  } catch {
    return '';
  }
}

let judged: [token: string, may: boolean] = ['', true];

/** Whether the token allows to cancel. It is only read to hide what would be refused: the server decides. */
export function mayCancel(): boolean {
  const t = held();
  if (t !== judged[0]) judged = [t, grantsCancel(t)];
  return judged[1];
}

function grantsCancel(token: string): boolean {
  if (!token) return true;
  try {
    const bytes = Uint8Array.from(atob(token.split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as { agentexec?: { cancel?: boolean } };
    return claims.agentexec?.cancel === true;
  } catch {
    return true; // no JWT that we can read
  }
}
