import { act, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Json, ProblemError, type Question } from '@agentexec/client';
import { AgentexecProvider, QuestionCard, type QuestionCardProps } from '../src/index.ts';
import { FakeClient, ID } from './fake.ts';

const at = (seconds: number) => new Date(Date.UTC(2026, 0, 1, 12) + seconds * 1000).toISOString();
const question = (more: Partial<Question> = {}): Question => ({
  agent_id: ID, key: 'preprints', prompt: 'Include them?', state: 'PENDING', answer: null, answered_by: null, asked_at: at(0), expires_at: null, closed_at: null,
  schema: { type: 'object', required: ['include'], properties: { include: { type: 'boolean' }, note: { type: 'string', maxLength: 5 } } }, ...more,
});

class Answering extends FakeClient {
  sent: [string, Json?][] = [];
  reply: (what: string) => Promise<Question> = async () => question({ state: 'ANSWERED', answer: { include: true }, answered_by: 'me', closed_at: at(5) });
  answer = (_id: string, key: string, answer: Json) => (this.sent.push([key, answer]), this.reply('answer'));
  decline = (_id: string, key: string) => (this.sent.push([key]), this.reply('decline'));
  question = () => this.reply('question');
}

let fake: Answering;
beforeEach(() => {
  fake = new Answering();
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1, 12, 2) });
});
afterEach(() => {
  vi.useRealTimers();
});

const show = (props: Partial<QuestionCardProps> = {}) => {
  const card = (more: Partial<QuestionCardProps>) => <AgentexecProvider client={fake.client}><QuestionCard question={question()} {...props} {...more} /></AgentexecProvider>;
  const { container, rerender } = render(card({}));
  return { card: container.querySelector<HTMLElement>('.ax-ask')!, again: (more: Partial<QuestionCardProps>) => rerender(card(more)) };
};
const settle = () => act(() => vi.advanceTimersByTimeAsync(50));
const press = async (name: string) => {
  fireEvent.click(screen.getByRole('button', { name }));
  await settle();
};
const refuse = (status: number, detail: string) => async (what: string) => {
  if (what !== 'question') throw new ProblemError(status, { detail });
  return question({ state: 'DECLINED', answered_by: 'anna', closed_at: at(60) });
};

test('an answer is made from the fields and sent once', async () => {
  const closed: Question[] = [];
  const { card } = show({ onClosed: (q) => closed.push(q) });
  expect(card.dataset['st']).toBe('waiting');
  expect(card.textContent).toMatch(/Waits for you 2 min/);
  await press('Answer');
  expect(fake.sent).toEqual([]);
  const group = screen.getByRole('radiogroup', { name: /include/ });
  expect(group.getAttribute('aria-invalid')).toBe('true');
  expect(document.getElementById(group.getAttribute('aria-describedby')!.split(' ').at(-1)!)!.textContent).toBe('include is required');
  expect(group.contains(document.activeElement)).toBe(true);

  fireEvent.click(screen.getByRole('radio', { name: 'Yes' }));
  expect(group.getAttribute('aria-invalid')).toBeNull();
  fireEvent.change(screen.getByRole('textbox', { name: 'note' }), { target: { value: 'fine' } });
  const button = screen.getByRole('button', { name: 'Answer' });
  fireEvent.click(button);
  fireEvent.submit(button.closest('form')!);
  expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Sending …' }).disabled).toBe(true);
  await settle();
  expect(fake.sent).toEqual([['preprints', { include: true, note: 'fine' }]]);
  expect(closed.map(({ state }) => state)).toEqual(['ANSWERED']);
  expect(card.textContent).toMatch(/Answered by me at .*\{"include":true\}/);
  expect(screen.queryByRole('form')).toBeNull();
  expect(card.dataset['st']).toBeUndefined();
});

test('a question is declined', async () => {
  fake.reply = async () => question({ state: 'DECLINED', closed_at: at(5) });
  const { card } = show();
  await press('Decline');
  expect(fake.sent).toEqual([['preprints']]);
  expect(card.textContent).toMatch(/Declined at .*There is no answer/);
});

test('what the server refuses is said where it belongs', async () => {
  const { card } = show();
  fireEvent.click(screen.getByRole('radio', { name: 'No' }));
  fake.reply = refuse(422, 'answer.note must have at least 1 characters, got 0');
  await press('Answer');
  const note = screen.getByRole('textbox', { name: 'note' });
  expect(document.getElementById(note.getAttribute('aria-describedby')!.split(' ')[1]!)!.textContent).toBe('note must have at least 1 characters, got 0');
  expect(document.activeElement).toBe(note);

  fake.reply = refuse(503, 'the database is busy');
  await press('Answer');
  expect(screen.getByRole('alert').textContent).toBe('The database is busy.');

  fake.reply = refuse(409, 'question "preprints" is DECLINED');
  await press('Answer');
  expect(card.textContent).toMatch(/Declined by anna/);
});

test('a token without the verb disables the form', async () => {
  fake.reply = refuse(403, 'the token does not grant answer');
  show();
  await press('Decline');
  expect(screen.getByText('The token does not grant answer, so this form is disabled.')).toBeTruthy();
  for (const control of [screen.getByRole('button', { name: 'Answer' }), screen.getByRole('textbox', { name: 'note' }), screen.getByRole('radio', { name: 'Yes' })]) {
    expect((control as HTMLButtonElement).disabled).toBe(true);
  }
});

test('a token that is known not to grant it disables the form at once', () => {
  show({ mayAnswer: false });
  expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Answer' }).disabled).toBe(true);
});

test('the time that is left is that of the server, and what expired cannot be answered', async () => {
  fake.skew = 60_000;
  const { card } = show({ question: question({ expires_at: at(240) }) });
  expect(card.textContent).toMatch(/expires in 60 s/);
  await act(() => vi.advanceTimersByTimeAsync(61_000));
  expect(card.dataset['state']).toBe('EXPIRED');
  expect(screen.queryByRole('button')).toBeNull();
});

test('another person answers while the form is in use', async () => {
  const { card, again } = show();
  screen.getByRole('textbox', { name: 'note' }).focus();
  again({ question: question({ state: 'ANSWERED', answer: { include: false }, answered_by: 'anna', closed_at: at(100) }) });
  expect(card.textContent).toMatch(/Answered by anna/);
  expect(document.activeElement).toBe(card);
});

test('text of a question is only text', () => {
  const hostile = '<img src=x onerror="window.pwned = 1">\u202e';
  const { card } = show({ question: question({ prompt: hostile, key: hostile, schema: { enum: [hostile, 'b'], description: hostile } }) });
  expect(card.querySelector('img')).toBeNull();
  expect(card.textContent).not.toContain('\u202e');
});
