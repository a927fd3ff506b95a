import { type FormEvent, useEffect, useId, useMemo, useRef, useState } from 'react';
import { ProblemError, type Question, type QuestionState } from '@agentexec/client';
import { beginning, clean, duration } from '@agentexec/client/text';
import { useNow } from '../clock.ts';
import { useClient } from '../hooks.tsx';
import { StateIcon } from '../icons.tsx';
import { classes, Message } from '../parts.tsx';
import { ClosedQuestion, questionState } from './closed_question.tsx';
import { Fields } from './fields.tsx';
import { answerOf, byField, type Draft, draftOf, formOf, leavesOf, problemOf } from './form.ts';

export interface QuestionCardProps {
  question: Question;
  /** Whether the token grants `answer`. Default true; a server that refuses is believed. */
  mayAnswer?: boolean | undefined;
  /** Is called with the question as it is after an answer, or after another person closed it. */
  onClosed?: ((question: Question) => void) | undefined;
  /** The first control gets the focus at once, such as where the card was unfolded. */
  autoFocus?: boolean | undefined;
  className?: string | undefined;
}

/** A question with the form for its answer, made from its schema, or how it was closed. */
export function QuestionCard({ question, className, onClosed, ...props }: QuestionCardProps) {
  const [closed, setClosed] = useState<Question>();
  const now = useNow();
  const box = useRef<HTMLElement>(null);
  const prompt = useId();
  const shown = closed?.key === question.key && closed.agent_id === question.agent_id && question.state === 'PENDING' ? closed : question;
  const open = questionState(shown, now) === 'PENDING';
  // Where the form goes away under the hands of a person, the focus stays at its question.
  const focused = useRef(false);
  useEffect(() => {
    if (!open && focused.current) box.current?.focus();
    focused.current = false;
  }, [open]);
  const close = (to: Question) => {
    setClosed(to);
    onClosed?.(to);
  };
  return (
    <section
      className={classes('ax-ask', className)} data-st={open ? 'waiting' : undefined} data-state={questionState(shown, now)} aria-labelledby={prompt} tabIndex={-1} ref={box}
      onFocus={() => (focused.current = open)} onBlur={(e) => e.relatedTarget && (focused.current = false)}
    >
      <div className="ax-ask-head">
        {open ? <><StateIcon state="waiting" label="" /><b>Waits for you</b> {duration((now - Date.parse(shown.asked_at)) / 1000)}</> : <b>{names[questionState(shown, now)]}</b>}
        <span className="ax-clip" title={clean(shown.key)}>key {clean(beginning(shown.key, 60, 1))}</span>
      </div>
      <div className="ax-ask-prompt" id={prompt}><Message text={shown.prompt} length={400} lines={6} /></div>
      <div role="status">{!open && <ClosedQuestion question={shown} now={now} />}</div>
      {open && <AnswerForm key={shown.key} question={shown} promptId={prompt} onClosed={close} {...props} />}
    </section>
  );
}

const names: Record<QuestionState, string> = { PENDING: 'Waits for you', ANSWERED: 'Answered', DECLINED: 'Declined', EXPIRED: 'Expired', WITHDRAWN: 'Withdrawn' };

interface FormProps extends Pick<QuestionCardProps, 'question' | 'mayAnswer' | 'autoFocus'> {
  promptId: string;
  onClosed: (question: Question) => void;
}

const NOT_GRANTED = 'The token does not grant answer, so this form is disabled.';

