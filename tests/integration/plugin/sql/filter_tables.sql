-- options: tables=t,s.*
-- options: tables=s.t*
-- options: exclude-tables=s.*,*.u
-- options: tables="Odd.Name"
CREATE SCHEMA s;
CREATE TABLE t (a int PRIMARY KEY);
CREATE TABLE u (a int PRIMARY KEY);
CREATE TABLE s.t (a int PRIMARY KEY);
CREATE TABLE s.u (a int PRIMARY KEY);
CREATE TABLE "Odd.Name" (a int PRIMARY KEY);
INSERT INTO t VALUES (1);
INSERT INTO u VALUES (2);
INSERT INTO s.t VALUES (3);
INSERT INTO s.u VALUES (4);
INSERT INTO "Odd.Name" VALUES (5);
