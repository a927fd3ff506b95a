import { act, fireEvent, render, screen, within } from '@testing-library/react';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FeedError } from '@agentexec/client';
import { ActiveAgentsBadge, AgentexecProvider, ProgressBar, StatusBadge, TaskDetail, TaskList } from '../src/index.ts';
import { activity, counts, FakeClient, ID, item, line, lines, state } from './fake.ts';

let fake: FakeClient;
beforeEach(() => {
  fake = new FakeClient();
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1, 12, 5) });
});
afterEach(() => {
  vi.useRealTimers();
});

const frame = () => act(() => vi.advanceTimersByTime(20));
const show = (what: React.ReactNode) => render(<AgentexecProvider client={fake.client}>{what}</AgentexecProvider>);

function detail(logs = lines(1, 3), last = activity('RUNNING', logs.length)) {
  const view = show(<TaskDetail agentId={ID} />);
  const [w] = fake.activities;
  w!.event({ type: 'snapshot', activity: last });
  if (logs.length) w!.event({ type: 'logs', logs, activity: state(last.status, logs.at(-1)!.seq, last.latest_percentage) });
  frame();
  return { ...view, w: w!, messages: () => [...view.container.querySelectorAll('.ax-log .ax-message')].map((m) => m.textContent) };
}

const hostile = '<img src=x onerror="window.pwned = 1"><script>window.pwned = 2</script><b>bold</b> &amp;';

test('a badge and a bar', () => {
  const { container } = render(<><StatusBadge status="ERROR" /><ProgressBar percentage={40} status="RUNNING" label="x" /><ProgressBar percentage={null} /><ProgressBar percentage={400} /></>);
  expect(screen.getByText('Error').dataset['status']).toBe('ERROR');
  const bars = screen.getAllByRole('progressbar');
  expect(bars.map((b) => b.getAttribute('aria-valuenow'))).toEqual(['40', null, '100']);
  expect(bars[0]!.getAttribute('aria-label')).toBe('x');
  expect(container.querySelector<HTMLElement>('.ax-bar-fill')!.style.transform).toBe('scaleX(0.4)');
});

test('the active agents, given or live', () => {
  render(<ActiveAgentsBadge count={1234} />); // needs no provider
  expect(screen.getByText('1,234 active')).toBeTruthy();
  show(<ActiveAgentsBadge agentType="x" />);
  expect(screen.getByText('– active')).toBeTruthy();
  fake.lists[0]!.event({ type: 'snapshot', items: [], counts: counts({ QUEUED: 1, RUNNING: 1 }) });
  frame();
  expect(screen.getByText('2 active')).toBeTruthy();
});

test('a list in groups, live', () => {
  const clicked: string[] = [];
  show(<TaskList filter={{ agentType: 'x' }} onTaskClick={(id) => clicked.push(id)} selectedAgentId="b" />);
  expect(screen.getByText('Loading …')).toBeTruthy();
  const [w] = fake.lists;
  const items = [item('c', 'ERROR'), item('a', 'RUNNING', { latest_percentage: 30, started_at: new Date(Date.UTC(2026, 0, 1, 12, 4)).toISOString() }), item('b', 'QUEUED')];
  w!.event({ type: 'snapshot', items, counts: counts() });
  frame();
  expect(screen.getAllByRole('region').map((r) => r.getAttribute('aria-label'))).toEqual(['Running', 'Queued', 'Finished']);
  const [running, queued] = screen.getAllByRole('button');
  expect(running!.textContent).toBe('researchRunninglatest of a30%1m 00s');
  expect(queued!.getAttribute('aria-current')).toBe('true');
  act(() => vi.advanceTimersByTime(5_000));
  expect(running!.textContent).toContain('1m 05s');
  fireEvent.click(running!);
  expect(clicked).toEqual(['a']);

  act(() => fake.connect({ state: 'offline', since: new Date() }));
  act(() => vi.advanceTimersByTime(60_000));
  expect(running!.textContent).toContain('1m 05s'); // what is not live does not look it

  w!.event({ type: 'changes', items: [], removed: ['a', 'b', 'c'], counts: counts() });
  frame();
  expect(screen.getByText('No activities yet.')).toBeTruthy();
  w!.over(new FeedError('forbidden', 'not <for> you'));
  frame();
  expect(screen.getByRole('alert').textContent).toBe('The list cannot be shown: not <for> you');
});

