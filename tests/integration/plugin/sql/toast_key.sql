-- A key that is out of line is logged whole with each change that needs it.
-- options:
CREATE TABLE t (a text, b int);
ALTER TABLE t ALTER a SET STORAGE EXTERNAL;
ALTER TABLE t ADD PRIMARY KEY (a);
INSERT INTO t VALUES (repeat('k', 2100), 1);
UPDATE t SET b = 2;
DELETE FROM t;
