// One activity: what it is, how far it is, and its log.

import { Activity } from '/activity.js';
import { Log } from '/log.js';
import { badge, bar, clean, count, elapsed, isFinal, learnTime, names, put, when } from '/text.js';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export class Detail {
  #feed;
  #root;
  #log;
  #activity = null;
  #announced = '';
  #frame = 0;

  constructor(root, feed) {
    this.#root = root;
    this.#feed = feed;
    this.#log = new Log(root);
    this.#render();
  }

  get id() {
    return this.#activity?.id ?? null;
  }

  // show turns to an activity, or to none.
  show(id) {
    if (id === this.id) return;
    if (this.#activity) this.#feed.unsubscribe(this.#activity.id);
    this.#activity = id === null ? null : new Activity(id);
    this.#announced = '';
    this.#log.clear();
    if (id !== null && UUID.test(id)) {
      const activity = this.#activity;
      this.#feed.subscribe(id, activity.request, (frame) => this.#take(activity, frame));
    } else if (id !== null) {
      this.#activity.missing = true;
    }
    this.#render();
  }

  // heard asks again for an activity that was not found, once the list knows of it.
  heard(ids) {
    if (this.#activity?.missing && ids.has(this.id)) this.#feed.again(this.id);
  }

  #take(activity, frame) {
    let entries = [];
    try {
      entries = activity.take(frame);
    } catch (e) {
      this.#feed.restart(e.message); // and go on from the last line taken
    }
    this.#log.add(entries);
    if (activity.info) learnTime(activity.info.updated_at);
    this.#frame ||= requestAnimationFrame(() => this.#render());
  }

  // tick moves the clock.
  tick(now) {
    if (this.#activity?.info) put(this.#find('#elapsed'), elapsed(this.#activity.info, now));
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }

  #say(title, text) {
    this.#find('#message').hidden = !title;
    put(this.#find('#message h2'), title);
    put(this.#find('#message p'), text);
  }

  #render() {
    this.#frame = 0;
    const a = this.#activity;
    this.#find('#activity').hidden = !a?.info;
    if (!a) {
      document.title = 'agentexec';
      return this.#say('Nothing chosen', 'Choose an activity to follow its log.');
    }
    if (a.missing && a.info) this.#say('This activity was deleted', 'What was seen of it stays here until you leave.');
    else if (a.missing) this.#say('No such activity', `There is no activity with the id ${clean(a.id.slice(0, 100))}. If it is created, it appears here.`);
    else if (a.problem) this.#say('The server refuses', a.problem);
    else this.#say(a.info ? '' : 'Loading', '');
    if (!a.info) {
      document.title = 'agentexec';
      return;
    }

    const { info } = a;
    const percent = info.latest_percentage === null ? '' : `${info.latest_percentage}%`;
    const type = clean(info.agent_type);
    document.title = `${isFinal(info.status) ? names[info.status] : percent} ${type} · agentexec`;
    put(this.#find('.title h2'), type);
    badge(this.#find('.title .badge'), info.status);
    put(this.#find('.attempt'), info.attempt > 1 ? `Attempt ${info.attempt}` : '');
    const progress = this.#find('.progress');
    progress.dataset.status = info.status;
    bar(progress.firstElementChild, info.latest_percentage);
    put(progress.lastElementChild, percent);
    when(this.#find('#created'), info.created_at);
    when(this.#find('#started'), info.started_at);
    when(this.#find('#finished'), info.finished_at);
    put(this.#find('.id code'), info.agent_id);
    const behind = info.last_seq > a.cursor;
    put(this.#find('#lines'), behind ? `${a.cursor.toLocaleString('en')} of ${count(info.last_seq, 'line')}` : count(a.cursor, 'line'));
    put(this.#find('#elapsed').previousElementSibling, isFinal(info.status) ? 'Took' : info.started_at ? 'Elapsed' : 'Waiting');
    this.tick();
    if (this.#announced !== info.status) {
      if (this.#announced) put(document.querySelector('#announce'), `${type}: ${names[info.status]}`);
      this.#announced = info.status;
    }
  }
}
