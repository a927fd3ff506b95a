-- The order of a list breaks ties by agent_id, which clients know, in place of the hidden id. Making the indexes again
-- reads the table and holds back writers meanwhile: some seconds for a million activities.

drop index agentexec.activity_list_idx, agentexec.activity_type_idx, agentexec.activity_status_idx, agentexec.activity_created_at_idx;

create index activity_list_idx on agentexec.activity (
  (case status when 'RUNNING' then 2 when 'QUEUED' then 1 else 0 end) desc, created_at desc, agent_id desc
) include (status);
create index activity_type_idx on agentexec.activity (
  agent_type, (case status when 'RUNNING' then 2 when 'QUEUED' then 1 else 0 end) desc, created_at desc, agent_id desc
) include (status);
create index activity_status_idx on agentexec.activity (status, created_at desc, agent_id desc);
create index activity_created_at_idx on agentexec.activity (created_at desc, agent_id desc);
