// Cancels many activities, each with a request of its own.

import { type ActivityListItem, type Client, ProblemError } from '@agentexec/client';
import { clean } from '@agentexec/client/text';
import { wordsOf } from '../frame/words.ts';
import { grouped } from '../numbers.ts';
import { queryOf } from './part.ts';
import type { Filter } from './query.ts';

const AT_ONCE = 6; // requests
const NAMED = 3; // activities that a failure names
const PAGE = 1000;

export type Some = Pick<ActivityListItem, 'agent_id' | 'agent_type'>;

export interface Outcome {
  canceled: number;
  failures: { activity: Some; reason: string }[];
}

/** Cancels the activities, a few at a time, those of `trees` with all below them, and says which could not be canceled and why. */
export async function cancelMany(client: Client, activities: readonly Some[], done: (n: number) => void = () => {}, trees: ReadonlySet<string> = new Set()): Promise<Outcome> {
  const outcome: Outcome = { canceled: 0, failures: [] };
  let next = 0;
  const work = async () => {
    while (next < activities.length) {
      const activity = activities[next++]!;
      try {
        await client.cancel(activity.agent_id, trees.has(activity.agent_id) ? { tree: true } : undefined);
        outcome.canceled++;
      } catch (e) {
        outcome.failures.push({ activity, reason: reasonOf(e) });
      }
      done(outcome.canceled + outcome.failures.length);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, activities.length) }, work));
  return outcome;
}

function reasonOf(e: unknown): string {
  if (e instanceof ProblemError) {
    if (e.code === 'TA409') return 'already over';
    if (e.code === 'TA404') return 'no longer there';
    if (e.status === 403) return 'the token does not allow it';
    if (e.code === '55P03') return 'locked by another transaction; try again';
  }
  return wordsOf(e).replace(/\.$/, '');
}

/** What came of it, in words: "2 canceled. 1 not: research 0192f3c8 (already over)". */
export function inWords({ canceled, failures }: Outcome): string {
  const parts = byReason(failures).map(([reason, some]) => {
    const names = some.slice(0, NAMED).map(({ activity }) => `${clean(activity.agent_type)} ${activity.agent_id.slice(0, 8)}`).join(', ');
    return `${names}${some.length > NAMED ? ` and ${grouped(some.length - NAMED)} more` : ''} (${reason})`;
  });
  return `${grouped(canceled)} canceled.${parts.length ? ` ${grouped(failures.length)} not: ${parts.join('; ')}.` : ''}`;
}

function byReason(failures: Outcome['failures']): [string, Outcome['failures']][] {
  const all = new Map<string, Outcome['failures']>();
  for (const failure of failures) all.set(failure.reason, [...(all.get(failure.reason) ?? []), failure]);
  return [...all];
}

/** All QUEUED activities under a filter. */
export async function queuedOf(client: Client, filter: Filter): Promise<Some[]> {
  const all: Some[] = [];
  for (let after: string | null = null; ; ) {
    const { items, next } = await client.list({ ...queryOf(filter), statuses: ['QUEUED'], pageSize: PAGE, after });
    all.push(...items.filter(({ status }) => status === 'QUEUED'));
    if (next === null) return all;
    after = next;
  }
}
