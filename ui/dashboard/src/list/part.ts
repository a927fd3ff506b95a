// What the server is asked for: the list with the filter, and parts of it that lie far down and are still to be complete.

import type { Counts, ListFilter } from '@agentexec/client';
import { type Filter, isTree, metadataOf, secondsOf, serverTime } from './query.ts';

const DAY = 86_400;

/**
 * The filter as the feed and the HTTP API take it. Activities that are waiting or stale need two lists: this is the list of the
 * stale ones, and partsOf has the other one.
 */
export function queryOf(filter: Filter, includeMetadata = false): ListFilter {
  const { statuses, stale, waiting, stopping, parent, root, type, since, until, sort, order } = filter;
  return {
    statuses: statuses.length ? statuses : undefined, stale: stale || undefined, waiting: (waiting && !stale) || undefined, stopping: stopping || undefined,
    parentAgentId: parent || undefined, rootAgentId: root || undefined, rootsOnly: isTree(filter) || undefined,
    agentType: type || undefined, metadata: metadataOf(filter),
    since: serverTime(since), until: serverTime(until), sort: sort === 'created' ? undefined : sort, order: order === 'desc' ? undefined : order,
    includeMetadata: includeMetadata || undefined,
  };
}

// lately is the later one of since and a day ago.
function lately(since: string, now: number): string {
  const seconds = secondsOf(since) ?? (since ? (now - Date.parse(since)) / 1000 : Infinity);
  return seconds < DAY ? serverTime(since)! : '24h';
}

export type PartName = 'waiting' | 'stale' | 'failed';

/**
 * The parts that are asked for beside the list itself: activities that need a person, also deep in a tree, and what failed today. What fails
 * in a tree is for its parent to handle.
 */
export function partsOf(filter: Filter, includeMetadata: boolean, now: number): { name: PartName; query: ListFilter }[] {
  const { statuses, stale, waiting, stopping, since } = filter;
  const query = queryOf(filter, includeMetadata);
  const anywhere = { ...query, statuses: undefined, rootsOnly: undefined };
  const active = statuses.filter((status) => status === 'RUNNING' || status === 'QUEUED');
  const waits = { name: 'waiting' as const, query: { ...anywhere, statuses: active.length ? active : undefined, stale: undefined, waiting: true } };
  if (stale || waiting || stopping) return stale && waiting ? [waits] : [];
  const listed = (...some: Filter['statuses']) => !statuses.length || some.some((status) => statuses.includes(status));
  return [
    ...(listed('RUNNING', 'QUEUED') ? [waits] : []),
    ...(listed('RUNNING') ? [{ name: 'stale' as const, query: { ...anywhere, stale: true } }] : []),
    ...(listed('ERROR') ? [{ name: 'failed' as const, query: { ...query, statuses: ['ERROR' as const], since: lately(since, now), sort: 'activity' as const, order: undefined } }] : []),
  ];
}

/** One live list: the ids of its items, and what is known of it. */
export interface Part {
  ids: Set<string>;
  counts?: Counts | undefined;
  /** Why it is not there, for people. */
  problem: string;
}

export const noPart = (): Part => ({ ids: new Set(), problem: '' });

/** How many activities counts are of. */
export const totalOf = ({ QUEUED, RUNNING, COMPLETE, ERROR, CANCELED }: Counts): number => QUEUED + RUNNING + COMPLETE + ERROR + CANCELED;

/** How many need a person: those that wait, and those that are stale and do not wait. */
export const needsOf = (all: Counts, waiting: Counts): number => totalOf(waiting) + Math.max(0, (all.stale ?? 0) - (waiting.stale ?? 0));

/** How many of the listed activities there are with each status. Stale activities are RUNNING. */
export function listedCounts({ statuses, stale }: Filter, counts: Counts): Counts {
  const of = (status: keyof Counts) => {
    if (stale) return status === 'RUNNING' ? (counts.stale ?? 0) : 0;
    return statuses.length && !statuses.includes(status as (typeof statuses)[number]) ? 0 : (counts[status] ?? 0);
  };
  return { RUNNING: of('RUNNING'), QUEUED: of('QUEUED'), COMPLETE: of('COMPLETE'), ERROR: of('ERROR'), CANCELED: of('CANCELED'), stale: statuses.length && !statuses.includes('RUNNING') ? 0 : (counts.stale ?? 0) };
}
