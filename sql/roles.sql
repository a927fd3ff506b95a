-- Roles of agentexec, made by `agentexec migrate --roles`. They belong to the cluster, not to a database or schema: what is
-- granted here adds to what another installation granted them. None can log in; grant them to your own.
--
--   agentexec_worker    writes: may call the functions that write, and has no right to a table
--   agentexec_reader    reads: may call the functions that read, and select from the view and the four tables beneath
--   agentexec_sidecar   both, and what `agentexec serve` does beside; it sees everything, because it is what narrows others

do $$
declare
  v_role text;
begin
  foreach v_role in array '{agentexec_worker,agentexec_reader,agentexec_sidecar}'::text[] loop
    if exists (select from pg_roles r where r.rolname = v_role) then
      continue;
    end if;
    begin
      execute format('create role %I nologin', v_role);
    exception
      when insufficient_privilege then
        raise exception using errcode = 'insufficient_privilege', message = format('role %s does not exist, and %s may not create it', v_role, current_user),
          hint = 'give it CREATEROLE, or have an administrator run: create role agentexec_worker; create role agentexec_reader; create role agentexec_sidecar';
      when duplicate_object or unique_violation then
        null; -- another session was faster, in another database
    end;
  end loop;
end
$$;

grant usage on schema agentexec to agentexec_worker, agentexec_reader, agentexec_sidecar;

grant execute on function
  agentexec.create_activity(text, text, uuid, jsonb, uuid),
  agentexec.append_log(uuid, text, double precision, agentexec.status, jsonb, int),
  agentexec.append_logs(jsonb),
  agentexec.complete(uuid, text, double precision, jsonb),
  agentexec.error(uuid, text, jsonb),
  agentexec.heartbeat(uuid, interval),
  agentexec.cancel(uuid, text, interval, text, boolean),
  agentexec.cancel_pending(text, jsonb, interval, text),
  agentexec.sweep(int),
  agentexec.ask(uuid, text, text, jsonb, interval),
  agentexec.withdraw(uuid, text),
  agentexec.get_question(uuid, text),
  agentexec.answer(uuid, text, jsonb, text),
  agentexec.decline(uuid, text, text)
to agentexec_worker, agentexec_sidecar;

grant execute on function
  agentexec.list_activities(int, int, agentexec.status[], text, jsonb, text, boolean, boolean, text, text, timestamptz, timestamptz, text, uuid, uuid, boolean, boolean, boolean),
  agentexec.activity_detail(uuid, jsonb, int, int, boolean),
  agentexec.count_active(jsonb),
  agentexec.count_by_status(text, jsonb, timestamptz, timestamptz, uuid, uuid, boolean, boolean, boolean),
  agentexec.stats(timestamptz, interval),
  agentexec.pending_ids(),
  agentexec.list_questions(agentexec.question_state, text, jsonb, text, int, uuid)
to agentexec_reader, agentexec_sidecar;
grant select on agentexec.activity, agentexec.activity_log, agentexec.activity_heartbeat, agentexec.question, agentexec.activity_list to agentexec_reader, agentexec_sidecar;

grant select on agentexec.schema_version, agentexec.retention to agentexec_sidecar;
