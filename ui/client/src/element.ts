// <agentexec-progress agent-id="..." src="...">: one activity's progress, live, without a framework.

import { type Client, makeClient } from './client.ts';
import { ProblemError } from './http.ts';
import { type ActivityView, applyActivity, isFinal } from './state.ts';
import { beginning, clean, conditionsOf, statusNames } from './text.ts';
import type { ActivityEvent } from './types.ts';

const LONGEST = 300; // characters of a message

const css = `
:host { display: block; font: var(--agentexec-font, 14px/1.4 system-ui, sans-serif); color: var(--agentexec-text, inherit) }
:host([hidden]) { display: none }
.top, .message { display: flex; gap: .75em; align-items: baseline }
.type { font-weight: 600; flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; unicode-bidi: isolate }
.status { color: var(--color); white-space: nowrap; font-variant-numeric: tabular-nums }
.track { height: var(--agentexec-bar-height, 6px); margin: .4em 0; border-radius: 99px; overflow: hidden; background: var(--agentexec-track, color-mix(in srgb, currentColor 15%, transparent)) }
.bar { height: 100%; width: 100%; border-radius: inherit; background: var(--color); transform-origin: 0 50%; transition: transform .3s }
.track:dir(rtl) .bar { transform-origin: 100% 50% }
.message { color: var(--agentexec-muted, color-mix(in srgb, currentColor 75%, transparent)) }
.text { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; unicode-bidi: isolate }
:host { --color: var(--agentexec-queued, light-dark(#59636e, #a2abb5)) }
:host([status=RUNNING]) { --color: var(--agentexec-running, light-dark(#0860ca, #6cb0ff)) }
:host([status=COMPLETE]) { --color: var(--agentexec-complete, light-dark(#14763a, #4ac26b)) }
:host([status=ERROR]) { --color: var(--agentexec-error, light-dark(#c2202c, #ff8a82)) }
:host([status=CANCELED]) { --color: var(--agentexec-canceled, light-dark(#8a5100, #e0a345)) }
:host(:is([connection=offline], [condition~=stale])) .bar { opacity: .5 }
:host([status=RUNNING][indeterminate]:not([condition~=stale])) .bar { animation: wait 1.5s infinite ease-in-out }
@keyframes wait { 0% { transform: translateX(-100%) scaleX(.4) } 100% { transform: translateX(100%) scaleX(.4) } }
@media (prefers-reduced-motion: reduce) { .bar { animation: none !important; transition: none } }
`;

let sheet: CSSStyleSheet | undefined;
const clients = new Map<string, Client>(); // by src, so that the elements of a page share a socket

/**
 * Attributes: `agent-id`, and `src`, where the sidecar is (default: the page's origin). The element sets `status`, `condition`
 * (the kinds of its conditions, separated by spaces) and `connection`, for styles. Every event of the watch is dispatched as
 * `agentexec-event`.
 */
export class AgentexecProgress extends (globalThis.HTMLElement ?? (Object as unknown as typeof HTMLElement)) {
  static observedAttributes = ['agent-id', 'src', 'label'];

