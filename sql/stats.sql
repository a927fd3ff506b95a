-- Figures of a range of time. Code, re-applied whole after detail.sql at every upgrade.

-- _check_stats refuses arguments of stats out of bounds with TA422, and returns the bucket in seconds.
create or replace function agentexec._check_stats(since timestamptz, bucket interval)
  returns numeric
  language plpgsql
  stable parallel safe
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_seconds numeric := extract(epoch from bucket);
  v_range   numeric;
begin
  if since is null or not isfinite(since) or since >= statement_timestamp() or since < statement_timestamp() - interval '366 days' then
    perform agentexec._raise_invalid(format('since must be in the past, at most 366 days ago, got %s', coalesce(agentexec._time(since), 'null')));
  elsif v_seconds is null or v_seconds < 1 or v_seconds > 31622400 then
    perform agentexec._raise_invalid(format('bucket must be between 1 second and 366 days, got %s', coalesce(bucket::text, 'null')));
  end if;
  v_range := extract(epoch from statement_timestamp() - since);
  if v_range / v_seconds > 1499 then -- since is rounded down by less than one bucket
    perform agentexec._raise_invalid(format('bucket must be at least %s seconds for this range, because there may be at most 1500 buckets, got %s',
      ceil(v_range / 1499), trim_scale(v_seconds)));
  end if;
  return v_seconds;
end
$$;

-- _ended returns how many activities ended in a range with each status: in each bucket (at), and of each type in each twentieth of the
-- range (part, from 0).
--
-- The planner expects as many groups as times, and would sort all rows. There are few groups, so they are counted in a hash table.
create or replace function agentexec._ended(since timestamptz, until timestamptz, bucket interval)
  returns table (status agentexec.status, at timestamptz, agent_type text, part int, n bigint)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set enable_sort = off
as $$
declare
  v_scope record := agentexec._scope();
  v_where text   := ' from agentexec.activity a
    where a.status in (''COMPLETE'', ''ERROR'', ''CANCELED'') and a.finished_at >= $1 and a.finished_at < $2'
    || agentexec._scope_condition(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, 4);
begin
  -- date_bin counts in integers, so it is cheaper than arithmetic with extract(epoch ...).
  return query execute
    'select a.status, date_bin($3, a.finished_at, $1), null, null::int, count(*)' || v_where || ' group by 1, 2
     union all
     select g.status, null, g.agent_type, least(19, (extract(epoch from g.part - $1) / extract(epoch from $2 - $1) * 20)::int), g.n
     from (select a.status, a.agent_type, date_bin(($2 - $1) / 20, a.finished_at, $1) as part, count(*) as n' || v_where || ' group by 1, 2, 3) g'
    using since, until, bucket, v_scope.agent_ids, v_scope.agent_types, v_scope.metadata;
end
$$;

-- _started_by_bucket returns how many activities became RUNNING for the first time in each bucket of a range.
create or replace function agentexec._started_by_bucket(since timestamptz, until timestamptz, bucket interval)
  returns table (at timestamptz, n bigint)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_scope record := agentexec._scope();
begin
  return query execute
    'select date_bin($3, a.started_at, $1), count(*) from agentexec.activity a where a.started_at >= $1 and a.started_at < $2'
      || agentexec._scope_condition(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, 4) || '
     group by 1'
    using since, until, bucket, v_scope.agent_ids, v_scope.agent_types, v_scope.metadata;
end
$$;

-- _took_by_type returns the median and the 95th percentile of the duration of COMPLETE runs of some types that ended in a range, in
-- seconds with three decimals. A run that never was RUNNING has no duration. work_mem: a hundred thousand runs are sorted in memory.
create or replace function agentexec._took_by_type(since timestamptz, until timestamptz, agent_types text[])
  returns table (agent_type text, p50 double precision, p95 double precision)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set work_mem = '16MB'
as $$
declare
  v_scope record := agentexec._scope();
begin
  return query execute
    'select g.agent_type, round(g.took[1]::numeric, 3)::double precision, round(g.took[2]::numeric, 3)::double precision
     from (select a.agent_type collate "C" as agent_type, percentile_cont(array[0.5, 0.95]) within group (order by a.took) as took
           from (select a.agent_type, date_part(''epoch'', a.finished_at - a.started_at) as took
                 from agentexec.activity a
                 where a.status = ''COMPLETE'' and a.finished_at >= $1 and a.finished_at < $2'
                 || agentexec._scope_condition(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, 4) || '
                 offset 0) a -- so that the types are not looked up in their index
           where a.agent_type = any ($3)
           group by 1) g'
    using since, until, agent_types, v_scope.agent_ids, v_scope.agent_types, v_scope.metadata;
