-- deltaflood without its plugin: what `deltastream --source pgoutput` needs in a database whose
-- server takes no output plugin of ours. SQL and plpgsql only.
--
--   psql -d DATABASE -f deltaflood_managed.sql     -- or any other client: it is one transaction
--   CREATE PUBLICATION flood FOR TABLE ...;          -- unless there is one
--   SELECT deltaflood.install('flood');            -- before the slot is made
--
-- Run the file again to upgrade: it replaces what it made and keeps the rows. To take everything
-- away: SELECT deltaflood.uninstall(); docs/managed.md has the rights and the recipes.
--
-- pgoutput tells names, type OIDs and values. What else a `schema` line of a daystream needs (keys,
-- type names, labels of enums, partitions, ...) travels as rows of deltaflood.ddl, which is published
-- too: they lie in the order of the stream, between the rows of the old shape and those of the new,
-- and go with a savepoint that is rolled back. Event triggers write them at each DDL command.
--
-- THE TABLE  deltaflood.ddl, append-only:
--   id     grows; the newest row of a relid is the one with the largest id
--   xid    the transaction (64 bits) that wrote the row. A row that comes in another transaction,
--          by a restored dump or a copy, is not of this database: ignore it
--   relid  the table's OID; NULL with `error`
--   kind   shape    what the table is from here on; also its first row
--          gone     it is no longer in the publication: dropped, taken out, unlogged
--          rewrite  all of its rows are about to be rewritten; the rewritten ones are not streamed
--          error    a row could not be written: the shapes of all tables are unknown until their
--                   next `shape` row, which the next call that succeeds writes for each of them
--   shape  with `shape` only: the document below
--   hash   of the shape; two shapes of one relid with the same hash are the same. Otherwise opaque,
--          and another after a major upgrade
--   at     when the row was written, by the server's clock
-- A `shape` row may repeat what the one before it said. After two concurrent DDL commands, which
-- cannot see each other, it may say too little until the next: a Relation message of pgoutput that
-- does not agree with it makes the table unknown.
--
-- THE DOCUMENT  (absent keys: nothing of the kind)
--   v             1
--   oid           as relid
--   schema, name  as they are in the catalog
--   table         as `_table` has it, before escaping: quoted where it must be, without `public.`
--   kind          r table, p partitioned table (pg_class.relkind); others are never followed
--   persistence   p: others are never followed
--   ancestors     [oid, ...] of a partition: its parent first, the topmost table (`_root`) last. Each
--                 has a row of its own, published or not
--   identity      d, n, f or i (pg_class.relreplident): `_identity`
--   pkey, ikey    [attnum, ...] in the order of the index: `_pkey`, `_ikey`; absent: empty
--   publications  [{"name", "actions": some of "iudt", "via_root"} ...] of the followed publications
--                 that have the table, with "columns": [attnum, ...] where it has a list of columns
--                 there and "filtered": true where it has a row filter. [] of an ancestor that no
--                 publication has
--   columns       [{"n": attnum, "name", "type": as format_type with the typmod spells it, "oid":
--                 the type, "mod": atttypmod, "not_null": true, "generated": "s", "missing": text}
--                 ...] by attnum, without dropped and virtual ones. "missing" is what rows older than
--                 the column take for it, as the type's output function writes it (boolean: t, f)
--                 under the settings that the plugin decodes with; of a partitioned table, what the
--                 first of its partitions has that has one
--   types         [{"oid", "is": all that `_type_OID` says, "made_of": [oid, ...], "labels":
--                 [[oid, label], ...] by OID} ...] by OID: each type from 12000 on (initdb's are below)
--                 that a column has, and what they are made of. `_type_OID` fields of a line are in
--                 the order in which a walk meets them: for each column with such a type this, then
--                 in depth what is in made_of of types from 12000 on; each type once.
--                 After the `_type_OID` of an enum come its labels
--
-- Security. The functions that write are SECURITY DEFINER and run as their owner, the role that ran
-- this file; the caller of a DDL command is anybody. Every name in them is looked up in pg_catalog
-- alone; no text of a caller is executed; PUBLIC has no right on anything here. `install` and
-- `uninstall` run as who calls them.

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL client_min_messages = warning;

CREATE SCHEMA IF NOT EXISTS deltaflood;

-- The schema and what is to be replaced are ours alone: in a schema that somebody else has
-- prepared, or may add to, an object of theirs could stand in for ours.
DO $$
DECLARE
  ours pg_catalog.pg_namespace;
  other text;
BEGIN
  IF current_setting('server_version_num')::int < 150000 THEN
    RAISE EXCEPTION 'deltaflood needs PostgreSQL 15 or later, this is %',
      current_setting('server_version') USING HINT = 'Upgrade the server.';
  END IF;
  SELECT * INTO STRICT ours FROM pg_catalog.pg_namespace WHERE nspname = 'deltaflood';
  IF ours.nspowner <> (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER) THEN
    RAISE EXCEPTION 'schema "deltaflood" is owned by role "%"', pg_get_userbyid(ours.nspowner)
      USING ERRCODE = 'insufficient_privilege',
            HINT = 'Run this as that role, or look what is in the schema and drop it.';
  END IF;
  IF EXISTS (SELECT FROM aclexplode(ours.nspacl) a
             WHERE a.privilege_type = 'CREATE' AND a.grantee <> ours.nspowner) THEN
    RAISE EXCEPTION 'schema "deltaflood" lets others than its owner create objects'
      USING ERRCODE = 'insufficient_privilege',
            HINT = 'REVOKE CREATE ON SCHEMA deltaflood FROM ...; then look what is in it.';
  END IF;
  SELECT x.what INTO other FROM (
    SELECT pg_describe_object('pg_class'::regclass, c.oid, 0) AS what, c.relowner AS owner
    FROM pg_catalog.pg_class c WHERE c.relnamespace = ours.oid
    UNION ALL
    SELECT pg_describe_object('pg_proc'::regclass, p.oid, 0), p.proowner
    FROM pg_catalog.pg_proc p WHERE p.pronamespace = ours.oid) x
  WHERE x.owner <> ours.nspowner LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '% is not owned by the owner of schema "deltaflood"', other
      USING ERRCODE = 'insufficient_privilege', HINT = 'Look what it is, and drop it.';
  END IF;
END $$;

CREATE TABLE IF NOT EXISTS deltaflood.ddl (
  id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  xid   xid8        NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
  relid oid,
  kind  text        NOT NULL CHECK (kind IN ('shape', 'gone', 'rewrite', 'error')),
  shape jsonb,
  hash  text,
  at    timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
CREATE INDEX IF NOT EXISTS ddl_newest ON deltaflood.ddl (relid, id DESC) INCLUDE (kind, hash)
  WHERE kind IN ('shape', 'gone');
CREATE INDEX IF NOT EXISTS ddl_xid ON deltaflood.ddl (xid);
CREATE INDEX IF NOT EXISTS ddl_errors ON deltaflood.ddl (id) WHERE kind = 'error';

-- Reading the catalog --------------------------------------------------------------------------
-- All of one statement reads one snapshot, its caller's. The larger queries are plpgsql's, which
-- keeps their plans for the session.

-- What is followed: the tables of all publications that publish deltaflood.ddl and of `publication`
-- (where that is given: of it alone), with their partitions and the tables that they are partitions
-- of. `among`: no others than these.
CREATE OR REPLACE FUNCTION deltaflood.heads(publication name, among oid[])
RETURNS TABLE (oid oid, schema name, name name, "table" text, kind "char", persistence "char",
               ancestors int8[], identity "char", pkey int2[], ikey int2[], publications jsonb[])
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp SET jit = off SET quote_all_identifiers = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH RECURSIVE pubs AS MATERIALIZED (
    SELECT p.oid, p.puballtables, p.pubname,
           pg_catalog.jsonb_build_object(
             'name', p.pubname, 'via_root', p.pubviaroot,
             'actions', pg_catalog.concat(
               CASE WHEN p.pubinsert THEN 'i' END, CASE WHEN p.pubupdate THEN 'u' END,
               CASE WHEN p.pubdelete THEN 'd' END, CASE WHEN p.pubtruncate THEN 't' END)) AS doc
    FROM pg_catalog.pg_publication p
    WHERE p.pubname = publication OR p.puballtables
       OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel r
                  WHERE r.prpubid = p.oid
                    AND r.prrelid = 'deltaflood.ddl'::pg_catalog.regclass)
       OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s
                  WHERE s.pnpubid = p.oid
                    AND s.pnnspid = 'deltaflood'::pg_catalog.regnamespace)),
  -- Of all tables, so that there are no rows for each table and publication.
  everywhere AS MATERIALIZED (
    SELECT COALESCE(pg_catalog.array_agg(p.doc ORDER BY p.pubname), '{}') AS docs,
           pg_catalog.count(*) > 0 AND (publication IS NULL OR
             pg_catalog.bool_or(p.pubname = publication)) AS asked
    FROM pubs p WHERE p.puballtables),
  parents AS MATERIALIZED (
    SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE c.relispartition AND c.relkind IN ('r', 'p') AND NOT i.inhdetachpending),
  listed(pub, oid) AS (
    SELECT r.prpubid, r.prrelid FROM pubs p
    JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid
    UNION
    SELECT s.pnpubid, c.oid FROM pubs p
    JOIN pg_catalog.pg_publication_namespace s ON s.pnpubid = p.oid
    JOIN pg_catalog.pg_class c ON c.relnamespace = s.pnnspid AND c.relkind IN ('r', 'p')
    UNION
    SELECT l.pub, p.inhrelid FROM listed l JOIN parents p ON p.inhparent = l.oid),
  members AS MATERIALIZED (
    SELECT l.oid,
           pg_catalog.array_agg(
             CASE WHEN r.oid IS NULL THEN p.doc ELSE p.doc || pg_catalog.jsonb_strip_nulls(
               pg_catalog.jsonb_build_object(
                 'columns', r.prattrs::int2[],
                 'filtered', CASE WHEN r.prqual IS NOT NULL THEN true END)) END
             ORDER BY p.pubname) AS docs,
           publication IS NULL OR pg_catalog.bool_or(p.pubname = publication) AS asked
    FROM listed l JOIN pubs p ON p.oid = l.pub
    LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = l.pub AND r.prrelid = l.oid
    GROUP BY l.oid),
  -- A table is followed for any of its partitions.
  family(oid) AS (
    SELECT pg_catalog.unnest(among)
    UNION
    SELECT p.inhrelid FROM family f JOIN parents p ON p.inhparent = f.oid),
  lineage(oid, ancestor, level) AS (
    SELECT p.inhrelid, p.inhparent, 1 FROM parents p
    WHERE among IS NULL OR p.inhrelid IN (SELECT f.oid FROM family f)
    UNION ALL
    SELECT l.oid, p.inhparent, l.level + 1 FROM lineage l
    JOIN parents p ON p.inhrelid = l.ancestor),
  lineages AS (
    SELECT l.oid, pg_catalog.array_agg(l.ancestor::int8 ORDER BY l.level) AS ancestors
    FROM lineage l GROUP BY l.oid),
  above AS (
    SELECT DISTINCT l.ancestor AS oid FROM lineage l JOIN members m ON m.oid = l.oid AND m.asked)
  SELECT c.oid, n.nspname, c.relname,
         CASE n.nspname WHEN 'public' THEN pg_catalog.quote_ident(c.relname)
              ELSE pg_catalog.quote_ident(n.nspname) || '.' ||
                   pg_catalog.quote_ident(c.relname) END,
         c.relkind, c.relpersistence, a.ancestors, c.relreplident,
         (k.indkey::int2[])[0:k.indnkeyatts - 1],
         CASE c.relreplident WHEN 'd' THEN (k.indkey::int2[])[0:k.indnkeyatts - 1]
                             WHEN 'i' THEN (i.indkey::int2[])[0:i.indnkeyatts - 1] END,
         e.docs || m.docs
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN everywhere e
  LEFT JOIN members m ON m.oid = c.oid
  LEFT JOIN above u ON u.oid = c.oid
  LEFT JOIN lineages a ON a.oid = c.oid
  -- As the server chooses them (RelationGetIndexList): from 17 on the key of a partitioned table
  -- counts before each of its partitions has one.
  LEFT JOIN pg_catalog.pg_index k
    ON k.indrelid = c.oid AND k.indisprimary AND k.indimmediate AND k.indislive
   AND (k.indisvalid OR c.relkind = 'p' AND
        pg_catalog.current_setting('server_version_num')::int >= 170000)
  LEFT JOIN pg_catalog.pg_index i
    ON i.indrelid = c.oid AND i.indisreplident AND i.indimmediate AND i.indisvalid AND i.indislive
   AND i.indisunique AND i.indpred IS NULL
  WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.relrewrite = 0
    AND c.oid >= 16384
    AND c.oid NOT IN ('deltaflood.ddl'::pg_catalog.regclass, 'deltaflood.claims'::pg_catalog.regclass)
    AND (among IS NULL OR c.oid = ANY (among))
    AND (e.asked OR m.asked OR u.oid IS NOT NULL);
