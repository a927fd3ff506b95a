// A page of another site with the element and the React components: ?sidecar= says where the sidecar is, ?id= which
// activity they show.

import { createRoot } from 'react-dom/client';
import '@agentexec/client/element';
import { createClient } from '@agentexec/client';
import { ActiveAgentsBadge, AgentexecProvider, TaskDetail, TaskList } from '@agentexec/react';

const query = new URLSearchParams(location.search);
const [url, id] = [query.get('sidecar')!, query.get('id')!];

const element = document.createElement('agentexec-progress');
element.setAttribute('src', url);
element.setAttribute('agent-id', id);
document.body.prepend(element);

createRoot(document.querySelector('#root')!).render(
  <AgentexecProvider client={createClient({ url })}>
    <ActiveAgentsBadge />
    <TaskList />
    <TaskDetail agentId={id} />
  </AgentexecProvider>,
);
