import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import type { Activity, CancelRequest, Client, Status } from '@agentexec/client';
import { AgentexecProvider } from '@agentexec/react';
import { Cancel } from '../src/cancel.tsx';
import { item } from './items.ts';

const cancel = vi.fn(() => Promise.resolve());
const client = { cancel } as unknown as Client;
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
});

const view = (activity: Activity) => <AgentexecProvider client={client}><Cancel activity={activity} /></AgentexecProvider>;
const show = (status: Status, more: Partial<Activity> = {}) => render(view(item(1, status, more)));
const press = (name: string) => act(() => Promise.resolve(fireEvent.click(screen.getByRole('button', { name, hidden: true }))));
const said = () => document.querySelector('dialog p')!.textContent;

test('QUEUED, RUNNING and ERROR can be canceled', () => {
  const offered = (status: Status) => {
    show(status);
    const names = screen.queryAllByRole('button').map((b) => b.textContent);
    cleanup();
    return names;
  };
  expect((['QUEUED', 'RUNNING', 'ERROR', 'COMPLETE', 'CANCELED'] as const).map(offered)).toEqual([['Cancel'], ['Cancel'], ['Cancel'], [], []]);
});

test('the cancel of a RUNNING activity is a request with 30 s', async () => {
  show('RUNNING');
  await press('Cancel');
  expect(said()).toBe('type 1 is asked to stop. Its worker gets 30 s to end; then the activity is canceled without it. It cannot be taken up again.');
  expect(cancel).not.toHaveBeenCalled();
  await press('Cancel it');
  expect(cancel.mock.calls).toEqual([[item(1, 'RUNNING').agent_id, undefined]]);
  expect(document.querySelector('dialog')).toBeNull();
});

test.each(['QUEUED', 'ERROR'] as const)('%s is canceled at once', async (status) => {
  show(status);
  await press('Cancel');
  expect(said()).toBe('type 1 is canceled at once, and cannot be taken up again.');
});

test('force is a second step while it is stopping', async () => {
  show('RUNNING', { cancel: request });
  expect(screen.queryByRole('button', { name: 'Cancel' })).toBeNull();
  await press('Force cancel');
  expect(cancel).not.toHaveBeenCalled();
  await act(() => Promise.resolve(fireEvent.click(document.querySelector('.danger')!)));
  expect(cancel.mock.calls).toEqual([[item(1, 'RUNNING').agent_id, { force: true, message: 'Canceled without the worker' }]]);
});

test('a request by another person does not turn an open dialog into force', async () => {
  const { rerender } = show('RUNNING');
  await press('Cancel');
  rerender(view(item(1, 'RUNNING', { cancel: request })));
  await press('Cancel it');
  expect(cancel.mock.calls).toEqual([[item(1, 'RUNNING').agent_id, undefined]]);
});

test('an activity canceled while the dialog is open gets no request', async () => {
  const { rerender } = show('RUNNING', { cancel: request });
  await press('Force cancel');
  rerender(view(item(1, 'CANCELED', { cancel: request })));
  await act(() => Promise.resolve(fireEvent.click(document.querySelector('.danger')!)));
  expect(cancel).not.toHaveBeenCalled();
  expect(document.querySelector('dialog')).toBeNull();
});
