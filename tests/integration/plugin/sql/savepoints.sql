-- What was rolled back never was; what stays is under the one transaction id.
-- options: include-transaction=on
CREATE TABLE t (a int PRIMARY KEY);
BEGIN;
INSERT INTO t VALUES (1);
SAVEPOINT s;
INSERT INTO t VALUES (2);
ROLLBACK TO s;
INSERT INTO t VALUES (3);
SAVEPOINT u;
INSERT INTO t VALUES (4);
RELEASE u;
COMMIT;
BEGIN;
INSERT INTO t VALUES (5);
ROLLBACK;
