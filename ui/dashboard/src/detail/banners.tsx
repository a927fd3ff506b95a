import type { Activity } from '@agentexec/client';
import { type Attempt, Icon, type LogState, StateIcon, time, useNow } from '@agentexec/react';
import { beginning, clean, conditionsOf, headline, plain } from '@agentexec/client/text';

const LONGEST = 400; // characters of a message

interface Props {
  activity: Activity;
  log: Pick<LogState, 'attempts'>;
  onShow: (seq: number) => void;
  /** Undefined where the person may not cancel. */
  onForce: (() => void) | undefined;
  onCopy: (text: string) => void;
}

/** Activities that need a person: a cancel that waits for the worker, a worker that is silent, the last error. */
export function Banners({ activity, log: { attempts }, onShow, onForce, onCopy }: Props) {
  const failed = activity.status === 'COMPLETE' ? undefined : attempts.findLast((a) => a.end?.status === 'ERROR');
  const stopping = activity.status === 'RUNNING' && Boolean(activity.cancel);
  return (
    <>
      {stopping ? <Stopping activity={activity} onForce={onForce} onShow={onShow} /> : activity.status === 'CANCELED' && activity.cancel && <Canceled activity={activity} onShow={onShow} />}
      {activity.status === 'RUNNING' && activity.stale && <Stale activity={activity} />}
      {failed?.end && <Failed attempt={failed} several={activity.attempt > 1} onShow={onShow} onCopy={onCopy} />}
    </>
  );
}

function Failed({ attempt: { number, end }, several, onShow, onCopy }: { attempt: Attempt; several: boolean } & Pick<Props, 'onShow' | 'onCopy'>) {
  const { seq, message } = end!;
  return (
    <div className="banner" data-st="error" role="status">
      <StateIcon state="error" label="" />
      <div className="line"><b>{several ? `Attempt ${number} failed` : 'Failed'}</b><span className="m" dir="auto" title={clean(plain(beginning(message, 2_000)))}>{headline(message, LONGEST)}</span></div>
      <div className="acts">
        <button type="button" className="ax-button small" onClick={() => onShow(seq)}>Show line</button>
        <button type="button" className="ax-button small" onClick={() => onCopy(message)}><Icon name="copy" />Copy</button>
      </div>
    </div>
  );
}

function Stopping({ activity, onForce, onShow }: { activity: Activity } & Pick<Props, 'onForce' | 'onShow'>) {
  const now = useNow();
  const { requested_at, requested_by, message, force_at, seq } = activity.cancel!;
  const condition = conditionsOf(activity, now).find(({ kind }) => kind === 'stopping')!;
  return (
    <div className="banner" data-st="stopping">
      <StateIcon state="stopping" label="" />
      <div className="line">
        <b className="condition">{condition.text}</b>
        <span className="m">
          <span className="by">{requested_by ? <><bdi>{clean(beginning(requested_by, 100, 1))}</bdi> asked</> : 'Requested'} at {time(Date.parse(requested_at))}</span>{': '}
          <q dir="auto">{headline(message, LONGEST)}</q>. {force_at && `The worker may end cleanly until ${time(Date.parse(force_at))}.`}
        </span>
      </div>
      <div className="acts">
        <button type="button" className="ax-button small" onClick={() => onShow(seq)}>Show line</button>
        {onForce && <button type="button" id="force" className="ax-button small danger" onClick={onForce}>Stop now…</button>}
      </div>
    </div>
  );
}

function Canceled({ activity, onShow }: { activity: Activity } & Pick<Props, 'onShow'>) {
  const { requested_by, requested_at, message, seq } = activity.cancel!;
  const conditions = conditionsOf(activity, 0);
  return (
    <div className="banner" data-st="canceled">
      <StateIcon state="canceled" label="" />
      <div className="line">
        {conditions.length ? conditions.map(({ kind, text }) => <b key={kind} className="condition">{text}</b>) : <b>Canceled</b>}
        <span className="m"><span className="by">{requested_by ? <>Requested by <bdi>{clean(beginning(requested_by, 100, 1))}</bdi></> : 'Requested'} at {time(Date.parse(requested_at))}</span>{': '}<q dir="auto">{headline(message, LONGEST)}</q></span>
      </div>
      <div className="acts"><button type="button" className="ax-button small" onClick={() => onShow(seq)}>Show line</button></div>
    </div>
  );
}

function Stale({ activity }: { activity: Activity }) {
  const now = useNow();
  const { last_seen_at, updated_at } = activity;
  const condition = conditionsOf(activity, now).find(({ kind }) => kind === 'stale')!;
  return (
    <div className="banner" data-st="stale">
      <StateIcon state="stale" label="" />
      <div className="line">
        <b className="condition">{condition.text}</b>
        <span className="m">Nothing came since {time(Date.parse(last_seen_at ?? updated_at))}. The worker may have died.</span>
      </div>
    </div>
  );
}
