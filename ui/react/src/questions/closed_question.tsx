import type { Json, Question, QuestionState } from '@agentexec/client';
import { beginning, clean } from '@agentexec/client/text';
import { Message } from '../parts.tsx';
import { time } from '../times.ts';

/** The state of a question now: a PENDING one whose time is over is EXPIRED, also before the server sends the line. */
export const questionState = ({ state, expires_at }: Question, now: number): QuestionState =>
  (state === 'PENDING' && expires_at !== null && Date.parse(expires_at) <= now ? 'EXPIRED' : state);

/** How a question was closed: by whom, when, and the answer. */
export function ClosedQuestion({ question, now }: { question: Question; now: number }) {
  const { answered_by, answer, closed_at, expires_at } = question;
  const state = questionState(question, now);
  const at = closed_at ?? (state === 'EXPIRED' ? expires_at : null);
  const by = answered_by && <> by <bdi>{clean(beginning(answered_by, 100, 1))}</bdi></>;
  const when = at && <> at <time dateTime={at} title={at}>{time(Date.parse(at))}</time></>;
  return (
    <p className="ax-ask-closed">
      {state === 'ANSWERED' && <>Answered{by}{when}: <Answer value={answer} /></>}
      {state === 'DECLINED' && <>Declined{by}{when}. There is no answer.</>}
      {state === 'EXPIRED' && <>Expired{when}. Its time was over before an answer came.</>}
      {state === 'WITHDRAWN' && <>Withdrawn{when}. The activity no longer asks.</>}
    </p>
  );
}

function Answer({ value }: { value: Json }) {
  if (value === true || value === false) return <b>{value ? 'Yes' : 'No'}</b>;
  return <b className={typeof value === 'string' ? undefined : 'ax-mono'}><Message text={typeof value === 'string' ? value : JSON.stringify(value)} length={300} lines={6} /></b>;
}
