import { createRoot } from 'react-dom/client';
import { createClient } from '@agentexec/client';
import { AgentexecProvider } from '@agentexec/react';
import '@agentexec/react/styles.css';
import { App } from './frame/app.tsx';
import { Boundary } from './frame/boundary.tsx';
import './frame/theme.ts';
import { parse } from './json.ts';
import { base } from './route.ts';
import { doubt, token } from './session.ts';
import './frame/frame.css';
import './list/list.css';
import './detail/detail.css';
import './detail/children.css';

const client = createClient({ url: base, token, parse, checkReady: true, share: true });
client.onConnection(() => client.connection.state === 'offline' && doubt());

// Its address is relative, and the browser reads it again when the page's own address has changed.
const icon = document.querySelector<HTMLLinkElement>('link[rel=icon]');
if (icon) icon.href = new URL('favicon.svg', new URL(base, location.href)).href;

createRoot(document.querySelector('#root')!).render(
  <Boundary what="The dashboard">
    <AgentexecProvider client={client}>
      <App />
    </AgentexecProvider>
  </Boundary>,
);
