// A page that watches an activity, ?id=, and the list of its type, ?type=, with a client that shares its connection.

import { createClient } from '@agentexec/client';
import { applyList } from '@agentexec/client/state';
import type { ActivityListItem } from '@agentexec/client';

const query = new URLSearchParams(location.search);
const [id, type] = [query.get('id')!, query.get('type')!];
const client = createClient({ share: true });
const seqs: number[] = [];
const items = new Map<string, ActivityListItem>();
client.watchActivity(id, {}, (e) => e.type === 'logs' && seqs.push(...e.logs.map((line) => line.seq)));
client.watchList({ agentType: type }, {}, (e) => applyList(items, e));

Object.assign(window, { tab: () => ({ seqs, listed: items.get(id)?.last_seq, connection: client.connection }) });
