// A page of another site with the element and the React components: ?sidecar= says where the sidecar is, ?id= which
// activity they show. With ?many= there is only a list of so many activities.

import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import '@agentexec/client/element';
import '@agentexec/react/styles.css';
import { type ActivityListItem, createClient } from '@agentexec/client';
import { ActiveAgentsBadge, AgentexecProvider, TaskDetail, TaskList } from '@agentexec/react';

const query = new URLSearchParams(location.search);
const [url, id] = [query.get('sidecar')!, query.get('id')!];

const at = (n: number) => new Date(Date.UTC(2026, 0, 1) - n * 1000).toISOString();
const item = (n: number): ActivityListItem => ({
  agent_id: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`, agent_type: `type ${n}`, status: 'COMPLETE', attempt: 1, last_seq: 2, latest_percentage: 100,
  created_at: at(n), started_at: at(n), updated_at: at(n), finished_at: at(n), latest_log: `line of ${n}`, latest_log_truncated: false,
});

// Its newest activity changes with each frame, and window.moved() puts one more before all others.
function Many({ count }: { count: number }) {
  const [items, setItems] = useState(() => Array.from({ length: count }, (_, n) => item(n)));
  useEffect(() => {
    Object.assign(window, { moved: () => setItems((all) => [item(count), ...all]) });
    let frame = requestAnimationFrame(function change() {
      setItems(([first, ...rest]) => [{ ...first!, last_seq: first!.last_seq + 1, latest_log: `line ${first!.last_seq}` }, ...rest]);
      frame = requestAnimationFrame(change);
    });
    return () => cancelAnimationFrame(frame);
  }, [count]);
  return <TaskList items={items} onTaskClick={() => {}} />;
}

function show() {
  const element = document.createElement('agentexec-progress');
  element.setAttribute('src', url);
  element.setAttribute('agent-id', id);
  document.body.prepend(element);
  return (
    <>
      <ActiveAgentsBadge />
      <TaskList />
      <TaskDetail agentId={id} />
    </>
  );
}

const many = Number(query.get('many'));
createRoot(document.querySelector('#root')!).render(<AgentexecProvider client={createClient({ url })}>{many ? <Many count={many} /> : show()}</AgentexecProvider>);
