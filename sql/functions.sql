-- agentexec: tracking of long-running work in Postgres. Code, re-applied whole at every upgrade.
--
-- An activity is one run of an agent or job. It is created QUEUED with line 1, appends lines while it runs, and
-- ends COMPLETE, ERROR or CANCELED. Every append updates the activity's row first and inserts the line second, so
-- the row's lock numbers the lines: within one activity, commit order is seq order, without gaps. A reader that
-- remembers the last seq it saw can always go on from there.
--
--   writing   create_activity, append_log, append_logs, complete, error, heartbeat, cancel, cancel_pending, sweep
--   reading   list_activities, activity_detail, count_active, count_by_status, stats, pending_ids; view activity_list
--   elsewhere questions.sql (ask, answer, ...), retention.sql (set_retention, prune)
--   private   names that begin with an underscore; they may change with any version
--
-- The session setting agentexec.scope narrows all of them to a part of the activities (see Scope below). Activities
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
-- names the column are in the way, and get another body until they are made below: their grants stay.
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
-- renamed here. "Retired signatures" below passes its grants on and drops it.
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

-- _children_json returns the number of direct children in a scope by status, and their mean percentage: a finished child counts 100.
-- It returns null for an activity without children.
create or replace function agentexec._children_json(agent_id uuid, scope_agent_ids uuid[], scope_agent_types text[], scope_metadata jsonb)
  returns jsonb
  language plpgsql
  stable parallel safe
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_counts jsonb;
  v_total  bigint;
  v_done   bigint; -- the sum of the percentages
begin
  if num_nonnulls(scope_agent_ids, scope_agent_types, scope_metadata) = 0 then
    -- The counts are read from the index alone, and the rows of the unfinished children.
    select jsonb_object_agg(lower(c.status::text), c.n), sum(c.n), coalesce(sum(100 * c.n) filter (where c.status in ('COMPLETE', 'ERROR', 'CANCELED')), 0)
    into v_counts, v_total, v_done
    from (select c.status, count(*) as n from agentexec.activity c where c.parent_agent_id = _children_json.agent_id group by c.status) c;
    v_done := v_done + (
      select coalesce(sum(c.latest_percentage), 0) from agentexec.activity c
      where c.parent_agent_id = _children_json.agent_id and c.status in ('QUEUED', 'RUNNING'));
  else
    select jsonb_object_agg(lower(c.status::text), c.n), sum(c.n), sum(c.done)
    into v_counts, v_total, v_done
    from (
      select c.status, count(*) as n, coalesce(sum(case when c.finished_at is null then c.latest_percentage else 100 end), 0) as done
      from agentexec.activity c
      where c.parent_agent_id = _children_json.agent_id
        and agentexec._in_scope(scope_agent_ids, scope_agent_types, scope_metadata, c.agent_id, c.agent_type, c.metadata)
      group by c.status) c;
  end if;
  return case when v_total is not null then
    jsonb_build_object('total', v_total, 'queued', 0, 'running', 0, 'complete', 0, 'error', 0, 'canceled', 0, 'percentage', v_done / v_total) || v_counts end;
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
    'children', agentexec._children_json(activity.agent_id, scope.agent_ids, scope.agent_types, scope.metadata),
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
    perform agentexec._raise_invalid(format('expect_every must be between 1 second and 1 day, got %s', expect_every));
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
    perform agentexec._raise_invalid(format('grace must be between 0 and 365 days, got %s', grace));
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
    perform agentexec._raise_invalid(format('idle_for must not be negative, got %s', idle_for));
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

-- Reading --------------------------------------------------------------------------------------------------------

-- activity_list is one row per activity with its latest line, for queries of one's own. A plain view: filters and
-- orders reach the indexes, and only the rows asked for cost a look at the log. (So do those that an OFFSET skips: for
-- pages there is list_activities.) It reads with its caller's rights, so row-level security holds for it too.
create or replace view agentexec.activity_list with (security_invoker = true) as
select a.agent_id,
       a.agent_type,
       a.status,
       (select l.message from agentexec.activity_log l where l.activity_id = a.id and l.seq = a.last_seq) as latest_log,
       a.latest_percentage,
       a.last_seq,
       a.attempt,
       a.created_at,
       a.started_at,
       a.updated_at,
       a.finished_at,
       a.metadata,
       greatest(a.updated_at, (select h.beat_at from agentexec.activity_heartbeat h where h.activity_id = a.id and a.finished_at is null)) as last_seen_at,
       (select h.expect_every from agentexec.activity_heartbeat h where h.activity_id = a.id and a.finished_at is null) as expect_every,
       exists (select from agentexec.activity_heartbeat h
               where h.activity_id = a.id and agentexec._is_stale(a.status, a.updated_at, h.beat_at, h.expect_every)) as stale,
       a.cancel_seq is not null as cancel_requested
from agentexec.activity a;

-- _rank is the first key of a list's order. The indexes spell the same expression out.
create or replace function agentexec._rank(status agentexec.status)
  returns int
  language sql
  immutable parallel safe
begin atomic
  select case status when 'RUNNING' then 2 when 'QUEUED' then 1 else 0 end;
end;

-- _list_sort returns how the activities of one rank are sorted: the key, an expression of a, and whether it descends. While an
-- activity is unfinished, the one that began first has the longest duration. The indexes spell the same expressions out.
create or replace function agentexec._list_sort(rank int, sort text, "order" text, out key text, out descends boolean)
  language sql
  immutable parallel safe
begin atomic
  select case
           when sort = 'duration' and rank = 0 then '(a.finished_at - coalesce(a.started_at, a.created_at))'
           when sort = 'duration' and rank = 2 then 'coalesce(a.started_at, a.created_at)'
           when sort = 'activity' and rank = 0 then 'a.finished_at'
           when sort = 'activity' then 'a.updated_at'
           else 'a.created_at'
         end,
         ("order" = 'desc') <> (sort = 'duration' and rank > 0);
