-- Triggers of agentexec: code, re-applied whole after functions.sql at every upgrade.
--
--   activity_log_number   before insert, row         a direct INSERT obeys the rules of append_log, and rings as it does
--
-- The functions insert with id and seq given and as the owner, so the WHEN clause keeps the trigger away from them. The
-- same goes for a restore, which rings nothing: those who wait find its lines when they look by themselves.

-- Retired: a statement trigger rang for every INSERT (activity_log_ring, and its function).
do $$
begin
  if pg_catalog.to_regprocedure('agentexec._ring()') is not null then
    drop function agentexec._ring() cascade;
  end if;
end
$$;

-- _number_line gives a directly inserted line its number and applies the state machine, exactly as append_log does.
-- The status, time and transaction of the line are the database's, whatever the caller sent. id and seq belong together
-- and to the owner of the tables, for restores: anybody else would bypass the numbering.
--
-- It runs with the owner's rights, so it serves activity_log alone: as a trigger of anybody's own table it would let
-- them use up numbers without writing lines.
--
-- Locks:  the activity row, before the log row.
-- Errors: TA404 no such activity, or it is outside the scope; TA409 the state machine refuses; TA422 bad message or
--         percentage; 42501 id or seq.
create or replace function agentexec._number_line()
  returns trigger
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_scope    record := agentexec._scope();
  v_agent_id uuid;
  v_activity agentexec.activity;
begin
  if tg_relid <> 'agentexec.activity_log'::regclass then
    raise exception using errcode = 'insufficient_privilege', message = 'this trigger is for agentexec.activity_log alone';
  elsif new.id is not null or new.seq is not null then
    raise exception using
      errcode = 'insufficient_privilege',
      message = 'id and seq of a log line are given by the database; only the owner of the table may set them, and both together';
  end if;
  perform agentexec._check_line(new.message, new.percentage);
  select a.agent_id into v_agent_id
  from agentexec.activity a
  where a.id = new.activity_id
    and agentexec._in_scope(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, a.agent_id, a.agent_type, a.metadata);
  if not found then
    raise exception using errcode = 'TA404', message = format('no activity with id %s', coalesce(new.activity_id::text, 'null'));
  end if;
  v_activity := agentexec._advance(v_agent_id, new.percentage, new.status);
  new.id := nextval('agentexec.activity_log_id_seq');
  new.seq := v_activity.last_seq;
  new.status := v_activity.status;
  new.created_at := v_activity.updated_at;
  new.xid := pg_current_xact_id();
  perform agentexec._ring_bell();
  return new;
end
$$;

-- Every line of every function asks whether the caller is the owner, so this is the cheapest way: row security is active on
-- agentexec.owner_probe for every role but its owner, the members of that role, superusers and roles with BYPASSRLS. A
-- comparison with current_user would cost each append four times as much.
create or replace trigger activity_log_number
  before insert on agentexec.activity_log
  for each row
  when (new.seq is null or pg_catalog.row_security_active('agentexec.owner_probe'::pg_catalog.regclass))
  execute function agentexec._number_line();

-- _replicated_line gives a line that comes by logical replication the id of the transaction that brings it, and notifies as
-- append_log does. The id it was sent with is the other cluster's: readers whose position is a pg_snapshot would look for
-- the line where it is not.
create or replace function agentexec._replicated_line()
  returns trigger
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
begin
  new.xid := pg_current_xact_id();
  perform agentexec._ring_bell();
  return new;
end
$$;

-- It fires where session_replication_role is replica, as in every apply worker, and costs other sessions nothing.
create or replace trigger activity_log_replicated
  before insert on agentexec.activity_log
  for each row
  execute function agentexec._replicated_line();
alter table agentexec.activity_log enable replica trigger activity_log_replicated;

-- schema_version has one row. A restore of data alone brings another, which is left out.
create or replace function agentexec._keep_version()
  returns trigger
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
begin
  return case when not exists (select from agentexec.schema_version) then new end;
end
$$;

create or replace trigger schema_version_one_row
  before insert on agentexec.schema_version
  for each row
  execute function agentexec._keep_version();

-- Retired: agentexec.installation held what _installed() tells now (pkg/migrate), and up to which id lines came with a dump
-- from another cluster.
do $$
begin
  if pg_catalog.to_regprocedure('agentexec._adopt()') is not null then
    drop function agentexec._adopt();
  end if;
  if pg_catalog.to_regclass('agentexec.installation') is not null then
    drop table agentexec.installation;
  end if;
end
$$;
