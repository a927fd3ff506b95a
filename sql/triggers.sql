-- Triggers of agentexec: code, re-applied whole after functions.sql at every upgrade.
--
--   activity_log_guard    before insert, row         only the owner gives id and seq
--   activity_log_number   before insert, row         a direct INSERT obeys the rules of append_log
--   activity_log_ring     after insert, statement    rings the bell: something was written
--
-- The functions insert with id and seq given and as the owner, so the WHEN clauses keep the row triggers
-- away from them.

-- _guard_line refuses id and seq from anyone who does not own the table: they would bypass the numbering.
-- It runs as the caller; the WHEN clause only spares the owner the call, the rule is here.
create or replace function agentexec._guard_line()
  returns trigger
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
begin
  if not pg_has_role((select c.relowner from pg_class c where c.oid = tg_relid), 'USAGE') then
    raise exception using
      errcode = 'insufficient_privilege',
      message = 'id and seq of a log line are given by the database; only the owner of the table may set them';
  end if;
  return new;
end
$$;

-- _number_line gives a directly inserted line its number and applies the state machine, exactly as append_log does.
-- The status, time and transaction of the line are the database's, whatever the caller sent.
--
-- It runs with the owner's rights, so it serves activity_log alone: as a trigger of anybody's own table it would let
-- them use up numbers without writing lines.
--
-- Locks:  the activity row, before the log row.
-- Errors: TA404 no such activity; TA409 the state machine refuses; TA422 bad message or percentage.
create or replace function agentexec._number_line()
  returns trigger
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_agent_id uuid;
  v_activity agentexec.activity;
begin
  if tg_relid <> 'agentexec.activity_log'::regclass then
    raise exception using errcode = 'insufficient_privilege', message = 'this trigger is for agentexec.activity_log alone';
  end if;
  perform agentexec._check_line(new.message, new.percentage);
  select a.agent_id into v_agent_id from agentexec.activity a where a.id = new.activity_id;
  if not found then
    raise exception using errcode = 'TA404', message = format('no activity with id %s', coalesce(new.activity_id::text, 'null'));
  end if;
  v_activity := agentexec._advance(v_agent_id, new.percentage, new.status);
  new.id := coalesce(new.id, nextval('agentexec.activity_log_id_seq'));
  new.seq := v_activity.last_seq;
  new.status := v_activity.status;
  new.created_at := v_activity.updated_at;
  new.xid := pg_current_xact_id();
  return new;
end
$$;

-- _ring tells whoever waits that lines were written. The notification carries nothing: who hears it reads the table
-- from its own position, so a lost one costs latency, never data. The channel is the schema's name.
--
-- A transaction with a notification pending takes one lock of the whole instance at its commit, until its WAL is
-- flushed: with one in every transaction, commits would queue up. So it rings only when somebody waits. Who waits
-- holds an advisory lock exclusively, and the probe in shared mode fails; when it succeeds, nobody waits, and nothing
-- happens. The locks of a session end with it, so a crashed waiter leaves nothing behind.
-- (In shared mode, because exclusive probes would meet each other.)
--
-- No SET search_path: it would cost more than all the rest, and every name here is qualified.
create or replace function agentexec._ring()
  returns trigger
  language plpgsql
  volatile
as $$
begin
  if not (pg_catalog.pg_try_advisory_lock_shared(1635271269, tg_relid::pg_catalog.int4)
          and pg_catalog.pg_advisory_unlock_shared(1635271269, tg_relid::pg_catalog.int4)) then
    perform pg_catalog.pg_notify(tg_table_schema, '');
  end if;
  return null;
end
$$;

do $$
declare
  v_owner name := (select pg_get_userbyid(c.relowner) from pg_class c where c.oid = 'agentexec.activity_log'::regclass);
begin
  execute format(
    'create or replace trigger activity_log_guard before insert on agentexec.activity_log for each row
       when ((new.id is not null or new.seq is not null) and current_user <> %L)
       execute function agentexec._guard_line()', v_owner);
end
$$;

create or replace trigger activity_log_number
  before insert on agentexec.activity_log
  for each row
  when (new.seq is null)
  execute function agentexec._number_line();

create or replace trigger activity_log_ring
  after insert on agentexec.activity_log
  for each statement
  execute function agentexec._ring();

revoke execute on all functions in schema agentexec from public;
