import type { Sort } from '@agentexec/client';
import { Icon } from '@agentexec/react';
import { type Filter, searchOf } from './query.ts';
import { go, pathOf } from '../route.ts';
import { orders } from './toolbar.tsx';

/** The titles of the columns; three of them sort, and turn the order around. */
export function ListHead({ filter }: { filter: Filter }) {
  const column = (sort: Sort, className: string, title: string) => {
    const sorted = filter.sort === sort;
    const order = sorted && filter.order === 'desc' ? 'asc' : 'desc';
    const name = orders.find(([s, o]) => s === sort && o === order)![2];
    return (
      <span className={className}>
        <button type="button" aria-label={`${title}: ${name}`} title={name} data-sorted={sorted || undefined} onClick={() => go(pathOf(null, searchOf({ ...filter, sort, order })))}>
          {title}{sorted && <Icon name={filter.order === 'desc' ? 'down' : 'up'} />}
        </button>
      </span>
    );
  };
  return (
    <div className="titles" role="group" aria-label="Columns">
      <span className="type">Type</span>
      {column('activity', 'latest', 'Latest line')}
      <span className="chips" />
      <span className="children">Children</span>
      <span className="percent">Progress</span>
      <span className="attempt">Attempt</span>
      {column('duration', 'took', 'Took')}
      {column('created', 'ago', 'Started')}
    </div>
  );
}
