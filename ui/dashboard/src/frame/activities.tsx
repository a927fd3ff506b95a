import { lazy, Suspense, useEffect } from 'react';
import { afterFirst, useFirstShown } from '../first.ts';
import { ListPage } from '../list/page.tsx';
import type { Filter } from '../list/query.ts';
import { routeOf } from '../route.ts';

const loadDetail = () => import('../detail/detail.tsx');
const Detail = lazy(async () => ({ default: (await loadDetail()).Detail }));

// An address of an activity needs it at once; the list and the overview are drawn without it.
if (routeOf(location.pathname, location.search).id !== null) void loadDetail();

/** The list, and beside it the activity that is open. */
export function Activities({ id, filter, search }: { id: string | null; filter: Filter; search: string }) {
  // Soon after the list is drawn, so that an activity opens at once, also when the server is away by then.
  useEffect(() => afterFirst(() => void loadDetail().catch(() => {})), []);
  const first = useFirstShown();
  return (
    <>
      {id === null || first ? <ListPage filter={filter} search={search} id={id} /> : <section className="list-page agentexec" data-beside aria-label="Activities" aria-busy="true" />}
      {id !== null && (
        <Suspense fallback={<section className="detail" aria-busy="true" />}>
          <Detail key={id} id={id} search={search} />
        </Suspense>
      )}
    </>
  );
}
