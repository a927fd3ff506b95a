-- Trees of activities, questions to a person, and retention.

-- A root has neither parent nor root. depth is the number of activities above. The parent has no foreign key: a child locks its
-- root when it is created, so that a prune of the tree waits for it.
alter table agentexec.activity
  add column parent_agent_id uuid,
  add column root_agent_id   uuid,
  add column depth           integer  not null default 0,
  add column open_questions  integer  not null default 0;
create index activity_parent_idx on agentexec.activity (parent_agent_id, status) where parent_agent_id is not null;
create index activity_root_idx on agentexec.activity (root_agent_id) where root_agent_id is not null;
create index activity_waiting_idx on agentexec.activity (created_at desc, agent_id desc) where open_questions > 0;
-- The roots that retention looks at, by what its rules name.
create index activity_retention_idx on agentexec.activity (agent_type, status, finished_at) where finished_at is not null and parent_agent_id is null;

create type agentexec.question_state as enum ('PENDING', 'ANSWERED', 'DECLINED', 'EXPIRED', 'WITHDRAWN');
create table agentexec.question (
  activity_id uuid                     not null,
  key         text                     not null,
  prompt      text                     not null,
  schema      jsonb,
  state       agentexec.question_state not null default 'PENDING',
  answer      jsonb,
  answered_by text,
  asked_at    timestamptz              not null,
  expires_at  timestamptz,
  closed_at   timestamptz,
  constraint question_pkey primary key (activity_id, key),
  constraint question_activity_id_fkey foreign key (activity_id) references agentexec.activity (id) on delete cascade
);
create index question_list_idx on agentexec.question (state, asked_at, activity_id, key);
create index question_due_idx on agentexec.question (expires_at) where state = 'PENDING' and expires_at is not null;

create table agentexec.retention (
  agent_type text,
  status     agentexec.status,
  keep       interval not null,
  constraint retention_rule_key unique nulls not distinct (agent_type, status)
);

-- Readers run with their caller's rights, so each role that may read activities may also read their questions.
do $$
declare
  v_role record;
begin
  for v_role in
    select case g.grantee when 0 then 'public' else quote_ident(r.rolname) end as name, g.is_grantable
    from pg_class c
    cross join lateral aclexplode(c.relacl) g
    left join pg_roles r on r.oid = g.grantee
    where c.oid = 'agentexec.activity'::regclass and g.privilege_type = 'SELECT' and g.grantee <> c.relowner
  loop
    execute format('grant select on agentexec.question to %s%s', v_role.name,
      case when v_role.is_grantable then ' with grant option' else '' end);
  end loop;
  if exists (select from pg_policy p where p.polrelid = 'agentexec.activity'::regclass and p.polname = 'activity_scope') then
    alter table agentexec.question enable row level security;
    create policy question_scope on agentexec.question
      using (exists (select from agentexec.activity a where a.id = activity_id));
  end if;
  if exists (select from pg_policy p where p.polrelid = 'agentexec.activity'::regclass and p.polname = 'activity_sidecar') then
    create policy question_sidecar on agentexec.question for select to agentexec_sidecar using (true);
  end if;
end
$$;
