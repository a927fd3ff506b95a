// The parts of a browser that tabs share: Web Locks and BroadcastChannels, of tabs that can be frozen and can crash.

import { setMaxListeners } from 'node:events';
import { vi } from 'vitest';

interface Held {
  tab: Tab;
  name: string;
  free: (stolen?: boolean) => void;
}

interface Wanted {
  tab: Tab;
  name: string;
  grant: () => void;
}

export class Browser {
  held: Held[] = [];
  wanted: Wanted[] = [];
  channels = new Set<Channel>();
  tabs: Tab[] = [];
  /** Every message that was sent, as JSON. */
  messages: string[] = [];

  /** Opens a tab: what is made now runs in it. */
  open<T>(make: () => T, mayLock?: Promise<void>): { tab: Tab; made: T } {
    const tab = new Tab(this);
    tab.mayLock = mayLock;
    this.tabs.push(tab);
    vi.stubGlobal('navigator', { locks: { request: tab.request.bind(tab) } });
    vi.stubGlobal('BroadcastChannel', class extends Channel {
      constructor(name: string) {
        super(tab, name);
      }
    });
    return { tab, made: make() };
  }

  next(name: string) {
    if (this.held.some((h) => h.name === name)) return;
    const at = this.wanted.findIndex((w) => w.name === name);
    if (at >= 0) this.wanted.splice(at, 1)[0]!.grant();
  }

  /** The tab that holds the lock of the group. */
  leader(): Tab | undefined {
    return this.held.find((h) => /^agentexec\.1 \w+$/.test(h.name))?.tab;
  }
}

export class Tab {
  #frozen = false;
  crashed = false;
  browser: Browser;
  /** Its requests for locks wait for this: a browser looks first whether the page may store anything. */
  mayLock: Promise<void> | undefined;
  /** What waits for it while it is frozen. */
  queue: (() => void)[] = [];
  /** How much of that there is, in characters. */
  queued = 0;

  constructor(browser: Browser) {
    this.browser = browser;
  }

  run(task: () => void, size = 0) {
    if (this.#frozen) {
      this.queue.push(task);
      this.queued += size;
    } else if (!this.crashed) task();
  }

  freeze() {
    this.#frozen = true;
  }

  thaw() {
    this.#frozen = false;
    this.queued = 0;
    for (const task of this.queue.splice(0)) this.run(task);
  }

  /** Ends it without a word. */
  crash() {
    this.crashed = true;
    this.queue = [];
    const { browser } = this;
    browser.wanted = browser.wanted.filter((w) => w.tab !== this);
    for (const h of [...browser.held]) if (h.tab === this) h.free();
  }

  async request(name: string, ...rest: [LockOptions, () => unknown] | [() => unknown]): Promise<unknown> {
    if (this.mayLock) await this.mayLock;
    const { browser } = this;
    const options = rest.length > 1 ? (rest[0] as LockOptions) : {};
    const callback = rest.at(-1) as (lock?: object | null) => unknown;
    if (options.signal) setMaxListeners(0, options.signal);
    if (options.ifAvailable && browser.held.some((h) => h.name === name)) return callback(null);
    return new Promise((resolve, reject) => {
      const aborted = () => this.run(() => reject(new DOMException('aborted', 'AbortError')));
      const wanted: Wanted = {
        tab: this, name,
        grant: () => {
          const h: Held = {
            tab: this, name,
            free: (stolen) => {
              const at = browser.held.indexOf(h);
              if (at < 0) return;
              browser.held.splice(at, 1);
              if (stolen) aborted();
              else setImmediate(() => browser.next(name));
            },
          };
          browser.held.push(h);
          setImmediate(() => this.run(() => void Promise.resolve(callback({})).then((value) => (h.free(), resolve(value)))));
        },
      };
      options.signal?.addEventListener('abort', () => {
        const at = browser.wanted.indexOf(wanted);
        if (at < 0) return;
        browser.wanted.splice(at, 1);
        aborted();
      });
      if (options.steal) {
        browser.held.find((h) => h.name === name)?.free(true);
        return wanted.grant();
      }
      browser.wanted.push(wanted);
      setImmediate(() => browser.next(name));
    });
  }
}

class Channel {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  tab: Tab;
  name: string;

  constructor(tab: Tab, name: string) {
    this.tab = tab;
    this.name = name;
    tab.browser.channels.add(this);
  }

  postMessage(message: unknown) {
    if (this.tab.crashed) return;
    const text = JSON.stringify(message);
    this.tab.browser.messages.push(text);
    for (const other of this.tab.browser.channels) {
      if (other === this || other.name !== this.name) continue;
      const data = structuredClone(message);
      setImmediate(() => other.tab.run(() => this.tab.browser.channels.has(other) && other.onmessage?.({ data }), text.length));
    }
  }

  close() {
    this.tab.browser.channels.delete(this);
  }
}
