import { useEffect, useState } from 'react';
import type { Activity } from '@agentexec/client';
import { useClient } from '@agentexec/react';
import { beginning, clean } from '@agentexec/client/text';
import { Link } from '../frame/top.tsx';
import { type Named, parentsOf } from '../list/parents.ts';
import { pathOf } from '../route.ts';

const DEEPEST = 32; // levels of a tree

/** The activities above one, the root first, as far as they can be read; undefined until they are. */
function useAncestors(parent: string | null): readonly Named[] | undefined {
  const client = useClient();
  const [found, setFound] = useState<{ of: string | null; all: readonly Named[] }>();
  useEffect(() => {
    let left = false;
    const read = async () => {
      const all: Named[] = [];
      for (let id = parent; id && all.length < DEEPEST; ) {
        const named = await parentsOf(client).read(id);
        if (!named) break; // it was deleted, or the token does not show it
        all.unshift(named);
        id = named.parent_agent_id;
      }
      if (!left) setFound({ of: parent, all });
    };
    void read();
    return () => void (left = true);
  }, [client, parent]);
  return found?.of === parent ? found?.all : undefined;
}

/** The way from the root to an activity; nothing for a root. */
export function Ancestors({ activity: { parent_agent_id: parent = null, agent_type }, search }: { activity: Activity; search: string }) {
  const all = useAncestors(parent);
  if (!parent) return null;
  return (
    <nav className="ancestors" aria-label="Breadcrumb">
      <ol>
        {all?.map(({ agent_id, agent_type: type }) => <li key={agent_id}><Link to={pathOf(agent_id, search)}><bdi>{clean(beginning(type, 80, 1))}</bdi></Link></li>)}
        <li aria-current="page"><bdi>{clean(beginning(agent_type, 80, 1))}</bdi></li>
      </ol>
    </nav>
  );
}
