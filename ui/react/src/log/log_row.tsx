import { memo, type ReactNode, type RefObject, useEffect, useLayoutEffect, useRef, useState } from 'react';
import type { Activity } from '@agentexec/client';
import { isFinal } from '@agentexec/client/state';
import { statusNames } from '@agentexec/client/text';
import { StateIcon } from '../icons.tsx';
import { exactTime, lasted, time } from '../times.ts';
import { JsonTree, summaryOf } from './json_tree.tsx';
import { levelNames } from './levels.ts';
import type { Row } from './log_rows.ts';
import { asksQuestion, type Line, type LogStore } from './log_store.ts';
import { LogText } from './log_text.tsx';
import type { Attempt } from './outline.ts';

interface RowProps {
  row: Row;
  /** Undefined while it is not here. */
  line: Line | undefined;
  store: LogStore;
  index: number;
  /** px below the first row. */
  top: number;
  sought: string;
  current: boolean;
  linked: boolean;
  /** The attempt that begins with this line, where there are several. */
  begins: Attempt | undefined;
  /** It is the line of the request to cancel. */
  canceled: Activity['cancel'] | undefined;
  /** It is the first line after the end. */
  late: boolean;
  /** The seqs of lines whose data is open: it stays so when the row is out of sight. */
  opened: Set<number>;
  sizes: RefObject<ResizeObserver | null>;
  onLink: (seq: number) => void;
}

export const LogRow = memo(function LogRow({ row, line, store, index, top, sought, current, linked, begins, canceled, late, opened, sizes, onLink }: RowProps) {
  const box = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState(opened.has(row.seq));
  useLayoutEffect(() => {
    const e = box.current!;
    sizes.current?.observe(e);
    return () => sizes.current?.unobserve(e);
  }, [sizes]);
  const place = { ref: box, 'data-index': index, style: { transform: `translateY(${top}px)` } };
  if (row.note) return <div className="ax-line-note" {...place}>{row.note.text}</div>;
  const { seq } = row;
  if (!line) return <div className="ax-line" {...place} data-seq={seq} data-loading aria-busy="true"><span className="ax-line-seq">{seq}</span></div>;
  const toggle = () => {
    if (open) opened.delete(seq);
    else opened.add(seq);
    setOpen(!open);
  };
  const asks = asksQuestion(line.data);
  const data = line.data !== null || Boolean(line.cut?.data);
  return (
    <div className="ax-line-place" {...place}>
      {begins && <AttemptDivider attempt={begins} />}
      {late && <Divider>Written after the end</Divider>}
      <div
        className="ax-line" data-seq={seq} data-level={asks ? undefined : line.level ?? undefined} data-status={line.changed ? line.status : undefined} data-linked={linked || undefined}
        data-mark={canceled ? 'cancel' : asks ? 'question' : line.trailing ? 'trailing' : undefined}
      >
        <a className="ax-line-seq" href={`#L${seq}`} onClick={(e) => (e.preventDefault(), onLink(seq))} aria-label={`Line ${seq}`} aria-current={linked || undefined}>{seq}</a>
        <time dateTime={line.created_at} title={line.created_at + (line.gap === null ? '' : `, ${between(line.gap)} after the line before`)}>{exactTime(line.at)}</time>
        <span className="ax-line-level">{asks ? 'ASK' : line.level && levelNames[line.level]}</span>
        <div className="ax-line-body">
          {line.changed && <StateIcon state={stateOf(line)} label={statusNames[line.status]} />}
          {canceled && <b className="ax-line-mark">Cancel requested{canceled.requested_by ? ' by ' : ' '}{canceled.requested_by && <bdi>{canceled.requested_by}</bdi>} </b>}
          <LogText
            message={line.message} length={line.cut?.message ?? line.message.length} sought={sought} current={current}
            full={async () => (await store.full(seq))?.message ?? line.message}
          />
          {data && (
            <button type="button" className="ax-data" aria-expanded={open} onClick={toggle}>
              <span aria-hidden="true">{open ? '▾' : '▸'}</span> {line.data === null ? 'data' : summaryOf(line.data)}
            </button>
          )}
        </div>
        <span className="ax-line-percent">{line.percentage === null ? '' : `${line.percentage}%`}</span>
        {open && data && <div className="ax-json">{line.data === null ? <FullData store={store} seq={seq} /> : <JsonTree value={line.data} />}</div>}
      </div>
    </div>
  );
});

const stateOf = ({ status }: Line) => status.toLowerCase() as 'queued' | 'running' | 'complete' | 'error' | 'canceled';

function FullData({ store, seq }: { store: LogStore; seq: number }) {
  const [data, setData] = useState<unknown>();
  const [failed, setFailed] = useState(false);
  useEffect(() => void store.full(seq).then((line) => setData(line?.data ?? null), () => setFailed(true)), [store, seq]);
  return failed ? <>The data could not be read. Close and open it to try again.</> : data === undefined ? <>Reading …</> : <JsonTree value={data} />;
}

function Divider({ children }: { children: ReactNode }) {
  return <div className="ax-divider">{children}</div>;
}

const ends: Partial<Record<string, string>> = { COMPLETE: 'complete', ERROR: 'failed', CANCELED: 'canceled' };

/** Where an attempt begins: "Attempt 2 started 14:09:12, failed after 2m 58s". */
export function AttemptDivider({ attempt: { number, startedAt, end } }: { attempt: Attempt }) {
  const state = end && isFinal(end.status) ? (end.status.toLowerCase() as 'complete' | 'error' | 'canceled') : startedAt ? 'running' : 'queued';
  const took = end && startedAt !== null ? ` after ${lasted(end.at - startedAt)}` : '';
  return (
    <Divider>
      <StateIcon state={state} label="" />
      <b>Attempt {number}</b> <span>{startedAt === null ? 'not started' : `started ${time(startedAt)}`}{end && `, ${ends[end.status]}${took}`}</span>
    </Divider>
  );
}

/** A time between two lines: "40 ms", "1.5 s", "3 min", "2.5 h". */
export function between(ms: number): string {
  if (ms < 1000) return `${ms} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 3_570_000 ? `${Math.round(ms / 60_000)} min` : `${(ms / 3_600_000).toFixed(1)} h`;
}
