import { type ReactNode, useEffect, useRef, useState } from 'react';
import { useClient } from '@agentexec/react';
import { clean } from '@agentexec/client/text';
import { useQuestion } from './session.ts';

interface DialogProps {
  title: string;
  onClose: () => void;
  /** Closing it, rather than taking it away, gives the focus back to where it was. */
  children: (close: () => void) => ReactNode;
}

/** A dialog over everything else; Esc closes it. */
function Dialog({ title, onClose, children }: DialogProps) {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => box.current!.showModal(), []);
  return (
    <dialog ref={box} onClose={onClose} aria-label={title}>
      <h2>{title}</h2>
      {children(() => box.current?.close())}
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  /** The label of the button that does it. */
  verb: string;
  /** Does it; what it throws is shown. */
  act: () => Promise<void>;
  onClose: () => void;
  children: ReactNode;
}

export function Confirm({ title, verb, act, onClose, children }: ConfirmProps) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const go = async (close: () => void) => {
    setBusy(true);
    setProblem('');
    try {
      await act();
      close();
    } catch (e) {
      setProblem(e instanceof Error ? e.message : String(e));
    }
    setBusy(false);
  };
  return (
    <Dialog title={title} onClose={onClose}>
      {(close) => (
        <>
          {children}
          {problem && <p className="problem" role="alert">{clean(problem)}</p>}
          <div className="buttons">
            <button type="button" onClick={close} autoFocus>Keep</button>
            <button type="button" className="danger" aria-disabled={busy} onClick={() => !busy && void go(close)}>{verb}</button>
          </div>
        </>
      )}
    </Dialog>
  );
}

const keys = [['/', 'Search'], ['j  k', 'Next, previous activity'], ['Enter', 'Open it'], ['Esc', 'Leave a field, close the activity'], ['?', 'This list']];

export function Help({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      {(close) => (
        <>
          <dl className="keys">{keys.map(([key, what]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>)}</dl>
          <div className="buttons"><button type="button" onClick={close}>Close</button></div>
        </>
      )}
    </Dialog>
  );
}

/** Asks for a token where the server wants one. */
export function TokenPrompt() {
  const client = useClient();
  const question = useQuestion();
  const [text, setText] = useState('');
  if (!question) return null;
  return (
    <form
      id="enter" aria-label="Token"
      onSubmit={(e) => {
        e.preventDefault();
        question.answer(text.trim());
        setText('');
        client.reconnect();
      }}
    >
      <h2>A token is needed</h2>
      <p role="alert">{clean(question.reason.charAt(0).toUpperCase() + question.reason.slice(1))}</p>
      <label htmlFor="token">Paste one, or add <code>#token=...</code> to the address of this page. It is forgotten with this tab.</label>
      <div>
        <input id="token" type="password" autoComplete="off" spellCheck={false} required autoFocus value={text} onChange={(e) => setText(e.target.value)} />
        <button>Enter</button>
      </div>
      <p className="hint">The operator of the server makes one:</p>
      <pre tabIndex={0}>agentexec token --read</pre>
    </form>
  );
}
