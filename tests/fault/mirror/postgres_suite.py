#!/usr/bin/env python3
"""Runs PostgreSQL's own SQL test suite in a database while it is mirrored, and compares.

    postgres_suite.py --build BUILD --source postgresql-15.x/src/test/regress [FILE...]

The source is that of `apt-get source postgresql-15`, or of postgresql.org; without --source it is
taken from DELTAFLOOD_POSTGRES_SUITE, and without that there is nothing to do (exit code 77).

Each file of the suite's schedule is typed into psql at a terminal, line by line, so that we know
when a statement has ended outside of any transaction. Then every new permanent table is given a
replica identity where it has none, and is added to the running mirror; what the file does to it
afterwards comes through the stream. After each file, all tables that changed are compared with
PostgreSQL row by row, at the end all of them: by this program alone, from COPY's text, by what
mirror/TYPES.md says. A mirror that stops must have said why; it is made again, and that is counted.

Whether the suite's statements succeed is not looked at: that is PostgreSQL's to test.
Exit code 0: every table was equal, every time.
"""
import argparse
import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # into the source
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', '..', 'bench', 'plugin'))
from cluster import Cluster  # noqa: E402  (a private PostgreSQL)
from suite_psql import Psql, Session  # noqa: E402
from suite_values import COLUMNS, expected, found, kind_of, unescape  # noqa: E402

GOES_AWAY = re.compile(r'\s*(drop|truncate|rollback)', re.IGNORECASE)
MAY_MAKE_TABLES = re.compile(r'create|alter|into|import|call|do\b', re.IGNORECASE)

# What the schedule leaves to one run alone, or what a mirror cannot be beside.
LEFT_OUT = {
    'tablespace': 'wants a folder that only pg_regress makes',
    'largeobject': 'large objects are not decoded',
}


def say(text):
    print(f'{time.strftime("%H:%M:%S")} {text}', flush=True)


# Every permanent table that a mirror could follow: its oid and name, whether it has a key, and what
# changes whenever its rows or its shape do.
TABLES = """
SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relreplident,
  EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate
          AND i.indisvalid),
  (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND attnum > 0
   AND NOT attisdropped),
  concat_ws(' ', c.relfilenode, c.xmin, c.relname, pg_stat_get_tuples_inserted(c.oid),
            pg_stat_get_tuples_updated(c.oid), pg_stat_get_tuples_deleted(c.oid))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.oid >= 16384
  AND n.nspname <> 'information_schema' ORDER BY c.oid"""

