// One connection for all tabs of a browser that have the same origin, base and token. The leading tab has the feed. Each
// other tab asks it for its watches, keeps their cursors itself, and asks the next leader from there.

import type { Clock } from './clock.ts';
import type { Connection, Feed } from './feed.ts';
import { groupOf, joinTabs, type TabMessage, type Tabs } from './tabs.ts';
import type { Tokens } from './tokens.ts';
import { activityWatch, FeedError, type Frame, listWatch, type ListFilter, type Watch } from './watch.ts';

const ROOM = 1 << 20; // the most that waits for a tab, in characters of JSON; one frame may be larger
const CHECK = 5_000; // between two looks at whether the leader answers
const PATIENCE = 10_000; // how long an answer of the leader may take
const HIDDEN = 60_000; // a leader that is hidden for so long is replaced by a tab that is seen

/** What another tab has asked of this one. */
interface Follower {
  watches: Map<number, Watch>;
  /** Characters that were sent to it and that it has not taken. */
  waiting: number;
  paused: boolean;
}

/** What the leader says of itself. */
interface Report {
  connection: Connection;
  now: number;
  hidden: boolean;
}

export interface ShareOptions {
  base: URL;
  tokens: Tokens;
  clock: Clock;
  parse: (json: string) => unknown;
  retryDelay: (attempt: number) => number;
  /** Makes the feed of a tab that leads; asleep says whether the feed may rest while the page is hidden. */
  create: (tokens: Tokens, asleep: () => boolean) => Feed;
}

const isHidden = () => Boolean(globalThis.document?.hidden);

