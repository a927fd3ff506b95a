import { lazy, Suspense, useEffect, useRef, useState } from 'react';
import { noFilter } from '../list/query.ts';
import { Search } from '../list/search.tsx';
import { go, overviewPath, pathOf, type Route, useRoute } from '../route.ts';
import { Activities } from './activities.tsx';
import { Boundary } from './boundary.tsx';
import { Help } from './dialogs.tsx';
import { useKey } from './keys.ts';
import { useNeeds } from './needs.ts';
import { Notifier } from './notify_switch.tsx';
import { setBadge, setTitle } from './title.ts';
import { TokenPrompt } from './token.tsx';
import { Top } from './top.tsx';

const Overview = lazy(async () => ({ default: (await import('../overview/overview.tsx')).Overview }));

export function App() {
  const route = useRoute();
  const { page, id, filter, search } = route;
  const { now, failed } = useNeeds();
  const [help, setHelp] = useState(false);
  useEffect(() => setBadge(now + failed), [now, failed]);
  const main = useRef<HTMLElement>(null);
  const before = useRef(page);
  // The link that was followed is gone with its page: the keyboard goes on at the new one.
  useEffect(() => {
    if (before.current !== page && [before.current, page].includes('overview') && document.activeElement === document.body) main.current!.focus({ preventScroll: true });
    before.current = page;
  }, [page]);
  useEffect(() => {
    if (page !== 'detail') setTitle(page === 'list' ? 'Activities' : '');
  }, [page]);
  return (
    <div className="app" data-page={page}>
      <FrameKeys route={route} onHelp={() => setHelp(true)} />
      <Top page={page} search={search} needs={now} onHelp={() => setHelp(true)}>
        <Search filter={page === 'overview' ? noFilter : filter} id={id} />
      </Top>
      <Notifier />
      <TokenPrompt />
      <main ref={main} tabIndex={-1}>
        <Boundary what={page === 'overview' ? 'The overview' : 'The activities'}>
          {page === 'overview'
            ? <Suspense fallback={<p className="ax-unseen" role="status">Loading</p>}><Overview /></Suspense>
            : <Activities id={id} filter={filter} search={search} />}
        </Boundary>
      </main>
      {help && <Help onClose={() => setHelp(false)} />}
    </div>
  );
}

// A component of its own, before all others, so that keys of the pages come first.
function FrameKeys({ route: { page, id, search }, onHelp }: { route: Route; onHelp: () => void }) {
  useKey('g o', 'Go to the overview', () => go(overviewPath()));
  useKey('g a', 'Go to the activities', () => go(pathOf(null, page === 'overview' ? '' : search)));
  useKey('Escape', 'Leave a field, close the activity', () => (id === null ? false : go(pathOf(null, search))));
  useKey('?', 'Show these keys', onHelp);
  return null;
}
