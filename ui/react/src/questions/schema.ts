// The part of JSON Schema that the server checks, with the messages of the server: sql/answer_schema.sql, _answer_problem.

import type { Json } from '@agentexec/client';

export type Schema = { [key: string]: Json };

/** What is wrong with a part of an answer: "answer.count" "must be at least 1, got 0". */
export interface Problem {
  path: string;
  text: string;
}

export const isObject = (value: unknown): value is Schema => typeof value === 'object' && value !== null && !Array.isArray(value);

/** The types that a schema allows; none for all. */
export function typesOf({ type }: Schema): string[] {
  return (Array.isArray(type) ? type : [type]).filter((t) => typeof t === 'string');
}

const typeOf = (value: Json) => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value);
const number = (value: Json | undefined): number | undefined => (typeof value === 'number' ? value : undefined);

/** Whether two JSON values are equal, whatever the order of their keys. */
export function same(a: Json, b: Json): boolean {
  if (Array.isArray(a) || Array.isArray(b)) return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((value, n) => same(value, b[n]!));
  if (!isObject(a) || !isObject(b)) return a === b;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(a[key]!, b[key]!));
}

/** Returns everything in which a value breaks a schema. */
export function problemsOf(value: Json, schema: Json | undefined, path: string): Problem[] {
  if (schema === false) return [{ path, text: 'is not allowed' }];
  if (!isObject(schema)) return [];
  const [type, types] = [typeOf(value), typesOf(schema)];
  const wrong = (text: string) => [{ path, text }];
  if (types.length && !types.includes(type) && !(types.includes('integer') && Number.isInteger(value))) return wrong(`must be of type ${types.join(' or ')}, got ${type}`);
  if (Array.isArray(schema['enum']) && !schema['enum'].some((one) => same(one, value))) return wrong(`must be one of ${JSON.stringify(schema['enum']).slice(0, 500)}`);
  if (schema['const'] !== undefined && !same(schema['const'], value)) return wrong(`must be ${JSON.stringify(schema['const']).slice(0, 500)}`);
  if (typeof value === 'number') return numberProblem(value, schema).flatMap(wrong);
  if (typeof value === 'string') return lengthProblem([...value].length, schema['minLength'], schema['maxLength'], 'characters').flatMap(wrong);
  if (Array.isArray(value)) {
    const length = lengthProblem(value.length, schema['minItems'], schema['maxItems'], 'items').flatMap(wrong);
    return length.length ? length : value.flatMap((item, n) => problemsOf(item, schema['items'], `${path}[${n}]`));
  }
  return isObject(value) ? objectProblems(value, schema, path) : [];
}

function numberProblem(value: number, schema: Schema): string[] {
  const [least, most, above, below] = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'].map((key) => number(schema[key]));
  if (least !== undefined && value < least) return [`must be at least ${least}, got ${value}`];
  if (most !== undefined && value > most) return [`must be at most ${most}, got ${value}`];
  if (above !== undefined && value <= above) return [`must be above ${above}, got ${value}`];
  return below !== undefined && value >= below ? [`must be below ${below}, got ${value}`] : [];
}

function lengthProblem(length: number, least: Json | undefined, most: Json | undefined, what: string): string[] {
  if (length < (number(least) ?? 0)) return [`must have at least ${least} ${what}, got ${length}`];
  return length > (number(most) ?? Infinity) ? [`must have at most ${most} ${what}, got ${length}`] : [];
}

function objectProblems(value: Schema, { required, properties }: Schema, path: string): Problem[] {
  const missing = Array.isArray(required) ? required.filter((name) => typeof name === 'string' && !Object.hasOwn(value, name)) : [];
  const known = isObject(properties) ? Object.entries(properties).filter(([name]) => Object.hasOwn(value, name)) : [];
  return [
    ...missing.map((name) => ({ path: `${path}.${name as string}`, text: 'is required' })),
    ...known.flatMap(([name, schema]) => problemsOf(value[name]!, schema, `${path}.${name}`)),
  ];
}
