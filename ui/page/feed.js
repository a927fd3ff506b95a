// The feed: one WebSocket with all subscriptions of the page. It comes back by itself, after growing and jittered
// delays, and then asks every subscription anew from where it goes on.

import { parse } from '/text.js';
import { keep, protocols, refusal } from '/token.js';

const QUIET = 20_000; // a socket that said nothing for so long is asked whether it lives
const PATIENCE = 10_000; // how long a welcome or a pong may take
const LONGEST_DELAY = 15_000;
const STABLE = 5_000; // a socket that lived so long starts the delays anew
const CHECK = 5_000; // between two questions whether the server reaches its database
const UNAUTHORIZED = 4401; // the close code at the end of a token

export class Feed {
  #report;
  #subs = new Map(); // by name: {request, take, answered, over}
  #leaving = new Map(); // by name: how often "unsubscribed" must still come before its frames are ours again
  #socket = null;
  #timer = 0;
  #attempt = 0;
  #since = null; // when it was last live, or the page was opened; null while it is live
  #welcomed = 0; // when this socket was
  #current = false; // all subscriptions have been answered on this socket
  #ready = true; // the server reaches its database
  #refused = ''; // why the server does not let us in
  #heard = 0;
  #asked = 0;

  // report is called with {state, since, reason}: state is "connecting" at first, then "lost", "catching up", "unready"
  // (the server does not reach its database), "refused" (it wants another token) or "live".
  constructor(report) {
    this.#report = report;
    setInterval(() => this.#check(), CHECK);
    addEventListener('online', () => this.wake());
    addEventListener('pageshow', (e) => e.persisted && this.wake());
    document.addEventListener('visibilitychange', () => document.hidden || this.wake());
    this.#connect();
  }

  // subscribe has take called with the frames named sub. request makes the message, at every connect anew.
  subscribe(sub, request, take) {
    const s = { request, take, answered: false, over: false };
    this.#subs.set(sub, s);
    if (this.#welcomed) this.#send(request());
  }

  unsubscribe(sub) {
    const s = this.#subs.get(sub);
    this.#subs.delete(sub);
    if (!s || s.over || !this.#welcomed) return;
    this.#leaving.set(sub, (this.#leaving.get(sub) ?? 0) + 1);
    this.#send({ type: 'unsubscribe', sub });
  }

  // again asks once more for what was not found.
  again(sub) {
    const s = this.#subs.get(sub);
    if (!s?.over || !this.#welcomed) return;
    s.over = false;
    this.#send(s.request());
  }

  // wake makes sure of the connection now: the tab was asleep, the network came back, or the person asks for it.
  wake() {
    if (this.#refused) return;
    if (!this.#socket) this.#connect();
    else if (this.#welcomed) this.#ask();
  }

  // enter tries again, with this token.
  enter(token) {
    keep(token);
    this.#refused = '';
    this.#attempt = 0;
    this.#tell();
    this.#connect();
  }

  // restart begins with a new socket; for a feed that broke its promise.
  restart(reason) {
    this.#lost(reason);
  }

  #connect() {
    let socket;
    try {
      socket = new WebSocket(location.origin.replace(/^http/, 'ws') + '/v1/feed', protocols());
    } catch {
      return this.#refuse('that is no token'); // not even the letters of one
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lost('no answer'), PATIENCE);
    this.#socket = socket;
    socket.onmessage = (e) => socket === this.#socket && this.#hear(e.data);
    socket.onclose = (e) => {
      if (socket !== this.#socket) return;
      const welcomed = this.#welcomed;
      this.#lost(e.reason);
      if (e.code === UNAUTHORIZED) this.#refuse(e.reason);
      else if (!welcomed) void this.#ask401();
    };
  }

  #lost(reason, since = Date.now()) {
    const socket = this.#socket;
    if (!socket) return;
    this.#since ??= new Date(since);
    if (this.#welcomed && Date.now() - this.#welcomed > STABLE) this.#attempt = 0;
    this.#socket = null;
    this.#welcomed = this.#asked = 0;
    this.#current = false;
    this.#leaving.clear();
    socket.close();
    const most = Math.min(1000 * 2 ** this.#attempt++, LONGEST_DELAY);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), most * (0.2 + 0.8 * Math.random()));
    this.#tell(reason);
  }

  // refuse stops trying until there is another token.
  #refuse(reason) {
    clearTimeout(this.#timer);
    this.#refused = reason;
    this.#tell(reason);
  }

  // ask401 finds out whether it is for lack of a token that the socket did not open.
  async #ask401() {
    const reason = await refusal(PATIENCE);
    if (reason && !this.#socket) this.#refuse(reason);
  }

  #hear(data) {
    this.#heard = Date.now();
    this.#asked = 0;
    const frame = parse(data);
    if (frame.type === 'welcome') {
      clearTimeout(this.#timer);
      this.#welcomed = Date.now();
      for (const s of this.#subs.values()) {
        s.answered = s.over = false;
        this.#send(s.request());
      }
    } else if (this.#leaving.has(frame.sub)) {
      // These are the last frames of a subscription that was given up, whatever took its name since.
      if (frame.type === 'unsubscribed' || frame.code === 'invalid') {
        const left = this.#leaving.get(frame.sub) - 1;
        if (left) this.#leaving.set(frame.sub, left);
        else this.#leaving.delete(frame.sub);
      }
      return;
    } else if (this.#subs.has(frame.sub)) {
      const s = this.#subs.get(frame.sub);
      s.answered = true;
      s.over = frame.type === 'error';
      s.take(frame);
    } else if (frame.type === 'error') {
      console.warn('the feed refuses a message:', frame.message);
    }
    if (!this.#current && this.#welcomed) {
      this.#current = [...this.#subs.values()].every((s) => s.answered);
      this.#tell();
    }
  }

  #tell(reason) {
    let state = 'live';
    if (this.#refused) state = 'refused';
    else if (!this.#welcomed) state = this.#since ? 'lost' : 'connecting';
    else if (!this.#ready) state = 'unready';
    else if (!this.#current) state = 'catching up';
    else this.#since = null;
    this.#report({ state, since: this.#since, reason });
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #ask() {
    if (this.#asked) return;
    this.#asked = Date.now();
    this.#send({ type: 'ping' });
  }

  // check finds a socket that died without a word, and a server that has lost its database.
  async #check() {
    if (!this.#welcomed) return;
    if (this.#asked && Date.now() - this.#asked > PATIENCE) return this.#lost('no answer', this.#heard);
    if (Date.now() - this.#heard > QUIET) this.#ask();
    if (document.hidden) return;
    let ready = this.#ready;
    try {
      const answer = await fetch('/readyz', { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) });
      ready = answer.ok || (await answer.json()).tail; // a tail that only lacks the bell reads on a timer
    } catch {
      // the socket will show what is wrong
    }
    if (ready === this.#ready) return;
    this.#ready = ready;
    if (!ready) this.#since ??= new Date();
    this.#tell();
  }
}