END $$;

-- What values of a type are made of, in order.
CREATE OR REPLACE FUNCTION deltaflood.made_of(type oid) RETURNS oid[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
  SELECT CASE t.typtype
    WHEN 'd' THEN ARRAY[t.typbasetype]
    WHEN 'r' THEN ARRAY(SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid)
    WHEN 'm' THEN ARRAY(SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE r.rngmultitypid = t.oid)
    WHEN 'c' THEN ARRAY(SELECT a.atttypid FROM pg_catalog.pg_attribute a
                        WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
                        ORDER BY a.attnum)
    ELSE CASE WHEN t.typelem <> 0 AND
                   t.typsubscript = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc
              THEN ARRAY[t.typelem] END END
  FROM pg_catalog.pg_type t WHERE t.oid = type
$$;

-- What a type is, as the document's "types" have it.
CREATE OR REPLACE FUNCTION deltaflood.describe_type(type oid) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
  SELECT pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
    'oid', t.oid::int8,
    'is', pg_catalog.concat(
      CASE t.typtype
        WHEN 'e' THEN 'enum'
        WHEN 'c' THEN pg_catalog.concat_ws(' ', 'composite',
          (SELECT pg_catalog.string_agg(pg_catalog.concat(a.attnum, ':', a.atttypid), ','
                                        ORDER BY a.attnum)
           FROM pg_catalog.pg_attribute a
           WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped))
        WHEN 'd' THEN pg_catalog.concat('domain ', t.typbasetype,
                                        CASE WHEN t.typtypmod >= 0 THEN ' typmod ' END,
                                        CASE WHEN t.typtypmod >= 0 THEN t.typtypmod END)
        WHEN 'r' THEN pg_catalog.concat('range ', (m.parts)[1])
        WHEN 'm' THEN pg_catalog.concat('multirange ', (m.parts)[1])
        ELSE CASE WHEN m.parts IS NULL THEN 'base'
                  ELSE pg_catalog.concat('array ', (m.parts)[1]) END END,
      CASE WHEN t.typdelim <> ',' THEN pg_catalog.concat(' delimiter ', t.typdelim) END,
      ' named ', pg_catalog.format_type(t.oid, NULL)),
    'made_of', pg_catalog.to_jsonb(m.parts::int8[]),
    'labels', CASE WHEN t.typtype = 'e' THEN
      (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(e.oid::int8, e.enumlabel)
                                   ORDER BY e.oid)
       FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid) END))
  FROM pg_catalog.pg_type t
  CROSS JOIN LATERAL (SELECT deltaflood.made_of(t.oid) AS parts) m
  WHERE t.oid = type
