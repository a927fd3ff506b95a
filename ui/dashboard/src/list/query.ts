// The filter of the list, and how an address writes it.

import type { Json, MetadataFilter, Order, Sort, Status } from '@agentexec/client';
import { statusNames } from '@agentexec/client/text';
import { parse } from '../json.ts';

export const sorts: readonly Sort[] = ['created', 'duration', 'activity'];

export interface Filter {
  /** None for all. */
  statuses: Status[];
  /** Whether only stale activities are listed; together with waiting, those that are one or the other. */
  stale: boolean;
  /** Whether only activities that wait for a person are listed. */
  waiting: boolean;
  /** Whether only activities are listed whose cancel was requested and that have not ended. */
  stopping: boolean;
  /** The id of the activity whose direct children are listed, '' for any. */
  parent: string;
  /** The id of the root below which all activities are listed, '' for any. */
  root: string;
  /** Whether children are rows of their own also where the list would show them below their parents. */
  flat: boolean;
  /** '' for all. */
  type: string;
  metadata: Record<string, string>;
  /** Words in the type, the id, the latest line or the metadata. */
  text: string;
  /** Only activities that existed from here on: a duration before now such as 1h, or a time; '' for all. */
  since: string;
  /** ... and only those created before; '' for now. */
  until: string;
  /** What orders the activities of a group. */
  sort: Sort;
  order: Order;
}

export const noFilter: Filter = { statuses: [], stale: false, waiting: false, stopping: false, parent: '', root: '', flat: false, type: '', metadata: {}, text: '', since: '', until: '', sort: 'created', order: 'desc' };

export const statusList = Object.keys(statusNames) as Status[];

/** The filter that a query says. A value that its parameter does not take becomes a token of the text, such as status:nonsense. */
export function filterOf(search: string): Filter {
  const query = new URLSearchParams(search);
  const wrong: string[] = [];
  // refuse makes a token of a wrong value, and returns '' in its place.
  const refuse = (key: string, value: string): string => (wrong.push(key + ':' + written(value)), '');
  // valueOf is the value of a parameter, '' where there is none or one that it does not take.
  const valueOf = (name: string, key: string, takes: (value: string) => boolean, before = ''): string => {
    const value = query.get(name);
    return !value ? '' : takes(value) ? value : refuse(key, before + value);
  };
  const isTrue = (name: string, key: string, before?: string) => valueOf(name, key, (value) => value === 'true' || value === 'false', before) === 'true';
  const wanted = (query.get('status') ?? '').split(',').filter((s) => s && (statusList.includes(s.toUpperCase() as Status) || refuse('status', s))).map((s) => s.toUpperCase());
  const filter: Filter = {
    statuses: statusList.filter((s) => wanted.includes(s)),
    stale: isTrue('stale', 'stale'),
    waiting: isTrue('waiting', 'is', 'waiting='),
    stopping: isTrue('stopping', 'is', 'stopping='),
    parent: valueOf('parent_agent_id', 'parent', isId).toLowerCase(),
    root: valueOf('root_agent_id', 'root', isId).toLowerCase(),
    flat: isTrue('flat', 'flat'),
    type: query.get('agent_type') ?? '',
    metadata: Object.fromEntries([...query].filter(([k]) => k.startsWith('metadata.') && k.length > 9).map(([k, v]) => [k.slice(9), v])),
    text: '',
    since: valueOf('since', 'since', isTime),
    until: valueOf('until', 'until', isTime),
    sort: (valueOf('sort', 'sort', (value) => sorts.includes(value as Sort)) || 'created') as Sort,
    order: (valueOf('order', 'order', (value) => value === 'asc' || value === 'desc') || 'desc') as Order,
  };
  filter.text = [...wrong, query.get('q')].filter(Boolean).join(' ');
  return filter;
}

export const quote = (text: string) => `"${text.replace(/["\\]/g, '\\$&')}"`;

/** A value as a token has it. */
export const written = (text: string) => (text === '' || /["\s]/.test(text) ? quote(text) : text);

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Whether a text is the id of an activity. */
export const isId = (text: string): boolean => UUID.test(text);

const units = { w: 604_800, d: 86_400, h: 3600, m: 60, s: 1 } as const;
const DURATION = /^(?=\d)(?:(\d{1,6})w)?(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?$/;

/** The seconds of a duration such as 90s, 15m, 24h, 7d or 1d12h; undefined where it is none. */
export function secondsOf(text: string): number | undefined {
  const parts = DURATION.exec(text)?.slice(1);
  return parts && (Object.values(units).reduce((sum, unit, n) => sum + unit * Number(parts[n] ?? 0), 0) || undefined);
}

/** Whether since and until take it: a duration before now, or a time such as 2026-01-31 or 2026-01-31T14:00:00Z. */
export const isTime = (text: string): boolean => secondsOf(text) !== undefined || (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(Date.parse(text)));

/** The value for the server: a duration without weeks, which it does not take, or a time with its zone. */
export function serverTime(text: string): string | undefined {
  if (!text) return undefined;
  const seconds = secondsOf(text);
  if (seconds === undefined) return new Date(text).toISOString();
  if (!text.includes('w')) return text;
  return `${Math.floor(seconds / units.d)}d${seconds % units.d ? `${seconds % units.d}s` : ''}`;
}

/** A filter as a query: the parameters are those of the HTTP API, q and flat. */
export function searchOf({ statuses, stale, waiting, stopping, parent, root, flat, type, metadata, text, since, until, sort, order }: Filter): string {
  const query = new URLSearchParams();
  if (statuses.length) query.set('status', statuses.join());
  if (waiting) query.set('waiting', 'true');
  if (stale) query.set('stale', 'true');
  if (stopping) query.set('stopping', 'true');
  if (parent) query.set('parent_agent_id', parent);
  if (root) query.set('root_agent_id', root);
  if (flat) query.set('flat', 'true');
  if (type) query.set('agent_type', type);
  for (const [key, value] of Object.entries(metadata)) query.set('metadata.' + key, value);
  if (text) query.set('q', text);
  if (since) query.set('since', since);
  if (until) query.set('until', until);
  if (sort !== 'created') query.set('sort', sort);
  if (order !== 'desc') query.set('order', order);
  return query.size ? '?' + String(query).replaceAll('%2C', ',').replaceAll('%3A', ':') : '';
}

/**
 * Whether the list holds roots alone, with their children below them. What is searched for or picked out may be anywhere in a
 * tree: each activity is a row of its own then.
 */
export const isTree = ({ statuses, stale, waiting, stopping, type, text, parent, root, flat }: Filter): boolean =>
  !flat && !stale && !waiting && !stopping && !statuses.length && !type && !text && !parent && !root;

/** Whether a filter leaves something out. */
export const isFiltered = (filter: Filter): boolean => searchOf({ ...filter, flat: false, sort: 'created', order: 'desc' }) !== '';

/**
 * Metadata as the feed takes it. As over HTTP, true, false and null are what they say, 42 is the number or the string, and
 * quotes make a string of all of them.
 */
export function metadataOf(filter: Pick<Filter, 'metadata'>): MetadataFilter | undefined {
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

/** A value of metadata as a filter writes it, so that the filter finds it. */
export function textOfValue(value: Json): string {
  if (typeof value !== 'string') return JSON.stringify(value);
  return /^(true|false|null)$/.test(value) || /^".*"$/s.test(value) ? `"${value}"` : value;
}
