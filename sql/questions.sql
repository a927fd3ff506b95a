-- Questions: an agent waits for a person. Code, re-applied whole after answer_schema.sql at every upgrade.
--
-- A worker asks under a key of its choice, and a person answers or declines. Asking and closing each write a line with the
-- key in its data, so the feed shows them. The status of the activity does not change: open_questions says that it waits.
-- When the activity ends, its PENDING questions become WITHDRAWN; the line that ends the activity is the line of that.
--
-- A question whose time is over is EXPIRED for every reader at once. sweep() writes that down, with the line.

-- _send_answer notifies the workers that listen on <schema>_answer, with the agent_id. A worker that does not listen learns of the
-- answer when it reads the question again. The name of the schema is cut, so that the name of the channel is not too long.
create or replace function agentexec._send_answer(agent_id uuid)
  returns void
  language sql
  volatile
begin atomic
  select pg_notify(left(n.nspname, 56) || '_answer', agent_id::text)
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where c.oid = 'agentexec.activity_log'::regclass and pg_notification_queue_usage() <= 0.5;
end;

-- _question_state returns the state of a question now: one that is PENDING beyond its time is EXPIRED.
create or replace function agentexec._question_state(state agentexec.question_state, expires_at timestamptz)
  returns agentexec.question_state
  language sql
  stable parallel safe
begin atomic
  select case when state = 'PENDING' and expires_at <= statement_timestamp() then 'EXPIRED' else state end;
end;

-- Asking and closing ---------------------------------------------------------------------------------------------

-- _lock_question locks an activity in the session's scope, and returns its question as it is now.
--
-- Locks:  the activity row, until the transaction ends; it is also the lock of its questions.
-- Errors: TA404 no such activity or no such question, or it is outside the scope.
create or replace function agentexec._lock_question(agent_id uuid, key text)
  returns agentexec.question
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_question agentexec.question;
begin
  perform agentexec._lock_in_scope(agent_id);
  select q.* into v_question
  from agentexec.activity a
  join agentexec.question q on q.activity_id = a.id
  where a.agent_id = _lock_question.agent_id and q.key = _lock_question.key;
  if not found then
    raise exception using errcode = 'TA404',
      message = format('activity %s has no question with key %s', agent_id, coalesce(to_jsonb(left(key, 255))::text, 'null'));
  end if;
  v_question.state := agentexec._question_state(v_question.state, v_question.expires_at);
  return v_question;
end
$$;

-- _close_question closes a PENDING question with a line, and wakes the worker. The caller holds the lock of the activity.
create or replace function agentexec._close_question(
  question    agentexec.question,
  agent_id    uuid,
  state       agentexec.question_state,
  message     text,
  answer      jsonb,
  answered_by text
)
  returns agentexec.question
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_question agentexec.question;
  v_at       timestamptz;
begin
  update agentexec.activity a set open_questions = a.open_questions - 1 where a.agent_id = _close_question.agent_id;
  v_at := (agentexec._append_change(agent_id, message, null, null, jsonb_strip_nulls(jsonb_build_object(
    'question', question.key, 'state', _close_question.state, 'answered_by', _close_question.answered_by)))).created_at;
  update agentexec.question q
  set state = _close_question.state, answer = _close_question.answer, answered_by = _close_question.answered_by, closed_at = v_at
  where q.activity_id = question.activity_id and q.key = question.key
  returning q.* into v_question;
  perform agentexec._send_answer(agent_id);
  return v_question;
end
$$;

-- _check_answered_by raises TA422 for the name of a person that is too long.
create or replace function agentexec._check_answered_by(answered_by text)
  returns void
  language plpgsql
  immutable parallel safe
  set search_path = pg_catalog, pg_temp
as $$
begin
  if char_length(answered_by) > 255 then
    perform agentexec._raise_invalid(format('answered_by must be at most 255 characters, got %s', char_length(answered_by)));
  end if;
end
$$;

-- _raise_closed raises TA409 for a question that is closed already in another way.
create or replace function agentexec._raise_closed(agent_id uuid, question agentexec.question, problem text)
  returns void
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using errcode = 'TA409',
    message = format('question %s of activity %s is %s%s%s', to_jsonb(question.key), agent_id, question.state,
      ' by ' || question.answered_by, problem);
end
$$;

