// The text of the search field: tokens such as type:research, status:error, org=1 and since:1h, and any other words. Quotes
// keep spaces together: type:"a b", org="a b", "a b". Within quotes, \" and \\ are a quote and a backslash.

import type { Order, Sort, Status } from '@agentexec/client';
import { type Filter, isId, isTime, noFilter, quote, sorts, statusList, written } from './query.ts';

export const keys = ['type', 'status', 'since', 'until', 'sort', 'order', 'stale', 'is', 'parent', 'root', 'flat'] as const;
export type Key = (typeof keys)[number];

export interface Token {
  /** The token as it was typed, and where. */
  raw: string;
  from: number;
  /** '' for a word. */
  separator: '' | ':' | '=';
  /** The key of a filter or of metadata, '' for a word. */
  key: string;
  /** Without its quotes. */
  value: string;
  /** A quote is still open, so that a space belongs to the value. */
  open: boolean;
}

/** Splits a text into its tokens. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length; ) {
    if (/\s/.test(text[at]!)) at++;
    else {
      const token = tokenAt(text, at);
      tokens.push(token);
      at += token.raw.length;
    }
  }
  return tokens;
}

function tokenAt(text: string, from: number): Token {
  let [at, value, key, quoted, wasQuoted] = [from, '', '', false, false];
  let separator: Token['separator'] = '';
  for (; at < text.length && (quoted || !/\s/.test(text[at]!)); at++) {
    const c = text[at]!;
    const next = text[at + 1];
    if (quoted && c === '\\' && (next === '"' || next === '\\')) value += text[++at];
    else if (quoted && c === '"') quoted = false;
    // A quote begins where a key or a value does; within them it is a character.
    else if (c === '"' && value === '' && !wasQuoted) quoted = wasQuoted = true;
    else if (!separator && !quoted && value && (c === '=' || (c === ':' && !wasQuoted && (keys as readonly string[]).includes(value.toLowerCase())))) {
      [separator, key, value, wasQuoted] = [c, c === ':' ? value.toLowerCase() : value, '', false];
    } else value += c;
  }
  if (separator === '=' && wasQuoted && isLiteral(value)) value = `"${value}"`; // a string, although it looks like a number
  return { raw: text.slice(from, at), from, separator, key, value, open: quoted };
}

const isLiteral = (value: string) => /^(true|false|null|-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?|".*")$/is.test(value);

/** The words of a text that are no filter. */
export const wordsOf = (text: string): string[] => tokenize(text).filter((t) => !t.separator && t.value).map((t) => t.value);

/** The first word that looks like a filter with an unknown key, and that key: typ of typ:research. */
export function misspelled(text: string): { key: string; word: string } | undefined {
  for (const { separator, raw, value } of tokenize(text)) {
    const key = separator || raw.startsWith('"') ? undefined : /^([a-z]+):[^/\s:\\]/i.exec(value)?.[1];
    if (key) return { key, word: value };
  }
  return undefined;
}

/** What a token adds to a filter, undefined where it is a word, or has a value that the filter does not take. */
export function changeOf({ separator, key, value }: Token, filter: Filter): Partial<Filter> | undefined {
  if (!separator || (value === '' && separator === ':')) return undefined;
  if (separator === '=') return { metadata: { ...filter.metadata, [key]: value } };
  const word = value.toLowerCase();
  switch (key as Key) {
    case 'type':
      return { type: value };
    case 'status':
      return conditionOf(word, filter) ?? statusesOf(word.toUpperCase().split(',') as Status[], filter);
    case 'is':
      return conditionOf(word, filter);
    case 'parent':
    case 'root':
      return isId(value) ? { [key]: word } : undefined;
    case 'flat':
      return word === 'true' || word === 'false' ? { flat: word === 'true' } : undefined;
    case 'since':
    case 'until':
      return isTime(value) ? { [key]: value } : undefined;
    case 'sort':
      return sorts.includes(word as Sort) ? { sort: word as Sort } : undefined;
    case 'order':
      return word === 'asc' || word === 'desc' ? { order: word as Order } : undefined;
    case 'stale':
      return word === 'true' ? conditionOf('stale', filter) : word === 'false' ? { stale: false } : undefined;
  }
}

