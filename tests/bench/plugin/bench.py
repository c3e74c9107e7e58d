#!/usr/bin/env python3
"""Decodes the same range of the log with each output plugin, in turn, and compares.

For each workload: the changes are made once, with one slot per plugin before them. Then, for each
round, every plugin's slot is copied to a temporary one and pg_recvlogical reads it to the end, to
nowhere. Seconds are wall time of the whole run; CPU is the walsender's, user and system. What is
printed are medians and their ratio to a plugin that emits nothing.

System calls are counted by strace in a pass of its own over fewer rows, before the rounds, so that
it slows none of them; they are all of the walsender's from its start to the last change. Its
instructions are not counted: that takes a processor's counters, or a walsender inside valgrind.
"""
import argparse
import math
import os
import pwd
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

DELTASTREAM = ['include-transaction=on', 'include-schema=on', 'batch-bytes=65536']

# name, plugin library, options
PLUGINS = [
    ('nothing', 'floor_nothing', []),
    ('a byte a change', 'floor_empty', []),
    ('deltaflood', 'deltaflood', DELTASTREAM),
    ('deltaflood, a message a line', 'deltaflood', []),
    ('pgoutput text', 'pgoutput', ['proto_version=1', 'publication_names=everything']),
    ('pgoutput binary', 'pgoutput',
     ['proto_version=1', 'publication_names=everything', 'binary=true']),
    ('test_decoding', 'test_decoding', []),
    ('wal2json 1', 'wal2json', ['format-version=1']),
    ('wal2json 2', 'wal2json', ['format-version=2']),
    ('decoderbufs', 'decoderbufs', []),
]

MIXED_COLUMNS = ', '.join(
    [f'i{n} int DEFAULT {n}' for n in range(6)] + [f'b{n} bigint DEFAULT {n}000000000' for n in
                                                   range(4)]
    + [f"t{n} text DEFAULT 'some text of column {n}'" for n in range(6)]
    + [f'n{n} numeric(12,2) DEFAULT {n}234.50' for n in range(4)]
    + [f"ts{n} timestamptz DEFAULT now()" for n in range(3)] + ["d0 date DEFAULT '2026-11-21'"]
    + [f'f{n} float8 DEFAULT {n}.25' for n in range(3)] + ['o0 boolean DEFAULT true']
    + ["u0 uuid DEFAULT gen_random_uuid()"])

# name, setup, and the changes that are measured (SQL, or arguments of pgbench)
WORKLOADS = {
    'narrow-1000': ('CREATE TABLE narrow (id bigint PRIMARY KEY, v int, t text)',
                    "DO $$ BEGIN FOR i IN 0..{rows}/1000 - 1 LOOP INSERT INTO narrow "
                    "SELECT i * 1000 + j, j, 'row ' || j FROM generate_series(1, 1000) j; COMMIT; "
                    "END LOOP; END $$", 400_000),
    'narrow-1': ('CREATE TABLE narrow1 (id bigint PRIMARY KEY, v int, t text)',
                 "DO $$ BEGIN FOR i IN 1..{rows} LOOP INSERT INTO narrow1 "
                 "VALUES (i, i, 'row ' || i); COMMIT; END LOOP; END $$", 100_000),
    'tpcb': (['-i', '-q', '-s', '4'], ['-n', '-M', 'prepared', '-c', '2', '-t', '{half}'], 40_000),
    'mixed-30': (f'CREATE TABLE mixed (id int PRIMARY KEY, {MIXED_COLUMNS}); INSERT INTO mixed '
                 'SELECT generate_series(1, 1000)',
                 "DO $$ BEGIN FOR i IN 1..{rows}/1000 LOOP UPDATE mixed SET i0 = i0 + 1; COMMIT; "
                 "END LOOP; END $$", 50_000),
}


