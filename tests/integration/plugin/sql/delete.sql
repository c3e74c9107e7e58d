-- A delete names its row by the key alone.
-- options:
CREATE TABLE one (a int PRIMARY KEY, b text);
CREATE TABLE two (a int, b text, c int, PRIMARY KEY (c, a));
INSERT INTO one VALUES (1, 'one'), (2, 'two');
INSERT INTO two VALUES (1, 'x', 2);
DELETE FROM one;
DELETE FROM two;
