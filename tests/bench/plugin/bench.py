#!/usr/bin/env python3
"""Decodes the same range of the log with each output plugin, in turn, and compares.

For each workload: the changes are made once, with one slot per plugin before them. Then, for each
round, every plugin's slot is copied to a temporary one and pg_recvlogical reads it to the end, to
nowhere. Seconds are wall time of the whole run; CPU is the walsender's, user and system. What is
printed are medians and their ratio to a plugin that emits nothing.

System calls are counted by strace in a pass of its own over fewer rows, before the rounds, so that
it slows none of them; they are all of the walsender's from its start to the last change. With
--instructions (or BENCH_INSTRUCTIONS=1; some minutes a workload) its user instructions are counted
as well, by callgrind over fewer rows still, less those of a walsender that finds nothing to decode.
"""
import argparse
import math
import os
import shutil
import statistics
import subprocess
import sys
import time

from cluster import Cluster
from counting import count_calls, count_instructions

DELTASTREAM = ['include-transaction=on', 'include-schema=on', 'batch-bytes=65536']

# name, plugin library, options
PLUGINS = [
    ('nothing', 'floor_nothing', []),
    ('a byte a change', 'floor_empty', []),
    ('deltaflood', 'deltaflood', DELTASTREAM),
    ('deltaflood, a message a line', 'deltaflood', []),
    ('deltaflood, all excluded', 'deltaflood', DELTASTREAM + ['exclude-tables=*.*']),
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


def children_cpu(cluster):
    """CPU seconds of the postmaster's children that have ended: the walsender, and short sessions
    of ours that cost next to nothing."""
    with open(f'/proc/{cluster.postmaster_pid()}/stat', encoding='ascii') as stat:
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


def chosen(options):
    return [plugin for plugin in PLUGINS
            if not options.only or any(part in plugin[0] for part in options.only)]


def count(options, workload, scale, measured, under_valgrind):
    """{plugin: measured(cluster, library, arguments, end) a row or transaction}"""
    cluster = Cluster(options.bindir, f'{options.plugins}:{options.floor}')
    try:
        cluster.sql('CREATE PUBLICATION everything FOR ALL TABLES')
        rows, end = prepare(cluster, workload, scale)
        if under_valgrind:
            cluster.restart_counting()
        counts = {}
        for name, library, arguments in chosen(options):
            try:
                cluster.sql(f"SELECT pg_copy_logical_replication_slot('{library}', 'counted')")
                counts[name] = measured(cluster, arguments, end) / rows
                wait_for_slot(cluster, 'counted')
                cluster.sql("SELECT pg_drop_replication_slot('counted')")
            except (RuntimeError, subprocess.CalledProcessError) as error:
                print(f'{name}: not counted: {error}', file=sys.stderr)
        return counts
    finally:
        cluster.close()


def calls_of(cluster, arguments, end):
    return count_calls(
        cluster, lambda: decode_slot(cluster, 'counted', arguments, end, False, wait=False))


def instructions_of(cluster, arguments, end):
    def whole():
        return count_instructions(
            cluster, 'counted', lambda: decode_slot(cluster, 'counted', arguments, end, False))
    changes = whole()
    cluster.sql("SELECT pg_replication_slot_advance(slot_name, '{0}') FROM pg_replication_slots "
                "WHERE slot_name = 'counted' AND confirmed_flush_lsn < '{0}'".format(end))
    return changes - whole()


def counts_of(options, workload):
    """System calls and instructions by plugin, a row or transaction; empty where not counted."""
    calls, instructions = {}, {}
    if options.no_counts:
        return calls, instructions
    if shutil.which('strace'):
        calls = count(options, workload, options.scale / 4, calls_of, False)
    else:
        print('system calls: left out: there is no strace', file=sys.stderr)
    if options.instructions:
        if not shutil.which('valgrind'):
            raise SystemExit('--instructions needs valgrind')
        instructions = count(options, workload, options.scale / 20, instructions_of, True)
    return calls, instructions


def measure(options, workload):
    calls, instructions = counts_of(options, workload)
    if options.rounds == 0:
        for name, _, _ in chosen(options):
            print(f'{workload}: {name}: {calls.get(name, math.nan):.2f} system calls, '
                  f'{instructions.get(name, math.nan):,.0f} instructions a row', flush=True)
        return
    cluster = Cluster(options.bindir, f'{options.plugins}:{options.floor}')
    try:
        cluster.sql('CREATE PUBLICATION everything FOR ALL TABLES')
        rows, end = prepare(cluster, workload, options.scale)
        plugins, sizes = [], {}
        for name, library, arguments in chosen(options):
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
              'system calls a row | instructions a row |')
        print('| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |')
        floor = None
        for name, _, _ in plugins:
            wall = statistics.median(run[0] for run in runs[name])
            cpu = statistics.median(run[1] for run in runs[name])
            floor = floor or (wall, max(cpu, 0.01))
            print(f'| {name} | {wall:.3f} | {wall / floor[0]:.2f} | {cpu:.2f} | '
                  f'{cpu / floor[1]:.2f} | {sizes[name]} | {rows / wall:,.0f} | '
                  f'{calls.get(name, math.nan):.2f} | '
                  f'{instructions.get(name, math.nan):,.0f} |')
        sys.stdout.flush()
    finally:
        cluster.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--plugins', required=True, help='folder of deltaflood.so')
    parser.add_argument('--floor', required=True, help='folder of floor_*.so')
    parser.add_argument('--bindir', required=True, help="PostgreSQL's programs")
    parser.add_argument('--rounds', type=int, default=int(os.environ.get('BENCH_ROUNDS', '5')),
                        help='0: only count')
    parser.add_argument('--instructions', action='store_true',
                        default=os.environ.get('BENCH_INSTRUCTIONS', '') not in ('', '0'),
                        help="count the walsender's instructions, with valgrind")
    parser.add_argument('--scale', type=float, default=float(os.environ.get('BENCH_SCALE', '1')),
                        help='factor of the rows of each workload')
    parser.add_argument('--no-counts', action='store_true', help='no system calls either')
    parser.add_argument('--workload', action='append', choices=list(WORKLOADS))
    parser.add_argument('--only', action='append', help="part of a plugin's name; the first is 1.0")
    options = parser.parse_args()
    options.plugins, options.floor = map(os.path.abspath, (options.plugins, options.floor))
    for workload in options.workload or WORKLOADS:
        measure(options, workload)


if __name__ == '__main__':
    main()
