-- deltaflood 0.1.0: schema captures, grants and slots, for the operator of a database that is
-- streamed. The stream itself needs none of it.
--
--   CREATE EXTENSION deltaflood;                          -- into the schema deltaflood
--   SELECT * FROM deltaflood.capture_schema();            -- what changed since the last capture
--   SELECT deltaflood.grant_stream('streamer');
--   SELECT deltaflood.grant_seed('mirror', 'flights', 'ops.aircraft');
--   SELECT * FROM deltaflood.slots;
--
-- Where nothing may be installed on the server, a psql session does the same (and has the
-- search_path below from then on):
--   CREATE SCHEMA deltaflood;  \i deltaflood--0.1.0.sql
--
-- Security. Nothing is SECURITY DEFINER: whoever calls a function needs the rights for what it
-- does. PUBLIC gets nothing; pg_monitor reads `slots`. Every name in this script and in every
-- function is looked up in pg_catalog alone, and our own objects are named with their schema, so
-- that nothing another role has made in any schema is run. What remains is trust in the owner of
-- the extension, who may replace its functions: call them as no mightier role than that one.

-- Until the end of the script, however it is run: a view keeps what its names meant here. CREATE
-- EXTENSION begins with our own schema in the path, psql with whatever the session has.
SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp',
  EXISTS (SELECT FROM pg_catalog.pg_extension
          WHERE extname OPERATOR(pg_catalog.=) 'deltaflood'::pg_catalog.name));

-- The schema is ours alone. In one that somebody else has prepared, or may add to, a function or an
-- operator of theirs could stand in for ours.
DO $$
DECLARE
  ours pg_catalog.pg_namespace;
BEGIN
  SELECT * INTO ours FROM pg_catalog.pg_namespace WHERE nspname = 'deltaflood';
  IF NOT FOUND THEN
    RAISE EXCEPTION 'schema "deltaflood" does not exist'
      USING ERRCODE = 'undefined_object', HINT = 'CREATE SCHEMA deltaflood;';
  END IF;
  IF ours.nspowner <> (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER) THEN
    RAISE EXCEPTION 'schema "deltaflood" is owned by role "%"', pg_get_userbyid(ours.nspowner)
      USING ERRCODE = 'insufficient_privilege',
            HINT = 'Look what is in it, then DROP SCHEMA deltaflood, or make it yours: ALTER SCHEMA '
                   'deltaflood OWNER TO CURRENT_USER.';
  END IF;
  IF EXISTS (SELECT FROM aclexplode(ours.nspacl) a
             WHERE a.privilege_type = 'CREATE' AND a.grantee <> ours.nspowner) THEN
    RAISE EXCEPTION 'schema "deltaflood" lets others than its owner create objects'
      USING ERRCODE = 'insufficient_privilege',
            HINT = 'REVOKE CREATE ON SCHEMA deltaflood FROM ...; then look what is in it.';
  END IF;
  IF EXISTS (SELECT FROM pg_catalog.pg_depend
             WHERE refclassid = 'pg_namespace'::regclass AND refobjid = ours.oid
               AND classid <> 'pg_extension'::regclass) THEN
    RAISE EXCEPTION 'schema "deltaflood" is not empty'
      USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Look what is in it, then DROP SCHEMA deltaflood CASCADE.';
  END IF;
END $$;

-- What is there now ----------------------------------------------------------------------------

-- Tables that could be followed: permanent, outside system schemas and our own.
CREATE VIEW deltaflood.live_tables AS
SELECT c.oid                                               AS table_oid,
       n.nspname                                           AS schema_name,
       c.relname                                           AS table_name,
       c.relkind = 'p'                                     AS partitioned,
       CASE WHEN c.relispartition THEN i.inhparent END     AS partition_of,
       CASE c.relreplident WHEN 'd' THEN 'default' WHEN 'i' THEN 'index'
                           WHEN 'f' THEN 'full' ELSE 'nothing' END AS replica_identity,
       p.columns                                           AS primary_key,
       CASE c.relreplident WHEN 'd' THEN p.columns WHEN 'i' THEN r.columns END AS identity_key
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid AND c.relispartition
LEFT JOIN LATERAL (
  SELECT (SELECT array_agg(a.attname ORDER BY k.position)
          FROM unnest(x.indkey[:x.indnkeyatts - 1]) WITH ORDINALITY k (attnum, position)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum) AS columns
  -- A deferrable key cannot identify a row in the log.
  FROM pg_catalog.pg_index x
  WHERE x.indrelid = c.oid AND x.indisprimary AND x.indimmediate AND x.indisvalid) p ON true
