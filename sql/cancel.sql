-- Cancel: requests to workers, the sweep that ends activities after the grace period, and cancel_pending. Code, re-applied whole
-- after heartbeat.sql at every upgrade.

-- _send_cancel notifies the workers that listen on <schema>_cancel, with the agent_id. A worker that does not listen learns of
-- the request from its next line or heartbeat. The name of the schema is cut, so that the name of the channel is not too long.
create or replace function agentexec._send_cancel(agent_id uuid)
  returns void
  language sql
  volatile
begin atomic
  select pg_notify(left(n.nspname, 56) || '_cancel', agent_id::text)
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where c.oid = 'agentexec.activity_log'::regclass and pg_notification_queue_usage() <= 0.5;
end;

-- _cancel_one is cancel for one activity, which the caller has locked.
create or replace function agentexec._cancel_one(agent_id uuid, message text, grace interval, requested_by text)
  returns agentexec.activity_log
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_activity agentexec.activity;
  v_line     agentexec.activity_log;
  v_again    boolean;
  v_force    boolean;
begin
  select a.* into v_activity from agentexec.activity a where a.agent_id = _cancel_one.agent_id;
  v_again := v_activity.status = 'RUNNING' and v_activity.cancel_seq is not null;
  v_force := v_activity.status = 'RUNNING' and coalesce(grace = '0', false);
  if v_activity.status in ('QUEUED', 'RUNNING', 'ERROR') and v_activity.last_seq < 2147483647 then
    update agentexec.activity a
    set cancel_seq      = coalesce(a.cancel_seq, a.last_seq + 1),
        cancel_force_at = case when a.status = 'RUNNING' then least(a.cancel_force_at, clock_timestamp() + grace) end,
        cancel_forced   = v_force
    where a.id = v_activity.id;
  end if;
  if v_again and not v_force then
    select l.* into v_line from agentexec.activity_log l where l.activity_id = v_activity.id and l.seq = v_activity.cancel_seq;
    if found then
      return v_line;
    end if;
  end if;

  v_line := agentexec._append_change(
    agent_id, message, null,
    case when v_activity.status <> 'RUNNING' or v_force then 'CANCELED'::agentexec.status end,
    nullif(jsonb_strip_nulls(jsonb_build_object('requested_by', requested_by, 'forced', nullif(v_force, false))), '{}'));
  perform agentexec._send_cancel(agent_id);
  return v_line;
end
$$;

-- _cancel_below cancels the QUEUED, RUNNING and ERROR activities below one in its tree that lie in the session's scope, and returns their
-- number. It first locks all of them and the one above, by id.
create or replace function agentexec._cancel_below(agent_id uuid, message text, grace interval, requested_by text)
  returns int
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_scope record := agentexec._scope();
  v_ids   uuid[];
  v_agent uuid;
  v_count int := 0;
begin
  with recursive tree as (
    select a.id, a.agent_id, a.agent_type, a.metadata, a.status from agentexec.activity a where a.agent_id = _cancel_below.agent_id
    union all
    select c.id, c.agent_id, c.agent_type, c.metadata, c.status from tree t join agentexec.activity c on c.parent_agent_id = t.agent_id
  )
  select array_agg(t.id order by t.id) into v_ids
  from tree t
  where t.agent_id = _cancel_below.agent_id
     or t.status in ('QUEUED', 'RUNNING', 'ERROR')
        and agentexec._in_scope(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, t.agent_id, t.agent_type, t.metadata);
  perform from agentexec.activity a where a.id = any (v_ids) order by a.id for no key update;
  for v_agent in
    select a.agent_id from agentexec.activity a
    where a.id = any (v_ids) and a.agent_id <> _cancel_below.agent_id and a.status in ('QUEUED', 'RUNNING', 'ERROR') and a.last_seq < 2147483647
    order by a.id
  loop
    perform agentexec._cancel_one(v_agent, message, grace, requested_by);
    v_count := v_count + 1;
  end loop;
  return v_count;
end
$$;

