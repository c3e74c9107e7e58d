-- REPLICA IDENTITY FULL: old rows from before a column was added have its default, not NULL.
-- options:
CREATE TABLE t (a int, b text);
ALTER TABLE t REPLICA IDENTITY FULL;
INSERT INTO t VALUES (1, 'x'), (2, NULL);
ALTER TABLE t ADD c text DEFAULT 'added', ADD d int;
UPDATE t SET b = 'y' WHERE a = 1;
DELETE FROM t WHERE a = 2;
ALTER TABLE t ALTER c SET DEFAULT 'other', DROP b;
UPDATE t SET d = 5;
INSERT INTO t (a) VALUES (3);
DELETE FROM t;
