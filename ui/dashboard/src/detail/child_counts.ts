import { useActivityList } from '@agentexec/react';
import { totalOf } from '../list/part.ts';

/** How many direct children an activity has, and how many of them are not over, live; none until it is known. */
export function useChildCounts(id: string): { total: number; active: number } {
  const { counts } = useActivityList({ parentAgentId: id, limit: 1 });
  return counts ? { total: totalOf(counts), active: counts.QUEUED + counts.RUNNING } : { total: 0, active: 0 };
}
