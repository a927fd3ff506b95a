import { lazy, Suspense, useState } from 'react';
import type { ActivityListItem } from '@agentexec/client';
import { Icon } from '@agentexec/react';
import { useKey } from '../frame/keys.ts';
import { grouped } from '../numbers.ts';
import type { Selection } from './selection.ts';
import { mayCancel } from '../session.ts';
import { tell, useTold } from './told.ts';

const CancelSelected = lazy(async () => ({ default: (await import('./cancel_selected.tsx')).CancelSelected }));

const many = (n: number) => `${grouped(n)} ${n === 1 ? 'activity' : 'activities'}`;

/** What can be done with the activities that are selected, and what came of it. */
export function Bulk({ selection, find }: { selection: Selection; find: (id: string) => ActivityListItem | undefined }) {
  const { ids, clear } = selection;
  const told = useTold();
  const [asking, setAsking] = useState(false);
  useKey('Escape', 'Clear the selection', clear, ids.size > 0);
  const copy = async () => {
    await navigator.clipboard.writeText([...ids].join('\n')).then(() => tell(`${many(ids.size)} copied as ids, one a line.`), () => tell('The browser does not allow to copy.'));
  };
  return (
    <>
      <div role="status" className="told-place">
        {told && !ids.size && <div className="floating told"><span>{told}</span><button type="button" className="ax-button ghost icon" aria-label="Close" onClick={() => tell('')}><Icon name="x" /></button></div>}
      </div>
      {ids.size > 0 && (
        <div className="floating bulk" role="region" aria-label="Selected activities">
          <span><b>{grouped(ids.size)}</b> selected</span>
          <span className="rule" />
          <button type="button" className="ax-button ghost" onClick={() => void copy()}>Copy ids</button>
          {mayCancel() && <button type="button" className="ax-button ghost danger" onClick={() => (tell(''), setAsking(true))}>Cancel {grouped(ids.size)}…</button>}
          <button type="button" className="ax-button ghost icon" aria-label="Clear the selection" onClick={clear}><Icon name="x" /></button>
        </div>
      )}
      {asking && <Suspense><CancelSelected find={find} ids={[...ids]} clear={clear} onClose={() => setAsking(false)} /></Suspense>}
    </>
  );
}
