#!/usr/bin/env python3
"""Does each transaction of a consumer group once: the COMMAND of `daystream consume --group`.

    daystream consume /srv/prod --group copy --into 8 -- group_worker.py copy.db

What it makes of a transaction and the position of that transaction are committed together, in the
worker's own database, and only while no later epoch has claimed the part there. So it does not
matter what is handed over twice, or who else believes to have the part: one commits. The SQL is
the same in PostgreSQL. docs/groups.md explains it.
"""
import os
import sqlite3
import sys

PART = int(os.environ['DAYSTREAM_PART'])
EPOCH = int(os.environ['DAYSTREAM_EPOCH'])
RETRY = os.environ['DAYSTREAM_RETRY'] == '1'  # a dead letter, which is older than our position

TABLES = """
create table if not exists claims (
  part integer primary key, epoch bigint not null, c bigint not null, s bigint not null);
create table if not exists letters (
  part integer, c bigint, s bigint, primary key (part, c, s));
create table if not exists done (
  n integer primary key, part integer, epoch bigint, c bigint, s bigint, line text);
"""


def fields(line):
    words = line.rstrip('\n').split('\t')
    return dict(zip(words[::2], words[1::2]))


def claim(db):
    """From now on nobody with an epoch before ours can commit for this part."""
    db.execute('begin immediate')
    db.execute('insert into claims values (?, 0, -1, 0) on conflict do nothing', (PART,))
    claimed = db.execute('update claims set epoch = ? where part = ? and epoch <= ?',
                         (EPOCH, PART, EPOCH)).rowcount
    db.execute('commit')
    if claimed == 0:
        sys.exit(f'part {PART}: a later epoch than {EPOCH} is at work')


def do_once(db, c, s, lines):
    db.execute('begin immediate')
    # The fence. In PostgreSQL: `select … for update`, so that nobody claims it meanwhile.
    epoch = db.execute('select epoch from claims where part = ?', (PART,)).fetchone()[0]
    if epoch != EPOCH:
        db.execute('rollback')
        sys.exit(f'part {PART}: lost to epoch {epoch}')
    if RETRY:
        is_new = db.execute('insert into letters values (?, ?, ?) on conflict do nothing',
                            (PART, c, s)).rowcount
    else:
        is_new = db.execute('update claims set c = ?, s = ? where part = ? and (c, s) < (?, ?)',
                            (c, s, PART, c, s)).rowcount
    if is_new:
        for line in lines:  # here goes what is to be done once
            db.execute('insert into done (part, epoch, c, s, line) values (?, ?, ?, ?, ?)',
                       (PART, EPOCH, c, s, line))
    db.execute('commit')


def main():
    db = sqlite3.connect(sys.argv[1], timeout=600, isolation_level=None)
    db.executescript(TABLES)
    claim(db)
    lines = []
    for line in sys.stdin:
        if '\t_action\tcommit' not in line:
            lines.append(line.rstrip('\n'))
            continue
        end = fields(line)
        c, s = int(end['_c']), int(end['_s'])
        do_once(db, c, s, lines)
        print(f'{c}/{s}', flush=True)  # only now: it is on disk
        lines = []


main()
