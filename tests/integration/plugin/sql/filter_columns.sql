-- What is excluded is in no line; a key that is takes the identity with it.
-- options: exclude-columns=secret include-schema=on
-- options: exclude-columns=t.a,public.t.b
CREATE TABLE t (a int PRIMARY KEY, b text, secret text);
INSERT INTO t VALUES (1, 'x', 'hidden');
UPDATE t SET a = 2;
DELETE FROM t;
