import type { ReactNode } from 'react';

export interface Tab {
  name: string;
  /** Beside the name. */
  count?: string;
  panel: ReactNode;
  /** At the end of the bar, while the tab is chosen. */
  tools?: ReactNode;
}

/** Tabs, each with its panel. Arrow keys move between them. */
export function Tabs({ tabs, chosen, onChoose }: { tabs: readonly Tab[]; chosen: string; onChoose: (name: string) => void }) {
  const at = Math.max(0, tabs.findIndex(({ name }) => name === chosen));
  const pressed = (e: React.KeyboardEvent) => {
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[e.key];
    const next = to === undefined ? undefined : tabs.at(to % tabs.length);
    if (!next || !(e.target as HTMLElement).closest('[role=tab]')) return;
    onChoose(next.name);
    (e.currentTarget as HTMLElement).querySelector<HTMLElement>(`#tab-${next.name}`)?.focus();
    e.preventDefault();
  };
  return (
    <>
      <div className="tabs">
        <div role="tablist" aria-label="Sections" onKeyDown={pressed}>
          {tabs.map(({ name, count }, n) => (
            <button key={name} type="button" role="tab" id={`tab-${name}`} aria-selected={n === at} aria-controls={n === at ? 'panel' : undefined} tabIndex={n === at ? 0 : -1} onClick={() => onChoose(name)}>
              {name}{count && <span>{count}</span>}
            </button>
          ))}
        </div>
        {tabs[at]!.tools}
      </div>
      <div className="panel" role="tabpanel" id="panel" aria-labelledby={`tab-${tabs[at]!.name}`}>{tabs[at]!.panel}</div>
    </>
  );
}
