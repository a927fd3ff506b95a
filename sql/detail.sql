-- One activity with its lines. Code, re-applied whole after lists.sql at every upgrade.

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