-- cancel ends an activity, or requests that its worker ends it. QUEUED and ERROR become CANCELED at once. For RUNNING it is a
-- request: it writes a line with the message, and each later append and heartbeat of the worker returns cancel_requested. The
-- worker then ends the activity as CANCELED, COMPLETE or ERROR. After the grace period, sweep() ends it as CANCELED. A grace of 0
-- ends it at once; with a null grace, sweep() never ends it.
--
-- A repeated request writes no second line: it returns the line of the first one, and the shorter grace counts. With a grace of
-- 0, it writes and returns the line that ends the activity. requested_by is stored in the data of the line.
--
-- With tree, the QUEUED, RUNNING and ERROR activities below it that lie in the scope are canceled in the same way. If the activity itself is
-- COMPLETE but others below it are not, only those are canceled, and its last line is returned.
--
-- Locks:  the activity rows by id, before the log rows.
-- Errors: TA404 no such activity, or it is outside the scope; TA409 it is COMPLETE; TA422 bad message, a grace not of 0 to 365 days,
--         requested_by of more than 255 characters, or the activity is at the highest seq.
create or replace function agentexec.cancel(
  agent_id     uuid,
  message      text     default 'Cancel requested',
  grace        interval default '30 s',
  requested_by text     default null,
  tree         boolean  default false
)
  returns agentexec.activity_log
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_line  agentexec.activity_log;
  v_below int := 0;
begin
  perform agentexec._check_line(message, null::double precision, null::jsonb);
  if grace < '0' or grace > '365 days' then
    perform agentexec._raise_invalid(format('grace must be between 0 and 365 days, got %s', justify_hours(grace)));
  elsif char_length(requested_by) > 255 then
    perform agentexec._raise_invalid(format('requested_by must be at most 255 characters, got %s', char_length(requested_by)));
  end if;
  if tree then
    perform from agentexec._scope() s
    cross join agentexec.activity a
    where a.agent_id = cancel.agent_id
      and agentexec._in_scope(s.agent_ids, s.agent_types, s.metadata, a.agent_id, a.agent_type, a.metadata);
    if found then
      v_below := agentexec._cancel_below(agent_id, message, grace, requested_by);
    end if;
  end if;
  perform agentexec._lock_in_scope(agent_id);
  if v_below > 0 then
    select l.* into v_line
    from agentexec.activity a
    join agentexec.activity_log l on l.activity_id = a.id and l.seq = a.last_seq
    where a.agent_id = cancel.agent_id and a.status = 'COMPLETE';
    if found then
      return v_line;
    end if;
  end if;
  return agentexec._cancel_one(agent_id, message, grace, requested_by);
end
$$;

-- _force_due ends the activities whose grace period is over, at most max_rows, each with its own line, and returns their
-- number. It skips locked rows; the next sweep finds them.
--
-- Locks: the activity rows that are free; then log rows.
create or replace function agentexec._force_due(max_rows int)
  returns int
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_count int;
begin
  with due as materialized (
    select a.id
    from agentexec.activity a
    where a.cancel_force_at <= clock_timestamp() and a.finished_at is null and a.last_seq < 2147483647
    order by a.cancel_force_at
    limit max_rows
    for no key update skip locked
  ), locked as materialized (
    -- A separate step: the clock is read after the row is locked.
    select d.id, clock_timestamp() as now from due d
  ), forced as (
    update agentexec.activity a
    set status        = 'CANCELED',
        last_seq      = a.last_seq + 1,
        updated_at    = greatest(l.now, a.updated_at),
        finished_at   = greatest(l.now, a.updated_at),
        cancel_forced = true
    from locked l
    where a.id = l.id
    returning a.id, a.last_seq, a.updated_at, a.attempt
  ), promise as (
    delete from agentexec.activity_heartbeat h using forced f where h.activity_id = f.id
  ), written as (
    insert into agentexec.activity_log (id, activity_id, seq, message, status, data, created_at, attempt, cancel_requested)
    select nextval('agentexec.activity_log_id_seq'), f.id, f.last_seq, 'Canceled: the worker did not end within the grace period',
           'CANCELED', '{"forced": true}', f.updated_at, f.attempt, true
    from forced f
    returning 1
  )
  select count(*) into v_count from written;
  return v_count;
