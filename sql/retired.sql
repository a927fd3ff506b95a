-- Retired signatures, and names of the release before. Code, re-applied whole after stats.sql at every upgrade.

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
    ('agentexec._children_json(uuid, uuid[], text[], jsonb)', array['agentexec._children_json(uuid[], uuid[], text[], jsonb)']),
    ('agentexec._cut_page(text[], uuid[], boolean)', array['agentexec._cut_page(text[], uuid[], boolean, jsonb[])']),
    ('agentexec._list_text(int, int, agentexec.status[], text, jsonb, text, boolean, boolean, text, text, timestamptz, timestamptz, text, uuid, uuid, boolean, boolean, boolean)', array[]::text[]),
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
