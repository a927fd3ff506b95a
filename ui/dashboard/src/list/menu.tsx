import { type ReactNode, useEffect, useId, useRef, useState } from 'react';

interface Props {
  /** The button's content. */
  button: ReactNode;
  className?: string;
  /** The accessible name of the button where its content has none, and of the menu. */
  label: string;
  /** The entries; close takes the menu away. */
  children: (close: () => void) => ReactNode;
}

/** A button with a menu: arrows move, Esc and a click elsewhere close it. */
export function Menu({ button, className = 'ax-button', label, children }: Props) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const trigger = useRef<HTMLButtonElement>(null);
  const id = useId();
  const entries = () => [...root.current!.querySelectorAll<HTMLElement>('[role=menu] :is([role=menuitem], [role=menuitemradio])')];

  useEffect(() => {
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

  const close = () => {
    setOpen(false);
    trigger.current?.focus();
  };
  const pressed = (e: React.KeyboardEvent) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    const all = entries();
    const at = all.indexOf(document.activeElement as HTMLElement);
    if (e.key === 'Escape') close();
    else if (by) all[(at + by + all.length) % all.length]?.focus();
    else if (e.key === 'Home') all[0]?.focus();
    else if (e.key === 'End') all.at(-1)?.focus();
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  return (
    <div className="menu-root" ref={root} onKeyDown={open ? pressed : undefined}>
      <button type="button" ref={trigger} className={className} aria-label={label} title={label} aria-haspopup="menu" aria-expanded={open} aria-controls={open ? id : undefined} onClick={() => setOpen(!open)}>
        {button}
      </button>
      {open && <div className="ax-menu" id={id} role="menu" aria-label={label}>{children(close)}</div>}
    </div>
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
  const role = checked === undefined ? { role: 'menuitem' } : { role: 'menuitemradio', 'aria-checked': checked };
  return <button type="button" tabIndex={-1} className={danger ? 'danger' : undefined} {...role} onClick={onClick}>{children}</button>;
}
