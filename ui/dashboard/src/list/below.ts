// How many activities a cancel of whole trees reaches.

import { useEffect, useState } from 'react';
import type { Activity, Client, Status } from '@agentexec/client';
import { useClient } from '@agentexec/react';

const COUNTED = 20; // activities whose trees the server counts
const stopped: Status[] = ['QUEUED', 'RUNNING', 'ERROR']; // what a cancel of a tree ends

type Above = Pick<Activity, 'agent_id' | 'status' | 'parent_agent_id' | 'children'>;

/** Whether a cancel of its tree ends the activity too. */
export const isStopped = ({ status }: Pick<Activity, 'status'>): boolean => stopped.includes(status);

export interface Below {
  /** How many activities below would be canceled. */
  count: number;
  /** There may be more: of one that is not a root, only the children are counted. */
  open: boolean;
}

const known = ({ children }: Above): number => (children ? children.queued + children.running + children.error : 0);

// countBelow counts what is below an activity that is not over. A list by root holds the root too.
async function countBelow(client: Client, item: Above, signal: AbortSignal): Promise<number> {
  const { agent_id: id, parent_agent_id: parent } = item;
  const { total } = await client.list({ ...(parent ? { parentAgentId: id } : { rootAgentId: id }), statuses: stopped, pageSize: 1, signal });
  return (total ?? 0) - Number(!parent && isStopped(item));
}

/** What is below these, as they are when they are first given. */
export function useBelow(items: readonly Above[]): Below {
  const client = useClient();
  const [above] = useState(items);
  const [count, setCount] = useState(() => above.reduce((sum, item) => sum + known(item), 0));
  useEffect(() => {
    const abort = new AbortController();
    const counted = above.map((item, n) => (n < COUNTED ? countBelow(client, item, abort.signal) : known(item)));
    void Promise.all(counted).then((all) => setCount(all.reduce((sum, n) => sum + n, 0)), () => {}); // what is known of the children stays
    return () => abort.abort();
  }, [client, above]);
  return { count, open: above.length > COUNTED || above.some((item) => item.parent_agent_id) };
}
