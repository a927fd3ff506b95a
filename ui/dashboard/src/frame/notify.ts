// Notifications of the browser, for a person who asked for them: what failed, and activities that need a person.

import type { ActivityListItem, Client, Question } from '@agentexec/client';
import { beginning, clean, displayState, headline } from '@agentexec/client/text';
import { questionsStore } from '@agentexec/react';
import { base, go, pathOf } from '../route.ts';

const KEY = 'agentexec.notify' + (base === '/' ? '' : ' ' + base);
const SEEN = KEY + ' seen';
const REMEMBERED = 200; // events that were notified
const WATCHED = 100; // items of each list
const ASKED = 1000; // pending questions that are read, the oldest first
const AGAIN = 5_000; // ms before a list that was refused is asked for again

export interface Happened {
  /** The same in every tab. */
  key: string;
  title: string;
  text: string;
  id: string;
}

/** What an item says that a person may want to know; null for nothing. */
export function happened(item: ActivityListItem): Happened | null {
  const state = displayState(item);
  if (state !== 'error' && state !== 'stale') return null;
  const type = clean(beginning(item.agent_type, 100));
  const of = { error: ['failed', item.finished_at], stale: ['is silent', item.last_seen_at] }[state];
  return {
    key: `${item.agent_id} ${item.attempt} ${state} ${of[1]}`, id: item.agent_id, title: `${type} ${of[0]}`,
    text: headline(item.latest_log ?? '', 200),
  };
}

/** What a pending question says. */
export const asked = ({ agent_id, agent_type = '', key, prompt }: Question): Happened => ({
  key: `${agent_id} asks ${key}`, id: agent_id, title: `${clean(beginning(agent_type, 100))} asks a question`, text: headline(prompt, 200),
});

/** Returns what happened since the first call. */
export function createNews<T>(happened: (one: T) => Happened | null): (items: readonly T[]) => Happened[] {
  let known: Set<string> | undefined;
  return (items) => {
    const all = items.map(happened).filter((h) => h !== null);
    const fresh = known ? all.filter(({ key }) => !known!.has(key)) : [];
    known ??= new Set();
    for (const { key } of all) known.add(key);
    return fresh;
  };
}

// claim reports whether this tab is the first of all to know. Where the browser keeps nothing, the tag of the notification
// still has tabs replace each other's.
function claim(key: string): boolean {
  try {
    const seen = JSON.parse(localStorage.getItem(SEEN) ?? '[]') as string[];
    if (seen.includes(key)) return false;
    localStorage.setItem(SEEN, JSON.stringify([...seen, key].slice(-REMEMBERED)));
  } catch {
    // as where cookies are blocked
  }
  return true;
}

function show({ key, title, text, id }: Happened): void {
  const notification = new Notification(title, { body: text, tag: `${base} ${key}`, icon: new URL(base + 'favicon.svg', location.href).href });
  notification.onclick = () => {
    focus();
    go(pathOf(id, ''));
    notification.close();
  };
}

const locked = (act: () => void) => (navigator.locks ? navigator.locks.request(KEY, act) : Promise.resolve(act()));

/** Notifies of what fails and activities that need a person, once across all tabs. Returns what stops it. */
export function notifyOf(client: Client): () => void {
  const end = new AbortController();
  const tell = (all: Happened[]) => {
    for (const each of all) void locked(() => void (claim(each.key) && show(each)));
  };
  const watch = (filter: Parameters<Client['watchList']>[0]) => {
    const news = createNews(happened);
    const start = () => {
      client.watchList(filter, { signal: end.signal }, ({ items }) => tell(news(items)), () => setTimeout(() => end.signal.aborted || start(), AGAIN));
    };
    start();
  };
  watch({ stale: true, limit: WATCHED });
  watch({ statuses: ['ERROR'], since: '24h', sort: 'activity', limit: WATCHED });
  const questions = questionsStore(client, { pageSize: ASKED });
  const news = createNews(asked);
  const leave = questions.subscribe(() => {
    const { questions: pending, loading, error } = questions.get();
    if (!loading && error === undefined) tell(news(pending));
  });
  return () => {
    end.abort();
    leave();
  };
}

export type Notifying = 'off' | 'on' | 'denied' | 'unsupported';

let wished = false;
const listeners = new Set<() => void>();
try {
  wished = localStorage.getItem(KEY) === 'on';
} catch {
  // nothing is kept
}

export function notifying(): Notifying {
  if (!('Notification' in globalThis) || !isSecureContext) return 'unsupported';
  if (Notification.permission === 'denied') return 'denied';
  return wished && Notification.permission === 'granted' ? 'on' : 'off';
}

export function onNotifying(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Switches notifications on or off, for all tabs; the browser asks the person the first time. */
export async function setNotifying(on: boolean): Promise<void> {
  if (on && Notification.permission === 'default') await Notification.requestPermission();
  wish(on);
  try {
    localStorage.setItem(KEY, on ? 'on' : 'off');
  } catch {
    // It lasts as long as the page.
  }
}

function wish(on: boolean): void {
  wished = on;
  for (const listener of [...listeners]) listener();
}

addEventListener('storage', ({ key, newValue }) => key === KEY && wish(newValue === 'on'));
