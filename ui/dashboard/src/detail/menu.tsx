import { type ReactNode, useEffect, useId, useRef, useState } from 'react';

interface MenuProps {
  /** The accessible name of the button. */
  label: string;
  className?: string;
  /** What the button shows. */
  button: ReactNode;
  /** Buttons with role="menuitem". */
  children: ReactNode;
}

/** A button that opens a menu. Arrow keys move in it; Esc, a choice and a click elsewhere close it. */
export function Menu({ label, className = 'ax-button ghost icon', button, children }: MenuProps) {
  const [open, setOpen] = useState(false);
  const [box, opener] = [useRef<HTMLDivElement>(null), useRef<HTMLButtonElement>(null)];
  const id = useId();
  const items = () => [...box.current!.querySelectorAll<HTMLElement>('[role=menuitem]')];
  const close = (back: boolean) => {
    setOpen(false);
    if (back) opener.current!.focus();
  };
  useEffect(() => {
    if (!open) return;
    items()[0]?.focus();
    const elsewhere = (e: Event) => !box.current?.parentElement?.contains(e.target as Node) && setOpen(false);
    addEventListener('pointerdown', elsewhere);
    return () => removeEventListener('pointerdown', elsewhere);
  }, [open]);
  const pressed = (e: React.KeyboardEvent) => {
    const all = items();
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[e.key];
    if (e.key === 'Escape') close(true);
    else if (e.key === 'Tab') return setOpen(false);
    else if (to !== undefined) all.at(to % all.length)?.focus();
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  return (
    <span className="menu">
      <button
        ref={opener} type="button" className={className} aria-label={label} title={label} aria-haspopup="menu" aria-expanded={open} aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
      >
        {button}
      </button>
      {open && (
        <div ref={box} id={id} className="ax-menu" role="menu" aria-label={label} onKeyDown={pressed} onClick={(e) => (e.target as HTMLElement).closest('[role=menuitem]') && close(true)}>
          {children}
        </div>
      )}
    </span>
  );
}

export const MenuItem = ({ onClick, danger, id, children }: { onClick: () => void; danger?: boolean; id?: string; children: ReactNode }) => (
  <button type="button" role="menuitem" tabIndex={-1} id={id} className={danger ? 'danger' : undefined} onClick={onClick}>{children}</button>
);
