#!/usr/bin/env python3
"""Compares deltamirror with the least that SQLite takes, and with other ways to the same end.

Three parts, each with all its sides in turn, round after round; medians and their ratios:
  seed     rows of (integer key, two texts, float, timestamptz) into a new SQLite file
  apply    TPC-B's changes into a copy of a seeded mirror
  verify   a mirror against PostgreSQL, row by row

The floors are C++ without anything but SQLite (and libpq): they check nothing, keep no checkpoint
and sync nothing. Files lie in --dir: a folder in memory (the default, where there is one) leaves
the disk out of the comparison. Peers whose packages are not installed are left out, with a word.
"""
import argparse
import glob
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'plugin'))
import bench as plugin_bench  # noqa: E402  (a private PostgreSQL: its Cluster)

HERE = os.path.dirname(os.path.abspath(__file__))
TABLES = ['pgbench_accounts', 'pgbench_tellers', 'pgbench_branches', 'pgbench_history']

ITEMS = """
CREATE TABLE item(id int PRIMARY KEY, name text, note text, price float8, at timestamptz);
INSERT INTO item SELECT i, 'item ' || i, md5(i::text), i * 0.37,
  '2026-11-21 10:15:04+00'::timestamptz + i * interval '1.000123 s'
  FROM generate_series(1, {rows}) i"""

TPCB = """
CREATE PROCEDURE tpcb(transactions int) LANGUAGE plpgsql AS $$
DECLARE a int; t int; b int; d int;
BEGIN
  FOR i IN 1..transactions LOOP
    a := 1 + random() * (100000 * {scale} - 1); t := 1 + random() * (10 * {scale} - 1);
    b := 1 + random() * ({scale} - 1); d := random() * 10000 - 5000;
    UPDATE pgbench_accounts SET abalance = abalance + d WHERE aid = a;
    UPDATE pgbench_tellers SET tbalance = tbalance + d WHERE tid = t;
    UPDATE pgbench_branches SET bbalance = bbalance + d WHERE bid = b;
    INSERT INTO pgbench_history(tid, bid, aid, delta, mtime) VALUES(t, b, a, d, now());
    COMMIT;
  END LOOP;
END $$"""


def note(text):
    print(text, file=sys.stderr, flush=True)


class Bench:
    def __init__(self, options):
        self.options = options
        self.dir = tempfile.mkdtemp(prefix='deltamirror-bench-', dir=options.dir)
        self.cluster = plugin_bench.Cluster(options.bindir, os.path.join(options.build, 'plugin'))
        self.conninfo = f'host={self.cluster.dir} user=postgres dbname=postgres'
        self.streamer = None
        self.stream = self.path('stream')

    def path(self, name):
        return os.path.join(self.dir, name)

    def program(self, name):
        folders = {'deltamirror': 'mirror', 'deltastream': 'streamer'}
        folder = folders.get(name, 'tests/bench/mirror')
        return os.path.join(self.options.build, folder, name)

    def start_stream(self):
        with open(self.path('deltastream.log'), 'wb') as log:
            self.streamer = subprocess.Popen(
                [self.program('deltastream'), '-d', self.conninfo, '-S', 'bench', '-D', self.stream,
                 '--create-slot', '--if-not-exists'], stderr=log)
        while not os.path.exists(os.path.join(self.stream, 'durable')):
            if self.streamer.poll() is not None:
                with open(self.path('deltastream.log'), encoding='utf-8') as log:
                    raise RuntimeError(log.read())
            time.sleep(0.02)

    def wait_for_stream(self):
        lsn = self.cluster.sql('SELECT pg_current_wal_flush_lsn()')
        while self.cluster.sql(f"SELECT confirmed_flush_lsn >= '{lsn}' FROM pg_replication_slots "
                               "WHERE slot_name = 'bench'") != 't':
            time.sleep(0.05)

    def stop_stream(self):
        if self.streamer is not None and self.streamer.poll() is None:
            self.streamer.send_signal(signal.SIGTERM)
            self.streamer.wait()

    def seed(self, mirror, tables):
        remove_mirror(mirror)
        arguments = [part for table in tables for part in ('--table', table)]
        return timed([self.program('deltamirror'), 'seed', mirror, '-d', self.conninfo,
                      '--daystream', self.stream, *arguments])

    def close(self):
        self.stop_stream()
        self.cluster.close()
        shutil.rmtree(self.dir)


