// The form of a question: the fields that its schema asks for, and the answer that they make.

import type { Json } from '@agentexec/client';
import { isObject, type Problem, problemsOf, type Schema, typesOf } from './schema.ts';

const DEEPEST = 3; // objects in objects
const LONG = 240; // characters: a longer text gets a field of several lines
const BUTTONS = 4; // options that are shown side by side
const SHORT = 24; // characters of their labels, all together
const EXACT = /-?\d{16,}/; // a JavaScript number keeps 15 digits

export interface Option {
  label: string;
  value: Json;
}

interface Common {
  /** Its place in the answer, as the server names it: "answer.count". */
  path: string;
  /** '' for an answer that is one value. */
  label: string;
  hint: string;
  required: boolean;
  schema: Schema;
}

/** A part of the form. `choice` is one of some options, `choices` several, `items` a text with one item in each line. */
export type Field = Common & (
  | { kind: 'choice'; options: Option[]; buttons: boolean }
  | { kind: 'choices'; options: Option[] }
  | { kind: 'text'; long: boolean }
  | { kind: 'number' | 'json' }
  | { kind: 'items'; numbers: boolean }
  | { kind: 'object'; fields: Field[] }
);

/** What was entered, by path: a text, the index of an option, or the indexes of several. */
export type Draft = Readonly<Record<string, string>>;

const UNKNOWN = ['$ref', 'oneOf', 'anyOf', 'allOf', 'not', 'if', 'patternProperties', 'prefixItems'];

/** Returns the form for the answer that a schema asks for. */
export const formOf = (schema: Json): Field => fieldOf({ path: 'answer', label: '', required: true, schema: isObject(schema) ? schema : {} }, 0);

function fieldOf(given: Omit<Common, 'hint'>, depth: number): Field {
  const { schema } = given;
  const types = typesOf(schema).filter((type) => type !== 'null');
  const label = typeof schema['title'] === 'string' && schema['title'] ? schema['title'] : given.label;
  const common = { ...given, label, hint: typeof schema['description'] === 'string' ? schema['description'] : '' };
  if (UNKNOWN.some((key) => key in schema)) return { ...common, kind: 'json' };
  const options = optionsOf(schema, types);
  if (options) return { ...common, kind: 'choice', options, buttons: options.length <= BUTTONS && options.reduce((sum, o) => sum + o.label.length, 0) <= SHORT };
  if (types.length !== 1) return { ...common, kind: 'json' };
  switch (types[0]) {
    case 'string':
      return { ...common, kind: 'text', long: isLong(common) };
    case 'number':
    case 'integer':
      return { ...common, kind: 'number' };
    case 'array':
      return arrayOf(common);
    case 'object':
      return objectOf(common, depth);
  }
  return { ...common, kind: 'json' };
}

// Without a bound, a text that is the whole answer may be long, and one that is a part of it is taken to be short.
function isLong({ path, schema: { maxLength, format } }: Common): boolean {
  return typeof maxLength === 'number' ? maxLength > LONG : path === 'answer' && format === undefined;
}

function optionsOf(schema: Schema, types: string[]): Option[] | undefined {
  if (Array.isArray(schema['enum'])) return schema['enum'].map((value) => ({ label: typeof value === 'string' ? value : JSON.stringify(value), value }));
  if (schema['const'] !== undefined) return [{ label: typeof schema['const'] === 'string' ? schema['const'] : JSON.stringify(schema['const']), value: schema['const'] }];
  return types.length === 1 && types[0] === 'boolean' ? [{ label: 'Yes', value: true }, { label: 'No', value: false }] : undefined;
}

function arrayOf(common: Common): Field {
  const items = common.schema['items'];
  if (!isObject(items) || UNKNOWN.some((key) => key in items)) return { ...common, kind: 'json' };
  const types = typesOf(items);
  const options = optionsOf(items, types);
  if (options && types[0] !== 'boolean') return { ...common, kind: 'choices', options };
  const [type, second] = types;
  if (second !== undefined || !['string', 'number', 'integer'].includes(type!)) return { ...common, kind: 'json' };
  return { ...common, kind: 'items', numbers: type !== 'string' };
}

function objectOf(common: Common, depth: number): Field {
  const { properties, required } = common.schema;
  if (!isObject(properties) || !Object.keys(properties).length || isObject(common.schema['additionalProperties']) || depth === DEEPEST) return { ...common, kind: 'json' };
  const needed = Array.isArray(required) ? required : [];
  // The database does not keep the order of properties, so the required ones come first, in the order in which they are required.
  const place = (name: string) => (needed.includes(name) ? needed.indexOf(name) : Infinity);
  const sorted = Object.entries(properties).sort(([a], [b]) => (place(a) === place(b) ? 0 : place(a) - place(b)));
  const fields = sorted.map(([name, schema]) =>
    fieldOf({ path: `${common.path}.${name}`, label: name, required: needed.includes(name), schema: isObject(schema) ? schema : {} }, depth + 1));
  return { ...common, kind: 'object', fields };
}

