// The live list: what the feed last said, in the list's order, a row each.

import { badge, bar, clean, count, elapsed, element, isFinal, learnTime, names, put, start } from '/text.js';

const LIMIT = 100;
const RANK = { RUNNING: 0, QUEUED: 1 };

export class List {
  #feed;
  #section;
  #ul;
  #filters;
  #heard;
  #items = new Map();
  #rows = new Map();
  #counts = null;
  #status = undefined; // null shows all
  #selected = null;
  #sub = 0;
  #frame = 0;

  // heard is called with the ids of what the list holds, whenever that may have changed.
  constructor(section, filters, feed, heard) {
    this.#section = section;
    this.#ul = section.querySelector('#list');
    this.#filters = filters;
    this.#feed = feed;
    this.#heard = heard;
    for (const status of [null, ...Object.keys(names)]) {
      const a = element('a', 'filter', element('span', '', status ? names[status] : 'All'), element('span', 'count'));
      a.href = status ? '?status=' + status : '/';
      a.dataset.status = status ?? '';
      filters.append(a);
    }
  }

  // show chooses the status to show, and the row to mark.
  show(status, selected) {
    this.#selected = selected;
    if (status !== this.#status) {
      this.#feed.unsubscribe('list' + this.#sub);
      this.#status = status;
      for (const [id, item] of this.#items) if (status && item.status !== status) this.#items.delete(id);
      const list = status ? { limit: LIMIT, statuses: [status] } : { limit: LIMIT };
      const sub = 'list' + ++this.#sub; // a name of its own, so that no frame of the last one is taken for ours
      this.#feed.subscribe(sub, () => ({ type: 'subscribe', sub, list }), (frame) => this.#take(frame));
    }
    this.#soon();
  }

  #take(frame) {
    if (frame.type === 'error') return console.warn('the feed refuses the list:', frame.message);
    if (frame.type === 'snapshot') this.#items.clear();
    for (const item of frame.items) {
      this.#items.set(item.agent_id, item);
      learnTime(item.updated_at);
    }
    for (const id of frame.removed ?? []) this.#items.delete(id);
    this.#counts = frame.counts;
    this.#heard(this.#items);
    this.#soon();
  }

  #soon() {
    this.#frame ||= requestAnimationFrame(() => this.#render());
  }

  // tick moves the clocks of what is not finished.
  tick(now) {
    for (const row of this.#rows.values()) if (!isFinal(row.item.status)) put(row.elapsed, elapsed(row.item, now));
  }

  #render() {
    this.#frame = 0;
    const items = [...this.#items.values()].sort(order);
    for (const [id, row] of this.#rows) {
      if (this.#items.has(id)) continue;
      row.li.remove();
      this.#rows.delete(id);
    }
    const focused = document.activeElement; // moving an element takes the focus from it
    let next = this.#ul.firstElementChild;
    for (const item of items) {
      let row = this.#rows.get(item.agent_id);
      if (!row) this.#rows.set(item.agent_id, (row = newRow()));
      update(row, item, item.agent_id === this.#selected, this.#status);
      if (row.li === next) next = next.nextElementSibling;
      else this.#ul.insertBefore(row.li, next);
    }
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    this.#summary(items.length);
  }

  #summary(shown) {
    const total = this.#counts && Object.values(this.#counts).reduce((a, b) => a + b, 0);
    const here = this.#status ? this.#counts?.[this.#status] : total;
    for (const a of this.#filters.children) {
      const n = a.dataset.status ? this.#counts?.[a.dataset.status] : total;
      put(a.lastElementChild, n?.toLocaleString('en') ?? '');
      a.classList.toggle('none', !n);
      if ((this.#status ?? '') === a.dataset.status) a.setAttribute('aria-current', 'true');
      else a.removeAttribute('aria-current');
    }
    const find = (selector) => this.#section.querySelector(selector);
    find('#more').hidden = !(here > shown);
    put(find('#more'), `The first ${count(shown, 'activity', 'activities')} of ${here?.toLocaleString('en')}.`);
    find('#nothing').hidden = shown > 0 || total !== 0;
    find('#unmatched').hidden = shown > 0 || !total;
    put(find('#unmatched h2'), `No activity is ${names[this.#status]?.toLowerCase()}`);
  }
}

// order is that of list_activities.
function order(a, b) {
  const key = (x, y) => (x < y ? 1 : x > y ? -1 : 0);
  return (RANK[a.status] ?? 2) - (RANK[b.status] ?? 2) || key(a.created_at, b.created_at) || key(a.agent_id, b.agent_id);
}

function newRow() {
  const row = {
    item: null,
    badge: element('span', 'badge'),
    type: element('bdi', 'type'),
    elapsed: element('span', 'elapsed'),
    latest: element('span', 'latest'),
    percent: element('span', 'percent'),
    bar: element('span', 'bar', element('i')),
  };
  row.latest.dir = 'auto';
  row.bar.role = 'progressbar';
  row.bar.ariaLabel = 'Progress';
  row.bar.ariaValueMin = '0';
  row.bar.ariaValueMax = '100';
  row.a = element('a', 'row', row.badge, row.type, row.elapsed, row.latest, row.percent, row.bar);
  row.li = element('li', '', row.a);
  return row;
}

function update(row, item, selected, status) {
  row.a.href = `/activities/${item.agent_id}` + (status ? `?status=${status}` : '');
  if (selected) row.a.setAttribute('aria-current', 'true');
  else row.a.removeAttribute('aria-current');
  if (row.item === item) return;
  row.item = item;
  row.a.dataset.status = item.status;
  badge(row.badge, item.status);
  put(row.type, clean(item.agent_type));
  put(row.elapsed, elapsed(item));
  put(row.latest, clean(start(item.latest_log ?? '', 300)));
  put(row.percent, item.latest_percentage === null ? '' : `${item.latest_percentage}%`);
  bar(row.bar, item.latest_percentage);
}
