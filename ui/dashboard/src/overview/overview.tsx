import { useEffect, useMemo } from 'react';
import type { Counts } from '@agentexec/client';
import { useClient, useCounts, useQuestions, useSnapshot } from '@agentexec/react';
import { statusNames } from '@agentexec/client/text';
import { firstShown } from '../first.ts';
import { go, useSearch } from '../route.ts';
import { Attention } from './attention.tsx';
import { Chart } from './chart.tsx';
import { Figures } from './figures.tsx';
import { allRanges, pathOfRange, rangeOf, ranges } from './range.ts';
import { StatsModel } from './stats.ts';
import { Types } from './types.tsx';
import { SHOWN } from './waiting.tsx';
import './overview.css';

const sum = (counts: Counts) => (Object.keys(statusNames) as (keyof typeof statusNames)[]).reduce((n, status) => n + counts[status], 0);

/** Activities that need a person, what runs, and how it went lately. */
export function Overview() {
  const client = useClient();
  const range = rangeOf(useSearch());
  const model = useMemo(() => new StatsModel(client, range), [client, range]);
  const { stats, problem } = useSnapshot(model);
  const { counts } = useCounts();
  const { active: waiting } = useCounts({ waiting: true });
  const asked = useQuestions({ pageSize: SHOWN });
  useEffect(() => model.counted(counts), [model, counts]);
  useEffect(() => {
    if (stats) firstShown();
  }, [stats]);
  if (counts && sum(counts) === 0) return <Empty />;
  return (
    <div className="overview" aria-busy={!stats && !problem}>
      <div className="page">
        <header>
          <h2>Overview</h2>
          {problem && <p className="problem" role="status">The figures are not up to date. {problem}</p>}
          <div className="ax-choice" role="group" aria-label="Time range">
            {allRanges.map((r) => <button key={r} type="button" aria-pressed={r === range} onClick={() => go(pathOfRange(r), true)}>{ranges[r].label}</button>)}
          </div>
        </header>
        <Figures counts={counts} waiting={waiting} oldestAsked={asked.questions[0]?.asked_at} stats={stats} range={range} />
        <div className="columns">
          <Attention stats={stats} asked={asked} range={range} />
          <div>
            {stats && <Chart stats={stats} range={range} />}
            {stats && <Types types={stats.types} range={range} />}
          </div>
        </div>
      </div>
    </div>
  );
}

/** What to do first, where there is no activity yet. */
function Empty() {
  return (
    <div className="overview">
      <div className="page first">
        <section className="ax-panel ax-blank" id="first">
          <h2>Nothing has run yet</h2>
          <p>The first activity appears here by itself. Create one in SQL, where the agents’ database is:</p>
          <pre tabIndex={0}>{`select agentexec.create_activity('hello');
select agentexec.append_log(agent_id, 'half way', 50, 'RUNNING')
  from agentexec.activity_list;
select agentexec.complete(agent_id, 'done') from agentexec.activity_list;`}</pre>
          <p>Or start demo agents on a database of their own:</p>
          <pre tabIndex={0}>agentexec dev</pre>
        </section>
      </div>
    </div>
  );
}
