-- A replace goes with its update; a transaction of which nothing is left has no commit line.
-- options: actions=insert include-transaction=on
-- options: actions=update include-transaction=on
-- options: actions=delete,truncate include-transaction=on
CREATE TABLE t (a int PRIMARY KEY);
INSERT INTO t VALUES (1);
UPDATE t SET a = 2;
DELETE FROM t;
TRUNCATE t;
