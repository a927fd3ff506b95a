import { type Client, type ClientOptions, makeClient } from './client.ts';
import { createSharedFeed } from './share.ts';
import { canShare } from './tabs.ts';

export type { ActivityOptions, Client, ClientOptions, OnOver, WatchOptions } from './client.ts';
export type { Connection, WebSocketClass } from './feed.ts';
export { type Api, type CallOptions, type CanceledPending, type CancelOptions, type DetailOptions, type LineOptions, type ListOptions, type ListOrder, type ListTree, type MetadataFilter, type Problem, ProblemError, type QuestionsOptions, type StatsOptions } from './http.ts';
export type { TokenSource } from './tokens.ts';
export type * from './types.ts';
export { FeedError, type ListFilter } from './watch.ts';

/** A client of one sidecar. Nothing happens until it is used; all its watches share one socket, and with `share` all tabs. */
export const createClient = (options: ClientOptions = {}): Client => makeClient(options, canShare() ? createSharedFeed : undefined);
