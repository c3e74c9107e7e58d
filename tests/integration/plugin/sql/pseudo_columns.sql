-- options: include-xids=off
-- options: include-xids=off full-name=on
-- options: include-xids=off separator=| null=nil skip-nulls=off
-- options: include-lsn=on
CREATE TABLE t (a int PRIMARY KEY, b text);
CREATE SCHEMA s;
CREATE TABLE s."T" (a int PRIMARY KEY);
INSERT INTO t VALUES (1, NULL);
INSERT INTO s."T" VALUES (1);
