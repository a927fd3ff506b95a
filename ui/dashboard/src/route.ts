// The address says what is shown: activities/{agent_id} which activity, the query which part of the list. All of it lies
// below the path that the page is served at, which a proxy in front of the sidecar may choose.

import { useMemo, useSyncExternalStore } from 'react';
import type { Json, MetadataFilter, Status } from '@agentexec/client';
import { statusNames } from '@agentexec/client/text';
import { parse } from './json.ts';

export interface Filter {
  /** None for all. */
  statuses: Status[];
  /** Whether only stale activities are listed. */
  stale: boolean;
  /** '' for all. */
  type: string;
  metadata: Record<string, string>;
  /** Text in the type or the id. */
  text: string;
}

export interface Route {
  id: string | null;
  filter: Filter;
  /** The filter as the query of an address, '' or beginning with ?. */
  search: string;
}

export const noFilter: Filter = { statuses: [], stale: false, type: '', metadata: {}, text: '' };

/** The path that the page is served at, ending in a slash: what an address holds before activities/{agent_id}. */
export const baseOf = (pathname: string): string => pathname.replace(/(activities\/[^/.]+|[^/]*)$/, '');

/** The base of this page. */
export const base = baseOf(location.pathname);

export function routeOf(pathname: string, search: string): Route {
  const query = new URLSearchParams(search);
  const wanted = (query.get('status') ?? '').split(',');
  const filter: Filter = {
    statuses: (Object.keys(statusNames) as Status[]).filter((s) => wanted.includes(s)),
    stale: query.get('stale') === 'true',
    type: query.get('agent_type') ?? '',
    metadata: Object.fromEntries([...query].filter(([k]) => k.startsWith('metadata.') && k.length > 9).map(([k, v]) => [k.slice(9), v])),
    text: query.get('q') ?? '',
  };
  const raw = /^activities\/([^/]+)$/.exec(pathname.slice(base.length))?.[1]?.toLowerCase();
  return { id: raw ?? null, filter, search: searchOf(filter) };
}

/** A filter as a query: the parameters are those of the HTTP API, and q. */
export function searchOf({ statuses, stale, type, metadata, text }: Filter): string {
  const query = new URLSearchParams();
  if (statuses.length) query.set('status', statuses.join());
  if (stale) query.set('stale', 'true');
  if (type) query.set('agent_type', type);
  for (const [key, value] of Object.entries(metadata)) query.set('metadata.' + key, value);
  if (text) query.set('q', text);
  return query.size ? '?' + String(query).replaceAll('%2C', ',') : '';
}

/**
 * Metadata as the feed takes it. As over HTTP, true, false and null are what they say, 42 is the number or the string, and
 * quotes make a string of all of them.
 */
export function metadataOf(filter: Filter): MetadataFilter | undefined {
  let all: Record<string, Json>[] = [{}];
  for (const [key, text] of Object.entries(filter.metadata)) all = all.flatMap((one) => valuesOf(text).map((value) => ({ ...one, [key]: value })));
  if (!Object.keys(filter.metadata).length) return undefined;
  return all.length > 1 ? all : all[0];
}

function valuesOf(text: string): Json[] {
  if (/^(true|false|null)$/.test(text)) return [JSON.parse(text) as boolean | null];
  if (/^-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?$/i.test(text)) return [parse(text) as number, text];
  return [text.length > 1 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text];
}

export const pathOf = (id: string | null, search: string): string => base + (id === null ? '' : 'activities/' + id) + search;

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

export function useRoute(): Route {
  const href = useSyncExternalStore(
    (listener) => (listeners.add(listener), () => void listeners.delete(listener)),
    () => location.pathname + location.search,
  );
  return useMemo(() => routeOf(location.pathname, location.search), [href]);
}
