import { useEffect, useLayoutEffect, useRef, useState } from 'react';

const KEY = 'agentexec.split';
const [DEFAULT, LEAST, STEP] = [340, 260, 16]; // px of the list
const DETAIL = 420; // px that the activity keeps

// A browser may keep nothing for us: then the width lasts as long as the page.
function remembered(): number {
  try {
    return Number(localStorage.getItem(KEY)) || DEFAULT;
  } catch {
    return DEFAULT;
  }
}

function remember(width: number): void {
  try {
    if (width === DEFAULT) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, String(width));
  } catch {
    // see above
  }
}

let kept: number | undefined;

/** The handle between the list and the activity: it is dragged, moved with arrow keys, and reset by a double click. */
export function Split() {
  const handle = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(() => (kept ??= remembered()));
  const [most, setMost] = useState(2 * DEFAULT);
  const shown = Math.min(Math.max(LEAST, width), Math.max(LEAST, most));
  const grid = () => handle.current!.closest<HTMLElement>('main');
  useLayoutEffect(() => {
    const box = grid();
    box?.style.setProperty('--split', `${shown}px`);
    return () => void box?.style.removeProperty('--split');
  }, [shown]);
  useEffect(() => {
    const box = grid();
    if (!box) return;
    const observer = new ResizeObserver(() => setMost(box.clientWidth - DETAIL));
    observer.observe(box);
    return () => observer.disconnect();
  }, []);
  const set = (px: number, keep = true) => {
    kept = Math.round(Math.min(Math.max(LEAST, px), Math.max(LEAST, most)));
    setWidth(kept);
    if (keep) remember(kept);
  };
  const moves = (e: React.KeyboardEvent) => {
    const to = { ArrowLeft: shown - STEP, ArrowRight: shown + STEP, Home: LEAST, End: most, Enter: DEFAULT }[e.key];
    if (to === undefined) return;
    set(to);
    e.preventDefault();
    e.stopPropagation();
  };
  return (
    <div
      ref={handle} className="split" role="separator" tabIndex={0} aria-orientation="vertical" aria-label="Width of the list" aria-valuemin={LEAST} aria-valuemax={Math.max(LEAST, Math.round(most))}
      aria-valuenow={Math.round(shown)} title="Drag to resize; double click to reset" onKeyDown={moves} onDoubleClick={() => set(DEFAULT)}
      onPointerDown={(e) => (e.currentTarget.setPointerCapture(e.pointerId), e.preventDefault(), e.currentTarget.focus())}
      onPointerMove={(e) => e.currentTarget.hasPointerCapture(e.pointerId) && set(e.clientX - grid()!.getBoundingClientRect().left, false)}
      onPointerUp={() => remember(kept!)}
    />
  );
}
