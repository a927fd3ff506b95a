import { useState } from 'react';
import type { Activity, CancelOptions } from '@agentexec/client';
import { useClient } from '@agentexec/react';
import { clean } from '@agentexec/client/text';
import { Confirm } from './dialogs.tsx';
import { mayCancel } from './session.ts';

/**
 * The button that cancels an activity. For a RUNNING one it sends a request; while that waits for the worker, the button is the
 * second step, which does not wait for the worker.
 */
export function Cancel({ activity }: { activity: Activity }) {
  const { status, cancel } = activity;
  const [asking, setAsking] = useState<'cancel' | 'force'>(); // does not change while the dialog is open
  const stopping = status === 'RUNNING' && Boolean(cancel);
  const possible = status !== 'COMPLETE' && status !== 'CANCELED' && mayCancel();
  return (
    <>
      {possible && (
        <button type="button" id={stopping ? 'force' : 'cancel'} onClick={() => setAsking(stopping ? 'force' : 'cancel')}>
          {stopping ? 'Force cancel' : 'Cancel'}
        </button>
      )}
      {asking === 'cancel' && <AskToStop activity={activity} onClose={() => setAsking(undefined)} />}
      {asking === 'force' && <AskToForce activity={activity} onClose={() => setAsking(undefined)} />}
    </>
  );
}

interface Props {
  activity: Activity;
  onClose: () => void;
}

// Sends the request, unless the activity was canceled while the dialog was open: a request would only add a line then.
function useCancel({ agent_id, status }: Activity): (options?: CancelOptions) => Promise<void> {
  const client = useClient();
  return async (options) => {
    if (status !== 'CANCELED') await client.cancel(agent_id, options);
  };
}

function AskToStop({ activity, onClose }: Props) {
  const send = useCancel(activity);
  const type = <bdi>{clean(activity.agent_type)}</bdi>;
  return (
    <Confirm title="Cancel this activity?" verb="Cancel it" onClose={onClose} act={() => send()}>
      {activity.status === 'RUNNING'
        ? <p>{type} is asked to stop. Its worker gets 30 s to end; then the activity is canceled without it. It cannot be taken up again.</p>
        : <p>{type} is canceled at once, and cannot be taken up again.</p>}
    </Confirm>
  );
}

function AskToForce({ activity, onClose }: Props) {
  const send = useCancel(activity);
  return (
    <Confirm title="Cancel without the worker?" verb="Force cancel" onClose={onClose} act={() => send({ force: true, message: 'Canceled without the worker' })}>
      <p><bdi>{clean(activity.agent_type)}</bdi> is canceled now, whether or not its worker answers. A worker that goes on is not ended by this; what it still writes is kept.</p>
    </Confirm>
  );
}
