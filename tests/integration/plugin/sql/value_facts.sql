-- What changes the text of values without a row being touched: labels of enums and attributes of
-- composite types, also within arrays, domains and ranges. Told for all tables that use them, also
-- for those that the connection has not told of.
-- options: include-schema=on
CREATE TYPE mood AS ENUM ('calm', 'a,b');
CREATE TYPE unused AS ENUM ('none');
CREATE DOMAIN mild AS mood CHECK (VALUE <> 'a,b');
CREATE TYPE pair AS (x int, m mood[]);
CREATE TYPE span AS RANGE (subtype = mood);
CREATE TABLE t (id int PRIMARY KEY, m mild, p pair, s span[]);
CREATE TABLE idle (m mood[]);
CREATE TABLE plain (id int PRIMARY KEY, p pg_lsn);
INSERT INTO t VALUES (1, 'calm', (1, '{calm}'));
INSERT INTO plain VALUES (1);
ALTER TYPE mood RENAME VALUE 'calm' TO 'quiet';
ALTER TYPE unused RENAME VALUE 'none' TO 'nil';
UPDATE t SET id = 2;
ALTER TYPE mood ADD VALUE 'wild';
BEGIN;
INSERT INTO t VALUES (3, 'quiet');
ALTER TYPE pair ADD ATTRIBUTE z text;
INSERT INTO t VALUES (4, 'quiet', (1, NULL, 'z'));
COMMIT;
ALTER TYPE pair DROP ATTRIBUTE x;
BEGIN;
ALTER TYPE mood RENAME VALUE 'quiet' TO 'gone';
ROLLBACK;
DROP TABLE t;
