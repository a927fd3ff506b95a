-- Row security is active on this table for every role but its owner, the members of that role, superusers and roles with
-- BYPASSRLS. activity_log_number (triggers.sql) asks that with each line, because it is the cheapest way to recognise the
-- owner. A partitioned table holds no rows itself, so that pg_dump of a role that reads everything has nothing to copy.
create table agentexec.owner_probe (
  never boolean
)
  partition by list (never);
alter table agentexec.owner_probe enable row level security;

comment on table agentexec.owner_probe is
  'Never holds a row. Private: its row-level security recognises the owner; see sql/triggers.sql.';
