import { useState } from 'react';
import type { Question as Asked } from '@agentexec/client';
import { type QuestionsResult, StateIcon, useNow } from '@agentexec/react';
import { beginning, clean, duration, headline } from '@agentexec/client/text';
import { expiryOf, Question } from '../frame/question.tsx';
import { Link } from '../frame/top.tsx';
import { grouped } from '../numbers.ts';
import { pathOf } from '../route.ts';

export const SHOWN = 8; // questions

const nameOf = ({ agent_id, key }: Asked) => agent_id + ' ' + key;

/** The questions that wait longest, each with its form where the person unfolds it. */
export function Waiting({ questions, more }: Pick<QuestionsResult, 'questions' | 'more'>) {
  const [opened, setOpened] = useState<Asked>();
  // The question that is open stays when it is closed, so that its end can be seen.
  const gone = opened && !questions.some((question) => nameOf(question) === nameOf(opened));
  const shown = gone ? [...questions, opened].sort((a, b) => (a.asked_at < b.asked_at ? -1 : 1)) : questions;
  if (!shown.length) return null;
  return (
    <>
      <h3 className="sub">Waiting for a person <span className="n">{grouped(questions.length)}{more && '+'} {questions.length === 1 ? 'question' : 'questions'}</span></h3>
      <ul>
        {shown.map((question) => {
          const open = opened !== undefined && nameOf(question) === nameOf(opened);
          return <WaitingRow key={nameOf(question)} question={question} open={open} gone={Boolean(open && gone)} onOpen={() => setOpened(open ? undefined : question)} onClosed={setOpened} />;
        })}
      </ul>
      {more && <p className="rest"><Link to={pathOf(null, '?waiting=true')}>All that wait</Link></p>}
    </>
  );
}

interface RowProps {
  question: Asked;
  open: boolean;
  /** It no longer waits. */
  gone: boolean;
  onOpen: () => void;
  onClosed: (question: Asked) => void;
}

function WaitingRow({ question, open, gone, onOpen, onClosed }: RowProps) {
  const now = useNow();
  const { agent_id, agent_type = '', key, prompt, asked_at } = question;
  const type = clean(beginning(agent_type, 255));
  const waits = `waits ${duration((now - Date.parse(asked_at)) / 1000)} · ${expiryOf(question, now)}`;
  // The form shows the prompt, so that the row of an open one need not.
  const text = open ? type : headline(prompt) || clean(key);
  const said = gone ? 'No longer waits' : open ? waits : `${type} · ${waits}`;
  return (
    <li data-st={gone ? undefined : 'waiting'}>
      <div className="need" data-st={gone ? undefined : 'waiting'}>
        <StateIcon state="waiting" {...(gone && { label: '' })} />
        <div className="ax-clip">
          <Link to={pathOf(agent_id, '')} className="t"><bdi title={text}>{text}</bdi></Link>
          <div className="s ax-clip" title={said}>{said}</div>
        </div>
        <div className="act"><button type="button" className="ax-button small" aria-expanded={open} aria-label={`${open ? 'Hide' : 'Answer'}: ${headline(prompt, 100)}`} onClick={onOpen}>{open ? 'Hide' : 'Answer'}</button></div>
      </div>
      {open && <div className="answering"><Question question={question} autoFocus onClosed={onClosed} /></div>}
    </li>
  );
}
