import { type MouseEvent, type ReactNode } from 'react';
import { Icon, Mark } from '@agentexec/react';
import { go, overviewPath, type Page, pathOf } from '../route.ts';
import { Connection } from './connection.tsx';
import { nextTheme, setTheme, useTheme } from './theme.ts';

/** A link of this page, which a plain click follows without loading the page anew. */
export function Link({ to, children, ...props }: { to: string; children: ReactNode; className?: string | undefined; 'aria-current'?: 'page' | 'true' | undefined; 'aria-label'?: string; 'data-st'?: string; tabIndex?: number; 'aria-hidden'?: boolean }) {
  const follow = (e: MouseEvent) => {
    if (e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || e.button !== 0) return;
    e.preventDefault();
    go(to);
  };
  return <a href={to} onClick={follow} {...props}>{children}</a>;
}

interface TopProps {
  page: Page;
  /** The filter of the list, as a query: it stays while an activity is open. */
  search: string;
  /** The number of activities that need a person. */
  needs: number;
  onHelp: () => void;
  /** The search field. */
  children: ReactNode;
}

export function Top({ page, search, needs, onHelp, children }: TopProps) {
  return (
    <header className="top">
      <h1><Link to={overviewPath()} className="brand" aria-label="agentexec"><Mark /><span>agentexec</span></Link></h1>
      <nav className="nav" aria-label="Main">
        <Link to={overviewPath()} aria-current={page === 'overview' ? 'page' : undefined}>Overview</Link>
        <Link to={pathOf(null, page === 'detail' ? search : '')} aria-current={page === 'list' ? 'page' : page === 'detail' ? 'true' : undefined}>
          Activities{needs > 0 && <span className="needs" title={`${needs} need a person`}>{needs}<span className="ax-unseen"> need a person</span></span>}
        </Link>
      </nav>
      <div className="search-place">{children}</div>
      <div className="corner">
        <Connection />
        <ThemeSwitch />
        <button type="button" className="ax-button ghost icon help" aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)" onClick={onHelp}><b>?</b></button>
      </div>
    </header>
  );
}

function ThemeSwitch() {
  const theme = useTheme();
  const label = `Theme: ${theme}`;
  return (
    <button type="button" id="theme" className="ax-button ghost icon" aria-label={label} title={label} onClick={() => setTheme(nextTheme(theme))}>
      <Icon name="theme" />
    </button>
  );
}