class Suite:
    def __init__(self, options):
        self.options = options
        self.dir = tempfile.mkdtemp(prefix='deltamirror-suite-')
        os.chmod(self.dir, 0o755)
        self.source = self.take_source()
        self.cluster = Cluster(options.bindir, os.path.join(options.build, 'plugin'))
        self.cluster.sql('ALTER SYSTEM SET max_prepared_transactions = 10')
        self.cluster.run('pg_ctl', '-D', self.cluster.data, '-m', 'fast', '-w', 'restart',
                         '-l', self.cluster.log)
        self.cluster.sql('CREATE DATABASE regression TEMPLATE = template0')
        for setting in ("lc_messages TO 'C'", "lc_monetary TO 'C'", "lc_numeric TO 'C'",
                        "lc_time TO 'C'", "bytea_output TO 'hex'",
                        "timezone_abbreviations TO 'Default'"):
            self.cluster.sql(f'ALTER DATABASE regression SET {setting}')
        self.conninfo = f'host={self.cluster.dir} user=postgres dbname=regression'
        self.session = Session(self.cluster, 'regression')
        self.stream = os.path.join(self.dir, 'stream')
        self.generation = 0
        self.mirror = None
        self.follower = None
        self.followed = {}  # oid: name at the time
        self.refused = {}   # oid: why
        self.compared = {}  # oid: the state that was compared last
        self.counts = {'tables': 0, 'comparisons': 0, 'rows': 0, 'stops': 0, 'different': 0}
        self.start_stream()

    def take_source(self):
        """Where the server's user may read it, and its functions in C can be built."""
        source = os.path.join(self.dir, 'source')
        shutil.copytree(self.options.source, source)
        headers = subprocess.run([os.path.join(self.options.bindir, 'pg_config'),
                                  '--includedir-server'], check=True, capture_output=True,
                                 text=True).stdout.strip()
        subprocess.run(['cc', '-O1', '-w', '-fPIC', '-shared', '-I' + headers,
                        '-I' + os.path.join(self.options.source, '../../../contrib/spi'),
                        os.path.join(source, 'regress.c'), '-o',
                        os.path.join(source, 'regress.so')], check=True)
        subprocess.run(['chmod', '-R', 'a+rX', source], check=True)
        return source

    def program(self, folder, name):
        return os.path.join(self.options.build, folder, name)

    def start_stream(self):
        with open(os.path.join(self.dir, 'deltastream.log'), 'wb') as log:
            self.streamer = subprocess.Popen(
                [self.program('streamer', 'deltastream'), '-d', self.conninfo, '-S', 'suite', '-D',
                 self.stream, '--create-slot', '--if-not-exists'], stderr=log)
        while not os.path.exists(os.path.join(self.stream, 'durable')):
            if self.streamer.poll() is not None:
                raise RuntimeError('deltastream did not start')
            time.sleep(0.05)

    def log_path(self):
        return os.path.join(self.dir, f'mirror{self.generation}.log')

    def last_words(self):
        with open(self.log_path(), encoding='utf-8', errors='replace') as log:
            return ' | '.join(log.read().splitlines()[-3:])

    def start_follower(self):
        with open(self.log_path(), 'ab') as log:
            self.follower = subprocess.Popen(
                [self.program('mirror', 'deltamirror'), 'run', self.mirror, '--daystream',
                 self.stream, '-d', self.conninfo], stderr=log)

    def add(self, tables):
        """Into the mirror; each alone where together they are refused."""
        command = [self.program('mirror', 'deltamirror'), 'seed']
        new = self.mirror is None
        if new:
            self.generation += 1
            self.mirror = os.path.join(self.dir, f'mirror{self.generation}.db')
        command += [self.mirror, '-d', self.conninfo]
        if new:
            command += ['--daystream', self.stream]
        for oid, name in tables:
            command += ['--table', name, '--as', f't_{oid}']
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode == 0:
            for oid, name in tables:
                self.followed[oid] = name
                self.refused.pop(oid, None)
                self.counts['tables'] += 1
            if new:
                self.start_follower()
            return
        if new:
            self.mirror = None
        if len(tables) > 1:
            for table in tables:
                self.add([table])
            return
        oid, name = tables[0]
        why = ' | '.join(done.stderr.strip().splitlines()[-2:])
        if self.follower is not None and self.follower.poll() is not None:
            self.mirror_stopped()
            return
        if oid not in self.refused:
            say(f'    not mirrored: {name}: {why}')
        self.refused[oid] = why

    def mirror_stopped(self):
        self.counts['stops'] += 1
        say(f'    the mirror stopped ({self.follower.returncode}): {self.last_words()}')
        self.mirror = None
        self.follower = None
        self.followed.clear()
        self.compared.clear()

    def look_for_tables(self):
        """Between two statements: what is new is followed from here on."""
        if self.follower is not None and self.follower.poll() is not None:
            self.mirror_stopped()
        new = []
        for oid, name, identity, has_key, columns, _ in self.session.rows(TABLES):
            if oid in self.followed or columns == '0':
                continue
            if (identity == 'd' and has_key == 'f') or identity == 'n':
                self.session.ask(f'SET lock_timeout = 2000; ALTER TABLE {name} REPLICA IDENTITY FULL')
            if oid not in self.refused:
                new.append((oid, name))
        if new:
            self.add(new)

    def rows_of(self, name, columns):
        """None: PostgreSQL does not read it to us."""
        listed = ', '.join('"' + c['name'].replace('"', '""') + '"' for c in columns)
        # A query: COPY of a table leaves generated columns out.
        copy = f'COPY (SELECT {listed} FROM ONLY {name}) TO STDOUT'
        lines = self.session.ask(copy)
        if self.session.failed:  # an index over functions that look for others by search_path
            lines = self.session.ask(f'SET search_path = public; {copy}')
            failed = self.session.failed
            self.session.ask("SET search_path = ''")
            if failed:  # one over a function that wants to be called by its owner
                return None
        return [tuple(expected(c, unescape(field))
                      for c, field in zip(columns, line.split('\t'))) for line in lines]

    def compare(self, everything=False):
        """The tables that have changed since they were compared. Number of those that differ."""
        if self.mirror is None:
            return 0
        lsn = self.session.ask('SELECT pg_current_wal_insert_lsn()')[0]
        self.session.ask('SELECT pg_current_xact_id()')  # a commit: all before it is flushed
        waited = subprocess.run(
            [self.program('mirror', 'deltamirror'), 'wait', self.mirror, '--lsn', lsn, '--timeout',
             '120'], capture_output=True, text=True, check=False)
        if self.follower.poll() is not None:
            self.mirror_stopped()
            self.look_for_tables()
            return 0
        if waited.returncode != 0:
            raise RuntimeError(f'the mirror did not come to {lsn}: {waited.stderr}')
        tables = {oid: (name, state) for oid, name, _, _, columns, state in
                  self.session.rows(TABLES) if columns != '0'}
        different = 0
        with contextlib.closing(sqlite3.connect(f'file:{self.mirror}?mode=ro', uri=True)) as db:
            db.text_factory = lambda b: b.decode('utf-8', 'surrogateescape')
            here = {name for (name,) in db.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 't_*'")}
            for oid in list(self.followed):
                name = f't_{oid}'
                if oid not in tables:
                    if name in here:
                        different += 1
                        say(f'    DIFFERENT: {self.followed[oid]} is dropped there, not here')
                    del self.followed[oid]
                    continue
                there, state = tables[oid]
                if self.compared.get(oid) == state and not everything:
                    continue
                different += self.compare_one(db, there, name)
                self.compared[oid] = state
        self.counts['different'] += different
        return different

    def compare_one(self, db, there, here):
        oid = here[2:]
        columns = [{'name': name, 'kind': kind_of(kind, int(typmod)), 'array': array == 't',
                    'delimiter': delimiter}
                   for name, kind, array, delimiter, typmod
                   in self.session.rows(COLUMNS.format(oid=oid))]
        rows = self.rows_of(there, columns)
        if rows is None:
            say(f'    not compared: {there}: PostgreSQL itself cannot read it')
            return 0
        want = sorted(rows, key=repr)
        try:
            # All but generated ones, which have what others of the row have.
            names = [row[1] for row in db.execute(f'PRAGMA table_info("{here}")')]
            listed = ', '.join('"' + name.replace('"', '""') + '"' for name in names)
            cursor = db.execute(f'SELECT {listed} FROM "{here}"')
        except sqlite3.OperationalError as error:
            say(f'    DIFFERENT: {there}: {error}')
            return 1
        if names != [c['name'] for c in columns]:
            say(f'    DIFFERENT: {there}: columns {names}, {[c["name"] for c in columns]} there')
            return 1
        have = sorted((tuple(found(c, v) for c, v in zip(columns, row)) for row in cursor),
                      key=repr)
        self.counts['comparisons'] += 1
        self.counts['rows'] += len(want)
        if repr(want) == repr(have):
            return 0
        only_there = [row for row in want if row not in have][:2] if len(want) < 20000 else '…'
        only_here = [row for row in have if row not in want][:2] if len(have) < 20000 else '…'
        say(f'    DIFFERENT: {there} ({here}): {len(want)} rows there, {len(have)} here; '
            f'only there {only_there}, only here {only_here}')
        return 1

    def run_file(self, name):
        source = self.source
        with open(os.path.join(source, 'sql', name + '.sql'), encoding='utf-8',
                  errors='surrogateescape') as text:
            lines = text.read().splitlines()
        psql = Psql(self.cluster, 'regression', {
            'PG_ABS_SRCDIR': source, 'PG_ABS_BUILDDIR': self.dir, 'PG_LIBDIR': source,
            'PG_DLSUFFIX': '.so', 'PGTZ': 'PST8PDT', 'PGDATESTYLE': 'Postgres, MDY'})
        psql.type("SET intervalstyle = 'postgres_verbose';")
        typed = ''
        state = 'idle'
        try:
            for line in lines:
                # What goes away was never compared otherwise.
                if state == 'idle' and GOES_AWAY.match(line):
                    self.compare()
                typed += line
                state = psql.type(line)
                if state is None:
                    break
                if state == 'idle':
                    if MAY_MAKE_TABLES.search(typed):
                        self.look_for_tables()
                    typed = ''
        finally:
            psql.close()

    def run(self):
        files = self.options.files
        if not files:
            with open(os.path.join(self.source, 'parallel_schedule'),
                      encoding='ascii') as schedule:
                for line in schedule:
                    if line.startswith('test:'):
                        files += line.split()[1:]
        os.makedirs(os.path.join(self.dir, 'results'))
        os.chmod(os.path.join(self.dir, 'results'), 0o777)
        for number, name in enumerate(files, 1):
            if name in LEFT_OUT:
                say(f'{name}: left out: {LEFT_OUT[name]}')
                continue
            began = time.monotonic()
            self.run_file(name)
            self.look_for_tables()
            before = self.counts['comparisons']
            self.compare()
            say(f'{number}/{len(files)} {name}: {time.monotonic() - began:.1f} s, '
                f'{self.counts["comparisons"] - before} tables compared')
        self.compare(everything=True)
        say(f'{len(files)} files: {self.counts}')
        return 1 if self.counts['different'] else 0

    def close(self):
        for process in self.follower, self.streamer:
            if process is not None:
                process.terminate()
                process.wait()
        self.session.close()
        self.cluster.close()
        if not self.counts['different']:
            shutil.rmtree(self.dir)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', required=True)
    parser.add_argument('--bindir', default='/usr/lib/postgresql/15/bin')
    parser.add_argument('--source', default=os.environ.get('DELTAFLOOD_POSTGRES_SUITE'),
                        help="src/test/regress of PostgreSQL's source")
    parser.add_argument('files', nargs='*')
    options = parser.parse_args()
    if not options.source:
        print('set DELTAFLOOD_POSTGRES_SUITE to src/test/regress of the source of PostgreSQL 15')
        sys.exit(77)
    for name in options.files:
        if not os.path.exists(os.path.join(options.source, 'sql', name + '.sql')):
            parser.error(f'"{options.source}" has no sql/{name}.sql')
    suite = Suite(options)
    try:
        sys.exit(suite.run())
    finally:
        suite.close()


if __name__ == '__main__':
    main()
