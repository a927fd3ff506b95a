// What the search completes: the types, and the metadata keys and values, of the activities that were read.

import type { ActivityListItem } from '@agentexec/client';
import { textOfValue } from './query.ts';

const MOST_TYPES = 200;
const MOST_KEYS = 50;
const MOST_VALUES = 100;
const LONGEST = 80; // characters of a value

class Seen {
  readonly types = new Set<string>();
  readonly metadata = new Map<string, Set<string>>();

  note({ agent_type, metadata }: ActivityListItem): void {
    if (this.types.size < MOST_TYPES) this.types.add(agent_type);
    if (!metadata) return;
    for (const key in metadata) {
      const value = metadata[key]!;
      if (typeof value === 'object' && value !== null) continue; // cannot be filtered by
      let values = this.metadata.get(key);
      if (!values) {
        if (this.metadata.size >= MOST_KEYS) continue;
        this.metadata.set(key, (values = new Set()));
      }
      const text = textOfValue(value);
      if (values.size < MOST_VALUES && text.length <= LONGEST) values.add(text);
    }
  }

  clear(): void {
    this.types.clear();
    this.metadata.clear();
  }
}

/** All lists of the page share it. */
export const seen = new Seen();
