// The page: the feed, the list, one activity, and the address that says what is shown.

import { Detail } from '/detail.js';
import { Feed } from '/feed.js';
import { List } from '/list.js';
import { clock, names } from '/text.js';

const $ = (selector) => document.querySelector(selector);

let stopped = 0; // where the clocks stand still: what is not live must not look it

const feed = new Feed(({ state, since, reason }) => {
  const text = {
    live: 'Live',
    connecting: 'Connecting',
    'catching up': 'Catching up',
    lost: `Reconnecting since ${since && clock(since)}`,
    unready: `Database not reached since ${since && clock(since)}`,
    refused: 'Not signed in',
  }[state];
  document.documentElement.dataset.connection = state;
  $('#connection').textContent = text;
  $('#connection').title = reason ?? '';
  $('#retry').hidden = state !== 'lost';
  const form = $('#enter');
  if (form.hidden && state === 'refused') {
    form.hidden = false;
    form.token.value = '';
    form.token.focus();
  } else if (state === 'live') form.hidden = true;
  if (state === 'refused') $('#enter p').textContent = reason;
  stopped = ['lost', 'unready', 'refused'].includes(state) && since ? +since : 0;
});
const detail = new Detail($('.detail'), feed);
const list = new List($('.list'), $('.filters'), feed, (items) => detail.heard(items));

function tick() {
  if (document.hidden) return;
  const now = stopped || Date.now();
  list.tick(now);
  detail.tick(now);
}

// route shows what the address says.
function route() {
  const id = location.pathname.match(/^\/activities\/([^/]+)$/)?.[1].toLowerCase() ?? null;
  const status = new URLSearchParams(location.search).get('status');
  document.documentElement.dataset.view = id === null ? 'list' : 'detail';
  list.show(Object.hasOwn(names, status) ? status : null, id);
  detail.show(id);
  $('.back').href = '/' + location.search;
}

document.addEventListener('click', (e) => {
  const a = e.target.closest('a[href]');
  if (!a || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || a.pathname.startsWith('/v1/')) return;
  e.preventDefault();
  const left = detail.id;
  // A filter keeps the activity that is open.
  const to = a.matches('.filter, #unmatched a') ? location.pathname + a.search : a.href;
  if (new URL(to, location.href).href !== location.href) history.pushState(null, '', to);
  route();
  // Where only one of the two is on screen, the focus goes along.
  if (matchMedia('(max-width: 799px)').matches) {
    if (left === null && detail.id !== null) $('.detail').focus();
    if (left !== null && detail.id === null) ($(`a[href^="/activities/${left}"]`) ?? $('.list')).focus();
  }
});
addEventListener('popstate', route);
document.addEventListener('visibilitychange', tick);
$('#retry').onclick = () => feed.wake();
$('#enter').onsubmit = (e) => {
  e.preventDefault();
  feed.enter(e.target.token.value);
};
setInterval(tick, 1000);
route();
