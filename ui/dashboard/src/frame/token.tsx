import { useLayoutEffect, useRef, useState } from 'react';
import { useClient } from '@agentexec/react';
import { type Refusal, useQuestion } from '../session.ts';
import { sentence } from './words.ts';

const titles: Record<Refusal, string> = {
  missing: 'Enter a token', wrong: 'This token is not valid', expired: 'The token has expired', 'no rights': 'This token may not read activities',
};
const hints: Record<Refusal, string> = {
  missing: 'The operator of the server makes one:', wrong: 'The operator of the server makes another one:', expired: 'The operator of the server makes a new one:',
  'no rights': 'The operator of the server makes one with the right to read:',
};

/** Asks for a token where the server wants one. */
export function TokenPrompt() {
  const client = useClient();
  const question = useQuestion();
  const [text, setText] = useState('');
  const field = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => field.current?.focus(), [question]);
  if (!question) return null;
  const { kind, reason } = question;
  return (
    <div className="curtain">
      <form
        id="enter" className="ax-panel ax-blank" aria-label="Token" data-kind={kind}
        onSubmit={(e) => {
          e.preventDefault();
          question.answer(text.trim());
          setText('');
          client.reconnect();
        }}
      >
        <h2>{titles[kind]}</h2>
        <p role="alert" className={kind === 'missing' ? undefined : 'problem'}>{kind === 'missing' ? 'A token is needed to read from this server.' : sentence(reason)}</p>
        <label htmlFor="token">Paste one, or add <code>#token=…</code> to the address of this page. It is forgotten with this tab.</label>
        <div className="buttons">
          <input id="token" ref={field} className="ax-field" type="password" autoComplete="off" spellCheck={false} required value={text} onChange={(e) => setText(e.target.value)} />
          <button className="ax-button solid">Enter</button>
        </div>
        <p className="hint">{hints[kind]}</p>
        <pre tabIndex={0}>agentexec token --read</pre>
      </form>
    </div>
  );
}
