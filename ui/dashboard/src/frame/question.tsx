import { lazy, Suspense } from 'react';
import type { Question as Asked } from '@agentexec/client';
import type { QuestionCardProps } from '@agentexec/react';
import { clean, duration } from '@agentexec/client/text';
import { rights } from '../session.ts';

const QuestionCard = lazy(() => import('./question_card.tsx'));

/** A question with the form for its answer. */
export function Question(props: Omit<QuestionCardProps, 'mayAnswer'>) {
  return (
    <Suspense fallback={<section className="ax-ask" data-st="waiting" aria-busy="true"><div className="ax-ask-prompt">{clean(props.question.prompt.slice(0, 400))}</div></section>}>
      <QuestionCard {...props} mayAnswer={rights().answer} />
    </Suspense>
  );
}

/** The time that a question still has: "expires in 48 min", "no expiry". */
export const expiryOf = ({ expires_at }: Asked, now: number): string =>
  (expires_at === null ? 'no expiry' : `expires in ${duration(Math.max(0, Math.ceil((Date.parse(expires_at) - now) / 1000)))}`);
