import type { ReactNode } from 'react';
import type { ActivityListItem, RangeStats, StatsFailure } from '@agentexec/client';
import { type QuestionsResult, StateIcon, useActivityList, useNow } from '@agentexec/react';
import { beginning, clean, type DisplayState, duration, headline } from '@agentexec/client/text';
import { Link } from '../frame/top.tsx';
import { NotifySwitch } from '../frame/notify_switch.tsx';
import { grouped } from '../numbers.ts';
import { pathOf } from '../route.ts';
import { ago } from '../times.tsx';
import { type Range, ranges } from './range.ts';
import { Waiting } from './waiting.tsx';

const SHOWN = 8; // stale activities

const nameOf = (agentType: string) => clean(beginning(agentType, 255));

/** Activities that need a person: what waits for an answer, what is stale, and what failed, grouped by its message. */
export function Attention({ stats, asked, range }: { stats: RangeStats | undefined; asked: QuestionsResult; range: Range }) {
  const { items, counts, loading } = useActivityList({ stale: true, limit: SHOWN });
  const stale = counts?.stale ?? items.length;
  const failed = stats?.ended.error ?? 0;
  const nothing = stats && !loading && !asked.loading && !asked.questions.length && !items.length && !stats.failures.length;
  return (
    <section className="ax-panel attention" aria-labelledby="attention">
      <div className="ax-panel-head">
        <h2 id="attention">Needs attention</h2>
        <span className="end"><NotifySwitch /><Link to={pathOf(null, '?stale=true&waiting=true')}>Open as list</Link></span>
      </div>
      {asked.error !== undefined && <p className="quiet" role="status">The questions may not be up to date. They are read again.</p>}
      <Waiting questions={asked.questions} more={asked.more} />
      {items.length > 0 && (
        <>
          <h3 className="sub">Stale <span className="n">{grouped(stale)}</span></h3>
          <ul>{items.map((item) => <Stale key={item.agent_id} item={item} />)}</ul>
          {stale > items.length && <p className="rest"><Link to={pathOf(null, '?stale=true')}>{grouped(stale - items.length)} more</Link></p>}
        </>
      )}
      {stats && stats.failures.length > 0 && (
        <>
          <h3 className="sub">Failed {ranges[range].words} <span className="n">{grouped(failed)}</span><span className="end">{stats.failures_counted < failed ? `Messages of the newest ${grouped(stats.failures_counted)}` : 'Newest first'}</span></h3>
          <ul>{stats.failures.map((failure) => <Failed key={failure.agent_type + failure.message} failure={failure} />)}</ul>
        </>
      )}
      {nothing && <p className="quiet">Nothing waits for a person, nothing is stale, and nothing failed {ranges[range].words}.</p>}
    </section>
  );
}

interface NeedProps {
  state: DisplayState;
  to: string;
  title: string;
  more: string;
  mono?: boolean;
  children: ReactNode;
}

function Need({ state, to, title, more, mono, children }: NeedProps) {
  return (
    <li className="need" data-st={state}>
      <StateIcon state={state} />
      <div className="ax-clip">
        <Link to={to} className={mono ? 't ax-mono' : 't'}><bdi title={title}>{title}</bdi></Link>
        <div className="s ax-clip" title={more}>{more}</div>
      </div>
      <div className="act">{children}</div>
    </li>
  );
}

function Stale({ item }: { item: ActivityListItem }) {
  const now = useNow();
  const to = pathOf(item.agent_id, '?stale=true');
  const silent = duration((now - Date.parse(item.last_seen_at ?? item.updated_at)) / 1000);
  const promise = item.expect_every ? `Promised a sign of life every ${duration(item.expect_every)}` : 'Promised a sign of life';
  const latest = headline(item.latest_log ?? '', 200);
  return (
    <Need state="stale" to={to} title={`${nameOf(item.agent_type)} is silent for ${silent}`} more={latest ? `${promise} · ${latest}` : promise}>
      <Link to={to} className="ax-button small" tabIndex={-1} aria-hidden>Open</Link>
    </Need>
  );
}

function Failed({ failure: { message, agent_type, count, last_at, agent_id } }: { failure: StatsFailure }) {
  const now = useNow();
  const last = `last ${ago(now - Date.parse(last_at))}`;
  return (
    <Need state="error" mono to={pathOf(agent_id, '')} title={headline(message) || '(no message)'} more={`${nameOf(agent_type)} · ${count > 1 ? last : last.replace('last ', '')}`}>
      <span className="x" title={`${grouped(count)} ${count === 1 ? 'failure' : 'failures'} with this message`}>{grouped(count)}</span>
    </Need>
  );
}
