// A log as a text to take along: a line of JSON for each, so that programs and people can read it.

import type { ActivityLog } from '@agentexec/client';
import { type LogStore, PAGE, pageOf } from './log_store.ts';

const SIZE = 1000; // the most lines asked for at once
const WEIGHT = 4e6; // characters, roughly, that an answer may have

async function linesOf(store: LogStore): Promise<string[]> {
  const lines: string[] = [];
  let weight = 0;
  const add = ({ id, seq, created_at, attempt, status, percentage, cancel_requested, message, data }: ActivityLog) => {
    const line = JSON.stringify({ id, seq, created_at, attempt, status, percentage, cancel_requested, message, data }) + '\n';
    weight += line.length;
    lines.push(line);
  };
  const { last } = store;
  // What is not here is read, and not kept. The size of an answer follows from the size of the lines before.
  const size = (most: number) => Math.max(1, Math.min(SIZE, most, Math.floor((WEIGHT * lines.length) / (weight || 1)) || 10));
  for (let seq = 1; seq <= last; ) {
    if (store.whole(pageOf(seq))) {
      for (const end = Math.min(last, (pageOf(seq) + 1) * PAGE); seq <= end; seq++) {
        const line = store.line(seq);
        const whole = line?.cut ? await store.full(seq) : line;
        if (whole) add(whole);
      }
      continue;
    }
    let end = seq;
    while (end < last && !store.whole(pageOf(end + 1))) end = Math.min(last, (pageOf(end + 1) + 1) * PAGE);
    const { logs } = await store.client.detail(store.id, { afterSeq: seq - 1, limit: size(end - seq + 1) });
    for (const line of logs) if (line.seq <= end) add(line);
    seq = Math.min(end, logs.at(-1)?.seq ?? end) + 1; // those that were pruned are in no answer
  }
  return lines;
}

/** Puts the whole log onto the clipboard. */
export async function copyLog(store: LogStore): Promise<void> {
  await navigator.clipboard.writeText((await linesOf(store)).join(''));
}

/** Saves the whole log as a file, {agent_id}.jsonl. */
export async function downloadLog(store: LogStore): Promise<void> {
  const url = URL.createObjectURL(new Blob(await linesOf(store), { type: 'application/x-ndjson' }));
  const a = document.createElement('a');
  a.href = url;
  a.download = `${store.id}.jsonl`;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
