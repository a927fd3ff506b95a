import { memo, type RefObject, useLayoutEffect, useRef, useState } from 'react';
import { Message, StatusBadge } from '@agentexec/react';
import { clean } from '@agentexec/client/text';
import { JsonTree } from './json_tree.tsx';
import type { Entry, Line } from './log_model.ts';
import { exact, When } from './times.tsx';

interface Props {
  entry: Entry;
  index: number;
  /** px below the first line. */
  top: number;
  /** Milliseconds since the line above, null where there is none. */
  gap: number | null;
  sought: string;
  /** The seqs of lines whose data is open: it stays so when the row is out of sight. */
  opened: Set<number>;
  sizes: RefObject<ResizeObserver | null>;
}

/** A time between two lines: "+40 ms", "+1.5 s", "+3 min", "+2.5 h". */
export function between(ms: number): string {
  if (ms < 1000) return `+${ms} ms`;
  if (ms < 59_950) return `+${(ms / 1000).toFixed(1)} s`;
  return ms < 3_570_000 ? `+${Math.round(ms / 60_000)} min` : `+${(ms / 3_600_000).toFixed(1)} h`;
}

export const LogRow = memo(function LogRow({ entry, index, top, gap, sought, opened, sizes }: Props) {
  const row = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const e = row.current!;
    sizes.current?.observe(e);
    return () => sizes.current?.unobserve(e);
  }, [sizes]);
  const place = { ref: row, 'data-index': index, style: { transform: `translateY(${top}px)` } };
  if (entry.kind === 'note') return <div className="note place" {...place}>{entry.text}</div>;
  return (
    <div className="line place" {...place} data-seq={entry.seq} data-status={entry.changed ? entry.status : undefined}>
      {entry.begins && <div className="begins"><h4>Attempt {entry.attempt}</h4> <When iso={entry.created_at} /></div>}
      <span className="seq">{entry.seq}</span>
      <time dateTime={entry.created_at} title={entry.created_at}>{exact(entry.at)}</time>
      <span className="gap">{gap === null ? '' : between(gap)}</span>
      <div className="body">
        {entry.changed && <StatusBadge status={entry.status} />}
        <Text line={entry} sought={sought} />
        {entry.data !== null && <Data line={entry} opened={opened} />}
      </div>
      <span className="percent">{entry.percentage === null ? '' : `${entry.percentage}%`}</span>
    </div>
  );
});

// Text shows the message, and what is sought where it is. Letters that are longer in lower case would shift the place.
function Text({ line: { message }, sought }: { line: Line; sought: string }) {
  const lower = sought ? message.toLowerCase() : '';
  const at = lower.length === message.length ? lower.indexOf(sought) : -1;
  if (!sought || at < 0) return <Message text={message} lines={8} />;
  let from = Math.max(0, at - 200);
  if (/[\udc00-\udfff]/.test(message[from]!)) from++; // not through the middle of a character
  const end = at + sought.length;
  const after = message.slice(end, end + 400).replace(/[\ud800-\udbff]$/, '');
  return (
    <span className="ax-message" dir="auto">
      {from > 0 && '… '}{clean(message.slice(from, at))}<mark>{clean(message.slice(at, end))}</mark>{clean(after)}{end + after.length < message.length && ' …'}
    </span>
  );
}

function Data({ line, opened }: { line: Line; opened: Set<number> }) {
  const [open, setOpen] = useState(opened.has(line.seq));
  const toggle = (now: boolean) => {
    setOpen(now);
    if (now) opened.add(line.seq);
    else opened.delete(line.seq);
  };
  return (
    <details className="data" open={open} onToggle={(e) => toggle(e.currentTarget.open)}>
      <summary>data</summary>
      {open && <div className="json"><JsonTree value={line.data} /></div>}
    </details>
  );
}
