import { useState } from 'react';
import { beginning, clean } from '@agentexec/client/text';
import { Message } from '../parts.tsx';

const MOST = 200; // children shown at once
const LONGEST = 1_000; // characters of a key
const KEYS = 32; // characters of a summary

export interface JsonTreeProps {
  value: unknown;
  /** The levels that are open at first. Default 1. */
  open?: number | undefined;
  name?: string | undefined;
}

/** A JSON value as a tree that folds. */
export function JsonTree({ value, name, open: levels = 1 }: JsonTreeProps) {
  const [open, setOpen] = useState(levels > 0);
  const [most, setMost] = useState(MOST);
  const key = name === undefined ? null : <span className="ax-json-key">{clean(beginning(name, LONGEST))}: </span>;
  const raw = rawNumber(value);
  if (raw !== undefined || typeof value !== 'object' || value === null) {
    return (
      <div className="ax-json-leaf" dir="ltr">
        {key}
        {typeof value === 'string' ? <span className="ax-json-text"><Message text={JSON.stringify(value)} length={20_000} lines={500} /></span> : <span className="ax-json-value">{raw ?? String(value)}</span>}
      </div>
    );
  }
  const children = Object.entries(value);
  return (
    <details open={open} onToggle={(e) => (e.stopPropagation(), setOpen(e.currentTarget.open))} dir="ltr">
      <summary>{key}<span className="ax-json-sum">{Array.isArray(value) ? `[${children.length}]` : `{${children.length}}`}</span></summary>
      {open && children.slice(0, most).map(([k, v]) => <JsonTree key={k} name={k} value={v} open={levels - 1} />)}
      {open && children.length > most && <button type="button" className="ax-more" onClick={() => setMost(most + MOST)}>Show more of {children.length.toLocaleString()}</button>}
    </details>
  );
}

/** A JSON value in a few characters: its keys, the number of its items, or the beginning of the value. */
export function summaryOf(value: unknown): string {
  const raw = rawNumber(value);
  if (raw !== undefined || typeof value !== 'object' || value === null) return clean(beginning(raw ?? (typeof value === 'string' ? JSON.stringify(beginning(value, KEYS)) : String(value)), KEYS, 1));
  if (Array.isArray(value)) return `[${value.length}]`;
  let text = '';
  for (const key in value) {
    const more = clean(beginning(key, KEYS, 1));
    if (text.length + more.length > KEYS) return `{${text}, …}`.replace('{, ', '{');
    text += (text && ', ') + more;
  }
  return `{${text}}`;
}

// A client may keep numbers that JavaScript would round as they were written.
const native = JSON as typeof JSON & { isRawJSON?: (value: unknown) => value is { rawJSON: string } };

/** The text of a number that is kept as it was written; else undefined. */
export const rawNumber = (value: unknown): string | undefined => (native.isRawJSON?.(value) ? value.rawJSON : undefined);