-- ask puts a question to a person, and returns it. The worker goes on, or waits until the question is no longer PENDING: it
-- listens on <schema>_answer or calls get_question. The same key and prompt again return the same question and write nothing,
-- so a worker that was restarted finds its question. A question that was withdrawn in an earlier attempt is asked anew. schema is a JSON Schema for the answer; answer() checks the common subset.
--
-- Locks:  the activity row, before the log row.
-- Errors: TA404 no such activity, or it is outside the scope; TA409 the activity has ended, or the key was used for another
--         prompt; TA422 key not of 1 to 255 characters, a bad prompt (as a message, not empty), schema that is no schema or above
--         65536 bytes, expires_in not above 0 and at most 365 days, or 100 questions of the activity are open.
create or replace function agentexec.ask(
  agent_id   uuid,
  key        text,
  prompt     text,
  schema     jsonb    default null,
  expires_in interval default null
)
  returns agentexec.question
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_schema   jsonb := nullif(ask.schema, 'null');
  v_problem  text;
  v_activity agentexec.activity;
  v_question agentexec.question;
  v_again    boolean := false;
  v_at       timestamptz;
begin
  v_problem := case
    when key is null or char_length(key) not between 1 and 255
      then format('key must be 1 to 255 characters, got %s', coalesce(char_length(key)::text, 'null'))
    when coalesce(prompt, '') = '' then 'prompt must not be empty'
    when octet_length(prompt) > 1048576 then format('prompt must be at most 1048576 bytes, got %s', octet_length(prompt))
    when expires_in <= '0' or expires_in > '365 days' then format('expires_in must be above 0 and at most 365 days, got %s', justify_hours(expires_in))
  end;
  if v_problem is null and v_schema is not null then
    v_problem := agentexec._json_problem('schema', v_schema);
    v_problem := coalesce(v_problem, case when octet_length(v_schema::text) > 65536
      then format('schema must be at most 65536 bytes as text, got %s', octet_length(v_schema::text)) else agentexec._schema_problem(v_schema) end);
  end if;
  if v_problem is not null then
    perform agentexec._raise_invalid(v_problem);
  end if;

  perform agentexec._lock_in_scope(agent_id);
  select a.* into v_activity from agentexec.activity a where a.agent_id = ask.agent_id;
  select q.* into v_question from agentexec.question q where q.activity_id = v_activity.id and q.key = ask.key;
  if found then
    if v_question.prompt <> ask.prompt then
      raise exception using errcode = 'TA409', message = format('activity %s asked another question with key %s', agent_id, to_jsonb(key));
    end if;
    -- The end of an attempt withdraws its questions. The next attempt asks them anew. No line of the new attempt is older than that end.
    v_again := v_question.state = 'WITHDRAWN' and v_activity.finished_at is null and coalesce((
      select l.attempt from agentexec.activity_log l
      where l.activity_id = v_activity.id and l.created_at <= v_question.closed_at
      order by l.seq desc
      limit 1), 0) < v_activity.attempt;
    if not v_again then
      v_question.state := agentexec._question_state(v_question.state, v_question.expires_at);
      return v_question;
    end if;
  elsif v_activity.finished_at is not null then
    raise exception using errcode = 'TA409', message = format('activity %s is %s and asks no question', agent_id, v_activity.status);
  end if;
  if v_activity.open_questions >= 100 then
    perform agentexec._raise_invalid(format('activity %s has 100 open questions; close one first', agent_id));
  end if;

  update agentexec.activity a set open_questions = a.open_questions + 1 where a.id = v_activity.id;
  v_at := (agentexec._append_change(agent_id, prompt, null, null, jsonb_build_object('question', key))).created_at;
  insert into agentexec.question as q (activity_id, key, prompt, schema, asked_at, expires_at)
  values (v_activity.id, ask.key, ask.prompt, v_schema, v_at, v_at + expires_in)
  on conflict on constraint question_pkey do update
  set schema = excluded.schema, state = 'PENDING', asked_at = excluded.asked_at, expires_at = excluded.expires_at, closed_at = null
  returning q.* into v_question;
  return v_question;
end
$$;

-- answer closes a question with the answer of a person. The same answer again returns the same row.
--
-- Locks:  the activity row, before the log row.
-- Errors: TA404 no such activity or question, or it is outside the scope; TA409 the question is closed with another answer, or
--         DECLINED, EXPIRED or WITHDRAWN; TA422 answer is null, out of its bounds (_json_problem) or breaks the schema, or answered_by
--         has more than 255 characters.
create or replace function agentexec.answer(agent_id uuid, key text, answer jsonb, answered_by text default null)
  returns agentexec.question
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_question agentexec.question;
  v_problem  text;
