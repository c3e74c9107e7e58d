-- options: include-messages=app,app.* include-transaction=on
-- options: include-transaction=on
CREATE TABLE t (a int PRIMARY KEY);
BEGIN;
INSERT INTO t VALUES (1);
SELECT 1 FROM pg_logical_emit_message(true, 'app', E'two\nlines');
COMMIT;
SELECT 1 FROM pg_logical_emit_message(true, 'apple', 'not asked for');
SELECT 1 FROM pg_logical_emit_message(false, 'app.now', '\x00ff'::bytea);
INSERT INTO t VALUES (2);
