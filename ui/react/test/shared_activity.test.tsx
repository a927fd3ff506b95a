// All components that show an activity share one subscription, over the real client and sockets.

import { act, render, screen, waitFor } from '@testing-library/react';
import type { ReactNode } from 'react';
import { WebSocket } from 'ws';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Client, createClient, type WebSocketClass } from '@agentexec/client';
import { FeedServer, ID, range } from '../../client/test/server.ts';
import { AgentexecProvider, useActivity, type UseActivityOptions, useLog, useLogState } from '../src/index.ts';

let server: FeedServer;
let client: Client;

beforeEach(async () => {
  server = new FeedServer();
  server.batch = 1000;
  server.answer = (request, response) => {
    const url = new URL(request.url!, 'http://x');
    if (!url.pathname.startsWith('/v1/activities/')) return false;
    const [after, limit] = [Number(url.searchParams.get('after_seq') ?? 0), Number(url.searchParams.get('limit') ?? 1000)];
    response.end(JSON.stringify({ ...server.activity(), logs: server.lines.filter(({ seq }) => seq > after).slice(0, limit) }));
    return true;
  };
  await server.start();
  client = createClient({ url: server.url, WebSocket: WebSocket as unknown as WebSocketClass, retryDelay: () => 5 });
});
afterEach(async () => {
  client.close();
  await server.stop();
});

const within = (what: ReactNode) => <AgentexecProvider client={client}>{what}</AgentexecProvider>;

/** Shows the first and the last line that useActivity has, how many it has, and how many came before. */
function Lines({ name, id = ID, ...options }: { name: string; id?: string } & UseActivityOptions) {
  const { logs, earlier, ended } = useActivity(id, options);
  return <p>{`${name}: ${logs[0]?.seq ?? '-'} to ${logs.at(-1)?.seq ?? '-'}, ${logs.length} lines after ${earlier}${ended ? ', ended' : ''}`}</p>;
}

function Log() {
  const { activity, last, attempts } = useLogState(useLog(ID));
  return <p>{`log: ${activity?.status}, ${last} lines, ${attempts.length} attempt`}</p>;
}

const shown = (...texts: string[]) => waitFor(() => {
  for (const text of texts) screen.getByText(text);
}, { timeout: 20_000 });
const sent = (type: string) => server.messages.filter((m) => m.type === type);
/** How many subscriptions the socket has. */
const open = () => sent('subscribe').length - sent('unsubscribe').length;
const append = (n: number) => act(() => server.append(n));

test('two components with the same id have one subscription, and each has every line', async () => {
  server.append(2);
  const { rerender, unmount } = render(within([<Lines key="a" name="a" />, <Lines key="b" name="b" maxLogs={2} />, <Log key="log" />]));
  await shown('a: 1 to 2, 2 lines after 0', 'b: 1 to 2, 2 lines after 0', 'log: RUNNING, 2 lines, 1 attempt');
  expect(sent('subscribe')).toHaveLength(1);
  append(1);
  await shown('a: 1 to 3, 3 lines after 0', 'b: 2 to 3, 2 lines after 1', 'log: RUNNING, 3 lines, 1 attempt');

  // One that goes leaves the others live; one that comes later has what came before.
  rerender(within([<Lines key="b" name="b" maxLogs={2} />, <Lines key="c" name="c" id={ID.toUpperCase()} afterSeq={1} />]));
  append(1);
  await shown('b: 3 to 4, 2 lines after 2', 'c: 2 to 4, 3 lines after 0');
  act(() => server.finish());
  await shown('b: 4 to 5, 2 lines after 3, ended', 'c: 2 to 5, 4 lines after 0, ended');
  expect([sent('subscribe').length, sent('unsubscribe').length]).toEqual([1, 0]);
  expect(server.sockets.size).toBe(1);

  unmount();
  await waitFor(() => expect(open()).toBe(0), { timeout: 20_000 });
  await waitFor(() => expect(server.sockets.size).toBe(0), { timeout: 20_000 });
  expect(sent('subscribe')).toHaveLength(1);
});

test('of a long log the newest lines come, and never over two subscriptions', async () => {
  server.append(20_000);
  const { rerender } = render(within(<Log key="log" />));
  await shown('log: RUNNING, 20000 lines, 1 attempt');
  expect(sent('subscribe').map((m) => m.after_seq)).toEqual([0, 19_750]);
  rerender(within([<Log key="log" />, <Lines key="a" name="a" />, <Lines key="c" name="c" maxLogs={5_000} />]));
  await shown('a: 10001 to 20000, 10000 lines after 10000', 'c: 15001 to 20000, 5000 lines after 15000', 'log: RUNNING, 20000 lines, 1 attempt');
  rerender(within([<Log key="log" />, <Lines key="a" name="a" />, <Lines key="b" name="b" afterSeq={19_900} />]));
  append(1);
  await shown('a: 10002 to 20001, 10000 lines after 10001', 'b: 19901 to 20001, 101 lines after 0');
  expect(open()).toBe(1);
  expect(sent('subscribe').map((m) => m.after_seq)).toEqual([0, 19_750, 10_000]);
});

test('an activity that has ended stays so while earlier lines come', async () => {
  server.append(1_999);
  server.finish();
  const seen: boolean[] = [];
  const Ended = ({ maxLogs }: { maxLogs: number }) => {
    seen.push(useActivity(ID, { maxLogs }).ended);
    return null;
  };
  const { rerender } = render(within([<Ended key="ended" maxLogs={10} />, <Lines key="a" name="a" maxLogs={10} />]));
  await shown('a: 1991 to 2000, 10 lines after 1990, ended');
  seen.length = 0;
  rerender(within([<Ended key="ended" maxLogs={10} />, <Lines key="a" name="a" maxLogs={10} />, <Lines key="b" name="b" />]));
  await shown('b: 1 to 2000, 2000 lines after 0, ended');
  expect(open()).toBe(1);
  expect(seen).not.toContain(false);
});

test('one alone reads no more of the log than it keeps', async () => {
  server.append(20_000);
  render(within(<Lines name="a" maxLogs={100} />));
  await shown('a: 19901 to 20000, 100 lines after 19900');
  expect(sent('subscribe').map((m) => m.after_seq)).toEqual([0, 19_750]);
  expect(server.paths.filter((path) => path.startsWith('/v1/activities'))).toEqual([]);
  for (const n of range(1, 3)) {
    append(1000);
    await shown(`a: ${19_901 + n * 1000} to ${20_000 + n * 1000}, 100 lines after ${19_900 + n * 1000}`);
  }
});

test('after the database was set back by more lines than are kept, the newest lines come', async () => {
  server.append(3_000);
  render(within([<Lines key="a" name="a" maxLogs={100} />, <Lines key="b" name="b" maxLogs={50} />]));
  await shown('a: 2901 to 3000, 100 lines after 2900', 'b: 2951 to 3000, 50 lines after 2950');
  server.reset(2_000);
  for (const socket of server.sockets) socket.terminate();
  await shown('a: 1901 to 2000, 100 lines after 1900', 'b: 1951 to 2000, 50 lines after 1950');
  append(5);
  await shown('a: 1906 to 2005, 100 lines after 1905', 'b: 1956 to 2005, 50 lines after 1955');
});
