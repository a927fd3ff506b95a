// The dialogs of the toolbar, which are loaded when they are opened.

import { useState } from 'react';
import { clean } from '@agentexec/client/text';
import { useActivityList, useClient } from '@agentexec/react';
import { Confirm, Dialog } from '../frame/dialogs.tsx';
import { grouped } from '../numbers.ts';
import { type Filter, isTime, metadataOf } from './query.ts';
import { tell } from './told.ts';

const local = (text: string): string => {
  if (!text || !/^\d{4}-/.test(text) || !isTime(text)) return '';
  const t = new Date(text);
  return new Date(t.getTime() - t.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
};

/** Asks for a range of one's own. */
export function Range({ filter, onChange, onClose }: { filter: Filter; onChange: (change: Partial<Filter>) => void; onClose: () => void }) {
  const [from, setFrom] = useState(local(filter.since));
  const [to, setTo] = useState(local(filter.until));
  const iso = (text: string) => (text ? new Date(text).toISOString().replace('.000', '') : '');
  const wrong = from !== '' && to !== '' && from >= to;
  return (
    <Dialog title="From and until" onClose={onClose}>
      {(close) => (
        <form className="range" onSubmit={(e) => (e.preventDefault(), !wrong && (close(), onChange({ since: iso(from), until: iso(to) })))}>
          <p>Activities that existed in this range, whatever they did in it. A field may be empty.</p>
          <label>From<input type="datetime-local" className="ax-field" value={from} autoFocus onChange={(e) => setFrom(e.target.value)} /></label>
          <label>Until<input type="datetime-local" className="ax-field" value={to} aria-invalid={wrong} onChange={(e) => setTo(e.target.value)} /></label>
          {wrong && <p className="problem" role="alert">Until must be after from.</p>}
          <div className="buttons">
            <button type="button" className="ax-button" onClick={close}>Close</button>
            <button className="ax-button solid" aria-disabled={wrong}>Show this range</button>
          </div>
        </form>
      )}
    </Dialog>
  );
}

/** Asks whether all that run or queue are canceled, with how many they are. */
export function CancelAll({ filter, onClose }: { filter: Filter; onClose: () => void }) {
  const client = useClient();
  const { type } = filter;
  const metadata = metadataOf(filter);
  const { counts } = useActivityList({ agentType: type || undefined, metadata, limit: 1 }); // also of those in a tree
  if (!counts) return null;
  const number = grouped(counts.QUEUED + counts.RUNNING);
  const cancel = async () => {
    const { canceled, skipped } = await client.cancelPending(type || metadata ? { agentType: type || undefined, metadata } : { all: true });
    tell(`${grouped(canceled)} canceled.${skipped ? ` ${grouped(skipped)} skipped: another transaction holds them, or their log is full.` : ''}`);
  };
  return (
    <Confirm title={`Cancel ${number} activities?`} verb={`Cancel ${number}`} onClose={onClose} act={cancel}>
      <p>
        {grouped(counts.RUNNING)} running and {grouped(counts.QUEUED)} queued ones
        {type ? <> of type <b><bdi>{clean(type)}</bdi></b></> : ' of every type'}
        {Object.entries(filter.metadata).map(([k, v]) => <span key={k}>, with <code>{clean(`${k}=${v}`)}</code></span>)}.
        This cannot be undone.
      </p>
    </Confirm>
  );
}
