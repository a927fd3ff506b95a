import { useState } from 'react';
import type { Counts, Status } from '@agentexec/client';
import { useClient } from '@agentexec/react';
import { clean, statusNames } from '@agentexec/client/text';
import { Confirm } from './dialogs.tsx';
import type { ListModel } from './list_model.ts';
import { useSnapshot } from './model.ts';
import { grouped } from './numbers.ts';
import { type Filter, go, metadataOf, pathOf, searchOf } from './route.ts';
import { mayCancel } from './session.ts';

interface Props {
  model: ListModel;
  filter: Filter;
  id: string | null;
}

/** Which activities are listed, how many there are, and what can be done with all of them. */
export function Filters({ model, filter, id }: Props) {
  const { counts, found, more, types } = useSnapshot(model);
  const { statuses, stale } = filter;
  const set = (change: Partial<Filter>) => go(pathOf(id, searchOf({ ...filter, ...change })));
  const toggle = (status: Status) => set({ stale: false, statuses: statuses.includes(status) ? statuses.filter((s) => s !== status) : [...statuses, status] });
  // With a text, only what is listed can be counted, and there may be more of it.
  const number = (n: number | undefined) => n !== undefined && <> <b>{grouped(n)}{found && more ? '+' : ''}</b></>;
  const known = (status: Status) => (!found ? counts?.[status] : !stale && (!statuses.length || statuses.includes(status)) ? found[status] : undefined);
  const total = found ? (stale || statuses.length ? undefined : sum(found)) : counts && sum(counts);
  return (
    <div className="filters">
      <div className="chips" role="group" aria-label="Show by status">
        <button type="button" className="filter" data-status="" aria-pressed={!stale && !statuses.length} onClick={() => set({ stale: false, statuses: [] })}>All{number(total)}</button>
        {(Object.keys(statusNames) as Status[]).map((status) => (
          <button key={status} type="button" className="filter" data-status={status} aria-pressed={statuses.includes(status)} onClick={() => toggle(status)}>
            {statusNames[status]}{number(known(status))}
          </button>
        ))}
        {(stale || Boolean(counts?.stale)) && (
          <button type="button" className="filter" data-status="stale" aria-pressed={stale} onClick={() => set({ stale: !stale, statuses: [] })}>
            Stale{number(found ? undefined : counts?.stale)}
          </button>
        )}
      </div>
      <input
        key={'type ' + filter.type} className="field" list="types" placeholder="Type" aria-label="Type, exactly" defaultValue={filter.type}
        onBlur={(e) => set({ type: e.target.value.trim() })} onKeyDown={(e) => e.key === 'Enter' && e.currentTarget.blur()}
      />
      <datalist id="types">{types.map((type) => <option key={type} value={type} />)}</datalist>
      <Metadata metadata={filter.metadata} onChange={(metadata) => set({ metadata })} />
      {counts && <CancelPending filter={filter} counts={counts} />}
    </div>
  );
}

const sum = (counts: Counts) => (Object.keys(statusNames) as Status[]).reduce((n, status) => n + counts[status], 0); // stale ones count as RUNNING

function Metadata({ metadata, onChange }: { metadata: Filter['metadata']; onChange: (metadata: Filter['metadata']) => void }) {
  const [text, setText] = useState('');
  const [, key, value] = /^\s*([^=]*[^=\s])\s*=\s*(.*?)\s*$/s.exec(text) ?? [];
  const add = () => {
    if (key === undefined || value === undefined) return;
    onChange({ ...metadata, [key]: value });
    setText('');
  };
  return (
    <>
      <input
        className="field" placeholder="Metadata: key=value" aria-label="Metadata, key=value" title={'key=value; 42 is the number or the text, "quotes" make a text of numbers, true, false and null'} value={text}
        aria-invalid={text !== '' && key === undefined} onChange={(e) => setText(e.target.value)} onBlur={add} onKeyDown={(e) => e.key === 'Enter' && add()}
      />
      {Object.entries(metadata).map(([k, v]) => (
        <button
          key={k} type="button" className="chosen" aria-label={`Remove ${clean(`${k}=${v}`)}`}
          onClick={() => onChange(Object.fromEntries(Object.entries(metadata).filter(([other]) => other !== k)))}
        >
          <bdi>{clean(`${k}=${v}`)}</bdi> ✕
        </button>
      ))}
    </>
  );
}

// whyNot says why what is listed cannot be canceled as it is, '' where it can: the server cancels by type and metadata.
function whyNot({ statuses, stale, text }: Filter): string {
  if (text) return 'Clear the search first: what is canceled is chosen by type and metadata alone';
  if (stale) return 'Show all first: what is canceled is chosen by type and metadata alone';
  if (statuses.length && !(statuses.includes('QUEUED') && statuses.includes('RUNNING'))) return 'Show both Running and Queued first: they are canceled together';
  return '';
}

function CancelPending({ filter, counts }: { filter: Filter; counts: Counts }) {
  const client = useClient();
  const [asking, setAsking] = useState(false);
  const [said, setSaid] = useState('');
  const { type } = filter;
  const pending = counts.QUEUED + counts.RUNNING;
  const number = grouped(pending);
  const why = whyNot(filter);
  if (!mayCancel()) return null;
  return (
    <>
      {pending > 0 && (
        <button
          type="button" id="cancel-pending" title={why} aria-disabled={why !== ''} aria-describedby={why ? 'why-not' : undefined}
          onClick={() => (why ? setSaid(why) : (setSaid(''), setAsking(true)))}
        >
          {why ? 'Cancel pending' : `Cancel ${number} pending`}
        </button>
      )}
      {why && <span id="why-not" hidden>{why}</span>}
      <span className="said" role="status">{said}</span>
      {asking && (
        <Confirm
          title={`Cancel ${number} activities?`} verb={`Cancel ${number}`} onClose={() => setAsking(false)}
          act={async () => {
            const metadata = metadataOf(filter);
            const { canceled, skipped } = await client.cancelPending(type || metadata ? { agentType: type || undefined, metadata } : { all: true });
            setSaid(`${grouped(canceled)} canceled${skipped ? `, ${grouped(skipped)} skipped: another transaction holds them, or their log is full` : ''}`);
          }}
        >
          <p>
            {grouped(counts.RUNNING)} running and {grouped(counts.QUEUED)} queued ones
            {type ? <> of type <b><bdi>{clean(type)}</bdi></b></> : ' of every type'}
            {Object.entries(filter.metadata).map(([k, v]) => <span key={k}>, with <code>{clean(`${k}=${v}`)}</code></span>)}.
            This cannot be undone.
          </p>
        </Confirm>
      )}
    </>
  );
}