end;

-- _list_key and its inverse _list_position are the cursor of a list: the sort if it is not by created_at (d or a), rank, the
-- key of _list_sort in microseconds (since 1970 where it is a time), agent_id.
create or replace function agentexec._list_key(activity agentexec.activity, sort text default 'created')
  returns text
  language sql
  stable parallel safe
begin atomic
  select format('%s%s.%s~%s',
    case when sort <> 'created' then left(sort, 1) end,
    agentexec._rank(activity.status),
    (1000000 * case
      when sort = 'duration' and activity.finished_at is not null
        then extract(epoch from activity.finished_at - coalesce(activity.started_at, activity.created_at))
      else extract(epoch from case
        when sort = 'duration' and activity.status = 'RUNNING' then coalesce(activity.started_at, activity.created_at)
        when sort = 'activity' then coalesce(activity.finished_at, activity.updated_at)
        else activity.created_at end)
    end)::bigint,
    activity.agent_id);
end;

-- _list_start is the cursor before every activity, whatever the sort: a page by key from the start, without the cost of a total.
create or replace function agentexec._list_start()
  returns text
  language sql
  immutable parallel safe
begin atomic
  select '2.99999999999999999~ffffffff-ffff-ffff-ffff-ffffffffffff';
end;

-- _list_position reads a cursor of a list with this sort; TA422 for anything that _list_key did not write. created_at is the
-- key, a duration counted from 1970. A cursor of before 0.5 has a dot in place of
-- the tilde, and the id of an activity: it continues behind the agent_id of that one.
create or replace function agentexec._list_position(
  after          text,
  sort           text default 'created',
  out rank       int,
  out created_at timestamptz,
  out id         uuid
)
  language plpgsql
  stable parallel safe
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_after text := case when sort <> 'created' and starts_with(after, left(sort, 1)) then substr(after, 2) else after end;
begin
  if v_after !~ '^[0-2]\.-?[0-9]{1,17}[.~][0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' or sort <> 'created' and v_after = after then
    perform agentexec._raise_invalid('after must be the "next" of an earlier page with the same sort');
  end if;
  rank := left(v_after, 1)::int;
  created_at := timestamptz 'epoch' + make_interval(secs => split_part(translate(v_after, '~', '.'), '.', 2)::bigint / 1000000.0);
  id := right(v_after, 36)::uuid;
  if strpos(v_after, '~') = 0 then
    id := coalesce((select a.agent_id from agentexec.activity a where a.id = _list_position.id), id);
  end if;
end
$$;

-- _cut_page returns the first items (JSON, as text) of a page that fit into 4 MiB, at least one, with the metadata of each
-- where it is asked for. Metadata is judged by its stored size before it is read, and by its text before the next one. What metadata
-- holds of it, which may be the short ones alone, is not read again.
create or replace function agentexec._cut_page(items text[], agent_ids uuid[], include_metadata boolean, metadata jsonb[])
  returns text[]
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_limit    constant bigint := 4194304;
  v_page     text[] := '{}';
  v_n        int := 0;
  v_bytes    bigint := 0;
  v_item     text;
  v_metadata jsonb;
  v_text     text;
begin
  foreach v_item in array coalesce(items, '{}') loop
    v_n := v_n + 1;
    v_bytes := v_bytes + octet_length(v_item) + 100; -- and what jsonb adds as it is written: a space behind each colon and comma
    if include_metadata then
      v_metadata := metadata[v_n];
      if v_metadata is null then
        select a.metadata into v_metadata from agentexec.activity a where a.agent_id = agent_ids[v_n];
      end if;
      exit when v_n > 1 and v_bytes + coalesce(pg_column_size(v_metadata), 0) > v_limit;
      v_text := coalesce(v_metadata::text, 'null');
      v_bytes := v_bytes + octet_length(v_text);
      v_item := '{"metadata": ' || v_text || ', ' || right(v_item, -1);
    end if;
    exit when v_n > 1 and v_bytes > v_limit;
    v_page[v_n] := v_item;
  end loop;
  return v_page;
end
$$;

-- _id_range returns the first and the last UUID that begin with some hexadecimal digits, nulls for null. TA422 for anything but 4 to
-- 32 digits; hyphens are left out.
create or replace function agentexec._id_range(id_prefix text, out first uuid, out last uuid)
  language plpgsql
  immutable parallel safe
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_digits text := translate(id_prefix, '-', '');
begin
  if v_digits !~ '^[0-9a-fA-F]{4,32}$' then
    perform agentexec._raise_invalid(format('id_prefix must be 4 to 32 hexadecimal digits, got %s', to_json(left(id_prefix, 100))));
  end if;
  first := rpad(v_digits, 32, '0')::uuid;
  last := rpad(v_digits, 32, 'f')::uuid;
end
$$;

-- _check_list refuses arguments of list_activities out of bounds with TA422.
create or replace function agentexec._check_list(page int, page_size int, sort text, "order" text)
  returns void
  language plpgsql
  immutable parallel safe
  set search_path = pg_catalog, pg_temp
as $$
begin
  if page is null or page < 1 then
    perform agentexec._raise_invalid(format('page must be at least 1, got %s', coalesce(page::text, 'null')));
  elsif page_size is null or page_size not between 1 and 1000 then
    perform agentexec._raise_invalid(format('page_size must be between 1 and 1000, got %s', coalesce(page_size::text, 'null')));
  elsif (sort = any ('{created,duration,activity}')) is not true then
    perform agentexec._raise_invalid(format('sort must be created, duration or activity, got %s', coalesce(to_json(left(sort, 100))::text, 'null')));
  elsif ("order" = any ('{desc,asc}')) is not true then
    perform agentexec._raise_invalid(format('order must be desc or asc, got %s', coalesce(to_json(left("order", 100))::text, 'null')));
  end if;
