import { useEffect, useState } from 'react';
import type { Activity, Json } from '@agentexec/client';
import { useClient } from '@agentexec/react';
import { isFinal } from '@agentexec/client/state';

const EVERY = 10_000; // ms between two looks at when a worker was last seen

export interface Known {
  /** Undefined where there is none, or the token does not show it. */
  metadata: { [key: string]: Json } | undefined;
  /** When a line or heartbeat last came: heartbeats alone send no event. */
  seenAt: string | undefined;
}

/** What the feed does not say of an activity. */
export function useKnown({ agent_id, status, last_seen_at }: Activity): Known {
  const client = useClient();
  const [known, setKnown] = useState<Known>({ metadata: undefined, seenAt: undefined });
  const over = isFinal(status);
  useEffect(() => {
    const abort = new AbortController();
    let allowed = true;
    const look = async () => {
      if (document.hidden) return;
      const options = { limit: 0, signal: abort.signal };
      const answer = await (allowed ? client.detail(agent_id, { ...options, includeMetadata: true }).catch(() => ((allowed = false), client.detail(agent_id, options))) : client.detail(agent_id, options)).catch(() => undefined);
      if (answer && !abort.signal.aborted) setKnown({ metadata: answer.metadata ?? undefined, seenAt: answer.last_seen_at });
    };
    void look();
    const timer = over ? undefined : setInterval(() => void look(), EVERY);
    return () => {
      abort.abort();
      clearInterval(timer);
    };
  }, [client, agent_id, over]);
  const seenAt = [known.seenAt, last_seen_at].filter((iso) => iso !== undefined).sort().at(-1);
  return { metadata: known.metadata, seenAt };
}
