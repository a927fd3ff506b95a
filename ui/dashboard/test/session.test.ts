import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { act, renderHook } from '@testing-library/react';

type Session = typeof import('../src/session.ts');

let answers: ((token: string) => Response | Promise<Response>) | undefined;
let asked: string[] = [];
const problem = (status: number, detail?: string) => new Response(JSON.stringify({ detail }), { status });

beforeEach(() => {
  asked = [];
  answers = (token) => (token === 'good' ? new Response('{}') : problem(401, token ? 'this token does not hold' : 'a token is needed'));
  vi.stubGlobal('fetch', async (_: string, { headers }: { headers: Record<string, string> }) => {
    const token = (headers['Authorization'] ?? '').replace('Bearer ', '');
    asked.push(token);
    return answers!(token);
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  sessionStorage.clear();
  history.replaceState(null, '', '/');
});

// open is a tab that has just been opened at an address.
async function open(address = '/'): Promise<Session> {
  history.replaceState(null, '', address);
  vi.resetModules();
  return import('../src/session.ts');
}

const jwt = (claims: object) => `e30.${btoa(JSON.stringify(claims)).replace(/=/g, '')}.sig`;

test('a server is asked whether it wants a token when there is a doubt', async () => {
  answers = () => new Response('{}');
  const { token, doubt } = await open();
  expect([await token(), await token()]).toEqual(['', '']);
  expect(asked).toEqual(['']);
  doubt();
  expect([await token(), await token()]).toEqual(['', '']);
  expect(asked).toEqual(['', '']);
});

test('a token in the address is taken, and out of sight', async () => {
  const { token } = await open('/activities/x?q=1#token=%20good%20');
  expect(location.href).toMatch(/\/activities\/x\?q=1$/);
  expect(await token()).toBe('good');
  const again = await open('/');
  expect(await again.token(), 'it lives as long as the tab').toBe('good');
});

test('the person is asked until the server is content', async () => {
  const { token, useQuestion } = await open();
  const { result } = renderHook(useQuestion);
  let got: string | undefined;
  await act(async () => void token().then((t) => (got = t)));
  await vi.waitFor(() => expect(result.current).toMatchObject({ kind: 'missing', reason: 'a token is needed' }));
  await act(async () => result.current!.answer('bad'));
  await vi.waitFor(() => expect(result.current).toMatchObject({ kind: 'wrong', reason: 'this token does not hold' }));
  await act(async () => result.current!.answer('no token\u0000 at all'));
  await vi.waitFor(() => expect(result.current).toMatchObject({ kind: 'wrong', reason: expect.stringContaining('that is no token') }));
  expect(asked).toEqual(['', 'bad']);
  await act(async () => result.current!.answer('good'));
  await vi.waitFor(() => expect([result.current, got]).toEqual([null, 'good']));
});

test('a server that is away asks for no token', async () => {
  answers = () => Promise.reject(new TypeError('Failed to fetch'));
  const { token } = await open('/#token=good');
  expect([await token(), await token()]).toEqual(['good', 'good']);
  answers = () => problem(500);
  expect(await token()).toBe('good');
  expect(asked).toEqual(['good', 'good', 'good']);
});

test('a refusal without a word is one all the same', async () => {
  answers = (t) => (t === 'good' ? new Response('{}') : problem(403));
  const { token, useQuestion } = await open('/#token=narrow');
  const { result } = renderHook(useQuestion);
  await act(async () => void token());
  await vi.waitFor(() => expect(result.current).toMatchObject({ kind: 'no rights', reason: 'the server answers 403' }));
});

test('what the token does not allow is hidden', async () => {
  const may = async (token: string) => (await open('/#token=' + token)).mayCancel();
  expect((await open()).mayCancel()).toBe(true);
  expect(await may(jwt({ agentexec: { read: true, cancel: true } }))).toBe(true);
  expect(await may(jwt({ agentexec: { read: true } }))).toBe(false);
  expect(await may(jwt({ sub: 'ada' }))).toBe(false);
  expect(await may('opaque')).toBe(true);
  const metadata = async (token: string) => (await open('/#token=' + token)).rights().metadata;
  expect([await metadata(jwt({ agentexec: { read: true } })), await metadata(jwt({ agentexec: { include_metadata: true } })), await metadata('opaque')]).toEqual([false, true, true]);
});

test('an expired token is told from a wrong one', async () => {
  answers = () => problem(401, 'the token has expired');
  const { token, useQuestion } = await open('/#token=old');
  const { result } = renderHook(useQuestion);
  await act(async () => void token());
  await vi.waitFor(() => expect(result.current).toMatchObject({ kind: 'expired', reason: 'the token has expired' }));
});

test('a browser that keeps nothing', async () => {
  vi.stubGlobal('sessionStorage', undefined);
  Object.defineProperty(globalThis, 'sessionStorage', { configurable: true, get: () => { throw new DOMException('blocked', 'SecurityError'); } });
  expect(await (await open('/#token=good')).token()).toBe('good');
});