$$;

-- The columns and types of some tables.
CREATE OR REPLACE FUNCTION deltaflood.bodies(relids oid[])
RETURNS TABLE (oid oid, body jsonb)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp SET jit = off SET work_mem = '32MB'
SET datestyle = 'ISO' SET intervalstyle = 'postgres' SET extra_float_digits = 3
SET bytea_output = 'hex' SET timezone = 'UTC' SET lc_monetary = 'C'
SET quote_all_identifiers = off SET xmlbinary = 'base64'
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH RECURSIVE wanted AS MATERIALIZED (
    SELECT c.oid, c.relkind FROM pg_catalog.pg_class c
    WHERE c.oid IN (SELECT pg_catalog.unnest(relids))),
  -- Breadth first, brothers by OID, as find_all_inheritors() goes.
  tree(root, oid, path) AS (
    SELECT w.oid, w.oid, '{}'::oid[] FROM wanted w WHERE w.relkind = 'p'
    UNION ALL
    SELECT t.root, i.inhrelid, t.path || i.inhrelid FROM tree t
    JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid),
  missing_below AS (
    SELECT DISTINCT ON (t.root, a.attname) t.root, a.attname,
           pg_catalog.array_to_string(a.attmissingval, '') AS value
    FROM tree t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid
    JOIN pg_catalog.pg_class c ON c.oid = t.oid
    WHERE a.atthasmissing AND a.attnum > 0 AND NOT a.attisdropped AND c.relpersistence = 'p'
    ORDER BY t.root, a.attname, pg_catalog.cardinality(t.path), t.path),
  attributes AS MATERIALIZED (
    SELECT a.attrelid, a.attnum, a.atttypid, a.attname, a.atttypmod, a.attnotnull, a.attgenerated,
           CASE WHEN w.relkind = 'p' THEN m.value
                WHEN a.atthasmissing THEN pg_catalog.array_to_string(a.attmissingval, '') END
             AS missing
    FROM wanted w JOIN pg_catalog.pg_attribute a ON a.attrelid = w.oid
    LEFT JOIN missing_below m ON m.root = w.oid AND m.attname = a.attname
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'),
  columns AS (
    SELECT a.attrelid,
           pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
             'n', a.attnum, 'name', a.attname,
             'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
             'oid', a.atttypid::int8, 'mod', a.atttypmod,
             'not_null', CASE WHEN a.attnotnull THEN true END,
             'generated', CASE WHEN a.attgenerated <> '' THEN a.attgenerated END,
             'missing', a.missing) ORDER BY a.attnum)) AS doc
    FROM attributes a GROUP BY a.attrelid),
  -- Which types a type is made of, itself among them.
  reached(start, type) AS (
    SELECT DISTINCT a.atttypid, a.atttypid FROM attributes a WHERE a.atttypid >= 12000
    UNION
    SELECT r.start, pg_catalog.unnest(deltaflood.made_of(r.type)) FROM reached r
    WHERE r.type >= 12000),
  described AS MATERIALIZED (
    SELECT t.type, deltaflood.describe_type(t.type) AS doc
    FROM (SELECT DISTINCT r.type FROM reached r) t),
  types AS (
    SELECT u.attrelid, pg_catalog.jsonb_agg(d.doc ORDER BY u.type) AS doc
    FROM (SELECT DISTINCT a.attrelid, r.type
          FROM attributes a JOIN reached r ON r.start = a.atttypid) u
    JOIN described d ON d.type = u.type GROUP BY u.attrelid)
  SELECT w.oid,
         CASE WHEN t.doc IS NULL THEN '{}'::jsonb
              ELSE pg_catalog.jsonb_build_object('types', t.doc) END ||
         pg_catalog.jsonb_build_object('columns', COALESCE(c.doc, '[]'::jsonb))
  FROM wanted w
  LEFT JOIN columns c ON c.attrelid = w.oid
  LEFT JOIN types t ON t.attrelid = w.oid;
