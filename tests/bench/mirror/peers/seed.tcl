# A seed as one would write it in Tcl: seed.tcl CONNINFO OUT.db
# (Debian's Pgtcl is built without SQLite, so without import_postgres_result.)
package require Pgtcl
package require sqlite3
lassign $argv conninfo out
set pg [pg_connect -conninfo $conninfo]
sqlite3 mirror $out
mirror eval {PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;
  CREATE TABLE item(id INTEGER PRIMARY KEY NOT NULL, name TEXT, note TEXT, price REAL, at TEXT)}
pg_execute $pg BEGIN
pg_execute $pg "DECLARE rows CURSOR FOR
  SELECT id, name, note, price, (at AT TIME ZONE 'UTC')::text AS at FROM item"
mirror transaction {
  set got 1
  while {$got} {
    set got 0
    pg_select $pg {FETCH 10000 FROM rows} row {
      incr got
      mirror eval {INSERT INTO item VALUES($row(id),$row(name),$row(note),$row(price),$row(at))}
    }
  }
}
