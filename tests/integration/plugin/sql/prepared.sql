-- A prepared transaction comes at its commit.
-- options: include-transaction=on
CREATE TABLE t (a int PRIMARY KEY);
BEGIN;
INSERT INTO t VALUES (1);
PREPARE TRANSACTION 'regression kept';
BEGIN;
INSERT INTO t VALUES (2);
PREPARE TRANSACTION 'regression undone';
INSERT INTO t VALUES (3);
COMMIT PREPARED 'regression kept';
ROLLBACK PREPARED 'regression undone';
