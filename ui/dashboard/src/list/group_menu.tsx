import { lazy, Suspense, useState } from 'react';
import { Icon } from '@agentexec/react';
import type { ListModel } from './list_model.ts';
import { Entry, Menu } from '../frame/menu.tsx';
import { grouped } from '../numbers.ts';
import type { Filter } from './query.ts';
import { mayCancel } from '../session.ts';

const CancelQueued = lazy(async () => ({ default: (await import('./cancel_queued.tsx')).CancelQueued }));

interface Props {
  filter: Filter;
  model: ListModel;
  count: number;
  open: boolean;
}

/** What can be done with all that queue. */
export function GroupMenu({ filter, model, count, open }: Props) {
  const [asking, setAsking] = useState(false);
  if (!mayCancel()) return null;
  const number = grouped(count) + (open ? ' or more' : '');
  return (
    <>
      <Menu label="Actions for queued activities" className="ax-button ghost small icon" button={<Icon name="more" />}>
        <Entry danger onClick={() => setAsking(true)}>Cancel all queued…</Entry>
      </Menu>
      {asking && <Suspense><CancelQueued filter={filter} model={model} number={number} one={count === 1} onClose={() => setAsking(false)} /></Suspense>}
    </>
  );
}