test('a list of what is given needs no client but for the clock', () => {
  show(<TaskList items={[item('a', 'COMPLETE')]} href={(id) => '/activities/' + id} />);
  expect(fake.lists).toHaveLength(0);
  expect(screen.getByRole('link').getAttribute('href')).toBe('/activities/a');
  render(<TaskList items={[item('f', 'COMPLETE', { agent_type: 'done' })]} />); // nothing ticks
  expect(screen.getByText('done')).toBeTruthy();
});

test('one activity, to its end', () => {
  const closed = vi.fn();
  show(<TaskDetail agentId={ID} onClose={closed} actions={<button type="button">Cancel</button>} />);
  const [w] = fake.activities;
  w!.event({ type: 'snapshot', activity: activity('RUNNING', 2, { latest_percentage: 20, attempt: 2 }) });
  w!.event({ type: 'logs', logs: [line(1, 'queued', { status: 'QUEUED' }), line(2, 'works', { percentage: 20 })], activity: { ...state('RUNNING', 2, 20), attempt: 2 } });
  frame();
  expect(screen.getByRole('heading').textContent).toBe('research');
  expect(screen.getByText('Attempt 2')).toBeTruthy();
  expect(screen.getByRole('progressbar').getAttribute('aria-valuenow')).toBe('20');
  const log = within(screen.getByRole('log'));
  expect(log.getAllByText(/^(queued|works)$/).map((l) => l.textContent)).toEqual(['queued', 'works']);
  expect(log.getAllByRole('img').map((i) => i.getAttribute('aria-label'))).toEqual(['Queued', 'Running']); // the status where it changed
  w!.event({ type: 'logs', logs: [line(3, 'done', { status: 'COMPLETE' })], activity: state('COMPLETE', 3, 100) });
  frame();
  expect(screen.getByText('Complete')).toBeTruthy();
  expect(log.getByRole('img', { name: 'Complete' })).toBeTruthy();
  expect(screen.getByText('Took')).toBeTruthy();
  fireEvent.click(screen.getByLabelText('Close'));
  expect(closed).toHaveBeenCalled();
  expect(screen.getByText('Cancel')).toBeTruthy();
});

test('an unknown activity, a deleted one, and a lost connection are said', () => {
  show(<TaskDetail agentId={ID} />);
  fake.activities[0]!.over(new FeedError('not_found', 'there is no such activity'));
  frame();
  expect(screen.getByRole('alert').textContent).toBe('There is no such activity.');
  act(() => fake.connect({ state: 'offline', since: new Date() }));
  expect(screen.getByText(/^Offline since/)).toBeTruthy();
});

test('every message is shown as text', () => {
  const { container, messages } = detail([
    line(1, hostile),
    line(2, 'أُنجزت 3 صفحات من example.org'),
    line(3, 'beep\u0007 \u001b[31mred \u202eoverride\u0000 end'),
    line(4, '🚀 👩‍🔬 café e\u0301\r\nnext'),
    line(5, '🚀'.repeat(600)),
  ], activity('RUNNING', 5, { agent_type: hostile }));
  expect(messages()).toEqual([
    hostile, 'أُنجزت 3 صفحات من example.org', 'beep␇ red \ufffdoverride␀ end', '🚀 👩‍🔬 café e\u0301\nnext', '🚀'.repeat(500) + ' …',
  ]);
  expect(screen.getByRole('heading').textContent).toBe(hostile.slice(0, 255));
  expect(container.querySelector('img, script, b')).toBeNull();
  for (const m of container.querySelectorAll('.ax-message')) expect(m.getAttribute('dir')).toBe('auto');
  expect((window as { pwned?: number }).pwned).toBeUndefined();
  show(<TaskList items={[item('a', 'COMPLETE', { agent_type: hostile, latest_log: hostile + '\nmore' })]} />);
  expect(document.querySelector('img, script, b')).toBeNull();
  expect(document.querySelector('.ax-latest')!.textContent).toBe(hostile);
});