end
$$;

-- _list_part is the condition for the activities of one status that may be in a list: since (a parameter, such as $12, null for
-- none) leaves out what was finished before it.
create or replace function agentexec._list_part(status agentexec.status, conditions text, since text)
  returns text
  language sql
  immutable parallel safe
begin atomic
  select format('a.status = %L', status)
    || case when agentexec._rank(status) = 0 then ' and a.finished_at is not null' || coalesce(' and a.finished_at >= ' || since, '') else '' end
    || ' and ' || conditions;
end;

-- _list_keys is the query for the agent_ids of a page, in order, whatever the sort: $4 + 1 of them behind the first $5, or behind the
-- position of rank at_rank, $7 and $8. conditions says which activities, see _list_part. fenced: they are found first and sorted
-- then. Otherwise the planner may walk through an index that has the order.
--
-- Each status has its indexes, so each is a query of its own. One of a lower rank runs only if those above do not fill the page.
create or replace function agentexec._list_keys(
  statuses   agentexec.status[],
  sort       text,
  "order"    text,
  at_rank    int,
  conditions text,
  since      text,
  fenced     boolean,
  typed      boolean
)
  returns text
  language plpgsql
  immutable parallel safe
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_rank    constant text := '(case a.status when ''RUNNING'' then 2 when ''QUEUED'' then 1 else 0 end)';
  v_above   text := '0';
  v_guard   text;
  v_queries text[] := '{}';
  v_names   text[] := '{}';
  v_status  agentexec.status;
  v_part    text;
  v_beyond  text;
  v_at      text;
  v_by      record;
  r         int;
begin
  for r in reverse 2..0 loop
    v_guard := case when v_above <> '0' then format(' and %s <= $4 + $5', v_above) else '' end;
    v_by := agentexec._list_sort(r, sort, "order");
    v_at := case when sort = 'duration' and r = 0 then '($7 - timestamptz ''epoch'')' else '$7' end;
    v_beyond := case
      when at_rank = r and v_by.descends = ("order" = 'desc')
        then format(' and (%s, a.agent_id) %s (%s, $8)', v_by.key, case when v_by.descends then '<' else '>' end, v_at)
      when at_rank = r
        then format(' and %1$s %2$s= %3$s and (%1$s %2$s %3$s or a.agent_id %4$s $8)', v_by.key, case when v_by.descends then '<' else '>' end, v_at,
          case when v_by.descends then '>' else '<' end)
      else ''
    end;
    for v_status in
      select s.status from unnest(enum_range(null::agentexec.status)) s(status)
      where agentexec._rank(s.status) = r and (at_rank is null or r <= at_rank) and (statuses is null or s.status = any (statuses))
    loop
      v_part := 'agentexec.activity a where ' || agentexec._list_part(v_status, conditions, since)
        || case when typed then format(' and %s = %s', v_rank, r) else '' end; -- for the index of the type
      if fenced then
        v_part := '(select a.* from ' || v_part || ' offset 0) a where true';
      end if;
      v_queries := v_queries || format(
        '%s as materialized (
           select s.agent_id, %s as rank, %sextract(epoch from s.key) as at
           from (select a.agent_id, %s as key from %s%s%s order by 2 %s, a.agent_id %s limit $4 + 1 + $5) s)',
        v_status, r, case when v_by.descends = ("order" = 'desc') then '' else '-' end,
        v_by.key, v_part, v_beyond, v_guard, case when v_by.descends then 'desc' else 'asc' end, "order");
      v_names := v_names || format('select k.agent_id, k.rank, k.at from %s k', v_status);
      v_above := v_above || format(' + (select count(*) from %s)', v_status);
    end loop;
  end loop;
  if v_names = '{}' then
    return 'select null::uuid as agent_id where false';
  end if;
  return format('with %s select k.agent_id from (%s) k order by k.rank desc, k.at %s, k.agent_id %3$s limit $4 + 1 offset $5',
    array_to_string(v_queries, ', '), array_to_string(v_names, ' union all '), "order");
end
$$;

-- _stopping_condition is the condition on activity a for the parameter stopping of list_activities.
create or replace function agentexec._stopping_condition(stopping boolean)
  returns text
  language sql
  immutable strict parallel safe
begin atomic
  select case when stopping then ' and a.status = ''RUNNING'' and a.cancel_seq is not null'
    else ' and (a.status <> ''RUNNING'' or a.cancel_seq is null)' end;
end;

-- _list_text is list_activities as text: the feed passes the items on as they are, and need not have them read and written as jsonb.
-- last_seen_at is the last key of an item, also where the item has metadata.
--
-- The statement is built from the filters in use, so that each is planned with its own index. Values travel as
-- parameters, never as text. The usual order without a range is one walk through one index; each other one is a walk for each
-- status (_list_keys). By duration or last activity, the RUNNING ones are read and sorted, and by last activity the QUEUED ones.
create or replace function agentexec._list_text(
  page             int,
  page_size        int,
  statuses         agentexec.status[],
  agent_type       text,
  metadata_filter  jsonb,
  after            text,
  include_metadata boolean,
  stale            boolean,
  sort             text,
  "order"          text,
  since            timestamptz,
  until            timestamptz,
  id_prefix        text,
  parent_agent_id  uuid,
  root_agent_id    uuid,
  roots_only       boolean,
  waiting          boolean,
  stopping         boolean
)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_rank    constant text := '(case a.status when ''RUNNING'' then 2 when ''QUEUED'' then 1 else 0 end)';
  v_filter  jsonb := agentexec._metadata_filter(metadata_filter);
  v_scope   record := agentexec._scope();
  v_type    text := coalesce(agent_type, case when cardinality(v_scope.agent_types) = 1 then v_scope.agent_types[1] end);
  v_ranks   int[] := (select array_agg(agentexec._rank(s.status)) from unnest(statuses) s(status));
  v_only    agentexec.status := case when cardinality(statuses) = 1 then (select s.status from unnest(statuses) s(status)) end;
  v_ids_of  record := agentexec._id_range(id_prefix);
  v_visible constant text[] := v_scope.agent_types; -- for the children
  v_usual   boolean := sort = 'created' and "order" = 'desc' and since is null and until is null;
  v_where   text := 'true';
  v_from    text;
  v_order   text := v_rank || ' desc, a.created_at desc, a.agent_id desc';
  v_beyond  text := '';
  v_at_rank int;
  v_at      timestamptz;
  v_at_id   uuid;
  v_total   bigint;
  v_few     boolean;
  v_count   text;
  v_rows    text;
  v_items    text[];
  v_ids      uuid[];
  v_statuses agentexec.status[];
  v_created  timestamptz[];
  v_started  timestamptz[];
  v_updated  timestamptz[];
  v_finished timestamptz[];
  v_more     boolean;
  v_metadata jsonb[];
  v_shown    int;
  v_last     agentexec.activity;
  v_text     text;
  v_next     text;
