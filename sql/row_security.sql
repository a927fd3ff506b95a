-- Row-level security, switched on by `agentexec migrate --row-security`: with agentexec.scope set, the tables and the view
-- hold what lies in the scope for every role but their owner, as the functions do without it. Where the setting is empty
-- they hold everything. A session may change its settings, so this guards a program against its own mistakes. A
-- login that can send its own SQL needs a policy that asks for no setting; see docs/access.md.
--
-- The functions that write run as the owner, exempt from policies, and apply the same predicate themselves.
-- The conditions in parentheses with a select are evaluated once per statement.

alter table agentexec.activity enable row level security;
alter table agentexec.activity_log enable row level security;
alter table agentexec.activity_heartbeat enable row level security;
alter table agentexec.question enable row level security;

drop policy if exists activity_scope on agentexec.activity;
create policy activity_scope on agentexec.activity
  using (
    (select coalesce(current_setting('agentexec.scope', true), '') = '')
    or agentexec._in_scope(
      (select s.agent_ids from agentexec._scope() s),
      (select s.agent_types from agentexec._scope() s),
      (select s.metadata from agentexec._scope() s),
      agent_id, agent_type, metadata)
  );

drop policy if exists activity_log_scope on agentexec.activity_log;
create policy activity_log_scope on agentexec.activity_log
  using (
    (select coalesce(current_setting('agentexec.scope', true), '') = '')
    or exists (select from agentexec.activity a where a.id = activity_id)
  );

drop policy if exists activity_heartbeat_scope on agentexec.activity_heartbeat;
create policy activity_heartbeat_scope on agentexec.activity_heartbeat
  using (exists (select from agentexec.activity a where a.id = activity_id));

drop policy if exists question_scope on agentexec.question;
create policy question_scope on agentexec.question
  using (exists (select from agentexec.activity a where a.id = activity_id));

-- The sidecar narrows by its own queries. A policy that is always true takes the others out of its plans, which would keep
-- it from the index on metadata: an operator that might tell of rows it must not see is not asked first.
do $$
begin
  drop policy if exists activity_sidecar on agentexec.activity;
  drop policy if exists activity_log_sidecar on agentexec.activity_log;
  drop policy if exists activity_heartbeat_sidecar on agentexec.activity_heartbeat;
  drop policy if exists question_sidecar on agentexec.question;
  if exists (select from pg_roles r where r.rolname = 'agentexec_sidecar') then
    create policy activity_sidecar on agentexec.activity for select to agentexec_sidecar using (true);
    create policy activity_log_sidecar on agentexec.activity_log for select to agentexec_sidecar using (true);
    create policy activity_heartbeat_sidecar on agentexec.activity_heartbeat for select to agentexec_sidecar using (true);
    create policy question_sidecar on agentexec.question for select to agentexec_sidecar using (true);
  end if;
end
$$;
