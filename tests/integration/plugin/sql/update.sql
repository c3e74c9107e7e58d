-- Updates in place, of the key, of many rows, of nothing.
-- options:
-- options: skip-nulls=on
CREATE TABLE t (a int PRIMARY KEY, b text, c int);
INSERT INTO t VALUES (1, 'one', 1), (2, 'two', NULL);
UPDATE t SET b = 'uno' WHERE a = 1;
UPDATE t SET b = NULL WHERE a = 2;
UPDATE t SET a = a + 10;
UPDATE t SET c = c WHERE a = 11;
UPDATE t SET c = 0 WHERE a = 99;
