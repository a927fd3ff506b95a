// Questions that follow the feed: they are read again when a line says that one was asked or closed.

import type { Client, ListEvent, Question, QuestionsOptions } from '@agentexec/client';
import type { LogHandle } from '../log/log_handle.ts';
import type { LogStore } from '../log/log_store.ts';
import type { Store } from '../observable.ts';
import { canonical, storeOf } from '../store.ts';

const AGAIN = 5_000; // ms before what failed is tried again
const LATER = 5_000; // ms before another read where a waiting activity wrote a line that may be about a question
const MOST_PAGES = 5;
const WATCHED = 100; // items of the live list

export interface QuestionsFilter extends Pick<QuestionsOptions, 'state' | 'agentType' | 'metadata' | 'agentId' | 'pageSize'> {
  /** The log of an activity, from `useLog`: only its questions, which then follow the lines of the log. */
  log?: LogHandle | undefined;
}

export interface QuestionsResult {
  /** The oldest first. */
  questions: readonly Question[];
  /** There are more than these. */
  more: boolean;
  /** Nothing is known yet. */
  loading: boolean;
  /** Why they could not be read, where that failed. It is tried again. */
  error: unknown;
}

export const noQuestions: QuestionsResult = { questions: [], more: false, loading: true, error: undefined };

/** Calls changed when the questions may have changed: at once, or later where that is unlikely. Returns what stops it. */
type Follow = (changed: (later: boolean) => void) => () => void;

// One activity: its log says when a line is about a question. The end of the activity withdraws its questions.
function followLog(log: LogStore): Follow {
  return (changed) => {
    let before = '';
    const look = () => {
      const { activity, asked, missing } = log.get();
      if (!activity || (!log.opened && !missing)) return;
      const now = `${asked} ${activity.open_questions ?? 0} ${activity.finished_at}`;
      if (now !== before) changed(false);
      before = now;
    };
    const leave = log.subscribe(look);
    look(); // what is known already is not told again
    return leave;
  };
}

// All activities: a live list has those that wait. One that wrote a line may have closed a question and asked another.
function followList(client: Client, { agentType, metadata }: QuestionsOptions): Follow {
  return (changed) => {
    const open = new Map<string, number | undefined>();
    const take = (event: ListEvent) => {
      if (event.type === 'snapshot') open.clear();
      const gone = event.type === 'changes' && event.removed.map((id) => open.delete(id)).includes(true);
      const other = event.items.filter(({ agent_id, open_questions }) => open.get(agent_id) !== open_questions);
      for (const { agent_id, open_questions } of other) open.set(agent_id, open_questions);
      if (event.type === 'snapshot' || gone || other.length) changed(false);
      else if (event.items.length) changed(true);
    };
    let again: ReturnType<typeof setTimeout> | undefined;
    let stop = () => {};
    const watch = () => {
      stop = client.watchList({ waiting: true, agentType, metadata, limit: WATCHED }, {}, take, () => {
        again = setTimeout(watch, AGAIN);
        changed(true);
      });
    };
    watch();
    return () => {
      clearTimeout(again);
      stop();
    };
  };
}

export function questionsStore(client: Client, { log, ...given }: QuestionsFilter): Store<QuestionsResult> {
  const filter: QuestionsOptions = log ? { ...given, agentId: log.store.id } : given;
  return storeOf(client, `questions ${Boolean(log)} ${canonical(filter)}`, noQuestions, (changed) => {
    const follow = log ? followLog(log.store) : followList(client, filter);
    const abort = new AbortController();
    let result = noQuestions;
    let reading = false;
    let wanted = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      clearTimeout(timer);
      timer = undefined;
      wanted = true;
      if (reading) return;
      reading = true;
      while (wanted && !abort.signal.aborted) {
        wanted = false;
        try {
          result = { ...(await read(client, filter, abort.signal)), loading: false, error: undefined };
        } catch (error) {
          result = { ...result, loading: false, error };
          later(AGAIN);
        }
        changed();
      }
      reading = false;
    };
    const later = (ms: number) => {
      if (!abort.signal.aborted) timer ??= setTimeout(() => void look(), ms);
    };
    const leave = follow((unlikely) => (unlikely ? later(LATER) : void look()));
    return {
      read: () => result,
      stop() {
        abort.abort();
        clearTimeout(timer);
        leave();
      },
    };
  });
}

// Of an activity all questions are read, because its PENDING ones are the last.
async function read(client: Client, filter: QuestionsOptions, signal: AbortSignal): Promise<Pick<QuestionsResult, 'questions' | 'more'>> {
  const whole = filter.agentId !== undefined && filter.pageSize === undefined;
  const questions: Question[] = [];
  let after: string | null = null;
  for (let page = 0; page < (whole ? MOST_PAGES : 1); page++) {
    const answer: { items: Question[]; next: string | null } = await client.questions({ ...filter, pageSize: whole ? 1000 : filter.pageSize, after, signal });
    questions.push(...answer.items);
    after = answer.next;
    if (!after) break;
  }
  return { questions, more: after !== null };
}
