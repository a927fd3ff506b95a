import { useState } from 'react';
import type { Question as Asked, QuestionState } from '@agentexec/client';
import { ClosedQuestion, Icon, type IconName, Message, questionState, StateIcon, time, useNow } from '@agentexec/react';
import { beginning, clean, duration, headline } from '@agentexec/client/text';
import { expiryOf, Question } from '../frame/question.tsx';

interface PendingProps {
  questions: readonly Asked[];
  /** The key of the question that the person chose. */
  chosen: string | undefined;
  /** Shows all questions. */
  onAll: () => void;
}

/**
 * The question that was chosen, or else the one that waits longest. It stays when it is closed, so that its end can be seen, until
 * another waits or the person leaves the activity.
 */
export function Pending({ questions, chosen, onAll }: PendingProps) {
  const now = useNow();
  const [shown, setShown] = useState<string>();
  const pending = questions.filter((question) => questionState(question, now) === 'PENDING');
  const keyed = (key: string | undefined) => pending.find((question) => question.key === key);
  const question = keyed(chosen) ?? keyed(shown) ?? pending[0] ?? questions.find(({ key }) => key === shown);
  if (!question) return null;
  if (question.key !== shown) setShown(question.key);
  const others = pending.filter(({ key }) => key !== question.key).length;
  return (
    <div className="asking">
      <Question key={question.key} question={question} autoFocus={question.key === chosen} />
      {others > 0 && <button type="button" className="ax-button ghost small" onClick={onAll}>{others === 1 ? '1 more question waits' : `${others} more questions wait`}</button>}
    </div>
  );
}

interface Props {
  questions: readonly Asked[];
  error: unknown;
  /** Shows the form of a question. */
  onAnswer: (key: string) => void;
}

/** All questions of an activity: those that wait, then the others, the newest first. */
export function Questions({ questions, error, onAnswer }: Props) {
  const now = useNow();
  const waits = (question: Asked) => questionState(question, now) === 'PENDING';
  const sorted = [...questions.filter(waits), ...questions.filter((question) => !waits(question)).reverse()];
  return (
    <div className="questions" role="region" aria-label="Questions" tabIndex={0}>
      {error !== undefined && <p className="problem" role="status">The questions may not be up to date. They are read again.</p>}
      <ul>{sorted.map((question) => <Row key={question.key} question={question} now={now} onAnswer={onAnswer} />)}</ul>
    </div>
  );
}

const icons: Record<Exclude<QuestionState, 'PENDING' | 'ANSWERED'>, IconName> = { DECLINED: 'x', EXPIRED: 'clock', WITHDRAWN: 'undo' };

function Row({ question, now, onAnswer }: { question: Asked; now: number; onAnswer: (key: string) => void }) {
  const { key, prompt, asked_at } = question;
  const state = questionState(question, now);
  return (
    <li className="asked" data-state={state}>
      {state === 'PENDING' || state === 'ANSWERED' ? <StateIcon state={state === 'PENDING' ? 'waiting' : 'complete'} label="" /> : <Icon name={icons[state]} />}
      <div>
        <div className="t"><Message text={prompt} length={300} lines={4} /></div>
        {state === 'PENDING' ? <p className="ax-ask-closed"><b>Waits for you</b> {duration((now - Date.parse(asked_at)) / 1000)} · {expiryOf(question, now)}</p> : <ClosedQuestion question={question} now={now} />}
        <p className="s">key {clean(beginning(key, 60, 1))} · asked at {time(Date.parse(asked_at))}</p>
      </div>
      {state === 'PENDING' && <button type="button" className="ax-button small" aria-label={`Answer: ${headline(prompt, 100)}`} onClick={() => onAnswer(key)}>Answer</button>}
    </li>
  );
}
