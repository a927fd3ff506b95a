// Times of day, alike everywhere: 14:02:11. The language's own formats take tens of milliseconds to load, before the
// first paint.

import { duration } from '@agentexec/client/text';

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

/** How long ago something was, in milliseconds: "just now", "42 s ago", "3 min ago", "2 h ago", "5 days ago". */
export const ago = (ms: number): string => (ms < 1000 ? 'just now' : duration(ms / 1000) + ' ago');

/** How long something took, in seconds: "0.4s", "42s", "6m 40s", "2h 07m", "4d 11h". */
export function took(seconds: number): string {
  if (seconds > 0 && seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const s = Math.round(seconds);
  const [m, h, d] = [Math.floor(s / 60) % 60, Math.floor(s / 3600) % 24, Math.floor(s / 86_400)];
  return d ? `${d}d ${digits(h)}h` : h ? `${h}h ${digits(m)}m` : m ? `${m}m ${digits(s % 60)}s` : `${s}s`;
}
