"""A seed as one would write it in Python: seed.py CONNINFO OUT.db"""
import sqlite3
import sys

import psycopg2

source = psycopg2.connect(sys.argv[1])
rows = source.cursor('rows')
rows.itersize = 10_000
rows.execute("SELECT id, name, note, price, (at AT TIME ZONE 'UTC')::text FROM item")
mirror = sqlite3.connect(sys.argv[2], isolation_level=None)
mirror.execute('PRAGMA journal_mode=OFF')
mirror.execute('PRAGMA synchronous=OFF')
mirror.execute('CREATE TABLE item(id INTEGER PRIMARY KEY NOT NULL, name TEXT, note TEXT, '
               'price REAL, at TEXT)')
mirror.execute('BEGIN')
while batch := rows.fetchmany(10_000):
    mirror.executemany('INSERT INTO item VALUES(?,?,?,?,?)', batch)
mirror.execute('COMMIT')
