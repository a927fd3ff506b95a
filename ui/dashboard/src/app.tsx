import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { useClient } from '@agentexec/react';
import { Connection } from './connection.tsx';
import { Detail } from './detail.tsx';
import { Help, TokenPrompt } from './dialogs.tsx';
import { Filters } from './filters.tsx';
import { List } from './list.tsx';
import { ListModel } from './list_model.ts';
import { base, go, pathOf, searchOf, useRoute } from './route.ts';

export function App() {
  const client = useClient();
  const { id, filter, search } = useRoute();
  // The text is looked for in what is here, so that typing reads nothing anew.
  const model = useMemo(() => new ListModel(client, filter), [client, searchOf({ ...filter, text: '' })]);
  useLayoutEffect(() => model.search(filter.text), [model, filter.text]);
  const [help, setHelp] = useState(false);
  const find = useRef<HTMLInputElement>(null);

  useEffect(() => {
    const pressed = (e: KeyboardEvent) => {
      if (e.metaKey || e.ctrlKey || e.altKey || document.querySelector('dialog[open]')) return;
      const typing = e.target instanceof HTMLElement && e.target.matches('input, textarea, select');
      if (e.key === 'Escape') {
        if (typing) (e.target as HTMLElement).blur();
        else if (id !== null) go(pathOf(null, search));
      } else if (typing) return;
      else if (e.key === '/') find.current?.focus();
      else if (e.key === '?') setHelp(true);
      else return;
      e.preventDefault();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, [id, search]);
  useEffect(() => {
    if (id === null) document.title = 'agentexec';
  }, [id]);

  return (
    <div className="app agentexec" data-view={id === null ? 'list' : 'detail'}>
      <header className="top">
        <h1><a href={base} onClick={(e) => (e.preventDefault(), go(base))}>agentexec</a></h1>
        <input
          ref={find} className="find" type="search" placeholder="Search type or id" aria-label="Search type or id" value={filter.text}
          onChange={(e) => go(pathOf(id, searchOf({ ...filter, text: e.target.value })), true)}
        />
        <Connection />
        <button type="button" className="help" aria-label="Keyboard shortcuts" onClick={() => setHelp(true)}>?</button>
      </header>
      <TokenPrompt />
      <main>
        <section className="side" aria-label="Activities">
          <Filters model={model} filter={filter} id={id} />
          <List key={search} model={model} filter={filter} search={search} selected={id} />
        </section>
        {id !== null && <Detail key={id} id={id} search={search} />}
      </main>
      {help && <Help onClose={() => setHelp(false)} />}
    </div>
  );
}
