import { useEffect, useId, useRef, useState } from 'react';
import { clean } from '@agentexec/client/text';
import { Icon } from '@agentexec/react';
import { type Completion, completionsOf, problemIn } from './complete.ts';
import { type Filter, searchOf } from './query.ts';
import { go, pathOf } from '../route.ts';
import { chipsOf, take, tokenize } from './search_text.ts';
import { seen } from './seen.ts';
import { useKey } from '../frame/keys.ts';

const PAUSE = 150; // ms after a key before the words are searched for

interface Props {
  filter: Filter;
  /** The activity that is open, which stays open. */
  id: string | null;
}

// split parts what is typed into what is before the last token, and that token where it may still go on.
function split(draft: string): { before: string; last: ReturnType<typeof tokenize>[number] | undefined } {
  const last = tokenize(draft).at(-1);
  const goesOn = last && (last.open || !/\s$/.test(draft));
  return goesOn ? { before: draft.slice(0, last.from), last } : { before: draft, last: undefined };
}

// wordsIn is the part of a draft that is searched for: not a filter that is still being typed.
function wordsIn(draft: string): string {
  const { before, last } = split(draft);
  return (last?.separator ? before : draft).trim();
}

/** The search field: filters become chips, other words are searched for as they are typed. */
export function Search({ filter, id }: Props) {
  const [draft, setDraft] = useState(filter.text);
  const [listed, setListed] = useState(false);
  const [active, setActive] = useState(-1);
  const field = useRef<HTMLInputElement>(null);
  const said = useRef(filter.text); // the words that the address got from here
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const pasted = useRef(false);
  const list = useId();
  const problem = problemIn(filter.text); // of the query in force, however it came about
  const latest = useRef({ filter, id });
  latest.current = { filter, id };

  useKey('/', 'Search', () => field.current?.focus());
  useEffect(() => {
    if (filter.text === said.current) return;
    said.current = filter.text;
    setDraft(filter.text);
  }, [filter.text]);
  useEffect(() => () => clearTimeout(timer.current), []);

  const show = (next: Filter, replace: boolean) => {
    clearTimeout(timer.current);
    said.current = next.text;
    go(pathOf(latest.current.id, searchOf(next)), replace);
  };
  const typed = (text: string, whole: boolean) => {
    const { before, last } = whole ? { before: text, last: undefined } : split(text);
    const { filter: next, rest } = take(before, filter);
    setActive(-1);
    if (next === filter) {
      setDraft(text);
      clearTimeout(timer.current);
      if (whole) show({ ...filter, text: wordsIn(text + ' ') }, true);
      else timer.current = setTimeout(() => show({ ...latest.current.filter, text: wordsIn(text) }, true), PAUSE);
      return;
    }
    const left = [rest, last?.raw].filter(Boolean).join(' ') + (rest && !last && !whole ? ' ' : '');
    setDraft(left);
    show({ ...next, text: whole ? left : wordsIn(left) }, false);
  };

  const { before, last } = split(draft);
  const completions = listed ? completionsOf(last, seen) : [];
  const choose = ({ key, value, whole }: Completion) => {
    const text = before + key + value;
    if (whole) typed(text + ' ', false);
    else setDraft(text);
    setActive(-1);
    field.current?.focus();
  };
  const chips = chipsOf(filter);

  const pressed = (e: React.KeyboardEvent<HTMLInputElement>) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (by) {
      setListed(true);
      const n = (listed ? completions : completionsOf(last, seen)).length;
      setActive(n ? (active < 0 ? (by > 0 ? 0 : n - 1) : (active + by + n) % n) : -1);
    } else if (e.key === 'Enter') {
      const chosen = completions[active];
      if (chosen) choose(chosen);
      else typed(draft, true);
      if (chosen?.whole !== false) setListed(false);
    } else if (e.key === 'Escape' && completions.length) {
      setListed(false);
      setActive(-1);
    } else if (e.key === 'Backspace' && draft === '' && chips.length) {
      show({ ...chips.at(-1)!.without, text: wordsIn(draft) }, false);
    } else return;
    e.preventDefault();
  };

  return (
    <>
      <div className="search" role="search">
        <Icon name="search" />
        {chips.length > 0 && (
          <div className="tokens">
            {chips.map(({ key, separator, value, without }) => (
              <span key={key + separator + value} className="token">
                <bdi><b>{clean(key)}{separator}</b>{clean(value)}</bdi>
                <button type="button" aria-label={`Remove ${clean(key + separator + value)}`} onClick={() => (show({ ...without, text: wordsIn(draft) }, false), field.current?.focus())}><Icon name="x" /></button>
              </span>
            ))}
          </div>
        )}
        <input
          ref={field} className="find" role="combobox" aria-label="Search activities" aria-autocomplete="list" aria-expanded={completions.length > 0} aria-controls={list} autoComplete="off" spellCheck={false}
          aria-activedescendant={active >= 0 ? `${list}-${active}` : undefined} aria-invalid={problem !== ''} aria-describedby={problem ? list + '-problem' : undefined}
          placeholder={chips.length ? 'Add a filter or text' : 'type:research status:error since:1h, or any text'} value={draft} onPaste={() => (pasted.current = true)}
          onChange={(e) => (setListed(true), typed(e.target.value, pasted.current), (pasted.current = false))} onKeyDown={pressed} onBlur={() => setListed(false)}
        />
        <kbd className="ax-key" aria-hidden="true">/</kbd>
        <div className="ax-menu completions" hidden={!completions.length}>
          <div role="listbox" id={list} aria-label="Completions">
            {completions.map((c, n) => (
              <div key={c.key + c.value} className="completion">
                {c.heading !== completions[n - 1]?.heading && <h3 aria-hidden="true">{c.heading}</h3>}
                <div role="option" id={`${list}-${n}`} aria-selected={n === active} onPointerDown={(e) => (e.preventDefault(), choose(c))}>
                  <code><b>{clean(c.key)}</b>{clean(c.value)}</code><span className="end">{c.hint}</span>
                </div>
              </div>
            ))}
          </div>
        </div>
      </div>
      {problem && <p className="search-problem" id={list + '-problem'} role="alert">{clean(problem)}</p>}
    </>
  );
}