test('of a message of 1 MiB the beginning is shown, and all on demand', async () => {
  const { messages } = detail([line(1, 'x'.repeat(1 << 20))]);
  expect(messages()[0]).toHaveLength(1_002);
  await act(() => Promise.resolve(fireEvent.click(screen.getByText('Show all 1,048,576 characters'))));
  expect(messages()[0]).toHaveLength(1 << 20);
  fireEvent.click(screen.getByText('Show less'));
  expect(messages()[0]).toHaveLength(1_002);
});

test('data has a summary, and its tree is made only when it is open', () => {
  const { container } = detail([line(1, 'm', { data: { [hostile]: ['"quoted"', hostile] } }), line(2, 'n', { data: { a: 1, b: { c: [true] } } }), line(3, 'o', { data: [1, 2] })]);
  const buttons = [...container.querySelectorAll<HTMLElement>('.ax-data')];
  expect(buttons.map((b) => b.textContent)).toEqual([`▸ {${hostile.slice(0, 32)}}`, '▸ {a, b}', '▸ [2]']);
  expect(container.querySelector('.ax-json')).toBeNull();
  fireEvent.click(buttons[0]!);
  expect(container.querySelector('.ax-json')!.textContent).toContain(hostile + ': [2]');
  expect(container.querySelector('img:not([role]), script, b')).toBeNull();
  fireEvent.click(buttons[0]!);
  expect(container.querySelector('.ax-json')).toBeNull();
});

test('lines that are no longer kept, and those that are void, are said', () => {
  const { w, container } = detail(lines(1, 2), activity('RUNNING', 8));
  w.event({ type: 'gap', reason: 'pruned', after_seq: 2, next_seq: 7 });
  w.event({ type: 'logs', logs: lines(7, 8), activity: state('RUNNING', 8) });
  frame();
  const rows = () => [...container.querySelectorAll<HTMLElement>('.ax-lines > *')].map((l) => l.querySelector<HTMLElement>('[data-seq]')?.dataset['seq'] ?? l.textContent);
  expect(rows()).toEqual(['1', '2', 'Lines 3 to 6 are no longer kept.', '7', '8']);
  w.event({ type: 'gap', reason: 'reset', after_seq: 8, next_seq: 8 });
  frame();
  expect(rows()).toEqual(['1', '2', 'Lines 3 to 6 are no longer kept.', '7', 'The database was set back: line 8 is void.']);
});

test('of a long log only the lines in sight are in the page', () => {
  const { container } = detail(lines(1, 400));
  const drawn = container.querySelectorAll('.ax-line').length;
  expect(drawn).toBeGreaterThan(10);
  expect(drawn).toBeLessThan(100);
});

test('it follows the newest line until the person scrolls up', () => {
  const { w, container } = detail();
  const log = container.querySelector<HTMLElement>('.ax-log')!;
  let height = 1000;
  Object.defineProperties(log, { scrollHeight: { get: () => height }, clientHeight: { get: () => 100 } });
  const more = (seq: number) => {
    height += 100;
    w.event({ type: 'logs', logs: [line(seq)], activity: state('RUNNING', seq) });
    frame();
  };
  more(4);
  expect(log.scrollTop).toBe(1100);
  log.scrollTop = 300;
  fireEvent.scroll(log);
  frame();
  expect(screen.getByText('Follow').getAttribute('aria-pressed')).toBe('false');
  more(5);
  expect(log.scrollTop).toBe(300);
  expect(screen.getByText('↓ 1 new line')).toBeTruthy();
  log.scrollTop = 1100;
  fireEvent.scroll(log);
  more(6);
  expect(log.scrollTop).toBe(1300);
});

test('it renders on a server', () => {
  const html = renderToString(<AgentexecProvider client={fake.client}><TaskList /><TaskDetail agentId={ID} /><ActiveAgentsBadge /></AgentexecProvider>);
  expect(html).toContain('Loading …');
  expect(fake.lists).toHaveLength(0);
});
