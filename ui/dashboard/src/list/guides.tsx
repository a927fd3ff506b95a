import { memo } from 'react';

const STEP = 18; // px a level, as indent
const DEEPEST = 5; // levels that are drawn

/** How far the row of a level is indented, in px. */
export const indentOf = (level: number): number => STEP * Math.min(level - 1, DEEPEST);

/** The lines from a row to the rows above it: see branches.ts. */
export const Guides = memo(function Guides({ guide }: { guide: string }) {
  if (!guide) return null;
  return (
    <span className="guides" aria-hidden="true">
      {[...guide.slice(-DEEPEST)].map((line, n) => line !== ' ' && <i key={n} data-line={line} style={{ insetInlineStart: n * STEP }} />)}
    </span>
  );
});
