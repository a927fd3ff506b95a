-- Attempts of lines, requests to cancel, and heartbeats.

-- cancel_seq is the seq of the line that requested the cancel. The index finds the requests that have a grace period; an ordinary
-- line does not touch it.
alter table agentexec.activity
  add column cancel_seq      integer,
  add column cancel_force_at timestamptz,
  add column cancel_forced   boolean not null default false;
create index activity_cancel_due_idx on agentexec.activity (cancel_force_at) where cancel_force_at is not null and finished_at is null;

alter table agentexec.activity_log
  add column attempt          integer not null default 1,
  add column cancel_requested boolean not null default false;

-- The attempt of each line. The row of the activity has the last attempt, and each return from ERROR began a new one.
with line as (
  select l.id, a.attempt,
         count(*) filter (where l.status <> 'ERROR' and l.before = 'ERROR') over (partition by l.activity_id order by l.seq desc) as later,
         l.status <> 'ERROR' and l.before = 'ERROR' as began
  from (select l.*, lag(l.status) over (partition by l.activity_id order by l.seq) as before from agentexec.activity_log l) l
  join agentexec.activity a on a.id = l.activity_id
  where a.attempt > 1
)
update agentexec.activity_log l
set attempt = x.attempt - x.later + x.began::int
from line x
where l.id = x.id and x.attempt - x.later + x.began::int <> 1;

-- One row per activity whose worker made a promise: the last heartbeat, and the promise. A heartbeat updates only this row. No
-- index has beat_at, and the pages have room, so the update is HOT.
create table agentexec.activity_heartbeat (
  activity_id  uuid        not null,
  beat_at      timestamptz not null,
  expect_every interval    not null,
  constraint activity_heartbeat_pkey primary key (activity_id),
  constraint activity_heartbeat_activity_id_fkey foreign key (activity_id) references agentexec.activity (id) on delete cascade
)
  with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

-- Readers run with their caller's rights, so each role that may read activities may also read their heartbeats.
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
    execute format('grant select on agentexec.activity_heartbeat to %s%s', v_role.name,
      case when v_role.is_grantable then ' with grant option' else '' end);
  end loop;
  if exists (select from pg_policy p where p.polrelid = 'agentexec.activity'::regclass and p.polname = 'activity_scope') then
    alter table agentexec.activity_heartbeat enable row level security;
    create policy activity_heartbeat_scope on agentexec.activity_heartbeat
      using (exists (select from agentexec.activity a where a.id = activity_id));
  end if;
  if exists (select from pg_policy p where p.polrelid = 'agentexec.activity'::regclass and p.polname = 'activity_sidecar') then
    create policy activity_heartbeat_sidecar on agentexec.activity_heartbeat for select to agentexec_sidecar using (true);
  end if;
end
$$;

create type agentexec.append_result as (
  agent_id         uuid,
  last_seq         integer,
  status           agentexec.status,
  attempt          integer,
  cancel_requested boolean
);
create type agentexec.heartbeat_result as (
  status           agentexec.status,
  attempt          integer,
  cancel_requested boolean,
  cancel_message   text
);
