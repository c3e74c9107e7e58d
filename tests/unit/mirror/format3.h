// A mirror as deltamirror 0.1.0 made it before there were named sources, as SQLite's .dump tells
// it: a table with a filter, a history and a static query.
#pragma once

inline constexpr const char* kMirrorOfFormat3 = R"sql(
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE _deltamirror_format(version INTEGER NOT NULL);
INSERT INTO _deltamirror_format VALUES(3);
CREATE TABLE _deltamirror_tables(
      name TEXT PRIMARY KEY,
      source_table TEXT NOT NULL,   -- schema.table in PostgreSQL; empty: a static query result
      query TEXT NOT NULL,          -- what the seed ran; empty: the table itself
      oid INTEGER NOT NULL,
      columns TEXT NOT NULL,        -- JSON: SQLite columns and where they come from
      all_columns INTEGER NOT NULL,
      shape TEXT NOT NULL,          -- JSON: the source table as last told
      indexes TEXT NOT NULL,        -- JSON
      snapshot TEXT NOT NULL,       -- pg_current_snapshot() of the seed
      consistent_at TEXT NOT NULL,  -- LSN from which on the table is at a commit
      timeline INTEGER NOT NULL,
      seeded_at TEXT NOT NULL,
      seeded_rows INTEGER NOT NULL,
      options TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO _deltamirror_tables VALUES('h3_seed','public.h3','',16419,'[{"array":false,"attnum":1,"delimiter":",","kind":0,"name":"id","override":""},{"array":false,"attnum":2,"delimiter":",","kind":0,"name":"n","override":""}]',1,'{"columns":[{"attnum":1,"name":"id","not_null":true,"type":"integer"},{"attnum":2,"name":"n","not_null":false,"type":"integer"}],"identity":"d","identity_key":[],"line_name":"h3","oid":16419,"partitioning":0,"primary_key":[1]}','[]','738:738:','0/52C8240',1,'2026-11-22 11:15:07.843963',1,'{"base":{"c":1795346104,"lsn":"0/52C8240","s":1},"keep_days":3,"mode":"history"}');
INSERT INTO _deltamirror_tables VALUES('ones','','SELECT 1 AS one',0,'[{"array":false,"attnum":0,"delimiter":",","kind":0,"name":"one","override":""}]',0,'{"columns":[],"identity":"d","identity_key":[],"line_name":"","oid":0,"partitioning":0,"primary_key":[]}','[]','738:738:','0/52C8240',1,'2026-11-22 11:15:07.844898',1,'{}');
INSERT INTO _deltamirror_tables VALUES('s3','public.s3','',16411,'[{"array":false,"attnum":1,"delimiter":",","kind":0,"name":"id","override":""},{"array":false,"attnum":2,"delimiter":",","kind":3,"name":"v","override":""},{"array":false,"attnum":3,"delimiter":",","kind":3,"name":"m","override":""},{"array":false,"attnum":4,"delimiter":",","kind":5,"name":"at","override":""}]',1,'{"columns":[{"attnum":1,"name":"id","not_null":true,"type":"integer"},{"attnum":2,"name":"v","not_null":false,"type":"text"},{"attnum":3,"name":"m","not_null":false,"type":"public.mood"},{"attnum":4,"name":"at","not_null":false,"type":"timestamp with time zone"}],"identity":"d","identity_key":[],"line_name":"s3","oid":16411,"partitioning":0,"primary_key":[1]}','[["v"]]','738:738:','0/52C8240',1,'2026-11-22 11:15:07.839006',2,'{"where":"\"id\" < 10"}');
CREATE TABLE _deltamirror_types(name TEXT PRIMARY KEY, base TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO _deltamirror_types VALUES('information_schema.cardinal_number','integer');
INSERT INTO _deltamirror_types VALUES('information_schema.yes_or_no','character varying(3)');
INSERT INTO _deltamirror_types VALUES('public.h3','');
INSERT INTO _deltamirror_types VALUES('public.mood','');
INSERT INTO _deltamirror_types VALUES('public.s3','');
CREATE TABLE _deltamirror_checkpoint(
      source TEXT PRIMARY KEY,             -- the daystream's name
      c INTEGER NOT NULL,                  -- position of the last commit or mark applied
      s INTEGER NOT NULL,
      lsn TEXT NOT NULL,                   -- its LSN
      system_identifier TEXT NOT NULL,     -- of the PostgreSQL cluster
      database TEXT NOT NULL,
      timeline INTEGER NOT NULL,
      commit_time TEXT,                    -- of the last transaction applied, UTC
      applied_at TEXT NOT NULL,            -- when it was applied here, UTC
      consistent_at TEXT NOT NULL,         -- before it, a fresh seed is not at one commit
      directory TEXT NOT NULL,
      complete_to TEXT NOT NULL            -- all that was committed before is here, UTC
      ) WITHOUT ROWID;
INSERT INTO _deltamirror_checkpoint VALUES('ds',1795346118,3024,'0/560E208','7710952709491720881','postgres',1,'2026-11-22 11:15:18.717253','2026-11-22 11:15:19.926472','0/52C8240','/var/lib/daystream/ds','2026-11-22 11:15:18.717253');
CREATE TABLE IF NOT EXISTS "s3"("id" INTEGER PRIMARY KEY NOT NULL, "v" TEXT, "m" TEXT, "at" TEXT);
INSERT INTO s3 VALUES(1,'x','a','2026-01-01 00:00:00');
INSERT INTO s3 VALUES(2,'y','b','2026-01-01 00:00:00');
CREATE TABLE IF NOT EXISTS "h3_seed"("id" INTEGER PRIMARY KEY NOT NULL, "n" INTEGER);
INSERT INTO h3_seed VALUES(1,1);
CREATE TABLE IF NOT EXISTS "ones"("one" INTEGER);
INSERT INTO ones VALUES(1);
CREATE TABLE _deltamirror_extra_sql(sql TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE _deltamirror_history(base TEXT NOT NULL, day TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY(base, day)) WITHOUT ROWID;
INSERT INTO _deltamirror_history VALUES('h3_seed','2026-11-22','h3_20261122');
CREATE TABLE _deltamirror_changes(
      oid INTEGER PRIMARY KEY,  -- of the table, as in _deltamirror_tables
      at TEXT NOT NULL,         -- time of the last commit that changed it, UTC, to about a second
      lsn TEXT NOT NULL);
INSERT INTO _deltamirror_changes VALUES(16411,'2026-11-22 11:15:18.717253','0/560E208');
INSERT INTO _deltamirror_changes VALUES(16419,'2026-11-22 11:15:18.717253','0/560E208');
CREATE TABLE _deltamirror_errors(
      at TEXT NOT NULL,         -- when the owner met it last, UTC
      message TEXT NOT NULL,
      hint TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS "h3_20261122"(_c, _s, _lsn, _time, _action, _unchanged, "id", "n");
INSERT INTO h3_20261122 VALUES(1795346118,3023,'0/560E208','2026-11-22 11:15:18.717253','insert',NULL,2,2);
CREATE INDEX "s3_v_idx" ON "s3"("v");
CREATE VIEW "h3" AS SELECT 1795346104 AS _c, 1 AS _s, '0/52C8240' AS _lsn, '2026-11-22 11:15:07.843963' AS _time, 'seed' AS _action, NULL AS _unchanged, "id", "n" FROM "h3_seed" b UNION ALL SELECT _c, _s, _lsn, _time, _action, _unchanged, "id", "n" FROM "h3_20261122" b;
COMMIT;
)sql";
