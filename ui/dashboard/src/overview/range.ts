// The time that the overview covers. It is kept in the address.

import { overviewPath } from '../route.ts';

export const ranges = {
  '1h': { label: '1 h', words: 'in the last hour', bucket: '1m', per: 'minute', seconds: 60 },
  '24h': { label: '24 h', words: 'in the last 24 hours', bucket: '15m', per: '15 minutes', seconds: 900 },
  '7d': { label: '7 d', words: 'in the last 7 days', bucket: '2h', per: '2 hours', seconds: 7200 },
} as const;

export type Range = keyof typeof ranges;
export const allRanges = Object.keys(ranges) as Range[];

/** The range that an address asks for, 1h by default. */
export function rangeOf(search: string): Range {
  const wanted = new URLSearchParams(search).get('range');
  return allRanges.find((range) => range === wanted) ?? '1h';
}

export const pathOfRange = (range: Range): string => overviewPath(range === '1h' ? '' : '?range=' + range);
