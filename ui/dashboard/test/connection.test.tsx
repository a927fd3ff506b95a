import { cleanup, fireEvent, render, screen } from '@testing-library/react';
import { AgentexecProvider } from '@agentexec/react';
import type { Client, Connection as State } from '@agentexec/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Connection } from '../src/frame/connection.tsx';

beforeEach(() => {
  HTMLDialogElement.prototype.showModal = function () {
    this.open = true;
  };
});
afterEach(cleanup);

const reconnect = vi.fn();

function show(state: Partial<State>): string {
  const connection: State = { state: 'live', since: null, reason: '', code: '', transport: 'websocket', ...state };
  const client = { connection, onConnection: () => () => {}, reconnect, now: Date.now } as unknown as Client;
  const { container } = render(<AgentexecProvider client={client}><Connection /></AgentexecProvider>);
  return `${container.querySelector('.connection')!.getAttribute('data-conn')}: ${container.querySelector('#connection')!.textContent}`;
}

const advice = () => (fireEvent.click(document.querySelector('.conn')!), screen.getByRole('dialog', { hidden: true }).querySelector('p')!.textContent);
const long = new Date(2026, 10, 9, 14, 2, 11);

test('each state has a mark and a word', () => {
  expect(show({ state: 'live' })).toBe('live: Live');
  cleanup();
  expect(show({ state: 'idle' })).toBe('wait: Connecting');
  cleanup();
  expect(show({ state: 'catching up' })).toBe('wait: Catching up');
  cleanup();
  expect(show({ state: 'offline', since: new Date(), reason: 'the connection was lost' })).toBe('wait: Reconnecting');
  cleanup();
  expect(show({ state: 'offline', since: long, reason: 'the connection was lost' })).toBe('off: Offline since 14:02:11');
});

test('a refused origin is said with the setting that lets it in', () => {
  expect(show({ state: 'offline', since: long, code: 'refused_origin', reason: 'http://a refuses pages of http://b: start the sidecar with --allow-origin http://b' })).toBe('off: Refused');
  fireEvent.click(screen.getByRole('button', { name: 'What to do' }));
  expect(screen.getByRole('dialog', { hidden: true }).textContent).toContain('start the sidecar with --allow-origin http://b. Then restart it and reload this page.');
});

test('the text of an exception is not shown', () => {
  show({ state: 'offline', since: long, code: 'unreachable', reason: 'http://a cannot be reached (Failed to fetch)' });
  expect(document.body.textContent).not.toContain('Failed to fetch');
  expect(advice()).toMatch(/^The server does not answer\. .* The page tries again by itself\.$/);
});

test('without a WebSocket it says how late lists are', () => {
  show({ transport: 'http' });
  expect(document.querySelector('#reason')!.textContent).toMatch(/up to 3 s behind/);
});

test('a person can have it tried at once', () => {
  show({ state: 'offline', since: long });
  fireEvent.click(screen.getByRole('button', { name: 'Retry now' }));
  expect(reconnect).toHaveBeenCalledTimes(1);
});