end
$$;

-- _drop_heartbeats deletes heartbeats of finished activities, at most max_rows. Such a row is left when a first heartbeat commits
-- after the end of its run. Only rows with an old beat are read.
--
-- Locks: the rows of heartbeats that are free.
create or replace function agentexec._drop_heartbeats(max_rows int)
  returns void
  language sql
  volatile
begin atomic
  delete from agentexec.activity_heartbeat d
  where d.activity_id in (
    select h.activity_id
    from agentexec.activity_heartbeat h
    join agentexec.activity a on a.id = h.activity_id
    where h.beat_at < statement_timestamp() - h.expect_every and a.finished_at is not null
    limit max_rows
    for no key update of h skip locked);
end;

-- sweep ends the activities whose grace period is over, closes the questions whose time is over, and deletes what the retention
-- rules say. It returns the number of rows of each kind, as JSON: "forced" activities, "expired" questions, "pruned" activities and
-- lines; each is at most max_rows. Call it about once a second, from any session: while one sweep runs, another one returns zeros
-- at once. It ignores agentexec.scope.
--
-- Locks:  an advisory lock of the transaction; the activity rows that are free; then log rows.
-- Errors: TA422 max_rows not of 1 to 100000.
create or replace function agentexec.sweep(max_rows int default 1000)
  returns jsonb
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_forced  int := 0;
  v_expired int := 0;
  v_pruned  int := 0;
begin
  if max_rows is null or max_rows not between 1 and 100000 then
    perform agentexec._raise_invalid(format('max_rows must be between 1 and 100000, got %s', coalesce(max_rows::text, 'null')));
  end if;
  if pg_try_advisory_xact_lock(1635271270, 'agentexec.activity_log'::regclass::oid::int4) then
    v_forced := agentexec._force_due(max_rows);
    v_expired := agentexec._expire_due(max_rows);
    begin
      v_pruned := agentexec._prune_due(max_rows);
    exception
      when others then -- the forced cancels and the expired questions stay
        raise warning 'agentexec.sweep cannot prune: %', sqlerrm;
    end;
    perform agentexec._drop_heartbeats(max_rows);
    if v_forced > 0 then
      perform agentexec._send_wakeup();
    end if;
  end if;
  return jsonb_build_object('forced', v_forced, 'expired', v_expired, 'pruned', v_pruned);
end
$$;

-- _may_cancel is whether cancel_pending takes an activity with this state. The age is a difference, because
-- now - idle_for may lie before all time.
create or replace function agentexec._may_cancel(status agentexec.status, updated_at timestamptz, idle_for interval)
  returns boolean
  language sql
  volatile
begin atomic
  select status in ('QUEUED', 'RUNNING')
     and (idle_for is null or (isfinite(updated_at) and clock_timestamp() - updated_at >= idle_for));
end;

-- _cancel_free cancels those of the activities that are QUEUED or RUNNING, idle for long enough and not locked by another
-- transaction, each with its own line, and returns how many. It never waits for a row.
--
-- Locks: the activity rows, by id; then log rows.
create or replace function agentexec._cancel_free(ids uuid[], idle_for interval, message text)
  returns int
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_count int;
begin
  with free as materialized (
    select a.id
    from agentexec.activity a
    where a.id = any (ids) and agentexec._may_cancel(a.status, a.updated_at, idle_for) and a.last_seq < 2147483647
    order by a.id
    for no key update skip locked
  ), locked as materialized (
    -- A step of its own: the clock is read when the row's lock is had.
    select f.id, clock_timestamp() as now from free f
  ), canceled as (
    update agentexec.activity a
    set status      = 'CANCELED',
        last_seq    = a.last_seq + 1,
        updated_at  = greatest(l.now, a.updated_at),
        finished_at = greatest(l.now, a.updated_at),
        cancel_seq  = coalesce(a.cancel_seq, a.last_seq + 1)
    from locked l
    where a.id = l.id
    returning a.id, a.last_seq, a.updated_at, a.attempt
  ), promise as (
    delete from agentexec.activity_heartbeat h using canceled c where h.activity_id = c.id
  ), written as (
    insert into agentexec.activity_log (id, activity_id, seq, message, status, created_at, attempt, cancel_requested)
    select nextval('agentexec.activity_log_id_seq'), c.id, c.last_seq, _cancel_free.message, 'CANCELED', c.updated_at, c.attempt, true
    from canceled c
    returning 1
  )
  select count(*) into v_count from written;
  return v_count;
