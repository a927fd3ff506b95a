-- agentexec: tracking of long-running work in Postgres. Code, re-applied whole at every upgrade.
--
-- An activity is one run of an agent or job. It is created QUEUED with line 1, appends lines while it runs, and
-- ends COMPLETE, ERROR or CANCELED. Every append updates the activity's row first and inserts the line second, so
-- the row's lock numbers the lines: within one activity, commit order is seq order, without gaps. A reader that
-- remembers the last seq it saw can always go on from there.
--
--   functions.sql  create_activity, append_log, append_logs, complete, error; first, what all these files use
--   heartbeat.sql  heartbeat
--   cancel.sql     cancel, cancel_pending, sweep
--   lists.sql      list_activities, count_active, count_by_status, pending_ids; view activity_list
--   detail.sql     activity_detail
--   stats.sql      stats
--   questions.sql  ask, answer, decline, withdraw, get_question, list_questions
--   retention.sql  set_retention, prune
--   answer_schema.sql, retired.sql  the check of an answer; what earlier releases had
--
-- Names that begin with an underscore are private; they may change with any version.
--
-- The session setting agentexec.scope narrows all functions to a part of the activities (see Scope below). Activities
-- outside it are invisible: lists and counts omit them, and a write to one raises TA404.
--
-- The state machine (_may_become; _transition applies it, append_logs applies it set-based):
--
--   QUEUED <-> RUNNING -> COMPLETE | ERROR | CANCELED     QUEUED and RUNNING go anywhere
--   ERROR -> QUEUED | RUNNING                             a retry: attempt + 1, finished_at cleared
--   ERROR -> CANCELED                                     the activity is given up: no retry follows
--   COMPLETE, CANCELED                                    final
--
-- A cancel of a RUNNING activity is a request. The status stays RUNNING, and cancel_seq is the line of the request. Each later
-- answer to the worker has cancel_requested. A retry after the request is refused.
--
-- A line with no status, or the same one, is always stored: a trailing line is not lost.
--
-- Writers run with the owner's rights (security definer), so callers need EXECUTE and no table rights. Readers run with
-- the caller's. The caller's search_path reaches none of them: each function pins it, or has a body that was parsed at
-- its creation, or qualifies every name and operator (append_log, heartbeat, _send_wakeup). Lock order everywhere: activity rows by id,
-- then log rows.
-- Errors: TA404 no such activity, TA409 the state machine refuses, TA422 a bad argument or scope, 42501 a new activity
-- would be outside the scope. Nothing is written then.
-- The rules are the same for a direct INSERT into activity_log: see triggers.sql.

-- Upgrades -------------------------------------------------------------------------------------------------------

-- Before 0.4, activity_log.xid was an xid8, which many drivers cannot read. The column changes together with the functions
-- that write it, so that no writer meets the one without the other; the table is written anew once. Functions whose body
-- names the column are in the way, and get another body until these files make them again: their grants stay.
--
-- Columns that the database fills in have a default of null, for the trigger to replace: so ORMs may leave them out.
do $$
begin
  if 'xid8'::regtype <> (select a.atttypid from pg_attribute a where a.attrelid = 'agentexec.activity_log'::regclass and a.attname = 'xid') then
    return;
  end if;
  if to_regprocedure('agentexec.cancel(uuid, text)') is not null then
    create or replace function agentexec.complete(agent_id uuid, message text default '', percentage int default 0, data jsonb default null)
      returns agentexec.activity_log language plpgsql as 'begin return null; end';
    create or replace function agentexec.error(agent_id uuid, message text default '', data jsonb default null)
      returns agentexec.activity_log language plpgsql as 'begin return null; end';
    create or replace function agentexec.cancel(agent_id uuid, message text default '')
      returns agentexec.activity_log language plpgsql as 'begin return null; end';
  end if;
  alter table agentexec.activity_log
    alter column xid drop default,
    alter column xid type bigint using xid::text::bigint,
    alter column xid set default txid_current(),
    alter column id set default nullif(0, 0),
    alter column seq set default nullif(0, 0),
    alter column status set default nullif('QUEUED'::agentexec.status, 'QUEUED'),
    alter column created_at set default nullif(timestamptz 'epoch', 'epoch');
end
$$;

-- append_logs returned the number of lines. "create or replace" cannot change the type of a result, so the old function is
-- renamed here. retired.sql passes its grants on and drops it.
do $$
begin
  if exists (select from pg_proc p where p.oid = to_regprocedure('agentexec.append_logs(jsonb)') and p.prorettype = 'int'::regtype) then
    alter function agentexec.append_logs(jsonb) rename to _append_logs_before;
  end if;
end
$$;

-- Bounds ---------------------------------------------------------------------------------------------------------

-- _raise_invalid raises TA422. It is a function so that an expression can raise.
create or replace function agentexec._raise_invalid(problem text)
  returns boolean
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using errcode = 'TA422', message = problem;
end
$$;