end
$$;

-- _failures returns the first lines with which activities failed in a range, at most 200 characters, each once for its type, the 20 newest:
-- of the newest 5,000 failures. The line of a failure has the time finished_at; trailing lines may follow it.
create or replace function agentexec._failures(since timestamptz, until timestamptz)
  returns jsonb
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_scope    record := agentexec._scope();
  v_failures jsonb;
begin
  for v_failures in execute
    'select jsonb_agg(jsonb_build_object(''message'', f.message, ''agent_type'', f.agent_type, ''count'', f.n,
              ''last_at'', agentexec._time(f.last_at), ''agent_id'', f.agent_id) order by f.last_at desc, f.agent_id desc)
     from (select l.message, e.agent_type, count(*) as n, max(e.finished_at) as last_at,
                  (array_agg(e.agent_id order by e.finished_at desc, e.agent_id desc))[1] as agent_id
           from (select a.id, a.agent_id, a.agent_type, a.finished_at, a.last_seq, a.attempt
                 from agentexec.activity a
                 where a.status = ''ERROR'' and a.finished_at >= $1 and a.finished_at < $2'
                 || agentexec._scope_condition(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, 3) || '
                 order by a.finished_at desc, a.agent_id desc
                 limit 5000) e
           cross join lateral (
             select coalesce((
               select left(split_part(translate(ltrim(left(x.message, 1000), e'' \t\r\n''), e''\r'', e''\n''), e''\n'', 1), 200)
               from (select l.seq, l.message, l.status, l.attempt, l.created_at
                     from agentexec.activity_log l
                     where l.activity_id = e.id and l.seq <= e.last_seq
                     order by l.seq desc
                     limit 20) x
               where x.status = ''ERROR'' and x.attempt = e.attempt and x.created_at = e.finished_at
               order by x.seq
               limit 1), '''') as message
             offset 0) l
           group by 1, 2
           order by last_at desc, agent_id desc
           limit 20) f'
    using since, until, v_scope.agent_ids, v_scope.agent_types, v_scope.metadata
  loop
  end loop;
  return coalesce(v_failures, '[]');
end
$$;

-- _unfinished returns what stats says of the QUEUED and RUNNING activities: the oldest_queued_at, the oldest_stale_at, the number of
-- RUNNING ones whose cancel was requested (stopping), and the number of RUNNING ones by type (running, an object).
create or replace function agentexec._unfinished(
  out oldest_queued_at timestamptz,
  out oldest_stale_at  timestamptz,
  out stopping         bigint,
  out running          jsonb
)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_scope record := agentexec._scope();
  v_where text   := agentexec._scope_condition(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, 1);
begin
  execute
    'select (select a.created_at from agentexec.activity a where a.status = ''QUEUED''' || v_where || ' order by a.created_at limit 1),
            (select min(greatest(a.updated_at, h.beat_at))
             from agentexec.activity_heartbeat h
             join agentexec.activity a on a.id = h.activity_id
             where h.beat_at < statement_timestamp() - h.expect_every
               and agentexec._is_stale(a.status, a.updated_at, h.beat_at, h.expect_every)' || v_where || '),
            coalesce(sum(r.stopping), 0)::bigint, coalesce(jsonb_object_agg(r.agent_type, r.n) filter (where r.n > 0), ''{}'')
     from (select a.agent_type, count(*) as n, count(a.cancel_seq) as stopping
           from agentexec.activity a
           where a.status = ''RUNNING''' || v_where || '
           group by 1) r'
  into oldest_queued_at, oldest_stale_at, stopping, running
  using v_scope.agent_ids, v_scope.agent_types, v_scope.metadata;
end
$$;

-- stats returns what happened since a time, as JSON: counts as count_by_status, what started and ended in each bucket, the 50 types with
-- the most runs and how long these took, and the newest failures. The buckets begin at multiples of bucket since 1970, and since is
-- rounded down to such a time, so each bucket but the last is whole, and one call counts as another one.
--
-- Nothing is a sample: the cost grows with what ended in the range. But failures are counted among the newest 5,000 of the range
-- (failures_counted says of how many).
--
-- Errors: TA422 since not in the past or more than 366 days ago, bucket below 1 s, more than 1,500 buckets.
create or replace function agentexec.stats(
  since  timestamptz default statement_timestamp() - interval '1 hour',
  bucket interval    default interval '1 minute'
)
  returns jsonb
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_seconds constant numeric     := agentexec._check_stats(since, bucket);
  v_bucket  constant interval    := make_interval(secs => v_seconds::double precision);
  v_since   constant timestamptz := date_bin(v_bucket, since, 'epoch');
  v_until   constant timestamptz := statement_timestamp();
  v_now     record := agentexec._unfinished();
  v_counts  jsonb  := agentexec.count_by_status();
  v_ended   jsonb;
  v_series  jsonb;
  v_types   jsonb;
begin
  with ended as materialized (
    select e.* from agentexec._ended(v_since, v_until, v_bucket) e
  ), series as (
    select b.at, coalesce(s.n, 0) as started, coalesce(e.complete, 0) as complete, coalesce(e.error, 0) as error, coalesce(e.canceled, 0) as canceled
    from generate_series(v_since, v_until, v_bucket) b(at)
    left join (select s.at, s.n from agentexec._started_by_bucket(v_since, v_until, v_bucket) s) s on s.at = b.at
    left join (
      select e.at, sum(e.n) filter (where e.status = 'COMPLETE') as complete, sum(e.n) filter (where e.status = 'ERROR') as error,
             sum(e.n) filter (where e.status = 'CANCELED') as canceled
      from ended e
      where e.at is not null
      group by e.at) e on e.at = b.at
    where b.at < v_until
  ), types as materialized (
    select t.*
    from (
      select coalesce(e.agent_type, r.agent_type) as agent_type, coalesce(r.running::bigint, 0) as running, coalesce(e.ended, 0) as ended,
             coalesce(e.error, 0) as error, coalesce(e.canceled, 0) as canceled
      from (select e.agent_type, sum(e.n) as ended, sum(e.n) filter (where e.status = 'ERROR') as error,
                   sum(e.n) filter (where e.status = 'CANCELED') as canceled
            from ended e
            where e.agent_type is not null
            group by e.agent_type) e
      full join jsonb_each_text(v_now.running) r(agent_type, running) on r.agent_type = e.agent_type) t
    order by t.running + t.ended desc, t.agent_type
    limit 50
  )
  select (select jsonb_build_object('complete', coalesce(sum(s.complete), 0), 'error', coalesce(sum(s.error), 0), 'canceled', coalesce(sum(s.canceled), 0))
          from series s),
         (select jsonb_agg(jsonb_build_object('at', agentexec._time(s.at), 'started', s.started, 'complete', s.complete, 'error', s.error,
            'canceled', s.canceled) order by s.at)
          from series s),
         (select jsonb_agg(jsonb_build_object('agent_type', t.agent_type, 'running', t.running, 'ended', t.ended, 'error', t.error,
            'canceled', t.canceled, 'p50', d.p50, 'p95', d.p95, 'series', p.series) order by t.running + t.ended desc, t.agent_type)
          from types t
          left join agentexec._took_by_type(v_since, v_until, array(select t.agent_type from types t)) d on d.agent_type = t.agent_type
          cross join lateral (
            select jsonb_agg(coalesce(e.n, 0) order by i.part) as series
            from generate_series(0, 19) i(part)
            left join (select e.part, sum(e.n) as n from ended e where e.agent_type = t.agent_type group by e.part) e on e.part = i.part) p)
  into v_ended, v_series, v_types;
  return jsonb_build_object(
    'since', agentexec._time(v_since),
    'until', agentexec._time(v_until),
    'bucket', v_seconds::double precision,
    'counts', v_counts,
    'active', (v_counts ->> 'QUEUED')::bigint + (v_counts ->> 'RUNNING')::bigint,
    'stopping', v_now.stopping,
    'oldest_queued_at', agentexec._time(v_now.oldest_queued_at),
    'oldest_stale_at', agentexec._time(v_now.oldest_stale_at),
    'ended', v_ended,
    'series', v_series,
    'types', coalesce(v_types, '[]'),
    'failures', agentexec._failures(v_since, v_until),
    'failures_counted', least(5000, (v_ended ->> 'error')::bigint));
end
$$;
