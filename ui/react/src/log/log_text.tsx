import { type ReactNode, useState } from 'react';
import { beginning, clean, plain } from '@agentexec/client/text';
import { pieces } from './ansi.ts';

const LENGTH = 1_000; // characters of a message that are shown at first
const LINES = 12;
const BEFORE = 200; // characters before a hit that lies beyond the beginning
const MOST_HITS = 100; // that are marked in one line

interface Props {
  message: string;
  /** The number of characters of the whole message, where only its beginning is here. */
  length: number;
  /** In lower case, '' for none. */
  sought: string;
  /** The hits in this line are the current ones. */
  current: boolean;
  /** Reads the whole message. */
  full: () => Promise<string>;
}

/** A message: its colours, and no other styling; what is sought is marked; of a long one the beginning. */
export function LogText({ message, length, sought, current, full }: Props) {
  const [whole, setWhole] = useState<string>();
  const [failed, setFailed] = useState(false);
  const short = around(message, sought);
  const folded = short.length < length;
  const open = () => (length > message.length ? full() : Promise.resolve(message)).then(setWhole, () => setFailed(true));
  return (
    <>
      <span className="ax-message" dir="auto">{marked(whole ?? short, sought, current)}{folded && whole === undefined && ' …'}</span>
      {folded && (
        <button type="button" className="ax-more" aria-expanded={whole !== undefined} onClick={() => (whole === undefined ? void open() : setWhole(undefined))}>
          {whole !== undefined ? 'Show less' : failed ? 'It could not be read. Try again' : `Show all ${length.toLocaleString()} characters`}
        </button>
      )}
    </>
  );
}

// around is the beginning of a message, or what is around the first hit where that lies beyond the beginning.
function around(message: string, sought: string): string {
  const short = beginning(message, LENGTH, LINES);
  if (!sought || short.length === message.length || plain(short).toLowerCase().includes(sought)) return short;
  const lower = message.toLowerCase();
  const at = lower.length === message.length ? lower.indexOf(sought) : -1; // letters that are longer in lower case would shift the place
  if (at < 0) return short;
  let from = Math.max(0, at - BEFORE);
  if (/[\udc00-\udfff]/.test(message[from]!)) from++; // not through the middle of a character
  return (from > 0 ? '… ' : '') + beginning(message.slice(from), LENGTH, LINES);
}

function marked(text: string, sought: string, current: boolean): ReactNode {
  const parts = pieces(text).map((piece) => ({ ...piece, text: clean(piece.text) }));
  const [only] = parts;
  if (!sought && parts.length === 1 && !only!.color && !only!.back) return only!.text;
  const hits = hitsIn(parts.map((piece) => piece.text).join(''), sought);
  let at = 0;
  return parts.map((piece, n) => {
    const shown = split(piece.text, at, hits, sought.length, current);
    at += piece.text.length;
    return piece.color || piece.back ? <span key={n} data-color={piece.back ? undefined : piece.color} data-back={piece.back ?? undefined}>{shown}</span> : <span key={n}>{shown}</span>;
  });
}

function hitsIn(text: string, sought: string): number[] {
  const lower = sought ? text.toLowerCase() : '';
  const hits: number[] = [];
  if (lower.length !== text.length) return hits;
  for (let at = lower.indexOf(sought); at >= 0 && hits.length < MOST_HITS; at = lower.indexOf(sought, at + sought.length)) hits.push(at);
  return hits;
}

// split marks the hits in a part of the text that begins at `offset`.
function split(text: string, offset: number, hits: number[], length: number, current: boolean): ReactNode {
  const shown: ReactNode[] = [];
  let done = 0;
  for (const hit of hits) {
    const [from, to] = [Math.max(done, hit - offset), Math.min(text.length, hit + length - offset)];
    if (to <= from || from >= text.length) continue;
    shown.push(text.slice(done, from), <mark key={hit} data-current={current || undefined}>{text.slice(from, to)}</mark>);
    done = to;
  }
  return shown.length ? [...shown, text.slice(done)] : text;
}
