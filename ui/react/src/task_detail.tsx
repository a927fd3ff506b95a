import type { ReactNode } from 'react';
import { isFinal } from '@agentexec/client/state';
import { beginning, clean } from '@agentexec/client/text';
import { useConnection, useQuestions } from './hooks.tsx';
import { type LogHandle, useLog, useLogState } from './log/log_handle.ts';
import { LogTools } from './log/log_tools.tsx';
import { LogView } from './log/log_view.tsx';
import { classes, Elapsed, Liveness, ProgressBar, StatusBadge, Time } from './parts.tsx';
import { QuestionCard } from './questions/question_card.tsx';

export interface TaskDetailProps {
  agentId: string;
  /** Adds a button that closes it. */
  onClose?: (() => void) | undefined;
  /** More for the head, such as a button that cancels. */
  actions?: ReactNode;
  className?: string | undefined;
}

/** One activity: what it is, how far it is, the questions that wait for a person, and its log, which follows the newest line until the person scrolls up. */
export function TaskDetail({ agentId, ...props }: TaskDetailProps) {
  const log = useLog(agentId);
  return <Detail key={agentId} log={log} {...props} />;
}

function Detail({ log, onClose, actions, className }: Omit<TaskDetailProps, 'agentId'> & { log: LogHandle }) {
  const { activity, loading, missing, problem } = useLogState(log);
  const { state, since, reason } = useConnection();
  return (
    <article className={classes('agentexec ax-detail', className)} aria-busy={loading}>
      <header className="ax-head">
        <h2 className="ax-type" dir="auto">{activity ? clean(beginning(activity.agent_type, 255)) : loading && !reason ? 'Loading …' : 'Nothing to show'}</h2>
        <span role="status">{activity && <StatusBadge status={activity.status} stale={activity.stale} />}</span>
        {activity && activity.attempt > 1 && <span className="ax-muted">Attempt {activity.attempt}</span>}
        {actions}
        {onClose && <button type="button" className="ax-close" onClick={onClose} aria-label="Close">×</button>}
      </header>
      {state === 'offline' && since && <p className="ax-note" role="status">Offline since {since.toLocaleTimeString()}{reason && `: ${clean(reason)}`}. It comes back by itself.</p>}
      {(missing || problem) && <p className="ax-note" role="alert">{missing ? (activity ? 'This activity was deleted.' : 'There is no such activity.') : clean(problem!.message)}</p>}
      {activity && (
        <>
          <Liveness activity={activity} className="ax-note" />
          <div className="ax-progress">
            <ProgressBar percentage={activity.latest_percentage} status={activity.status} stale={activity.stale} label={activity.agent_type} />
            <span className="ax-percent">{activity.latest_percentage === null ? '' : `${activity.latest_percentage}%`}</span>
          </div>
          <dl className="ax-facts">
            <div><dt>Created</dt><dd><Time iso={activity.created_at} /></dd></div>
            <div><dt>Started</dt><dd><Time iso={activity.started_at} /></dd></div>
            <div><dt>Finished</dt><dd><Time iso={activity.finished_at} /></dd></div>
            <div><dt>{isFinal(activity.status) ? 'Took' : activity.started_at ? 'Elapsed' : 'Waiting'}</dt><dd><Elapsed activity={activity} /></dd></div>
            <div><dt>Id</dt><dd><code>{activity.agent_id}</code></dd></div>
          </dl>
          {Boolean(activity.open_questions) && <Pending log={log} />}
          <LogTools log={log} />
          <LogView log={log} />
        </>
      )}
    </article>
  );
}

function Pending({ log }: { log: LogHandle }) {
  const { questions } = useQuestions({ log });
  return questions.length > 0 && <div className="ax-pending">{questions.map((question) => <QuestionCard key={question.key} question={question} />)}</div>;
}
