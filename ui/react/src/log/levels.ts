// The level of a line: from its data, or else recognised at the beginning of its message.

import { plain } from '@agentexec/client/text';
import type { ActivityLog } from '@agentexec/client';

export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';

/** All levels, the least severe first. */
export const levels: readonly Level[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

/** The label of each level in the log. */
export const levelNames: Record<Level, string> = { trace: 'TRC', debug: 'DBG', info: 'INF', warn: 'WRN', error: 'ERR', fatal: 'FTL' };

const LOOKED = 300; // characters at the beginning of a message

const words: Record<string, Level> = {
  trace: 'trace', trc: 'trace', verbose: 'trace', debug: 'debug', dbg: 'debug', info: 'info', inf: 'info', information: 'info', notice: 'info',
  warn: 'warn', wrn: 'warn', warning: 'warn', error: 'error', err: 'error', severe: 'error',
  fatal: 'fatal', ftl: 'fatal', critical: 'fatal', crit: 'fatal', panic: 'fatal', alert: 'fatal', emerg: 'fatal', emergency: 'fatal',
};
const klog: Record<string, Level> = { D: 'debug', I: 'info', W: 'warn', E: 'error', F: 'fatal' };

const some = Object.keys(words).join('|');
const time = String.raw`(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.,:+Z-]*\]?\s+)?`;
// [error] in any case; error: in any case; ERROR in capitals before a space or a dash.
const bracketed = new RegExp(String.raw`^\s*${time}[[<(](${some})[\])>]`, 'i');
const punctuated = new RegExp(String.raw`^\s*${time}(${some})\s*[:|]`, 'i');
const capital = new RegExp(String.raw`^\s*${time}(${some.toUpperCase()})(?=\s|-|$)`);
const pair = new RegExp(String.raw`(?:^|[\s{,])"?(?:level|lvl|severity)"?\s*[=:]\s*"?(${some})\b`, 'i');

/** Returns the level of a line, null where it names none. */
export function levelOf({ data, message }: Pick<ActivityLog, 'data' | 'message'>): Level | null {
  return ofData(data) ?? ofMessage(message);
}

function ofData(data: unknown): Level | null {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return null;
  const { level, severity, levelname, levelno } = data as Record<string, unknown>;
  return named(level) ?? numbered(level) ?? named(severity) ?? named(levelname) ?? python(levelno);
}

// slog writes levels in between as INFO+2.
const named = (value: unknown): Level | null => (typeof value === 'string' ? words[value.slice(0, 20).toLowerCase().replace(/[+-]\d+$/, '')] ?? null : null);

// Numbers from 10 on are those of pino, lower ones those of slog. Python calls its numbers levelno.
function numbered(value: unknown): Level | null {
  const n = typeof value === 'number' ? value : typeof value === 'string' && /^-?\d{1,2}$/.test(value) ? Number(value) : NaN;
  if (Number.isNaN(n)) return null;
  if (n >= 10) return n >= 60 ? 'fatal' : n >= 50 ? 'error' : n >= 40 ? 'warn' : n >= 30 ? 'info' : n >= 20 ? 'debug' : 'trace';
  return n >= 8 ? 'error' : n >= 4 ? 'warn' : n >= 0 ? 'info' : n >= -4 ? 'debug' : 'trace';
}

const python = (n: unknown): Level | null => (typeof n !== 'number' ? null : n >= 50 ? 'fatal' : n >= 40 ? 'error' : n >= 30 ? 'warn' : n >= 20 ? 'info' : 'debug');

function ofMessage(message: string): Level | null {
  const text = plain(message.slice(0, LOOKED));
  const code = /^\s*([DIWEF])\d{4} \d\d:\d\d:\d\d/.exec(text)?.[1];
  if (code) return klog[code]!;
  const word = (bracketed.exec(text) ?? punctuated.exec(text) ?? capital.exec(text) ?? pair.exec(text))?.[1];
  return word ? words[word.toLowerCase()]! : null;
}
