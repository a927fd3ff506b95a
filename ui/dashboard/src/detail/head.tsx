import { useEffect, useRef, useState } from 'react';
import type { Activity, Json } from '@agentexec/client';
import { downloadLog, Icon, type LogHandle, type LogState, rawNumber, StateIcon } from '@agentexec/react';
import { beginning, clean, type Condition, conditionsOf, displayNames, displayState, statusNames } from '@agentexec/client/text';
import { useKey } from '../frame/keys.ts';
import { Entry, Menu } from '../frame/menu.tsx';
import { wordsOf } from '../frame/words.ts';
import { searchOf } from '../list/query.ts';
import { go, pathOf, routeOf } from '../route.ts';
import { Banners } from './banners.tsx';
import { AskToCancel, cancelable, type Step } from './cancel.tsx';

const MOST = 12; // chips

interface Props {
  activity: Activity;
  log: LogState;
  handle: LogHandle;
  metadata: { [key: string]: Json } | undefined;
  /** It was deleted: what is left is only to be read. */
  gone: boolean;
  search: string;
  onShow: (seq: number) => void;
}

// The conditions without their times: a countdown is not announced every second.
const announced: Record<Condition['kind'], string> = {
  stale: 'stale', stopping: 'stopping', forced: 'its worker never answered', trailing: 'still writing after it was canceled',
};

/** What an activity is, what state it is in, and what can be done with it. */
export function Head({ activity, log, handle, metadata, gone, search, onShow }: Props) {
  const { agent_id, attempt, status } = activity;
  const state = displayState(activity);
  const type = clean(activity.agent_type);
  const [step, setStep] = useState<Step>(); // the confirmation that is open
  const [said, setSaid] = useState('');
  const possible = !gone && cancelable(activity);
  const stopping = state === 'stopping';
  const copy = (text: string, what: string) => copied(text).then((ok) => setSaid(ok ? `${what} copied` : 'This page may not copy.'));
  useKey('y', 'Copy the id', () => void copy(agent_id, 'Id'));
  useKey('c', 'Cancel the activity', () => setStep(stopping ? 'force' : 'cancel'), possible);
  const names = [displayNames[state], ...conditionsOf(activity, 0).map(({ kind }) => announced[kind])];
  return (
    <>
      <div className="title">
        <a className="ax-button ghost icon back" href={pathOf(null, search)} aria-label="All activities" onClick={(e) => (e.preventDefault(), go(pathOf(null, search)))}><Icon name="left" /></a>
        <h2 className="ax-clip" dir="auto" title={type}>{type}</h2>
        <span className="ax-pill" data-st={state}><StateIcon state={state} label="" />{state === 'waiting' ? `${statusNames[status]}, waits for you` : displayNames[state]}</span>
        {(attempt > 1 || status === 'RUNNING') && <span className="attempt">Attempt {attempt}</span>}
        <span id="announce" className="unseen" role="status">{type}: {[...new Set(names.map((name) => name.toLowerCase()))].join(', ')}</span>
        <div className="end">
          {possible && !stopping && <button type="button" id="cancel" className="ax-button" onClick={() => setStep('cancel')}>Cancel…</button>}
          <Menu label="More actions" className="ax-button ghost icon" button={<Icon name="more" />}>
            <Entry onClick={() => void copy(agent_id, 'Id')}>Copy id <span className="end">y</span></Entry>
            <Entry onClick={() => void copy(new URL(pathOf(agent_id, ''), location.href).href, 'Link')}>Copy link</Entry>
            <Entry onClick={() => void downloadLog(handle.store).catch((e: unknown) => setSaid(wordsOf(e)))}>Download the log</Entry>
            {possible && !stopping && <Entry danger onClick={() => setStep('cancel')}>Cancel…</Entry>}
            {possible && status === 'RUNNING' && <Entry danger onClick={() => setStep('force')}>Cancel without the worker…</Entry>}
          </Menu>
          <a className="ax-button ghost icon close" href={pathOf(null, search)} aria-label="Close" title="Close (Esc)" onClick={(e) => (e.preventDefault(), go(pathOf(null, search)))}><Icon name="x" /></a>
        </div>
      </div>
      <div className="meta">
        <button type="button" className="id" title={`Copy the id ${agent_id}`} onClick={() => void copy(agent_id, 'Id')}>{agent_id.slice(0, 8)}…{agent_id.slice(-4)}<Icon name="copy" /><span className="unseen">, copy the id</span></button>
        {metadata && <Chips metadata={metadata} search={search} />}
        <span className="said" role="status">{said}</span>
      </div>
      <Banners activity={activity} log={log} onShow={onShow} onForce={possible ? () => setStep('force') : undefined} onCopy={(text) => void copy(text, 'Message')} />
      <KeepFocus stopping={stopping} asking={step !== undefined} />
      {step && <AskToCancel step={step} activity={activity} onClose={() => setStep(undefined)} />}
    </>
  );
}

// Where the button that had the focus is gone because the cancel was requested, the one of the second step gets it. It
// cannot get it while the dialog is open, and the request may be seen before the dialog closes.
function KeepFocus({ stopping, asking }: { stopping: boolean; asking: boolean }) {
  const before = useRef(stopping);
  useEffect(() => {
    if (asking) return;
    if (stopping && !before.current && document.activeElement === document.body) document.querySelector<HTMLElement>('#force')?.focus();
    before.current = stopping;
  }, [stopping, asking]);
  return null;
}

/** Metadata: each chip adds itself to the filter of the list. */
function Chips({ metadata, search }: { metadata: { [key: string]: Json }; search: string }) {
  const all = Object.entries(metadata);
  const { filter } = routeOf(location.pathname, search);
  return (
    <>
      {all.slice(0, MOST).map(([key, value]) => {
        const text = textOf(value);
        const inside = <><b>{clean(beginning(key, 40, 1))}</b>{clean(beginning(text, 60, 1))}</>;
        if (typeof value === 'object' && value !== null && rawNumber(value) === undefined) return <span key={key} className="ax-chip" title={clean(beginning(text, 500))}>{inside}</span>;
        const to = pathOf(null, searchOf({ ...filter, metadata: { ...filter.metadata, [key]: filterText(value) } }));
        return <a key={key} className="ax-chip" href={to} title={`Show all with ${clean(beginning(key, 40, 1))}=${clean(beginning(text, 200, 1))}`} onClick={(e) => (e.preventDefault(), go(to))}>{inside}</a>;
      })}
      {all.length > MOST && <span className="ax-soft">+{all.length - MOST}</span>}
    </>
  );
}

const textOf = (value: Json): string => rawNumber(value) ?? (typeof value === 'string' ? value : JSON.stringify(value));

// filterText is the value as the filter of the list is written: "42" in quotes is the string.
const filterText = (value: Json): string => (typeof value === 'string' && (/^(true|false|null|".*")$/.test(value) || (value !== '' && !Number.isNaN(Number(value)))) ? `"${value}"` : textOf(value));

async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
