-- Retention: what is deleted, and when. Code, re-applied whole after questions.sql at every upgrade.
--
-- Without a rule nothing is deleted. Only finished activities are deleted, and whole trees only: a tree follows the rule of its
-- root, when everything in it has finished. A log longer than one call may delete goes in batches, oldest lines first; a reader
-- gets a gap with the reason "pruned".

-- set_retention sets for how long finished activities are kept. agent_type and status null mean any; the most specific rule counts:
-- type and status, type, status, the default. A null keep removes the rule.
--
-- Errors: TA422 keep not of 1 second to 100 years, agent_type not of 1 to 255 characters, or a status that does not end an activity.
create or replace function agentexec.set_retention(keep interval, agent_type text default null, status agentexec.status default null)
  returns void
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_problem text := case
    -- 100 years by the calendar: where two intervals are compared, a year has 360 days.
    when keep < '1 s' or keep > '102 years' or date '2000-01-01' + keep > date '2100-01-01' then format('keep must be between 1 second and 100 years, got %s', justify_hours(keep))
    when char_length(agent_type) not between 1 and 255 then format('agent_type must be 1 to 255 characters, got %s', char_length(agent_type))
    when status in ('QUEUED', 'RUNNING') then format('status must be COMPLETE, ERROR or CANCELED, got %s', status)
  end;
begin
  if v_problem is not null then
    perform agentexec._raise_invalid(v_problem);
  elsif keep is null then
    delete from agentexec.retention r
    where r.agent_type is not distinct from set_retention.agent_type and r.status is not distinct from set_retention.status;
  else
    insert into agentexec.retention (agent_type, status, keep)
    values (set_retention.agent_type, set_retention.status, set_retention.keep)
    on conflict on constraint retention_rule_key do update set keep = excluded.keep;
  end if;
end
$$;

-- _root_kinds returns the pairs of type and status that finished roots have. It skips through the index from pair to pair, so its cost
-- follows the number of pairs, not of activities.
create or replace function agentexec._root_kinds()
  returns table (agent_type text, status agentexec.status)
  language sql
  stable
begin atomic
  with recursive kind as (
    (select a.agent_type, a.status from agentexec.activity a
     where a.finished_at is not null and a.parent_agent_id is null
     order by a.agent_type, a.status limit 1)
    union all
    select n.agent_type, n.status
    from kind k
    cross join lateral (
      select a.agent_type, a.status from agentexec.activity a
      where a.finished_at is not null and a.parent_agent_id is null and (a.agent_type, a.status) > (k.agent_type, k.status)
      order by a.agent_type, a.status limit 1) n
  )
  select k.agent_type, k.status from kind k;
end;

-- _prune_trees deletes trees in their order, at most max_rows lines and max_rows activities. It leaves a tree of which something has
-- not finished before the time, lies outside of the scope, or is locked. The oldest lines of a log go first. Then go the activities
-- without lines, the deepest first, so the root is the last. A tree of more than max_rows activities goes in parts.
--
-- Locks: the rows that it deletes, the roots, and what is in ERROR.
create or replace function agentexec._prune_trees(
  ids            uuid[],        -- of the roots
  times          timestamptz[], -- of each root
  scope          record,
  max_rows       int,
  out activities int,
  out lines      int
)
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_roots uuid[];        -- agent_ids of the locked roots, in the same order
  v_times timestamptz[];
  v_ids   uuid[];        -- the rows of the trees, in the order in which they go
  v_trees int[];         -- the number of the tree of each
