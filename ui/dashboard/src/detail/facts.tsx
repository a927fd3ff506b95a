import type { Activity } from '@agentexec/client';
import { type Attempt, type LogState, lasted, time, useNow } from '@agentexec/react';
import { isFinal } from '@agentexec/client/state';
import { duration } from '@agentexec/client/text';
import { Entry, Menu } from '../frame/menu.tsx';
import { grouped } from '../numbers.ts';
import { ago, took } from '../times.tsx';
import { type Usual, useUsual } from '../usual.ts';

interface Props {
  activity: Activity;
  log: Pick<LogState, 'attempts'>;
  seenAt: string | undefined;
  /** How many direct children there are, and how many of them are not over. */
  below: { total: number; active: number };
  onShow: (seq: number) => void;
}

/** When it started, how long it took and how long such runs usually take, and when its worker was last seen. */
export function Facts({ activity, log: { attempts }, seenAt, below, onShow }: Props) {
  const { status, attempt, created_at, started_at, finished_at, expect_every, cancel } = activity;
  const usual = useUsual().get(activity.agent_type);
  const running = status === 'RUNNING';
  const own = attempts.find((a) => a.number === attempt);
  const startedAt = own?.startedAt ?? (attempt === 1 && started_at ? Date.parse(started_at) : null);
  const end = finished_at ? Date.parse(finished_at) : null;
  const failed = attempts.filter((a) => a.end?.status === 'ERROR').length;
  return (
    <dl className="facts">
      {startedAt === null
        ? <div><dt>Created</dt><dd id="created"><At ms={Date.parse(created_at)} /></dd></div>
        : <div><dt>Started</dt><dd id="started"><At ms={startedAt} /></dd></div>}
      {startedAt === null && status === 'QUEUED'
        ? <div><dt>Waits</dt><dd id="elapsed"><Since ms={Date.parse(own?.seq && own.seq > 1 ? activity.updated_at : created_at)} /></dd></div>
        : startedAt !== null && (
          <div>
            <dt>{end === null ? 'Took so far' : 'Took'}</dt>
            <dd id="elapsed">{end === null ? <Since ms={startedAt} usual={usual} /> : <span data-late={late(end - startedAt, usual)}>{lasted(end - startedAt)}</span>}{usual && <small>usually {took(usual.p50)}, p95 {took(usual.p95)}</small>}</dd>
          </div>
        )}
      {end !== null && <div><dt>Finished</dt><dd id="finished"><At ms={end} /></dd></div>}
      {running && seenAt && <div><dt>Last seen</dt><dd id="seen"><Seen at={Date.parse(seenAt)} />{expect_every ? <small>every {duration(expect_every)}</small> : null}</dd></div>}
      {below.total > 0 && <div><dt>Children</dt><dd id="children">{grouped(below.total)}<small>{below.active ? `${grouped(below.active)} not over` : 'all over'}</small></dd></div>}
      <div><dt>Attempts</dt><dd id="attempts">{attempt > 1 ? <Attempts all={attempts} onShow={onShow} count={attempt} /> : attempt}{failed > 0 && <small>{failed} failed</small>}</dd></div>
      {isFinal(status) && cancel?.requested_by && <div><dt>Requested by</dt><dd className="ax-clip" dir="auto">{cancel.requested_by}</dd></div>}
    </dl>
  );
}

const late = (ms: number, usual: Usual | undefined) => (usual && ms / 1000 > usual.p95) || undefined;

function At({ ms }: { ms: number }) {
  const now = useNow();
  const iso = new Date(ms).toISOString();
  return <><time dateTime={iso} title={iso}>{time(ms)}</time><small>{ago(now - ms)}</small></>;
}

const Since = ({ ms, usual }: { ms: number; usual?: Usual | undefined }) => {
  const passed = useNow() - ms;
  return <span data-late={late(passed, usual)}>{lasted(passed)}</span>;
};

const Seen = ({ at }: { at: number }) => ago(useNow() - at);

function Attempts({ all, count, onShow }: { all: readonly Attempt[]; count: number; onShow: (seq: number) => void }) {
  return (
    <Menu label={`${count} attempts`} className="attempts" button={count}>
      {all.map(({ number, seq, startedAt, end }) => (
        <Entry key={number} onClick={() => onShow(seq)}>
          Attempt {number}<span className="end">{startedAt === null ? 'not started' : `started ${time(startedAt)}`}{end && startedAt !== null && `, ${end.status === 'ERROR' ? 'failed' : end.status === 'COMPLETE' ? 'complete' : 'canceled'} after ${lasted(end.at - startedAt)}`}</span>
        </Entry>
      ))}
    </Menu>
  );
}