def remove_mirror(mirror):
    for name in glob.glob(glob.escape(mirror) + '*'):
        os.unlink(name)


def copy_mirror(source, target):
    remove_mirror(target)
    for suffix in ('', '-wal'):
        if os.path.exists(source + suffix):
            shutil.copyfile(source + suffix, target + suffix)


def timed(command, **more):
    """Seconds by the clock and of CPU, and greatest resident memory (MiB), of one command."""
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          **more) as process:
        err = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f'{command[0]}: {err}')
    seconds = time.monotonic() - began
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def told(command):
    """The same, where the command prints its seconds."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    wall, cpu = done.stdout.split()
    return float(wall), float(cpu), 0.0


def compare(title, sides, rounds, count, unit):
    """`sides`: name → function that gives (seconds, CPU seconds, MiB); the first is 1.0. CPU is
    that of the side's own processes, all threads, without PostgreSQL's."""
    runs = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in list(sides.items()):
            try:
                runs[name].append(run())
            except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                note(f'{name}: left out: {getattr(error, "stderr", None) or error}')
                del sides[name]
    print(f'\n## {title}, medians of {rounds} rounds')
    print(f'| side | s | × the first | CPU s | × the first | {unit}/s | MiB |')
    print('| --- | ---: | ---: | ---: | ---: | ---: | ---: |')
    first = None
    for name in sides:
        seconds, cpu = (statistics.median(run[i] for run in runs[name]) for i in (0, 1))
        memory = max(run[2] for run in runs[name])
        first = first or (seconds, cpu)
        shown = [f'{cpu:.3f}', f'{cpu / first[1]:.2f}'] if cpu else ['–', '–']
        print(f'| {name} | {seconds:.3f} | {seconds / first[0]:.2f} | {shown[0]} | {shown[1]} | '
              f'{count / seconds:,.0f} | {f"{memory:.0f}" if memory else "–"} |')
    sys.stdout.flush()


def bench_seed(bench, options):
    rows = int(2_000_000 * options.scale)
    bench.cluster.sql(ITEMS.format(rows=rows))
    bench.cluster.sql('VACUUM ANALYZE item')
    bench.start_stream()
    bench.wait_for_stream()
    mirror = bench.path('item.db')

    def fresh(run):
        def wrapped():
            remove_mirror(mirror)
            return run()
        return wrapped

    peer = os.path.join(HERE, 'peers')
    sides = {
        'floor: ready values, bound and inserted':
            lambda: told([bench.program('seed_floor'), 'ready', bench.conninfo, mirror]),
        'one thread: COPY binary into SQLite':
            lambda: told([bench.program('seed_floor'), 'copy', bench.conninfo, mirror]),
        'deltamirror seed': lambda: bench.seed(mirror, ['item']),
        'psql \\copy into sqlite3 .import':
            lambda: timed(['sh', os.path.join(peer, 'seed_import.sh'), bench.conninfo, mirror]),
        'Tcl: pg_select and INSERT in one transaction':
            lambda: timed(['tclsh', os.path.join(peer, 'seed.tcl'), bench.conninfo, mirror]),
        'Python: psycopg2 and executemany':
            # Debian's, which has python3-psycopg2
            lambda: timed(['/usr/bin/python3', os.path.join(peer, 'seed.py'), bench.conninfo,
                           mirror]),
    }
    compare(f'seed: {rows} rows', {name: fresh(run) for name, run in chosen(sides, options)},
            options.rounds, rows, 'rows')
    bench.stop_stream()


def chosen(sides, options):
    return [(name, run) for name, run in sides.items()
            if not options.only or any(part in name for part in options.only)]


class Subscriber:
    """A second PostgreSQL that applies the same changes by logical replication."""

    def __init__(self, bench, options):
        self.publisher = bench.cluster
        self.cluster = plugin_bench.Cluster(options.bindir, os.path.join(options.build, 'plugin'))
        self.round = 0
        subprocess.run(f'"{options.bindir}/pg_dump" -h {self.publisher.dir} -U postgres '
                       f'{" ".join("-t " + table for table in TABLES)} postgres | '
                       f'"{options.bindir}/psql" -XAtq -h {self.cluster.dir} -U postgres postgres',
                       shell=True, check=True, stdout=subprocess.DEVNULL)
        for table in TABLES:
            self.cluster.sql(f'CREATE TABLE saved_{table} AS TABLE {table}')
        self.publisher.sql('CREATE PUBLICATION bench FOR TABLE ' + ', '.join(TABLES))
        self.publisher.sql("SELECT pg_create_logical_replication_slot('bench_apply', 'pgoutput')")

    def apply(self, transactions):
        self.round += 1
        slot = f'apply_{self.round}'
        for table in TABLES:
            self.cluster.sql(f'TRUNCATE {table}; INSERT INTO {table} TABLE saved_{table}')
        for command in ('VACUUM ANALYZE', 'CHECKPOINT'):
            self.cluster.sql(command)
        self.publisher.sql(f"SELECT pg_copy_logical_replication_slot('bench_apply', '{slot}')")
        began = time.monotonic()
        self.cluster.sql(f"CREATE SUBSCRIPTION bench CONNECTION 'host={self.publisher.dir} "
                         f"user=postgres dbname=postgres' PUBLICATION bench WITH "
                         f"(slot_name = '{slot}', create_slot = off, copy_data = off)")
        while self.cluster.sql('SELECT coalesce(max(id), 0) FROM pgbench_history') != str(
                transactions):
            time.sleep(0.02)
        seconds = time.monotonic() - began
        self.cluster.sql('ALTER SUBSCRIPTION bench DISABLE')
        while self.publisher.sql(f"SELECT active FROM pg_replication_slots WHERE slot_name = "
                                 f"'{slot}'") == 't':
            time.sleep(0.02)
        self.cluster.sql('DROP SUBSCRIPTION bench')
        return seconds, 0.0, 0.0


def bench_apply(bench, options):
    transactions = int(100_000 * options.scale)
    scale = options.tpcb_scale
    subprocess.run(bench.cluster.tool('pgbench', '-i', '-q', '-s', str(scale), 'postgres'),
                   check=True, capture_output=True)
    bench.cluster.sql('ALTER TABLE pgbench_history ADD COLUMN id bigserial PRIMARY KEY')
    bench.cluster.sql(TPCB.format(scale=scale))
    bench.start_stream()
    bench.wait_for_stream()
    seeded = bench.path('seeded.db')
    bench.seed(seeded, TABLES)
    subscriber = None
    if not options.only or any('PostgreSQL' in part for part in options.only):
        subscriber = Subscriber(bench, options)
    try:
        bench.cluster.sql(f'CALL tpcb({transactions})')
        bench.wait_for_stream()
        bench.stop_stream()
        days = sorted(glob.glob(os.path.join(bench.stream, '*.tsv')))
        if len(days) != 1:
            raise RuntimeError('midnight UTC passed: run it again')
        mirror = bench.path('applied.db')

        def from_seeded(run):
            def wrapped():
                copy_mirror(seeded, mirror)
                return run()
            return wrapped

        def floor(together):
            return lambda: told([bench.program('apply_floor'), days[0], mirror, str(together)])

        peer = os.path.join(HERE, 'peers')
        many = {
            'floor: prepared statements, 100 transactions a commit': floor(100),
            'deltamirror run --once':
                lambda: timed([bench.program('deltamirror'), 'run', mirror, '--daystream',
                               bench.stream, '--once']),
            "Tcl: a page of it, 100 transactions a commit":
                lambda: timed(['tclsh', os.path.join(peer, 'apply.tcl'), days[0], mirror]),
        }
        sides = {name: from_seeded(run) for name, run in chosen(many, options)}
        if subscriber is not None:
            sides["PostgreSQL's own apply worker"] = lambda: subscriber.apply(transactions)
        compare(f'apply, far behind: {transactions} transactions of TPC-B, scale {scale}', sides,
                options.rounds, 4 * transactions, 'changes')
        if options.check:
            check_equal(bench, from_seeded(many['deltamirror run --once']), mirror)
        single = {
            'floor: prepared statements, a commit each': floor(1),
            'deltamirror: a commit each':
                lambda: told([bench.program('apply_single'), bench.stream, mirror]),
        }
        compare(f'apply, one commit a source transaction: {transactions} transactions',
                {name: from_seeded(run) for name, run in chosen(single, options)}, options.rounds,
                4 * transactions, 'changes')
    finally:
        if subscriber is not None:
            subscriber.cluster.close()


def check_equal(bench, run, mirror):
    """A fast replay that is wrong is worth nothing."""
    run()
    for table, column in (('accounts', 'abalance'), ('tellers', 'tbalance'),
                          ('branches', 'bbalance'), ('history', 'delta * id')):
        sql = f'SELECT sum({column}) FROM pgbench_{table}'
        ours = subprocess.run(['sqlite3', '-readonly', mirror, sql], check=True,
                              capture_output=True, text=True).stdout.strip()
        if ours != bench.cluster.sql(sql):
            raise RuntimeError(f'{table} differs after replay')


def bench_verify(bench, options):
    rows = int(10_000_000 * options.scale * options.verify_scale)
    bench.cluster.sql(ITEMS.format(rows=rows))
    bench.cluster.sql('VACUUM ANALYZE item')
    bench.start_stream()
    bench.wait_for_stream()
    mirror = bench.path('verify.db')
    bench.seed(mirror, ['item'])
    dumps = os.path.join(HERE, 'peers', 'verify_dumps.sh')
    sides = {
        'two dumps in the order of the key and diff':
            lambda: timed(['sh', dumps, 'key', bench.conninfo, mirror, bench.dir]),
        'two dumps, sort and diff':
            lambda: timed(['sh', dumps, 'sort', bench.conninfo, mirror, bench.dir]),
        'deltamirror verify':
            lambda: timed([bench.program('deltamirror'), 'verify', mirror, '-d', bench.conninfo,
                           '--daystream', bench.stream]),
        'deltamirror verify --sample 1%':
            lambda: timed([bench.program('deltamirror'), 'verify', mirror, '-d', bench.conninfo,
                           '--daystream', bench.stream, '--sample', '1%']),
    }
    compare(f'verify: {rows} rows', dict(chosen(sides, options)), options.rounds, rows, 'rows')
    bench.stop_stream()


PARTS = {'seed': bench_seed, 'apply': bench_apply, 'verify': bench_verify}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    memory = '/dev/shm' if os.path.isdir('/dev/shm') else None
    parser.add_argument('--build', required=True, help='build folder')
    parser.add_argument('--bindir', required=True, help="PostgreSQL's programs")
    parser.add_argument('--dir', default=os.environ.get('BENCH_DIR', memory),
                        help='where files are made (default: /dev/shm)')
    parser.add_argument('--rounds', type=int, default=int(os.environ.get('BENCH_ROUNDS', '5')))
    parser.add_argument('--scale', type=float, default=float(os.environ.get('BENCH_SCALE', '1')),
                        help='factor of the rows and transactions')
    parser.add_argument('--tpcb-scale', type=int,
                        default=int(os.environ.get('BENCH_TPCB_SCALE', '2')),
                        help='scale of pgbench, 100,000 accounts each (default: 2)')
    parser.add_argument('--verify-scale', type=float, default=0.2,
                        help='further factor of the rows to verify (default: 0.2: 2,000,000 rows)')
    parser.add_argument('--part', action='append', choices=list(PARTS))
    parser.add_argument('--only', action='append', help="part of a side's name")
    parser.add_argument('--check', action='store_true', help='also compare sums after replay')
    options = parser.parse_args()
    for part in options.part or PARTS:
        bench = Bench(options)
        try:
            PARTS[part](bench, options)
        finally:
            bench.close()


if __name__ == '__main__':
    main()
