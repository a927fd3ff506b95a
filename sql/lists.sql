-- Lists of activities, and their counts. Code, re-applied whole after cancel.sql at every upgrade.

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
-- where it is asked for. metadata has the values that are already read, at the positions of the items, and null for those that are read
-- here. Each of these is judged by its stored size before it is read, and by its text before the next one.
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
    if include_metadata and v_item like '{%' then -- otherwise it is held
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

-- _list_text returns what list_activities returns, as text. The feed passes the items on unchanged, which saves their conversion to
-- jsonb and back. last_seen_at is the last key of an item, also with metadata: sameItem in wsfeed/list.go relies on it.
--
-- held names activities whose items the caller has. Such an item is replaced by its agent_id, a string, and its line, heartbeat and
-- children are not read. The order of the page and its members are read as always.
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
  stopping         boolean,
  held             uuid[]
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
                      cross join lateral (select a.* from agentexec.activity a where a.agent_id = p.agent_id offset 0) a
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
               cross join lateral (select a.* from agentexec.activity a where a.agent_id = p.agent_id offset 0) a
               order by p.n';
    v_rows := format(v_rows, v_from, v_beyond, v_order);
  else
    v_rows := 'select k.*, row_number() over () as n
               from (select a.* from %s%s order by %s limit $4 + 1) k';
    v_rows := format(v_rows, v_from, v_beyond, v_order);
  end if;

  -- The page is put together as text, and list_activities reads it as jsonb once: half the work of jsonb that is copied from object
  -- to object to array to page. Short metadata is read with its row; _cut_page reads the rest. The items are those of
  -- _activity_json, from rows, which is cheaper than from keys and values. The
  -- latest lines are looked up one by one: a join could read the whole log. Of a long one, only the beginning is read:
  -- its size is known without that. A join with the heartbeats could also change the order of the rows. A call of a function that is
  -- not inlined takes as long as reading several rows, so it is made only for the activities that need it, or once for all.
  execute format(
    'with page as materialized (%s)
     select array_agg(case when a.agent_id = any ($20) then to_json(a.agent_id) else row_to_json(i) end::text) filter (where a.n <= $4),
            array_agg(a.agent_id) filter (where a.n <= $4),
            array_agg(a.status) filter (where a.n <= $4), array_agg(a.created_at) filter (where a.n <= $4),
            array_agg(a.started_at) filter (where a.n <= $4), array_agg(a.updated_at) filter (where a.n <= $4),
            array_agg(a.finished_at) filter (where a.n <= $4), count(*) > $4,
            array_agg(case when a.metadata is null then ''null'' when pg_column_size(a.metadata) <= 300 and pg_column_compression(a.metadata) is null then a.metadata end)
              filter (where $19 and a.n <= $4)
     from page a
     left join lateral (
       select left(l.message, 500) as head, octet_length(l.message) as size
       from agentexec.activity_log l
       where l.activity_id = a.id and l.seq = a.last_seq and a.n <= $4 and not a.agent_id = any ($20)
       offset 0
     ) l on true
     left join lateral (
       select h.beat_at, h.expect_every
       from agentexec.activity_heartbeat h
       where h.activity_id = a.id and a.finished_at is null and a.n <= $4 and not a.agent_id = any ($20)
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
              (select agentexec._children_json(array(select p.agent_id from page p where p.n <= $4 and not p.agent_id = any ($20)), $9, $18, $11))
                -> a.agent_id::text as children,
              l.head as latest_log,
              coalesce(l.size > octet_length(l.head), false) as latest_log_truncated,
              agentexec._time(greatest(a.updated_at, h.beat_at)) as last_seen_at
     ) i',
    v_rows)
  into v_items, v_ids, v_statuses, v_created, v_started, v_updated, v_finished, v_more, v_metadata
  using statuses, v_type, v_filter, page_size,
        case when after is null then (page - 1)::bigint * page_size else 0 end,
        v_at_rank, v_at, v_at_id, v_scope.agent_ids, v_scope.agent_types, v_scope.metadata,
        since, until, v_ids_of.first, v_ids_of.last, parent_agent_id, root_agent_id, v_visible, include_metadata, coalesce(held, '{}');

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
  select agentexec._list_text(page, page_size, statuses, agent_type, metadata_filter, after, include_metadata, stale, sort, "order",
    since, until, id_prefix, parent_agent_id, root_agent_id, roots_only, waiting, stopping, null)::jsonb;
end;

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