LEFT JOIN LATERAL (
  SELECT (SELECT array_agg(a.attname ORDER BY k.position)
          FROM unnest(x.indkey[:x.indnkeyatts - 1]) WITH ORDINALITY k (attnum, position)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum) AS columns
  FROM pg_catalog.pg_index x
  WHERE x.indrelid = c.oid AND x.indisreplident AND x.indisvalid) r ON true
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'deltaflood')
  AND n.nspname !~ '^pg_(toast|temp_)';

COMMENT ON VIEW deltaflood.live_tables IS
  'permanent tables outside system schemas, with what identifies a row of them in the log';

CREATE VIEW deltaflood.live_columns AS
SELECT a.attrelid                                              AS table_oid,
       a.attnum,
       a.attname                                               AS column_name,
       pg_catalog.format_type(a.atttypid, a.atttypmod)         AS type,
       a.attnotnull                                            AS not_null,
       CASE WHEN a.attgenerated <> '' THEN 'generated' WHEN a.attidentity <> '' THEN 'identity'
            WHEN a.atthasdef THEN 'default' END                AS filled_by,
       pg_catalog.pg_get_expr(d.adbin, d.adrelid)              AS expression
FROM pg_catalog.pg_attribute a
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped
  AND a.attrelid IN (SELECT table_oid FROM deltaflood.live_tables);

COMMENT ON VIEW deltaflood.live_columns IS 'the columns of live_tables';

-- What was there at each capture ---------------------------------------------------------------

CREATE TABLE deltaflood.captures (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  captured_at  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  captured_by  name        NOT NULL DEFAULT CURRENT_USER,
  lsn          pg_lsn,              -- where the log was then; NULL on a standby
  patterns     text[]      NOT NULL,  -- what it was asked for; empty: all with a usable identity
  table_count  integer     NOT NULL DEFAULT 0,
  change_count integer     NOT NULL DEFAULT 0
);
COMMENT ON TABLE deltaflood.captures IS 'one row for each call of capture_schema()';

-- A row for each state a table or column was found in: from capture `since` on, until capture
-- `until` found another. until IS NULL: what the last capture found.
CREATE TABLE deltaflood.tables (
  since            bigint  NOT NULL REFERENCES deltaflood.captures,
  until            bigint  REFERENCES deltaflood.captures,
  table_oid        oid     NOT NULL,
  schema_name      name    NOT NULL,
  table_name       name    NOT NULL,
  partitioned      boolean NOT NULL,
  partition_of     oid,
  replica_identity text    NOT NULL,  -- default, index, full, nothing
  primary_key      name[],
  identity_key     name[],            -- NULL with default or index: rows cannot be identified
  PRIMARY KEY (table_oid, since)
);
CREATE UNIQUE INDEX ON deltaflood.tables (table_oid) WHERE until IS NULL;
COMMENT ON TABLE deltaflood.tables IS 'each state of each table, from capture to capture';

CREATE TABLE deltaflood.columns (
  since       bigint   NOT NULL REFERENCES deltaflood.captures,
  until       bigint   REFERENCES deltaflood.captures,
  table_oid   oid      NOT NULL,
  attnum      smallint NOT NULL,
  column_name name     NOT NULL,
  type        text     NOT NULL,  -- as format_type() and the stream's schema lines spell it
  not_null    boolean  NOT NULL,
  filled_by   text,               -- default, identity, generated, or NULL
  expression  text,
  PRIMARY KEY (table_oid, attnum, since)
);
CREATE UNIQUE INDEX ON deltaflood.columns (table_oid, attnum) WHERE until IS NULL;
COMMENT ON TABLE deltaflood.columns IS 'each state of each column, from capture to capture';