END $$;

-- The shapes of the tables of a publication, or of all followed ones, in the caller's snapshot.
CREATE OR REPLACE FUNCTION deltaflood.shapes(publication name DEFAULT NULL)
RETURNS TABLE (relid oid, shape jsonb, hash text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  WITH heads AS MATERIALIZED (
    SELECT h.oid, pg_catalog.hash_record_extended(h, 0) AS hash, pg_catalog.to_jsonb(h) AS doc
    FROM deltaflood.heads(publication, NULL) h)
  SELECT h.oid, pg_catalog.jsonb_strip_nulls(h.doc) || b.body ||
           pg_catalog.jsonb_build_object('v', 1, 'oid', h.oid::int8),
         pg_catalog.concat(h.hash, ':', pg_catalog.jsonb_hash_extended(b.body, 0))
  FROM heads h
  JOIN deltaflood.bodies(ARRAY(SELECT x.oid FROM heads x)) b ON b.oid = h.oid
$$;

-- Writing what has changed ---------------------------------------------------------------------

-- The relations that this transaction may have given another shape: those of which it, or one that
-- ran beside it, has written a row in a catalog, and those whose values are made of such a type. It
-- begins where the transaction last wrote rows of ddl: what was before has been looked at. The DDL
-- command itself is not interpreted, as what the server says about commands is not complete.
--
-- A row's xmin is no older than the transaction where its age is 0 or less: ages count from the
-- transaction's own id. An age below -2^28 is of a row from before the ids last went round. A row
-- that was deleted leaves nothing to see here.
CREATE OR REPLACE FUNCTION deltaflood.touched() RETURNS oid[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET jit = off
-- What is found is little, which the planner cannot know: each step by an index.
SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
  seen CONSTANT bigint := COALESCE((
    SELECT pg_catalog.max(d.cmin::text::bigint) FROM deltaflood.ddl d
    WHERE d.xid = pg_catalog.pg_current_xact_id_if_assigned() AND d.kind IN ('shape', 'gone')
      AND pg_catalog.age(d.xmin) BETWEEN -268435456 AND 0), -1);  -- restored ones have other ages
BEGIN
  RETURN ARRAY(
    WITH RECURSIVE written_schemas AS MATERIALIZED (
      SELECT n.oid FROM pg_catalog.pg_namespace n
      WHERE pg_catalog.age(n.xmin) BETWEEN -268435456 AND 0
        AND n.cmin::text::bigint > seen),
    written(oid) AS MATERIALIZED (
      SELECT c.oid FROM pg_catalog.pg_class c
      WHERE pg_catalog.age(c.xmin) BETWEEN -268435456 AND 0 AND c.cmin::text::bigint > seen
        AND c.oid >= 16384
      UNION
      SELECT a.attrelid FROM pg_catalog.pg_attribute a
      WHERE pg_catalog.age(a.xmin) BETWEEN -268435456 AND 0 AND a.cmin::text::bigint > seen
        AND a.attrelid >= 16384
      UNION
      SELECT i.indrelid FROM pg_catalog.pg_index i
      WHERE pg_catalog.age(i.xmin) BETWEEN -268435456 AND 0 AND i.cmin::text::bigint > seen
        AND i.indrelid >= 16384
      UNION
      SELECT c.oid FROM written_schemas n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid),
    -- What is made of the types that were written: other types, and the rows of tables.
    types(type) AS (
      (SELECT t.oid FROM pg_catalog.pg_type t
       WHERE pg_catalog.age(t.xmin) BETWEEN -268435456 AND 0 AND t.cmin::text::bigint > seen
       UNION
       SELECT c.reltype FROM written w JOIN pg_catalog.pg_class c ON c.oid = w.oid
       WHERE c.reltype <> 0
       UNION
       SELECT e.enumtypid FROM pg_catalog.pg_enum e
       WHERE pg_catalog.age(e.xmin) BETWEEN -268435456 AND 0 AND e.cmin::text::bigint > seen
       UNION
       SELECT t.oid FROM written_schemas n JOIN pg_catalog.pg_type t ON t.typnamespace = n.oid)
      UNION
      SELECT COALESCE(c.reltype, d.objid) FROM types t
      JOIN pg_catalog.pg_depend d
        ON d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid = t.type
      LEFT JOIN pg_catalog.pg_class c
        ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = d.objid
      WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
         OR d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objsubid > 0
            AND c.reltype <> 0),
    below(oid) AS (
      (SELECT w.oid FROM written w
       UNION
       SELECT d.objid FROM types t JOIN pg_catalog.pg_depend d
         ON d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid = t.type
        AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objsubid > 0)
      UNION
      -- A partition tells its ancestors.
      SELECT i.inhrelid FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.oid),
    -- A table tells what columns its partitions miss, and is followed for their sake.
    above(oid) AS (
      SELECT b.oid FROM below b
      UNION
      SELECT i.inhparent FROM above a JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.oid)
    SELECT a.oid FROM above a);
END $$;

-- Compares what is followed with the newest rows and writes those that differ; returns how many.
-- `whole`: all of it. Otherwise the shapes of touched() tables; where something was `unhinged` (an
-- index dropped, say, or a table taken from a publication) names, keys, partitions and publications
-- of all; and always whether each table is still there. `dropped` are tables that are not, as far
-- as that is known.
CREATE OR REPLACE FUNCTION deltaflood.write_changes(whole boolean, unhinged boolean, dropped oid[])
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET jit = off SET work_mem = '32MB'
AS $$
DECLARE
  last_error CONSTANT bigint :=
    COALESCE((SELECT pg_catalog.max(d.id) FROM deltaflood.ddl d WHERE d.kind = 'error'), 0);
  touched oid[];  -- bodies to compare; NULL: of all
  among oid[];    -- heads to compare; NULL: of all
  written bigint;
BEGIN
  IF NOT whole AND NOT (last_error > 0 AND EXISTS (
       SELECT FROM (SELECT DISTINCT ON (d.relid) d.id, d.kind FROM deltaflood.ddl d
                    WHERE d.kind IN ('shape', 'gone') ORDER BY d.relid, d.id DESC) x
       WHERE x.kind = 'shape' AND x.id < last_error)) THEN
    touched := deltaflood.touched();
    -- A table says what columns its partitions miss, also when it has lost one of them.
    touched := touched || ARRAY(
      SELECT pg_catalog.jsonb_array_elements_text(d.shape->'ancestors')::oid
      FROM pg_catalog.unnest(touched || dropped) t(relid)
      CROSS JOIN LATERAL (SELECT x.shape FROM deltaflood.ddl x
                          WHERE x.relid = t.relid AND x.kind IN ('shape', 'gone')
                          ORDER BY x.id DESC LIMIT 1) d);
    IF NOT unhinged
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication p
                       WHERE pg_catalog.age(p.xmin) BETWEEN -268435456 AND 0)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel r
                       WHERE pg_catalog.age(r.xmin) BETWEEN -268435456 AND 0)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s
                       WHERE pg_catalog.age(s.xmin) BETWEEN -268435456 AND 0) THEN
      among := touched;
    END IF;
  END IF;
  WITH now AS MATERIALIZED (
    SELECT h.*, pg_catalog.hash_record_extended(h, 0)::text AS hash
    FROM deltaflood.heads(NULL, among) h),
  newest AS MATERIALIZED (
    SELECT DISTINCT ON (d.relid) d.relid, d.kind = 'shape' AS there, d.hash,
           d.kind = 'shape' AND d.id > last_error AS holds
    FROM deltaflood.ddl d WHERE d.kind IN ('shape', 'gone') ORDER BY d.relid, d.id DESC),
  asked AS (
    SELECT n.oid FROM now n LEFT JOIN newest x ON x.relid = n.oid
    WHERE touched IS NULL OR n.oid = ANY (touched) OR x.holds IS NOT TRUE
       OR pg_catalog.split_part(x.hash, ':', 1) <> n.hash),
  differing AS (
    SELECT n.oid, 'shape' AS kind,
           pg_catalog.jsonb_strip_nulls(pg_catalog.to_jsonb(n) - 'hash') || b.body ||
             pg_catalog.jsonb_build_object('v', 1, 'oid', n.oid::int8) AS shape,
           pg_catalog.concat(n.hash, ':', pg_catalog.jsonb_hash_extended(b.body, 0)) AS hash
    FROM deltaflood.bodies(ARRAY(SELECT a.oid FROM asked a)) b JOIN now n ON b.oid = n.oid
    UNION ALL
    SELECT x.relid, 'gone', NULL, NULL FROM newest x
    WHERE x.there
      AND CASE WHEN among IS NULL OR x.relid = ANY (among)
               THEN NOT EXISTS (SELECT FROM now n WHERE n.oid = x.relid)
               ELSE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = x.relid) END)
  INSERT INTO deltaflood.ddl (relid, kind, shape, hash)
  SELECT d.oid, d.kind, d.shape, d.hash
  FROM differing d LEFT JOIN newest x ON x.relid = d.oid
  WHERE d.kind = 'gone' OR x.holds IS NOT TRUE OR x.hash <> d.hash
  ORDER BY d.kind <> 'gone', d.oid;  -- a name is free before another table takes it
  GET DIAGNOSTICS written = ROW_COUNT;
  RETURN written;
