import { lazy, Suspense, useState } from 'react';
import type { Counts, Order, Sort } from '@agentexec/client';
import { Icon } from '@agentexec/react';
import { Entry, Menu } from '../frame/menu.tsx';
import { type Filter, isTree, searchOf } from './query.ts';
import { go, pathOf } from '../route.ts';
import { mayCancel } from '../session.ts';
import { tell } from './told.ts';

const CancelAll = lazy(async () => ({ default: (await import('./toolbar_dialogs.tsx')).CancelAll }));
const Range = lazy(async () => ({ default: (await import('./toolbar_dialogs.tsx')).Range }));

export const ranges = [['15m', 'Last 15 min'], ['1h', 'Last hour'], ['24h', 'Last 24 h'], ['7d', 'Last 7 days'], ['', 'Any time']] as const;

export const orders: readonly [Sort, Order, string][] = [
  ['created', 'desc', 'Newest first'], ['created', 'asc', 'Oldest first'], ['duration', 'desc', 'Longest first'], ['duration', 'asc', 'Shortest first'],
  ['activity', 'desc', 'Last activity first'], ['activity', 'asc', 'Longest silent first'],
];

interface Props {
  filter: Filter;
  counts: Counts | undefined;
}

/** The time range, the order, and what can be done with all that is listed. */
export function Toolbar({ filter, counts }: Props) {
  const { since, until, sort, order, flat } = filter;
  const [asking, setAsking] = useState(false);
  const set = (change: Partial<Filter>) => go(pathOf(null, searchOf({ ...filter, ...change })));
  const range = ranges.find(([value]) => value === since && !until)?.[1] ?? (until ? 'From and until' : `Since ${since}`);
  const sorted = orders.find(([s, o]) => s === sort && o === order)![2];
  return (
    <div className="list-tools">
      <Menu label={`Time range: ${range}`} button={<><Icon name="clock" /><span className="words">{range}</span></>}>
        {ranges.map(([value, name]) => <Entry key={value} checked={value === since && !until} onClick={() => set({ since: value, until: '' })}>{name}</Entry>)}
        <Entry checked={Boolean(until) || !ranges.some(([value]) => value === since)} onClick={() => setAsking(true)}>From and until …</Entry>
      </Menu>
      <Menu label={`Order: ${sorted}`} button={<><Icon name="sort" /><span className="words">{sorted}</span></>}>
        {orders.map(([s, o, name]) => <Entry key={name} checked={s === sort && o === order} onClick={() => set({ sort: s, order: o })}>{name}</Entry>)}
        {isTree({ ...filter, flat: false }) && (
          <div role="group" aria-label="Children" className="rule-above">
            <Entry checked={!flat} onClick={() => set({ flat: false })}>Children below their parents</Entry>
            <Entry checked={flat} onClick={() => set({ flat: true })}>Children as rows of their own</Entry>
          </div>
        )}
      </Menu>
      {counts && mayCancel() && <More filter={filter} />}
      {asking && <Suspense><Range filter={filter} onChange={set} onClose={() => setAsking(false)} /></Suspense>}
    </div>
  );
}

// whyNot says why what is listed cannot be canceled as it is, '' where it can: the server cancels by type and metadata.
function whyNot({ statuses, stale, waiting, stopping, parent, root, text, since, until }: Filter): string {
  if (text) return 'Clear the search text first: what is canceled is chosen by type and metadata alone';
  if (stale || waiting || stopping || parent || root || since || until) return 'Show all first: what is canceled is chosen by type and metadata alone';
  if (statuses.length && !(statuses.includes('QUEUED') && statuses.includes('RUNNING'))) return 'Show both running and queued first: they are canceled together';
  return '';
}

function More({ filter }: { filter: Filter }) {
  const [asking, setAsking] = useState(false);
  const why = whyNot(filter);
  return (
    <>
      <Menu label="More actions" className="ax-button icon" button={<Icon name="more" />}>
        <Entry danger onClick={() => (why ? tell(why + '.') : setAsking(true))}>Cancel all running and queued…</Entry>
      </Menu>
      {asking && <Suspense><CancelAll filter={filter} onClose={() => setAsking(false)} /></Suspense>}
    </>
  );
}
