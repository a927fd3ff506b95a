-- Heartbeats: whether a worker is alive. Code, re-applied whole after functions.sql at every upgrade.

-- heartbeat records that the worker of an activity is alive, and returns whether the worker is to end. expect_every is the
-- promise of the worker: it sends a heartbeat or a line at least that often. Null keeps the earlier promise, or makes one of
-- 60 s. The function writes no line, sends no wake-up, and does not change a finished activity.
--
-- It waits for no row, so an open transaction of the worker does not delay it. It reads the activity without a lock. While
-- another transaction has the row of the heartbeat, it does not write the time.
--
-- Like append_log it does without SET search_path, so every name and operator is qualified. The common heartbeat is one
-- statement; _first_heartbeat does the rest.
--
-- Errors: TA404 no such activity, or it is outside the scope; TA422 expect_every not of 1 s to 1 day.
create or replace function agentexec.heartbeat(agent_id uuid, expect_every interval default null)
  returns agentexec.heartbeat_result
  language plpgsql
  volatile
  security definer
as $$
declare
  v_activity_id pg_catalog.uuid;
  v_status      agentexec.status;
  v_attempt     pg_catalog.int4;
  v_cancel_seq  pg_catalog.int4;
  v_message     pg_catalog.text;
  v_missed      pg_catalog.bool;
begin
  if expect_every operator(pg_catalog.<) '1 s'::pg_catalog.interval or expect_every operator(pg_catalog.>) '1 day'::pg_catalog.interval
     or pg_catalog.date_part('month', expect_every) operator(pg_catalog.<>) 0
     or pg_catalog.current_setting('agentexec.scope', true) operator(pg_catalog.<>) '' then
    return agentexec._first_heartbeat(agent_id, expect_every);
  end if;
  with activity as materialized (
    select a.id, a.status, a.attempt, a.cancel_seq, a.finished_at
    from agentexec.activity a
    where a.agent_id operator(pg_catalog.=) heartbeat.agent_id
  ), beat as (
    update agentexec.activity_heartbeat h
    set beat_at = pg_catalog.clock_timestamp(), expect_every = coalesce(heartbeat.expect_every, h.expect_every)
    where h.ctid operator(pg_catalog.=) any (array(
      select f.ctid
      from agentexec.activity_heartbeat f
      where f.activity_id operator(pg_catalog.=) (select a.id from activity a where a.finished_at is null)
      for no key update skip locked))
    returning 1
  )
  select a.id, a.status, a.attempt, a.cancel_seq, a.finished_at is null and not exists (select from beat)
  into v_activity_id, v_status, v_attempt, v_cancel_seq, v_missed
  from activity a;
  if v_missed is not false then
    return agentexec._first_heartbeat(agent_id, expect_every);
  end if;
  if v_cancel_seq is not null then
    v_message := (
      select l.message from agentexec.activity_log l
      where l.activity_id operator(pg_catalog.=) v_activity_id and l.seq operator(pg_catalog.=) v_cancel_seq);
  end if;
  return (v_status, v_attempt, v_cancel_seq is not null, v_message);
end
$$;

-- _keep_promise writes a heartbeat with a new promise while another transaction has the row. It waits for that one for at most
-- 100 ms: a time may be left out, but a promise should not be lost beside other heartbeats.
create or replace function agentexec._keep_promise(activity_id uuid, expect_every interval)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_timeout text := current_setting('lock_timeout');
begin
  perform set_config('lock_timeout', '100ms', true);
  update agentexec.activity_heartbeat h
  set beat_at = clock_timestamp(), expect_every = _keep_promise.expect_every
  where h.activity_id = _keep_promise.activity_id;
  perform set_config('lock_timeout', v_timeout, true);
exception
  when lock_not_available then
    null; -- the setting is as it was before
end
$$;

-- _first_heartbeat is heartbeat where there is no row to update yet, where that row is locked, within a scope, and for what is
-- refused.
create or replace function agentexec._first_heartbeat(agent_id uuid, expect_every interval)
  returns agentexec.heartbeat_result
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_activity agentexec.activity;
  v_message  text;
begin
  if expect_every < '1 s' or expect_every > '1 day' or extract(month from expect_every) <> 0 then
    perform agentexec._raise_invalid(format('expect_every must be between 1 second and 1 day, got %s', justify_hours(expect_every)));
  end if;
  select a.* into v_activity
  from agentexec._scope() s
  cross join agentexec.activity a
  where a.agent_id = _first_heartbeat.agent_id
    and agentexec._in_scope(s.agent_ids, s.agent_types, s.metadata, a.agent_id, a.agent_type, a.metadata);
  if not found then
    raise exception using errcode = 'TA404', message = format('no activity with agent_id %s', coalesce(agent_id::text, 'null'));
  end if;

  if v_activity.finished_at is null then
    update agentexec.activity_heartbeat h
    set beat_at = clock_timestamp(), expect_every = coalesce(_first_heartbeat.expect_every, h.expect_every)
    where h.ctid = any (array(
      select f.ctid from agentexec.activity_heartbeat f where f.activity_id = v_activity.id for no key update skip locked));
    if found then
      null;
    elsif exists (select from agentexec.activity_heartbeat h where h.activity_id = v_activity.id) then
      if expect_every is not null then
        perform agentexec._keep_promise(v_activity.id, expect_every);
      end if;
    -- An insert of the same row that is not committed yet would have to be waited for: its transaction has the advisory lock.
    elsif pg_try_advisory_xact_lock(1635271271, hashtext(v_activity.id::text)) then
      insert into agentexec.activity_heartbeat (activity_id, beat_at, expect_every)
      values (v_activity.id, clock_timestamp(), coalesce(_first_heartbeat.expect_every, '60 s'))
      on conflict do nothing;
    end if;
  end if;
  if v_activity.cancel_seq is not null then
    v_message := (select l.message from agentexec.activity_log l where l.activity_id = v_activity.id and l.seq = v_activity.cancel_seq);
  end if;
  return (v_activity.status, v_activity.attempt, v_activity.cancel_seq is not null, v_message);
end
$$;

-- _stale_activities returns the stale activities of all scopes, for the sidecar. After a recent heartbeat, the activity is not
-- read.
create or replace function agentexec._stale_activities()
  returns table (id uuid, agent_id uuid, agent_type text)
  language sql
  stable parallel safe
begin atomic
  select a.id, a.agent_id, a.agent_type
  from agentexec.activity_heartbeat h
  cross join lateral (
    select x.id, x.agent_id, x.agent_type, x.status, x.updated_at from agentexec.activity x where x.id = h.activity_id offset 0) a
  where h.beat_at < statement_timestamp() - h.expect_every
    and agentexec._is_stale(a.status, a.updated_at, h.beat_at, h.expect_every);
end;
