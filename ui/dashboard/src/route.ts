// The address says what is shown: "" the overview, activities the list, activities/{agent_id} one activity beside the list; the
// query says which part of the list. All of it lies below the path that the page is served at, which a proxy may choose.

import { useMemo, useSyncExternalStore } from 'react';
import { type Filter, filterOf, searchOf } from './list/query.ts';

export type Page = 'overview' | 'list' | 'detail';

export interface Route {
  page: Page;
  /** The activity that is open; null on other pages. */
  id: string | null;
  filter: Filter;
  /** The filter as the query of an address, '' or beginning with ?. */
  search: string;
}

/** The path that the page is served at, ending in a slash: what an address holds before activities and activities/{agent_id}. */
export const baseOf = (pathname: string): string => pathname.replace(/(activities\/(?!activities$)[^/.]+|[^/]*)$/, '');

/** The base of this page. */
export const base = baseOf(location.pathname);

export function routeOf(pathname: string, search: string): Route {
  const filter = filterOf(search);
  const below = pathname.slice(base.length);
  const id = /^activities\/([^/]+)$/.exec(below)?.[1]?.toLowerCase() ?? null;
  const canonical = searchOf(filter);
  // A filter makes the address of a list, also below "" where the list was before there was an overview.
  const page = id !== null ? 'detail' : below.startsWith('activities') || canonical ? 'list' : 'overview';
  return { page, id, filter, search: canonical };
}

/** The address of an activity beside a list; null is the list alone. */
export const pathOf = (id: string | null, search: string): string => base + 'activities' + (id === null ? '' : '/' + id) + search;

/** The address of the overview. */
export const overviewPath = (search = ''): string => base + search;

const listeners = new Set<() => void>();
const tell = () => {
  for (const listener of [...listeners]) listener();
};
addEventListener('popstate', tell);

/** Goes to an address of this page; replace leaves no step back to where it was. */
export function go(to: string, replace = false): void {
  if (to === location.pathname + location.search) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', to);
  tell();
}

const subscribe = (listener: () => void) => (listeners.add(listener), () => void listeners.delete(listener));

export function useRoute(): Route {
  const href = useSyncExternalStore(subscribe, () => location.pathname + location.search);
  return useMemo(() => routeOf(location.pathname, location.search), [href]);
}

/** The query of the address. */
export const useSearch = (): string => useSyncExternalStore(subscribe, () => location.search);
