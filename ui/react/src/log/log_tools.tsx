import { useState } from 'react';
import { clean } from '@agentexec/client/text';
import { Icon } from '../icons.tsx';
import { classes } from '../parts.tsx';
import type { Found } from './finder.ts';
import { copyLog, downloadLog } from './log_file.ts';
import { type LogHandle, useLogView } from './log_handle.ts';
import type { Level } from './levels.ts';

const grouped = (n: number) => String(n).replace(/\B(?=(\d{3})+$)/g, ',');

export interface LogToolsProps {
  /** From `useLog`. */
  log: LogHandle;
  className?: string | undefined;
}

const filters: Record<string, { label: string; level: Level | null; changes: boolean }> = {
  all: { label: 'All levels', level: null, changes: false },
  debug: { label: 'Debug and above', level: 'debug', changes: false },
  info: { label: 'Info and above', level: 'info', changes: false },
  warn: { label: 'Warnings, errors', level: 'warn', changes: false },
  error: { label: 'Errors', level: 'error', changes: false },
  changes: { label: 'Status changes', level: null, changes: true },
};

/** The search and the filters of a log, and what takes it along. */
export function LogTools({ log: handle, className }: LogToolsProps) {
  const { text, sought, level, changes, only, hits, filtered, current, wrap } = useLogView(handle);
  const [said, setSaid] = useState('');
  const tell = (work: Promise<string>) => void (setSaid('Reading the log …'), work).then(setSaid, (e: unknown) => setSaid(e instanceof TakeError ? e.message : 'The log could not be read. Try again.'));
  return (
    <div className={classes('ax-log-tools', className)} role="group" aria-label="Log">
      <div className="ax-find">
        <Icon name="search" />
        <input
          type="text" inputMode="search" enterKeyHint="search" autoComplete="off" spellCheck={false} placeholder="Search the log" aria-label="Search the log" value={text}
          onChange={(e) => handle.find(e.target.value)}
          onKeyDown={(e) => {
            if (e.key === 'Enter') e.preventDefault(), handle.next(e.shiftKey ? -1 : 1);
            else if (e.key === 'Escape' && text) e.stopPropagation(), handle.find('');
          }}
        />
        {sought && (
          <>
            <span className="ax-find-count" role="status">{counted(hits, current)}</span>
            <button type="button" className="ax-button ghost icon" aria-label="Previous hit" title="Previous hit (N)" onClick={() => handle.next(-1)}><Icon name="up" /></button>
            <button type="button" className="ax-button ghost icon" aria-label="Next hit" title="Next hit (n)" onClick={() => handle.next(1)}><Icon name="down" /></button>
            <button type="button" className="ax-button ghost" aria-pressed={only} onClick={() => handle.filter({ only: !only })}>Only hits</button>
          </>
        )}
      </div>
      <select
        className="ax-button ghost ax-levels" aria-label="Levels" value={changes ? 'changes' : (level ?? 'all')}
        onChange={(e) => handle.filter(filters[e.target.value]!)}
      >
        {Object.entries(filters).map(([key, { label }]) => <option key={key} value={key}>{label}</option>)}
      </select>
      {filtered && <span className="ax-filtered" role="status">{grouped(filtered.seqs.length)} of {grouped(filtered.total)}{filtered.done ? '' : `, ${shareOf(filtered)}`}</span>}
      <button type="button" className="ax-button ghost icon" aria-label="Wrap lines" title="Wrap lines" aria-pressed={wrap} onClick={() => handle.wrap(!wrap)}><Icon name="wrap" /></button>
      <button type="button" className="ax-button ghost icon ax-copy" aria-label="Copy the log" title="Copy the log" onClick={() => tell(copy(handle))}><Icon name="copy" /></button>
      <button type="button" className="ax-button ghost icon ax-download" aria-label="Download the log" title="Download the log" onClick={() => tell(downloadLog(handle.store).then(() => ''))}><Icon name="save" /></button>
      <span className="ax-said" role="status">{clean(said)}</span>
    </div>
  );
}

class TakeError extends Error {}

async function copy({ store }: LogHandle): Promise<string> {
  if (!navigator.clipboard) throw new TakeError('This page may not copy. Use Download.');
  await copyLog(store);
  return 'Copied';
}

function counted(found: Found | undefined, current: number | null): string {
  if (!found) return '';
  const { seqs, done } = found;
  const at = current === null ? -1 : seqs.indexOf(current);
  const hits = seqs.length || done ? `${at < 0 ? '' : grouped(at + 1) + ' of '}${grouped(seqs.length)}` : '';
  return done ? (seqs.length ? hits : 'No hit') : `${hits}${hits && ', '}${shareOf(found)}`;
}

const shareOf = ({ looked, total }: Found) => `${Math.floor((looked / Math.max(1, total)) * 100)}% searched`;
