-- REPLICA IDENTITY FULL: the whole old row, with its NULLs.
-- options:
-- options: skip-nulls=on
CREATE TABLE t (a int, b text, c int);
ALTER TABLE t REPLICA IDENTITY FULL;
INSERT INTO t VALUES (1, 'x', NULL), (NULL, NULL, NULL);
UPDATE t SET b = 'y' WHERE a = 1;
DELETE FROM t;
