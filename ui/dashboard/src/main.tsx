import { createRoot } from 'react-dom/client';
import { createClient } from '@agentexec/client';
import { AgentexecProvider } from '@agentexec/react';
import '@agentexec/react/styles.css';
import { App } from './app.tsx';
import { parse } from './json.ts';
import { doubt, token } from './session.ts';
import './style.css';

const client = createClient({ token, parse, checkReady: true });
client.onConnection(() => client.connection.state === 'offline' && doubt());

createRoot(document.querySelector('#root')!).render(
  <AgentexecProvider client={client}>
    <App />
  </AgentexecProvider>,
);