const plain: Partial<Filter> = { statuses: [], stale: false, waiting: false, stopping: false };

// The conditions beside the status: an activity that is waiting, stale or stopping has one of the statuses too. Stopping
// does not combine with the other two: it is a list of its own.
function conditionOf(word: string, { stale, waiting }: Filter): Partial<Filter> | undefined {
  if (word === 'stopping') return { ...plain, stopping: true };
  if (word !== 'waiting' && word !== 'stale') return undefined;
  return { ...plain, stale: stale || word === 'stale', waiting: waiting || word === 'waiting' };
}

const statusesOf = (named: Status[], { statuses }: Filter): Partial<Filter> | undefined =>
  named.every((s) => statusList.includes(s)) ? { ...plain, statuses: statusList.filter((s) => named.includes(s) || statuses.includes(s)) } : undefined;

/** Takes the filters out of a text: the filter with them, and the words and tokens that are left. */
export function take(text: string, filter: Filter): { filter: Filter; rest: string } {
  const rest: string[] = [];
  for (const token of tokenize(text)) {
    const change = changeOf(token, filter);
    if (change) filter = { ...filter, ...change };
    else rest.push(token.raw);
  }
  return { filter, rest: rest.join(' ') };
}

/** A key of metadata as a token has it. */
const writtenKey = (key: string) => (/["\s=]/.test(key) || (keys as readonly string[]).some((k) => key.toLowerCase().startsWith(k + ':')) ? quote(key) : key);

/** A value of metadata as a token has it. */
function writtenValue(value: string): string {
  const inner = value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : undefined;
  return inner === undefined ? written(value) : quote(inner);
}

export interface Chip {
  key: string;
  separator: ':' | '=';
  value: string;
  /** The filter without it. */
  without: Filter;
}

/** The parts of a filter, without its words. */
export function chipsOf(filter: Filter): Chip[] {
  const chips: Chip[] = [];
  const add = (key: Key, value: string, off: Partial<Filter>) => chips.push({ key, separator: ':', value, without: { ...filter, ...off } });
  if (filter.type) add('type', written(filter.type), { type: '' });
  for (const status of filter.statuses) add('status', status.toLowerCase(), { statuses: filter.statuses.filter((s) => s !== status) });
  if (filter.waiting) add('is', 'waiting', { waiting: false });
  if (filter.stale) add('stale', 'true', { stale: false });
  if (filter.stopping) add('is', 'stopping', { stopping: false });
  if (filter.parent) add('parent', filter.parent, { parent: '' });
  if (filter.root) add('root', filter.root, { root: '' });
  for (const [key, value] of Object.entries(filter.metadata)) {
    const { [key]: _, ...metadata } = filter.metadata;
    chips.push({ key: writtenKey(key), separator: '=', value: writtenValue(value), without: { ...filter, metadata } });
  }
  if (filter.since) add('since', written(filter.since), { since: '' });
  if (filter.until) add('until', written(filter.until), { until: '' });
  if (filter.sort !== 'created') add('sort', filter.sort, { sort: 'created' });
  if (filter.order !== 'desc') add('order', filter.order, { order: 'desc' });
  if (filter.flat) add('flat', 'true', { flat: false });
  return chips;
}

/** A filter as the text that stands for it. */
export const textOf = (filter: Filter): string => [...chipsOf(filter).map((c) => c.key + c.separator + c.value), ...(filter.text ? [filter.text] : [])].join(' ');

/** The filter that a text stands for. */
export function parsed(text: string): Filter {
  const { filter, rest } = take(text, noFilter);
  return { ...filter, text: rest };
}
