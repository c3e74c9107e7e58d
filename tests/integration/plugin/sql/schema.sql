-- Shapes are told with the first row and in the transaction that changes them; what changes no shape
-- tells nothing.
-- options: include-schema=on include-transaction=on
CREATE TABLE t (a int PRIMARY KEY, b varchar(10) NOT NULL);
INSERT INTO t VALUES (1, 'x');
CREATE INDEX ON t (b);
ANALYZE t;
COMMENT ON TABLE t IS 'nothing to tell';
ALTER TABLE t ALTER b DROP NOT NULL;
ALTER TABLE t RENAME TO "Odd Name";
CREATE SCHEMA s;
ALTER TABLE "Odd Name" SET SCHEMA s;
ALTER TABLE s."Odd Name" REPLICA IDENTITY FULL;
DROP TABLE s."Odd Name";
