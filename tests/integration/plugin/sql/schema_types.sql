-- A renamed type is told for the tables that the connection has told of; of others it is told with
-- their first change.
-- options: include-schema=on
CREATE TYPE mood AS ENUM ('calm');
CREATE DOMAIN small AS int CHECK (VALUE < 10);
CREATE TABLE t (a small PRIMARY KEY, m mood[] NOT NULL, n numeric(5, 2), v varchar(9) DEFAULT 'v');
INSERT INTO t VALUES (1, '{calm}', 1);
ALTER TYPE mood RENAME TO temper;
ALTER TYPE temper ADD VALUE 'wild';
INSERT INTO t VALUES (2, '{wild}');
ALTER DOMAIN small RENAME TO tiny;
DROP TABLE t;
