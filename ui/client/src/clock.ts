/** The database's clock, computed from the time in the last welcome. */
export interface Clock {
  /** Milliseconds since 1970. Before the first welcome with a time, the clock of this machine. */
  now(): number;
  /** Takes the time of a welcome, in ISO 8601. A server of an earlier version sends none. */
  set(time: string | undefined): void;
}

export function createClock(): Clock {
  let known = NaN; // the time in the last welcome
  let date = 0; // when that came, on both clocks of this machine
  let monotonic = 0;
  return {
    // Date.now may be set back, and performance.now stops while the machine sleeps. The larger difference is right in both
    // cases.
    now: () => (known ? Math.round(known + Math.max(Date.now() - date, performance.now() - monotonic)) : Date.now()),
    set(time) {
      const told = Date.parse(time ?? '');
      if (!told) return;
      known = told;
      date = Date.now();
      monotonic = performance.now();
    },
  };
}