class Cluster:
    """A private PostgreSQL in a temporary folder, run as `postgres` when we are root."""

    def __init__(self, bindir, library_path):
        self.bindir = bindir
        self.dir = tempfile.mkdtemp(prefix='deltaflood-bench-')
        os.chmod(self.dir, 0o711)
        self.as_user = []
        if os.geteuid() == 0:
            user = pwd.getpwnam('postgres')
            os.chown(self.dir, user.pw_uid, user.pw_gid)
            self.as_user = ['runuser', '-u', 'postgres', '--']
        self.data = os.path.join(self.dir, 'data')
        self.run('initdb', '-A', 'trust', '-N', '-U', 'postgres', '-E', 'UTF8', '--locale=C.UTF-8',
                 self.data)
        settings = {
            'wal_level': 'logical', 'listen_addresses': '', 'unix_socket_directories': self.dir,
            'fsync': 'off', 'max_wal_size': '4GB', 'checkpoint_timeout': '1h', 'autovacuum': 'off',
            'max_replication_slots': '30', 'max_wal_senders': '10',
            'logical_decoding_work_mem': '256MB',
            'output_plugin_libraries':
                'pgoutput,test_decoding,deltaflood,wal2json,decoderbufs,floor_nothing,floor_empty',
            'dynamic_library_path': library_path + ':$libdir',
        }
        with open(os.path.join(self.dir, 'settings'), 'w', encoding='utf-8') as out:
            for name, value in settings.items():
                out.write(f"{name} = '{value}'\n")
        os.chmod(os.path.join(self.dir, 'settings'), 0o644)
        with open(os.path.join(self.data, 'postgresql.conf'), 'a', encoding='utf-8') as out:
            out.write(f"include '{self.dir}/settings'\n")
        self.run('pg_ctl', '-D', self.data, '-l', os.path.join(self.dir, 'log'), '-w', 'start')

    def run(self, tool, *args):
        subprocess.run([*self.as_user, os.path.join(self.bindir, tool), *args], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd='/')

    def tool(self, name, *args):
        return [os.path.join(self.bindir, name), '-h', self.dir, '-U', 'postgres', *args]

    def sql(self, text):
        return subprocess.run(self.tool('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', text),
                              check=True, capture_output=True, text=True).stdout.strip()

    def close(self):
        subprocess.run([*self.as_user, os.path.join(self.bindir, 'pg_ctl'), '-D', self.data,
                        '-m', 'immediate', '-w', 'stop'], check=False,
                       stdout=subprocess.DEVNULL, cwd='/')
        shutil.rmtree(self.dir)


