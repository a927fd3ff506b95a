import { useState } from 'react';
import { Message } from '@agentexec/react';
import { beginning, clean } from '@agentexec/client/text';
import { rawNumber } from './json.ts';
import { grouped } from './numbers.ts';

const MOST = 200; // children shown at once
const OPEN = 1; // levels
const LONGEST = 1_000; // characters of a key

/** A JSON value as a tree that folds. */
export function JsonTree({ value, name, depth = 0 }: { value: unknown; name?: string; depth?: number }) {
  const [open, setOpen] = useState(depth < OPEN);
  const [most, setMost] = useState(MOST);
  const key = name === undefined ? null : <span className="key">{clean(beginning(name, LONGEST))}: </span>;
  const raw = rawNumber(value);
  if (raw !== undefined || typeof value !== 'object' || value === null) {
    return (
      <div className="leaf" dir="ltr">
        {key}
        {typeof value === 'string' ? <Message text={JSON.stringify(value)} length={20_000} lines={500} /> : <span className="value">{raw ?? String(value)}</span>}
      </div>
    );
  }
  const children = Object.entries(value);
  const sum = Array.isArray(value) ? `[${children.length}]` : `{${children.length}}`;
  return (
    <details open={open} onToggle={(e) => (e.stopPropagation(), setOpen(e.currentTarget.open))} dir="ltr">
      <summary>{key}<span className="sum">{sum}</span></summary>
      {open && children.slice(0, most).map(([k, v]) => <JsonTree key={k} name={k} value={v} depth={depth + 1} />)}
      {open && children.length > most && <button type="button" onClick={() => setMost(most + MOST)}>Show more of {grouped(children.length)}</button>}
    </details>
  );
}
