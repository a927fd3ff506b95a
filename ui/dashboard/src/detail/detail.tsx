import { lazy, memo, Suspense, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';
import type { Activity } from '@agentexec/client';
import { JsonTree, type LogHandle, type LogState, LogTools, LogView, useConnection, useLinkedLine, useLog, useLogState, useQuestions } from '@agentexec/react';
import { isFinal } from '@agentexec/client/state';
import { clean, statusNames } from '@agentexec/client/text';
import { firstShown } from '../first.ts';
import { useKey } from '../frame/keys.ts';
import { usePhone } from '../frame/phone.ts';
import { setTitle } from '../frame/title.ts';
import { wordsOf } from '../frame/words.ts';
import { grouped } from '../numbers.ts';
import { go, pathOf } from '../route.ts';
import { Ancestors } from './ancestors.tsx';
import { useChildCounts } from './child_counts.ts';
import { Curve } from './curve.tsx';
import { Facts } from './facts.tsx';
import { Head } from './head.tsx';
import { Pending, Questions } from './questions.tsx';
import { Split } from './split.tsx';
import { Tabs } from './tabs.tsx';
import { useKnown } from './known.ts';

const Children = lazy(async () => ({ default: (await import('./children.tsx')).Children }));

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

interface Props {
  id: string;
  search: string;
}

/** One activity: what it is, how far it is, and its log. */
export const Detail = memo(function Detail({ id, search }: Props) {
  const section = useRef<HTMLElement>(null);
  // Where the list goes out of sight, the focus comes along.
  useLayoutEffect(() => {
    const { activeElement } = document;
    if (activeElement?.closest('.side') && !activeElement.checkVisibility({ visibilityProperty: true })) section.current!.focus();
  }, []);
  useEffect(() => {
    if (!UUID.test(id)) firstShown();
  }, [id]);
  return (
    <section className="detail" aria-label="Activity" tabIndex={-1} ref={section}>
      <Split />
      {UUID.test(id) ? <Loaded id={id} search={search} /> : (
        <Said title="No such activity" search={search}>{`${clean(id.slice(0, 100))} is no id. One looks like 6f1de0c4-5d0b-4d3a-9a53-0e1f6c5b7a11.`}</Said>
      )}
    </section>
  );
});

function Loaded({ id, search }: Props) {
  const handle = useLog(id);
  const log = useLogState(handle);
  const { activity } = log;
  useLinkedLine(handle);
  useEffect(() => {
    if (!activity) return setTitle('');
    const percent = activity.latest_percentage === null ? '' : `${activity.latest_percentage}% `;
    setTitle(`${isFinal(activity.status) ? statusNames[activity.status] + ' ' : percent}${clean(activity.agent_type)}`);
  }, [activity]);
  const [title, text] = useMessage(log, id);
  const first = Boolean(activity ? log.version > 0 || !activity.last_seq : log.missing || log.problem);
  useEffect(() => {
    if (first) firstShown();
  }, [first]);
  return (
    <>
      {title && <Said title={title} search={activity ? undefined : search}>{text}</Said>}
      {activity && <Shown handle={handle} log={log} activity={activity} search={search} />}
    </>
  );
}

function Said({ title, search, children }: { title: string; search: string | undefined; children: string }) {
  return (
    <div className="ax-blank" id="message" role="status">
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {search !== undefined && title !== 'Loading' && <div className="buttons"><a className="ax-button" href={pathOf(null, search)} onClick={(e) => (e.preventDefault(), go(pathOf(null, search)))}>All activities</a></div>}
    </div>
  );
}

function useMessage({ missing, problem, loading, activity }: LogState, id: string): [string, string] {
  const { state, code, reason } = useConnection();
  if (missing && activity) return ['This activity was deleted', 'What was seen of it stays here until you leave.'];
  if (missing) return ['No such activity', `There is no activity with the id ${id}, or the token does not show it. If it is created, it appears here.`];
  if (problem) return [problem.code === 'forbidden' ? 'The token does not show this activity' : 'The server refuses', `${wordsOf(problem)} It is tried again every 5 seconds.`];
  if (!loading) return ['', ''];
  return state === 'offline' && code !== 'unauthorized' ? ['The server cannot be reached', `${reason && clean(reason) + '. '}The activity appears when it answers; it is tried again by itself.`] : ['Loading', ''];
}

interface ShownProps {
  handle: LogHandle;
  log: LogState;
  activity: Activity;
  search: string;
}

function Shown({ handle, log, activity, search }: ShownProps) {
  const { metadata, seenAt } = useKnown(activity);
  const { questions, error } = useQuestions({ log: handle, state: 'ANY' });
  const below = useChildCounts(activity.agent_id);
  const phone = usePhone();
  const [tab, choose] = useState('Log');
  const [chosen, setChosen] = useState<string>(); // the question to answer
  const article = useRef<HTMLElement>(null);
  const link = useCallback((seq: number) => {
    history.replaceState(history.state, '', location.pathname + location.search + `#L${seq}`);
    handle.link(seq);
  }, [handle]);
  const show = (seq: number) => {
    choose('Log');
    link(seq);
    article.current!.querySelector('.panel')?.scrollIntoView({ block: 'nearest' });
  };
  // A form that is there already gets the focus; another one takes it when it is drawn.
  const answer = (key?: string) => {
    if (key !== undefined) setChosen(key);
    const card = article.current!.querySelector<HTMLElement>('.asking');
    card?.scrollIntoView({ block: 'nearest' });
    card?.querySelector<HTMLElement>('input, select, textarea, button')?.focus();
  };
  const running = !isFinal(activity.status);
  useKey('a', 'Answer the question that waits', () => answer(), Boolean(activity.open_questions));
  useKey('f', 'Follow the log', () => (running ? handle.follow(!handle.get().following) : false));
  useKey('n', 'Next hit in the log', () => handle.next(1));
  useKey('N', 'Previous hit in the log', () => handle.next(-1));
  const tabs = [
    { name: 'Log', count: grouped(log.last), panel: <LogView log={handle} onLink={link} />, tools: <LogTools log={handle} /> },
    ...(below.total ? [{ name: 'Children', count: grouped(below.total), panel: <Suspense><Children id={activity.agent_id} search={search} short={phone} /></Suspense> }] : []),
    ...(questions.length ? [{ name: 'Questions', count: grouped(questions.length), panel: <Questions questions={questions} error={error} onAnswer={answer} /> }] : []),
    ...(metadata && Object.keys(metadata).length ? [{ name: 'Data', panel: <div className="data ax-json" tabIndex={0} role="region" aria-label="Metadata"><JsonTree value={metadata} open={2} /></div> }] : []),
  ];
  return (
    <article id="activity" ref={article}>
      <header>
        <Ancestors activity={activity} search={search} />
        <Head activity={activity} log={log} handle={handle} metadata={metadata} gone={log.missing} search={search} onShow={show} />
        <Facts activity={activity} log={log} seenAt={seenAt} below={below} onShow={show} />
        <div className="pair">
          <Curve activity={activity} log={log} />
          <Pending questions={questions} chosen={chosen} onAll={() => choose('Questions')} />
        </div>
      </header>
      <Tabs tabs={tabs} chosen={tab} onChoose={choose} />
    </article>
  );
}
