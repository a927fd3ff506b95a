import { clean } from '@agentexec/client/text';
import { useClient } from '@agentexec/react';
import { cancelMany, inWords, queuedOf } from './cancel_many.ts';
import { Confirm } from '../frame/dialogs.tsx';
import type { ListModel } from './list_model.ts';
import type { Filter } from './query.ts';
import { chipsOf } from './search_text.ts';
import { tell } from './told.ts';

interface Props {
  filter: Filter;
  model: ListModel;
  /** How many queue, in words. */
  number: string;
  one: boolean;
  onClose: () => void;
}

/** Asks whether all that queue are canceled. */
export function CancelQueued({ filter, model, number, one, onClose }: Props) {
  const client = useClient();
  const cancel = async () => {
    // A text is looked for here, so that the server cannot say which activities hold it.
    const queued = model.get().sections.find(({ group }) => group === 'queued');
    const outcome = await cancelMany(client, filter.text ? [...(queued?.items ?? [])] : await queuedOf(client, filter));
    tell(inWords(outcome));
  };
  const conditions = chipsOf(filter).filter(({ key }) => key !== 'sort' && key !== 'order' && key !== 'status');
  return (
    <Confirm title={`Cancel ${number} queued ${one ? 'activity' : 'activities'}?`} verb={`Cancel ${number}`} act={cancel} onClose={onClose}>
      <p>
        {conditions.length || filter.text ? 'Those with ' : 'All that queue now. '}
        {[...conditions.map((c) => c.key + c.separator + c.value), ...(filter.text ? [filter.text] : [])].map((text, n) => <span key={text}>{n > 0 && ', '}<code>{clean(text)}</code></span>)}
        {conditions.length || filter.text ? '. ' : ''}
        One that starts meanwhile is asked to stop. This cannot be undone.
      </p>
    </Confirm>
  );
}