/** What the fields hold at first: the defaults of the schema. */
export function draftOf(field: Field): Draft {
  if (field.kind === 'object') return Object.assign({}, ...field.fields.map(draftOf)) as Draft;
  const value = field.schema['default'];
  if (value === undefined) return {};
  const at = (one: Json) => ('options' in field ? field.options.findIndex((o) => JSON.stringify(o.value) === JSON.stringify(one)) : -1);
  const text = (one: Json) => (typeof one === 'string' ? one : JSON.stringify(one));
  const many = Array.isArray(value) ? value : [];
  switch (field.kind) {
    case 'choice':
      return at(value) < 0 ? {} : { [field.path]: String(at(value)) };
    case 'choices':
      return { [field.path]: many.map(at).filter((n) => n >= 0).join() };
    case 'items':
      return { [field.path]: many.map(text).join('\n') };
    case 'json':
      return { [field.path]: JSON.stringify(value, null, 2) };
  }
  return { [field.path]: text(value) };
}

export interface Read {
  /** Undefined where nothing was entered, or it cannot be read. */
  value: Json | undefined;
  problems: Problem[];
}

/** Returns the answer that the fields make, and what is wrong with it. */
export function answerOf(form: Field, draft: Draft): Read {
  const { value, problems } = readField(form, draft);
  if (value === undefined) return { value, problems: problems.length ? problems : [{ path: form.path, text: 'is required' }] };
  return { value, problems: [...problems, ...problemsOf(value, form.schema, form.path)] };
}

function readField(field: Field, draft: Draft): Read {
  if (field.kind === 'object') return readObject(field, draft);
  const { path, required, kind } = field;
  const text = draft[path] ?? '';
  const wrong = (why: string): Read => ({ value: undefined, problems: [{ path, text: why }] });
  if (kind === 'choices') return { value: text === '' && !required ? undefined : indexes(text).map((n) => field.options[n]!.value), problems: [] };
  if (kind === 'items') return readItems(field, text);
  if (kind === 'text' ? text === '' : text.trim() === '') {
    return required ? (typesOf(field.schema).includes('null') ? { value: null, problems: [] } : wrong('is required')) : { value: undefined, problems: [] };
  }
  if (kind === 'choice') return { value: field.options[Number(text)]!.value, problems: [] };
  if (kind === 'text') return { value: text, problems: [] };
  if (kind === 'number') return readNumber(path, text);
  if (EXACT.test(text.replace(/"(?:[^"\\]|\\.)*"/g, ''))) return wrong('has a number of more than 15 digits; write it as a string');
  try {
    const value = JSON.parse(text) as Json;
    return value === null && path === 'answer' ? wrong('must not be null') : { value, problems: [] };
  } catch {
    return wrong('must be JSON, such as "text", 42, true, [1, 2] or {"a": 1}');
  }
}

// An object that is not required is left out where nothing was entered.
function readObject(field: Field & { kind: 'object' }, draft: Draft): Read {
  const read = field.fields.map((one) => [one.path.slice(field.path.length + 1), readField(one, draft)] as const);
  const given = read.filter(([, { value }]) => value !== undefined);
  const entered = given.length > 0 || field.fields.some((one) => draft[one.path]);
  if (!field.required && !entered) return { value: undefined, problems: [] };
  return { value: Object.fromEntries(given.map(([name, { value }]) => [name, value!])), problems: read.flatMap(([, { problems }]) => problems) };
}

function readItems({ path, required, numbers }: Field & { kind: 'items' }, text: string): Read {
  const lines = text.split('\n').map((line) => line.trim()).filter(Boolean);
  if (!lines.length && !required) return { value: undefined, problems: [] };
  if (!numbers) return { value: lines, problems: [] };
  const read = lines.map((line, n) => readNumber(`${path}[${n}]`, line));
  return { value: read.flatMap(({ value }) => (value === undefined ? [] : [value])), problems: read.flatMap(({ problems }) => problems) };
}

function readNumber(path: string, text: string): Read {
  const trimmed = text.trim();
  const value = Number(trimmed);
  if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(trimmed) || !Number.isFinite(value)) return { value: undefined, problems: [{ path, text: 'must be a number' }] };
  if (EXACT.test(trimmed)) return { value: undefined, problems: [{ path, text: 'must have at most 15 digits' }] };
  return { value, problems: [] };
}

export const indexes = (text: string): number[] => (text === '' ? [] : text.split(',').map(Number));

/** The fields of a form that hold a value, in their order. */
export const leavesOf = (field: Field): Field[] => (field.kind === 'object' ? field.fields.flatMap(leavesOf) : [field]);

/**
 * Sorts problems to the fields that they name: sentences by the path of the field. A problem of no field is at ''.
 */
export function byField(form: Field, problems: readonly Problem[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { path, text } of problems) {
    const field = leavesOf(form).filter((leaf) => within(path, leaf.path)).sort((a, b) => b.path.length - a.path.length)[0];
    const rest = path.slice(field?.path.length ?? 0);
    found[field?.path ?? ''] ??= (field ? (field.label || 'The answer') + rest : path.replace(/^answer$/, 'The answer')) + ' ' + text;
  }
  return found;
}

const within = (path: string, field: string) => path === field || (path.startsWith(field) && /[.[]/.test(path[field.length]!));

/** Reads what the server says of an answer that breaks its schema: "answer.count must be at least 1, got 0". */
export function problemOf(form: Field, detail: string): Problem {
  const leaf = leavesOf(form).filter(({ path }) => detail.startsWith(path) && /^[ .[]/.test(detail.slice(path.length))).sort((a, b) => b.path.length - a.path.length)[0];
  const place = /^answer(?:\.[^\s[]+|\[\d+\])*/.exec(detail)?.[0] ?? '';
  const path = leaf && leaf.path.length > place.length ? leaf.path : place;
  return { path, text: detail.slice(path.length).trim() };
}
