import type { Point } from './log_model.ts';

const [WIDE, HIGH, COLUMNS] = [600, 60, 300];

/** The percentage over time: steps, because it stays what it was until a line says otherwise. */
export function Chart({ points, until }: { points: readonly Point[]; until: number }) {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last || first === last || until <= first.at) return null;
  return (
    <div className="curve">
      <svg
        className="chart" viewBox={`0 -2 ${WIDE} ${HIGH + 4}`} preserveAspectRatio="none" role="img"
        aria-label={`Percentage over time: from ${first.percentage}% to ${last.percentage}%`}
      >
        <path d={stepsOf(points, until)} vectorEffect="non-scaling-stroke" />
      </svg>
      <span aria-hidden="true">100%</span>
      <span aria-hidden="true">0%</span>
    </div>
  );
}

/** The steps as a path; of what falls into one column the first, the last and the lowest are drawn. */
export function stepsOf(points: readonly Point[], until: number): string {
  const first = points[0]!;
  const x = (at: number) => Math.min(WIDE, Math.max(0, ((at - first.at) / (until - first.at)) * WIDE));
  const y = (percentage: number) => (HIGH - (percentage / 100) * HIGH).toFixed(1);
  let d = `M0 ${y(first.percentage)}`;
  for (let n = 1; n < points.length; ) {
    const column = Math.floor((x(points[n]!.at) / WIDE) * COLUMNS);
    const to = [points[n]!];
    let lowest = points[n]!;
    for (; n < points.length && Math.floor((x(points[n]!.at) / WIDE) * COLUMNS) === column; n++) {
      to[1] = points[n]!;
      if (points[n]!.percentage < lowest.percentage) lowest = points[n]!;
    }
    for (const p of new Set([to[0]!, lowest, to.at(-1)!])) d += `H${x(p.at).toFixed(1)}V${y(p.percentage)}`;
  }
  return points.at(-1)!.at < until ? d + `H${WIDE}` : d;
}
