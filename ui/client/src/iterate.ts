import type { FeedError, Sink } from './watch.ts';

// The most that waits for a reader, in characters of JSON. One event may be larger.
const ROOM = 1 << 20;

/** How a reader steers its watch. */
export interface Reins {
  pause(): void;
  resume(): void;
  stop(): void;
}

/**
 * The events of a watch for `for await`. Events that the reader has not taken wait here, up to a bound; beyond it the
 * watch pauses, and goes on from its cursor when all that waits has been taken: the server keeps the rest.
 */
export function iterate<E>(start: (sink: Sink<E>) => Reins, signal: AbortSignal | undefined): AsyncIterable<E> {
  return {
    [Symbol.asyncIterator]() {
      const queue: { event: E; size: number }[] = [];
      let room = ROOM;
      let error: FeedError | undefined;
      let reins: Reins | undefined;
      let done = false;
      let waiting: (() => void)[] = [];
      const wake = () => {
        for (const go of waiting.splice(0)) go();
      };
      const end = () => {
        done = true;
        signal?.removeEventListener('abort', stop);
        wake();
      };
      const stop = () => {
        queue.length = 0;
        reins?.stop();
        end();
      };
      return {
        async next() {
          if (!reins && !done) {
            if (signal?.aborted) done = true;
            else {
              signal?.addEventListener('abort', stop);
              reins = start({
                event(event, size) {
                  queue.push({ event, size });
                  if ((room -= size) < 0) reins?.pause();
                  wake();
                },
                over(e) {
                  error = e;
                  end();
                },
              });
            }
          }
          for (;;) {
            const first = queue.shift();
            if (first) {
              room += first.size;
              if (!queue[0]) reins?.resume();
              return { value: first.event, done: false };
            }
            if (error) {
              const e = error;
              stop();
              error = undefined;
              throw e;
            }
            if (done) return { value: undefined, done };
            await new Promise<void>((go) => waiting.push(go));
          }
        },
        async return() {
          stop();
          return { value: undefined, done: true };
        },
      };
    },
  };
}
