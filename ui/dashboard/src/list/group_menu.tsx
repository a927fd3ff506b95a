import { useState } from 'react';
import { clean } from '@agentexec/client/text';
import { Icon, useClient } from '@agentexec/react';
import { cancelMany, inWords, queuedOf } from './cancel_many.ts';
import { Confirm } from '../frame/dialogs.tsx';
import type { ListModel } from './list_model.ts';
import { Entry, Menu } from './menu.tsx';
import { grouped } from '../numbers.ts';
import type { Filter } from './query.ts';
import { chipsOf } from './search_text.ts';
import { mayCancel } from '../session.ts';
import { tell } from './told.ts';

interface Props {
  filter: Filter;
  model: ListModel;
  count: number;
  open: boolean;
}

/** What can be done with all that queue. */
export function GroupMenu({ filter, model, count, open }: Props) {
  const client = useClient();
  const [asking, setAsking] = useState(false);
  if (!mayCancel()) return null;
  const number = grouped(count) + (open ? ' or more' : '');
  const cancel = async () => {
    // A text is looked for here, so that the server cannot say which activities hold it.
    const queued = model.get().sections.find(({ group }) => group === 'queued');
    const outcome = await cancelMany(client, filter.text ? [...(queued?.items ?? [])] : await queuedOf(client, filter));
    tell(inWords(outcome));
  };
  const conditions = chipsOf(filter).filter(({ key }) => key !== 'sort' && key !== 'order' && key !== 'status');
  return (
    <>
      <Menu label="Actions for queued activities" className="ax-button ghost small icon" button={<Icon name="more" />}>
        {(close) => <Entry danger onClick={() => (close(), setAsking(true))}>Cancel all queued…</Entry>}
      </Menu>
      {asking && (
        <Confirm title={`Cancel ${number} queued ${count === 1 ? 'activity' : 'activities'}?`} verb={`Cancel ${number}`} act={cancel} onClose={() => setAsking(false)}>
          <p>
            {conditions.length || filter.text ? 'Those with ' : 'All that queue now. '}
            {[...conditions.map((c) => c.key + c.separator + c.value), ...(filter.text ? [filter.text] : [])].map((text, n) => <span key={text}>{n > 0 && ', '}<code>{clean(text)}</code></span>)}
            {conditions.length || filter.text ? '. ' : ''}
            One that starts meanwhile is asked to stop. This cannot be undone.
          </p>
        </Confirm>
      )}
    </>
  );
}