begin
  perform agentexec._check_answered_by(answered_by);
  v_problem := case when answer is null then 'answer must not be null' else agentexec._json_problem('answer', answer) end;
  if v_problem is not null then
    perform agentexec._raise_invalid(v_problem);
  end if;
  v_question := agentexec._lock_question(agent_id, key);
  if v_question.state = 'ANSWERED' and v_question.answer = answer.answer then
    return v_question;
  elsif v_question.state = 'ANSWERED' then
    perform agentexec._raise_closed(agent_id, v_question, ' with another answer');
  elsif v_question.state <> 'PENDING' then
    perform agentexec._raise_closed(agent_id, v_question, '');
  end if;
  v_problem := agentexec._answer_problem(answer.answer, v_question.schema);
  if v_problem is not null then
    perform agentexec._raise_invalid(v_problem);
  end if;
  return agentexec._close_question(v_question, agent_id, 'ANSWERED',
    format('Answered%s: %s', ' by ' || answered_by, left(answer.answer::text, 500)), answer.answer, answered_by);
end
$$;

-- decline closes a question without an answer, because a person refuses to give one. Again, it returns the same row.
--
-- Locks and errors: as answer.
create or replace function agentexec.decline(agent_id uuid, key text, answered_by text default null)
  returns agentexec.question
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_question agentexec.question;
begin
  perform agentexec._check_answered_by(answered_by);
  v_question := agentexec._lock_question(agent_id, key);
  if v_question.state = 'DECLINED' then
    return v_question;
  elsif v_question.state <> 'PENDING' then
    perform agentexec._raise_closed(agent_id, v_question, '');
  end if;
  return agentexec._close_question(v_question, agent_id, 'DECLINED', 'Declined' || coalesce(' by ' || answered_by, ''), null, answered_by);
end
$$;

-- withdraw closes a question that its worker no longer asks. Again, it returns the same row.
--
-- Locks and errors: as answer.
create or replace function agentexec.withdraw(agent_id uuid, key text)
  returns agentexec.question
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_question agentexec.question := agentexec._lock_question(agent_id, key);
begin
  if v_question.state = 'WITHDRAWN' then
    return v_question;
  elsif v_question.state <> 'PENDING' then
    perform agentexec._raise_closed(agent_id, v_question, '');
  end if;
  return agentexec._close_question(v_question, agent_id, 'WITHDRAWN', 'Question withdrawn', null, null);
end
$$;

-- _withdraw_questions closes the questions of an activity that ends, in the statement that ends it.
create or replace function agentexec._withdraw_questions()
  returns trigger
  language plpgsql
  volatile
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_relid <> 'agentexec.activity'::regclass then
    raise exception using errcode = 'insufficient_privilege', message = 'this trigger is for agentexec.activity alone';
  end if;
  update agentexec.question q
  set state     = case when q.expires_at <= new.finished_at then 'EXPIRED' else 'WITHDRAWN' end::agentexec.question_state,
      closed_at = new.finished_at
  where q.activity_id = new.id and q.state = 'PENDING';
  new.open_questions := 0;
  perform agentexec._send_answer(new.agent_id);
  return new;
end
$$;

-- An ordinary line does not set the status, so it does not meet this trigger.
create or replace trigger activity_withdraw_questions
  before update of status on agentexec.activity
  for each row
  when (old.open_questions operator(pg_catalog.>) 0 and new.finished_at is not null and old.finished_at is null)
  execute function agentexec._withdraw_questions();

-- _expire_due closes the questions whose time is over, at most max_rows, each with its line, and returns their number. It skips
-- activities that are locked; the next sweep finds them.
--
-- Locks: the activity rows that are free, before their log rows.
create or replace function agentexec._expire_due(max_rows int)
  returns int
  language plpgsql
  volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_now      constant timestamptz := clock_timestamp(); -- a value, so that the index finds what is due
  v_due      record;
  v_question agentexec.question;
  v_count    int := 0;
begin
  for v_due in
    select a.agent_id, q.activity_id, q.key
    from agentexec.question q
    join agentexec.activity a on a.id = q.activity_id
    where q.state = 'PENDING' and q.expires_at <= v_now and a.last_seq < 2147483647
    order by q.expires_at
    limit max_rows
    for no key update of a skip locked
  loop
    -- Another statement, because the question may have been closed before the activity was locked.
    select q.* into v_question
    from agentexec.question q
    where q.activity_id = v_due.activity_id and q.key = v_due.key and q.state = 'PENDING';
    continue when not found;
    perform agentexec._close_question(v_question, v_due.agent_id, 'EXPIRED', 'Question expired', null, null);
    v_count := v_count + 1;
  end loop;
  return v_count;
end
$$;

-- Reading --------------------------------------------------------------------------------------------------------

-- get_question returns a question as it is now.
--
-- Errors: TA404 no such activity or question, or it is outside the scope.
create or replace function agentexec.get_question(agent_id uuid, key text)
  returns agentexec.question
  language plpgsql
  stable
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_question agentexec.question;
begin
  select q.* into v_question
  from agentexec._scope() s
  cross join agentexec.activity a
  join agentexec.question q on q.activity_id = a.id
  where a.agent_id = get_question.agent_id and q.key = get_question.key
    and agentexec._in_scope(s.agent_ids, s.agent_types, s.metadata, a.agent_id, a.agent_type, a.metadata);
  if not found then
    raise exception using errcode = 'TA404', message = format('activity %s has no question with key %s',
      coalesce(agent_id::text, 'null'), coalesce(to_jsonb(left(key, 255))::text, 'null'));
  end if;
  v_question.state := agentexec._question_state(v_question.state, v_question.expires_at);
  return v_question;
