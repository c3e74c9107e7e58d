#!/bin/sh
# psql's \copy piped into sqlite3's .import: seed_import.sh CONNINFO OUT.db
set -eu
sqlite3 "$2" 'CREATE TABLE item(id INTEGER PRIMARY KEY NOT NULL, name TEXT, note TEXT, price REAL, at TEXT)'
psql -XAtq "$1" -c '\copy item TO STDOUT CSV' | sqlite3 "$2" \
  'PRAGMA journal_mode=OFF' 'PRAGMA synchronous=OFF' '.mode csv' '.import /dev/stdin item'