END $$;

-- For migrations where no event trigger may be made, and for whom it may concern: compares
-- everything, and returns how many rows it has written. To let a role call it:
--   GRANT USAGE ON SCHEMA deltaflood TO ...; GRANT EXECUTE ON FUNCTION deltaflood.changed() TO ...;
-- In a transaction that has written nothing yet it waits for transactions with DDL, and DDL waits
-- for it: else a row could say after another what was true before that. In a migration's own it
-- does not, as two of them would wait for each other.
CREATE OR REPLACE FUNCTION deltaflood.changed() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF pg_catalog.pg_current_xact_id_if_assigned() IS NULL THEN
    LOCK TABLE deltaflood.ddl IN SHARE ROW EXCLUSIVE MODE;
  END IF;
  RETURN deltaflood.write_changes(true, true, NULL);
END $$;

-- Writes the shapes of these tables (NULL: of all that are followed) once more, changed or not, for
-- a reader that has to know what they are from some place of the stream on. Returns how many. It
-- waits as changed() does; `lock_timeout` bounds that.
CREATE OR REPLACE FUNCTION deltaflood.repeat_shapes(relids oid[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  written bigint;
BEGIN
  LOCK TABLE deltaflood.ddl IN SHARE ROW EXCLUSIVE MODE;
  INSERT INTO deltaflood.ddl (relid, kind, shape, hash)
  SELECT s.relid, 'shape', s.shape, s.hash FROM deltaflood.shapes() s
  WHERE relids IS NULL OR s.relid = ANY (relids) ORDER BY s.relid;
  GET DIAGNOSTICS written = ROW_COUNT;
  RETURN written;
END $$;

-- Deletes rows older than `age` that say nothing that is still needed: neither the newest of a
-- table that is there, nor the last error. Returns how many. Readers of the stream ignore deletes.
CREATE OR REPLACE FUNCTION deltaflood.trim(age interval DEFAULT '1 day') RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  deleted bigint;
BEGIN
  DELETE FROM deltaflood.ddl d
  WHERE d.at < pg_catalog.now() - age
    AND CASE d.kind
          WHEN 'rewrite' THEN true
          WHEN 'error' THEN d.id < (SELECT pg_catalog.max(x.id) FROM deltaflood.ddl x
                                    WHERE x.kind = 'error')
          ELSE d.kind = 'gone' AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c
                                               WHERE c.oid = d.relid)
               OR EXISTS (SELECT FROM deltaflood.ddl x
                          WHERE x.relid = d.relid AND x.kind IN ('shape', 'gone') AND x.id > d.id)
        END;
  GET DIAGNOSTICS deleted = ROW_COUNT;
  RETURN deleted;
END $$;

-- Which daystream a slot belongs to. PostgreSQL keeps of a slot how far it was confirmed, and not by
-- whom: a second reader would take what the first one had not read yet.
CREATE TABLE IF NOT EXISTS deltaflood.claims (
  slot   name   PRIMARY KEY,
  stream text   NOT NULL,  -- its id
  called text   NOT NULL,  -- where it is, for people
  lsn    pg_lsn NOT NULL   -- up to where the slot was confirmed when it was claimed
);

-- Makes `slot` that of a daystream, before it reads from it. It may be: one that nobody has read
-- from, one from which nothing was confirmed since somebody claimed it, or its own; with `adopt` any.
CREATE OR REPLACE FUNCTION deltaflood.claim(slot name, stream text, called text, adopt boolean)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  held deltaflood.claims;
  confirmed pg_catalog.pg_lsn;
BEGIN
  SELECT c.* INTO held FROM deltaflood.claims c WHERE c.slot = claim.slot;
  IF held.stream = claim.stream THEN RETURN; END IF;
  SELECT s.confirmed_flush_lsn INTO confirmed FROM pg_catalog.pg_replication_slots s
  WHERE s.slot_name = claim.slot;
  IF confirmed IS NULL THEN RETURN; END IF;
  IF held.stream IS NOT NULL AND NOT adopt AND held.lsn <> confirmed THEN
    RAISE EXCEPTION 'the slot belongs to another daystream, which has read from it'
      USING ERRCODE = 'DF001',
            DETAIL = CASE WHEN held.called = claim.called
              THEN pg_catalog.format('That one was %s, where a new one is now: the directory was '
                                     'replaced (its daystream had the id %s, and has %s now).',
                                     held.called, held.stream, claim.stream)
              ELSE pg_catalog.format('It is that of %s, and not of %s.', held.called, claim.called)
            END;
  END IF;
  DELETE FROM deltaflood.claims c
  WHERE c.slot = claim.slot
     OR NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = c.slot);
  INSERT INTO deltaflood.claims VALUES (claim.slot, claim.stream, claim.called, confirmed);
