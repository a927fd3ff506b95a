import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { HEAD, heightOf, newerThan, newest, ROW, yOf } from './list_layout.ts';
import type { ListModel } from './list_model.ts';
import { ListFooter } from './list_footer.tsx';
import { Row } from './list_row.tsx';
import { useSnapshot } from './model.ts';
import { grouped } from './numbers.ts';
import type { Filter } from './route.ts';

const SPARE = 8; // rows drawn above and below those in sight
const STILL = 1500; // ms: a list under a pointer that moved so lately does not move

interface Props {
  model: ListModel;
  filter: Filter;
  search: string;
  selected: string | null;
}

const idOf = (e: Element | null): string | null => e?.closest('[data-id]')?.getAttribute('data-id') ?? null;

/** The live list: only rows in sight are in the page, and what is read does not move. */
export function List({ model, filter, search, selected }: Props) {
  const rows = useSnapshot(model);
  const { items, sections } = rows;
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  const [focused, setFocused] = useState<string | null>(null); // the row with the focus stays in the page, wherever it is
  const [unseen, setUnseen] = useState(0);
  const wanted = useRef<string>(null); // the row that is to get the focus
  const moved = useRef(0);
  const mark = useRef(''); // when the newest was created, as the person last saw the top
  const shown = useRef<{ id: string; y: number; group: string }[]>([]);
  const before = useRef(selected);

  const first = Math.max(0, Math.floor((view.top - sections.length * HEAD) / ROW) - SPARE);
  const last = Math.min(items.length, Math.ceil((view.top + view.height) / ROW) + SPARE);
  const kept = focused === null ? -1 : rows.index(focused);
  const groupOf = (index: number) => (index < 0 ? null : sections.findLast((s) => s.from <= index)?.name);
  const element = (id: string) => box.current!.querySelector<HTMLElement>(`[data-id="${CSS.escape(id)}"]`);

  useEffect(() => {
    const e = box.current!;
    const look = () => setView({ top: e.scrollTop, height: e.clientHeight });
    const observer = new ResizeObserver(look);
    observer.observe(e);
    e.addEventListener('scroll', look, { passive: true });
    return () => {
      observer.disconnect();
      e.removeEventListener('scroll', look);
    };
  }, []);

  // The rows in sight keep their place when rows are added above them.
  useLayoutEffect(() => {
    const e = box.current!;
    const anchor = shown.current.find(({ id, group }) => groupOf(rows.index(id)) === group);
    if (anchor && (e.scrollTop > 0 || Date.now() - moved.current < STILL)) {
      const by = yOf(sections, rows.index(anchor.id)) - anchor.y;
      if (by) {
        e.scrollTop += by;
        setView({ top: e.scrollTop, height: e.clientHeight });
      }
    }
    const { scrollTop, clientHeight } = e;
    let top = first;
    while (top < last && yOf(sections, top) < scrollTop) top++;
    shown.current = [];
    for (let i = top; i < last && yOf(sections, i) < scrollTop + clientHeight; i++) shown.current.push({ id: items[i]!.agent_id, y: yOf(sections, i), group: groupOf(i)! });
    if (scrollTop === 0 || !mark.current) mark.current = newest(sections, items);
    setUnseen(newerThan(mark.current, sections, items, top));
  });

  // A row that was taken out of the page, or is drawn only now, gets the focus; so does the one whose activity was closed.
  useLayoutEffect(() => {
    if (before.current !== selected) {
      if (selected === null && before.current !== null && document.activeElement === document.body) focus(before.current);
      before.current = selected;
    }
    const id = wanted.current ?? (document.activeElement === document.body ? focused : null);
    const row = id === null ? null : element(id);
    if (!row) return;
    row.focus({ preventScroll: true });
    wanted.current = null;
  });

  const focus = (id: string) => {
    const at = rows.index(id);
    const e = box.current!;
    if (at < 0) return;
    const y = yOf(sections, at);
    if (y - HEAD < e.scrollTop) e.scrollTop = at ? y - HEAD : 0;
    else if (y + ROW > e.scrollTop + e.clientHeight) e.scrollTop = y + ROW - e.clientHeight;
    setView({ top: e.scrollTop, height: e.clientHeight });
    setFocused(id);
    wanted.current = id;
  };

  useEffect(() => {
    const look = () => model.inSight(items[first], items[last - 1], last >= items.length - 2 * SPARE);
    look();
    const timer = setInterval(look, 1000);
    return () => clearInterval(timer);
  }, [model, rows, first, last]);

  useEffect(() => {
    const pressed = (e: KeyboardEvent) => {
      if (!['j', 'k'].includes(e.key) || e.metaKey || e.ctrlKey || e.altKey || (e.target as HTMLElement).matches('input') || document.querySelector('dialog[open]')) return;
      const here = idOf(document.activeElement) ?? selected;
      const at = here === null ? -1 : rows.index(here);
      const target = items[Math.min(items.length - 1, Math.max(0, at < 0 ? 0 : at + (e.key === 'j' ? 1 : -1)))];
      if (!target) return;
      e.preventDefault();
      focus(target.agent_id);
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  });

  return (
    <div
      className="list" ref={box} onPointerMove={() => (moved.current = Date.now())} onPointerLeave={() => (moved.current = 0)}
      onFocus={(e) => setFocused(idOf(e.target))} onBlur={() => setFocused(null)}
    >
      {unseen > 0 && <button type="button" id="newer" onClick={() => (box.current!.scrollTop = 0)}>↑ {grouped(unseen)} new</button>}
      <div className="rows" aria-busy={rows.loading} style={{ height: heightOf(sections) }}>
        {sections.map(({ name, from, length, count, open }) => {
          const places = [];
          const end = from + length;
          if (kept >= from && kept < Math.min(first, end)) places.push(kept);
          for (let i = Math.max(first, from); i < Math.min(last, end); i++) places.push(i);
          if (kept >= Math.max(last, from) && kept < end) places.push(kept);
          return (
            <section key={name} className="group" style={{ height: HEAD + length * ROW }}>
              <h2 id={'group-' + name}>{name} <span>{grouped(count)}{open ? '+' : ''}</span></h2>
              {places.length > 0 && (
                <div className="places" role="list" aria-labelledby={'group-' + name}>
                  {places.map((i) => (
                    <Row
                      key={items[i]!.agent_id} item={items[i]!} top={(i - from) * ROW} place={i - from + 1} of={open ? -1 : count} search={search}
                      selected={items[i]!.agent_id === selected}
                    />
                  ))}
                </div>
              )}
            </section>
          );
        })}
      </div>
      <ListFooter rows={rows} filter={filter} />
    </div>
  );
}
