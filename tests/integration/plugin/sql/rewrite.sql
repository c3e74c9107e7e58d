-- A rewritten table's rows come again, after a line that says so.
-- options: include-schema=on
-- options:
CREATE TABLE t (a int PRIMARY KEY, b int);
INSERT INTO t VALUES (1, 10), (2, 20);
ALTER TABLE t ALTER b TYPE text;
INSERT INTO t VALUES (3, '30');
VACUUM FULL t;
CREATE UNLOGGED TABLE u (a int PRIMARY KEY);
INSERT INTO u VALUES (1);
ALTER TABLE u SET LOGGED;
INSERT INTO u VALUES (2);
