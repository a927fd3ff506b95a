/** The database's clock, as far as the server told it. */
export interface Clock {
  /** Milliseconds since 1970; of this machine's clock until the server has told the time. */
  now(): number;
  /** Takes the time of a welcome, in ISO 8601. An earlier server sends none. */
  set(time: string | undefined): void;
}

export function createClock(): Clock {
  let known = NaN; // the time the server told
  let date = 0; // when that was, on both clocks of this machine
  let monotonic = 0;
  return {
    // One clock jumps when it is set, the other one stops while the machine sleeps: the one that went further is right
    // in both cases.
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
