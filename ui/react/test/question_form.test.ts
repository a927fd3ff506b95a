import { expect, test } from 'vitest';
import { answerOf, byField, draftOf, type Draft, type Field, formOf, leavesOf, problemOf } from '../src/questions/form.ts';
import { problemsOf } from '../src/questions/schema.ts';
import type { Json } from '@agentexec/client';

const kinds = (schema: Json) => leavesOf(formOf(schema)).map((field) => field.kind + (field.kind === 'text' && field.long ? ' long' : '') + (field.kind === 'choice' && field.buttons ? ' buttons' : ''));
const sentences = (form: Field, draft: Draft) => byField(form, answerOf(form, draft).problems);

test.each<[Json, string[]]>([
  [null, ['json']],
  [{}, ['json']],
  [true, ['json']],
  [{ type: 'boolean' }, ['choice buttons']],
  [{ enum: ['a', 'b', 3] }, ['choice buttons']],
  [{ enum: ['a', 'b', 'c', 'd', 'e'] }, ['choice']],
  [{ type: 'string' }, ['text long']],
  [{ type: 'string', maxLength: 80 }, ['text']],
  [{ type: ['string', 'null'], maxLength: 2000 }, ['text long']],
  [{ type: 'integer' }, ['number']],
  [{ type: ['string', 'number'] }, ['json']],
  [{ type: 'array', items: { type: 'string' } }, ['items']],
  [{ type: 'array', items: { enum: ['a', 'b'] } }, ['choices']],
  [{ type: 'array', items: { type: 'object' } }, ['json']],
  [{ type: 'array' }, ['json']],
  [{ type: 'object' }, ['json']],
  [{ type: 'string', oneOf: [] }, ['json']],
  [{ type: 'object', properties: { a: { type: 'string' }, b: { type: 'object', properties: { c: { type: 'number' } } } } }, ['text', 'number']],
])('the fields of %j', (schema, expected) => {
  expect(kinds(schema)).toEqual(expected);
});

const trip = formOf({
  type: 'object', required: ['include', 'count'],
  properties: {
    include: { type: 'boolean', default: true }, count: { type: 'integer', minimum: 1, title: 'How many' }, note: { type: 'string', maxLength: 5 },
    tags: { type: 'array', items: { type: 'string', maxLength: 3 } }, of: { type: 'object', properties: { size: { type: 'number' } }, required: ['size'] },
  },
});

test('the fields make an answer, and what is not entered is left out', () => {
  expect(draftOf(trip)).toEqual({ 'answer.include': '0' });
  const draft = { ...draftOf(trip), 'answer.count': ' 3 ' };
  expect(answerOf(trip, draft)).toEqual({ value: { include: true, count: 3 }, problems: [] });
  expect(answerOf(trip, { ...draft, 'answer.note': 'ok', 'answer.tags': 'a\n\n b ', 'answer.of.size': '1.5e1' }).value).toEqual({ include: true, count: 3, note: 'ok', tags: ['a', 'b'], of: { size: 15 } });
  expect(answerOf(formOf({ type: 'array', items: { enum: ['a', 'b', 'c'] } }), { answer: '0,2' }).value).toEqual(['a', 'c']);
  expect(answerOf(formOf({ type: ['integer', 'null'] }), {}).problems).toEqual([]);
  expect(answerOf(formOf(null), { answer: ' {"a": [1, null]} ' }).value).toEqual({ a: [1, null] });
});

test('required fields come first, in the order in which they are required', () => {
  const form = formOf({ type: 'object', required: ['second', 'first'], properties: { a: {}, first: {}, second: {}, b: {} } });
  expect(leavesOf(form).map(({ label }) => label)).toEqual(['second', 'first', 'a', 'b']);
});

test('what is wrong is said at the field, by its label', () => {
  expect(sentences(trip, {})).toEqual({ 'answer.include': 'include is required', 'answer.count': 'How many is required' });
  expect(sentences(trip, { 'answer.include': '1', 'answer.count': '0', 'answer.note': 'too long', 'answer.tags': 'a\nlong', })).toEqual({
    'answer.count': 'How many must be at least 1, got 0', 'answer.note': 'note must have at most 5 characters, got 8', 'answer.tags': 'tags[1] must have at most 3 characters, got 4',
  });
  expect(sentences(trip, { 'answer.count': 'x', 'answer.note': 'too long' })).toEqual({
    'answer.include': 'include is required', 'answer.count': 'How many must be a number', 'answer.note': 'note must have at most 5 characters, got 8',
  });
  expect(sentences(trip, { 'answer.include': '1', 'answer.count': '1.5' })).toEqual({ 'answer.count': 'How many must be of type integer, got number' });
  expect(sentences(formOf(null), { answer: '{a}' })['answer']).toMatch(/^The answer must be JSON/);
  expect(sentences(formOf(null), { answer: 'null' })).toEqual({ answer: 'The answer must not be null' });
  expect(sentences(formOf(null), { answer: '{"id": 12345678901234567890}' })['answer']).toMatch(/more than 15 digits/); // it would be rounded
  expect(sentences(formOf(null), { answer: '{"id": "12345678901234567890"}' })).toEqual({});
  expect(sentences(formOf({ type: 'string' }), {})).toEqual({ answer: 'The answer is required' });
});

test('what the server says is shown at the field that its path names', () => {
  expect(byField(trip, [problemOf(trip, 'answer.count must be at least 1, got 0')])).toEqual({ 'answer.count': 'How many must be at least 1, got 0' });
  expect(byField(trip, [problemOf(trip, 'answer.tags[1] must be of type string, got number')])).toEqual({ 'answer.tags': 'tags[1] must be of type string, got number' });
  expect(byField(trip, [problemOf(trip, 'answer.other.x is required')])).toEqual({ '': 'answer.other.x is required' });
  const spaced = formOf({ type: 'object', properties: { 'a b': { type: 'string' }, a: { type: 'string' } } });
  expect(byField(spaced, [problemOf(spaced, 'answer.a b is required')])).toEqual({ 'answer.a b': 'a b is required' });
});

// The words are those of the server: _answer_problem in sql/answer_schema.sql.
test.each<[Json, Json, string]>([
  [3, { type: 'string' }, 'answer must be of type string, got number'],
  [1.0, { type: 'integer' }, ''],
  [null, { type: ['string', 'boolean'] }, 'answer must be of type string or boolean, got null'],
  ['c', { enum: ['a', 'b'] }, 'answer must be one of ["a","b"]'],
  [{ b: 1, a: [2] }, { enum: [{ a: [2], b: 1 }] }, ''],
  [5, { exclusiveMaximum: 5 }, 'answer must be below 5, got 5'],
  [5, { exclusiveMinimum: 5 }, 'answer must be above 5, got 5'],
  ['😀😀', { maxLength: 1 }, 'answer must have at most 1 characters, got 2'],
  [[], { minItems: 1 }, 'answer must have at least 1 items, got 0'],
  [[1, 'x'], { items: { type: 'number' } }, 'answer[1] must be of type number, got string'],
  [{}, { required: ['a'] }, 'answer.a is required'],
  [{ a: { b: 11 } }, { properties: { a: { properties: { b: { maximum: 10 } } } } }, 'answer.a.b must be at most 10, got 11'],
  [1, false, 'answer is not allowed'],
])('%j under %j', (value, schema, problem) => {
  expect(problemsOf(value, schema, 'answer').map(({ path, text }) => `${path} ${text}`)).toEqual(problem ? [problem] : []);
});
