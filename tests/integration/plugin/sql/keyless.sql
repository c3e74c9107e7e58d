-- A change that cannot name its row says so.
-- options:
-- options: include-schema=on
CREATE TABLE nokey (a int, b text);
CREATE TABLE nothing (a int PRIMARY KEY, b text);
ALTER TABLE nothing REPLICA IDENTITY NOTHING;
CREATE TABLE late (a int PRIMARY KEY DEFERRABLE, b text);
INSERT INTO nokey VALUES (1, 'x');
INSERT INTO nothing VALUES (1, 'x');
INSERT INTO late VALUES (1, 'x');
UPDATE nokey SET b = 'y';
UPDATE nothing SET b = 'y';
UPDATE late SET b = 'y';
DELETE FROM nokey;
DELETE FROM nothing;
DELETE FROM late;
