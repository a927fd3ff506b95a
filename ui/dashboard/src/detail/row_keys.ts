import { type RefObject, useLayoutEffect, useRef, useState } from 'react';
import { expanded } from '../list/branches.ts';
import type { Entry } from '../list/list_layout.ts';
import { unfold } from '../list/unfolded.ts';

interface Options {
  box: RefObject<HTMLElement | null>;
  count: number;
  rowAt: (index: number) => Entry | undefined;
  indexOf: (key: string) => number;
  unfolded: ReadonlySet<string>;
  scrollTo: (index: number) => void;
}

const keyOf = (e: Element | null): string | null => e?.closest('[data-child]')?.getAttribute('data-child') ?? null;

/**
 * The arrow keys of a treegrid: Up and Down move between rows, Right unfolds a row or goes to its first child, Left folds it or
 * goes to its parent. Returns the key of the row with the focus, and what the element around the rows tells.
 */
export function useRowKeys({ box, count, rowAt, indexOf, unfolded, scrollTo }: Options) {
  const [focused, setFocused] = useState<string | null>(null);
  const wanted = useRef<string>(null);
  const focus = (index: number) => {
    const entry = rowAt(Math.min(count - 1, Math.max(0, index)));
    if (!entry) return;
    scrollTo(indexOf(entry.key));
    setFocused(entry.key);
    wanted.current = entry.key;
  };
  useLayoutEffect(() => {
    const key = wanted.current ?? (document.activeElement === document.body ? focused : null);
    const link = key === null ? null : box.current?.querySelector<HTMLElement>(`[data-child="${CSS.escape(key)}"] :is(a.type, .child-rest button)`);
    if (!link) return;
    link.focus({ preventScroll: true });
    wanted.current = null;
  });
  const onKeyDown = (e: React.KeyboardEvent) => {
    const key = keyOf(e.target as Element);
    const at = key === null ? -1 : indexOf(key);
    const entry = at < 0 ? undefined : rowAt(at);
    if (!key || !entry || e.metaKey || e.ctrlKey || e.altKey) return;
    const open = entry.item && expanded(entry.item, unfolded);
    const above = key.slice(0, Math.max(0, key.lastIndexOf('/')));
    if (e.key === 'ArrowDown') focus(at + 1);
    else if (e.key === 'ArrowUp') focus(at - 1);
    else if (e.key === 'ArrowRight' && open === false) unfold(entry.item!.agent_id, true);
    else if (e.key === 'ArrowRight' && open) focus(at + 1);
    else if (e.key === 'ArrowLeft' && open) unfold(entry.item!.agent_id, false);
    else if (e.key === 'ArrowLeft' && above) focus(indexOf(above));
    else return;
    e.preventDefault();
  };
  return { focused, onKeyDown, onFocus: (e: React.FocusEvent) => setFocused(keyOf(e.target)), onBlur: () => setFocused(null) };
}
