import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import type { Activity, CancelRequest, Client, Status } from '@agentexec/client';
import { AgentexecProvider } from '@agentexec/react';
import { AskToCancel, cancelable, type Step } from '../src/detail/cancel.tsx';
import { item } from './items.ts';

const cancel = vi.fn(() => Promise.resolve());
const list = vi.fn(() => Promise.resolve({ total: 0 }));
const client = { cancel, list } as unknown as Client;
const request: CancelRequest = { seq: 2, message: 'Cancel requested', requested_by: null, requested_at: '', force_at: null, forced: false };

beforeAll(() => {
  // jsdom has no dialogs.
  HTMLDialogElement.prototype.showModal = function () {
    this.open = true;
  };
  HTMLDialogElement.prototype.close = function () {
    this.open = false;
    this.dispatchEvent(new Event('close'));
  };
});
afterEach(() => {
  cleanup();
  cancel.mockClear();
  closed.mockClear();
});

const closed = vi.fn();
const view = (step: Step, activity: Activity) => <AgentexecProvider client={client}><AskToCancel step={step} activity={activity} onClose={closed} /></AgentexecProvider>;
const show = (step: Step, status: Status, more: Partial<Activity> = {}) => render(view(step, item(1, status, more)));
const press = (name: string) => act(() => Promise.resolve(fireEvent.click(screen.getByRole('button', { name, hidden: true }))));
const said = () => document.querySelector('dialog p')!.textContent;

test('QUEUED, RUNNING and ERROR can be canceled', () => {
  expect((['QUEUED', 'RUNNING', 'ERROR', 'COMPLETE', 'CANCELED'] as const).map((status) => cancelable(item(1, status)))).toEqual([true, true, true, false, false]);
});

test('the cancel of a RUNNING activity is a request with 30 s', async () => {
  show('cancel', 'RUNNING');
  expect(said()).toBe('type 1 is asked to stop. Its worker gets 30 s to end; then the activity is canceled without it. It cannot be taken up again.');
  expect(cancel).not.toHaveBeenCalled();
  await press('Cancel it');
  expect(cancel.mock.calls).toEqual([[item(1, 'RUNNING').agent_id, undefined]]);
  expect(closed).toHaveBeenCalled();
});

test.each(['QUEUED', 'ERROR'] as const)('%s is canceled at once', (status) => {
  show('cancel', status);
  expect(said()).toBe('type 1 is canceled at once, and cannot be taken up again.');
});

test('the cancel of an activity with others below it covers the whole tree, unless the person takes that away', async () => {
  list.mockResolvedValueOnce({ total: 6 }); // with the root
  show('cancel', 'RUNNING');
  const tree = await screen.findByLabelText('With the whole tree: 5 more below it');
  expect(list.mock.calls.at(-1)).toMatchObject([{ rootAgentId: item(1, 'RUNNING').agent_id, statuses: ['QUEUED', 'RUNNING', 'ERROR'] }]);
  fireEvent.click(tree);
  screen.getByRole('button', { name: 'Cancel it', hidden: true });
  fireEvent.click(tree);
  await press('Cancel 6');
  expect(cancel.mock.calls).toEqual([[item(1, 'RUNNING').agent_id, { tree: true }]]);
});

test('of one that is not a root, at least the children are counted', async () => {
  list.mockResolvedValueOnce({ total: 2 });
  show('cancel', 'RUNNING', { parent_agent_id: item(9, 'RUNNING').agent_id });
  await screen.findByLabelText('With the whole tree: at least 2 more below it');
  expect(list.mock.calls.at(-1)).toMatchObject([{ parentAgentId: item(1, 'RUNNING').agent_id }]);
});

test('force does not wait for the worker', async () => {
  show('force', 'RUNNING', { cancel: request });
  expect(cancel).not.toHaveBeenCalled();
  await press('Force cancel');
  expect(cancel.mock.calls).toEqual([[item(1, 'RUNNING').agent_id, { force: true, message: 'Canceled without the worker' }]]);
});

test('force: what is below is canceled too, where the person wants it', async () => {
  show('force', 'RUNNING');
  expect(screen.queryByRole('checkbox', { hidden: true })).toBeNull();
  cleanup();
  show('force', 'RUNNING', { children: { total: 2, queued: 0, running: 2, complete: 0, error: 0, canceled: 0, percentage: 10 } });
  fireEvent.click(screen.getByRole('checkbox', { hidden: true }));
  await press('Force cancel');
  expect(cancel.mock.calls).toMatchObject([[item(1, 'RUNNING').agent_id, { tree: true }]]);
});

test('a request by another person does not turn an open dialog into force', async () => {
  const { rerender } = show('cancel', 'RUNNING');
  rerender(view('cancel', item(1, 'RUNNING', { cancel: request })));
  await press('Cancel it');
  expect(cancel.mock.calls).toEqual([[item(1, 'RUNNING').agent_id, undefined]]);
});

test('an activity canceled while the dialog is open gets no request', async () => {
  const { rerender } = show('force', 'RUNNING', { cancel: request });
  rerender(view('force', item(1, 'CANCELED', { cancel: request })));
  await press('Force cancel');
  expect(cancel).not.toHaveBeenCalled();
  expect(closed).toHaveBeenCalled();
});
