-- options:
-- options: include-truncate=off
-- options: tables=child
CREATE TABLE t (a int PRIMARY KEY);
CREATE TABLE child (a int REFERENCES t);
CREATE TABLE other (a serial PRIMARY KEY);
INSERT INTO t VALUES (1);
TRUNCATE t CASCADE;
TRUNCATE t, child, other RESTART IDENTITY;
BEGIN;
TRUNCATE other;
ROLLBACK;
