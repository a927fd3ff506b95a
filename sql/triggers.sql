-- Triggers of agentexec: code, re-applied whole after retention.sql at every upgrade.
--
--   activity_log_number   before insert, row   gives a direct INSERT its number, by the rules of append_log
--   activity_log_take     after insert, row    moves the activity on to the last of these lines, and sends a
--                                              wake-up
--
-- The functions insert with id and seq given and as the owner, so the WHEN clauses keep the triggers away from them. The
-- same holds for a restore, which sends no wake-up: readers find its lines by their timers.

-- Retired: a statement trigger notified for every INSERT (activity_log_ring, and its function _ring).
do $$
begin
  if pg_catalog.to_regprocedure('agentexec._ring()') is not null then
    drop function agentexec._ring() cascade;
  end if;
end
$$;

-- _number_line gives a directly inserted line its number and checks it, exactly as append_log does. It sets the status, time,
-- transaction, attempt and cancel_requested of the line, and ignores the values of the caller. id and seq belong together and
-- to the owner of the tables, for restores: any other role would bypass the numbering.
--
-- The activity's row is locked here and written by _take_lines, once for all lines of a statement: a row that is updated k
-- times in one transaction costs O(k^2). Until then the last line has the state of the activity. So within one statement (a
-- WITH, or a function in its select list) an INSERT cannot be followed by another writer of the same activity: that one
-- would take the same seq, and fail with 23505.
--
-- It runs with the owner's rights, so it serves activity_log alone: as a trigger of another table it would use
-- up numbers without writing lines.
--
-- Locks:  the activity row, before the log row.
-- Errors: TA404 no such activity, or it is outside the scope; TA409 the state machine refuses; TA422 bad message,
--         percentage or data, or the activity is at the highest seq; 42501 id or seq.
create or replace function agentexec._number_line()
  returns trigger
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_scope      record := agentexec._scope();
  v_agent_id   uuid;
  v_seq        int;
  v_status     agentexec.status;
  v_attempt    int;
  v_cancel_seq int;
  v_at         timestamptz;
  v_line       agentexec.activity_log;
begin
  if tg_relid <> 'agentexec.activity_log'::regclass then
    raise exception using errcode = 'insufficient_privilege', message = 'this trigger is for agentexec.activity_log alone';
  elsif new.id is not null or new.seq is not null then
    raise exception using
      errcode = 'insufficient_privilege',
      message = 'id and seq of a log line are given by the database; only the owner of the table may set them, and both together';
  end if;
  perform agentexec._check_line(new.message, new.percentage::double precision, new.data);

  select a.agent_id, a.last_seq, a.status, a.attempt, a.cancel_seq, a.updated_at
  into v_agent_id, v_seq, v_status, v_attempt, v_cancel_seq, v_at
  from agentexec.activity a
  where a.id = new.activity_id
    and agentexec._in_scope(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, a.agent_id, a.agent_type, a.metadata)
  for no key update;
  if not found then
    raise exception using errcode = 'TA404', message = format('no activity with id %s', coalesce(new.activity_id::text, 'null'));
  end if;
  -- A statement of its own, so that it sees what the lock waited for.
  select l.seq, l.status, l.attempt, l.created_at into v_line.seq, v_line.status, v_line.attempt, v_line.created_at
  from agentexec.activity_log l
  where l.activity_id = new.activity_id and l.seq > v_seq
  order by l.seq desc
  limit 1;
  if found then
    v_seq := v_line.seq;
    v_status := v_line.status;
    v_attempt := v_line.attempt;
    v_at := v_line.created_at;
  end if;

  if v_seq = 2147483647 then
    perform agentexec._raise_seq_exhausted(v_agent_id);
  elsif not agentexec._may_become(v_status, coalesce(new.status, v_status)) then
    raise exception using
      errcode = 'TA409',
      message = format('activity %s is %s and cannot become %s', v_agent_id, v_status, new.status);
  elsif v_status = 'ERROR' and new.status in ('QUEUED', 'RUNNING') then
    if v_cancel_seq is not null then
      raise exception using errcode = 'TA409', message = agentexec._no_retry(v_agent_id, new.status);
    end if;
    v_attempt := v_attempt + 1;
  end if;
  new.id := nextval('agentexec.activity_log_id_seq');
  new.seq := v_seq + 1;
  new.status := coalesce(new.status, v_status);
  new.created_at := greatest(clock_timestamp(), v_at);
  new.xid := txid_current();
  new.attempt := v_attempt;
  new.cancel_requested := v_cancel_seq is not null;
  if current_setting('agentexec.direct', true) is distinct from 'on' then
    perform set_config('agentexec.direct', 'on', true);
  end if;
  return new;
