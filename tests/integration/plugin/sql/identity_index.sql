-- REPLICA IDENTITY USING INDEX, also over an expression-free index of two columns out of order.
-- options:
CREATE TABLE t (a int PRIMARY KEY, b text NOT NULL, c int NOT NULL, d text);
CREATE UNIQUE INDEX t_key ON t (c, b);
ALTER TABLE t REPLICA IDENTITY USING INDEX t_key;
INSERT INTO t VALUES (1, 'x', 10, 'rest');
UPDATE t SET d = 'more';
UPDATE t SET a = 2;
UPDATE t SET c = 11;
DELETE FROM t;
