import { Icon } from '@agentexec/react';
import { GroupMenu } from './group_menu.tsx';
import { groupNames } from './groups.ts';
import type { Section } from './list_layout.ts';
import type { ListModel } from './list_model.ts';
import { grouped } from '../numbers.ts';
import type { Filter } from './query.ts';

interface Props {
  section: Section;
  filter: Filter;
  model: ListModel;
  onFold: () => void;
}

/** The heading of a group: it folds the group, and has the menu of what can be done with all of it. */
export function GroupHead({ section: { group, count, open, folded }, filter, model, onFold }: Props) {
  return (
    <div className="group-head">
      <h2 id={'group-' + group}>
        <button type="button" className="fold" aria-expanded={!folded} onClick={onFold}>
          <Icon name={folded ? 'right' : 'down'} />
          <span className="name">{groupNames[group]}</span> <span className="number">{grouped(count)}{open ? '+' : ''}</span>
        </button>
      </h2>
      {group === 'queued' && <GroupMenu filter={filter} count={count} open={open} model={model} />}
    </div>
  );
}
