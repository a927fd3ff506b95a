-- Functions and operators.
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true); -- nothing planted reaches the rest

create sequence $schema.planted_calls;
grant select, usage on sequence $schema.planted_calls to public;

-- plant makes a function that counts its call and raises an error, unless there is one.
create function $schema.plant(name text, arguments text, result text) returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  if to_regprocedure(format('$schema.%I(%s)', name, arguments)) is not null then
    return;
  end if;
  execute format(
    'create function $schema.%I(%s) returns %s language plpgsql as %L', name, arguments, result, format(
      'begin perform pg_catalog.nextval(%L::pg_catalog.regclass); raise exception %L; end',
      '$schema.planted_calls', format('planted function ran: $schema.%s(%s)', name, arguments)));
end
$$;

-- The functions and aggregates of pg_catalog that take our types: with the same arguments, and with our types in place
-- of polymorphic ones.
do $do$
declare
  v_types constant text[] := '{agentexec.status,uuid,jsonb,json,timestamptz,interval,int4,int8,numeric,float8,text,name,oid,xid8,bool}';
  v_takes constant oid[] := v_types::regtype[]::oid[] || 'regclass'::regtype || array(select t.typarray from unnest(v_types::regtype[]) u(type) join pg_type t on t.oid = u.type);
  v_any   constant oid[] := array(select t.oid from pg_type t where t.typtype = 'p' and t.typname like 'any%');
  f record;
  v_type text;
  v_arguments text;
begin
  for f in
    select p.proname as name, p.proargtypes::oid[] as types, p.proretset as set, p.prorettype as result, p.proargtypes::oid[] && v_any as polymorphic
    from pg_proc p
    where p.pronamespace = 'pg_catalog'::regnamespace
      and p.proargtypes::oid[] <@ (v_takes || v_any)
      and (p.prorettype = any (v_takes || v_any) or p.prorettype in ('void'::regtype, 'record'::regtype))
      and not exists (select from pg_operator o where o.oprcode = p.oid)
  loop
    foreach v_type in array case when f.polymorphic then v_types else '{int4}' end loop
      v_arguments := (
        select string_agg(case
            when t.typname in ('anyarray', 'anycompatiblearray') then v_type || '[]'
            when t.typname like 'any%' then v_type
            else a.type::regtype::text end, ', ' order by a.ord)
        from unnest(f.types) with ordinality a(type, ord)
        join pg_type t on t.oid = a.type);
      perform $schema.plant(f.name, coalesce(v_arguments, ''), case when f.set then 'setof ' else '' end || (
        select case
            when t.typname = 'record' and f.set then 'text' -- any type will do
            when t.typname in ('anyarray', 'anycompatiblearray') then v_type || '[]'
            when t.typname like 'any%' or t.typname = 'record' then v_type
            else f.result::regtype::text end
        from pg_type t where t.oid = f.result));
    end loop;
  end loop;
  -- Functions with any number of arguments of any type, and constructs that are no functions.
  for f in
    select n.name, a.arguments
    from unnest('{format,concat,json_build_object,jsonb_build_object,num_nonnulls,coalesce,greatest,nullif,count,row}'::text[]) n(name)
    cross join (
      select t as arguments from unnest(v_types) t
      union all select 'text, ' || t from unnest(v_types) t
      union all select 'text, text, ' || t from unnest(v_types) t
    ) a
  loop
    perform $schema.plant(f.name, f.arguments, 'text');
  end loop;
end
$do$;

-- The operators that SQL names, for pairs of our types: where pg_catalog has the same one, it is shadowed; where
-- pg_catalog has one for polymorphic or other types only, the exact match wins.
do $do$
declare
  v_types constant text[] := '{agentexec.status,uuid,jsonb,json,timestamptz,interval,int4,int8,numeric,float8,text,name,oid,xid8,bool,regclass,agentexec.activity,agentexec.activity_log}';
  v_names constant text[] := '{=,<>,<,<=,>,>=,+,-,*,/,%,||,@>,<@,->,->>,#>,?,~,!~,~~,&&}';
  v_pair record;
  v_name text;
begin
  for v_pair in
    select t as l, t as r from unnest(v_types) t
    union all select t || '[]', t || '[]' from unnest(v_types) t where t in ('agentexec.status', 'uuid', 'jsonb', 'text', 'int4', 'int8', 'xid8')
    union all select t || '[]', t from unnest('{agentexec.status,uuid,jsonb,text,int4}'::text[]) t
    union all select t, t || '[]' from unnest('{agentexec.status,uuid,jsonb,text,int4}'::text[]) t
    union all select l, r from unnest('{int4,int8,numeric,float8}'::text[]) l, unnest('{int4,int8,numeric,float8}'::text[]) r where l <> r
    union all values ('jsonb', 'text[]'), ('jsonb', 'text'), ('jsonb', 'int4'), ('text', 'jsonb'), ('json', 'text'), ('json', 'int4'),
      ('timestamptz', 'interval'), ('interval', 'float8'), ('name', 'text'), ('text', 'name'), ('agentexec.status', 'text'),
      ('text', 'agentexec.status'), ('text', 'int4'), ('text', 'int8'), ('oid', 'regclass'), ('regclass', 'oid')
  loop
    perform $schema.plant('planted_operator', v_pair.l || ', ' || v_pair.r, 'bool');
    foreach v_name in array v_names loop
      execute format('create operator $schema.%s (leftarg = %s, rightarg = %s, function = $schema.planted_operator)', v_name, v_pair.l, v_pair.r);
    end loop;
  end loop;
end
$do$;
