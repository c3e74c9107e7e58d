-- A small airline: two schemas, integer, text and composite keys.
CREATE SCHEMA ops;

CREATE TABLE airports (
  code      text PRIMARY KEY,
  name      text NOT NULL,
  latitude  double precision NOT NULL,
  longitude double precision NOT NULL
);

CREATE TABLE ops.aircraft (
  tail    text PRIMARY KEY,
  type    text NOT NULL,
  seats   smallint NOT NULL,
  in_use  boolean NOT NULL DEFAULT true
);

CREATE TABLE flights (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  ident       text NOT NULL,
  tail        text NOT NULL REFERENCES ops.aircraft,
  origin      text NOT NULL REFERENCES airports,
  destination text NOT NULL REFERENCES airports,
  status      text NOT NULL DEFAULT 'scheduled',
  departed    timestamptz,
  arrived     timestamptz
);

CREATE TABLE positions (
  flight      bigint NOT NULL REFERENCES flights ON DELETE CASCADE,
  seq         integer NOT NULL,
  at          timestamptz NOT NULL DEFAULT clock_timestamp(),
  latitude    double precision NOT NULL,
  longitude   double precision NOT NULL,
  altitude_ft integer,
  PRIMARY KEY (flight, seq)
);

INSERT INTO airports VALUES
  ('KIAH', 'Houston', 29.9844, -95.3414),       ('KSFO', 'San Francisco', 37.6188, -122.3754),
  ('KJFK', 'New York', 40.6398, -73.7789),      ('KORD', 'Chicago', 41.9786, -87.9048),
  ('KSEA', 'Seattle', 47.4490, -122.3093),      ('KDEN', 'Denver', 39.8617, -104.6731),
  ('EGLL', 'London', 51.4706, -0.4619),         ('LFPG', 'Paris', 49.0128, 2.5500),
  ('EDDF', 'Frankfurt', 50.0333, 8.5706),       ('RJTT', 'Tokyo', 35.5523, 139.7797),
  ('VHHH', 'Hong Kong', 22.3089, 113.9146),     ('YSSY', 'Sydney', -33.9461, 151.1772),
  ('SBGR', 'São Paulo', -23.4356, -46.4731),    ('FACT', 'Cape Town', -33.9648, 18.6017),
  ('OMDB', 'Dubai', 25.2528, 55.3644),          ('CYYZ', 'Toronto', 43.6772, -79.6306);

INSERT INTO ops.aircraft
SELECT format('N%sDF', 100 + n), (ARRAY['A320', 'B738', 'A359', 'B789'])[n % 4 + 1],
       (ARRAY[180, 189, 315, 296])[n % 4 + 1], n % 19 <> 0
FROM generate_series(1, 200) n;

INSERT INTO flights (ident, tail, origin, destination, status, departed)
SELECT format('DFL%s', n), format('N%sDF', 101 + n % 200), o.code, d.code,
       CASE WHEN n % 3 = 0 THEN 'scheduled' ELSE 'en route' END,
       CASE WHEN n % 3 = 0 THEN NULL ELSE now() - n * interval '7 seconds' END
FROM generate_series(1, 2000) n
JOIN (SELECT code, row_number() OVER (ORDER BY code) i FROM airports) o ON o.i = n % 16 + 1
JOIN (SELECT code, row_number() OVER (ORDER BY code) i FROM airports) d ON d.i = (n * 7 + 3) % 16 + 1
  AND d.code <> o.code;

INSERT INTO positions
SELECT f.id, s, now() - (30 - s) * interval '10 seconds',
       a.latitude + s * (b.latitude - a.latitude) / 100,
       a.longitude + s * (b.longitude - a.longitude) / 100, least(s * 1500, 37000)
FROM flights f JOIN airports a ON a.code = f.origin JOIN airports b ON b.code = f.destination,
     generate_series(1, 20) s
WHERE f.status = 'en route';