END $$;

-- At the end of each DDL command. A failure here is never the user's: it becomes a warning and an
-- `error` row. (A cancelled statement is cancelled here, too; and so is one that may not wait for
-- changed() any longer, as no row could be written then, and nobody would learn of the change.)
CREATE OR REPLACE FUNCTION deltaflood.on_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  unhinged boolean := false;
  dropped oid[];
  problem text;
BEGIN
  -- Commands that cannot change what a table looks like, not even by way of what they cascade to.
  IF TG_TAG LIKE 'CREATE %' AND TG_TAG NOT IN ('CREATE TABLE', 'CREATE TABLE AS', 'CREATE SCHEMA',
       'CREATE PUBLICATION', 'CREATE EXTENSION', 'CREATE FOREIGN TABLE', 'CREATE RULE')
     OR TG_TAG IN ('COMMENT', 'GRANT', 'REVOKE', 'SECURITY LABEL', 'ALTER DEFAULT PRIVILEGES',
       'ALTER FUNCTION', 'ALTER PROCEDURE', 'ALTER ROUTINE', 'ALTER SEQUENCE', 'ALTER TRIGGER',
       'ALTER POLICY', 'ALTER STATISTICS', 'REFRESH MATERIALIZED VIEW') THEN
    RETURN;
  END IF;
  IF TG_EVENT = 'sql_drop' THEN
    -- All objects that a command dropped are listed here, and nothing of a temporary one matters.
    SELECT pg_catalog.bool_or(o.object_type IN ('index', 'table constraint') OR
                              o.object_type LIKE 'publication%'),
           pg_catalog.array_agg(o.objid) FILTER (WHERE o.object_type = 'table')
    INTO unhinged, dropped
    FROM pg_catalog.pg_event_trigger_dropped_objects() o WHERE NOT o.is_temporary;
    -- What other commands than DROP do besides dropping is seen at their end.
    IF unhinged IS NULL OR NOT (unhinged OR TG_TAG LIKE 'DROP %') THEN RETURN; END IF;
  ELSIF TG_TAG LIKE 'DROP %' THEN
    RETURN;  -- sql_drop has seen it
  ELSIF TG_TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO')
        AND EXISTS (SELECT FROM pg_catalog.pg_event_trigger_ddl_commands())
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_event_trigger_ddl_commands() c
                        WHERE c.schema_name IS DISTINCT FROM 'pg_temp') THEN
    RETURN;  -- a temporary table
  END IF;
  PERFORM deltaflood.write_changes(false, unhinged, dropped);
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
  RAISE;
WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT;
  PERFORM deltaflood.write_error(TG_TAG, problem);
END $$;

-- Just before ALTER TABLE or ALTER TYPE rewrites a table. The new rows are not streamed.
CREATE OR REPLACE FUNCTION deltaflood.on_rewrite() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  rewritten CONSTANT oid := pg_catalog.pg_event_trigger_table_rewrite_oid();
  problem text;
BEGIN
  INSERT INTO deltaflood.ddl (relid, kind)
  SELECT rewritten, 'rewrite'
  WHERE (SELECT d.kind FROM deltaflood.ddl d
         WHERE d.relid = rewritten AND d.kind IN ('shape', 'gone')
         ORDER BY d.id DESC LIMIT 1) = 'shape';
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
  RAISE;
WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT;
  PERFORM deltaflood.write_error(TG_TAG, problem);
END $$;

CREATE OR REPLACE FUNCTION deltaflood.write_error(command text, problem text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RAISE WARNING 'deltaflood could not note what % has changed: %', command, problem
    USING HINT = 'The command itself is done. Tables that are streamed will be copied again; '
                 'see that SELECT deltaflood.changed() succeeds.';
  INSERT INTO deltaflood.ddl (kind) VALUES ('error');
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
  RAISE;
WHEN OTHERS THEN
  RAISE WARNING 'deltaflood could not even note that: %', SQLERRM
    USING HINT = 'SELECT deltaflood.changed() tells why; streamed tables may be wrong until it is '
                 'repaired.';
END $$;

-- For the operator ------------------------------------------------------------------------------

-- Makes the event triggers, or says why not. Returns whether they are there.
CREATE OR REPLACE FUNCTION deltaflood.create_triggers() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_event_trigger WHERE evtname = 'deltaflood_ddl') THEN
    CREATE EVENT TRIGGER deltaflood_ddl ON ddl_command_end
      EXECUTE FUNCTION deltaflood.on_ddl();
  END IF;
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_event_trigger WHERE evtname = 'deltaflood_drop') THEN
    CREATE EVENT TRIGGER deltaflood_drop ON sql_drop EXECUTE FUNCTION deltaflood.on_ddl();
  END IF;
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_event_trigger WHERE evtname = 'deltaflood_rewrite') THEN
    CREATE EVENT TRIGGER deltaflood_rewrite ON table_rewrite
      EXECUTE FUNCTION deltaflood.on_rewrite();
  END IF;
  -- Also where session_replication_role is replica: a restore changes tables as well.
  ALTER EVENT TRIGGER deltaflood_ddl ENABLE ALWAYS;
  ALTER EVENT TRIGGER deltaflood_drop ENABLE ALWAYS;
  ALTER EVENT TRIGGER deltaflood_rewrite ENABLE ALWAYS;
  RETURN true;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE NOTICE 'role "%" may not create event triggers here: %', CURRENT_USER, SQLERRM
    USING DETAIL = 'Without them DDL is not noted by itself. A table whose columns change is '
                   'copied again when its next row comes; a change that pgoutput does not show '
                   '(a renamed label of an enum, a dropped table, a rewrite) is not seen until '
                   'deltaflood.changed() is called.',
          HINT = 'Call SELECT deltaflood.changed() in the transaction of each migration, after '
                 'its DDL.';
  RETURN false;