begin
  perform agentexec._check_list(page, page_size, sort, "order");
  if after is not null and (v_usual or after <> agentexec._list_start()) then
    select p.rank, p.created_at, p.id into v_at_rank, v_at, v_at_id from agentexec._list_position(after, sort) p;
    v_beyond := format(' and (%s, a.created_at, a.agent_id) < ($6, $7, $8)', v_rank);
    if v_at_rank = 0 and (v_filter is not null or v_scope.metadata is not null) then
      -- The same for the last rank, and how many rows that are can be estimated: not from a comparison of rows, which
      -- is judged by its first column. So the planner walks the list only where a match is likely to come soon, and
      -- otherwise sorts what the metadata's index finds.
      v_beyond := format(' and %s = 0 and (a.created_at, a.agent_id) < ($7, $8)', v_rank);
    end if;
  end if;
  if v_type is not null then
    v_where := v_where || ' and a.agent_type = $2';
  end if;
  if v_filter is not null then
    v_where := v_where || ' and agentexec._matches(a.metadata, $3)';
  end if;
  if roots_only then
    v_where := v_where || agentexec._roots_condition(v_scope, 9, 18, 11);
  end if;
  if v_type = any (v_scope.agent_types) then
    v_scope.agent_types := null; -- said already; twice would look to the planner like fewer rows
  end if;
  if num_nonnulls(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata) > 0 then
    v_where := v_where || ' and agentexec._in_scope($9, $10, $11, a.agent_id, a.agent_type, a.metadata)';
  end if;
  if until is not null then
    v_where := v_where || ' and a.created_at < $13';
  end if;
  if parent_agent_id is not null then
    v_where := v_where || ' and a.parent_agent_id = $16';
  end if;
  if root_agent_id is not null then
    v_where := v_where || ' and (a.root_agent_id = $17 or a.agent_id = $17)';
  end if;
  if waiting is not null then
    v_where := v_where || case when waiting then ' and a.open_questions > 0' else ' and a.open_questions = 0' end;
  end if;
  if stopping is not null then
    v_where := v_where || agentexec._stopping_condition(stopping);
  end if;
  if id_prefix is not null then
    v_where := v_where || ' and a.agent_id between $14 and $15';
  end if;
  if not v_usual then
    null; -- _list_keys takes each status by itself
  elsif v_only is not null and v_type is null then
    -- One status has one rank: activity_status_idx is already in order.
    v_where := v_where || format(' and a.status = %L', v_only);
    v_order := 'a.created_at desc, a.agent_id desc';
    v_beyond := case
      when v_at_rank = v_ranks[1] then ' and (a.created_at, a.agent_id) < ($7, $8)'
      when v_at_rank < v_ranks[1] then ' and false'
      else ''
    end;
  elsif statuses is not null then
    -- The ranks bound the walk through an index that ends in finished rows.
    v_where := v_where || format(' and a.status = any ($1) and %s between %s and %s', v_rank,
      coalesce((select min(r.rank) from unnest(v_ranks) r(rank)), 0),
      coalesce((select max(r.rank) from unnest(v_ranks) r(rank)), 0));
  end if;

  if stale is not null then
    v_where := v_where || case when stale then ' and a.status = ''RUNNING'' and' else ' and not' end
      || ' exists (select from agentexec.activity_heartbeat h where h.activity_id = a.id'
      || ' and agentexec._is_stale(a.status, a.updated_at, h.beat_at, h.expect_every))';
  end if;

  if after is null then
    v_count := case when v_usual then 'select count(*) from agentexec.activity a where ' || v_where else (
      select 'select ' || coalesce(string_agg('(select count(*) from agentexec.activity a where '
        || agentexec._list_part(s.status, v_where, case when since is not null then '$12' end) || ')', ' + '), '0')
      from unnest(enum_range(null::agentexec.status)) s(status)
      where statuses is null or s.status = any (statuses)) end;
    -- The query of a loop is never run by several processes. They would save nothing where writers want the processors.
    for v_total in execute v_count
      using statuses, v_type, v_filter, null, null, null, null, null, v_scope.agent_ids, v_scope.agent_types, v_scope.metadata,
            since, until, v_ids_of.first, v_ids_of.last, parent_agent_id, root_agent_id, v_visible
    loop
    end loop;
  end if;

  v_from := 'agentexec.activity a where ' || v_where;
  v_few := id_prefix is not null or waiting or v_total <= 1000
    and (v_filter is not null or v_scope.metadata is not null or parent_agent_id is not null or root_agent_id is not null);
  if v_few then
    -- Few, and that is known, where the planner can only guess from its sample, and would rather walk through the whole
    -- list in its order. So it may not: it finds them first and sorts them.
    v_from := '(select a.* from ' || v_from || ' offset 0) a where true';
  end if;

  if not v_usual then
    v_rows := format('select a.*, p.n
                      from (select k.agent_id, row_number() over () as n from (%s) k) p
                      join agentexec.activity a on a.agent_id = p.agent_id
                      order by p.n',
      agentexec._list_keys(statuses, sort, "order", v_at_rank, v_where, case when since is not null then '$12' end,
        -- The other end of the range comes first, and the planner cannot know how far it is.
        v_few or sort = 'created' and "order" = 'asc' and since is not null or sort = 'activity' and "order" = 'desc' and until is not null,
        v_type is not null));
  elsif after is null or statuses is not null or v_type is not null then
    -- The page is picked by keys alone, then its rows are read: an offset or a filter stays in the index.
    v_rows := 'select a.*, p.n
               from (select k.agent_id, row_number() over () as n
                     from (select a.agent_id from %s%s order by %s limit $4 + 1 offset $5) k) p
               join agentexec.activity a on a.agent_id = p.agent_id
               order by p.n';
    v_rows := format(v_rows, v_from, v_beyond, v_order);
  else
    v_rows := 'select k.*, row_number() over () as n
               from (select a.* from %s%s order by %s limit $4 + 1) k';
    v_rows := format(v_rows, v_from, v_beyond, v_order);
  end if;

  -- The page is put together as text, and list_activities reads it as jsonb once: half the work of jsonb that is copied from object
  -- to array to page. Short metadata is read with its row, all other by _cut_page. The items are those of _activity_json, from rows, which is cheaper than from keys and values. The
  -- latest lines are looked up one by one: a join could read the whole log. Of a long one, only the beginning is read:
  -- its size is known without that. A join with the heartbeats could also change the order of the rows. A call of a function that is
  -- not inlined takes as long as reading several rows, so it is made only for the activities that need it.
  execute format(
    'select array_agg(row_to_json(i)::text) filter (where a.n <= $4), array_agg(a.agent_id) filter (where a.n <= $4),
            array_agg(a.status) filter (where a.n <= $4), array_agg(a.created_at) filter (where a.n <= $4),
            array_agg(a.started_at) filter (where a.n <= $4), array_agg(a.updated_at) filter (where a.n <= $4),
            array_agg(a.finished_at) filter (where a.n <= $4), count(*) > $4,
            array_agg(case when coalesce(pg_column_size(a.metadata), 0) <= 300 then coalesce(a.metadata, ''null'') end) filter (where $19 and a.n <= $4)
     from (%s) a
     left join lateral (
       select left(l.message, 500) as head, octet_length(l.message) as size
       from agentexec.activity_log l
       where l.activity_id = a.id and l.seq = a.last_seq and a.n <= $4
       offset 0
     ) l on true
     left join lateral (
       select h.beat_at, h.expect_every
       from agentexec.activity_heartbeat h
       where h.activity_id = a.id and a.finished_at is null and a.n <= $4
       offset 0
     ) h on true
     cross join lateral (
       select a.agent_id, a.agent_type, a.status, a.latest_percentage, a.last_seq, a.attempt,
              agentexec._time(a.created_at) as created_at,
              agentexec._time(a.started_at) as started_at,
              agentexec._time(a.updated_at) as updated_at,
              agentexec._time(a.finished_at) as finished_at,
              extract(epoch from h.expect_every)::double precision as expect_every,
              agentexec._is_stale(a.status, a.updated_at, h.beat_at, h.expect_every) as stale,
              case when a.cancel_seq is not null then agentexec._cancel_json(a.id, a.cancel_seq, a.cancel_force_at, a.cancel_forced) end as cancel,
              case when a.parent_agent_id is not null then agentexec._visible_id(a.parent_agent_id, $9, $18, $11) end as parent_agent_id,
              case when a.root_agent_id is not null then agentexec._visible_id(a.root_agent_id, $9, $18, $11) end as root_agent_id, a.open_questions,
              case when a.n <= $4 and exists (select from agentexec.activity c where c.parent_agent_id = a.agent_id)
                then agentexec._children_json(a.agent_id, $9, $18, $11) end as children,
              l.head as latest_log,
              coalesce(l.size > octet_length(l.head), false) as latest_log_truncated,
              agentexec._time(greatest(a.updated_at, h.beat_at)) as last_seen_at
     ) i',
    v_rows)
  into v_items, v_ids, v_statuses, v_created, v_started, v_updated, v_finished, v_more, v_metadata
  using statuses, v_type, v_filter, page_size,
        case when after is null then (page - 1)::bigint * page_size else 0 end,
        v_at_rank, v_at, v_at_id, v_scope.agent_ids, v_scope.agent_types, v_scope.metadata,
        since, until, v_ids_of.first, v_ids_of.last, parent_agent_id, root_agent_id, v_visible, include_metadata;

  v_text := array_to_string(v_items, ', ');
  if include_metadata or octet_length(v_text) > 4000000 then
    v_items := agentexec._cut_page(v_items, v_ids, include_metadata, v_metadata);
    v_text := array_to_string(v_items, ', ');
  end if;
  v_shown := cardinality(v_items);
  if v_more or v_shown < cardinality(v_ids) then
    v_last.agent_id := v_ids[v_shown];
    v_last.status := v_statuses[v_shown];
    v_last.created_at := v_created[v_shown];
    v_last.started_at := v_started[v_shown];
    v_last.updated_at := v_updated[v_shown];
    v_last.finished_at := v_finished[v_shown];
    v_next := agentexec._list_key(v_last, sort);
  end if;
  return format('{"items": [%s], "total": %s, "page": %s, "page_size": %s, "pages": %s, "next": %s}',
    v_text,
    coalesce(v_total::text, 'null'),
    case when after is null then page::text else 'null' end,
    page_size,
    coalesce(ceil(v_total / page_size::numeric)::bigint::text, 'null'),
    coalesce('"' || v_next || '"', 'null'));
