// The keyboard shortcuts of the page. A component registers its keys while it is mounted; the help lists what is registered.

import { useLayoutEffect, useRef, useSyncExternalStore } from 'react';

/** Does what the key stands for. False leaves the key to the component that registered it before, or else to the browser. */
export type KeyHandler = (key: string) => boolean | void;

/** Keys with one description. */
export interface Shortcut {
  keys: readonly string[];
  description: string;
}

interface Registration extends Shortcut {
  handler: { readonly current: KeyHandler };
}

const SEQUENCE = 1_500; // ms within which the second key of a sequence must follow
const FIELDS = 'input:not([type=checkbox]), textarea, select, [contenteditable]';
// These answer Enter and Space by themselves.
const CONTROLS = 'a[href], button, summary, label, [role=option], [role=menuitem], [role=tab]';

let registered: readonly Registration[] = [];
const listeners = new Set<() => void>();
let first = ''; // of a sequence
let until = 0;

function change(next: readonly Registration[]): void {
  registered = next;
  for (const listener of [...listeners]) listener();
}

/**
 * Registers keys while the component is mounted and `active`. A key is a `KeyboardEvent.key` such as 'j', '?', 'Enter' or
 * 'Escape', or a sequence of two such as 'g o'. Of two handlers of one key, the one registered last comes first. Keys do
 * nothing with Ctrl, Alt or Meta, in fields and under an open dialog; Enter does nothing on a link or button.
 */
export function useKey(key: string | readonly string[], description: string, handler: KeyHandler, active = true): void {
  const latest = useRef(handler);
  useLayoutEffect(() => void (latest.current = handler));
  const names = typeof key === 'string' ? key : key.join('\n');
  // Before the next key can be pressed, which may be meant for what has just appeared.
  useLayoutEffect(() => {
    if (!active) return;
    const registration = { keys: names.split('\n'), description, handler: latest };
    change([...registered, registration]);
    return () => change(registered.filter((r) => r !== registration));
  }, [names, description, active]);
}

/** What is registered, the oldest first, without those that have no description. */
export function useShortcuts(): readonly Shortcut[] {
  const all = useSyncExternalStore((listener) => (listeners.add(listener), () => void listeners.delete(listener)), () => registered);
  return all.filter(({ description }, n) => description && all.findIndex((other) => other.description === description) === n);
}

function perform(key: string): boolean {
  for (const { keys, handler } of [...registered].reverse()) if (keys.includes(key) && handler.current(key) !== false) return true;
  return false;
}

function pressed(e: KeyboardEvent): void {
  if (e.defaultPrevented || e.isComposing || e.metaKey || e.ctrlKey || e.altKey || document.querySelector('dialog:modal')) return;
  const target = e.target instanceof Element ? e.target : null;
  if (target?.closest(FIELDS)) {
    if (e.key === 'Escape') (target as HTMLElement).blur();
    return;
  }
  if (e.key === 'Enter' && target?.closest(CONTROLS)) return;
  const sequence = first && Date.now() < until ? `${first} ${e.key}` : '';
  first = '';
  if (!(sequence && perform(sequence)) && !perform(e.key)) {
    if (!registered.some(({ keys }) => keys.some((name) => name.startsWith(e.key + ' ')))) return;
    [first, until] = [e.key, Date.now() + SEQUENCE];
  }
  e.preventDefault();
}

addEventListener('keydown', pressed);
