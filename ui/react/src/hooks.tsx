import { createContext, type ReactNode, useCallback, useContext, useSyncExternalStore } from 'react';
import type { Client, Connection, Counts, FeedError, ListFilter } from '@agentexec/client';
import { type QuestionsFilter, type QuestionsResult, questionsStore } from './questions/questions_store.ts';
import { useSnapshot } from './observable.ts';
import { type ListResult, listStore } from './store.ts';

const ClientContext = createContext<Client | null>(null);

/** Gives the components and hooks below it their client. */
export function AgentexecProvider({ client, children }: { client: Client; children?: ReactNode }) {
  return <ClientContext value={client}>{children}</ClientContext>;
}

/** The client of the provider, for calls such as `cancel`. */
export function useClient(): Client {
  const client = useContext(ClientContext);
  if (!client) throw new Error('@agentexec/react: put an <AgentexecProvider client={createClient()}> around this');
  return client;
}

/** How it stands with the connection. */
export function useConnection(): Connection {
  const client = useClient();
  const get = useCallback(() => client.connection, [client]);
  return useSyncExternalStore(client.onConnection, get, get);
}

/** A live list. Filters that are equal share one watch, whether or not they are the same object. */
export function useActivityList(filter: ListFilter = {}): ListResult {
  return useSnapshot(listStore(useClient(), filter));
}

export interface CountsResult {
  counts: Counts | undefined;
  /** QUEUED and RUNNING ones, undefined until it is known. */
  active: number | undefined;
  /** The number of stale activities; undefined before the first answer, and with a server of an earlier version. */
  stale: number | undefined;
  loading: boolean;
  error: FeedError | undefined;
}

/** How many activities there are with each status, live; with `waiting`, only of those with an open question. */
export function useCounts({ agentType, metadata, waiting, stopping }: Pick<ListFilter, 'agentType' | 'metadata' | 'waiting' | 'stopping'> = {}): CountsResult {
  const { counts, loading, error } = useActivityList({ agentType, metadata, waiting, stopping, limit: 1 });
  return { counts, active: counts && counts.QUEUED + counts.RUNNING, stale: counts?.stale, loading, error };
}

/**
 * Questions, live: the pending ones of all activities, or with the `log` of one activity its questions, `state: 'ANY'` for all of
 * them. They are read again when the feed has a line that asks or closes a question; nothing is polled.
 */
export function useQuestions(filter: QuestionsFilter = {}): QuestionsResult {
  return useSnapshot(questionsStore(useClient(), filter));
}
