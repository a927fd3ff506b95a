-- Tables, each with a row type of its name: of our tables, of catalogs, and of every type that is used.
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true); -- nothing planted reaches the rest

do $do$
declare
  v_name name;
begin
  foreach v_name in array '{activity,activity_log,activity_list,owner_probe,schema_version,pg_class,pg_namespace,pg_proc,pg_roles,
      status,uuid,text,json,jsonb,timestamptz,timestamp,interval,regclass,oid,xid8,name,int4,int8,int2,bool,float8,numeric,pg_snapshot}'::name[] loop
    execute format('create table $schema.%I (agent_id pg_catalog.uuid, id pg_catalog.uuid, planted pg_catalog.text)', v_name);
    execute format('insert into $schema.%I (planted) values (%L)', v_name, 'x');
    execute format('grant select on $schema.%I to public', v_name);
  end loop;
end
$do$;
