-- Under the leaf's name, or by option under the root's.
-- options: include-schema=on
-- options: include-schema=on partition-root=on
CREATE TABLE p (a int PRIMARY KEY, b text) PARTITION BY RANGE (a);
CREATE TABLE low PARTITION OF p FOR VALUES FROM (0) TO (100);
CREATE TABLE high (b text, a int PRIMARY KEY);
ALTER TABLE p ATTACH PARTITION high FOR VALUES FROM (100) TO (200);
INSERT INTO p VALUES (1, 'low'), (101, 'high');
UPDATE p SET a = 102 WHERE a = 1;
DELETE FROM p WHERE a = 101;
TRUNCATE high;
TRUNCATE p;
