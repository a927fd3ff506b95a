-- Rights of agentexec: code, re-applied whole after triggers.sql at every upgrade, and whenever they are not as they should
-- be. Before it, pkg/migrate takes EXECUTE on every function of functions.sql and triggers.sql from PUBLIC, and on no other
-- function of the schema.

-- Functions that only compute are open to every role that has USAGE of the schema, because the functions that read run with their
-- caller's rights: a grant of the public ones is enough.
grant execute on function
  agentexec._raise_invalid(text),
  agentexec._json_problem(text, jsonb),
  agentexec._line_problem(text, double precision, jsonb),
  agentexec._check_line(text, double precision, jsonb),
  agentexec._status_of(text),
  agentexec._filter_problem(jsonb),
  agentexec._matches_all(jsonb),
  agentexec._metadata_filter(jsonb),
  agentexec._matches(jsonb, jsonb),
  agentexec._scope_of(text),
  agentexec._scope(),
  agentexec._in_scope(uuid[], text[], jsonb, uuid, text, jsonb),
  agentexec._time(timestamptz),
  agentexec._is_stale(agentexec.status, timestamptz, timestamptz, interval),
  agentexec._life_json(agentexec.activity),
  agentexec._cancel_json(uuid, int, timestamptz, boolean),
  agentexec._log_json(agentexec.activity_log),
  agentexec._activity_json(agentexec.activity, boolean),
  agentexec._state_json(agentexec.activity),
  agentexec._rank(agentexec.status),
  agentexec._list_key(agentexec.activity),
  agentexec._list_start(),
  agentexec._list_position(text),
  agentexec._cut_page(text[], uuid[], boolean),
  agentexec._check_detail(int, int),
  agentexec._lines_page(uuid, int, int, bigint),
  agentexec._detail_page(uuid, jsonb, int, int, boolean),
  agentexec._stale_activities(),
  agentexec._installed(),
  agentexec._refuse(text),
  agentexec._asks_nothing(jsonb)
to public;