export function createSharedFeed({ base, tokens, clock, parse, retryDelay, create }: ShareOptions): Feed {
  const globals = { locks: navigator.locks, Channel: BroadcastChannel };
  const watches = new Set<Watch>();
  const keys = new Map<Watch, number>(); // of the watches that another tab was asked for
  const asked = new Map<number, Watch>();
  const followers = new Map<string, Follower>();
  const listeners = new Set<() => void>();
  let connection: Connection = { state: 'idle', since: null, reason: '', code: '', transport: 'websocket' };
  let tabs: Tabs | undefined;
  let own: Feed | undefined; // while this tab leads, or has no group yet
  let leader = '';
  let report: Report | undefined; // the leader's last one
  let hiddenAt = 0; // when the leader was first known to be hidden; 0 while it is seen
  let taken = 0; // characters that the leader was not told of yet
  let caughtUp = false;
  let since: Date | null = null;
  let counter = 0;
  let heardAt = 0;
  let askedAt = 0; // when the leader was asked for an answer; 0 when it has answered
  let checkedAt = 0;
  let checking: ReturnType<typeof setInterval> | undefined;
  let token: string | undefined;

  const shared: Tokens = {
    renewable: tokens.renewable,
    due: tokens.due,
    async get(fresh) {
      const next = await tokens.get(fresh);
      void enter(next);
      return next;
    },
  };

  // enter joins the tabs that have this token, and leaves those that have another.
  async function enter(next: string | undefined) {
    token = next;
    const name = await groupOf(base, next);
    if (token !== next || !checking || name === tabs?.name) return;
    tabs?.leave();
    forgetFollowers();
    forgetLeader();
    heardAt = Date.now();
    askedAt = 0;
    tabs = joinTabs(name, { lead, demoted, announced: heard, joined, received, gone: forget }, globals);
  }

  function serve() {
    if (own) return;
    own = create(shared, () => isHidden() && !followers.size);
    own.onConnection(tell);
    for (const w of watches) own.add(w);
  }

  function unserve() {
    if (!own) return;
    forgetFollowers();
    for (const w of watches) own.remove(w);
    own.close();
    own = undefined;
  }

  function lead() {
    forgetLeader();
    serve();
    tell();
  }

  function demoted() {
    unserve();
    caughtUp = false;
    heardAt = Date.now();
    tell();
    tabs?.ask();
  }

  // tell announces how the leader's connection stands, and shows it in this tab.
  function tell() {
    if (tabs?.leads()) tabs.announce({ type: 'lead', report: reportOf() });
    show();
  }

  const reportOf = (): Report => ({ connection: own!.connection(), now: clock.now(), hidden: isHidden() });

  // --- as the leader

  function joined(tab: string) {
    tabs!.send(tab, { type: 'lead', report: reportOf() });
  }

  function received(from: string, message: TabMessage) {
    if (message.type === 'lead' || message.type === 'frame' || message.type === 'deposed') return heard(from, message);
    if (!tabs!.leads() || !own) return tabs!.send(from, { type: 'deposed' });
    let f = followers.get(from);
    if (!f) followers.set(from, (f = { watches: new Map(), waiting: 0, paused: false }));
    const key = message['key'] as number;
    if (message.type === 'add') addFor(from, f, key, message);
    else if (message.type === 'remove') {
      const w = f.watches.get(key);
      f.watches.delete(key);
      if (w) own.remove(w);
    } else if (message.type === 'taken') {
      f.waiting -= message['size'] as number;
      if (f.paused && f.waiting <= ROOM / 2) {
        f.paused = false;
        for (const w of f.watches.values()) own.resume(w);
      }
    } else if (message.type === 'ping') joined(from);
    else if (message.type === 'wake') own.wake();
  }

  // addFor watches for another tab. While that takes nothing, its watches are paused: the server keeps what comes.
  function addFor(tab: string, f: Follower, key: number, message: TabMessage) {
    const pass = (frame: object) => {
      const text = JSON.stringify(frame);
      tabs!.send(tab, { type: 'frame', key, text });
      f.waiting += text.length;
      if (f.paused || f.waiting <= ROOM) return;
      f.paused = true;
      for (const w of f.watches.values()) own!.pause(w);
    };
    const over = (error?: FeedError) => {
      f.watches.delete(key);
      if (error) pass({ type: 'error', code: error.code, message: error.message });
    };
    const sink = { event: pass, over };
    const { id, filter, cursor } = message as { id?: string; filter?: ListFilter; cursor?: number };
    const w = id === undefined ? listWatch(filter ?? {}, sink) : activityWatch(id, cursor ?? 0, sink);
    f.watches.set(key, w);
    if (f.paused) own!.pause(w);
    own!.add(w);
  }

  function forget(tab: string) {
    const f = followers.get(tab);
    followers.delete(tab);
    if (f) for (const w of f.watches.values()) own?.remove(w);
  }

  function forgetFollowers() {
    for (const tab of [...followers.keys()]) forget(tab);
  }

  // --- as a tab that follows

  function heard(from: string, message: TabMessage) {
    if (tabs!.leads()) return; // from a tab that led before
    if (message.type === 'frame') {
      if (from === leader) take(message['key'] as number, message['text'] as string);
    } else if (message.type === 'deposed') {
      if (from !== leader) return;
      forgetLeader();
      tabs!.ask();
    } else {
      unserve();
      if (from !== leader) {
        forgetLeader();
        leader = from;
      }
      hear(message['report'] as Report);
      watches.forEach(ask);
    }
    if (from !== leader) return;
    heardAt = Date.now();
    askedAt = 0;
  }

  function hear(next: Report) {
    const refused = next.connection.code === 'unauthorized' && report?.connection.code !== 'unauthorized';
    hiddenAt = next.hidden ? hiddenAt || Date.now() : 0;
    report = next;
    clock.set(new Date(next.now).toISOString());
    show();
    if (refused && tokens.renewable) shared.get(true).catch(() => {});
  }

  function forgetLeader() {
    leader = '';
    report = undefined;
    hiddenAt = taken = askedAt = 0;
    caughtUp = false;
    keys.clear();
    asked.clear();
  }

  // ask has the leader send a watch's frames, from its cursor on.
  function ask(w: Watch) {
    if (!leader || w.paused || keys.has(w) || !watches.has(w)) return;
    const key = ++counter;
    keys.set(w, key);
    asked.set(key, w);
    w.current = false;
    tabs!.send(leader, { type: 'add', key, cursor: w.cursor, ...(w.id === undefined ? { filter: w.filter } : { id: w.id }) });
  }

  function unask(w: Watch) {
    const key = keys.get(w);
    if (key === undefined) return;
    keys.delete(w);
    asked.delete(key);
    tabs!.send(leader, { type: 'remove', key });
  }

  function take(key: number, text: string) {
    taken += text.length;
    if (taken >= ROOM / 8) {
      tabs!.send(leader, { type: 'taken', size: taken });
      taken = 0;
    }
    const w = asked.get(key);
    if (!w) return;
    const frame = parse(text) as Frame;
    if (frame.type === 'error') {
      remove(w);
      w.over(new FeedError(frame.code, frame.message));
    } else if (w.take(frame, text.length)) {
      unask(w);
      setTimeout(ask, retryDelay(w.holes++), w);
    }
    if (!caughtUp) show();
  }

  // check looks after the leader: one that does not answer, or that a browser slows down because it is hidden, is replaced.
  function check() {
    const now = Date.now();
    const slept = now - checkedAt > 2 * CHECK;
    checkedAt = now;
    if (!tabs || tabs.leads() || !watches.size) return;
    const { transport, state } = report?.connection ?? connection;
    const slowed = hiddenAt && (transport === 'http' || state === 'offline' || now - hiddenAt > HIDDEN);
    if (slowed && !isHidden()) tabs.takeOver();
    else if (askedAt && !slept) {
      if (now - askedAt > PATIENCE) tabs.takeOver();
    } else if (now - heardAt >= CHECK) {
      askedAt = now;
      if (leader) tabs.send(leader, { type: 'ping' });
      else tabs.ask();
    }
  }

  function onVisibility() {
    if (tabs?.leads()) tell();
    else check();
  }

  // --- in this tab

  // show says how it stands with the connection in this tab, where another one has it: as createFeed does.
  function show() {
    if (own) return set(watches.size ? own.connection() : { ...own.connection(), state: 'idle', since: null, reason: '', code: '' });
    const { state: its = 'connecting', reason = '', code = '', transport = 'websocket', since: lost = null } = report?.connection ?? {};
    const connected = its === 'live' || its === 'catching up';
    if (!connected) caughtUp = false;
    else caughtUp ||= [...watches].every((w) => w.current || w.paused);
    since = connected && caughtUp ? null : (lost ?? since);
    let state: Connection['state'] = connected ? (caughtUp ? 'live' : 'catching up') : its === 'offline' ? 'offline' : since ? 'offline' : 'connecting';
    if (!watches.size) state = 'idle';
    set({ state, since: state === 'idle' ? null : since, ...(state === 'offline' ? { reason, code } : { reason: '', code: '' }), transport });
  }

  function set(next: Connection) {
    if (JSON.stringify(next) === JSON.stringify(connection)) return;
    connection = next;
    for (const listener of [...listeners]) listener();
  }

  function begin() {
    if (checking) return;
    checkedAt = Date.now();
    checking = setInterval(check, CHECK);
    globalThis.addEventListener?.('visibilitychange', onVisibility, true);
    shared.get().catch(serve); // without a token, the feed says why, and tries again
  }

  function remove(w: Watch) {
    if (!watches.delete(w)) return;
    if (own) own.remove(w);
    else unask(w);
    show();
  }

  return {
    add(w) {
      watches.add(w);
      begin();
      if (own) own.add(w);
      else ask(w);
      show();
    },
    remove,
    pause(w) {
      if (own) return own.pause(w);
      w.paused = true;
      unask(w);
    },
    resume(w) {
      if (own) return own.resume(w);
      w.paused = false;
      ask(w);
    },
    connection: () => connection,
    onConnection(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    wake() {
      if (own) return own.wake();
      if (leader) tabs!.send(leader, { type: 'wake' });
      check();
    },
    close() {
      const all = [...watches];
      watches.clear();
      for (const w of all) {
        own?.remove(w);
        w.over();
      }
      unserve();
      tabs?.leave();
      tabs = undefined;
      forgetLeader();
      clearInterval(checking);
      checking = undefined;
      globalThis.removeEventListener?.('visibilitychange', onVisibility, true);
      since = null;
      show();
    },
  };
}