end
$$;

-- list_activities is one page of activities (ActivityList): RUNNING first, then QUEUED, then finished. In each, sort and order
-- say which come first: by created_at (created), by how long it has run or waited (duration), or by its last line, of a finished one
-- the line that ended it (activity). Ties are by agent_id in the same order. By number (page, with exact total), or by key (after = the
-- "next" of an earlier page; total, page and pages are then null), which costs the same at any depth.
--
-- stale takes only the stale activities (true) or only the others (false); null takes all. since and until take only activities
-- that existed in between: not finished before since, created before until. stopping takes only the RUNNING activities whose
-- cancel was requested (true) or only the others (false). id_prefix takes those whose agent_id begins with it.
--
-- latest_log is at most the first 500 characters, and latest_log_truncated says whether there are more. A page of more
-- than 4 MiB ends early: it has at least one item, and "next" goes on behind the last one, whether it was reached by
-- number or by key.
--
-- Errors: TA422 page < 1, page_size not in 1..1000, metadata_filter that is no filter, garbage in after, unknown sort or order,
--         id_prefix that is not 4 to 32 hexadecimal digits.
create or replace function agentexec.list_activities(
  page             int                default 1,
  page_size        int                default 50,
  statuses         agentexec.status[] default null,
  agent_type       text               default null,
  metadata_filter  jsonb              default null,
  after            text               default null,
  include_metadata boolean            default false,
  stale            boolean            default null,
  sort             text               default 'created',
  "order"          text               default 'desc',
  since            timestamptz        default null,
  until            timestamptz        default null,
  id_prefix        text               default null,
  parent_agent_id  uuid               default null,
  root_agent_id    uuid               default null,
  roots_only       boolean            default false,
  waiting          boolean            default null,
  stopping         boolean            default null
)
  returns jsonb
  language sql
  stable
