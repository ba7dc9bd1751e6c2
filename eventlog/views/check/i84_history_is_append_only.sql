-- I84: no role of the program but the owner may change or delete an event, on any partition.
SELECT NULL::smallint AS shard, NULL::text AS account, NULL::date AS trading_day, role.rolname AS role,
    part.oid::regclass::text AS table_name, act.name AS act
FROM pg_class AS part
CROSS JOIN pg_roles AS role
CROSS JOIN unnest(array['UPDATE', 'DELETE', 'TRUNCATE']) AS act (name)
WHERE part.relnamespace = 'oms'::regnamespace AND (part.relname LIKE 'event%'
        OR part.relname IN ('inbox', 'raw_frame', 'config_version', 'code_version', 'day_seal', 'archived_month'))
    AND part.relkind IN ('r', 'p') AND role.rolname IN ('oms_writer', 'oms_reader', 'oms_auditor')
    AND has_table_privilege(role.oid, part.oid, act.name)
