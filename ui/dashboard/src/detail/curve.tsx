import { useState } from 'react';
import type { Activity } from '@agentexec/client';
import { isFinal } from '@agentexec/client/state';
import { type LogState, type Point, time, useNow } from '@agentexec/react';
import { HIGH, shapeOf, WIDE } from './curve_shape.ts';

interface Props {
  activity: Activity;
  log: Pick<LogState, 'attempts' | 'points'>;
}

/** The percentage over time. */
export function Curve(props: Props) {
  return isFinal(props.activity.status) ? <Drawn {...props} now={0} /> : <Ticking {...props} />;
}

const Ticking = (props: Props) => <Drawn {...props} now={useNow()} />;

function Drawn({ activity, log: { attempts, points }, now }: Props & { now: number }) {
  const [at, setAt] = useState<number>(); // the index of the point that is read
  const shape = shapeOf({ points, attempts, activity, now });
  if (!shape) return null;
  const place = (point: Point) => Math.min(100, Math.max(0, ((point.at - shape.from) / (shape.to - shape.from)) * 100));
  const read = at === undefined ? undefined : points[Math.min(at, points.length - 1)];
  const hovered = (e: React.PointerEvent) => {
    const box = e.currentTarget.getBoundingClientRect();
    const when = shape.from + ((e.clientX - box.left) / box.width) * (shape.to - shape.from);
    setAt(Math.max(0, points.findLastIndex((p) => p.at <= when)));
  };
  const pressed = (e: React.KeyboardEvent) => {
    const now = at ?? points.length - 1;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: points.length - 1 }[e.key];
    if (to === undefined) return;
    setAt(Math.min(Math.max(0, to), points.length - 1));
    e.preventDefault();
  };
  const shown = read ?? points.at(-1)!;
  const words = (p: Point) => `${p.percentage}% at ${time(p.at)}${activity.attempt > 1 ? `, attempt ${p.attempt}` : ''}`;
  return (
    <figure className="curve">
      <figcaption>
        <b>{shown.percentage}%</b>
        <span>{read ? time(read.at) : ''}{activity.attempt > 1 || !read ? ` attempt ${shown.attempt}` : ''}</span>
        <span>Progress</span>
      </figcaption>
      <div
        className="plotbox" role="slider" tabIndex={0} aria-label="Percentage over time" aria-valuemin={0} aria-valuemax={100} aria-valuenow={shown.percentage} aria-valuetext={words(shown)}
        onPointerMove={hovered} onPointerLeave={() => setAt(undefined)} onKeyDown={pressed} onBlur={() => setAt(undefined)}
      >
        <svg viewBox={`0 0 ${WIDE} ${HIGH}`} preserveAspectRatio="none" aria-hidden="true">
          <path className="grid" d={`M0 0H${WIDE}M0 ${HIGH / 2}H${WIDE}`} /><path className="grid base" d={`M0 ${HIGH}H${WIDE}`} />
          {shape.starts.map(({ number, x }) => <path key={number} className="try" d={`M${x * 6} -6V${HIGH}`} />)}
          {shape.asked !== null && <path className="try" data-st="stopping" d={`M${shape.asked * 6} -6V${HIGH}`} />}
          {shape.strokes.map(({ state, line, area, end }, n) => (
            <g key={n} data-st={state}><path className="area" d={area} /><path className="stroke" d={line} /><path className="dot" d={`M${end.x} ${end.y}h.01`} /></g>
          ))}
          {read && <path className="hair" d={`M${place(read) * 6} 0V${HIGH}`} />}
        </svg>
        <svg className="labels" aria-hidden="true">
          {shape.starts.map(({ number, x }, n) => (
            (n === 0 || x - shape.starts[n - 1]!.x > (n === 1 ? 14 : 4)) && <text key={number} x={`${x}%`} y="14" dx="6">{n === 0 ? `Attempt ${number}` : number}</text>
          ))}
          {shape.asked !== null && <text className="asked" x={`${shape.asked}%`} y="14" dx={shape.asked > 50 ? -6 : 6} textAnchor={shape.asked > 50 ? 'end' : 'start'}>Cancel requested</text>}
        </svg>
      </div>
      <div className="y" aria-hidden="true"><span>100%</span><span>50%</span><span>0%</span></div>
      <svg className="x" aria-hidden="true">
        {shape.ticks.map(({ x, text }, n) => <text key={n} x={`${x}%`} y="16" textAnchor={x < 3 ? 'start' : x > 97 ? 'end' : 'middle'}>{text}</text>)}
      </svg>
    </figure>
  );
}
