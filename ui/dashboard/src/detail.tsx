import { memo, useDeferredValue, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import type { Activity } from '@agentexec/client';
import { Elapsed, Liveness, ProgressBar, StatusBadge, useClient, useConnection } from '@agentexec/react';
import { isFinal } from '@agentexec/client/state';
import { clean, type Condition, conditionsOf, statusNames } from '@agentexec/client/text';
import { Chart } from './chart.tsx';
import { Cancel } from './cancel.tsx';
import { copyLog, downloadLog } from './log_file.ts';
import { isId, type Log, LogModel } from './log_model.ts';
import { LogView } from './log.tsx';
import { Matches } from './matches.ts';
import { useSnapshot } from './model.ts';
import { grouped } from './numbers.ts';
import { go, pathOf } from './route.ts';
import { When } from './times.tsx';

/** One activity: what it is, how far it is, and its log. */
export const Detail = memo(function Detail({ id, search }: { id: string; search: string }) {
  const client = useClient();
  const model = useMemo(() => new LogModel(client, id), [client, id]);
  const log = useSnapshot(model);
  const { activity } = log;
  const section = useRef<HTMLElement>(null);
  useEffect(() => {
    if (!activity) document.title = 'agentexec';
    else {
      const percent = activity.latest_percentage === null ? '' : `${activity.latest_percentage}% `;
      document.title = `${isFinal(activity.status) ? statusNames[activity.status] + ' ' : percent}${clean(activity.agent_type)} · agentexec`;
    }
  }, [activity]);
  // Where the list goes out of sight, the focus comes along.
  useLayoutEffect(() => {
    const { activeElement } = document;
    if (activeElement?.closest('.side') && !activeElement.checkVisibility({ visibilityProperty: true })) section.current!.focus();
  }, []);
  const [title, text] = useMessage(log, id);
  return (
    <section className="detail" aria-label="Activity" tabIndex={-1} ref={section}>
      <a className="back" href={pathOf(null, search)} onClick={(e) => (e.preventDefault(), go(pathOf(null, search)))}>← All activities</a>
      {title && <div className="empty" id="message" role="status"><h2>{title}</h2><p>{text}</p></div>}
      {activity && (
        <article id="activity">
          <Head activity={activity} gone={log.missing} />
          <Body log={log} activity={activity} />
        </article>
      )}
    </section>
  );
});

function useMessage({ missing, problem, loading, activity }: Log, id: string): [string, string] {
  const { state, code, reason } = useConnection();
  if (missing && activity) return ['This activity was deleted', 'What was seen of it stays here until you leave.'];
  if (missing && !isId(id)) return ['No such activity', `${clean(id.slice(0, 100))} is no id: one looks like 6f1de0c4-5d0b-4d3a-9a53-0e1f6c5b7a11.`];
  if (missing) return ['No such activity', `There is no activity with the id ${id}, or the token does not show it. If it is created, it appears here.`];
  if (problem) return ['The server refuses', `${clean(problem)}. It is tried again every 5 seconds.`];
  if (!loading) return ['', ''];
  return state === 'offline' && code !== 'unauthorized' ? ['The server cannot be reached', `${reason && clean(reason) + '. '}The activity appears when it answers; it is tried again by itself.`] : ['Loading', ''];
}

// The conditions without their times: a countdown is not announced every second.
const announced: Record<Condition['kind'], string> = {
  stale: 'stale', stopping: 'stopping', forced: 'its worker never answered', trailing: 'still writing after it was canceled',
};

function Head({ activity, gone }: { activity: Activity; gone: boolean }) {
  const { agent_id, status, stale, latest_percentage: percentage, attempt, cancel } = activity;
  const conditions = conditionsOf(activity, 0);
  const type = clean(activity.agent_type);
  return (
    <header>
      <div className="title">
        <h2 dir="auto">{type}</h2>
        <StatusBadge status={status} stale={stale} />
        {attempt > 1 && <span className="attempt">Attempt {attempt}</span>}
        {!gone && <Cancel activity={activity} />}
        <span id="announce" className="unseen" role="status">{type}: {[statusNames[status], ...conditions.map(({ kind }) => announced[kind])].join(', ')}</span>
      </div>
      {conditions.length > 0 && (
        <p className="conditions">
          <Liveness activity={activity} />
          {cancel?.requested_by && conditions.some(({ kind }) => kind !== 'stale') && <span className="by">Requested by <bdi>{clean(cancel.requested_by)}</bdi></span>}
        </p>
      )}
      <div className="progress">
        <ProgressBar percentage={percentage} status={status} stale={stale} label={type} />
        <span className="percent">{percentage === null ? '' : `${percentage}%`}</span>
      </div>
      <dl>
        <div><dt>{isFinal(status) ? 'Took' : activity.started_at ? 'Elapsed' : 'Waiting'}</dt><dd id="elapsed"><Elapsed activity={activity} /></dd></div>
        <div><dt>Created</dt><dd><When iso={activity.created_at} /></dd></div>
        <div><dt>Started</dt><dd id="started"><When iso={activity.started_at} /></dd></div>
        <div><dt>Finished</dt><dd id="finished"><When iso={activity.finished_at} /></dd></div>
        <div className="id"><dt>Agent id</dt><dd><code>{agent_id}</code></dd></div>
      </dl>
    </header>
  );
}

function Body({ log, activity }: { log: Log; activity: Activity }) {
  const client = useClient();
  const [changes, setChanges] = useState(false);
  const [find, setFind] = useState('');
  const [said, setSaid] = useState('');
  const text = useDeferredValue(find.trim().toLowerCase());
  const matches = useMemo(() => new Matches({ changes, text }), [changes, text]);
  const shown = matches.of(log);
  const last = log.entries.findLast((e) => e.kind === 'line');
  const behind = activity.last_seq > log.cursor;
  const tell = (what: Promise<string>) => (setSaid(log.earlier ? 'Reading the earlier lines …' : ''), what).then(setSaid, (e: unknown) => setSaid(clean(e instanceof Error ? e.message : String(e))));
  const lines = (n: number) => `${grouped(n)} ${n === 1 ? 'line' : 'lines'}`;
  return (
    <>
      <Chart points={log.points} until={last?.at ?? 0} />
      <div className="tools">
        <h3>Log</h3>
        <span id="lines">{text || changes ? `${grouped(shown.length)} of ${lines(log.length)}` : behind ? `${grouped(log.cursor)} of ${lines(activity.last_seq)}` : lines(log.cursor)}</span>
        <input type="search" placeholder="Search the log" aria-label="Search the log" value={find} onChange={(e) => setFind(e.target.value)} />
        <button type="button" id="changes" aria-pressed={changes} onClick={() => setChanges(!changes)}>Status changes only</button>
        <button type="button" onClick={() => tell(copyLog(client, log, activity.agent_id))}>Copy</button>
        <button type="button" onClick={() => tell(downloadLog(client, log, activity.agent_id))}>Download</button>
        <span className="said" role="status">{said}</span>
      </div>
      <LogView key={`${changes} ${text}`} entries={shown} torn={log.torn} earlier={log.earlier} sought={text} />
    </>
  );
}
