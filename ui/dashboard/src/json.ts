// Numbers that JavaScript would round, such as 64-bit ids in a line's data, stay as they were written. Browsers that
// cannot do that round them.

interface Raw {
  rawJSON: string;
}
const native = JSON as typeof JSON & { rawJSON?: (text: string) => Raw };

export function parse(json: string): unknown {
  return native.rawJSON && /\d{16}/.test(json) ? JSON.parse(json, exact as (key: string, value: unknown) => unknown) : JSON.parse(json);
}

function exact(_key: string, value: unknown, context: { source: string }): unknown {
  return typeof value === 'number' && /\d{16}/.test(context.source) && String(value) !== context.source ? native.rawJSON!(context.source) : value;
}
