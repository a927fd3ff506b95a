import { useClient, useConnection } from '@agentexec/react';
import { clean } from '@agentexec/client/text';
import type { ListModel, Rows } from './list_model.ts';
import { grouped } from '../numbers.ts';
import { type Filter, isFiltered, isTree, searchOf } from './query.ts';
import { keys, misspelled, textOf, wordsOf } from './search_text.ts';
import { go, pathOf } from '../route.ts';

const command = `psql "$AGENTEXEC_DATABASE_URL" -c \\
  "select agentexec.create_activity(
     'research', 'Hello from psql')"`;

/** The text below the rows; without rows, the next step. */
export function ListFooter({ rows, filter, model }: { rows: Rows; filter: Filter; model: ListModel }) {
  const { sections, looked, more, paused, loading, problem } = rows;
  const client = useClient();
  const { state, code, reason } = useConnection();
  const filtered = isFiltered(filter);
  const some = sections.some(({ items }) => items.length);
  const showAll = <button type="button" className="ax-button ghost" onClick={() => go(pathOf(null, ''))}>Show all activities</button>;
  if (problem) {
    return (
      <div className="note problem" role="alert">
        The list cannot be read{some ? ' on' : ''}: {clean(problem)}. It is tried again every 5 seconds{filtered ? '; another filter may do. ' : '.'}
        {filtered && showAll}
      </div>
    );
  }
  if (loading) {
    return state === 'offline' && code !== 'unauthorized' ? (
      <div className="ax-blank" id="unreached">
        <h2>The server cannot be reached</h2>
        {reason && <p>{clean(reason)}</p>}
        <p>The list appears when it answers; it is tried again by itself. Is <code>agentexec serve</code> running, and its database?</p>
        <div className="buttons"><button type="button" className="ax-button" onClick={() => client.reconnect()}>Try now</button></div>
      </div>
    ) : <p className="note">Loading …</p>;
  }
  if (paused) {
    return (
      <div className="note" id="further">
        Searched {grouped(looked)} activities, the newest of each group. <button type="button" className="ax-button small" onClick={() => model.searchOn()}>Search further</button>
      </div>
    );
  }
  if (more) return <p className="note">{filter.text ? `Searched ${grouped(looked)} activities, going on …` : 'Loading more …'}</p>;
  if (some) return wordsOf(filter.text).length ? <p className="note">Searched all {grouped(looked)} activities.</p> : null;
  const unknown = misspelled(filter.text);
  return filtered ? (
    <div className="ax-blank" id="unmatched">
      <h2>No activity matches</h2>
      <p>No activity has <code>{clean(textOf({ ...filter, sort: 'created', order: 'desc' }))}</code>. New ones appear here at once.</p>
      {unknown && <p id="misspelled">There is no filter <code>{clean(unknown.key)}:</code>, so <code>{clean(unknown.word)}</code> is searched for as text. The filters are <code>{keys.join(':, ')}:</code> and <code>key=value</code> for metadata.</p>}
      <div className="buttons">
        {filter.since !== '' && filter.since !== '24h' && <button type="button" className="ax-button" onClick={() => go(pathOf(null, searchOf({ ...filter, since: '24h', until: '' })))}>Last 24 h</button>}
        {isTree(filter) && <button type="button" className="ax-button" onClick={() => go(pathOf(null, searchOf({ ...filter, flat: true })))}>Look among children too</button>}
        {showAll}
      </div>
    </div>
  ) : (
    <div className="ax-blank" id="nothing">
      <h2>No activities yet</h2>
      <p>Create one, and it appears here at once:</p>
      <pre tabIndex={0}>{command}</pre>
    </div>
  );
}
