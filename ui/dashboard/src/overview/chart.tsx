import { type KeyboardEvent, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { RangeStats, StatsBucket } from '@agentexec/client';
import { onColours } from '../frame/theme.ts';
import { grouped } from '../numbers.ts';
import { type Range, ranges } from './range.ts';
import { endedBuckets } from './stats.ts';

const HEIGHT = 184; // px, with the times below
const lines = [
  { key: 'started', label: 'Started', state: 'queued' },
  { key: 'finished', label: 'Finished', state: 'complete' },
  { key: 'failed', label: 'Failed', state: 'error' },
] as const;

const two = (n: number) => String(n).padStart(2, '0');
const hours = (t: Date) => `${two(t.getHours())}:${two(t.getMinutes())}`;
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const day = (t: Date) => `${t.getDate()} ${months[t.getMonth()]}`;
const timeOf = (at: string, range: Range) => (range === '7d' ? `${day(new Date(at))} ${hours(new Date(at))}` : hours(new Date(at)));

const countOf = ({ started, complete, error, canceled }: StatsBucket) => [started, complete + error + canceled, error] as const;
const sentenceOf = (bucket: StatsBucket, range: Range) => {
  const [started, finished, failed] = countOf(bucket);
  return `${timeOf(bucket.at, range)}: ${grouped(started)} started, ${grouped(finished)} finished, ${grouped(failed)} of those failed`;
};

/** How many activities started, finished and failed over time; the totals also count the bucket that has not ended. The pointer and the arrow keys read single values. */
export function Chart({ stats, range }: { stats: RangeStats; range: Range }) {
  const series = useMemo(() => endedBuckets(stats), [stats]);
  const [cursor, setCursor] = useState<number | null>(null);
  const { per, words } = ranges[range];
  const shown = cursor === null ? undefined : series[cursor];
  const totals = stats.series.reduce((sum, bucket) => countOf(bucket).map((n, i) => sum[i]! + n), [0, 0, 0]);
  const values = shown ? countOf(shown) : totals;
  return (
    <section className="ax-panel" aria-labelledby="chart-title">
      <div className="ax-panel-head">
        <h2 id="chart-title">Per {per}</h2>
        <span className="end legend">
          <span className="ax-soft" id="chart-time">{shown ? timeOf(shown.at, range) : 'All'}</span>
          {lines.map(({ key, label, state }, n) => (
            <span key={key} className="series" data-st={state} data-series={key}>
              <svg viewBox="0 0 14 8" aria-hidden="true"><path d="M1 4h12" strokeDasharray={n === 0 ? '4 2' : undefined} /></svg>
              {label} <b>{grouped(values[n]!)}</b>
            </span>
          ))}
        </span>
      </div>
      <figure className="chart">
        <figcaption className="ax-unseen">{words[0]!.toUpperCase() + words.slice(1)}, {grouped(totals[0]!)} activities started, {grouped(totals[1]!)} finished, {grouped(totals[2]!)} of those failed.</figcaption>
        <Plot series={series} range={range} cursor={cursor} onCursor={setCursor} />
      </figure>
    </section>
  );
}

interface PlotProps {
  series: StatsBucket[];
  range: Range;
  cursor: number | null;
  onCursor: (index: number | null) => void;
}

function Plot({ series, range, cursor, onCursor }: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const data = useRef<uPlot.AlignedData>([[]]);
  data.current = [series.map(({ at }) => Date.parse(at) / 1000), ...[0, 1, 2].map((i) => series.map((bucket) => countOf(bucket)[i]!))] as uPlot.AlignedData;
  // The chart's colours are those of the tokens at the time it is drawn. A layout effect: its cleanup
  // runs before the element is removed, that of useEffect after.
  useLayoutEffect(() => {
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsOf(box.current!, range, onCursor), data.current, box.current!);
    };
    make();
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: box.current!.clientWidth, height: HEIGHT }));
    observer.observe(box.current!);
    const leave = onColours(make);
    return () => {
      leave();
      observer.disconnect();
      plot.current?.destroy();
    };
  }, [range]);
  useEffect(() => plot.current?.setData(data.current), [series]);

  const move = (e: KeyboardEvent) => {
    const last = series.length - 1;
    const from = cursor ?? (e.key === 'ArrowLeft' ? last + 1 : -1);
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    const at = Math.min(last, Math.max(0, to));
    plot.current?.setCursor({ left: plot.current.valToPos(data.current[0][at]!, 'x'), top: 0 });
    onCursor(at);
  };
  return (
    <div
      ref={box} className="plot" tabIndex={0} role="slider" aria-label={`Time, one step a ${ranges[range].per}`} aria-valuemin={0} aria-valuemax={Math.max(0, series.length - 1)}
      aria-valuenow={cursor ?? 0} aria-valuetext={cursor === null || !series[cursor] ? 'Use the arrow keys' : sentenceOf(series[cursor], range)}
      onKeyDown={move} onBlur={() => onCursor(null)}
    />
  );
}

// colourOf resolves a token to a colour that a canvas takes.
function colourOf(box: HTMLElement, token: string): string {
  const probe = box.appendChild(document.createElement('i'));
  probe.style.color = `var(--ax-${token})`;
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6];

// roundUp returns the number that the axis ends at: at most four steps, the highest value among them.
function roundUp(max: number): number {
  const step = steps.find((s) => s * 4 >= max) ?? max;
  return Math.max(4, Math.ceil(max / step) * step);
}

function optionsOf(box: HTMLElement, range: Range, onCursor: (index: number | null) => void): uPlot.Options {
  const faint = (colour: string) => colour.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.08)');
  const font = `12px ${getComputedStyle(box).fontFamily}`;
  const [text, line] = [colourOf(box, 'text-3'), colourOf(box, 'line')];
  const axis: uPlot.Axis = { stroke: text, font, grid: { stroke: line, width: 1 }, ticks: { show: false }, gap: 4 };
  const label = (seconds: number) => (range === '7d' ? day : hours)(new Date(seconds * 1000));
  return {
    width: box.clientWidth, height: HEIGHT, padding: [8, 20, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: { x: { time: true }, y: { range: (_, __, max) => [0, roundUp(max ?? 0)] } },
    axes: [
      { ...axis, size: 24, space: 80, values: (_, splits) => splits.map(label) },
      { ...axis, size: 40, space: 32, incrs: steps, values: (_, splits) => splits.map(grouped) },
    ],
    series: [{}, ...lines.map(({ label, state }, n): uPlot.Series => {
      const colour = colourOf(box, state);
      return { label, stroke: colour, width: 1.75, points: { show: false }, ...(n === 0 ? { dash: [5, 3] } : { fill: faint(colour) }) };
    })],
    hooks: { setCursor: [({ cursor: { idx, left } }) => onCursor(idx == null || left! < 0 ? null : idx)] },
  };
}