begin atomic
  select agentexec._list_text(page, page_size, statuses, agent_type, metadata_filter, after, include_metadata, stale, sort, "order", since, until, id_prefix, parent_agent_id, root_agent_id, roots_only, waiting, stopping)::jsonb;
end;

-- _check_detail refuses arguments of activity_detail out of bounds with TA422.
create or replace function agentexec._check_detail(after_seq int, log_limit int)
  returns void
  language plpgsql
  immutable parallel safe
  set search_path = pg_catalog, pg_temp
as $$
begin
  if after_seq is null or after_seq < 0 then
    perform agentexec._raise_invalid(format('after_seq must be at least 0, got %s', coalesce(after_seq::text, 'null')));
  elsif log_limit < 0 then
    perform agentexec._raise_invalid(format('log_limit must be at least 0, got %s', log_limit));
  end if;
end
$$;

-- activity_detail is one activity with its lines in seq order (ActivityDetail), or null where there is none or the
-- metadata does not match, or it is outside the scope. after_seq leaves out the lines up to it; log_limit takes at most that many (0: none).
--
-- Errors: TA422 negative after_seq or log_limit, metadata_filter that is no filter.
create or replace function agentexec.activity_detail(
  agent_id         uuid,
  metadata_filter  jsonb   default null,
  after_seq        int     default 0,
  log_limit        int     default null,
  include_metadata boolean default false
)
  returns jsonb
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_filter jsonb  := agentexec._metadata_filter(metadata_filter);
  v_scope  record := agentexec._scope();
begin
  perform agentexec._check_detail(after_seq, log_limit);
  return (
    select agentexec._activity_json(a, activity_detail.include_metadata) || jsonb_build_object('logs', coalesce((
        select jsonb_agg(agentexec._log_json(l) order by l.seq)
        from (select l.*
              from agentexec.activity_log l
              where l.activity_id = a.id and l.seq > activity_detail.after_seq
              order by l.seq
              limit activity_detail.log_limit) l), '[]'))
    from agentexec.activity a
    where a.agent_id = activity_detail.agent_id and (v_filter is null or agentexec._matches(a.metadata, v_filter))
      and agentexec._in_scope(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, a.agent_id, a.agent_type, a.metadata));
end
$$;

-- _lines_page is the next lines of an activity as JSON (ActivityLog, as text), in seq order: at most max_lines, and no line
-- with which they would exceed max_bytes, but always the first one.
--
-- Each line is judged by its stored size before it is converted, and by its JSON before the next one is looked at. A line
-- is read from its TOAST table, decompressed and written as JSON only when it is on the page, save for one at its end.
create or replace function agentexec._lines_page(activity_id uuid, after_seq int, max_lines int, max_bytes bigint)
  returns table (seq int, line text)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_line  agentexec.activity_log;
  v_bytes bigint := 0;
begin
  for v_line in
    select l.* from agentexec.activity_log l
    where l.activity_id = _lines_page.activity_id and l.seq > _lines_page.after_seq
    order by l.seq
    limit _lines_page.max_lines
  loop
    -- octet_length of a stored text reads its size alone.
    exit when v_bytes > 0 and v_bytes + octet_length(v_line.message) + coalesce(pg_column_size(v_line.data), 0) > max_bytes;
    line := agentexec._log_json(v_line)::text;
    exit when v_bytes > 0 and v_bytes + octet_length(line) > max_bytes;
    v_bytes := v_bytes + octet_length(line);
    seq := v_line.seq;
    return next;
  end loop;
end
$$;