def prepare(cluster, workload, scale):
    setup, changes, rows = WORKLOADS[workload]
    rows = max(1000, int(rows * scale))
    if isinstance(setup, list):
        subprocess.run(cluster.tool('pgbench', *setup, 'postgres'), check=True,
                       capture_output=True)
        cluster.sql('ALTER TABLE pgbench_history ADD COLUMN id bigserial PRIMARY KEY')
    else:
        cluster.sql(setup)
    cluster.sql('CHECKPOINT')
    for library in sorted({library for _, library, _ in PLUGINS}):
        try:
            cluster.sql(f"SELECT pg_create_logical_replication_slot('{library}', '{library}')")
        except subprocess.CalledProcessError as error:
            print(f'{library}: left out: {error.stderr.strip()}', file=sys.stderr)
    if isinstance(changes, list):
        arguments = [argument.format(half=rows // 2) for argument in changes]
        subprocess.run(cluster.tool('pgbench', *arguments, 'postgres'), check=True,
                       capture_output=True)
    else:
        cluster.sql(changes.format(rows=rows))
    # A last change: its commit is where every reader stops. Plugins that emit nothing stop there by
    # the keepalive that their progress asks for.
    return rows, cluster.sql('SELECT pg_current_wal_insert_lsn()')


def postmaster_pid(cluster):
    with open(os.path.join(cluster.data, 'postmaster.pid'), encoding='utf-8') as text:
        return int(text.readline())


def children_cpu(cluster):
    """CPU seconds of the postmaster's children that have ended: the walsender, and short sessions
    of ours that cost next to nothing."""
    with open(f'/proc/{postmaster_pid(cluster)}/stat', encoding='ascii') as stat:
        fields = stat.read().rsplit(')', 1)[1].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf('SC_CLK_TCK')


def decode(cluster, library, options, end, count_bytes=False):
    """Wall seconds, walsender CPU seconds and, where asked for, bytes, of one run."""
    cluster.sql(f"SELECT pg_copy_logical_replication_slot('{library}', 'measured')")
    try:
        return decode_slot(cluster, 'measured', options, end, count_bytes)
    finally:
        cluster.sql("SELECT pg_drop_replication_slot('measured')")


def wait_for_slot(cluster, slot):
    while cluster.sql(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'") == 't':
        time.sleep(0.01)


def decode_slot(cluster, slot, options, end, count_bytes, wait=True):
    before = children_cpu(cluster)
    arguments = ['-d', 'postgres', '-S', slot, '--start', '-n', '-E', end, '-F', '0', '-f',
                 '-' if count_bytes else '/dev/null']
    for option in options:
        arguments += ['-o', option]
    size = 0
    started = time.monotonic()
    with subprocess.Popen(cluster.tool('pg_recvlogical', *arguments), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        while chunk := process.stdout.read(1 << 20):
            size += len(chunk)
        errors = process.stderr.read().decode()
    seconds = time.monotonic() - started
    if wait:
        wait_for_slot(cluster, slot)
    if process.returncode != 0:
        raise RuntimeError(errors)
    return seconds, children_cpu(cluster) - before, size


def count_calls(cluster, library, options, end):
    """System calls of the walsender. strace follows what the postmaster starts from here on: that
    is the walsender alone. Its summary's last line is "100.00 SECONDS USECS CALLS [ERRORS] total".
    """
    cluster.sql(f"SELECT pg_copy_logical_replication_slot('{library}', 'counted')")
    with subprocess.Popen(['strace', '-f', '-c', '-e', 'signal=none', '-p',
                           str(postmaster_pid(cluster))],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as strace:
        attached = strace.stderr.readline()
        if 'attached' not in attached:
            raise RuntimeError(attached.strip())
        try:
            decode_slot(cluster, 'counted', options, end, False, wait=False)
        finally:
            strace.send_signal(signal.SIGINT)
            summary = strace.stderr.read()
    wait_for_slot(cluster, 'counted')
    cluster.sql("SELECT pg_drop_replication_slot('counted')")
    total = [line.split() for line in summary.splitlines() if line.endswith(' total')]
    return int(total[-1][3])


def system_calls(options, workload):
    """By plugin, a row or transaction; empty where there is no strace."""
    if not shutil.which('strace'):
        print('system calls: left out: there is no strace', file=sys.stderr)
        return {}
    cluster = Cluster(options.bindir, f'{options.plugins}:{options.floor}')
    try:
        cluster.sql('CREATE PUBLICATION everything FOR ALL TABLES')
        rows, end = prepare(cluster, workload, options.scale / 4)
        calls = {}
        for name, library, arguments in PLUGINS:
            if options.only and not any(part in name for part in options.only):
                continue
            try:
                calls[name] = count_calls(cluster, library, arguments, end) / rows
            except (RuntimeError, subprocess.CalledProcessError) as error:
                print(f'{name}: system calls left out: {error}', file=sys.stderr)
        return calls
    finally:
        cluster.close()


def measure(options, workload):
    calls = system_calls(options, workload)
    cluster = Cluster(options.bindir, f'{options.plugins}:{options.floor}')
    try:
        cluster.sql('CREATE PUBLICATION everything FOR ALL TABLES')
        rows, end = prepare(cluster, workload, options.scale)
        plugins, sizes = [], {}
        for name, library, arguments in PLUGINS:
            if options.only and not any(part in name for part in options.only):
                continue
            try:  # a round to warm up, which also tells the bytes
                sizes[name] = decode(cluster, library, arguments, end, count_bytes=True)[2]
            except (RuntimeError, subprocess.CalledProcessError) as error:
                print(f'{name}: left out: {error}', file=sys.stderr)
                continue
            plugins.append((name, library, arguments))
        runs = {name: [] for name, _, _ in plugins}
        for _ in range(options.rounds):
            for name, library, arguments in plugins:
                runs[name].append(decode(cluster, library, arguments, end))
        print(f'\n## {workload}: {rows} rows or transactions, medians of {options.rounds} rounds')
        print('| plugin | s | × nothing | walsender CPU s | × nothing | bytes | rows/s | '
              'system calls a row |')
        print('| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |')
        floor = None
        for name, _, _ in plugins:
            wall = statistics.median(run[0] for run in runs[name])
            cpu = statistics.median(run[1] for run in runs[name])
            floor = floor or (wall, max(cpu, 0.01))
            print(f'| {name} | {wall:.3f} | {wall / floor[0]:.2f} | {cpu:.2f} | '
                  f'{cpu / floor[1]:.2f} | {sizes[name]} | {rows / wall:,.0f} | '
                  f'{calls.get(name, math.nan):.2f} |')
        sys.stdout.flush()
    finally:
        cluster.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--plugins', required=True, help='folder of deltaflood.so')
    parser.add_argument('--floor', required=True, help='folder of floor_*.so')
    parser.add_argument('--bindir', required=True, help="PostgreSQL's programs")
    parser.add_argument('--rounds', type=int, default=int(os.environ.get('BENCH_ROUNDS', '5')))
    parser.add_argument('--scale', type=float, default=float(os.environ.get('BENCH_SCALE', '1')),
                        help='factor of the rows of each workload')
    parser.add_argument('--workload', action='append', choices=list(WORKLOADS))
    parser.add_argument('--only', action='append', help="part of a plugin's name; the first is 1.0")
    options = parser.parse_args()
    for workload in options.workload or WORKLOADS:
        measure(options, workload)


if __name__ == '__main__':
    main()
