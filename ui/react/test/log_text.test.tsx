import { cleanup, render } from '@testing-library/react';
import { afterEach, expect, test } from 'vitest';
import type { Json } from '@agentexec/client';
import { plain } from '@agentexec/client/text';
import { pieces } from '../src/log/ansi.ts';
import { levelOf } from '../src/log/levels.ts';
import { between } from '../src/log/log_row.tsx';
import { LogText } from '../src/log/log_text.tsx';

afterEach(cleanup);

const of = (message: string, data: Json = null) => levelOf({ message, data });

test.each<[Json, string | null]>([
  [{ level: 'INFO' }, 'info'], [{ level: 'warning' }, 'warn'], [{ level: 'ERROR+2' }, 'error'], [{ level: 'DEBUG-4' }, 'debug'], [{ level: 'CRITICAL' }, 'fatal'],
  [{ level: 10 }, 'trace'], [{ level: 20 }, 'debug'], [{ level: 30 }, 'info'], [{ level: 40 }, 'warn'], [{ level: 50 }, 'error'], [{ level: 60 }, 'fatal'],
  [{ level: -4 }, 'debug'], [{ level: 0 }, 'info'], [{ level: 4 }, 'warn'], [{ level: 8 }, 'error'], [{ level: '30' }, 'info'],
  [{ levelname: 'WARNING' }, 'warn'], [{ levelno: 30 }, 'warn'], [{ severity: 'notice' }, 'info'], [{ level: 'level 7' }, null], [{ level: null }, null], [[1], null], ['error', null],
])('the level of data %j is %s', (data, level) => expect(of('a message', data)).toBe(level));

test.each<[string, string | null]>([
  ['INFO starting', 'info'], ['WARN: slow', 'warn'], ['[error] it broke', 'error'], ['Error: it broke', 'error'], ['time=x level=WARN msg=y', 'warn'], ['{"level":"debug","msg":"x"}', 'debug'],
  ['E0101 12:00:00.000 main.go:1] no', 'error'], ['2026-01-31T12:00:00Z WARNING late', 'warn'], ['\u001b[31mERROR\u001b[0m red', 'error'], ['FATAL - over', 'fatal'],
  ['an error occurred', null], ['Information is power', null], ['Error occurred', null], ['E0101', null], ['', null], ['x'.repeat(400) + ' level=error', null],
])('the level of %j is %s', (message, level) => expect(of(message)).toBe(level));

test('what data says counts more than the message', () => expect(of('ERROR no', { level: 'info' })).toBe('info'));

test('of escape sequences only colours are left: 16, 256 and true colour', () => {
  const colors = (text: string) => pieces(text).map(({ text, color, back }) => [text, color, back].filter(Boolean).join(' '));
  expect(colors('a\u001b[31mred\u001b[92mgreen\u001b[38;5;208morange\u001b[38;2;10;20;240mblue\u001b[0m.')).toEqual(['a', 'red red', 'green green', 'orange yellow', 'blue blue', '.']);
  expect(colors('\u001b[90mgray\u001b[97mwhite\u001b[41;37mon red\u001b[36mcyan')).toEqual(['gray gray', 'white', 'on red red', 'cyan cyan red']);
  expect(colors('\u001b[1;4;5;8mhidden\u001b[0m')).toEqual(['hidden']);
  expect(plain('a\u001b[2J\u001b[10;10Hb\u001b]8;;http://x\u0007link\u001b]8;;\u0007\u001b(B\u001bMc\u001b[3')).toBe('ablinkc');
  expect(plain('x\u001b]0;a title without an end\ny'), 'what has no end hides no text').toBe('x0;a title without an end\ny');
  expect(pieces('plain')).toEqual([{ text: 'plain', color: null, back: null }]);
});

test('a long run of broken sequences takes no long time', () => {
  const text = '\u001b]\u001bP\u001b['.repeat(100_000);
  expect(plain(text).length).toBeLessThan(text.length);
  expect(pieces('\u001b[31m\u001b[38;5m\u001b[;;;;m'.repeat(20_000) + 'x').at(-1)!.text).toContain('x');
});

const show = (message: string, sought = '', current = false) =>
  render(<LogText message={message} length={message.length} sought={sought} current={current} full={() => Promise.resolve(message)} />).container;

test('colours are attributes, and styling comes with nothing else', () => {
  const box = show('a \u001b[31mred <b style="x">\u001b[0m \u001b[1mbold\u001b[0m \u202e');
  expect(box.querySelector('[data-color=red]')!.textContent).toBe('red <b style="x">');
  expect(box.textContent).toBe('a red <b style="x"> bold \ufffd');
  expect(box.querySelector('b, [style], [class]:not(.ax-message)')).toBeNull();
});

test('what is sought is marked, across colours, and in the current line in another way', () => {
  const box = show('one ne\u001b[31medle and NEEDLE', 'needle', true);
  expect([...box.querySelectorAll('mark')].map((m) => m.textContent)).toEqual(['ne', 'edle', 'NEEDLE']);
  expect(box.querySelectorAll('mark[data-current]')).toHaveLength(3);
  const far = show('x'.repeat(5_000) + ' needle ' + 'y'.repeat(5_000), 'needle');
  expect(far.querySelector('mark')!.textContent).toBe('needle');
  expect(far.querySelector('.ax-message')!.textContent!.length).toBeLessThan(1_100);
});

test('times between lines in words', () => {
  expect([0, 999, 1000, 59_949, 59_950, 90_000, 3_569_999, 3_570_000, 9e6].map(between)).toEqual(['0 ms', '999 ms', '1.0 s', '59.9 s', '1 min', '2 min', '59 min', '1.0 h', '2.5 h']);
});