-- _detail_page is activity_detail in pages, for the HTTP API and pkg/client: at most 1,000 lines or 4 MiB of them, at least
-- one, and next_after_seq: the after_seq of the next page, null where no line is left (and with log_limit 0).
--
-- Errors: as activity_detail.
create or replace function agentexec._detail_page(
  agent_id         uuid,
  metadata_filter  jsonb   default null,
  after_seq        int     default 0,
  log_limit        int     default null,
  include_metadata boolean default false
)
  returns json
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_filter   jsonb  := agentexec._metadata_filter(metadata_filter);
  v_scope    record := agentexec._scope();
  v_activity agentexec.activity;
  v_lines    text;
  v_last     int;
  v_next     int;
begin
  perform agentexec._check_detail(after_seq, log_limit);
  select a.* into v_activity
  from agentexec.activity a
  where a.agent_id = _detail_page.agent_id and (v_filter is null or agentexec._matches(a.metadata, v_filter))
    and agentexec._in_scope(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, a.agent_id, a.agent_type, a.metadata);
  if not found then
    return null;
  end if;
  select string_agg(p.line, ', ' order by p.seq), max(p.seq) into v_lines, v_last
  from agentexec._lines_page(v_activity.id, after_seq, least(log_limit, 1000), 4194304::bigint) p;
  if exists (select from agentexec.activity_log l where l.activity_id = v_activity.id and l.seq > v_last) then
    v_next := v_last;
  end if;
  return format('{"logs": [%s], "next_after_seq": %s, %s', v_lines, coalesce(v_next::text, 'null'),
    substr(agentexec._activity_json(v_activity, include_metadata)::text, 2));
end
$$;

-- count_active is the number of QUEUED and RUNNING activities.
create or replace function agentexec.count_active(metadata_filter jsonb default null)
  returns bigint
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_filter jsonb  := agentexec._metadata_filter(metadata_filter);
  v_scope  record := agentexec._scope();
begin
  return (
    select count(*)
    from agentexec.activity a
    where a.status in ('QUEUED', 'RUNNING') and (v_filter is null or agentexec._matches(a.metadata, v_filter))
      and agentexec._in_scope(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, a.agent_id, a.agent_type, a.metadata));
end
$$;

-- count_by_status returns the number of activities per status, with all five keys, and as "stale" the number of stale ones,
-- which count as RUNNING too. since and until count only activities that existed in between: not finished before since, created
-- before until. The last five parameters count only what list_activities takes with them.
create or replace function agentexec.count_by_status(
  agent_type      text        default null,
  metadata_filter jsonb       default null,
  since           timestamptz default null,
  until           timestamptz default null,
  parent_agent_id uuid        default null,
  root_agent_id   uuid        default null,
  roots_only      boolean     default false,
  waiting         boolean     default null,
  stopping        boolean     default null
)
  returns jsonb
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_filter  jsonb  := agentexec._metadata_filter(metadata_filter);
  v_scope   record := agentexec._scope();
  v_visible text[] := v_scope.agent_types;
  v_roots   text   := case when roots_only then agentexec._roots_condition(v_scope, 3, 10, 5) else '' end;
  v_where   text;
  v_from    text;
  v_counts  jsonb;
begin
  if agent_type = any (v_scope.agent_types) then
    v_scope.agent_types := null; -- said already
  end if;
  v_where := case when agent_type is not null then ' and a.agent_type = $1' else '' end
    || case when v_filter is not null then ' and agentexec._matches(a.metadata, $2)' else '' end
    || agentexec._scope_condition(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, 3)
    || case when until is not null then ' and a.created_at < $7' else '' end
    || case when parent_agent_id is not null then ' and a.parent_agent_id = $8' else '' end
    || case when root_agent_id is not null then ' and (a.root_agent_id = $9 or a.agent_id = $9)' else '' end
    || v_roots
    || case when waiting then ' and a.open_questions > 0' when not waiting then ' and a.open_questions = 0' else '' end
    || coalesce(agentexec._stopping_condition(stopping), '');
  -- Unfinished activities and recently finished ones are in different indexes.
  v_from := 'select a.status, count(*) as n from agentexec.activity a where '
    || case when since is null then 'true' else 'a.status in (''QUEUED'', ''RUNNING'')' end || v_where || ' group by a.status'
    || case when since is null then '' else ' union all select a.status, count(*) from agentexec.activity a
         where a.status in (''COMPLETE'', ''ERROR'', ''CANCELED'') and a.finished_at >= $6' || v_where || ' group by a.status' end;
  -- A loop, as in list_activities: for its one row, and by one process.
  for v_counts in execute
    'select jsonb_object_agg(s.status, coalesce(c.n, 0)) || jsonb_build_object(''stale'', (
       select count(*)
       from agentexec.activity_heartbeat h
       join agentexec.activity a on a.id = h.activity_id
       where h.beat_at < statement_timestamp() - h.expect_every -- after a recent heartbeat, the activity need not be read
         and agentexec._is_stale(a.status, a.updated_at, h.beat_at, h.expect_every)' || v_where || '))
     from unnest(enum_range(null::agentexec.status)) s(status)
     left join (' || v_from || ') c on c.status = s.status'
    using agent_type, v_filter, v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, since, until, parent_agent_id, root_agent_id, v_visible
  loop
  end loop;
  return v_counts;
end
$$;

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

-- pending_ids is the agent_ids of the QUEUED and RUNNING activities, oldest first, ties by agent_id.
create or replace function agentexec.pending_ids()
  returns setof uuid
  language sql
  stable
begin atomic
  select a.agent_id
  from agentexec._scope() s
  cross join agentexec.activity a
  where a.status in ('QUEUED', 'RUNNING')
    and agentexec._in_scope(s.agent_ids, s.agent_types, s.metadata, a.agent_id, a.agent_type, a.metadata)
  order by a.created_at, a.agent_id;
end;

-- Retired signatures ----------------------------------------------------------------------------------------------
--
-- A grant on a retired public function passes to its successors.

do $$
declare
  v_old   text;
  v_new   text;
  v_heirs text[];
  v_grant record;
