-- Lines gathered in messages are the same lines, whatever the size.
-- options: batch-bytes=0 include-transaction=on
-- options: batch-bytes=1 include-transaction=on
-- options: batch-bytes=100 include-transaction=on
-- options: batch-bytes=65536 include-transaction=on
CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t SELECT i, repeat('x', i) FROM generate_series(1, 6) i;
INSERT INTO t VALUES (7, 'alone');
