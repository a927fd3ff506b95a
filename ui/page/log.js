// The log of one activity on screen. It follows the newest line until the person scrolls up; from then on nothing
// moves what is being read, and new lines are counted until the person comes back down.

import { badge, clean, clockExact, count, day, element, fold, start } from '/text.js';

const MOST_LINES = 5000; // in the page
const KEPT_LINES = 4000; // once there are more: whatever is taken away at the top has all the rest drawn anew
const MOST_CHARACTERS = 16e6;
const PAUSE = 80; // between two changes of the page, in milliseconds

export class Log {
  #scroller;
  #list;
  #hiddenNote;
  #follow;
  #newer;
  #shown = []; // entries in the page, each with its node
  #waiting = []; // entries to come into it, bounded like those in it
  #torn = false; // entries between the two were dropped
  #hidden = 0; // lines that were dropped for newer ones
  #unseen = 0; // lines that came since the person scrolled up
  #following = true;
  #top = 0;
  #timer = 0;
  #rendered = -PAUSE;
  #day = '';

  constructor(root) {
    this.#scroller = root.querySelector('.log');
    this.#list = root.querySelector('.log ol');
    this.#hiddenNote = root.querySelector('#hidden');
    this.#follow = root.querySelector('#follow');
    this.#newer = root.querySelector('#newer');
    this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#follow.onclick = () => this.follow(!this.#following);
    this.#newer.onclick = () => this.follow(true);
    // Reading what was unfolded is reading, not following.
    this.#list.addEventListener('click', (e) => e.target.closest('button') && this.follow(false));
    new ResizeObserver(() => this.#following && this.#toEnd()).observe(this.#scroller);
  }

  clear() {
    this.#shown = [];
    this.#waiting = [];
    this.#hidden = this.#unseen = 0;
    this.#torn = false;
    this.#day = '';
    this.#list.replaceChildren();
    this.follow(true);
  }

  add(entries) {
    for (const e of entries) {
      if (e.withdraw) {
        this.#withdraw(e.seq);
        continue;
      }
      e.data = e.line?.data == null ? '' : JSON.stringify(e.line.data);
      e.size = e.line ? e.line.message.length + e.data.length : 0;
      this.#waiting.push(e);
      if (e.line && !this.#following) this.#unseen++;
    }
    if (this.#drop(this.#waiting)) this.#torn = true;
    this.#soon();
  }

  follow(on) {
    this.#following = on;
    if (on) this.#unseen = 0;
    this.#follow.setAttribute('aria-pressed', on);
    this.#soon();
  }

  #soon() {
    const wait = Math.max(0, this.#rendered + PAUSE - performance.now());
    this.#timer ||= setTimeout(() => requestAnimationFrame(() => this.#render()), wait);
  }

  #render() {
    this.#timer = 0;
    this.#rendered = performance.now();
    if (this.#following && this.#torn) {
      this.#drop(this.#shown, 0, 0);
      this.#torn = false;
    }
    const coming = this.#waiting.splice(0, this.#following ? Infinity : this.#room());
    const nodes = document.createDocumentFragment();
    for (const e of coming) nodes.append((e.node = e.line ? this.#line(e) : element('li', 'note', e.note)));
    this.#list.append(nodes);
    this.#shown = this.#shown.concat(coming);
    if (this.#following) {
      this.#drop(this.#shown);
      this.#toEnd();
    } else if (this.#unseen && !this.#waiting.length && this.#atEnd()) {
      this.#unseen = 0;
    }
    this.#hiddenNote.hidden = !this.#hidden;
    this.#hiddenNote.textContent = `${count(this.#hidden, 'earlier line is', 'earlier lines are')} not shown here.`;
    this.#newer.hidden = this.#following || !this.#unseen;
    this.#newer.textContent = `↓ ${count(this.#unseen, 'new line')}`;
  }

  // room is how many entries may be added where the person reads: the page is filled up, nothing is taken away.
  #room() {
    if (this.#torn) return 0;
    let n = 0;
    let size = sizeOf(this.#shown);
    for (const e of this.#waiting) {
      size += e.size;
      if (this.#shown.length + n >= MOST_LINES || size > MOST_CHARACTERS) break;
      n++;
    }
    return n;
  }

  // drop lets the oldest entries go where there are too many, though never the newest, and says how many went.
  #drop(entries, most = MOST_LINES, kept = KEPT_LINES) {
    let n = entries.length > most ? entries.length - kept : 0;
    let size = sizeOf(entries.slice(n));
    while (size > MOST_CHARACTERS && n < entries.length - 1) size -= entries[n++].size;
    for (const e of entries.splice(0, n)) {
      if (e.line) this.#hidden++;
      e.node?.remove();
    }
    return n;
  }

  #withdraw(seq) {
    for (const entries of [this.#waiting, this.#shown]) {
      while (entries.length && entries.at(-1).seq >= seq) entries.pop().node?.remove();
    }
  }

  #scrolled() {
    const { scrollTop } = this.#scroller;
    if (this.#atEnd()) {
      if (!this.#following) this.follow(true);
    } else if (scrollTop < this.#top && this.#following) {
      this.follow(false);
    }
    this.#top = scrollTop;
  }

  #atEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    return scrollHeight - clientHeight - scrollTop < 8;
  }

  #toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#top = this.#scroller.scrollTop;
  }

  #line({ line, status, data }) {
    const date = new Date(line.created_at);
    const time = element('time', '', clockExact(date));
    time.dateTime = time.title = line.created_at;
    const message = element('div', 'text');
    message.dir = 'auto';
    const body = element('div', 'body', message);
    fold(message, line.message, 600, 8);
    if (status) {
      const b = element('span', 'badge');
      badge(b, status);
      body.prepend(b);
    }
    const percent = element('span', 'percent', line.percentage === null ? '' : `${line.percentage}%`);
    const [unfold, json] = data ? dataOf(line.data, data) : ['', ''];
    const li = element('li', 'line', element('span', 'seq', String(line.seq)), time, body, unfold, percent, json);
    li.dataset.seq = line.seq;
    if (status) li.dataset.status = status;
    if (day(date) === this.#day) return li;
    this.#day = day(date);
    li.dataset.day = this.#day;
    return li;
  }
}

const sizeOf = (entries) => entries.reduce((sum, e) => sum + e.size, 0);

// dataOf is a button that unfolds a line's data; it is laid out only once it is asked for.
function dataOf(value, json) {
  const button = element('button', 'data', 'data');
  const box = element('div', 'json');
  button.type = 'button';
  button.title = start(json, 200);
  box.hidden = true;
  button.setAttribute('aria-expanded', false);
  button.onclick = () => {
    if (!box.firstChild) {
      const pre = element('pre');
      pre.dir = 'ltr';
      box.append(pre);
      fold(pre, JSON.stringify(value, null, 2), 20_000);
    }
    box.hidden = !box.hidden;
    button.setAttribute('aria-expanded', !box.hidden);
    if (!box.hidden) box.scrollIntoView({ block: 'nearest' });
  };
  return [button, box];
}