begin
  -- The locks of the roots keep new children away, so the statements that follow see all of the trees.
  with locked as materialized (
    select a.agent_id, r.before, r.n
    from unnest(ids, times) with ordinality r(id, before, n)
    join agentexec.activity a on a.id = r.id
    where a.finished_at < r.before
    order by r.n
    for update of a skip locked
  )
  select array_agg(l.agent_id order by l.n), array_agg(l.before order by l.n) into v_roots, v_times from locked l;
  if v_roots is null then
    activities := 0;
    lines := 0;
    return;
  end if;

  -- Only what is in ERROR can begin again, so nothing else of the trees needs a lock here.
  with root as materialized (
    select r.agent_id, r.before, r.n from unnest(v_roots, v_times) with ordinality r(agent_id, before, n)
  ), failed as materialized (
    select m.id
    from root r
    join agentexec.activity m on m.root_agent_id = r.agent_id
    where m.status = 'ERROR'
    for update of m skip locked
  ), whole as (
    select r.agent_id, r.n
    from root r
    where not exists (
      select from agentexec.activity m
      where m.root_agent_id = r.agent_id
        and (m.finished_at is null or m.finished_at >= r.before
          or agentexec._in_scope(scope.agent_ids, scope.agent_types, scope.metadata, m.agent_id, m.agent_type, m.metadata) is not true
          or m.status = 'ERROR' and not exists (select from failed f where f.id = m.id)))
  ), member as (
    select m.id, m.depth, w.n from whole w join agentexec.activity m on m.root_agent_id = w.agent_id
    union all
    select a.id, a.depth, w.n from whole w join agentexec.activity a on a.agent_id = w.agent_id
  ), first as materialized (
    select m.id, m.n, m.depth, count(*) over (partition by m.n) as size
    from (select m.* from member m order by m.n, m.depth desc, m.id limit max_rows) m
  ), locked as materialized (
    select f.id, f.n, f.depth, f.size from first f join agentexec.activity a on a.id = f.id for update of a skip locked
  )
  select array_agg(l.id order by l.n, l.depth desc, l.id), array_agg(l.n order by l.n, l.depth desc, l.id) into v_ids, v_trees
  from (select l.*, count(*) over (partition by l.n) as got from locked l) l
  where l.got = l.size;

  -- By ctid: with a join the planner would read all of a small table.
  delete from agentexec.activity_log d
  where d.ctid = any (array(
    select l.ctid
    from unnest(v_ids) with ordinality m(id, n)
    cross join lateral (select l.ctid from agentexec.activity_log l where l.activity_id = m.id order by l.seq limit max_rows) l
    limit max_rows));
  get diagnostics lines = row_count;

  delete from agentexec.activity d
  where d.id in (
    with member as materialized (
      select m.id, m.tree, exists (select from agentexec.activity_log l where l.activity_id = m.id) as has_lines
      from unnest(v_ids, v_trees) m(id, tree)
    )
    select m.id from member m where not exists (select from member o where o.tree = m.tree and o.has_lines));
  get diagnostics activities = row_count;
end
$$;

-- _due_roots returns the roots whose trees one call prunes, in their order: at most max_rows, with about max_rows lines in all (null: all).
-- Without finished_before, the rules of retention say what is due.
--
-- The types and statuses come in random order, so that none waits for another one for ever; of each, the oldest come first.
--
-- The planner believes that few roots are in the scope, and would read and sort all that are due, in every sweep. Without sorts it takes
-- the index that has them in order, and the loop ends when there are enough: the cost follows max_rows. A sort that cannot be avoided
-- counts as so expensive that the query would be compiled, hence jit.
create or replace function agentexec._due_roots(
  finished_before timestamptz,
  agent_type      text,
  statuses        agentexec.status[],
  scope           record,
  max_rows        int,
  out ids         uuid[],
  out times       timestamptz[] -- of each root: its tree is due if it finished before this time
)
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
  set enable_sort = off
  set jit = off
as $$
declare
  v_kind  record;
  v_root  record;
  v_roots int := 0;
  v_lines bigint := 0;
