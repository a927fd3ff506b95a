// A log as a text to take along: a line of JSON for each, so that programs and people can read it.

import type { ActivityLog, Client } from '@agentexec/client';
import type { Log } from './log_model.ts';

const PAGE = 1000; // the most lines asked for at once
const WEIGHT = 4e6; // characters, roughly, that an answer may have

async function linesOf(client: Client, log: Log, id: string): Promise<string[]> {
  const lines: string[] = [];
  let weight = 0;
  const add = ({ id, seq, created_at, attempt, status, percentage, cancel_requested, message, data }: ActivityLog) => {
    const line = JSON.stringify({ id, seq, created_at, attempt, status, percentage, cancel_requested, message, data }) + '\n';
    weight += line.length;
    lines.push(line);
  };
  const kept = log.entries.filter((e) => e.kind === 'line');
  // Lines that are no longer kept are read again. The size of a page follows from the size of the lines before.
  const first = kept[0]?.seq ?? 0;
  const size = (most: number) => Math.max(1, Math.min(PAGE, most, Math.floor((WEIGHT * lines.length) / weight) || 10));
  for (let after = 0; log.earlier && after < first - 1; ) {
    const { logs } = await client.detail(id, { afterSeq: after, limit: size(first - 1 - after) });
    const some = logs.filter(({ seq }) => seq < first); // those that were pruned are in no page
    some.forEach(add);
    if (!logs.length || some.length < logs.length) break;
    after = logs.at(-1)!.seq;
  }
  kept.forEach(add);
  return lines;
}

export async function copyLog(client: Client, log: Log, id: string): Promise<string> {
  if (!navigator.clipboard) throw new Error('This page may not copy. Use Download.');
  await navigator.clipboard.writeText((await linesOf(client, log, id)).join(''));
  return 'Copied';
}

export async function downloadLog(client: Client, log: Log, id: string): Promise<string> {
  const url = URL.createObjectURL(new Blob(await linesOf(client, log, id), { type: 'application/x-ndjson' }));
  const a = document.createElement('a');
  a.href = url;
  a.download = `${id}.jsonl`;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return '';
}
