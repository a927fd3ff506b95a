// How things are written: elements, times, and text that comes from anywhere.

// element makes one, with text or children. Text only ever becomes text, never markup.
export function element(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children);
  return e;
}

// put sets an element's text where it differs, so that what stays the same costs no layout.
export function put(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

export const names = { RUNNING: 'Running', QUEUED: 'Queued', COMPLETE: 'Complete', ERROR: 'Error', CANCELED: 'Canceled' };

export const isFinal = (status) => status === 'COMPLETE' || status === 'ERROR' || status === 'CANCELED';

export const count = (n, one, many = one + 's') => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;

// clean shows control characters as their pictures. Bidirectional text is kept apart by the elements (dir="auto").
export function clean(text) {
  return text.replaceAll('\r\n', '\n').replace(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, (c) => {
    const code = c.charCodeAt(0);
    return code < 32 ? String.fromCharCode(0x2400 + code) : code === 127 ? '\u2421' : '\ufffd';
  });
}

// start is the beginning of a text, cut between characters.
export function start(text, length, lines = Infinity) {
  let end = Math.min(length, text.length);
  for (let at = text.indexOf('\n'); at >= 0 && at < end; at = text.indexOf('\n', at + 1)) {
    if (--lines === 0) end = at;
  }
  if (end < text.length && /[\ud800-\udbff]/.test(text[end - 1])) end--;
  return text.slice(0, end);
}

// fold puts a text into an element, and of a long one the beginning with a button for the rest.
export function fold(e, text, length, lines) {
  const short = start(text, length, lines);
  const shown = document.createTextNode(clean(short));
  e.replaceChildren(shown);
  if (short.length === text.length) return;
  const button = element('button', 'more');
  button.type = 'button';
  const set = (open) => {
    shown.data = open ? clean(text) : clean(short) + ' …';
    button.textContent = open ? 'Show less' : `Show all ${count(text.length, 'character')}`;
    button.setAttribute('aria-expanded', open);
  };
  button.onclick = () => set(button.getAttribute('aria-expanded') === 'false');
  set(false);
  e.after(button);
}

// parse keeps numbers that JavaScript would round, such as 64-bit ids in a line's data, as they were written.
export function parse(json) {
  return JSON.rawJSON && /\d{16}/.test(json) ? JSON.parse(json, exact) : JSON.parse(json);
}

function exact(_key, value, context) {
  return typeof value === 'number' && /\d{16}/.test(context.source) ? JSON.rawJSON(context.source) : value;
}

const format = (options) => {
  const f = new Intl.DateTimeFormat(undefined, options);
  return (date) => f.format(date);
};
export const clock = format({ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
export const clockExact = format({ hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hourCycle: 'h23' });
export const day = format({ weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' });

// when puts a time into a <time>: the clock, with the day where that is not today.
export function when(e, iso) {
  if (!iso) {
    e.removeAttribute('datetime');
    e.removeAttribute('title');
    return put(e, '–');
  }
  const date = new Date(iso);
  put(e, (day(date) === day(new Date()) ? '' : day(date) + ', ') + clock(date));
  e.dateTime = e.title = iso;
}

// ahead is by how much the database's clock is known to be ahead of ours, in milliseconds.
let ahead = 0;
export function learnTime(iso) {
  ahead = Math.max(ahead, Date.parse(iso) - Date.now());
}

// elapsed is how long an activity has been at work, or waiting, or took.
export function elapsed(a, now = Date.now()) {
  const end = isFinal(a.status) ? Date.parse(a.finished_at ?? a.updated_at) : now + ahead;
  const seconds = Math.max(0, Math.floor((end - Date.parse(a.started_at ?? a.created_at)) / 1000));
  const [s, m, h, d] = [seconds % 60, Math.floor(seconds / 60) % 60, Math.floor(seconds / 3600) % 24, Math.floor(seconds / 86400)];
  const two = (n) => String(n).padStart(2, '0');
  return d ? `${d}d ${two(h)}h` : h ? `${h}h ${two(m)}m` : m ? `${m}m ${two(s)}s` : `${s}s`;
}

// bar moves a progress bar.
export function bar(e, percentage) {
  const known = percentage ?? null;
  if (known === null) e.removeAttribute('aria-valuenow');
  else e.setAttribute('aria-valuenow', known);
  e.firstElementChild.style.transform = `scaleX(${(known ?? 0) / 100})`;
}

// badge shows a status.
export function badge(e, status) {
  put(e, names[status] ?? status);
  e.dataset.status = status;
}
