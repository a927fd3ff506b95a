import { useState } from 'react';
import type { Activity, CancelOptions } from '@agentexec/client';
import { useClient } from '@agentexec/react';
import { clean } from '@agentexec/client/text';
import { Confirm } from '../frame/dialogs.tsx';
import { useBelow } from '../list/below.ts';
import { WithTree } from '../list/with_tree.tsx';
import { grouped } from '../numbers.ts';
import { mayCancel } from '../session.ts';

/** Whether the person may cancel an activity that can be canceled. */
export const cancelable = ({ status }: Activity): boolean => status !== 'COMPLETE' && status !== 'CANCELED' && mayCancel();

/** The two steps of a cancel: a request, and for one that runs the end without its worker. */
export type Step = 'cancel' | 'force';

interface Props {
  activity: Activity;
  onClose: () => void;
}

/** The confirmation of a step. */
export const AskToCancel = ({ step, ...props }: Props & { step: Step }) => (step === 'cancel' ? <AskToStop {...props} /> : <AskToForce {...props} />);

// Sends the request, unless the activity was canceled while the dialog was open: a request would only add a line then.
function useCancel({ agent_id, status }: Activity): (options?: CancelOptions) => Promise<void> {
  const client = useClient();
  return async (options) => {
    if (status !== 'CANCELED') await client.cancel(agent_id, options);
  };
}

function AskToStop({ activity, onClose }: Props) {
  const send = useCancel(activity);
  const below = useBelow([activity]);
  const [withTree, setWithTree] = useState(true);
  const tree = withTree && below.count > 0;
  const type = <bdi>{clean(activity.agent_type)}</bdi>;
  return (
    <Confirm title={tree ? `Cancel ${grouped(below.count + 1)} activities?` : 'Cancel this activity?'} verb={tree ? `Cancel ${grouped(below.count + 1)}` : 'Cancel it'} onClose={onClose} act={() => send(tree ? { tree } : undefined)}>
      {activity.status === 'RUNNING'
        ? <p>{type} is asked to stop. Its worker gets 30 s to end; then the activity is canceled without it. It cannot be taken up again.</p>
        : <p>{type} is canceled at once, and cannot be taken up again.</p>}
      <WithTree below={below} one checked={withTree} onChange={setWithTree} />
    </Confirm>
  );
}

function AskToForce({ activity, onClose }: Props) {
  const send = useCancel(activity);
  const below = useBelow([activity]);
  const [withTree, setWithTree] = useState(false);
  const tree = withTree && below.count > 0;
  return (
    <Confirm title="Cancel without the worker?" verb="Force cancel" onClose={onClose} act={() => send({ force: true, message: 'Canceled without the worker', ...(tree && { tree }) })}>
      <p><bdi>{clean(activity.agent_type)}</bdi> is canceled now, whether or not its worker answers. A worker that goes on is not ended by this; what it still writes is kept.</p>
      <WithTree below={below} one checked={withTree} onChange={setWithTree} />
    </Confirm>
  );
}
