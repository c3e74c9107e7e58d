-- One of each kind; values of all types are compared with PostgreSQL's own text elsewhere.
-- options: convert-bool=off
-- options:
SET TimeZone = 'Asia/Kathmandu';
SET DateStyle = 'German';
SET extra_float_digits = 0;
SET bytea_output = 'escape';
SET IntervalStyle = 'sql_standard';
CREATE TYPE mood AS ENUM ('calm', 'wild');
CREATE TYPE pair AS (x int, y text);
CREATE DOMAIN flag AS boolean;
CREATE TABLE t (a int PRIMARY KEY, b bool, f flag, i2 int2, i8 int8, n numeric, r float4, d float8,
  t text, c char(3), v varchar, y bytea, da date, ti time, tz timetz, ts timestamp, tt timestamptz,
  iv interval, u uuid, j jsonb, m mood, p pair, ra int4range, ar int[], ab bool[]);
INSERT INTO t VALUES (1, true, false, -1, 9223372036854775807, 1.10, 0.1, 0.1, 'é', 'x', '', '\x00ff',
  '2026-11-21', '24:00', '12:00+05:30', '2026-11-21 10:15:04.5', '2026-11-21 10:15:04.123456+00',
  '1 year 2 days -3 hours', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"k": [1, null]}', 'wild',
  (1, 'a b'), '[1,5)', '{1,NULL,3}', '{t,f}');
INSERT INTO t (a, n, r, d, da, ts, tt, iv) VALUES (2, 'NaN', 'NaN', '-infinity', '0044-03-15 BC',
  'infinity', '-infinity', '0');