begin
  for v_old, v_heirs in values
    ('agentexec.complete(uuid, text, int, jsonb)', array['agentexec.complete(uuid, text, double precision, jsonb)']),
    ('agentexec.create_activity(text, text, uuid, jsonb)', array['agentexec.create_activity(text, text, uuid, jsonb, uuid)']),
    ('agentexec.cancel(uuid, text)', array['agentexec.cancel(uuid, text, interval, text, boolean)', 'agentexec.sweep(int)']),
    ('agentexec.cancel(uuid, text, interval, text)', array['agentexec.cancel(uuid, text, interval, text, boolean)']),
    ('agentexec.append_log(uuid, text, int, agentexec.status, jsonb)',
     array['agentexec.append_log(uuid, text, double precision, agentexec.status, jsonb, int)', 'agentexec.heartbeat(uuid, interval)']),
    ('agentexec.append_log(uuid, text, double precision, agentexec.status, jsonb)',
     array['agentexec.append_log(uuid, text, double precision, agentexec.status, jsonb, int)', 'agentexec.heartbeat(uuid, interval)']),
    ('agentexec._append_logs_before(jsonb)', array['agentexec.append_logs(jsonb)']),
    ('agentexec.list_activities(int, int, agentexec.status[], text, jsonb, text, boolean)',
     array['agentexec.list_activities(int, int, agentexec.status[], text, jsonb, text, boolean, boolean, text, text, timestamptz, timestamptz, text, uuid, uuid, boolean, boolean, boolean)']),
    ('agentexec.list_activities(int, int, agentexec.status[], text, jsonb, text, boolean, boolean)',
     array['agentexec.list_activities(int, int, agentexec.status[], text, jsonb, text, boolean, boolean, text, text, timestamptz, timestamptz, text, uuid, uuid, boolean, boolean, boolean)']),
    ('agentexec.list_activities(int, int, agentexec.status[], text, jsonb, text, boolean, boolean, text, text, timestamptz, timestamptz, text)',
     array['agentexec.list_activities(int, int, agentexec.status[], text, jsonb, text, boolean, boolean, text, text, timestamptz, timestamptz, text, uuid, uuid, boolean, boolean, boolean)']),
    ('agentexec.list_activities(int, int, agentexec.status[], text, jsonb, text, boolean, boolean, text, text, timestamptz, timestamptz, text, uuid, uuid, boolean, boolean)',
     array['agentexec.list_activities(int, int, agentexec.status[], text, jsonb, text, boolean, boolean, text, text, timestamptz, timestamptz, text, uuid, uuid, boolean, boolean, boolean)']),
    ('agentexec.count_by_status(text, jsonb)', array['agentexec.count_by_status(text, jsonb, timestamptz, timestamptz, uuid, uuid, boolean, boolean, boolean)', 'agentexec.stats(timestamptz, interval)']),
    ('agentexec.count_by_status(text, jsonb, timestamptz, timestamptz)', array['agentexec.count_by_status(text, jsonb, timestamptz, timestamptz, uuid, uuid, boolean, boolean, boolean)']),
    ('agentexec.count_by_status(text, jsonb, timestamptz, timestamptz, uuid, uuid, boolean, boolean)', array['agentexec.count_by_status(text, jsonb, timestamptz, timestamptz, uuid, uuid, boolean, boolean, boolean)']),
    ('agentexec._list_key(agentexec.activity)', '{}'),
    ('agentexec._list_position(text)', '{}'),
    ('agentexec._append_change(uuid, text, int, agentexec.status, jsonb)', '{}'),
    ('agentexec._append_lines(uuid[], text[], int[], agentexec.status[], jsonb[])', '{}'),
    ('agentexec._append_lines(uuid[], text[], double precision[], agentexec.status[], jsonb[])', '{}'),
    ('agentexec._check_line(text, int)', '{}'),
    ('agentexec._line_problem(text, int)', '{}')
  loop
    continue when to_regprocedure(v_old) is null;
    for v_grant in
      select a.grantee::regrole as role, a.is_grantable
      from pg_proc p cross join lateral aclexplode(p.proacl) a
      where p.oid = to_regprocedure(v_old) and a.grantee not in (0, p.proowner)
    loop
      foreach v_new in array v_heirs loop
        execute format('grant execute on function %s to %s%s', v_new, v_grant.role,
          case when v_grant.is_grantable then ' with grant option' end);
      end loop;
    end loop;
    execute format('drop function %s', v_old);
  end loop;
end
$$;

-- Old names ------------------------------------------------------------------------------------------------------
--
-- Names of internal functions in the release before. A call that began before an upgrade runs its old body to the end and
-- finds them here. The next release drops them.

create or replace function agentexec._refuse(problem text)
  returns boolean
  language sql
  volatile
begin atomic
  select agentexec._raise_invalid(problem);
end;

create or replace function agentexec._refuse_full(agent_id uuid)
  returns void
  language sql
  volatile
begin atomic
  select agentexec._raise_seq_exhausted(agent_id);
end;

create or replace function agentexec._advance(agent_id uuid, percentage int, status agentexec.status)
  returns agentexec.activity
  language sql
  volatile
begin atomic
  select a.* from agentexec._transition(agent_id, percentage, status) a;
end;

create or replace function agentexec._settle(line agentexec.activity_log)
  returns agentexec.activity_log
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
begin
  return agentexec._finish_append(line);
end
$$;

create or replace function agentexec._ring_bell()
  returns void
  language sql
  volatile
begin atomic
  select agentexec._send_wakeup();
end;

create or replace function agentexec._hold_in_scope(agent_id uuid)
  returns void
  language sql
  volatile
begin atomic
  select agentexec._lock_in_scope(agent_id);
end;

create or replace function agentexec._asks_nothing(filter jsonb)
  returns boolean
  language sql
  immutable parallel safe
begin atomic
  select agentexec._matches_all(filter);
end;
