import { createContext, type ReactNode, useContext, useId, useLayoutEffect, useRef, useState } from 'react';

interface Props {
  /** The accessible name of the button and of the menu. */
  label: string;
  className?: string;
  /** What the button shows. */
  button: ReactNode;
  /** Each an Entry. */
  children: ReactNode;
}

/** Closes the menu that an entry is in. */
const Close = createContext(() => {});

/** A button with a menu. Arrows, Home and End move in it; Esc, a choice and a click elsewhere close it. */
export function Menu({ label, className = 'ax-button', button, children }: Props) {
  const [open, setOpen] = useState(false);
  const [root, opener] = [useRef<HTMLSpanElement>(null), useRef<HTMLButtonElement>(null)];
  const id = useId();
  const entries = () => [...root.current!.querySelectorAll<HTMLElement>('[role=menu] :is([role=menuitem], [role=menuitemradio])')];
  const close = () => {
    setOpen(false);
    opener.current!.focus();
  };
  // The focus moves before the next key can be pressed, so that Esc closes the menu and not what is below it.
  useLayoutEffect(() => {
    if (!open) return;
    (entries().find((e) => e.ariaChecked === 'true') ?? entries()[0])?.focus();
    const elsewhere = (e: Event) => !root.current?.contains(e.target as Node) && setOpen(false);
    addEventListener('pointerdown', elsewhere);
    addEventListener('focusin', elsewhere);
    return () => {
      removeEventListener('pointerdown', elsewhere);
      removeEventListener('focusin', elsewhere);
    };
  }, [open]);
  const pressed = (e: React.KeyboardEvent) => {
    const all = entries();
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[e.key];
    if (e.key === 'Escape') close();
    else if (e.key === 'Tab') return setOpen(false);
    else if (to !== undefined) all.at(to % all.length)?.focus();
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  return (
    <span ref={root} className="menu" onKeyDown={open ? pressed : undefined}>
      <button
        ref={opener} type="button" className={className} aria-label={label} title={label} aria-haspopup="menu" aria-expanded={open} aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
      >
        {button}
      </button>
      {open && <div id={id} className="ax-menu" role="menu" aria-label={label}><Close.Provider value={close}>{children}</Close.Provider></div>}
    </span>
  );
}

interface EntryProps {
  onClick: () => void;
  /** Whether it is the one of several that holds; undefined for what is done. */
  checked?: boolean;
  danger?: boolean;
  children: ReactNode;
}

export function Entry({ onClick, checked, danger, children }: EntryProps) {
  const close = useContext(Close);
  const role = checked === undefined ? { role: 'menuitem' } : { role: 'menuitemradio', 'aria-checked': checked };
  // The menu closes first: what is chosen may move the focus to a field or a dialog.
  return <button type="button" tabIndex={-1} className={danger ? 'danger' : undefined} {...role} onClick={() => (close(), onClick())}>{children}</button>;
}
