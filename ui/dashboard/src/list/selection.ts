import { type RefObject, useMemo, useRef, useState } from 'react';

export interface Selection {
  possible: boolean;
  ids: ReadonlySet<string>;
  /** Selects an activity or takes it out; with `range`, selects all from the last one on. */
  toggle: (id: string, range: boolean) => void;
  clear: () => void;
  /** The list says which activities lie from one to another. */
  between: RefObject<(a: string, b: string) => string[]>;
}

const none: ReadonlySet<string> = new Set();

/** The activities that are selected; another list, by its key, begins without any. */
export function useSelection(possible: boolean, list: string): Selection {
  const [state, setState] = useState({ list, ids: none });
  const between = useRef<(a: string, b: string) => string[]>(() => []);
  const last = useRef('');
  const latest = useRef(list);
  latest.current = list;
  const actions = useMemo(() => ({
    toggle(id: string, range: boolean) {
      const many = range && last.current ? between.current(last.current, id) : [];
      last.current = id;
      setState(({ list, ids: before }) => {
        const ids = new Set(list === latest.current ? before : none);
        if (many.length) for (const each of many) ids.add(each);
        else if (!ids.delete(id)) ids.add(id);
        return { list: latest.current, ids };
      });
    },
    clear() {
      last.current = '';
      setState({ list: latest.current, ids: none });
    },
  }), []);
  return { possible, ids: possible && state.list === list ? state.ids : none, between, ...actions };
}
