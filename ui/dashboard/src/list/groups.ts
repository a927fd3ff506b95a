// The groups of the list.

import type { ActivityListItem } from '@agentexec/client';
import { displayState } from '@agentexec/client/text';

export const groups = ['needs', 'running', 'queued', 'failed', 'finished'] as const;
export type Group = (typeof groups)[number];

export const groupNames: Record<Group, string> = { needs: 'Needs me', running: 'Running', queued: 'Queued', failed: 'Failed today', finished: 'Finished' };

const TODAY = 24 * 3600_000;

/** Whether an activity is stale or waits for a person, as the server counts them: also while it is stopping. */
const needsPerson = ({ cancel: _, ...item }: ActivityListItem): boolean => ['waiting', 'stale'].includes(displayState(item));

/** The group of an activity at a time in milliseconds: activities that need a person, then what runs, queues, failed lately, is over. */
export function groupOf(item: ActivityListItem, now: number): Group {
  if (needsPerson(item)) return 'needs';
  switch (displayState(item)) {
    case 'running':
    case 'stopping':
      return 'running';
    case 'queued':
      return 'queued';
    case 'error':
      return Date.parse(item.finished_at ?? item.updated_at) >= now - TODAY ? 'failed' : 'finished';
    default:
      return 'finished';
  }
}
