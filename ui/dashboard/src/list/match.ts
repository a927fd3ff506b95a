// Which activities hold the words of a search. Only what was read can be searched this way.

import type { ActivityListItem, Json } from '@agentexec/client';
import { wordsOf } from './search_text.ts';

const textOf = (value: Json): string => (typeof value === 'string' ? value : JSON.stringify(value));

// Values are compared one by one, so that a word never matches across two of them.
function* textsOf({ agent_id, agent_type, latest_log, metadata }: ActivityListItem): Generator<string> {
  yield agent_id;
  yield agent_type;
  if (latest_log) yield latest_log;
  for (const [key, value] of Object.entries(metadata ?? {})) yield `${key}=${textOf(value)}`;
}

function holds(item: ActivityListItem, word: string): boolean {
  for (const text of textsOf(item)) if (text.toLowerCase().includes(word)) return true;
  return false;
}

/** Matches the activities that hold each of the words in the type, the id, the latest line or the metadata. */
export function matcherOf(text: string): (item: ActivityListItem) => boolean {
  const words = wordsOf(text).map((word) => word.toLowerCase());
  return (item) => words.every((word) => holds(item, word));
}

/** The word of a text that may be the beginning of an id: at least four hex digits. */
export const idPrefixOf = (text: string): string | undefined =>
  wordsOf(text).find((word) => /^[0-9a-f]{4}[0-9a-f-]*$/i.test(word) && word.length <= 36)?.toLowerCase();
