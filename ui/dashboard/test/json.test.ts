import { expect, test } from 'vitest';
import { rawNumber } from '@agentexec/react';
import { parse } from '../src/json.ts';

const exact = 'rawJSON' in JSON; // Node 20 cannot; browsers can

test('numbers that would be rounded stay as they were written, where that can be', () => {
  const value = parse('{"id": 12345678901234567890, "small": 1.5, "text": "12345678901234567890", "list": [-9007199254740993]}') as Record<string, unknown>;
  expect(value).toMatchObject({ small: 1.5, text: '12345678901234567890' });
  expect(rawNumber(value['id'])).toBe(exact ? '12345678901234567890' : undefined);
  expect(rawNumber((value['list'] as unknown[])[0])).toBe(exact ? '-9007199254740993' : undefined);
  expect(rawNumber(value['small'])).toBeUndefined();
  if (exact) expect(JSON.stringify(value)).toContain('"id":12345678901234567890');
});

test('a number with many digits that JavaScript keeps is a number', () => {
  expect(parse('{"p95": 0.0024859999999999998, "id": 1234567890123456}')).toEqual({ p95: 0.0024859999999999998, id: 1234567890123456 });
});

test('all else is what JSON.parse makes of it', () => {
  const text = '{"a": [1, true, null, {"b": "\\u0000"}], "c": 123456789012345}';
  expect(parse(text)).toEqual(JSON.parse(text));
  expect(() => parse('{')).toThrow(SyntaxError);
  expect(rawNumber('1')).toBeUndefined();
});
