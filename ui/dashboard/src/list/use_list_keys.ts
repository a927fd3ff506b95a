import type { Rows } from './list_model.ts';
import { entryAt, indexOfRow, rowCount, rowOfIndex, type Section } from './list_layout.ts';
import type { Selection } from './selection.ts';
import { useKey } from '../frame/keys.ts';
import { expanded } from './branches.ts';
import { unfold } from './unfolded.ts';
import { idOf, keyOf } from './use_row_focus.ts';

interface Options {
  rows: Rows;
  sections: readonly Section[];
  current: string | null;
  selection: Selection;
  unfolded: ReadonlySet<string>;
  indexOf: (key: string) => number;
  /** Gives a row the focus. */
  focus: (key: string) => void;
}

const focusedRow = () => keyOf(document.activeElement);

/** The keys of the list: they move between its rows, and unfold and fold what is below one, as in a treegrid. */
export function useListKeys({ rows, sections, current, selection, unfolded, indexOf, focus }: Options): void {
  const here = () => focusedRow() ?? current;
  const move = (by: 1 | -1) => {
    const key = here();
    const index = key === null ? -1 : indexOf(key);
    const row = index < 0 ? 0 : Math.min(rowCount(sections) - 1, Math.max(0, rowOfIndex(sections, index) + by));
    const target = entryAt(sections, indexOfRow(sections, row));
    if (target) focus(target.key);
  };
  const arrow = (key: string) => {
    if (focusedRow() === null) return false;
    move(key === 'ArrowDown' ? 1 : -1);
    return undefined;
  };
  // Right unfolds a row, or goes to its first child; Left folds it, or goes to its parent.
  const turn = (key: string) => {
    const at = focusedRow();
    const entry = at === null ? undefined : entryAt(sections, indexOf(at));
    if (!at || !entry) return false;
    const open = entry.item && expanded(entry.item, unfolded);
    const above = at.slice(0, Math.max(0, at.lastIndexOf('/')));
    if (key === 'ArrowRight' && open === false) unfold(entry.item!.agent_id, true);
    else if (key === 'ArrowRight' && open) move(1);
    else if (key === 'ArrowLeft' && open) unfold(entry.item!.agent_id, false);
    else if (key === 'ArrowLeft' && above) focus(above);
    return undefined;
  };
  useKey('j', 'Next activity', () => move(1));
  useKey('k', 'Previous activity', () => move(-1));
  useKey(['ArrowDown', 'ArrowUp'], '', arrow);
  useKey(['ArrowRight', 'ArrowLeft'], 'Unfold or fold the children of the activity', turn);
  useKey('x', 'Select the activity', () => {
    const key = here();
    if (key === null || !(rows.get(idOf(key)) ?? entryAt(sections, indexOf(key))?.item)) return false;
    selection.toggle(idOf(key), false);
    return undefined;
  }, selection.possible);
}
