import { type RefObject, useLayoutEffect, useRef, useState } from 'react';

/** The key of the row that an element is in. */
export const keyOf = (e: Element | null): string | null => e?.closest('[data-key]')?.getAttribute('data-key') ?? null;

/** The id of the activity of a row, by the key of the row. */
export const idOf = (key: string): string => key.slice(key.lastIndexOf('/') + 1);

interface Options {
  box: RefObject<HTMLElement | null>;
  /** The activity that is open. */
  current: string | null;
  /** The key of the row with the focus, which stays in the page wherever it is. */
  focused: string | null;
  setFocused: (key: string | null) => void;
  /** The index of the row with a key; -1 where there is none. */
  indexOf: (key: string) => number;
  scrollTo: (index: number) => void;
}

/** The row that has the focus, and what its elements tell of it. */
export function useFocused() {
  const [focused, setFocused] = useState<string | null>(null);
  return { focused, setFocused, onFocus: (e: React.FocusEvent) => setFocused(keyOf(e.target)), onBlur: () => setFocused(null) };
}

/** Returns what gives a row the focus. A row keeps it when it moves; the row of an activity that was closed gets it. */
export function useRowFocus({ box, current, focused, setFocused, indexOf, scrollTo }: Options): (key: string) => void {
  const wanted = useRef<string>(null);
  const before = useRef(current);
  const brought = useRef<string>(null);

  const show = (index: number) => scrollTo(index === 1 ? 0 : index); // the first one with its heading
  const focus = (key: string) => {
    const index = indexOf(key);
    if (index < 0) return;
    show(index);
    setFocused(key);
    wanted.current = key;
  };

  useLayoutEffect(() => {
    if (before.current !== current) {
      if (current === null && before.current !== null && document.activeElement === document.body) focus(before.current);
      before.current = current;
    }
    const key = wanted.current ?? (document.activeElement === document.body ? focused : null);
    const link = key === null ? null : box.current!.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"] :is(a.type, .rest button)`);
    if (!link) return;
    link.focus({ preventScroll: true });
    wanted.current = null;
  });

  // The activity that is open is brought into sight, once: when its row is there.
  useLayoutEffect(() => {
    if (brought.current === current) return;
    const index = current === null ? -1 : indexOf(current);
    if (current !== null && index < 0) return;
    brought.current = current;
    if (index >= 0) show(index);
  });
  return focus;
}
