import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { Heights } from './heights.ts';
import { LogRow } from './log_row.tsx';
import type { Entry } from './log_model.ts';
import { grouped } from './numbers.ts';

const GUESS = 28; // px, of a row not yet measured
const SPARE = 400; // px drawn above and below what is in sight
const SCROLL_END = 1_000; // ms after which a scroll is over, where the browser does not say so

interface Props {
  /** By seq; they grow at the end as long as torn stays the same. */
  entries: readonly Entry[];
  torn: number;
  earlier: number;
  /** In lower case, '' for none. */
  sought: string;
}

/** How many entries come up to a seq. */
export function upTo(entries: readonly Entry[], seq: number): number {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const mid = (low + high) >> 1;
    if (entries[mid]!.seq <= seq) low = mid + 1;
    else high = mid;
  }
  return low;
}

// placeOf is where an entry is now, -1 where it went.
function placeOf(entries: readonly Entry[], entry: Entry): number {
  for (let i = upTo(entries, entry.seq) - 1; entries[i]?.seq === entry.seq; i--) if (entries[i] === entry) return i;
  return -1;
}

/**
 * The log. It follows the newest line until the person scrolls up; from then on nothing moves what is read, and new
 * lines are counted. Only rows in sight are in the page; each is measured, because messages wrap.
 */