begin
  for v_kind in
    select k.agent_type, k.status, b.before
    from agentexec._root_kinds() k
    cross join lateral (
      select _due_roots.finished_before as before where _due_roots.finished_before is not null
      union all
      (select statement_timestamp() - t.keep
       from agentexec.retention t
       where _due_roots.finished_before is null and coalesce(t.agent_type, k.agent_type) = k.agent_type and coalesce(t.status, k.status) = k.status
       order by t.agent_type is null, t.status is null
       limit 1)) b
    where (_due_roots.agent_type is null or k.agent_type = _due_roots.agent_type) and (_due_roots.statuses is null or k.status = any (_due_roots.statuses))
    order by random()
  loop
    for v_root in
      select a.id, a.last_seq + coalesce((select sum(m.last_seq) from agentexec.activity m where m.root_agent_id = a.agent_id), 0) as lines
      from agentexec.activity a
      where a.finished_at is not null and a.parent_agent_id is null
        and a.agent_type = v_kind.agent_type and a.status = v_kind.status and a.finished_at < v_kind.before
        and agentexec._in_scope(scope.agent_ids, scope.agent_types, scope.metadata, a.agent_id, a.agent_type, a.metadata)
        and not exists (
          select from agentexec.activity m
          where m.root_agent_id = a.agent_id
            and (m.finished_at is null or m.finished_at >= v_kind.before
              or agentexec._in_scope(scope.agent_ids, scope.agent_types, scope.metadata, m.agent_id, m.agent_type, m.metadata) is not true))
      order by a.finished_at
    loop
      ids := ids || v_root.id;
      times := times || v_kind.before;
      v_roots := v_roots + 1;
      v_lines := v_lines + v_root.lines;
      if v_roots >= max_rows or v_lines >= max_rows then
        return;
      end if;
    end loop;
  end loop;
end
$$;

-- prune deletes finished activities with their lines, at most max_rows activities and max_rows lines, the oldest of each type and
-- status first, and returns their numbers: {"activities": n, "lines": n}. Call it again until both are 0. A tree goes as a whole, when all of it finished before
-- the time; agent_type and statuses are those of its root. With dry_run it deletes nothing and returns the numbers of all calls.
-- It prunes within the session's scope.
--
-- Locks:  rows of the trees that it prunes, without waiting; a tree with a locked row stays.
-- Errors: TA422 finished_before is null, max_rows not of 1 to 100000.
create or replace function agentexec.prune(
  finished_before timestamptz,
  agent_type      text               default null,
  statuses        agentexec.status[] default null,
  max_rows        int                default 1000,
  dry_run         boolean            default false
)
  returns jsonb
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_scope      record := agentexec._scope();
  v_activities bigint := 0;
  v_lines      bigint := 0;
begin
  if finished_before is null then
    perform agentexec._raise_invalid('finished_before must not be null');
  elsif max_rows is null or max_rows not between 1 and 100000 then
    perform agentexec._raise_invalid(format('max_rows must be between 1 and 100000, got %s', coalesce(max_rows::text, 'null')));
  end if;
  if dry_run then
    select count(*), coalesce(sum((select count(*) from agentexec.activity_log l where l.activity_id = m.id)), 0)
    into v_activities, v_lines
    from agentexec._due_roots(finished_before, agent_type, statuses, v_scope, null) due
    cross join unnest(due.ids, due.times) d(id, before)
    join agentexec.activity r on r.id = d.id
    join agentexec.activity m on m.id = r.id or m.root_agent_id = r.agent_id;
  else
    select p.activities, p.lines into v_activities, v_lines
    from agentexec._due_roots(finished_before, agent_type, statuses, v_scope, max_rows) due
    cross join agentexec._prune_trees(due.ids, due.times, v_scope, max_rows) p;
  end if;
  return jsonb_build_object('activities', v_activities, 'lines', v_lines);
end
$$;

-- _prune_due deletes what the retention rules say, at most max_rows activities and max_rows lines, and returns the number of both.
create or replace function agentexec._prune_due(max_rows int)
  returns int
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_everything record := agentexec._scope_of('');
  v_count      int;
begin
  if not exists (select from agentexec.retention) then
    return 0;
  end if;
  select p.activities + p.lines into v_count
  from agentexec._due_roots(null, null, null, v_everything, max_rows) due
  cross join agentexec._prune_trees(due.ids, due.times, v_everything, max_rows) p;
  return v_count;
end
$$;
