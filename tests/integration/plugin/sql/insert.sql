-- Every way in: INSERT, COPY, INSERT … SELECT, CREATE TABLE AS.
-- options:
-- options: skip-nulls=off
CREATE TABLE t (a int PRIMARY KEY, b text, c text DEFAULT 'default');
INSERT INTO t VALUES (1, 'one', NULL);
INSERT INTO t (a) VALUES (2), (3);
INSERT INTO t VALUES (4, '', E'\\N');
COPY t FROM stdin;
5	five	\N
6	tab\tbed	back\\slash
\.
INSERT INTO t SELECT a + 10, b FROM t WHERE a < 3;
CREATE TABLE copy AS SELECT a, b FROM t WHERE a < 3;
