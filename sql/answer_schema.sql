-- The schema of an answer: the common subset of JSON Schema. Code, re-applied whole after retired.sql at every upgrade.
--
-- type, enum, const, required, properties, items, minimum, maximum, exclusiveMinimum, exclusiveMaximum, minLength, maxLength,
-- minItems and maxItems are checked. Other keywords are for the client that shows the form.

-- _schema_problem returns why a value is no schema, with its path, or null.
create or replace function agentexec._schema_problem(schema jsonb, path text default 'schema')
  returns text
  language plpgsql
  immutable parallel safe
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_types   constant text := '["null","boolean","integer","number","string","array","object"]';
  v_key     text;
  v_value   jsonb;
  v_problem text;
begin
  if jsonb_typeof(schema) = 'boolean' then
    return null;
  elsif jsonb_typeof(schema) <> 'object' then
    return format('%s must be a JSON object or a boolean, got %s', path, jsonb_typeof(schema));
  end if;
  for v_key, v_value in select * from jsonb_each(schema) loop
    v_problem := case
      when v_key = 'type' and not (v_types::jsonb @> v_value and jsonb_typeof(v_value) in ('string', 'array') and v_value <> '[]')
        then format('must be one of %s, or an array of them', array_to_string(array(select jsonb_array_elements_text(v_types::jsonb)), ', '))
      when v_key = 'enum' and (jsonb_typeof(v_value) <> 'array' or v_value = '[]') then 'must be an array of at least one value'
      when v_key = 'required' and (jsonb_typeof(v_value) <> 'array' or jsonb_path_exists(v_value, 'strict $[*] ? (@.type() != "string")'))
        then 'must be an array of strings'
      when v_key = 'properties' and jsonb_typeof(v_value) <> 'object' then 'must be a JSON object'
      when v_key in ('minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum') and jsonb_typeof(v_value) <> 'number' then 'must be a number'
      when v_key in ('minLength', 'maxLength', 'minItems', 'maxItems')
        and not case when jsonb_typeof(v_value) = 'number' then v_value::numeric >= 0 and v_value::numeric = floor(v_value::numeric) else false end
        then 'must be an integer of at least 0'
    end;
    if v_problem is not null then
      return format('%s.%s %s', path, v_key, v_problem);
    end if;
    if v_key = 'items' then
      v_problem := agentexec._schema_problem(v_value, path || '.items');
    elsif v_key = 'properties' then
      v_problem := (
        select p.problem
        from jsonb_each(v_value) e(name, schema)
        cross join agentexec._schema_problem(e.schema, format('%s.properties.%s', path, e.name)) p(problem)
        where p.problem is not null
        limit 1);
    end if;
    if v_problem is not null then
      return v_problem;
    end if;
  end loop;
  return null;
end
$$;

-- _answer_problem returns why a value does not match a schema, with its path, or null.
create or replace function agentexec._answer_problem(value jsonb, schema jsonb, path text default 'answer')
  returns text
  language plpgsql
  immutable parallel safe
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_type    text    := jsonb_typeof(value);
  v_types   jsonb   := case jsonb_typeof(schema -> 'type') when 'string' then jsonb_build_array(schema -> 'type') else schema -> 'type' end;
  v_number  numeric := case when jsonb_typeof(value) = 'number' then value::numeric end;
  v_length  int;
  v_missing text;
  v_problem text;
begin
  if schema is null or schema in ('true', '{}') then
    return null;
  elsif schema = 'false' then
    return format('%s is not allowed', path);
  end if;
  if v_types is not null and not (v_types ? v_type or (v_types ? 'integer' and coalesce(v_number = floor(v_number), false))) then
    return format('%s must be of type %s, got %s', path, array_to_string(array(select jsonb_array_elements_text(v_types)), ' or '), v_type);
  elsif schema ? 'enum' and not exists (select from jsonb_array_elements(schema -> 'enum') e(value) where e.value = _answer_problem.value) then
    return format('%s must be one of %s', path, left((schema -> 'enum')::text, 500));
  elsif schema ? 'const' and value <> schema -> 'const' then
    return format('%s must be %s', path, left((schema -> 'const')::text, 500));
  end if;

  if v_type = 'number' then
    return case
      when v_number < (schema ->> 'minimum')::numeric then format('%s must be at least %s, got %s', path, schema ->> 'minimum', v_number)
      when v_number > (schema ->> 'maximum')::numeric then format('%s must be at most %s, got %s', path, schema ->> 'maximum', v_number)
      when v_number <= (schema ->> 'exclusiveMinimum')::numeric then format('%s must be above %s, got %s', path, schema ->> 'exclusiveMinimum', v_number)
      when v_number >= (schema ->> 'exclusiveMaximum')::numeric then format('%s must be below %s, got %s', path, schema ->> 'exclusiveMaximum', v_number)
    end;
  elsif v_type = 'string' then
    v_length := char_length(value #>> '{}');
    return case
      when v_length < (schema ->> 'minLength')::numeric then format('%s must have at least %s characters, got %s', path, schema ->> 'minLength', v_length)
      when v_length > (schema ->> 'maxLength')::numeric then format('%s must have at most %s characters, got %s', path, schema ->> 'maxLength', v_length)
    end;
  elsif v_type = 'array' then
    v_length := jsonb_array_length(value);
    v_problem := case
      when v_length < (schema ->> 'minItems')::numeric then format('%s must have at least %s items, got %s', path, schema ->> 'minItems', v_length)
      when v_length > (schema ->> 'maxItems')::numeric then format('%s must have at most %s items, got %s', path, schema ->> 'maxItems', v_length)
    end;
    if v_problem is not null or not schema ? 'items' then
      return v_problem;
    end if;
    return (
      select p.problem
      from jsonb_array_elements(value) with ordinality e(item, ord)
      cross join agentexec._answer_problem(e.item, schema -> 'items', format('%s[%s]', path, e.ord - 1)) p(problem)
      where p.problem is not null
      order by e.ord
      limit 1);
  elsif v_type = 'object' then
    v_missing := (select r.name from jsonb_array_elements_text(schema -> 'required') r(name) where not value ? r.name limit 1);
    if v_missing is not null then
      return format('%s.%s is required', path, v_missing);
    end if;
    return (
      select p.problem
      from jsonb_each(value) e(name, value)
      cross join agentexec._answer_problem(e.value, schema -> 'properties' -> e.name, format('%s.%s', path, e.name)) p(problem)
      where schema -> 'properties' ? e.name and p.problem is not null
      limit 1);
  end if;
  return null;
end
$$;
