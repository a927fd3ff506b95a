// What is known of one activity, and the one place that decides which of its lines are shown: each seq once, in order.

import { isFinal } from '/text.js';

export class Activity {
  info = null; // ActivityDetail without logs, as new as anything heard
  cursor = 0; // the last seq taken
  missing = false;
  problem = '';
  #status = ''; // of the last line taken
  #timed = 0; // up to this seq, info's times are as the server said
  #older = null; // a snapshot behind what is known: cached, or the database was set back

  constructor(id) {
    this.id = id;
  }

  // request is the message that subscribes from here on.
  request = () => ({ type: 'subscribe', agent_id: this.id, after_seq: this.cursor });

  // take hears a frame and returns what it adds to the log, as entries {seq, line, status} (status where it changed),
  // {seq, note} or {seq, withdraw: true} (the lines from seq on are void). It throws where a line is not the next one.
  take(frame) {
    switch (frame.type) {
      case 'snapshot':
        this.missing = false;
        this.problem = '';
        if (this.info && frame.activity.last_seq < this.info.last_seq) this.#older = frame.activity;
        else this.#know(frame.activity);
        return [];
      case 'logs': {
        const entries = [];
        for (const line of frame.logs) if (line.seq > this.cursor) entries.push(this.#line(line));
        if (frame.activity.last_seq >= this.info.last_seq) Object.assign(this.info, frame.activity);
        return entries;
      }
      case 'gap':
        return frame.reason === 'reset' ? this.#reset(frame.next_seq) : this.#pruned(frame.next_seq);
      case 'end':
        if (frame.last_seq > this.cursor) throw new Error(`the end came after line ${this.cursor}, not ${frame.last_seq}`);
        break;
      case 'error':
        this.missing = frame.code === 'not_found';
        this.problem = frame.message;
    }
    return [];
  }

  #know(info) {
    this.info = info;
    this.#timed = info.last_seq;
    this.#older = null;
  }

  #line(line) {
    if (line.seq !== this.cursor + 1) throw new Error(`line ${line.seq} came after line ${this.cursor}`);
    const before = this.#status;
    this.cursor = line.seq;
    this.#status = line.status;
    if (line.seq > this.#timed) {
      if (line.status === 'RUNNING') this.info.started_at ??= line.created_at;
      if (!isFinal(line.status)) this.info.finished_at = null;
      else if (!isFinal(before)) this.info.finished_at = line.created_at;
    }
    return { seq: line.seq, line, status: line.status === before ? null : line.status };
  }

  #pruned(next) {
    const from = this.cursor + 1;
    if (next <= from) return [];
    this.cursor = next - 1;
    return [{ seq: this.cursor, note: (from === next - 1 ? `Line ${from} is` : `Lines ${from} to ${next - 1} are`) + ' no longer kept.' }];
  }

  #reset(next) {
    const last = this.cursor;
    if (next > last) return [];
    this.cursor = next - 1;
    this.#status = '';
    if (this.#older) this.#know(this.#older);
    else this.info.last_seq = this.#timed = next - 1;
    return [{ seq: next, withdraw: true }, { seq: next - 1, note: `The database was set back: lines ${next} to ${last} are void.` }];
  }
}
