import type { StatsType } from '@agentexec/client';
import { beginning, clean } from '@agentexec/client/text';
import { Link } from '../frame/top.tsx';
import { grouped } from '../numbers.ts';
import { pathOf } from '../route.ts';
import { took } from '../times.tsx';
import { type Range, ranges } from './range.ts';

const BAD = 0.05; // the rate of errors from which it is red

/** How the activities of each type did: runs, errors, durations. */
export function Types({ types, range }: { types: StatsType[]; range: Range }) {
  const { words } = ranges[range];
  return (
    <section className="ax-panel" aria-labelledby="types-title">
      <div className="ax-panel-head"><h2 id="types-title">By type</h2><span className="end ax-soft no-phone">{words[0]!.toUpperCase() + words.slice(1)}, by runs</span></div>
      {types.length === 0 ? <p className="quiet">No activity ran {words}.</p> : (
        <div className="scroll">
          <table className="types">
            <thead>
              <tr>
                <th scope="col">Type</th><th scope="col" className="ax-number">Runs</th><th scope="col" className="ax-number now" title="Running at present">Now</th>
                <th scope="col" className="ax-number">Errors</th><th scope="col" className="ax-number" title="Half of the complete runs took at most so long">p50</th>
                <th scope="col" className="ax-number" title="95 % of the complete runs took at most so long">p95</th><th scope="col" className="ax-number no-phone">Runs ended</th>
              </tr>
            </thead>
            <tbody>{types.map((type) => <Type key={type.agent_type} type={type} range={range} />)}</tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Type({ type: { agent_type, running, ended, error, p50, p95, series }, range }: { type: StatsType; range: Range }) {
  const rate = ended ? error / ended : 0;
  const name = clean(beginning(agent_type, 255));
  const time = (seconds: number | null) => (seconds === null ? '' : took(seconds));
  return (
    <tr>
      <th scope="row"><Link to={pathOf(null, `?agent_type=${encodeURIComponent(agent_type)}&since=${range}`)}><bdi title={name}>{name}</bdi></Link></th>
      <td className="ax-number">{grouped(ended)}</td>
      <td className="ax-number mid now">{running ? grouped(running) : ''}</td>
      <td className={rate > BAD ? 'ax-number bad' : 'ax-number'}>
        {ended > 0 && (
          <span className="rate" data-st="error">
            <svg className="ax-meter" aria-hidden="true"><rect width={`${Math.min(100, rate * 400)}%`} height="100%" /></svg>
            <span>{(rate * 100).toFixed(1)} %</span>
          </span>
        )}
      </td>
      <td className="ax-number mid">{time(p50)}</td>
      <td className="ax-number mid">{time(p95)}</td>
      <td className="no-phone"><Spark series={series} /></td>
    </tr>
  );
}

function Spark({ series }: { series: number[] }) {
  const most = Math.max(1, ...series);
  const points = series.map((n, i) => `${((i / Math.max(1, series.length - 1)) * 96).toFixed(1)} ${(19 - (n / most) * 18).toFixed(1)}`);
  const line = 'M' + points.join(' L');
  return (
    <svg className="spark" viewBox="0 0 96 20" preserveAspectRatio="none" aria-hidden="true" data-st="queued">
      <path className="area" d={`${line} L96 20 L0 20Z`} />
      <path className="line" d={line} vectorEffect="non-scaling-stroke" />
    </svg>
  );
}