export function LogView({ entries, torn, earlier, sought }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const heights = useRef(new Heights());
  const known = useRef(torn);
  const now = useRef(entries);
  const [view, setView] = useState({ top: 0, height: 600 }); // of the lines, px
  const [following, setFollowing] = useState(true);
  const follows = useRef(true); // as known at once, not at the next drawing
  const scrolledTo = useRef(0);
  const scrolling = useRef<ReturnType<typeof setTimeout>>(undefined); // by the person
  // How far all rows are drawn above their places. Heights that become known above what is read would move it; while the
  // person scrolls, they must not be made up for by scrolling too, because that ends a smooth scroll.
  const shift = useRef(0);
  const anchor = useRef<{ entry: Entry; by: number }>(null); // what is read, and how far it is scrolled
  const seen = useRef(0); // the last seq there was while it followed
  const opened = useRef(new Set<number>());
  const sizes = useRef<ResizeObserver>(null);

  const h = heights.current;
  now.current = entries;
  if (known.current !== torn) h.truncate(0);
  known.current = torn;
  h.truncate(entries.length);
  while (h.length < entries.length) h.push(GUESS);
  const first = h.index(Math.max(0, view.top - SPARE));
  const last = entries.length ? h.index(view.top + view.height + SPARE) + 1 : 0;

  const topOf = (e: HTMLElement) => e.scrollTop - list.current!.offsetTop + shift.current;
  const look = () => setView({ top: topOf(box.current!), height: box.current!.clientHeight });
  const follow = (on: boolean) => {
    follows.current = on;
    setFollowing(on);
  };
  const drop = () => {
    const top = topOf(box.current!);
    const at = h.index(top);
    const entry = now.current[at];
    anchor.current = entry ? { entry, by: top - h.top(at) } : null;
  };

  useEffect(() => {
    const e = box.current!;
    const scrolled = () => {
      if (Math.abs(e.scrollTop - scrolledTo.current) >= 1) { // by the person
        if (e.scrollHeight - e.clientHeight - e.scrollTop < 8) follow(true);
        else if (e.scrollTop < scrolledTo.current) follow(false);
        scrolledTo.current = e.scrollTop;
        drop();
        clearTimeout(scrolling.current);
        scrolling.current = setTimeout(scrollEnded, SCROLL_END);
      }
      look();
    };
    const scrollEnded = () => {
      clearTimeout(scrolling.current);
      scrolling.current = undefined;
      if (shift.current) look();
    };
    const observer = new ResizeObserver(look);
    observer.observe(e);
    e.addEventListener('scroll', scrolled, { passive: true });
    e.addEventListener('scrollend', scrollEnded);
    return () => {
      observer.disconnect();
      clearTimeout(scrolling.current);
      e.removeEventListener('scroll', scrolled);
      e.removeEventListener('scrollend', scrollEnded);
    };
  }, []);

  // Rows change their heights when they are opened, or the window is made narrower.
  useLayoutEffect(() => {
    const changed = ({ target }: ResizeObserverEntry) => Math.abs(h.at(Number((target as HTMLElement).dataset['index'])) - (target as HTMLElement).offsetHeight) >= 0.5;
    const observer = new ResizeObserver((rows) => rows.some(changed) && look());
    sizes.current = observer;
    for (const row of list.current!.children) observer.observe(row);
    return () => observer.disconnect();
  }, []);

  // Rows are measured where they are drawn, and what is read stays where it is, whatever happened above.
  useLayoutEffect(() => {
    const [e, lines] = [box.current!, list.current!];
    let changed = false;
    for (const row of lines.children) {
      const index = Number((row as HTMLElement).dataset['index']);
      const height = (row as HTMLElement).offsetHeight;
      if (Math.abs(h.at(index) - height) < 0.5) continue;
      h.set(index, height);
      changed = true;
    }
    const was = shift.current;
    if (follows.current) shift.current = 0;
    else if (anchor.current && Math.abs(e.scrollTop - scrolledTo.current) < 1) { // else the event of the person's scroll is still to come
      const at = placeOf(entries, anchor.current.entry);
      const moved = h.top(at) + anchor.current.by - topOf(e);
      if (at < 0) drop();
      else if (Math.abs(moved) >= 0.5) shift.current += moved;
    }
    const by = scrolling.current ? 0 : shift.current;
    shift.current -= by;
    if (changed || shift.current !== was) lines.style.height = `${h.total - shift.current}px`;
    if (follows.current) {
      e.scrollTop = e.scrollHeight;
      seen.current = entries.at(-1)?.seq ?? 0;
      scrolledTo.current = e.scrollTop;
    } else if (by) {
      if (e.scrollTop > 0) e.scrollTop += by; // at the very top it stays there
      scrolledTo.current = e.scrollTop;
      drop();
    }
    if (changed || shift.current !== was || Math.abs(view.top - topOf(e)) >= 1 || view.height !== e.clientHeight) look();
  });

  const unseen = entries.length - upTo(entries, seen.current);
  return (
    <div className="logbox">
      <div className="log" ref={box} role="log" aria-live="off" aria-label="Log lines" tabIndex={0}>
        {earlier > 0 && <p className="note" id="hidden">{grouped(earlier)} earlier lines are not shown here. Download has them.</p>}
        {!entries.length && <p className="note">{sought ? 'No line matches.' : 'No lines yet.'}</p>}
        <div className="lines" ref={list} style={{ height: h.total - shift.current }} onClick={(e) => (e.target as HTMLElement).closest('summary, .ax-more') && (drop(), follow(false))}>
          {entries.slice(first, last).map((entry, n) => (
            <LogRow
              key={`${entry.kind} ${entry.seq}`} entry={entry} index={first + n} top={h.top(first + n) - shift.current} gap={gapBefore(entries, first + n)} sought={sought}
              opened={opened.current} sizes={sizes}
            />
          ))}
        </div>
      </div>
      <button type="button" id="follow" aria-pressed={following} onClick={() => (drop(), follow(!following), look())}>Follow</button>
      {!following && unseen > 0 && <button type="button" id="newer" onClick={() => (follow(true), look())}>↓ {grouped(unseen)} new {unseen === 1 ? 'line' : 'lines'}</button>}
    </div>
  );
}

// gapBefore is the time since the line above, in milliseconds; null where there is none.
function gapBefore(entries: readonly Entry[], index: number): number | null {
  const line = entries[index]!;
  let before = entries[index - 1];
  for (let i = index - 2; before?.kind === 'note'; i--) before = entries[i];
  return line.kind === 'line' && before?.kind === 'line' ? Math.max(0, line.at - before.at) : null;
}
