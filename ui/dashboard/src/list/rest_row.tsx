import { clean } from '@agentexec/client/text';
import { Guides, indentOf } from './guides.tsx';
import type { Entry } from './list_layout.ts';
import { follow } from './list_row.tsx';
import { MOST } from './child_list.ts';
import { grouped } from '../numbers.ts';
import { noFilter, searchOf } from './query.ts';
import { pathOf } from '../route.ts';

interface Props extends Omit<Entry, 'key' | 'item'> {
  id: string;
  top: number;
  onMore: () => void;
}

/** The row in place of children: that they are loading, how many more there are, or why they are not there. */
export function RestRow({ id, level, guide, top, place, of, rest, parent = '', missing = 0, problem = '', onMore }: Props) {
  const all = pathOf(null, searchOf({ ...noFilter, parent }));
  return (
    <div role="row" className="place" aria-level={level} aria-posinset={place} aria-setsize={of} style={{ transform: `translateY(${top}px)` }}>
      <div className="row rest" data-key={id} data-level={level}>
        <Guides guide={guide} />
        <span role="gridcell" className="rest-cell" style={{ paddingInlineStart: indentOf(level) }}>
          {rest === 'loading' && <span role="status">Loading children …</span>}
          {rest === 'problem' && <span className="problem">The children cannot be read: {clean(problem)}. It is tried again every 5 seconds.</span>}
          {rest === 'more' && (of - missing < MOST
            ? <><span>{grouped(missing)} more</span><button type="button" className="ax-button small" onClick={onMore}>Show more</button></>
            : <span>{grouped(missing)} more</span>)}
          {rest === 'more' && <a className="ax-button ghost small" href={all} onClick={(e) => follow(e, all)}>Open as list</a>}
        </span>
      </div>
    </div>
  );
}
