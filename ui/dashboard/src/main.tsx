import { createRoot } from 'react-dom/client';
import { createClient } from '@agentexec/client';
import { AgentexecProvider } from '@agentexec/react';
import '@agentexec/react/styles.css';
import { App } from './app.tsx';
import { parse } from './json.ts';
import { base } from './route.ts';
import { doubt, token } from './session.ts';
import './style.css';

const client = createClient({ url: base, token, parse, checkReady: true });
client.onConnection(() => client.connection.state === 'offline' && doubt());

// Its address is relative, and the browser reads it again when the page's own address has changed.
const icon = document.querySelector<HTMLLinkElement>('link[rel=icon]');
if (icon) icon.href = new URL('favicon.svg', new URL(base, location.href)).href;

createRoot(document.querySelector('#root')!).render(
  <AgentexecProvider client={client}>
    <App />
  </AgentexecProvider>,
);
