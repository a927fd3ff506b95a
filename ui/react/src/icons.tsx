import type { ReactNode } from 'react';
import type { DisplayState } from '@agentexec/client/text';
import { displayNames } from '@agentexec/client/text';

// Each state has an outline of its own, so that a picture without colours can still be read.
const states: Record<DisplayState, ReactNode> = {
  queued: <circle cx="8" cy="8" r="6" strokeDasharray="2.1 2.6" />,
  running: <><circle cx="8" cy="8" r="6" opacity=".28" /><path d="M8 2a6 6 0 0 1 5.2 9" /><circle cx="8" cy="8" r="1.6" fill="currentColor" stroke="none" /></>,
  waiting: <><path d="M3.2 2h9.6A1.7 1.7 0 0 1 14.5 3.7v6A1.7 1.7 0 0 1 12.8 11.4H8.2L4.6 14.4v-3H3.2A1.7 1.7 0 0 1 1.5 9.7v-6A1.7 1.7 0 0 1 3.2 2z" fill="currentColor" stroke="none" /><path className="cut" d="M4.9 6.7v.01M8 6.7v.01M11.1 6.7v.01" /></>,
  stale: <><path d="M8 1.9 14.6 13.6H1.4z" fill="currentColor" /><path className="cut" d="M8 6.2v3.4m0 2.2v.01" /></>,
  stopping: <><circle cx="8" cy="8" r="6" /><rect x="5.4" y="5.4" width="5.2" height="5.2" rx=".8" fill="currentColor" stroke="none" /></>,
  complete: <><circle cx="8" cy="8" r="6" /><path d="m5.4 8.2 1.8 1.8 3.4-3.9" /></>,
  error: <><path d="M5.3 1.6h5.4l3.7 3.7v5.4l-3.7 3.7H5.3l-3.7-3.7V5.3z" fill="currentColor" stroke="none" /><path className="cut" d="m5.9 5.9 4.2 4.2m0-4.2-4.2 4.2" /></>,
  canceled: <><circle cx="8" cy="8" r="6" /><path d="m4 12 8-8" /></>,
};

const shapes = {
  search: <><circle cx="7" cy="7" r="4.25" /><path d="m10.2 10.2 3.3 3.3" /></>,
  x: <path d="m4 4 8 8m0-8-8 8" />,
  right: <path d="m6 3.5 4.5 4.5L6 12.5" />,
  down: <path d="M3.5 6 8 10.5 12.5 6" />,
  up: <path d="M3.5 10 8 5.5l4.5 4.5" />,
  copy: <><rect x="5.5" y="5.5" width="8" height="8" rx="1.5" /><path d="M10.5 3.5v-.2A.8.8 0 0 0 9.7 2.5H3.3a.8.8 0 0 0-.8.8v6.4c0 .44.36.8.8.8h.2" /></>,
  theme: <><circle cx="8" cy="8" r="5.5" /><path d="M8 2.5a5.5 5.5 0 0 1 0 11z" fill="currentColor" stroke="none" /></>,
  more: <path d="M3.5 8v.01M8 8v.01M12.5 8v.01" strokeWidth="2" />,
  sort: <path d="M4.5 3v10m0 0L2 10.5M4.5 13 7 10.5M9 4h5M9 8h4M9 12h2.5" />,
  clock: <><circle cx="8" cy="8" r="5.75" /><path d="M8 4.8V8l2.2 1.6" /></>,
  plus: <path d="M8 3.5v9M3.5 8h9" />,
  wrap: <path d="M2 3.5h12M2 8h9.5a2.25 2.25 0 0 1 0 4.5H8m0 0 1.8-1.8M8 12.5l1.8 1.8M2 12.5h2.5" />,
  save: <path d="M8 2.5v7.5m0 0L5 7m3 3 3-3M2.5 13h11" />,
  end: <path d="M8 2.5v8m0 0L4.8 7.3M8 10.5l3.2-3.2M3 13.5h10" />,
  undo: <path d="M6 3.5 2.5 7 6 10.5M2.5 7H10a3.5 3.5 0 0 1 0 7H7" />,
  left: <path d="M10 3.5 5.5 8l4.5 4.5" />,
} satisfies Record<string, ReactNode>;

export type IconName = keyof typeof shapes;

/** A symbol of 16 px in the colour of the text. The button or link around it has the accessible name. */
export function Icon({ name }: { name: IconName }) {
  return <svg className="ax-icon" viewBox="0 0 16 16" aria-hidden="true">{shapes[name]}</svg>;
}

/** The symbol of a state in its colour, with the state's name for screen readers; none where `label` is ''. */
export function StateIcon({ state, label = displayNames[state] }: { state: DisplayState; label?: string }) {
  const named = label ? { role: 'img', 'aria-label': label } as const : { 'aria-hidden': true } as const;
  return <svg className="ax-icon ax-state" data-st={state} viewBox="0 0 16 16" {...named}>{states[state]}</svg>;
}

/** The mark of agentexec, 32 px. */
export function Mark() {
  return (
    <svg className="ax-mark" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M6 7.5 14.5 16 6 24.5" fill="none" stroke="currentColor" strokeWidth="4" strokeLinecap="round" strokeLinejoin="round" />
      <circle cx="23" cy="16" r="4" />
    </svg>
  );
}
