-- Names and values: nothing in them can break a line.
-- options:
-- options: escape-chars=off include-xids=off tables=plain
CREATE TABLE "t	ab" (a int PRIMARY KEY, "new
line" text, "_action" text, "back\slash" text);
CREATE TABLE plain (a int PRIMARY KEY, b text);
INSERT INTO "t	ab" VALUES (1, E'a\tb\nc\rd\\e', 'insert', '');
INSERT INTO "t	ab" VALUES (2, U&'\2028 \00e9 \+01F98A', '\N', E'\x01\x7f');
INSERT INTO plain VALUES (1, E'one\\two');
