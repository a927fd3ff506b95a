// The tabs of a browser that share one connection: which of them leads, and the messages between them.
//
// A Web Lock of the group's name elects the leader. The browser grants it to the next tab when the leader closes, also when it
// crashes. Each tab holds a second lock while it lives, so that the leader learns when a tab is gone. Messages go through
// BroadcastChannels: one that all tabs hear, for announcements, and one for each tab.

const SETTLE = 1_000; // after a tab has taken the lead, no other takes it for so long

/** A message between tabs; the text of frames is JSON, because a clone would lose what a reader of JSON of one's own makes. */
export type TabMessage = { type: string } & Record<string, unknown>;

interface Envelope {
  from: string;
  message: TabMessage;
}

export interface TabHandlers {
  /** This tab leads from now on. */
  lead(): void;
  /** Another tab has taken the lead. */
  demoted(): void;
  /** The leader said something to all tabs, or answered this one. */
  announced(leader: string, message: TabMessage): void;
  /** To the leader: another tab is there, and asks who leads. */
  joined(tab: string): void;
  /** A message of another tab to this one. */
  received(from: string, message: TabMessage): void;
  /** To the leader: a tab that sent something has closed. */
  gone(tab: string): void;
}

export interface Tabs {
  readonly name: string;
  leads(): boolean;
  send(to: string, message: TabMessage): void;
  /** Tells all tabs, as the leader. */
  announce(message: TabMessage): void;
  /** Asks who leads. */
  ask(): void;
  /** Takes the lead from the tab that has it. */
  takeOver(): void;
  leave(): void;
}

/** Whether this is a page of a browser that has what tabs need to share: a page of HTTPS or localhost has. */
export const canShare = (): boolean =>
  Boolean(globalThis.document && globalThis.navigator?.locks && globalThis.BroadcastChannel && globalThis.crypto?.subtle);

/** The name of a group: tabs with another token have another one, and the token cannot be read from it. */
export async function groupOf(base: URL, token: string | undefined): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(`${base.href}\n${token ?? ''}`));
  return 'agentexec.1 ' + Array.from(new Uint8Array(hash), (b) => b.toString(16).padStart(2, '0')).join('');
}

/** What a page has for talking to other tabs. */
export interface TabGlobals {
  locks: LockManager;
  Channel: typeof BroadcastChannel;
}

export function joinTabs(name: string, on: TabHandlers, { locks, Channel }: TabGlobals): Tabs {
  const id = crypto.randomUUID();
  const nameOf = (tab: string) => `${name} ${tab}`;
  const bus = new Channel(name);
  const inbox = new Channel(nameOf(id));
  const outboxes = new Map<string, BroadcastChannel>();
  let left = false;
  let living = false; // this tab holds its own lock
  let leading = false;
  const known = new Set<string>(); // to the leader
  let candidacy = new AbortController();
  let term = new AbortController(); // ends what this tab does as the leader
  let resign = () => {};
  let die = () => {};

  const send = (to: string, message: TabMessage) => {
    let outbox = outboxes.get(to);
    if (!outbox) outboxes.set(to, (outbox = new Channel(nameOf(to))));
    outbox.postMessage({ from: id, message } satisfies Envelope);
  };
  const broadcast = (message: TabMessage) => !living || left || bus.postMessage({ from: id, message } satisfies Envelope);

  // stand has this tab lead as soon as no other does, or with steal at once.
  function stand(steal: boolean, settled = () => {}) {
    candidacy = new AbortController();
    let elected = false;
    const hold = () => {
      settled();
      if (left) return undefined;
      elected = leading = true;
      term = new AbortController();
      on.lead();
      return new Promise<void>((go) => (resign = go));
    };
    locks.request(name, steal ? { steal } : { signal: candidacy.signal }, hold).catch(() => {
      if (!elected || left) return; // the candidacy was withdrawn
      endTerm();
      on.demoted();
      stand(false);
    });
  }

  function endTerm() {
    leading = false;
    term.abort();
    known.clear();
    for (const outbox of outboxes.values()) outbox.close();
    outboxes.clear();
  }

  // know has the leader told when a tab that it heard of is gone.
  function know(tab: string) {
    if (known.has(tab)) return;
    known.add(tab);
    const ended = () => {
      known.delete(tab);
      outboxes.get(tab)?.close();
      outboxes.delete(tab);
      on.gone(tab);
    };
    locks.request(nameOf(tab), { signal: term.signal }, ended).catch(() => {}); // the term has ended
  }

  bus.onmessage = ({ data: { from, message } }: MessageEvent<Envelope>) => {
    if (!living || left) return;
    if (message.type !== 'who') return on.announced(from, message);
    if (!leading) return;
    know(from);
    on.joined(from);
  };
  inbox.onmessage = ({ data: { from, message } }: MessageEvent<Envelope>) => {
    if (!living || left) return;
    if (leading) know(from);
    on.received(from, message);
  };
  // Before it has its lock, a tab says and hears nothing: the leader would get the lock, and take the tab for one that is gone.
  const life = new Promise<void>((go) => (die = go));
  void locks.request(nameOf(id), () => {
    if (left) return undefined;
    living = true;
    stand(false);
    broadcast({ type: 'who' });
    return life;
  });

  return {
    name,
    leads: () => leading,
    send: (to, message) => left || send(to, message),
    announce: broadcast,
    ask: () => broadcast({ type: 'who' }),
    takeOver() {
      // One tab at a time, so that tabs that want this at once do not take the lead from each other.
      void locks.request(name + ' change', { ifAvailable: true }, (lock) => {
        if (!lock || leading || left) return undefined;
        candidacy.abort();
        return new Promise<void>((go) => stand(true, () => setTimeout(go, SETTLE)));
      });
    },
    leave() {
      left = true;
      candidacy.abort();
      endTerm();
      resign();
      die();
      bus.close();
      inbox.close();
    },
  };
}