end
$$;

-- _question_json returns a question as JSON, with the activity that asks it.
create or replace function agentexec._question_json(question agentexec.question, agent_id uuid, agent_type text)
  returns jsonb
  language sql
  stable parallel safe
begin atomic
  select jsonb_build_object(
    'agent_id', agent_id,
    'agent_type', agent_type,
    'key', question.key,
    'prompt', question.prompt,
    'schema', question.schema,
    'state', agentexec._question_state(question.state, question.expires_at),
    'answer', question.answer,
    'answered_by', question.answered_by,
    'asked_at', agentexec._time(question.asked_at),
    'expires_at', agentexec._time(question.expires_at),
    'closed_at', agentexec._time(question.closed_at));
end;

-- list_questions returns a page of questions, the oldest first: {"items": [...], "next": ...}. state null returns all states.
-- agent_type, metadata_filter and agent_id narrow it to the activities that match. after is "next" of the page before. A page ends early at
-- 4 MiB.
--
-- Errors: TA422 page_size not of 1 to 1000, after that is no "next", metadata_filter that is no filter.
create or replace function agentexec.list_questions(
  state           agentexec.question_state default 'PENDING',
  agent_type      text                     default null,
  metadata_filter jsonb                    default null,
  after           text                     default null,
  page_size       int                      default 50,
  agent_id        uuid                     default null
)
  returns jsonb
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_filter jsonb  := agentexec._metadata_filter(metadata_filter);
  v_scope  record := agentexec._scope();
  v_at     timestamptz;
  v_agent  uuid;
  v_key    text;
  v_items  jsonb;
  v_shown  int;
  v_more   boolean;
begin
  if page_size is null or page_size not between 1 and 1000 then
    perform agentexec._raise_invalid(format('page_size must be between 1 and 1000, got %s', coalesce(page_size::text, 'null')));
  end if;
  if after is not null then
    begin
      v_at := (after::jsonb ->> 0)::timestamptz;
      v_agent := (after::jsonb ->> 1)::uuid;
      v_key := after::jsonb ->> 2;
    exception
      when data_exception then
        v_at := null;
    end;
    if num_nulls(v_at, v_agent, v_key) > 0 then
      perform agentexec._raise_invalid('after must be "next" of an earlier page');
    end if;
  end if;

  -- The page ends where its text would exceed 4 MiB, but it has at least one item.
  with page as (
    select agentexec._question_json(q, a.agent_id, a.agent_type) as item, q.asked_at, a.agent_id, q.key
    from agentexec.question q
    join agentexec.activity a on a.id = q.activity_id
    where (list_questions.state is null or q.state = list_questions.state or list_questions.state = 'EXPIRED' and q.state = 'PENDING')
      and agentexec._question_state(q.state, q.expires_at) = coalesce(list_questions.state, agentexec._question_state(q.state, q.expires_at))
      and (list_questions.agent_type is null or a.agent_type = list_questions.agent_type)
      and (list_questions.agent_id is null or a.agent_id = list_questions.agent_id)
      and (v_filter is null or agentexec._matches(a.metadata, v_filter))
      and agentexec._in_scope(v_scope.agent_ids, v_scope.agent_types, v_scope.metadata, a.agent_id, a.agent_type, a.metadata)
      and (after is null or q.asked_at >= v_at)
      and (after is null or (q.asked_at, a.agent_id, q.key) > (v_at, v_agent, v_key))
    order by q.asked_at, a.agent_id, q.key
    limit page_size + 1
  ), sized as (
    select p.*, row_number() over w as n, sum(octet_length(p.item::text)) over w as bytes, count(*) over () as found
    from page p
    window w as (order by p.asked_at, p.agent_id, p.key)
  ), shown as (
    select s.* from sized s where s.n = 1 or (s.n <= page_size and s.bytes <= 4194304)
  )
  select coalesce(jsonb_agg(s.item order by s.n), '[]'), count(*), coalesce(max(s.found), 0) > count(*)
  into v_items, v_shown, v_more
  from shown s;
  return jsonb_build_object('items', v_items, 'next', case when v_more then jsonb_build_array(
    v_items -> (v_shown - 1) -> 'asked_at', v_items -> (v_shown - 1) -> 'agent_id', v_items -> (v_shown - 1) -> 'key')::text end);
end
$$;
