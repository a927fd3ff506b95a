import { useLayoutEffect, useRef, useState } from 'react';
import { Icon, useActivityList } from '@agentexec/react';
import { useFirstShown } from '../first.ts';
import { Entry, Menu } from '../frame/menu.tsx';
import { follow } from './list_row.tsx';
import { grouped } from '../numbers.ts';
import { listedCounts, needsOf, queryOf, totalOf } from './part.ts';
import { type Filter, filterOf, isFiltered } from './query.ts';
import { go, pathOf } from '../route.ts';
import { textOf } from './search_text.ts';
import { useKey } from '../frame/keys.ts';
import { builtIn, remove, rename, save, useSavedViews, type View } from './views.ts';

const KEYS = ['1', '2', '3', '4', '5', '6'];

/** The saved views, with how many activities each has, and a way to save the present filter as another. */
export function Views({ filter, search }: { filter: Filter; search: string }) {
  const saved = useSavedViews();
  const all = [...builtIn, ...saved];
  const [naming, setNaming] = useState<'new' | string | null>(null); // the search of the view that gets a name
  useKey(KEYS, 'Choose a saved view', (key) => {
    const view = all[Number(key) - 1];
    if (!view) return false;
    go(pathOf(null, view.search));
    return undefined;
  });
  const known = all.some((view) => view.search === search);
  return (
    <nav className="views" aria-label="Saved views">
      <ul>
        {all.map((view) => (
          <li key={view.search}>
            {naming === view.search ? <Naming name={view.name} label="Name of the view" onDone={(name) => (setNaming(null), name !== null && rename(view.search, name))} /> : (
              <ViewLink view={view} current={view.search === search} />
            )}
            {view.search === search && saved.includes(view) && naming !== view.search && (
              <Menu label={`Change the view ${view.name}`} className="ax-button ghost small icon" button={<Icon name="more" />}>
                <Entry onClick={() => setNaming(view.search)}>Rename</Entry>
                <Entry onClick={() => remove(view.search)}>Remove</Entry>
              </Menu>
            )}
          </li>
        ))}
        <li>
          {naming === 'new' ? <Naming name={textOf(filter).slice(0, 40)} label="Name of the new view" onDone={(name) => (setNaming(null), name !== null && save(name, search))} />
            : isFiltered(filter) && !known && (
              <button type="button" className="ax-button ghost icon" aria-label="Save this view" title="Save this filter as a view" onClick={() => setNaming('new')}><Icon name="plus" /></button>
            )}
        </li>
      </ul>
    </nav>
  );
}

function ViewLink({ view, current }: { view: View; current: boolean }) {
  const to = pathOf(null, view.search);
  return (
    <a href={to} aria-current={current || undefined} title={textOf(filterOf(view.search)) || undefined} onClick={(e) => follow(e, to)}>
      <bdi>{view.name}</bdi> <Count search={view.search} />
    </a>
  );
}

/** How many activities a view has; nothing where only the page could count them. */
function Count({ search }: { search: string }) {
  const filter = filterOf(search);
  const first = useFirstShown();
  return !first || filter.text ? null : filter.stale && filter.waiting ? <CountOfNeeds filter={filter} /> : <CountOf filter={filter} />;
}

const plain = (filter: Filter) => ({ ...filter, sort: 'created', order: 'desc' }) as const;

function CountOf({ filter }: { filter: Filter }) {
  const { counts } = useActivityList({ ...queryOf(plain(filter)), limit: 1 });
  return counts ? <span className="number">{grouped(totalOf(listedCounts(filter, counts)))}</span> : null;
}

// Two lists count what is waiting or stale.
function CountOfNeeds({ filter }: { filter: Filter }) {
  const all = useActivityList({ ...queryOf(plain({ ...filter, waiting: false, stale: false, flat: true })), limit: 1 }).counts;
  const waiting = useActivityList({ ...queryOf(plain({ ...filter, stale: false })), limit: 1 }).counts;
  return all && waiting ? <span className="number">{grouped(needsOf(all, waiting))}</span> : null;
}

/** A field for a name; Enter takes it, Esc does not. */
function Naming({ name, label, onDone }: { name: string; label: string; onDone: (name: string | null) => void }) {
  const field = useRef<HTMLInputElement>(null);
  const done = useRef(false);
  const end = (name: string | null) => {
    if (!done.current) onDone(name);
    done.current = true;
  };
  useLayoutEffect(() => {
    field.current!.focus();
    field.current!.select();
  }, []);
  return (
    <input
      ref={field} className="ax-field naming" aria-label={label} defaultValue={name} maxLength={40}
      onBlur={(e) => end(e.target.value)}
      onKeyDown={(e) => {
        if (e.key !== 'Enter' && e.key !== 'Escape') return;
        e.preventDefault();
        e.stopPropagation();
        end(e.key === 'Enter' ? e.currentTarget.value : null);
      }}
    />
  );
}

