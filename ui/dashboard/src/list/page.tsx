import { useEffect, useLayoutEffect, useMemo } from 'react';
import { useClient, useSnapshot } from '@agentexec/react';
import { Bulk } from './bulk.tsx';
import { usePhone } from '../frame/phone.ts';
import { List } from './list.tsx';
import { ListModel } from './list_model.ts';
import { type Filter, isTree, searchOf } from './query.ts';
import { useSelection } from './selection.ts';
import { Toolbar } from './toolbar.tsx';
import { TreeModel } from './tree_model.ts';
import { Views } from './views.tsx';

// px of a row: in one line; in two lines beside an activity, and on a phone.
const ROW = 36;
const BESIDE = 52;
const PHONE = 60;

interface Props {
  filter: Filter;
  /** The filter as the query of an address. */
  search: string;
  /** The activity that is open beside the list. */
  id: string | null;
}

/** The activities: views, range and order above, then the list in groups. Beside an activity, the list alone. */
export function ListPage({ filter, search, id }: Props) {
  const client = useClient();
  // The text is looked for in what is here, so that typing reads nothing anew.
  const list = searchOf({ ...filter, text: '', flat: !isTree(filter) });
  const model = useMemo(() => new ListModel(client, filter), [client, list]);
  const tree = useMemo(() => new TreeModel(client, filter), [client, list]);
  useLayoutEffect(() => model.search(filter.text), [model, filter.text]);
  const { counts, get } = useSnapshot(model);
  const missing = id !== null && counts !== undefined && !get(id);
  useEffect(() => {
    if (id === null || missing) model.include(id ?? undefined);
  }, [model, id, missing]);
  const beside = id !== null;
  const short = usePhone() || beside;
  const selection = useSelection(!beside, list);
  return (
    <section className="list-page agentexec" data-beside={beside || undefined} data-short={short || undefined} data-selecting={selection.ids.size > 0 || undefined} aria-label="Activities">
      {!beside && (
        <div className="views-bar">
          <Views filter={filter} search={search} />
          <Toolbar filter={filter} counts={counts} />
        </div>
      )}
      <List key={search} model={model} tree={tree} filter={filter} search={search} current={id} selection={selection} height={beside ? BESIDE : short ? PHONE : ROW} short={short} />
      {!beside && <Bulk selection={selection} find={(id) => model.get().get(id) ?? tree.get().get(id)} />}
    </section>
  );
}