end
$$;

-- _take_lines moves an activity on to the last of its lines that were inserted directly, with all that they change, and
-- sends a wake-up. The first line of an activity does it for all of a statement; the others find nothing left to do.
--
-- Locks: the activity row, which _number_line has locked.
create or replace function agentexec._take_lines()
  returns trigger
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_last_seq int;
  v_status   agentexec.status;
  v_attempt  int;
begin
  if tg_relid <> 'agentexec.activity_log'::regclass then
    raise exception using errcode = 'insufficient_privilege', message = 'this trigger is for agentexec.activity_log alone';
  end if;
  select a.last_seq, a.status, a.attempt into v_last_seq, v_status, v_attempt from agentexec.activity a where a.id = new.activity_id;
  if new.seq <= v_last_seq then
    return null;
  end if;

  with line as (
    select l.seq, l.percentage, l.created_at, l.status, l.attempt, lag(l.status, 1, v_status) over (order by l.seq) as before
    from agentexec.activity_log l
    where l.activity_id = new.activity_id and l.seq > v_last_seq
  ), total as (
    select max(l.seq) as last_seq,
           max(l.created_at) as at,
           (array_agg(l.status order by l.seq desc))[1] as status,
           -- A trailing line moves no percentage.
           (array_agg(l.percentage order by l.seq desc) filter (where l.percentage is not null
              and (l.before not in ('COMPLETE', 'ERROR', 'CANCELED') or l.status <> l.before)))[1] as percentage,
           max(l.attempt) as attempt,
           min(l.created_at) filter (where l.status = 'RUNNING' and l.before <> 'RUNNING') as started_at,
           max(l.created_at) filter (where l.status <> l.before) as changed_at
    from line l
  )
  update agentexec.activity a
  set last_seq          = t.last_seq,
      latest_percentage = coalesce(t.percentage, a.latest_percentage),
      updated_at        = t.at,
      status            = t.status,
      attempt           = t.attempt,
      started_at        = coalesce(a.started_at, t.started_at),
      finished_at       = case
                            when t.changed_at is null then a.finished_at
                            when t.status in ('COMPLETE', 'ERROR', 'CANCELED') then t.changed_at
                          end
  from total t
  where a.id = new.activity_id;
  -- The promise of a run ends with it.
  delete from agentexec.activity_heartbeat h
  using agentexec.activity a
  where h.activity_id = new.activity_id and a.id = new.activity_id
    and (a.status, a.attempt) <> (v_status, v_attempt) and (a.status <> 'RUNNING' or a.attempt > v_attempt);
  perform agentexec._send_wakeup();
  return null;
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

-- The setting is 'on' from the first direct INSERT to the end of its transaction. A function's line after that finds
-- nothing to do there.
create or replace trigger activity_log_take
  after insert on agentexec.activity_log
  for each row
  when (pg_catalog.current_setting('agentexec.direct', true) operator(pg_catalog.=) 'on')
  execute function agentexec._take_lines();

-- _replicated_line gives a line that comes by logical replication the id of the transaction that brings it, and notifies as
-- append_log does. The id it was sent with is the other cluster's: readers whose position is a pg_snapshot would look for
-- the line where it is not. So an update leaves the id as it is; a slow append sets the time of its line again.
create or replace function agentexec._replicated_line()
  returns trigger
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'UPDATE' then
    new.xid := old.xid;
    return new;
  end if;
  new.xid := txid_current();
  perform agentexec._send_wakeup();
  return new;
end
$$;

-- It fires where session_replication_role is replica, as in every apply worker, and costs other sessions nothing.
create or replace trigger activity_log_replicated
  before insert or update on agentexec.activity_log
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
