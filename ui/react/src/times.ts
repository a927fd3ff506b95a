// Times and durations, alike everywhere. The language's own formats take tens of milliseconds to load, before the first paint.

const two = (n: number, many = 2) => String(n).padStart(many, '0');

/** The time of day of a point in time in milliseconds: "14:02:11", on another day "2026-01-31 14:02:11". */
export function time(at: number): string {
  const t = new Date(at);
  const clock = `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
  return t.toDateString() === new Date().toDateString() ? clock : `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${clock}`;
}

/** The time of day with milliseconds: "14:02:11.120". */
export function exactTime(at: number): string {
  const t = new Date(at);
  return `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}.${two(t.getMilliseconds(), 3)}`;
}

/** How long something took, from milliseconds: "42s", "3m 05s", "2h 07m", "4d 11h". */
export function lasted(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [s, m, h, d] = [seconds % 60, Math.floor(seconds / 60) % 60, Math.floor(seconds / 3600) % 24, Math.floor(seconds / 86400)];
  return d ? `${d}d ${two(h)}h` : h ? `${h}h ${two(m)}m` : m ? `${m}m ${two(s)}s` : `${s}s`;
}
