#!/bin/sh
# A comparison as one would make it by hand: verify_dumps.sh key|sort CONNINFO MIRROR.db FOLDER
# `key`: both sides give the rows in the key's order. `sort`: in any order, and sort(1) follows.
# Both dumps are made at the same time. The float is left to PostgreSQL's and SQLite's 15 digits.
set -eu
order=''
[ "$1" = sort ] || order='ORDER BY id'
columns="id, name, note, price, "
dump_source() {
  PGOPTIONS='-c extra_float_digits=0' psql -XAtq "$2" \
    -c "COPY (SELECT ${columns} at AT TIME ZONE 'UTC' FROM item $order) TO STDOUT"
}
dump_mirror() {
  sqlite3 -readonly -tabs "$3" "SELECT id, name, note,
    CASE WHEN price = CAST(price AS INTEGER) THEN CAST(price AS INTEGER) ELSE price END, at
    FROM item $order"
}
if [ "$1" = sort ]; then
  dump_source "$@" | LC_ALL=C sort >"$4/a" &
  dump_mirror "$@" | LC_ALL=C sort >"$4/b"
else
  dump_source "$@" >"$4/a" &
  dump_mirror "$@" >"$4/b"
fi
wait
diff "$4/a" "$4/b"
rm "$4/a" "$4/b"
