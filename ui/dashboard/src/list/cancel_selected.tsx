import { useState } from 'react';
import type { ActivityListItem } from '@agentexec/client';
import { isFinal } from '@agentexec/client/state';
import { useClient } from '@agentexec/react';
import { isStopped, useBelow } from './below.ts';
import { cancelMany, inWords } from './cancel_many.ts';
import { Confirm } from '../frame/dialogs.tsx';
import { grouped } from '../numbers.ts';
import { tell } from './told.ts';
import { WithTree } from './with_tree.tsx';

const many = (n: number) => `${grouped(n)} ${n === 1 ? 'activity' : 'activities'}`;
const isPending = ({ status }: ActivityListItem) => status === 'QUEUED' || status === 'RUNNING';

interface Props {
  /** The activities that are selected, as they are now; undefined for one that is no longer there. */
  find: (id: string) => ActivityListItem | undefined;
  ids: string[];
  clear: () => void;
  onClose: () => void;
}

/** The confirmation of a cancel of those that are selected, and of what is below them. */
export function CancelSelected({ find, ids, clear, onClose }: Props) {
  const client = useClient();
  const [items] = useState(() => ids.map(find).filter((item) => item !== undefined));
  const [withTree, setWithTree] = useState(true);
  const [done, setDone] = useState(0);
  const parents = items.filter(({ children }) => children?.total);
  const below = useBelow(parents);
  const trees = new Set(withTree && below.count ? parents.map(({ agent_id }) => agent_id) : []);
  const inTree = ({ parent_agent_id: parent, root_agent_id: root }: ActivityListItem) => Boolean((parent && trees.has(parent)) || (root && trees.has(root)));
  const pending = items.filter(isPending);
  const toCancel = items.filter((item) => !inTree(item) && (isPending(item) || trees.has(item.agent_id)));
  const running = pending.filter(({ status }) => status === 'RUNNING').length;
  const over = items.filter(({ status }) => isFinal(status)).length + ids.length - items.length;
  const number = toCancel.filter(isStopped).length + (trees.size ? below.count : 0);
  const act = async () => {
    const outcome = await cancelMany(client, toCancel, setDone, trees);
    clear();
    tell(inWords(outcome));
  };
  if (!pending.length && !below.count) {
    return (
      <Confirm title="Nothing to cancel" verb="Clear the selection" act={async () => clear()} onClose={onClose}>
        <p>{ids.length === 1 ? 'The activity is' : `All ${grouped(ids.length)} activities are`} already over.</p>
      </Confirm>
    );
  }
  const parts = [running && `${grouped(running)} running`, pending.length > running && `${grouped(pending.length - running)} queued`, over && `${grouped(over)} already over, which stay as they are`];
  return (
    <Confirm title={`Cancel ${many(number)}?`} verb={`Cancel ${grouped(number)}`} act={act} onClose={onClose}>
      <p>{parts.filter(Boolean).join(', ')}.</p>
      <WithTree below={below} one={parents.length === 1} checked={withTree} onChange={setWithTree} />
      {running + (trees.size ? below.count : 0) > 0 && <p>Workers get 30 s to end cleanly. What still runs then is marked as canceled.</p>}
      {done > 0 && <p role="status">{grouped(done)} of {grouped(toCancel.length)} done …</p>}
    </Confirm>
  );
}