END $$;

-- For a major upgrade of a managed server that wants event triggers gone before; create_triggers()
-- makes them after it.
CREATE OR REPLACE FUNCTION deltaflood.drop_triggers() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  DROP EVENT TRIGGER IF EXISTS deltaflood_ddl;
  DROP EVENT TRIGGER IF EXISTS deltaflood_drop;
  DROP EVENT TRIGGER IF EXISTS deltaflood_rewrite;
END $$;

-- Makes `publication` one whose tables are followed: adds deltaflood.ddl to it and writes the
-- shapes of its tables. Called again, it does what is missing. Returns how many tables it has.
CREATE OR REPLACE FUNCTION deltaflood.install(publication name) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found_publication pg_catalog.pg_publication;
BEGIN
  SELECT * INTO found_publication FROM pg_catalog.pg_publication p WHERE p.pubname = publication;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'publication "%" does not exist', publication
      USING ERRCODE = 'undefined_object',
            HINT = pg_catalog.format('CREATE PUBLICATION %I FOR TABLE ..., or FOR ALL TABLES where '
                                     'you are superuser.', publication);
  END IF;
  IF NOT (found_publication.pubinsert AND found_publication.pubupdate AND
          found_publication.pubdelete AND found_publication.pubtruncate) THEN
    RAISE EXCEPTION 'publication "%" does not publish all changes', publication
      USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = pg_catalog.format('ALTER PUBLICATION %I SET (publish = ''insert, update, '
                                     'delete, truncate'');', publication);
  END IF;
  IF found_publication.pubviaroot THEN
    RAISE EXCEPTION 'publication "%" publishes by way of the partition root', publication
      USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'PostgreSQL does not publish then that one partition is truncated.',
            HINT = pg_catalog.format('ALTER PUBLICATION %I SET (publish_via_partition_root = '
                                     'false);', publication);
  END IF;
  IF NOT found_publication.puballtables
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel r
                     WHERE r.prpubid = found_publication.oid
                       AND r.prrelid = 'deltaflood.ddl'::pg_catalog.regclass)
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s
                     WHERE s.pnpubid = found_publication.oid
                       AND s.pnnspid = 'deltaflood'::pg_catalog.regnamespace) THEN
    EXECUTE pg_catalog.format('ALTER PUBLICATION %I ADD TABLE deltaflood.ddl', publication);
  END IF;
  PERFORM deltaflood.changed();
  RETURN (SELECT pg_catalog.count(*) FROM deltaflood.shapes(publication));
END $$;

-- What the role of a `deltastream --source pgoutput` needs here. The attribute REPLICATION, or the
-- membership that the service has for it, is another's to grant.
CREATE OR REPLACE FUNCTION deltaflood.grant_source(role name) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA deltaflood TO %I', role);
  EXECUTE pg_catalog.format('GRANT SELECT ON TABLE deltaflood.ddl TO %I', role);
  EXECUTE pg_catalog.format(
    'GRANT EXECUTE ON FUNCTION deltaflood.heads(name, oid[]), deltaflood.bodies(oid[]), '
    'deltaflood.made_of(oid), deltaflood.describe_type(oid), deltaflood.shapes(name), '
    'deltaflood.changed(), deltaflood.repeat_shapes(oid[]), deltaflood.trim(interval), '
    'deltaflood.claim(name, text, text, boolean) TO %I', role);
END $$;

-- Takes everything of this file away, the event triggers first; the extension's objects in the same
-- schema stay, and the schema with them.
CREATE OR REPLACE FUNCTION deltaflood.uninstall() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM deltaflood.drop_triggers();
  DROP TABLE deltaflood.ddl, deltaflood.claims;  -- and their places in publications
  DROP FUNCTION deltaflood.install(name), deltaflood.grant_source(name),
    deltaflood.repeat_shapes(oid[]), deltaflood.create_triggers(), deltaflood.drop_triggers(),
    deltaflood.on_ddl(), deltaflood.on_rewrite(), deltaflood.write_error(text, text),
    deltaflood.changed(), deltaflood.trim(interval),
    deltaflood.claim(name, text, text, boolean),
    deltaflood.write_changes(boolean, boolean, oid[]), deltaflood.shapes(name),
    deltaflood.bodies(oid[]), deltaflood.describe_type(oid),
    deltaflood.made_of(oid), deltaflood.heads(name, oid[]), deltaflood.touched();
  DROP FUNCTION deltaflood.uninstall();
  BEGIN
    DROP SCHEMA deltaflood;
  EXCEPTION WHEN dependent_objects_still_exist THEN
    NULL;  -- the extension's are in it
  END;
END $$;

-- Rights: none for PUBLIC. What nobody may call by name still runs at DDL.
REVOKE ALL ON TABLE deltaflood.ddl, deltaflood.claims FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA deltaflood FROM PUBLIC;

SET LOCAL client_min_messages = notice;
DO $$ BEGIN PERFORM deltaflood.create_triggers(); END $$;

COMMIT;
