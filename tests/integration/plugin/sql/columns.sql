-- Dropped, added and generated columns.
-- options:
-- options: include-schema=on
CREATE TABLE t (a int PRIMARY KEY, b int, g int GENERATED ALWAYS AS (b * 2) STORED);
INSERT INTO t VALUES (1, 1);
ALTER TABLE t ADD c text DEFAULT E'added\tlater';
UPDATE t SET b = 2;
ALTER TABLE t DROP b CASCADE;
INSERT INTO t VALUES (2);
ALTER TABLE t RENAME c TO d;
UPDATE t SET d = NULL WHERE a = 2;
