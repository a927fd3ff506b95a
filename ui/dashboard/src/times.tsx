// Times of day, alike everywhere: 14:02:11. The language's own formats take tens of milliseconds to load, before the
// first paint.

const digits = (n: number, many = 2) => String(n).padStart(many, '0');

/** The time of day: "14:02:11". */
export const clock = (t: Date) => `${digits(t.getHours())}:${digits(t.getMinutes())}:${digits(t.getSeconds())}`;

const day = (t: Date) => `${digits(t.getFullYear(), 4)}-${digits(t.getMonth() + 1)}-${digits(t.getDate())}`;

/** The time of day of a point in time in milliseconds: "14:02:11.120". */
export function exact(at: number): string {
  const t = new Date(at);
  return `${clock(t)}.${digits(t.getMilliseconds(), 3)}`;
}

/** A point in time, with the day where that is not today. */
export function When({ iso }: { iso: string | null }) {
  if (!iso) return <>–</>;
  const t = new Date(iso);
  return (
    <time dateTime={iso} title={iso}>
      {day(t) === day(new Date()) ? clock(t) : `${day(t)} ${clock(t)}`}
    </time>
  );
}
