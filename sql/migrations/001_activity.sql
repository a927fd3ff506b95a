-- The two tables, their types and indexes. History: never edit an applied migration, add the next number.
-- `agentexec.` is replaced when another schema name is chosen; the migrator has already created the schema.

create type agentexec.status as enum ('QUEUED', 'RUNNING', 'COMPLETE', 'ERROR', 'CANCELED');

-- One row per activity: its state, and the number of its last line. Every appended line updates this row
-- (its lock is what numbers the lines), so no column that a common line changes is indexed and pages keep
-- room for the new version (a HOT update).
create table agentexec.activity (
  id                uuid             not null default gen_random_uuid(),
  agent_id          uuid             not null,
  agent_type        text             not null,
  status            agentexec.status not null default 'QUEUED',
  latest_percentage integer,
  last_seq          integer          not null default 0,
  attempt           integer          not null default 1,
  metadata          jsonb,
  created_at        timestamptz      not null default clock_timestamp(),
  started_at        timestamptz,
  updated_at        timestamptz      not null default clock_timestamp(),
  finished_at       timestamptz,
  constraint activity_pkey primary key (id),
  constraint activity_agent_id_key unique (agent_id)
)
  with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

comment on table agentexec.activity is
  'One row per tracked activity. Private: write through the functions, read through activity_list and the functions.';

-- The order of a list: RUNNING, QUEUED, finished; in each the newest first. All keys descend, so one row
-- comparison continues a list from a key. status is included so that counting and skipping stay in the index.
create index activity_list_idx on agentexec.activity (
  (case status when 'RUNNING' then 2 when 'QUEUED' then 1 else 0 end) desc, created_at desc, id desc
) include (status);
create index activity_type_idx on agentexec.activity (
  agent_type, (case status when 'RUNNING' then 2 when 'QUEUED' then 1 else 0 end) desc, created_at desc, id desc
) include (status);
create index activity_status_idx on agentexec.activity (status, created_at desc, id desc);
create index activity_created_at_idx on agentexec.activity (created_at desc, id desc);
create index activity_metadata_idx on agentexec.activity using gin (metadata jsonb_path_ops);

create sequence agentexec.activity_log_id_seq as bigint;

-- One row per line. id and seq have no default: they are given under the lock of the activity's row, by the
-- functions or by the insert trigger. xid is the inserting transaction, for readers whose position is a pg_snapshot.
create table agentexec.activity_log (
  id          bigint           not null,
  activity_id uuid             not null,
  seq         integer          not null,
  message     text             not null,
  status      agentexec.status not null,
  percentage  integer,
  data        jsonb,
  created_at  timestamptz      not null,
  xid         xid8             not null default pg_current_xact_id(),
  constraint activity_log_pkey primary key (id),
  constraint activity_log_activity_id_seq_key unique (activity_id, seq),
  constraint activity_log_activity_id_fkey foreign key (activity_id) references agentexec.activity (id) on delete cascade
)
  with (autovacuum_vacuum_insert_scale_factor = 0.05);

alter sequence agentexec.activity_log_id_seq owned by agentexec.activity_log.id;

comment on table agentexec.activity_log is
  'One row per log line, numbered by seq within its activity without gaps. Written by append_log or a direct INSERT.';

create index activity_log_xid_idx on agentexec.activity_log (xid);

-- What is known of this installation: the release and fingerprint of the functions and triggers applied (pkg/migrate), and
-- up to which id the lines came with a dump from another cluster (_adopt). Row security lets everybody read it; that it is
-- on at all is how activity_log_number tells the owner (triggers.sql).
create table agentexec.installation (
  only_row   boolean not null default true,
  release    integer not null,
  code       text    not null,
  foreign_id bigint  not null default 0,
  constraint installation_pkey primary key (only_row),
  constraint installation_only_row_check check (only_row)
);
alter table agentexec.installation enable row level security;
create policy installation_read on agentexec.installation for select using (true);
