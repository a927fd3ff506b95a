import { useClient, useConnection } from '@agentexec/react';
import { clean } from '@agentexec/client/text';
import type { Rows } from './list_model.ts';
import { grouped } from './numbers.ts';
import { base, type Filter, go } from './route.ts';

const command = `psql "$AGENTEXEC_DATABASE_URL" -c \\
  "select agentexec.create_activity(
     'research', 'Hello from psql')"`;

/** The text below the rows; without rows, the next step. */
export function ListFooter({ rows, filter }: { rows: Rows; filter: Filter }) {
  const { items, looked, more, loading, problem } = rows;
  const client = useClient();
  const { state, code, reason } = useConnection();
  const filtered = filter.stale || filter.statuses.length + filter.type.length + filter.text.length + Object.keys(filter.metadata).length > 0;
  const showAll = <button type="button" onClick={() => go(base)}>Show all activities</button>;
  if (problem) {
    return (
      <div className="note problem" role="alert">
        The list cannot be read{items.length ? ' on' : ''}: {clean(problem)}. It is tried again every 5 seconds{filtered ? '; another filter may do. ' : '.'}
        {filtered && showAll}
      </div>
    );
  }
  if (loading) {
    return state === 'offline' && code !== 'unauthorized' ? (
      <div className="empty" id="unreached">
        <h2>The server cannot be reached</h2>
        {reason && <p>{clean(reason)}</p>}
        <p>The list appears when it answers; it is tried again by itself. Is <code>agentexec serve</code> running, and its database?</p>
        <p><button type="button" onClick={() => client.reconnect()}>Try now</button></p>
      </div>
    ) : <p className="note">Loading …</p>;
  }
  if (more) return <p className="note">{filter.text ? `Searched ${grouped(looked)} activities, going on …` : 'Loading more …'}</p>;
  if (items.length) return null;
  return filtered ? (
    <div className="empty" id="unmatched">
      <h2>No activity matches</h2>
      <p>New ones appear here at once.</p>
      <p>{showAll}</p>
    </div>
  ) : (
    <div className="empty" id="nothing">
      <h2>No activities yet</h2>
      <p>Create one, and it appears here at once:</p>
      <pre tabIndex={0}>{command}</pre>
    </div>
  );
}
