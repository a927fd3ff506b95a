import type { Below } from './below.ts';
import { grouped } from '../numbers.ts';

interface Props {
  below: Below;
  /** Whether they are below one activity, rather than several. */
  one: boolean;
  checked: boolean;
  onChange: (checked: boolean) => void;
}

/** The choice to cancel whole trees, with how many activities that is; nothing where none are below. */
export function WithTree({ below: { count, open }, one, checked, onChange }: Props) {
  if (!count) return null;
  return (
    <label className="with-tree">
      <input type="checkbox" className="ax-check" checked={checked} onChange={(e) => onChange(e.target.checked)} />
      <span>With the whole tree: {open && 'at least '}{grouped(count)} more below {one ? 'it' : 'them'}</span>
    </label>
  );
}