CREATE TABLE deltaflood.changes (
  capture_id  bigint NOT NULL REFERENCES deltaflood.captures,
  table_oid   oid    NOT NULL,
  table_name  text   NOT NULL,  -- qualified and quoted, as it is called after the change
  column_name name,             -- NULL: the change is the table's
  change      text   NOT NULL,
  old_value   text,
  new_value   text
);
CREATE INDEX ON deltaflood.changes (capture_id);
COMMENT ON TABLE deltaflood.changes IS 'what each capture found changed since the one before';

-- So that pg_dump carries the history, not only the definitions. (As a plain script there is no
-- extension to be part of.)
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'deltaflood') THEN
    PERFORM pg_catalog.pg_extension_config_dump('deltaflood.captures', '');
    PERFORM pg_catalog.pg_extension_config_dump('deltaflood.captures_id_seq', '');
    PERFORM pg_catalog.pg_extension_config_dump('deltaflood.tables', '');
    PERFORM pg_catalog.pg_extension_config_dump('deltaflood.columns', '');
    PERFORM pg_catalog.pg_extension_config_dump('deltaflood.changes', '');
  END IF;
END $$;

-- Whether a table is meant by a pattern, which is what the plugin's option `tables` takes:
-- [schema.]table, where * stands for any characters and no schema means public; a lone * is every
-- table. Or a name quoted as SQL does it, without *.
CREATE FUNCTION deltaflood.matches(schema_name name, table_name name, pattern text)
RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT pattern IN ('*', format('%I.%I', schema_name, table_name),
                     CASE WHEN schema_name = 'public' THEN quote_ident(table_name) END)
      OR schema_name || '.' || table_name
         LIKE replace(replace(replace(replace(
                CASE WHEN strpos(pattern, '.') > 0 THEN pattern ELSE 'public.' || pattern END,
                '\', '\\'), '_', '\_'), '%', '\%'), '*', '%')
$$;

-- Reads the tables of the given patterns, or all with a usable replica identity, stores what
-- differs from the last capture, and returns that. Matching is by OID and attribute number, so a
-- rename is a rename. With patterns, tables outside them stay as they are.
CREATE FUNCTION deltaflood.capture_schema(VARIADIC patterns text[] DEFAULT '{}')
RETURNS SETOF deltaflood.changes LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  capture     bigint;
  unmatched   text;
  scope       oid[];  -- tables there are, that this capture is about
  gone        oid[];  -- tables of an earlier capture, that are no longer
BEGIN
  patterns := coalesce(patterns, '{}');
  -- One capture at a time, or two would both store the same change.
  LOCK TABLE deltaflood.captures IN SHARE ROW EXCLUSIVE MODE;

  SELECT pattern INTO unmatched FROM unnest(patterns) pattern
  WHERE NOT EXISTS (SELECT FROM deltaflood.live_tables t
                    WHERE deltaflood.matches(t.schema_name, t.table_name, pattern))
    AND NOT EXISTS (SELECT FROM deltaflood.tables t WHERE t.until IS NULL
                    AND deltaflood.matches(t.schema_name, t.table_name, pattern))
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'no table matches pattern "%"', unmatched
      USING ERRCODE = 'undefined_table',
            HINT = 'A pattern is [schema.]table where * is any characters; without a schema it means public.';
  END IF;

  SELECT coalesce(array_agg(t.table_oid), '{}') INTO scope
  FROM deltaflood.live_tables t
  WHERE CASE WHEN patterns = '{}'
             THEN t.replica_identity = 'full' OR t.identity_key IS NOT NULL
             ELSE EXISTS (SELECT FROM unnest(patterns) pattern
                          WHERE deltaflood.matches(t.schema_name, t.table_name, pattern)) END
     -- Once captured, a table stays in sight, also renamed or without its key.
     OR t.table_oid IN (
          SELECT k.table_oid FROM deltaflood.tables k
          WHERE k.until IS NULL AND (patterns = '{}' OR EXISTS (
            SELECT FROM unnest(patterns) pattern
            WHERE deltaflood.matches(k.schema_name, k.table_name, pattern))));

  SELECT coalesce(array_agg(k.table_oid), '{}') INTO gone
  FROM deltaflood.tables k
  WHERE k.until IS NULL
    AND NOT EXISTS (SELECT FROM deltaflood.live_tables t WHERE t.table_oid = k.table_oid)
    AND (patterns = '{}' OR EXISTS (
          SELECT FROM unnest(patterns) pattern
          WHERE deltaflood.matches(k.schema_name, k.table_name, pattern)));

  INSERT INTO deltaflood.captures (lsn, patterns, table_count)
  VALUES (CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_lsn() END, patterns,
          cardinality(scope))
  RETURNING id INTO capture;

  -- Tables.
  INSERT INTO deltaflood.changes (capture_id, table_oid, table_name, change, old_value, new_value)
  SELECT capture, t.table_oid, format('%I.%I', t.schema_name, t.table_name), d.change, d.was, d.now
  FROM deltaflood.live_tables t
  LEFT JOIN deltaflood.tables k ON k.table_oid = t.table_oid AND k.until IS NULL
  CROSS JOIN LATERAL (VALUES
    (1, 'table added', NULL, NULL, k.table_oid IS NULL),
    (2, 'table renamed', quote_ident(k.schema_name) || '.' || quote_ident(k.table_name),
        format('%I.%I', t.schema_name, t.table_name),
        (k.schema_name, k.table_name) <> (t.schema_name, t.table_name)),
    (3, 'partition of', k.partition_of::regclass::text, t.partition_of::regclass::text,
        k.table_oid IS NOT NULL AND k.partition_of IS DISTINCT FROM t.partition_of),
    (4, 'replica identity', k.replica_identity, t.replica_identity,
        k.replica_identity <> t.replica_identity),
    (5, 'primary key', array_to_string(k.primary_key, ', '), array_to_string(t.primary_key, ', '),
        k.table_oid IS NOT NULL AND k.primary_key IS DISTINCT FROM t.primary_key),
    (6, 'identity key', array_to_string(k.identity_key, ', '),
        array_to_string(t.identity_key, ', '),
        k.table_oid IS NOT NULL AND k.identity_key IS DISTINCT FROM t.identity_key)
  ) d (rank, change, was, now, differs)
  WHERE t.table_oid = ANY (scope) AND d.differs
  ORDER BY t.schema_name, t.table_name, d.rank;

  INSERT INTO deltaflood.changes (capture_id, table_oid, table_name, change)
  SELECT capture, k.table_oid, format('%I.%I', k.schema_name, k.table_name), 'table dropped'
  FROM deltaflood.tables k
  WHERE k.until IS NULL AND k.table_oid = ANY (gone)
  ORDER BY k.schema_name, k.table_name;

  -- Columns of tables that were there before; those of a new table are part of its being new.
  INSERT INTO deltaflood.changes
    (capture_id, table_oid, table_name, column_name, change, old_value, new_value)
  SELECT capture, t.table_oid, format('%I.%I', t.schema_name, t.table_name),
         coalesce(c.column_name, k.column_name), d.change, d.was, d.now
  FROM (SELECT * FROM deltaflood.live_columns WHERE table_oid = ANY (scope)) c
  FULL JOIN (SELECT * FROM deltaflood.columns
             WHERE until IS NULL AND table_oid = ANY (scope)) k
    ON k.table_oid = c.table_oid AND k.attnum = c.attnum
  JOIN deltaflood.live_tables t ON t.table_oid = coalesce(c.table_oid, k.table_oid)
  JOIN deltaflood.tables before ON before.table_oid = t.table_oid AND before.until IS NULL
  CROSS JOIN LATERAL (VALUES
    (1, 'column added', NULL, c.type, k.attnum IS NULL),
    (2, 'column dropped', k.type, NULL, c.attnum IS NULL),
    (3, 'column renamed', k.column_name::text, c.column_name::text,
        k.column_name <> c.column_name),
    (4, 'type', k.type, c.type, k.type <> c.type),
    (5, 'not null', k.not_null::text, c.not_null::text, k.not_null <> c.not_null),
    (6, 'filled by', concat_ws(' ', k.filled_by, k.expression),
        concat_ws(' ', c.filled_by, c.expression),
        k.attnum IS NOT NULL AND c.attnum IS NOT NULL
        AND (k.filled_by, k.expression) IS DISTINCT FROM (c.filled_by, c.expression))
  ) d (rank, change, was, now, differs)
  WHERE d.differs
  ORDER BY t.schema_name, t.table_name, coalesce(c.attnum, k.attnum), d.rank;

  -- Close what is no longer so, then open what is now.
  UPDATE deltaflood.tables k SET until = capture
  WHERE k.until IS NULL AND (k.table_oid = ANY (gone) OR k.table_oid = ANY (scope) AND NOT EXISTS (
    SELECT FROM deltaflood.live_tables t
    WHERE t.table_oid = k.table_oid
      AND (t.schema_name, t.table_name, t.partitioned, t.partition_of, t.replica_identity,
           t.primary_key, t.identity_key)
          IS NOT DISTINCT FROM
          (k.schema_name, k.table_name, k.partitioned, k.partition_of, k.replica_identity,
           k.primary_key, k.identity_key)));
  INSERT INTO deltaflood.tables
  SELECT capture, NULL, t.*
  FROM deltaflood.live_tables t
  WHERE t.table_oid = ANY (scope)
    AND NOT EXISTS (SELECT FROM deltaflood.tables k
                    WHERE k.table_oid = t.table_oid AND k.until IS NULL);

  UPDATE deltaflood.columns k SET until = capture
  WHERE k.until IS NULL AND (k.table_oid = ANY (gone) OR k.table_oid = ANY (scope) AND NOT EXISTS (
    SELECT FROM deltaflood.live_columns c
    WHERE c.table_oid = k.table_oid AND c.attnum = k.attnum
      AND (c.column_name, c.type, c.not_null, c.filled_by, c.expression)
          IS NOT DISTINCT FROM
          (k.column_name, k.type, k.not_null, k.filled_by, k.expression)));
  INSERT INTO deltaflood.columns
  SELECT capture, NULL, c.*
  FROM deltaflood.live_columns c
  WHERE c.table_oid = ANY (scope)
    AND NOT EXISTS (SELECT FROM deltaflood.columns k
                    WHERE k.table_oid = c.table_oid AND k.attnum = c.attnum AND k.until IS NULL);

  UPDATE deltaflood.captures
  SET change_count = (SELECT count(*) FROM deltaflood.changes WHERE capture_id = capture)
  WHERE id = capture;
  RETURN QUERY SELECT * FROM deltaflood.changes WHERE capture_id = capture;
END $$;

COMMENT ON FUNCTION deltaflood.capture_schema(text[]) IS
  'store and return what changed in the tables of these patterns since the last capture';

-- Grants ---------------------------------------------------------------------------------------

-- The role, checked to exist and to be able to log in. Raises what a caller can act on.
CREATE FUNCTION deltaflood.need_role(role name, replication boolean)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found_role pg_catalog.pg_roles;
  wanted     text := '';
BEGIN
  SELECT * INTO found_role FROM pg_catalog.pg_roles WHERE rolname = role;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'role "%" does not exist', role
      USING ERRCODE = 'undefined_object',
            HINT = format('CREATE ROLE %I LOGIN%s;', role,
                          CASE WHEN replication THEN ' REPLICATION' ELSE '' END);
  END IF;
  IF NOT found_role.rolcanlogin THEN wanted := wanted || ' LOGIN'; END IF;
  IF replication AND NOT found_role.rolreplication AND NOT found_role.rolsuper THEN
    wanted := wanted || ' REPLICATION';
  END IF;
  IF wanted = '' THEN RETURN; END IF;
  BEGIN
    EXECUTE format('ALTER ROLE %I%s', role, wanted);
    RAISE NOTICE 'role "%" now has%', role, wanted;
  EXCEPTION WHEN insufficient_privilege THEN
    RAISE EXCEPTION 'role "%" lacks%, and you may not give it', role, wanted
      USING ERRCODE = 'insufficient_privilege',
            HINT = format('Ask a superuser to run: ALTER ROLE %I%s;', role, wanted);
  END;
END $$;

-- What deltastream needs: to log in, to open a replication connection, to connect to this database
-- and to see the slots. Note that REPLICATION lets a role read every table's changes, whatever
-- filter deltastream is given. Repeating it changes nothing.
CREATE FUNCTION deltaflood.grant_stream(role name)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM deltaflood.need_role(role, true);
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
  EXECUTE format('GRANT USAGE ON SCHEMA deltaflood TO %I', role);
  EXECUTE format('GRANT SELECT ON deltaflood.slots TO %I', role);
END $$;

COMMENT ON FUNCTION deltaflood.grant_stream(name) IS
  'give a role what deltastream needs in this database';

-- What deltamirror needs to seed and to verify these tables: to log in and connect, and to read
-- them (SELECT includes LOCK ... IN ACCESS SHARE MODE). Seeding a view takes SELECT on its tables
-- too: name them. Raises when a table has row security that would hide rows from the role: a seed
-- reads all rows or none. Repeating it changes nothing.
CREATE FUNCTION deltaflood.grant_seed(role name, VARIADIC tables regclass[])
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  t record;
BEGIN
  PERFORM deltaflood.need_role(role, false);
  IF cardinality(tables) = 0 OR array_position(tables, NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'no table given to role "%"', role
      USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Name the tables: deltaflood.grant_seed(role, table, ...).';
  END IF;
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
  FOR t IN
    SELECT n.nspname, c.relname, c.relkind,
           c.relrowsecurity AND NOT r.rolbypassrls AND NOT r.rolsuper
             AND (c.relforcerowsecurity OR NOT pg_has_role(role, c.relowner, 'USAGE'))
             AS rows_hidden
    FROM (SELECT DISTINCT unnest(tables) AS oid) given
    LEFT JOIN pg_catalog.pg_class c ON c.oid = given.oid
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN pg_catalog.pg_roles r
    WHERE r.rolname = role
    ORDER BY 1, 2
  LOOP
    IF t.relname IS NULL OR t.relkind NOT IN ('r', 'p', 'v', 'm') THEN
      RAISE EXCEPTION '% is not a table', coalesce(format('%I.%I', t.nspname, t.relname), 'an OID')
        USING ERRCODE = 'wrong_object_type';
    END IF;
    IF t.rows_hidden THEN
      RAISE EXCEPTION 'row security of table %.% would hide rows from role "%"',
                      quote_ident(t.nspname), quote_ident(t.relname), role
        USING ERRCODE = 'insufficient_privilege',
              HINT = format('A mirror holds all rows: ALTER ROLE %I BYPASSRLS; or mirror another '
                            'table.', role);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', t.nspname, role);
    EXECUTE format('GRANT SELECT ON TABLE %I.%I TO %I', t.nspname, t.relname, role);
  END LOOP;
END $$;

COMMENT ON FUNCTION deltaflood.grant_seed(name, regclass[]) IS
  'give a role what deltamirror needs to seed and verify these tables';

-- Slots ----------------------------------------------------------------------------------------

-- Every slot of the cluster, as each holds back WAL. A slot that is not active, or whose retained
-- WAL grows, is what fills a primary's disk: look at wal_status and safe_wal_size.
CREATE VIEW deltaflood.slots AS
SELECT s.slot_name, s.plugin, s.database, s.active, s.active_pid AS pid, s.wal_status,
       s.restart_lsn, s.confirmed_flush_lsn,
       now.lsn - s.restart_lsn                                  AS retained_wal_bytes,
       pg_catalog.pg_size_pretty(now.lsn - s.restart_lsn)       AS retained_wal,
       now.lsn - coalesce(s.confirmed_flush_lsn, s.restart_lsn) AS lag_bytes,
       s.safe_wal_size,
       pg_catalog.age(coalesce(s.catalog_xmin, s.xmin))         AS xmin_age,
       s.temporary, s.two_phase
FROM pg_catalog.pg_replication_slots s,
     LATERAL (SELECT CASE WHEN pg_catalog.pg_is_in_recovery()
                          THEN pg_catalog.pg_last_wal_receive_lsn()
                          ELSE pg_catalog.pg_current_wal_lsn() END AS lsn) now;

COMMENT ON VIEW deltaflood.slots IS 'replication slots, with the WAL each retains and its lag';

REVOKE ALL ON ALL TABLES IN SCHEMA deltaflood FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA deltaflood FROM PUBLIC;
GRANT USAGE ON SCHEMA deltaflood TO pg_monitor;
GRANT SELECT ON deltaflood.slots TO pg_monitor;