end
$$;

-- _cancel_pending is cancel_pending with its patience, and with both counts: what was canceled, and what was skipped.
--
-- Rows that are free are canceled first; those that were locked are tried again, every 10 ms, until patience has passed.
-- So the locks it holds meanwhile keep another writer waiting for no longer than that. It never stands in the queue of a
-- row: rows come in no order here, and to wait for one while holding others could close a circle of waits (a deadlock).
-- The price: a row for which other writers queue at every moment is skipped.
create or replace function agentexec._cancel_pending(
  agent_type      text,
  metadata_filter jsonb,
  idle_for        interval,
  message         text,
  patience        interval,
  out canceled    int,
  out skipped     int
)
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_until  timestamptz := clock_timestamp() + patience;
  v_filter jsonb  := agentexec._metadata_filter(metadata_filter);
  v_scope  record := agentexec._scope();
  v_rest   uuid[];
begin
  perform agentexec._check_line(message, null::double precision, null::jsonb);
  if idle_for < interval '0' then
    perform agentexec._raise_invalid(format('idle_for must not be negative, got %s', justify_hours(idle_for)));
  end if;

  -- An activity with the highest seq has no number left for the line, so it is skipped.
  select coalesce(array_agg(a.id order by a.id) filter (where a.last_seq < 2147483647), '{}'),
         count(*) filter (where a.last_seq = 2147483647)
  into v_rest, skipped
  from agentexec.activity a
  where agentexec._may_cancel(a.status, a.updated_at, _cancel_pending.idle_for)
    and (_cancel_pending.agent_type is null or a.agent_type = _cancel_pending.agent_type)
    and (v_filter is null or agentexec._matches(a.metadata, v_filter))
    and agentexec._in_scope(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, a.agent_id, a.agent_type, a.metadata);

  canceled := 0;
  loop
    canceled := canceled + agentexec._cancel_free(v_rest, idle_for, message);
    v_rest := array(
      select a.id from agentexec.activity a
      where a.id = any (v_rest) and agentexec._may_cancel(a.status, a.updated_at, _cancel_pending.idle_for)
      order by a.id);
    exit when v_rest = '{}' or clock_timestamp() >= v_until;
    perform pg_sleep(0.01);
  end loop;
  skipped := skipped + cardinality(v_rest);
  if canceled > 0 then
    perform agentexec._send_wakeup();
  end if;
end
$$;

-- cancel_pending cancels the QUEUED and RUNNING activities that match, each with its own line, and returns how many.
-- agent_type and metadata_filter narrow it; idle_for takes only those without a line for at least that long.
--
-- Activities that another transaction keeps locked for longer than 1 s in all are skipped, and so are those at the highest
-- seq (2147483647), which have no number left for the line. How many is in the setting agentexec.skipped until the
-- transaction ends: select n, current_setting('agentexec.skipped') from agentexec.cancel_pending() n.
--
-- Locks:  the activity rows that are free; then those that become free within 1 s; log rows after their activity's row.
-- Errors: TA422 bad message, metadata_filter that is no filter, negative idle_for.
create or replace function agentexec.cancel_pending(
  agent_type      text     default null,
  metadata_filter jsonb    default null,
  idle_for        interval default null,
  message         text     default 'Canceled'
)
  returns int
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_done record := agentexec._cancel_pending(agent_type, metadata_filter, idle_for, message, interval '1 s');
begin
  perform set_config('agentexec.skipped', v_done.skipped::text, true);
  return v_done.canceled;
end
$$;
