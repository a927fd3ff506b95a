// The scrolling of a log. Only the rows in sight are in the page, and each is measured. The heights are summed in a tree
// (heights.ts) rather than by TanStack Virtual, which computes the places of all rows anew with every line that comes: 13 ms
// for 100,000 of them.

import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { Heights } from './heights.ts';
import type { LogHandle, LogView } from './log_handle.ts';
import type { Rows } from './log_rows.ts';

const SPARE = 400; // px drawn above and below what is in sight
const SCROLL_END = 1_000; // ms after which a scroll is over, where the browser does not say so
const ROW = 20; // px, of a row that is not yet measured
const ROW_NARROW = 46;

// What is read: a row, and how far the view is below its top.
interface Anchor {
  seq: number;
  note: boolean;
  by: number;
}

/** The rows to draw, and what to give to the elements. */
export function useScroller(handle: LogHandle, { rows, following, log, wrap }: LogView) {
  const box = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const heights = useRef(new Heights());
  const generation = useRef<unknown>(undefined);
  const now = useRef(rows);
  const [view, setView] = useState({ top: 0, height: 600 }); // of the rows, px
  const follows = useRef(following); // as known at once, not at the next drawing
  const scrolledTo = useRef(0);
  const end = useRef(-1); // the end that is followed, as scrollTop; -1 while none is
  const scrolling = useRef<ReturnType<typeof setTimeout>>(undefined); // by the person
  // How far all rows are drawn above their places. Heights that become known above what is read would move it; while the
  // person scrolls, they must not be made up for by scrolling too, because that ends a smooth scroll.
  const shift = useRef(0);
  const anchor = useRef<Anchor>(null);
  const gone = useRef(0); // the count of the last place that was gone to
  const seen = useRef(0); // the last seq there was while it followed
  const sizes = useRef<ResizeObserver>(null);

  const h = heights.current;
  now.current = rows;
  follows.current = following;
  if (generation.current !== rows.generation) h.truncate(0);
  generation.current = rows.generation;
  h.truncate(rows.length);
  if (h.length < rows.length) h.fill(rows.length, globalThis.innerWidth < 768 ? ROW_NARROW : ROW);
  const first = h.index(Math.max(0, view.top - SPARE));
  const last = rows.length ? h.index(view.top + view.height + SPARE) + 1 : 0;

  const topOf = (e: HTMLElement) => e.scrollTop - list.current!.offsetTop + shift.current;
  const look = () => setView({ top: topOf(box.current!), height: box.current!.clientHeight || 600 });
  const drop = () => {
    const top = topOf(box.current!);
    const at = h.index(top);
    const row = now.current.at(at);
    anchor.current = row ? { seq: row.seq, note: row.note !== null, by: top - h.top(at) } : null;
  };
  const follow = (on: boolean) => {
    follows.current = on;
    handle.follow(on);
  };

  // A layout effect: its cleanup runs before the element is removed, that of useEffect after.
  useLayoutEffect(() => {
    const e = box.current!;
    const scrolled = () => {
      if (Math.abs(e.scrollTop - scrolledTo.current) >= 1) { // by the person
        const left = e.scrollHeight - e.clientHeight - e.scrollTop;
        // A smooth scroll begins with small steps: following again so near to the end would end it.
        if (e.scrollTop < scrolledTo.current && left >= 1) follow(false);
        else if (left < 8) follow(true);
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
  }, [handle]);

  // Rows change their heights when they are opened, or the window is made narrower.
  useLayoutEffect(() => {
    const changed = ({ target }: ResizeObserverEntry) => Math.abs(h.at(Number((target as HTMLElement).dataset['index'])) - (target as HTMLElement).offsetHeight) >= 0.5;
    const observer = new ResizeObserver((all) => all.some(changed) && look());
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
      if (!height || Math.abs(h.at(index) - height) < 0.5) continue;
      h.set(index, height);
      changed = true;
    }
    const was = shift.current;
    const { place } = handle;
    const going = place && place.count !== gone.current && log.last >= place.seq && rows.length > 0;
    if (follows.current || going) shift.current = 0;
    else if (anchor.current && Math.abs(e.scrollTop - scrolledTo.current) < 1) { // else the event of the person's scroll is still to come
      const at = placeOf(rows, anchor.current);
      const moved = h.top(at) + anchor.current.by - topOf(e);
      if (at < 0) drop();
      else if (Math.abs(moved) >= 0.5) shift.current += moved;
    }
    const by = scrolling.current ? 0 : shift.current;
    shift.current -= by;
    const height = `${h.total - shift.current}px`;
    if (lines.style.height !== height) lines.style.height = height;
    if (going) {
      gone.current = place.count;
      const at = Math.min(rows.indexOf(place.seq), rows.length - 1);
      e.scrollTop = h.top(at) + lines.offsetTop - Math.max(0, e.clientHeight / 3 - ROW);
      scrolledTo.current = e.scrollTop;
      anchor.current = { seq: rows.at(at)!.seq, note: rows.at(at)!.note !== null, by: topOf(e) - h.top(at) };
    } else if (follows.current) {
      seen.current = log.last;
      // Only where the end has moved: a scroll of the person may have begun, with a step of less than a pixel.
      if (end.current !== e.scrollHeight - e.clientHeight) {
        end.current = e.scrollHeight - e.clientHeight;
        if (end.current - e.scrollTop >= 1) e.scrollTop = e.scrollHeight;
        scrolledTo.current = e.scrollTop;
      }
    } else if (by) {
      if (e.scrollTop > 0) e.scrollTop += by; // at the very top it stays there
      scrolledTo.current = e.scrollTop;
      drop();
    }
    if (!follows.current || going) end.current = -1;
    if (changed || shift.current !== was || Math.abs(view.top - topOf(e)) >= 1 || (e.clientHeight && view.height !== e.clientHeight)) look();
  });

  const wanted = Array.from({ length: Math.max(0, last - first) }, (_, n) => rows.at(first + n)!.seq);
  const wish = `${wanted[0]} ${wanted.at(-1)} ${log.version} ${wrap}`;
  useEffect(() => handle.store.want(wanted), [handle, wish]);

  // What was there when the log was opened elsewhere than at its end is not new.
  if (!seen.current && log.activity && log.last >= log.activity.last_seq) seen.current = log.last;
  const unseen = following ? 0 : rows.length - rows.indexOf(seen.current + 1);
  return {
    box, list, sizes, first, last, unseen,
    size: h.total - shift.current,
    topOf: (index: number) => h.top(index) - shift.current,
    /** The index of the first row in sight, and how far it is scrolled, px. */
    top: () => {
      const index = h.index(view.top);
      return { index, by: view.top - h.top(index) };
    },
    /** Keeps what is read where it is: a row is about to change its height. */
    hold: () => (drop(), follow(false)),
    follow: (on: boolean) => (drop(), follow(on), look()),
  };
}

// placeOf is where a row is now, -1 where it went.
function placeOf(rows: Rows, { seq, note }: Anchor): number {
  const at = rows.indexOf(seq);
  const row = rows.at(at);
  return row && row.seq === seq && (row.note !== null) === note ? at : rows.length ? Math.min(at, rows.length - 1) : -1;
}