-- _json_problem says which bound JSON exceeds (name is the argument's), or null: at most 1,048,576 bytes as the text that
-- jsonb prints, nested at most 100 deep, no number with an exponent beyond +-1000.
--
-- jsonb prints numbers without exponents and with all decimals they were rounded to, so 12 bytes can become 131,072. The
-- text is therefore made last, when the digits of all numbers are known to be few.
--
-- Small JSON needs no more than a look at its length, and callers take that look first (see _line_problem): a container
-- 101 deep takes more than 800 bytes as jsonb, and a number beyond the bound more than 1,000 as text.
create or replace function agentexec._json_problem(name text, value jsonb)
  returns text
  language plpgsql
  stable parallel safe
  set search_path = pg_catalog, pg_temp
as $$
declare
  -- Uncompressed: the empty path is the value itself. 1 MiB of text is at most 4 MiB (small numbers in an array).
  v_size   int := pg_column_size(jsonb_extract_path(value, variadic '{}'));
  v_beyond boolean;
  v_digits bigint;
  v_text   int;
begin
  if v_size > 4200000 then
    return format('%s must be at most 1048576 bytes as text, got more', name);
  elsif jsonb_path_exists(value, 'strict $.**{100} ? (@.type() == "object" || @.type() == "array")') then
    return format('%s must be nested at most 100 deep', name);
  end if;
  -- The decimals of every number, and a lower bound of its digits before the point: at least four tenths of them.
  -- (As an array first, because jsonb_path_query returns n rows in O(n^2).)
  select bool_or(abs(j.n) >= 1e1001 or scale(j.n) > 1000 and abs(j.n) < 1e-20),
         sum(scale(j.n) + case when abs(j.n) < 1e20 then 1
                               else (array[21, 51, 126, 301, 701])[width_bucket(abs(j.n), array[1e20, 1e50, 1e125, 1e300, 1e700])] end)
  into v_beyond, v_digits
  from (select e.n::numeric as n from jsonb_array_elements(jsonb_path_query_array(value, 'strict $.** ? (@.type() == "number")')) e(n)
        offset 0) j; -- so that each number is cast once
  if v_beyond then
    return format('%s must have no number with an exponent beyond +-1000', name);
  elsif v_digits > 1048576 then
    return format('%s must be at most 1048576 bytes as text, got more', name);
  end if;
  v_text := octet_length(value::text);
  if v_text > 1048576 then
    return format('%s must be at most 1048576 bytes as text, got %s', name, v_text);
  end if;
  return null;
end
$$;

-- _line_problem says what is wrong with a line, or null.
create or replace function agentexec._line_problem(message text, percentage double precision, data jsonb)
  returns text
  language sql
  stable parallel safe
begin atomic
  select case
    when message is null then 'message must not be null'
    when octet_length(message) > 1048576
      then format('message must be at most 1048576 bytes, got %s', octet_length(message))
    when percentage < 0 or percentage > 100 then format('percentage must be between 0 and 100, got %s', percentage)
    when data is null then null
    when pg_column_size(jsonb_extract_path(data, variadic '{}')) <= 800 and octet_length(data::text) <= 1000 then null
    else agentexec._json_problem('data', data)
  end;
end;

-- _check_line refuses a message, percentage or data out of bounds with TA422. (NaN is above all numbers.)
create or replace function agentexec._check_line(message text, percentage double precision, data jsonb)
  returns void
  language plpgsql
  stable parallel safe
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_problem text := agentexec._line_problem(message, percentage, data);
begin
  if v_problem is not null then
    perform agentexec._raise_invalid(v_problem);
  end if;
end
$$;

-- _status_of reads a status in upper or lower case: the implicit casts from text and varchar (below). An untyped literal
-- or parameter is read by the type itself, in upper case only, with 22P02 for everything else.
--
-- Constants in every branch: a cast of text would call this function again.
create or replace function agentexec._status_of(status text)
  returns agentexec.status
  language plpgsql
  immutable strict parallel safe
  set search_path = pg_catalog, pg_temp
as $$
begin
  case upper(status collate "C")
    when 'QUEUED' then return 'QUEUED'::agentexec.status;
    when 'RUNNING' then return 'RUNNING'::agentexec.status;
    when 'COMPLETE' then return 'COMPLETE'::agentexec.status;
    when 'ERROR' then return 'ERROR'::agentexec.status;
    when 'CANCELED' then return 'CANCELED'::agentexec.status;
    else
      perform agentexec._raise_invalid(format('status must be one of QUEUED, RUNNING, COMPLETE, ERROR, CANCELED, got %s', to_json(left(status, 100))));
  end case;
end
$$;

do $$
declare
  v_type regtype;
begin
  foreach v_type in array '{text,varchar}'::regtype[] loop
    if not exists (select from pg_cast c where c.castsource = v_type and c.casttarget = 'agentexec.status'::regtype) then
      execute format('create cast (%s as agentexec.status) with function agentexec._status_of(text) as implicit', v_type);
    end if;
  end loop;
end
$$;

-- _filter_problem says what is wrong with a metadata filter that is not null, or null.
create or replace function agentexec._filter_problem(filter jsonb)
  returns text
  language sql
  immutable parallel safe
begin atomic
  select case jsonb_typeof(filter)
    when 'object' then null
    when 'array' then case
      when jsonb_array_length(filter) not between 1 and 16 or jsonb_path_exists(filter, 'strict $[*] ? (@.type() != "object")', '{}', true)
        then 'must be a JSON object, or an array of 1 to 16 objects' end
    else format('must be a JSON object, or an array of 1 to 16 objects, got %s', jsonb_typeof(filter))
  end;
end;

-- _matches_all reports whether a metadata filter matches every activity: {}, alone or as one of several alternatives.
create or replace function agentexec._matches_all(filter jsonb)
  returns boolean
  language sql
  immutable parallel safe
begin atomic
  select jsonb_path_exists(filter, '$[*] ? (!exists(@.*))'); -- of an object, [*] is itself
end;

-- _metadata_filter returns the filter, or null where it asks for nothing; TA422 unless it is an object, or an array of 1 to
-- 16 objects of which at least one must match.
create or replace function agentexec._metadata_filter(metadata_filter jsonb)
  returns jsonb
  language plpgsql
  immutable parallel safe
  set search_path = pg_catalog, pg_temp
as $$
begin
  if metadata_filter is null or metadata_filter = 'null' then
    return null;
  elsif agentexec._filter_problem(metadata_filter) is not null then
    perform agentexec._raise_invalid('metadata_filter ' || agentexec._filter_problem(metadata_filter));
  end if;
  return case when not agentexec._matches_all(metadata_filter) then metadata_filter end;
end
$$;

-- _matches is whether metadata holds an object, or at least one object of an array of up to 16. True, or else false or
-- null. Inlined, so that the condition reaches the index: an array does not lie in an object, and an object has no
-- elements by number, so one list of candidates serves both.
create or replace function agentexec._matches(metadata jsonb, filter jsonb)
  returns boolean
  language sql
  immutable parallel safe
begin atomic
  select metadata @> any (array[filter, filter -> 0, filter -> 1, filter -> 2, filter -> 3, filter -> 4, filter -> 5, filter -> 6, filter -> 7,
    filter -> 8, filter -> 9, filter -> 10, filter -> 11, filter -> 12, filter -> 13, filter -> 14, filter -> 15]);
end;

-- JSON -----------------------------------------------------------------------------------------------------------

-- _time is the one way a time is written in JSON: UTC, ISO 8601, whatever the session's time zone.
create or replace function agentexec._time(at timestamptz)
  returns text
  language sql
  stable parallel safe
begin atomic
  select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
end;

-- _log_json is the JSON of one line (ActivityLog).
create or replace function agentexec._log_json(line agentexec.activity_log)
  returns jsonb
  language sql
  stable parallel safe
begin atomic
  select jsonb_build_object(
    'id', line.id,
    'seq', line.seq,
    'message', line.message,
    'status', line.status,
    'percentage', line.percentage,
    'created_at', agentexec._time(line.created_at),
    'data', line.data,
    'attempt', line.attempt,
    'cancel_requested', line.cancel_requested);
end;

-- _is_stale returns whether an activity is stale: it is RUNNING, its worker made a promise (expect_every), and for longer than
-- that there was no heartbeat (beat_at) and no line (updated_at). While the server is down no heartbeat can arrive, so the time
-- counts from the start of the server at the earliest. The clock is that of the statement.
create or replace function agentexec._is_stale(status agentexec.status, updated_at timestamptz, beat_at timestamptz, expect_every interval)
  returns boolean
  language sql
  stable parallel safe
begin atomic
  select status = 'RUNNING' and expect_every is not null
     and greatest(beat_at, updated_at, pg_postmaster_start_time()) < statement_timestamp() - expect_every;
end;

-- _life_json returns what the database knows of the worker of an activity: the time of its last heartbeat or line, its promise
-- in seconds, and whether the activity is stale.
create or replace function agentexec._life_json(activity agentexec.activity)
  returns jsonb
  language sql
  stable parallel safe
begin atomic
  select jsonb_build_object(
    'last_seen_at', agentexec._time(greatest(activity.updated_at, h.beat_at)),
    'expect_every', extract(epoch from h.expect_every)::double precision,
    'stale', agentexec._is_stale(activity.status, activity.updated_at, h.beat_at, h.expect_every))
  from (select) one
  left join agentexec.activity_heartbeat h on h.activity_id = activity.id and activity.finished_at is null;
end;

-- _cancel_json returns the request to cancel an activity, from the columns of its row. It returns null where cancel_seq is null.
-- The message is cut at 500 characters.
create or replace function agentexec._cancel_json(activity_id uuid, cancel_seq int, force_at timestamptz, forced boolean)
  returns jsonb
  language sql
  stable parallel safe
begin atomic
  select case when cancel_seq is not null then (
    select jsonb_build_object(
      'seq', cancel_seq,
      'message', left(l.message, 500),
      'requested_by', l.data -> 'requested_by',
      'requested_at', agentexec._time(l.created_at),
      'force_at', agentexec._time(force_at),
      'forced', forced)
    from (select) one
    left join agentexec.activity_log l on l.activity_id = _cancel_json.activity_id and l.seq = _cancel_json.cancel_seq) end;
end;

-- _state_json is the part of an activity that its lines change. It travels with every batch of lines.
create or replace function agentexec._state_json(activity agentexec.activity)
  returns jsonb
  language sql
  stable parallel safe
begin atomic
  select jsonb_build_object(
    'status', activity.status,
    'latest_percentage', activity.latest_percentage,
    'started_at', agentexec._time(activity.started_at),
    'updated_at', agentexec._time(activity.updated_at),
    'finished_at', agentexec._time(activity.finished_at),
    'last_seq', activity.last_seq,
    'attempt', activity.attempt,
    'open_questions', activity.open_questions,
    'cancel', agentexec._cancel_json(activity.id, activity.cancel_seq, activity.cancel_force_at, activity.cancel_forced))
  || agentexec._life_json(activity);
end;

-- Scope ----------------------------------------------------------------------------------------------------------

-- _scope_of reads a scope: {"agent_ids": [...], "agent_types": [...], "metadata": {...}}, each key optional. metadata may
-- also be an array of 1 to 16 objects of which at least one must match. It returns what narrows, null for what does not; an
-- empty list narrows to nothing, empty metadata does not narrow. null and ''
-- are everything. Any other value raises TA422, so that a mistake shows nothing in place of everything.
--
-- Parallel unsafe, because it catches what is no JSON. Strict, so that null, the usual case, costs no call.
create or replace function agentexec._scope_of(scope text, out agent_ids uuid[], out agent_types text[], out metadata jsonb)
  language plpgsql
  stable strict
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_scope   jsonb;
  v_problem text;
begin
  if scope = '' then
    return;
  end if;
  begin
    v_scope := scope::jsonb;
    v_problem := case
      when jsonb_typeof(v_scope) <> 'object' then 'must be a JSON object'
      when (v_scope - '{agent_ids,agent_types,metadata}'::text[]) <> '{}'
        then 'has an unknown key; there are agent_ids, agent_types and metadata'
      when v_scope ? 'metadata' and agentexec._filter_problem(v_scope -> 'metadata') is not null
        then 'metadata ' || agentexec._filter_problem(v_scope -> 'metadata')
      when jsonb_typeof(v_scope -> 'agent_ids') <> 'array' or jsonb_path_exists(v_scope, 'strict $.agent_ids[*] ? (@.type() != "string")', '{}', true)
        then 'agent_ids must be an array of UUIDs'
      when jsonb_typeof(v_scope -> 'agent_types') <> 'array' or jsonb_path_exists(v_scope, 'strict $.agent_types[*] ? (@.type() != "string")', '{}', true)
        then 'agent_types must be an array of strings'
    end;
    if v_problem is null and v_scope ? 'agent_ids' then
      agent_ids := array(select e.id::uuid from jsonb_array_elements_text(v_scope -> 'agent_ids') e(id));
    end if;
  exception
    when data_exception or program_limit_exceeded then
      v_problem := sqlerrm;
  end;
  if v_problem is not null then
    perform agentexec._raise_invalid(format('agentexec.scope: %s', v_problem));
  end if;
  if v_scope ? 'agent_types' then
    agent_types := array(select e.type from jsonb_array_elements_text(v_scope -> 'agent_types') e(type));
  end if;
  if not agentexec._matches_all(v_scope -> 'metadata') then
    metadata := v_scope -> 'metadata';
  end if;
end
$$;

-- _scope is the scope of the session: its setting agentexec.scope, as set by SET, set_config, or ALTER ROLE ... SET.
create or replace function agentexec._scope(out agent_ids uuid[], out agent_types text[], out metadata jsonb)
  language sql
  stable
begin atomic
  select s.agent_ids, s.agent_types, s.metadata from agentexec._scope_of(nullif(current_setting('agentexec.scope', true), '')) s;
end;

-- _in_scope is the one predicate: whether an activity lies in a scope (the first three). True, or else false or null.
-- Inlined, so that conditions reach the indexes.
create or replace function agentexec._in_scope(
  agent_ids      uuid[],
  agent_types    text[],
  scope_metadata jsonb,
  agent_id       uuid,
  agent_type     text,
  metadata       jsonb
)
  returns boolean
  language sql
  immutable parallel safe
begin atomic
  select (agent_ids is null or agent_id = any (agent_ids))
     and (agent_types is null or agent_type = any (agent_types))
     and (scope_metadata is null or agentexec._matches(metadata, scope_metadata));
end;

-- _visible_id returns an agent_id if its activity lies in a scope, else null: the parent of an activity may lie outside.
create or replace function agentexec._visible_id(agent_id uuid, scope_agent_ids uuid[], scope_agent_types text[], scope_metadata jsonb)
  returns uuid
  language sql
  stable parallel safe
begin atomic
  select case when agent_id is null or num_nonnulls(scope_agent_ids, scope_agent_types, scope_metadata) = 0 then agent_id
    else (
      select a.agent_id from agentexec.activity a
      where a.agent_id = _visible_id.agent_id
        and agentexec._in_scope(scope_agent_ids, scope_agent_types, scope_metadata, a.agent_id, a.agent_type, a.metadata)) end;
end;

-- _counts_json is the "children" of an activity. done is the sum of the percentages of the unfinished ones.
create or replace function agentexec._counts_json(queued bigint, running bigint, complete bigint, error bigint, canceled bigint, done bigint)
  returns jsonb
  language sql
  stable parallel safe
begin atomic
  select jsonb_build_object('total', queued + running + complete + error + canceled, 'queued', queued, 'running', running,
    'complete', complete, 'error', error, 'canceled', canceled,
    'percentage', (done + 100 * (complete + error + canceled)) / (queued + running + complete + error + canceled));
end;

-- _children_json returns, for those of the activities that have direct children in a scope, their number by status and their mean
-- percentage, as an object by agent_id: a finished child counts 100. One call and one plan serve all activities of a page, because
-- a call takes longer than most of the counts. The entries of one parent and status lie in the index in the order of their rows in the
-- table, so a bitmap would sort what is sorted: without it a page of many children takes a tenth less.
create or replace function agentexec._children_json(agent_ids uuid[], scope_agent_ids uuid[], scope_agent_types text[], scope_metadata jsonb)
  returns jsonb
  language plpgsql
  stable parallel safe
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_bitmapscan = off
as $$
declare
  v_parents uuid[] := array(select p.id from unnest(agent_ids) p(id)
                            where exists (select from agentexec.activity c where c.parent_agent_id = p.id offset 0));
begin
  if num_nonnulls(scope_agent_ids, scope_agent_types, scope_metadata) = 0 then
    -- Finished children are counted in the index alone; of the others the rows are read, for their percentage.
    return (
      select jsonb_object_agg(p.id, agentexec._counts_json(q.n, r.n, c.n, e.n, x.n, coalesce(q.done, 0) + coalesce(r.done, 0)))
      from unnest(v_parents) p(id)
      cross join lateral (select count(*) as n, sum(a.latest_percentage) as done
                          from agentexec.activity a where a.parent_agent_id = p.id and a.status = 'QUEUED') q
      cross join lateral (select count(*) as n, sum(a.latest_percentage) as done
                          from agentexec.activity a where a.parent_agent_id = p.id and a.status = 'RUNNING') r
      cross join lateral (select count(*) as n from agentexec.activity a where a.parent_agent_id = p.id and a.status = 'COMPLETE') c
      cross join lateral (select count(*) as n from agentexec.activity a where a.parent_agent_id = p.id and a.status = 'ERROR') e
      cross join lateral (select count(*) as n from agentexec.activity a where a.parent_agent_id = p.id and a.status = 'CANCELED') x);
  end if;
  return (
    select jsonb_object_agg(p.id, agentexec._counts_json(k.queued, k.running, k.complete, k.error, k.canceled, k.done))
    from unnest(v_parents) p(id)
    cross join lateral (
      select count(*) as n, count(*) filter (where a.status = 'QUEUED') as queued, count(*) filter (where a.status = 'RUNNING') as running,
             count(*) filter (where a.status = 'COMPLETE') as complete, count(*) filter (where a.status = 'ERROR') as error,
             count(*) filter (where a.status = 'CANCELED') as canceled,
             coalesce(sum(a.latest_percentage) filter (where a.finished_at is null), 0) as done
      from agentexec.activity a
      where a.parent_agent_id = p.id
        and agentexec._in_scope(scope_agent_ids, scope_agent_types, scope_metadata, a.agent_id, a.agent_type, a.metadata)) k
    where k.n > 0);
end
$$;

-- _activity_json is what ActivityListItem and ActivityDetail share; metadata only if asked for.
create or replace function agentexec._activity_json(activity agentexec.activity, include_metadata boolean)
  returns jsonb
  language sql
  stable parallel safe
begin atomic
  select jsonb_build_object(
    'agent_id', activity.agent_id,
    'agent_type', activity.agent_type,
    'status', activity.status,
    'latest_percentage', activity.latest_percentage,
    'last_seq', activity.last_seq,
    'attempt', activity.attempt,
    'parent_agent_id', agentexec._visible_id(activity.parent_agent_id, scope.agent_ids, scope.agent_types, scope.metadata),
    'root_agent_id', agentexec._visible_id(activity.root_agent_id, scope.agent_ids, scope.agent_types, scope.metadata),
    'children', agentexec._children_json(array[activity.agent_id], scope.agent_ids, scope.agent_types, scope.metadata) -> activity.agent_id::text,
    'open_questions', activity.open_questions,
    'created_at', agentexec._time(activity.created_at),
    'started_at', agentexec._time(activity.started_at),
    'updated_at', agentexec._time(activity.updated_at),
    'finished_at', agentexec._time(activity.finished_at),
    'cancel', agentexec._cancel_json(activity.id, activity.cancel_seq, activity.cancel_force_at, activity.cancel_forced))
  || agentexec._life_json(activity)
  || case when include_metadata then jsonb_build_object('metadata', activity.metadata) else '{}' end
  from agentexec._scope() scope;
end;

-- _scope_condition is the condition that a scope adds to a query of activities (a), '' where the scope is everything. Its values are
-- three parameters of the query; first is the number of the first one.
create or replace function agentexec._scope_condition(agent_ids uuid[], agent_types text[], metadata jsonb, first int)
  returns text
  language sql
  immutable parallel safe
begin atomic
  select case when num_nonnulls(agent_ids, agent_types, metadata) = 0 then ''
    else format(' and agentexec._in_scope($%s, $%s, $%s, a.agent_id, a.agent_type, a.metadata)', first, first + 1, first + 2) end;
end;

-- _roots_condition is the condition for the roots of a scope, whose parameters have these numbers: the activities without a parent, or
-- whose parent lies outside of the scope.
create or replace function agentexec._roots_condition(scope record, agent_ids int, agent_types int, metadata int)
  returns text
  language plpgsql
  immutable parallel safe
  set search_path = pg_catalog, pg_temp
as $$
begin
  return case when num_nonnulls(scope.agent_ids, scope.agent_types, scope.metadata) = 0 then ' and a.parent_agent_id is null'
    else format(' and (a.parent_agent_id is null or agentexec._visible_id(a.parent_agent_id, $%s, $%s, $%s) is null)', agent_ids, agent_types, metadata) end;
end
$$;

-- _lock_in_scope locks an activity for a write, if it lies in the session's scope.
--
-- Locks:  the activity row, until the transaction ends, so that the write goes to the row that was checked.
-- Errors: TA404 no such activity, or it is outside the scope.
create or replace function agentexec._lock_in_scope(agent_id uuid)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_scope record := agentexec._scope();
begin
  perform from agentexec.activity a
  where a.agent_id = _lock_in_scope.agent_id
    and agentexec._in_scope(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, a.agent_id, a.agent_type, a.metadata)
  for no key update;
  if not found then
    raise exception using errcode = 'TA404', message = format('no activity with agent_id %s', coalesce(agent_id::text, 'null'));
  end if;
end
$$;

-- Writing --------------------------------------------------------------------------------------------------------

-- _send_wakeup notifies waiting readers that lines were written. Every writing function ends with it (append_log contains
-- the same probe), and so does the numbering of a direct INSERT. The notification has no payload: a reader that receives it
-- reads the table from its own position, so a lost notification costs latency, never data. The channel is the schema's name.
--
-- When the notification queue is full, every commit with a notification fails. So no wake-up is sent while more than half
-- of the queue is in use: readers then find the lines by their timers.
--
-- A transaction with a pending notification takes one lock of the whole instance at its commit, until its WAL is flushed.
-- With a notification in every transaction, commits would queue up, so a wake-up is sent only when a reader waits. A reader
-- that waits holds the wake-up lock, an advisory lock, exclusively. The probe takes the lock in shared mode: when it fails, a
-- reader waits; when it succeeds, no reader waits and nothing is sent. The lock ends with its session, so a crashed reader
-- leaves nothing behind.
-- The probe is shared because exclusive probes would collide with each other. The probe comes after the write because a
-- reader that begins to wait looks for the lines of transactions that already have an id and sent no wake-up.
--
-- The writers call it, not a statement trigger, which would cost each append five times the probe.
-- No SET search_path: it would cost more than all the rest, and every name here is qualified.
create or replace function agentexec._send_wakeup()
  returns void
  language plpgsql
  volatile
as $$
begin
  if not (pg_catalog.pg_try_advisory_lock_shared(1635271269, 'agentexec.activity_log'::pg_catalog.regclass::pg_catalog.oid::pg_catalog.int4)
          and pg_catalog.pg_advisory_unlock_shared(1635271269, 'agentexec.activity_log'::pg_catalog.regclass::pg_catalog.oid::pg_catalog.int4)) then
    perform pg_catalog.pg_notify(n.nspname, '')
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
    where c.oid operator(pg_catalog.=) 'agentexec.activity_log'::pg_catalog.regclass
      and pg_catalog.pg_notification_queue_usage() operator(pg_catalog.<=) 0.5;
  end if;
end
$$;

-- _lock_parent locks the root of the tree that a new child joins, in the session's scope, and returns the parent. The lock keeps
-- a prune of the tree away until the transaction ends, and makes no writer of a line wait.
--
-- Errors: TA404 no such parent, or it is outside the scope; TA422 the parent is at the greatest depth.
create or replace function agentexec._lock_parent(parent_agent_id uuid)
  returns agentexec.activity
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_scope  record := agentexec._scope();
  v_root   uuid;
  v_parent agentexec.activity;
begin
  v_root := (
    select coalesce(a.root_agent_id, a.agent_id) from agentexec.activity a
    where a.agent_id = _lock_parent.parent_agent_id
      and agentexec._in_scope(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, a.agent_id, a.agent_type, a.metadata));
  perform from agentexec.activity a where a.agent_id = v_root for key share;
  -- A statement of its own, so that it sees what the lock waited for.
  select a.* into v_parent
  from agentexec.activity a
  where a.agent_id = _lock_parent.parent_agent_id
    and agentexec._in_scope(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, a.agent_id, a.agent_type, a.metadata);
  if not found then
    raise exception using errcode = 'TA404', message = format('no activity with agent_id %s to be the parent', parent_agent_id);
  elsif v_parent.depth >= 32 then
    perform agentexec._raise_invalid(format('activity %s is at depth %s, and a tree is at most 32 deep', parent_agent_id, v_parent.depth));
  end if;
  return v_parent;
end
$$;

-- create_activity registers an activity and writes its line 1: QUEUED, percentage 0, the message. Returns its
-- agent_id. A taken agent_id fails with 23505 and changes nothing. metadata (a JSON object) is set here and only here. A child
-- without metadata gets that of its parent, so scopes by metadata hold for a whole tree.
--
-- Errors: TA404 no such parent, or it is outside the scope; TA422 task_name not of 1 to 255 characters, bad message, metadata that
--         is no object or out of its bounds (_json_problem), or the tree would be more than 32 deep; 42501 it would be outside the
--         scope (where that lists agent_ids, one of them must be given); 23505 the agent_id is taken (activity_agent_id_key).
create or replace function agentexec.create_activity(
  task_name       text,
  message         text  default 'Agent queued',
  agent_id        uuid  default null,
  metadata        jsonb default null,
  parent_agent_id uuid  default null
)
  returns uuid
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_metadata jsonb  := nullif(create_activity.metadata, 'null');
  v_problem  text;
  v_scope    record := agentexec._scope();
  v_parent   agentexec.activity;
  v_activity agentexec.activity;
begin
  if task_name is null or char_length(task_name) not between 1 and 255 then
    perform agentexec._raise_invalid(format('task_name (agent_type) must be 1 to 255 characters, got %s',
      coalesce(char_length(task_name)::text, 'null')));
  end if;
  if jsonb_typeof(v_metadata) <> 'object' then
    perform agentexec._raise_invalid(format('metadata must be a JSON object, got %s', jsonb_typeof(v_metadata)));
  end if;
  perform agentexec._check_line(message, 0::double precision, null::jsonb);
  if v_metadata is not null then
    v_problem := agentexec._json_problem('metadata', v_metadata);
    if v_problem is not null then
      perform agentexec._raise_invalid(v_problem);
    end if;
  end if;
  if parent_agent_id is not null then
    v_parent := agentexec._lock_parent(parent_agent_id);
    v_metadata := coalesce(v_metadata, v_parent.metadata);
  end if;
  if agentexec._in_scope(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, agent_id, task_name, v_metadata) is not true then
    raise exception using errcode = 'insufficient_privilege', message = 'the activity would be outside agentexec.scope';
  end if;

  insert into agentexec.activity as a (agent_id, agent_type, latest_percentage, last_seq, metadata, created_at, updated_at,
                                       parent_agent_id, root_agent_id, depth)
  select coalesce(create_activity.agent_id, gen_random_uuid()), task_name, 0, 1, v_metadata, c.now, c.now,
         v_parent.agent_id, coalesce(v_parent.root_agent_id, v_parent.agent_id), coalesce(v_parent.depth + 1, 0)
  from (select clock_timestamp() as now) c
  returning a.* into v_activity;

  insert into agentexec.activity_log (id, activity_id, seq, message, status, percentage, created_at)
  values (nextval('agentexec.activity_log_id_seq'), v_activity.id, 1, message, 'QUEUED', 0, v_activity.created_at);
  perform agentexec._send_wakeup();
  return v_activity.agent_id;
end
$$;

-- _may_become is the state machine's one rule: whether a status may follow another one.
create or replace function agentexec._may_become(status agentexec.status, next agentexec.status)
  returns boolean
  language sql
  immutable parallel safe
begin atomic
  select case status when 'COMPLETE' then false when 'CANCELED' then false when 'ERROR' then next in ('QUEUED', 'RUNNING', 'CANCELED') else true end
         or next = status;
end;

-- _raise_seq_exhausted raises TA422 for an activity whose last seq is the highest possible one.
create or replace function agentexec._raise_seq_exhausted(agent_id uuid)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
begin
  perform agentexec._raise_invalid(format('activity %s has reached the highest seq, 2147483647, and takes no more lines', agent_id));
end
$$;

-- _no_retry returns the error message for a retry after a request to cancel.
create or replace function agentexec._no_retry(agent_id uuid, status agentexec.status)
  returns text
  language sql
  immutable parallel safe
begin atomic
  select format('activity %s is ERROR and cannot become %s: cancel requested', agent_id, status);
end;

-- _transition applies the state machine: it takes the next seq of an activity, with the status and percentage of a line
-- (null keeps the current one), and returns the row as it is afterwards. Its updated_at is the line's time:
-- the wall clock read under the lock, never behind the line before.
--
-- Locks:  the activity row, until the transaction ends.
-- Errors: TA404 no such activity; TA409 the status may not follow the current one, or it is a retry after a request to cancel;
--         TA422 it is at the highest seq.
create or replace function agentexec._transition(agent_id uuid, percentage int, status agentexec.status)
  returns agentexec.activity
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_now      agentexec.activity;
  v_at       timestamptz;
  v_run_over boolean := false; -- the promise of the run ends with it
begin
  select a.* into v_now from agentexec.activity a where a.agent_id = _transition.agent_id for no key update;
  if not found then
    raise exception using errcode = 'TA404', message = format('no activity with agent_id %s', coalesce(agent_id::text, 'null'));
  end if;
  if v_now.last_seq = 2147483647 then
    perform agentexec._raise_seq_exhausted(agent_id);
  end if;
  v_at := greatest(clock_timestamp(), v_now.updated_at);

  if v_now.finished_at is null or status <> v_now.status then
    v_now.latest_percentage := coalesce(percentage, v_now.latest_percentage); -- a trailing line leaves it
  end if;
  if status <> v_now.status then
    if not agentexec._may_become(v_now.status, status) then
      raise exception using
        errcode = 'TA409',
        message = format('activity %s is %s and cannot become %s', agent_id, v_now.status, status);
    end if;
    if v_now.status = 'ERROR' and status <> 'CANCELED' then
      if v_now.cancel_seq is not null then
        raise exception using errcode = 'TA409', message = agentexec._no_retry(agent_id, status);
      end if;
      v_now.attempt := v_now.attempt + 1;
      v_run_over := true;
    end if;
    v_run_over := v_run_over or status <> 'RUNNING';
    v_now.status := status;
    v_now.started_at := case status when 'RUNNING' then coalesce(v_now.started_at, v_at) else v_now.started_at end;
    v_now.finished_at := case when status in ('COMPLETE', 'ERROR', 'CANCELED') then v_at end;
  end if;

  update agentexec.activity a
  set last_seq          = a.last_seq + 1,
      latest_percentage = v_now.latest_percentage,
      updated_at        = v_at,
      status            = v_now.status,
      attempt           = v_now.attempt,
      started_at        = v_now.started_at,
      finished_at       = v_now.finished_at
  where a.id = v_now.id
  returning a.* into v_now;
  if v_run_over then
    delete from agentexec.activity_heartbeat h where h.activity_id = v_now.id;
  end if;
  return v_now;
end
$$;

-- append_log adds one line to an activity's log and returns it, so a worker sees the current status with every call.
-- A null status keeps the current one, a null percentage leaves latest_percentage as it was. A percentage is rounded down.
-- Call it as select ... from agentexec.append_log(...): (agentexec.append_log(...)).* would call it once for each column.
--
-- cancel_requested in the answer tells the worker to end the activity. With at_seq, the line is written only as line at_seq. If
-- that line exists already with the same message, percentage and data (and status, where one is given), it is returned and
-- nothing is written. So a call whose answer was lost can be repeated, and a worker that was replaced is refused.
--
-- This is the one hot function, so it does without SET search_path, which would cost a twentieth of all it does: every
-- name and operator is qualified instead, and means the same on any search_path.
--
-- Locks:  the activity row, before any log row (the same order in every function of this file).
-- Errors: TA404 no such activity; TA409 the state machine refuses, or line at_seq is a different line or is not the next one;
--         TA422 bad argument, or the activity is at the highest seq.
create or replace function agentexec.append_log(
  agent_id   uuid,
  message    text,
  percentage double precision default null,
  status     agentexec.status default null,
  data       jsonb            default null,
  at_seq     int              default null
)
  returns agentexec.activity_log
  language plpgsql
  volatile
  security definer
as $$
declare
  v_line agentexec.activity_log;
begin
  -- One condition, because each costs about a hundredth of all the rest. Small data is looked at as in _line_problem.
  if message is null or pg_catalog.octet_length(message) operator(pg_catalog.>) 1048576
     or percentage operator(pg_catalog.<) 0 or percentage operator(pg_catalog.>) 100
     or pg_catalog.pg_column_size(pg_catalog.jsonb_extract_path(data, variadic '{}')) operator(pg_catalog.>) 800
     or pg_catalog.octet_length(data::pg_catalog.text) operator(pg_catalog.>) 1000
     or pg_catalog.current_setting('agentexec.scope', true) operator(pg_catalog.<>) '' then
    perform agentexec._check_line(message, percentage, data);
    perform agentexec._lock_in_scope(agent_id);
  end if;

  -- The common line changes no status: one short update of columns that no index knows, and the insert, in one
  -- statement (two would cost a quarter more). The update returns the whole line, every column in the table's order, so
  -- that nothing between it and the insert has to rearrange it. When it had to wait for the row, Postgres evaluates the
  -- update again on the new version, clock included. txid_current() is pg_current_xact_id() as a bigint, without a cast.
  with moved as (
    update agentexec.activity a
    set last_seq          = a.last_seq operator(pg_catalog.+) 1,
        latest_percentage = case when a.finished_at is null then coalesce(pg_catalog.floor(append_log.percentage)::pg_catalog.int4, a.latest_percentage)
                                 else a.latest_percentage end,
        updated_at        = greatest(pg_catalog.clock_timestamp(), a.updated_at)
    where a.agent_id operator(pg_catalog.=) append_log.agent_id
      and a.status operator(pg_catalog.=) coalesce(append_log.status, a.status)
      and a.last_seq operator(pg_catalog.<) 2147483647
      and a.last_seq operator(pg_catalog.=) coalesce(append_log.at_seq operator(pg_catalog.-) 1::pg_catalog.int8, a.last_seq)
    returning pg_catalog.nextval('agentexec.activity_log_id_seq') as id, a.id as activity_id, a.last_seq as seq, append_log.message,
              a.status, pg_catalog.floor(append_log.percentage)::pg_catalog.int4 as percentage, append_log.data, a.updated_at as created_at,
              pg_catalog.txid_current() as xid, a.attempt, a.cancel_seq is not null as cancel_requested
  )
  insert into agentexec.activity_log as l (id, activity_id, seq, message, status, percentage, data, created_at, xid, attempt, cancel_requested)
  select m.id, m.activity_id, m.seq, m.message, m.status, m.percentage, m.data, m.created_at, m.xid, m.attempt, m.cancel_requested
  from moved m
  returning l.* into v_line;
  if not found then
    return agentexec._append_change(agent_id, message, pg_catalog.floor(percentage)::pg_catalog.int4, status, data, at_seq);
  end if;

  -- Both rare cases are one expression, because each expression is prepared anew in every transaction.
  -- The update may have waited for a row that the other transaction then left unchanged: nothing was evaluated again, and
  -- the clock was read before the wait. And a reader may wait for a wake-up: the probe is that of _send_wakeup.
  if pg_catalog.clock_timestamp() operator(pg_catalog.>) (v_line.created_at operator(pg_catalog.+) '10 ms'::pg_catalog.interval)
     or not (pg_catalog.pg_try_advisory_lock_shared(1635271269, 'agentexec.activity_log'::pg_catalog.regclass::pg_catalog.oid::pg_catalog.int4)
         and pg_catalog.pg_advisory_unlock_shared(1635271269, 'agentexec.activity_log'::pg_catalog.regclass::pg_catalog.oid::pg_catalog.int4)) then
    return agentexec._finish_append(v_line);
  end if;
  return v_line;
end
$$;

-- _line_again returns line at_seq of an activity to a repeated call, if that line has this message, percentage, data and status
-- (null allows any). It returns null where at_seq is the next line, which is not written yet. cancel_requested of the line
-- returned is true if a cancel is requested now.
--
-- Locks:  the activity row, until the transaction ends.
-- Errors: TA404 no such activity; TA409 line at_seq is a different line, or is not the next one; TA422 at_seq below 1.
create or replace function agentexec._line_again(
  agent_id   uuid,
  message    text,
  percentage int,
  status     agentexec.status,
  data       jsonb,
  at_seq     int
)
  returns agentexec.activity_log
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_activity agentexec.activity;
  v_line     agentexec.activity_log;
begin
  if at_seq < 1 then
    perform agentexec._raise_invalid(format('at_seq must be at least 1, got %s', at_seq));
  end if;
  select a.* into v_activity from agentexec.activity a where a.agent_id = _line_again.agent_id for no key update;
  if not found then
    raise exception using errcode = 'TA404', message = format('no activity with agent_id %s', coalesce(agent_id::text, 'null'));
  elsif at_seq - 1 = v_activity.last_seq then
    return null;
  end if;
  select l.* into v_line
  from agentexec.activity_log l
  where l.activity_id = v_activity.id and l.seq = at_seq
    and l.message = _line_again.message
    and l.percentage is not distinct from _line_again.percentage
    and l.data is not distinct from _line_again.data
    and (_line_again.status is null or l.status = _line_again.status);
  if not found then
    raise exception using errcode = 'TA409', message = agentexec._wrong_seq(agent_id, at_seq, v_activity.last_seq);
  end if;
  v_line.cancel_requested := v_activity.cancel_seq is not null;
  return v_line;
end
$$;

-- _wrong_seq returns the error message for a line whose at_seq is refused.
create or replace function agentexec._wrong_seq(agent_id uuid, at_seq int, last_seq int)
  returns text
  language sql
  immutable parallel safe
begin atomic
  select format(case when at_seq > last_seq then 'activity %s is at last_seq %s, so the next line is not at_seq %s'
                     else 'activity %s is at last_seq %s, and its line %s is not this one' end, agent_id, last_seq, at_seq);
end;

-- _append_change is append_log for a line that changes the status, that is repeated (at_seq), or that is refused.
create or replace function agentexec._append_change(
  agent_id   uuid,
  message    text,
  percentage int,
  status     agentexec.status,
  data       jsonb,
  at_seq     int default null
)
  returns agentexec.activity_log
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_activity agentexec.activity;
  v_line     agentexec.activity_log;
begin
  if at_seq is not null then
    v_line := agentexec._line_again(agent_id, message, percentage, status, data, at_seq);
    if v_line.id is not null then
      return v_line;
    end if;
  end if;
  v_activity := agentexec._transition(agent_id, percentage, status);
  insert into agentexec.activity_log as l (id, activity_id, seq, message, status, percentage, data, created_at, attempt, cancel_requested)
  values (nextval('agentexec.activity_log_id_seq'), v_activity.id, v_activity.last_seq, _append_change.message,
          v_activity.status, _append_change.percentage, _append_change.data, v_activity.updated_at, v_activity.attempt,
          v_activity.cancel_seq is not null)
  returning l.* into v_line;
  perform agentexec._send_wakeup();
  return v_line;
end
$$;

-- _finish_append handles the rare cases after an append: it sets the time of the line and its activity again where a lock
-- wait made it stale, and sends a wake-up. The caller holds the activity's lock.
create or replace function agentexec._finish_append(line agentexec.activity_log)
  returns agentexec.activity_log
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
begin
  if clock_timestamp() > line.created_at + interval '10 ms' then
    update agentexec.activity a
    set updated_at = greatest(clock_timestamp(), a.updated_at)
    where a.id = line.activity_id
    returning a.updated_at into line.created_at;
    update agentexec.activity_log l set created_at = line.created_at where l.id = line.id;
  end if;
  perform agentexec._send_wakeup();
  return line;
end
$$;

-- complete writes the line that ends an activity well. The two calls that follow give each argument and its type, because two
-- functions append_log exist during an upgrade.
-- Errors: as append_log; TA409 when it already ended as ERROR or CANCELED.
create or replace function agentexec.complete(
  agent_id   uuid,
  message    text  default 'Agent completed',
  percentage double precision default 100,
  data       jsonb default null
)
  returns agentexec.activity_log
  language sql
  volatile
  security definer
begin atomic
  select l.* from agentexec.append_log(agent_id, message, percentage, 'COMPLETE'::agentexec.status, data, null::int) l;
end;

-- error writes the line that ends an activity, or one attempt of it, badly.
-- Errors: as append_log; TA409 when it already ended as COMPLETE or CANCELED.
create or replace function agentexec.error(
  agent_id uuid,
  message  text  default 'Agent failed',
  data     jsonb default null
)
  returns agentexec.activity_log
  language sql
  volatile
  security definer
begin atomic
  select l.* from agentexec.append_log(agent_id, message, null::double precision, 'ERROR'::agentexec.status, data, null::int) l;
end;

-- _entry_problem says which field of an entry of append_logs cannot be read, or null. The fields have the right JSON types.
-- Each try is a subtransaction, so it is asked only after reading all entries at once has failed.
create or replace function agentexec._entry_problem(entry jsonb)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
begin
  begin
    perform (entry ->> 'agent_id')::uuid;
  exception when data_exception then
    return format('.agent_id must be a UUID, got %s', left((entry -> 'agent_id')::text, 100));
  end;
  begin
    perform (entry ->> 'percentage')::double precision;
  exception when data_exception then
    return format('.percentage must be between 0 and 100, got %s', left((entry -> 'percentage')::text, 100));
  end;
  begin
    perform agentexec._status_of(entry ->> 'status');
  exception when sqlstate 'TA422' then
    return format('.status must be one of %s, got %s', array_to_string(enum_range(null::agentexec.status), ', '),
      left((entry -> 'status')::text, 100));
  end;
  begin
    perform (entry ->> 'at_seq')::int;
  exception when data_exception then
    return format('.at_seq must be between 1 and 2147483647, got %s', left((entry -> 'at_seq')::text, 100));
  end;
  return null;
end
$$;

-- append_logs writes many lines of any activities at once, all or none, in the order given. entries is [{"agent_id", "message",
-- "percentage"?, "status"?, "data"?, "at_seq"?}, ...]. It returns one row per activity, in the order of first appearance, with
-- the state that the activity has now. One update per activity and one insert in all: a row updated k times in one transaction
-- costs O(k^2).
--
-- at_seq is as in append_log: an entry that is stored already as that line is left out, so a call can be repeated.
--
-- Locks:  the activity rows, by id; then log rows.
-- Errors: those of append_log, naming the entry (entries[0] is the first).
create or replace function agentexec.append_logs(entries jsonb)
  returns setof agentexec.append_result
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_agents      uuid[];
  v_messages    text[];
  v_percentages double precision[];
  v_statuses    agentexec.status[];
  v_datas       jsonb[];
  v_seqs        int[];
  v_ords        int[]; -- the number of each line's entry, where some were left out
  v_all         uuid[];
  v_scope       record := agentexec._scope();
  v_wrong       boolean;
  v_problem     text;
  v_count       int;
  v_last_seq    int;
  v_full        uuid;
begin
  if entries is null or jsonb_typeof(entries) <> 'array' then
    perform agentexec._raise_invalid('entries must be a JSON array');
  end if;
  -- The types first: what comes below makes text of the fields, and a few bytes of another type can print many MB.
  select format('entries[%s]%s', e.ord - 1, case
      when jsonb_typeof(e.entry) <> 'object' then ' must be a JSON object'
      when jsonb_typeof(e.entry -> 'agent_id') not in ('string', 'null')
        then format('.agent_id must be a UUID, got %s', jsonb_typeof(e.entry -> 'agent_id'))
      when jsonb_typeof(e.entry -> 'message') not in ('string', 'null')
        then format('.message must be a string, got %s', jsonb_typeof(e.entry -> 'message'))
      when jsonb_typeof(e.entry -> 'percentage') not in ('number', 'string', 'null')
        then format('.percentage must be between 0 and 100, got %s', jsonb_typeof(e.entry -> 'percentage'))
      when jsonb_typeof(e.entry -> 'status') not in ('string', 'null')
        then format('.status must be one of %s, got %s', array_to_string(enum_range(null::agentexec.status), ', '), jsonb_typeof(e.entry -> 'status'))
      when jsonb_typeof(e.entry -> 'at_seq') not in ('number', 'string', 'null')
        then format('.at_seq must be between 1 and 2147483647, got %s', jsonb_typeof(e.entry -> 'at_seq'))
      else format(' has an unknown field %s', (select left(to_jsonb(k.key)::text, 100) from jsonb_object_keys(e.entry) k(key)
             where k.key not in ('agent_id', 'message', 'percentage', 'status', 'data', 'at_seq') limit 1)) end)
  into v_problem
  from jsonb_array_elements(entries) with ordinality e(entry, ord)
  where case when jsonb_typeof(e.entry) <> 'object' then true
        else jsonb_typeof(e.entry -> 'agent_id') not in ('string', 'null')
          or jsonb_typeof(e.entry -> 'message') not in ('string', 'null')
          or jsonb_typeof(e.entry -> 'percentage') not in ('number', 'string', 'null')
          or jsonb_typeof(e.entry -> 'status') not in ('string', 'null')
          or jsonb_typeof(e.entry -> 'at_seq') not in ('number', 'string', 'null')
          or (e.entry - '{agent_id,message,percentage,status,data,at_seq}'::text[]) <> '{}' end
  order by e.ord
  limit 1;
  if v_problem is not null then
    perform agentexec._raise_invalid(v_problem);
  end if;

  begin
    -- A function's rows come in its order, and aggregates of all rows keep it; six sorts by it would cost as much again.
    select array_agg(r.agent_id), array_agg(r.message), array_agg(r.percentage), array_agg(agentexec._status_of(r.status)), array_agg(r.data),
           array_agg(r.at_seq) filter (where r.at_seq is not null),
           bool_or(r.agent_id is null or r.at_seq < 1 or agentexec._line_problem(r.message, r.percentage, r.data) is not null)
    into v_agents, v_messages, v_percentages, v_statuses, v_datas, v_seqs, v_wrong
    from jsonb_to_recordset(entries) as r(agent_id uuid, message text, percentage double precision, status text, data jsonb, at_seq int);
    if v_seqs is not null then
      v_seqs := array(select (e.entry ->> 'at_seq')::int from jsonb_array_elements(entries) with ordinality e(entry, ord) order by e.ord);
    end if;
  exception
    when data_exception or sqlstate 'TA422' then
      v_problem := (
        select format('entries[%s]%s', e.ord - 1, p.problem)
        from jsonb_array_elements(entries) with ordinality e(entry, ord)
        cross join agentexec._entry_problem(e.entry) p(problem)
        where p.problem is not null
        order by e.ord limit 1);
      perform agentexec._raise_invalid(coalesce(v_problem, format('entries: %s', sqlerrm)));
  end;

  if v_wrong then
    perform agentexec._raise_invalid((
      select format('entries[%s].%s', l.ord - 1, p.problem)
      from unnest(v_agents, v_messages, v_percentages, v_datas, v_seqs) with ordinality l(agent_id, message, percentage, data, at_seq, ord)
      cross join lateral (
        select case when l.agent_id is null then 'agent_id must not be null'
                    when l.at_seq < 1 then format('at_seq must be between 1 and 2147483647, got %s', l.at_seq)
                    else agentexec._line_problem(l.message, l.percentage, l.data) end as problem
      ) p
      where p.problem is not null
      order by l.ord
      limit 1));
  end if;

  -- Lock first, in a statement of its own, so that the next one sees what it waited for. While it waited, an activity that it
  -- did not see may have been created: then it locks again.
  loop
    select count(*), max(locked.last_seq) into v_count, v_last_seq
    from (
      select a.last_seq from agentexec.activity a
      where a.agent_id = any (v_agents)
        and agentexec._in_scope(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, a.agent_id, a.agent_type, a.metadata)
      order by a.id
      for no key update
    ) locked;
    exit when v_count = (select count(distinct l.agent_id) from unnest(v_agents) l(agent_id));
    v_problem := (
      select format('entries[%s]: no activity with agent_id %s', l.ord - 1, l.agent_id)
      from unnest(v_agents) with ordinality l(agent_id, ord)
      where not exists (
        select from agentexec.activity a
        where a.agent_id = l.agent_id
          and agentexec._in_scope(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, a.agent_id, a.agent_type, a.metadata))
      order by l.ord limit 1);
    if v_problem is not null then
      raise exception using errcode = 'TA404', message = v_problem;
    end if;
  end loop;

  v_all := v_agents;
  if v_seqs is not null then
    select n.agents, n.messages, n.percentages, n.statuses, n.datas, n.ords
    into v_agents, v_messages, v_percentages, v_statuses, v_datas, v_ords
    from agentexec._new_entries(v_agents, v_messages, v_percentages, v_statuses, v_datas, v_seqs) n;
  end if;

  if v_last_seq > 2147483647 - cardinality(v_agents) then
    select a.agent_id into v_full
    from unnest(v_agents) l(agent_id) join agentexec.activity a on a.agent_id = l.agent_id
    group by a.agent_id, a.last_seq
    having a.last_seq > 2147483647 - count(*)
    limit 1;
    if found then
      perform agentexec._raise_seq_exhausted(v_full);
    end if;
  end if;

  if agentexec._append_lines(v_agents, v_messages, v_percentages, v_statuses, v_datas, v_ords) > 0 then
    perform agentexec._send_wakeup();
  end if;
  return query
    select a.agent_id, a.last_seq, a.status, a.attempt, a.cancel_seq is not null
    from (select l.agent_id, min(l.ord) as ord from unnest(v_all) with ordinality l(agent_id, ord) group by l.agent_id) l
    join agentexec.activity a on a.agent_id = l.agent_id
    order by l.ord;
end
$$;

-- _new_entries removes the entries of append_logs that are stored already as their line at_seq, and returns the numbers of the
-- others, from 1. An entry without at_seq stays. The caller has locked the activities.
--
-- Errors: TA409 a line at_seq is a different line, or is not the next one after the entries before it.
create or replace function agentexec._new_entries(
  inout agents      uuid[],
  inout messages    text[],
  inout percentages double precision[],
  inout statuses    agentexec.status[],
  inout datas       jsonb[],
  seqs              int[],
  out ords          int[]
)
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_problem text;
begin
  with entry as materialized (
    select e.*, a.id, a.last_seq, coalesce(e.at_seq <= a.last_seq, false) as exists_already,
           a.last_seq + count(*) filter (where e.at_seq is null or e.at_seq > a.last_seq) over (partition by a.id order by e.ord) as next
    from unnest(agents, messages, percentages, statuses, datas, seqs)
      with ordinality e(agent_id, message, percentage, status, data, at_seq, ord)
    join agentexec.activity a on a.agent_id = e.agent_id
  ), wrong as (
    select e.ord, agentexec._wrong_seq(e.agent_id, e.at_seq, e.last_seq) as problem
    from entry e
    left join agentexec.activity_log l on l.activity_id = e.id and l.seq = e.at_seq and e.exists_already
      and l.message = e.message and l.percentage is not distinct from floor(e.percentage)::int
      and l.data is not distinct from e.data and (e.status is null or l.status = e.status)
    where case when e.exists_already then l.id is null else e.at_seq <> e.next end
    order by e.ord
    limit 1
  )
  select (select format('entries[%s]: %s', w.ord - 1, w.problem) from wrong w),
         array_agg(e.agent_id order by e.ord), array_agg(e.message order by e.ord), array_agg(e.percentage order by e.ord),
         array_agg(e.status order by e.ord), array_agg(e.data order by e.ord), array_agg(e.ord::int order by e.ord)
  into v_problem, agents, messages, percentages, statuses, datas, ords
  from entry e
  where not e.exists_already;
  if v_problem is not null then
    raise exception using errcode = 'TA409', message = v_problem;
  end if;
end
$$;

-- _append_lines is the set-based half of append_logs: the activities exist and are locked, the bounds hold.
-- Either every change of status is allowed or the whole call is refused, so the status before a line is simply
-- the last one given before it; no row-by-row walk is needed.
create or replace function agentexec._append_lines(
  agents      uuid[],
  messages    text[],
  percentages double precision[],
  statuses    agentexec.status[],
  datas       jsonb[],
  ords        int[] default null -- the number of each line's entry, for errors; null is their order
)
  returns int
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_refused text;
  v_count   int;
begin
  -- The wide columns stay out of all that sorts, and come in at the end.
  with line as materialized (
    select l.ord, floor(l.percentage)::int as percentage, a.id as activity_id, a.agent_id, a.last_seq,
           greatest(c.now, a.updated_at) as at, l.status as given, a.status as initial,
           a.attempt, a.cancel_seq is not null as cancel_requested,
           row_number() over w as n,
           max(l.ord) filter (where l.status is not null) over w as status_ord  -- the last line up to here that gave one
    from unnest(agents, percentages, statuses) with ordinality l(agent_id, percentage, status, ord)
    join agentexec.activity a on a.agent_id = l.agent_id
    cross join (select clock_timestamp() as now) c
    window w as (partition by a.id order by l.ord)
  ), step as materialized (
    -- The statuses given, each with the one before it.
    select s.*, s.attempt + count(*) filter (where s.before = 'ERROR' and s.given in ('QUEUED', 'RUNNING'))
             over (partition by s.activity_id order by s.ord) as attempt_now
    from (
      select s.*, lag(s.given, 1, s.initial) over (partition by s.activity_id order by s.ord) as before
      from line s
      where s.given is not null
    ) s
  ), refused as (
    select format('entries[%s]: %s', coalesce(ords[s.ord], s.ord) - 1, case when agentexec._may_become(s.before, s.given)
             then agentexec._no_retry(s.agent_id, s.given)
             else format('activity %s is %s and cannot become %s', s.agent_id, s.before, s.given) end) as problem
    from step s
    where not agentexec._may_become(s.before, s.given) or s.cancel_requested and s.attempt_now > s.attempt
    order by s.ord
    limit 1
  ), outcome as (
    select s.activity_id,
           (array_agg(s.given order by s.ord desc))[1] as status,
           max(s.attempt_now) as attempt,
           max(s.attempt_now) > max(s.attempt) as retried,
           bool_or(s.given = 'RUNNING' and s.before <> 'RUNNING') as ran,
           bool_or(s.given <> s.before) as changed
    from step s
    group by s.activity_id
  ), total as (
    -- A trailing line, which is one of a finished activity that stays as it is, moves no percentage.
    select l.activity_id, count(*) as lines, max(l.at) as at,
           (array_agg(l.percentage order by l.ord desc) filter (where l.percentage is not null
              and (coalesce(s.given, l.initial) not in ('COMPLETE', 'ERROR', 'CANCELED') or l.given <> s.before)))[1] as percentage
    from line l
    left join step s on s.ord = l.status_ord
    group by l.activity_id
  ), moved as (
    update agentexec.activity a
    set last_seq          = a.last_seq + t.lines,
        latest_percentage = coalesce(t.percentage, a.latest_percentage),
        updated_at        = t.at,
        status            = coalesce(o.status, a.status),
        attempt           = coalesce(o.attempt, a.attempt),
        started_at        = case when o.ran then coalesce(a.started_at, t.at) else a.started_at end,
        finished_at       = case
                              when not coalesce(o.changed, false) then a.finished_at
                              when o.status in ('COMPLETE', 'ERROR', 'CANCELED') then t.at
                            end
    from total t
    left join outcome o on o.activity_id = t.activity_id
    where a.id = t.activity_id and not exists (select from refused)
    returning a.id
  ), promise as (
    -- The promise of a run ends with it.
    delete from agentexec.activity_heartbeat h
    using outcome o
    where h.activity_id = o.activity_id and o.changed and (o.retried or o.status <> 'RUNNING')
  ), written as (
    insert into agentexec.activity_log (id, activity_id, seq, message, status, percentage, data, created_at, attempt, cancel_requested)
    -- Sorted inside, numbered outside: ids follow seq within an activity.
    select nextval('agentexec.activity_log_id_seq'), r.activity_id, r.seq, r.message, r.status, r.percentage, r.data, r.at, r.attempt, r.cancel_requested
    from (
      select l.activity_id, l.last_seq + l.n as seq, t.message, coalesce(s.given, l.initial) as status, l.percentage, t.data, l.at,
             coalesce(s.attempt_now, l.attempt) as attempt, l.cancel_requested
      from line l
      join moved m on m.id = l.activity_id
      join unnest(messages, datas) with ordinality t(message, data, ord) on t.ord = l.ord
      left join step s on s.ord = l.status_ord
      order by l.ord
    ) r
    returning 1
  )
  select (select r.problem from refused r), (select count(*) from written) into v_refused, v_count;

  if v_refused is not null then
    raise exception using errcode = 'TA409', message = v_refused;
  end if;
  return v_count;
end
$$;
