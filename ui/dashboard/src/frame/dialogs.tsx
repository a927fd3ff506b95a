import { type ReactNode, useLayoutEffect, useRef, useState } from 'react';
import { useShortcuts } from './keys.ts';
import { wordsOf } from './words.ts';

interface DialogProps {
  title: string;
  onClose: () => void;
  /** Closing it, rather than taking it away, gives the focus back to where it was. */
  children: (close: () => void) => ReactNode;
}

/** A dialog over everything else; Esc closes it. */
export function Dialog({ title, onClose, children }: DialogProps) {
  const box = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => box.current!.showModal(), []);
  return (
    <dialog className="ax-dialog" ref={box} onClose={onClose} aria-label={title}>
      <h2>{title}</h2>
      {children(() => box.current?.close())}
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  /** The label of the button that does it. */
  verb: string;
  /** The label of the button that leaves everything as it is. Default "Keep". */
  keep?: string;
  /** Does it; an error is shown in words. */
  act: () => Promise<void>;
  onClose: () => void;
  children: ReactNode;
}

export function Confirm({ title, verb, keep = 'Keep', act, onClose, children }: ConfirmProps) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const go = async (close: () => void) => {
    setBusy(true);
    setProblem('');
    try {
      await act();
      close();
    } catch (e) {
      setProblem(wordsOf(e));
    }
    setBusy(false);
  };
  return (
    <Dialog title={title} onClose={onClose}>
      {(close) => (
        <>
          {children}
          {problem && <p className="problem" role="alert">{problem}</p>}
          <div className="buttons">
            <button type="button" className="ax-button" onClick={close} autoFocus>{keep}</button>
            <button type="button" className="ax-button solid danger" aria-disabled={busy} onClick={() => !busy && void go(close)}>{verb}</button>
          </div>
        </>
      )}
    </Dialog>
  );
}

const names: Record<string, string> = { Escape: 'Esc', ArrowUp: '↑', ArrowDown: '↓', ArrowLeft: '←', ArrowRight: '→', ' ': 'Space' };
const caps = (key: string) => (key.length > 1 && key.includes(' ') ? key.split(' ') : [key]).map((k) => names[k] ?? k);

/** The keys that do something on this page. */
export function Help({ onClose }: { onClose: () => void }) {
  const shortcuts = useShortcuts();
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      {(close) => (
        <>
          <dl className="shortcuts">
            {shortcuts.map(({ keys, description }) => (
              <div key={description}>
                <dt>{keys.map((key) => <span key={key}>{caps(key).map((cap) => <kbd key={cap} className="ax-key">{cap}</kbd>)}</span>)}</dt>
                <dd>{description}</dd>
              </div>
            ))}
          </dl>
          <div className="buttons"><button type="button" className="ax-button" onClick={close}>Close</button></div>
        </>
      )}
    </Dialog>
  );
}
