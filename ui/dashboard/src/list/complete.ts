// The completions of the search field: keys, types, statuses, and the metadata keys and values that were seen.

import { noFilter, statusList, written } from './query.ts';
import { changeOf, type Key, keys, type Token, tokenize } from './search_text.ts';

export interface Completion {
  /** The key with its separator, and the value; together they take the place of the token. */
  key: string;
  value: string;
  hint: string;
  /** The token is whole; else a value is still to be typed. */
  whole: boolean;
  heading: string;
}

const MOST = 8; // of one heading

const hints: Record<Key, string> = { type: 'exactly', status: 'of the run', since: 'existed since', until: 'created before', sort: 'within a group', order: 'of the sort', stale: 'without a sign of life', is: 'waiting, stale or stopping', parent: 'its direct children', root: 'all of its tree', flat: 'children as rows of their own' };
const values: Partial<Record<Key, readonly (readonly [value: string, hint: string])[]>> = {
  status: [...statusList.map((status) => [status.toLowerCase(), ''] as const), ['waiting', 'for a person'], ['stopping', 'cancel requested']],
  since: [['15m', 'last 15 minutes'], ['1h', 'last hour'], ['24h', 'last day'], ['7d', 'last week']],
  until: [['15m', '15 minutes ago'], ['1h', 'an hour ago'], ['24h', 'a day ago'], ['7d', 'a week ago']],
  sort: [['created', 'by start'], ['duration', 'by duration'], ['activity', 'by the last line']],
  order: [['desc', 'newest or longest first'], ['asc', 'oldest or shortest first']],
  stale: [['true', 'only stale ones']],
  is: [['waiting', 'for a person'], ['stale', 'without a sign of life'], ['stopping', 'cancel requested']],
  flat: [['true', '']],
};

interface Known {
  types: Iterable<string>;
  metadata: ReadonlyMap<string, Iterable<string>>;
}

const writtenKey = (key: string) => (/["\s=]/.test(key) ? written(key) : key);

/** The completions of the token that is being typed, undefined for the beginning of one. */
export function completionsOf(token: Token | undefined, { types, metadata }: Known): Completion[] {
  const word = (token?.value ?? '').toLowerCase();
  const holds = (text: string) => text.toLowerCase().includes(word);
  const of = (heading: string, key: string, all: Iterable<readonly [string, string]>) =>
    [...all].filter(([value]) => holds(value)).slice(0, MOST).map(([value, hint]): Completion => ({ heading, key, value: value.startsWith('"') ? value : written(value), hint, whole: true }));
  const typed = [...types].sort().map((type) => [type, ''] as const);
  if (token?.separator === ':') {
    const key = token.key as Key;
    return key === 'type' ? of('Types seen', 'type:', typed) : of('Filters', key + ':', values[key] ?? []);
  }
  if (token?.separator === '=') return of('Values seen', writtenKey(token.key) + '=', [...(metadata.get(token.key) ?? [])].sort().map((value) => [value, '']));
  const filters = keys.filter((key) => key.startsWith(word)).map((key): Completion => ({ heading: 'Filters', key: key + ':', value: '', hint: hints[key], whole: false }));
  const known = [...metadata.keys()].filter(holds).sort().slice(0, MOST).map((key): Completion => ({ heading: 'Metadata keys seen', key: writtenKey(key) + '=', value: '', hint: '', whole: false }));
  return word ? [...of('Filters', 'status:', values.status!), ...filters, ...of('Types seen', 'type:', typed), ...known] : [...filters, ...known];
}

/** What is wrong with a token that names a filter and is none, '' where nothing is. */
export function problemOf(token: Token): string {
  if (token.separator !== ':' || changeOf(token, noFilter)) return '';
  const time = 'a duration such as 15m, 1h or 7d, or a time such as 2026-01-31';
  const takes: Record<Key, string> = {
    type: 'the name of a type', status: 'running, queued, complete, error, canceled, waiting, stale or stopping', since: time, until: time, sort: 'created, duration or activity', order: 'desc or asc', stale: 'true or false', is: 'waiting, stale or stopping', parent: 'the id of an activity', root: 'the id of an activity', flat: 'true or false',
  };
  return `${token.key}: takes ${takes[token.key as Key]}`;
}

/** What is wrong with the first such token of a text, '' where nothing is. */
export const problemIn = (text: string): string => tokenize(text).map(problemOf).find(Boolean) ?? '';
