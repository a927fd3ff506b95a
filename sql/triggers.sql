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

-- Whether the caller is the owner is asked in the cheapest way there is, because every line of every function asks it:
-- row security is active on agentexec.installation for whoever is neither its owner, nor a member of that role, nor
-- above it (superuser, bypassrls). A comparison with current_user would cost each append four times as much.
create or replace trigger activity_log_number
  before insert on agentexec.activity_log
  for each row
  when (new.seq is null or pg_catalog.row_security_active('agentexec.installation'::pg_catalog.regclass))
  execute function agentexec._number_line();

-- Nobody may call anything unless granted. What only computes is open to those who have USAGE of the schema, because the
-- functions that read run with their caller's rights: to grant the public ones is enough.
revoke execute on all functions in schema agentexec from public;
grant execute on function
  agentexec._refuse(text),
  agentexec._line_problem(text, int),
  agentexec._check_line(text, int),
  agentexec._metadata_filter(jsonb),
  agentexec._scope_of(text),
  agentexec._scope(),
  agentexec._in_scope(uuid[], text[], jsonb, uuid, text, jsonb),
  agentexec._time(timestamptz),
  agentexec._log_json(agentexec.activity_log),
  agentexec._activity_json(agentexec.activity, boolean),
  agentexec._state_json(agentexec.activity),
  agentexec._rank(agentexec.status),
  agentexec._list_key(agentexec.activity),
  agentexec._list_start(),
  agentexec._list_position(text)
to public;
