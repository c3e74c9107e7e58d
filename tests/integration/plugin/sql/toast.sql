-- What an update left out of line and did not log is absent; set to NULL it is NULL; set anew it is
-- there, also when to the same.
-- options:
CREATE TABLE t (a int PRIMARY KEY, b text, c text);
ALTER TABLE t ALTER b SET STORAGE EXTERNAL, ALTER c SET STORAGE EXTERNAL;
ALTER TABLE t SET (toast_tuple_target = 128);
INSERT INTO t VALUES (1, repeat('b', 2200), 'short');
UPDATE t SET c = 'changed';
UPDATE t SET b = b || '';
UPDATE t SET b = NULL;