function AnswerForm({ question, promptId, mayAnswer = true, autoFocus, onClosed }: FormProps) {
  const client = useClient();
  const { agent_id, key, schema } = question;
  const form = useMemo(() => formOf(schema), [schema]);
  const [draft, setDraft] = useState<Draft>(() => draftOf(form));
  const [problems, setProblems] = useState<Readonly<Record<string, string>>>({});
  const [refused, setRefused] = useState('');
  const [said, setSaid] = useState('');
  const [sending, setSending] = useState<'answer' | 'decline'>();
  const busy = useRef(false); // a second click may come before the first is drawn
  const box = useRef<HTMLFormElement>(null);
  const barred = refused || (mayAnswer ? '' : NOT_GRANTED);
  const disabled = Boolean(barred) || sending !== undefined;

  const focus = (path: string) => {
    const control = [...(box.current?.querySelectorAll<HTMLElement>('[data-path]') ?? [])].find(({ dataset }) => dataset['path'] === path);
    (control?.querySelector<HTMLElement>('input') ?? control)?.focus();
  };
  useEffect(() => {
    if (autoFocus) focus(leavesOf(form)[0]?.path ?? '');
  }, []);

  // Controls that are disabled while an answer is sent lose the focus. It goes to the first problem, or back.
  const next = useRef<string>(undefined);
  const last = useRef<Element>(null);
  useEffect(() => {
    if (sending) return;
    if (next.current !== undefined) focus(next.current);
    else if (document.activeElement === document.body && last.current instanceof HTMLElement) last.current.focus();
    next.current = undefined;
    last.current = null;
  }, [problems, sending]);

  const show = (found: Readonly<Record<string, string>>) => {
    setProblems(found);
    next.current = leavesOf(form).find(({ path }) => found[path])?.path;
  };

  const send = async (what: 'answer' | 'decline', call: () => Promise<Question>) => {
    if (busy.current || barred) return;
    busy.current = true;
    last.current = document.activeElement;
    setSending(what);
    setSaid('');
    setProblems({});
    try {
      onClosed(await call());
    } catch (e) {
      await failed(e);
    }
    busy.current = false;
    setSending(undefined);
  };

  const failed = async (e: unknown) => {
    const status = e instanceof ProblemError ? e.status : 0;
    const detail = e instanceof ProblemError ? e.message : '';
    if (status === 403) return setRefused(/answer/.test(detail) ? NOT_GRANTED : sentence(detail));
    if (status === 422) return show(byField(form, [problemOf(form, detail)]));
    if (status === 409) {
      // Another person was faster: the question itself says how and who.
      const now = await client.question(agent_id, key).catch(() => undefined);
      if (now && now.state !== 'PENDING') return onClosed(now);
    }
    setSaid(status ? sentence(detail) : 'The server cannot be reached. Try again when the connection is back.');
  };

  const submit = (e: FormEvent) => {
    e.preventDefault();
    const { value, problems } = answerOf(form, draft);
    if (problems.length) show(byField(form, problems));
    else void send('answer', () => client.answer(agent_id, key, value!));
  };
  const change = (path: string, text: string) => {
    setDraft((before) => ({ ...before, [path]: text }));
    setProblems(({ [path]: _, '': __, ...others }) => others);
  };
  const outside = problems[''] ?? said;
  return (
    <form onSubmit={submit} noValidate aria-busy={sending !== undefined} ref={box}>
      <Fields field={form} draft={draft} problems={problems} disabled={disabled} promptId={promptId} onChange={change} />
      {barred && <p className="ax-ask-note">{barred}</p>}
      <div role="alert">{outside && <p className="ax-ask-problem">{clean(outside)}</p>}</div>
      <div className="ax-ask-buttons">
        <button type="submit" className="ax-button solid" disabled={disabled}>{sending === 'answer' ? 'Sending …' : 'Answer'}</button>
        <button type="button" className="ax-button" disabled={disabled} onClick={() => void send('decline', () => client.decline(agent_id, key))}>{sending === 'decline' ? 'Sending …' : 'Decline'}</button>
        <Expiry at={question.expires_at} />
      </div>
    </form>
  );
}

const sentence = (text: string) => text && text[0]!.toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');

/** The time that is left, by the server's clock. */
function Expiry({ at }: { at: string | null }) {
  const now = useNow();
  if (at === null) return <small>no expiry</small>;
  return <small title={at}>expires in {duration(Math.max(0, Math.ceil((Date.parse(at) - now) / 1000)))}</small>;
}