  #client: Client | undefined;
  #used: Client | undefined; // of the watch that is shown
  #stop: (() => void) | undefined;
  #view: ActivityView = { activity: undefined, logs: [], ended: false };
  #problem = '';
  #frame = 0;
  #tick: ReturnType<typeof setTimeout> | undefined; // runs while a shown time changes
  #parts: Record<'type' | 'status' | 'track' | 'bar' | 'text', HTMLElement>;

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    if (!sheet) {
      sheet = new CSSStyleSheet(); // not an inline style, which a page's policy may forbid
      sheet.replaceSync(css);
    }
    root.adoptedStyleSheets = [sheet];
    const part = (name: string, ...children: HTMLElement[]) => {
      const e = document.createElement('div');
      e.className = name;
      e.setAttribute('part', name);
      e.append(...children);
      return e;
    };
    const [type, status, bar, text] = [part('type'), part('status'), part('bar'), part('text')];
    const track = part('track', bar);
    type.dir = text.dir = 'auto';
    track.setAttribute('role', 'progressbar');
    track.setAttribute('aria-valuemin', '0');
    track.setAttribute('aria-valuemax', '100');
    root.append(part('top', type, status), track, part('message', text));
    this.#parts = { type, status, track, bar, text };
  }

  /** The client to use, such as one with a token. Without it, the elements with the same `src` share one. */
  get client(): Client {
    const src = this.getAttribute('src') ?? '';
    let client = this.#client ?? clients.get(src);
    if (!client) clients.set(src, (client = makeClient({ url: new URL(src, document.baseURI) })));
    return client;
  }

  set client(client: Client | undefined) {
    this.#client = client;
    if (this.isConnected) this.#restart();
  }

  connectedCallback(): void {
    this.#restart();
  }

  disconnectedCallback(): void {
    this.#stop?.();
    this.#stop = undefined;
    clearTimeout(this.#tick);
  }

  attributeChangedCallback(name: string): void {
    if (name === 'label') this.#render();
    else if (this.isConnected) this.#restart();
  }

  #restart() {
    this.#stop?.();
    this.#view = { activity: undefined, logs: [], ended: false };
    this.#problem = '';
    const id = this.getAttribute('agent-id');
    this.#later();
    try {
      this.#used = this.client;
    } catch {
      this.#used = undefined;
      return void (this.#problem = 'No server: the attribute src is no address');
    }
    if (!id) return void (this.#problem = 'No activity: the attribute agent-id is missing');
    const abort = new AbortController();
    const { signal } = abort;
    const client = this.#used;
    const leave = client.onConnection(() => this.#later());
    this.#stop = () => {
      abort.abort();
      leave();
    };
    const watch = (afterSeq: number) => {
      if (!signal.aborted) client.watchActivity(id, { afterSeq, signal }, (event) => this.#take(event), ({ code, message }) => fail(code, message));
    };
    const fail = (code: string, message: string) => {
      this.#problem = code === 'not_found' || code === 'TA404' ? 'No such activity' : message;
      this.#later();
    };
    // Of a long log only the last line is shown, and asked for.
    client.detail(id, { limit: 0, signal }).then(
      ({ last_seq }) => watch(Math.max(0, last_seq - 1)),
      (e: Error) => (e instanceof ProblemError && [403, 404, 422].includes(e.status) ? fail(e.code, e.message) : watch(0)),
    );
  }

  #take(event: ActivityEvent) {
    applyActivity(this.#view, event);
    this.#view.logs.splice(0, this.#view.logs.length - 1);
    this.dispatchEvent(new CustomEvent('agentexec-event', { detail: event, bubbles: true, composed: true }));
    this.#later();
  }

  // later renders once a frame, however much happens.
  #later() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render();
    });
  }

  #render() {
    const { type, status, track, bar, text } = this.#parts;
    const { activity, logs } = this.#view;
    const { state, since, reason } = this.#used?.connection ?? { state: 'idle', since: null, reason: '' };
    const percent = activity?.latest_percentage ?? null;
    const name = this.getAttribute('label') || beginning(activity?.agent_type ?? 'Activity', LONGEST);
    type.textContent = clean(name);
    const word = activity ? statusNames[activity.status] : '';
    const standing = activity && percent !== null && !isFinal(activity.status) ? `${word} · ${percent}%` : word;
    status.textContent = state === 'offline' && since ? `${standing}${standing && ' · '}offline since ${since.toLocaleTimeString()}` : standing;
    status.title = reason;
    const conditions = activity && this.#used ? conditionsOf(activity, this.#used.now()) : [];
    const said = [...conditions.map((c) => c.text), logs.at(-1)?.message].filter(Boolean).join(' · ');
    text.textContent = clean(beginning(this.#problem || (activity ? said : reason), LONGEST));
    clearTimeout(this.#tick);
    if (conditions.length && !isFinal(activity!.status) && state === 'live') this.#tick = setTimeout(() => this.#later(), 1000);
    track.setAttribute('aria-label', clean(name));
    track.setAttribute('aria-valuetext', [status.textContent, ...conditions.map((c) => c.text), !activity && text.textContent].filter(Boolean).join(': ') || 'Loading');
    if (percent === null) track.removeAttribute('aria-valuenow');
    else track.setAttribute('aria-valuenow', String(percent));
    bar.style.transform = `scaleX(${(percent ?? 0) / 100})`;
    this.toggleAttribute('indeterminate', percent === null);
    this.setAttribute('connection', state);
    this.setAttribute('condition', conditions.map((c) => c.kind).join(' '));
    if (activity) this.setAttribute('status', activity.status);
    else this.removeAttribute('status');
  }
}

if (globalThis.customElements && !customElements.get('agentexec-progress')) customElements.define('agentexec-progress', AgentexecProgress);
