#!/usr/bin/env python3
"""Measures deltastream and the daystream files, each beside what else one would use for it.

Each measurement has its sides in turn in every round; what is printed are medians and their ratio.
PostgreSQL runs with fsync off, so that its own disk does not count; the daystream's does.
"""
import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'plugin'))
import bench as plugin_bench  # pylint: disable=wrong-import-position  # its Cluster

OPTIONS = ['include-transaction=on', 'include-schema=on', 'include-truncate=on', 'include-xids=on',
           'batch-bytes=65536']


def timed(arguments, **more):
    """Wall seconds, and CPU seconds of that process, of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    result = subprocess.run(arguments, stderr=subprocess.PIPE, check=False, **more)
    seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode != 0:
        raise RuntimeError(f'{arguments[0]}: {result.stderr.decode()}')
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Bench:
    def __init__(self, options):
        self.options = options
        self.dir = tempfile.mkdtemp(prefix='deltaflood-bench-', dir=options.directory)
        self.deltastream = os.path.join(options.build, 'streamer', 'deltastream')
        self.daystream = os.path.join(options.build, 'daystream', 'command', 'daystream')
        self.tool = os.path.join(options.build, 'tests', 'bench', 'stream', 'stream_bench')
        self.rows = []

    def path(self, name):
        return os.path.join(self.dir, name)

    def helper(self, *arguments):
        """p50, p99 and largest, in ms, as stream_bench prints them."""
        out = subprocess.run([self.tool, *arguments], check=True, capture_output=True, text=True)
        return [float(word) for word in out.stdout.split()[1:4]]

    def in_turn(self, sides):
        """Medians of (wall, CPU) by side; each round runs every side once."""
        runs = {name: [] for name in sides}
        for number in range(self.options.rounds + 1):
            for name, run in sides.items():
                result = run()
                if number > 0:  # the first round warms up
                    runs[name].append(result)
        return {name: tuple(statistics.median(column) for column in zip(*results))
                for name, results in runs.items()}

    def row(self, *cells):
        self.rows.append(cells)
        print('| ' + ' | '.join(str(cell) for cell in cells) + ' |', flush=True)

    def make(self, name, days, megabytes):
        subprocess.run([self.tool, 'make', self.path(name), str(days), str(megabytes)], check=True)
        return self.path(name)

    # ---- PostgreSQL → files --------------------------------------------------------------------

    def stream(self):
        cluster = plugin_bench.Cluster(self.options.bindir,
                                       os.path.join(self.options.build, 'plugin'))
        try:
            changes = max(1000, int(2_000_000 * self.options.scale))
            cluster.sql('CREATE TABLE narrow (id bigint PRIMARY KEY, v int, t text)')
            cluster.sql('CHECKPOINT')
            for slot, library in (('ours', 'deltaflood'), ('peer', 'test_decoding')):
                cluster.sql(f"SELECT pg_create_logical_replication_slot('{slot}', '{library}')")
            cluster.sql(f"DO $$ BEGIN FOR i IN 0..{changes}/1000 - 1 LOOP INSERT INTO narrow SELECT "
                        "i * 1000 + j, j, 'row ' || j FROM generate_series(1, 1000) j; COMMIT; "
                        "END LOOP; END $$")
            end = cluster.sql('SELECT pg_current_wal_insert_lsn()')
            sides = self.in_turn({
                'deltastream': lambda: self.run_deltastream(cluster, end),
                'test_decoding': lambda: self.run_recvlogical(cluster, end, 'peer', [], 'file'),
                'null': lambda: self.run_recvlogical(cluster, end, 'ours', OPTIONS, '/dev/null'),
                'file': lambda: self.run_recvlogical(cluster, end, 'ours', OPTIONS, 'file'),
            })
            ours = sides['deltastream']
            what = f'PostgreSQL → durable daystream, {changes:,} narrow changes, 1,000 a transaction'
            for peer, name, target in (
                    ('test_decoding', 'pg_recvlogical + test_decoding to a file', '≤ 0.6'),
                    ('null', 'pg_recvlogical + deltaflood > /dev/null', '≤ 1.1')):
                self.row(what, f'{ours[0]:.2f} s', name, f'{sides[peer][0]:.2f} s',
                         f'{ours[0] / sides[peer][0]:.2f}', target)
            self.row('the same, CPU', f'{ours[1]:.2f} s', 'pg_recvlogical + deltaflood to a file',
                     f"{sides['file'][1]:.2f} s", f"{ours[1] / max(sides['file'][1], 0.01):.2f}",
                     '≤ 1.2')
        finally:
            cluster.close()

    def with_copy(self, cluster, slot, run):
        cluster.sql(f"SELECT pg_copy_logical_replication_slot('{slot}', 'measured')")
        try:
            return run()
        finally:
            plugin_bench.wait_for_slot(cluster, 'measured')
            cluster.sql("SELECT pg_drop_replication_slot('measured')")

    def run_deltastream(self, cluster, end):
        directory = self.path('streamed')
        shutil.rmtree(directory, ignore_errors=True)
        return self.with_copy(cluster, 'ours', lambda: timed(
            [self.deltastream, '-d', f'host={cluster.dir} user=postgres dbname=postgres', '-S',
             'measured', '-D', directory, '-E', end, '--log-level', 'error']))

    def run_recvlogical(self, cluster, end, slot, options, out):
        path = out if out.startswith('/') else self.path(out)
        if not out.startswith('/') and os.path.exists(path):
            os.unlink(path)
        arguments = ['-d', 'postgres', '-S', 'measured', '--start', '-n', '-E', end, '-f', path]
        for option in options:
            arguments += ['-o', option]
        return self.with_copy(cluster, slot, lambda: timed(
            cluster.tool('pg_recvlogical', *arguments)))

    # ---- COMMIT → follower ---------------------------------------------------------------------

    def latency(self):
        cluster = plugin_bench.Cluster(self.options.bindir,
                                       os.path.join(self.options.build, 'plugin'))
        conninfo = f'host={cluster.dir} user=postgres dbname=postgres'
        directory = self.path('latency')
        try:
            cluster.sql('CREATE TABLE latency (t text)')
            cluster.sql("SELECT pg_create_logical_replication_slot('peer', 'test_decoding')")
            with subprocess.Popen([self.deltastream, '-d', conninfo, '-S', 'ours', '-D', directory,
                                   '--create-slot', '--log-level', 'error']) as stream:
                try:
                    while not os.path.exists(os.path.join(directory, 'status.json')):
                        time.sleep(0.05)
                    commits = str(int(2000 * min(1, self.options.scale)))
                    ours, slower, peer = [], [], []
                    follow = [self.daystream, 'tail', directory, '--follow']
                    for _ in range(self.options.rounds):
                        ours.append(self.helper('latency', conninfo, commits, '200', '--', *follow))
                        # So far apart that the stream might be taken for idle in between.
                        slower.append(self.helper('latency', conninfo, str(int(commits) // 3), '83',
                                                  '--', *follow))
                        peer.append(self.helper(
                            'latency', conninfo, commits, '200', '--',
                            *cluster.tool('pg_recvlogical', '-d', 'postgres', '-S', 'peer',
                                          '--start', '-f', '-')))
                finally:
                    stream.terminate()
            sync = self.helper('sync', self.dir, '500')
            median = [statistics.median(run[at] for run in side)
                      for side in (ours, peer, slower) for at in (0, 1)]
            self.row(f'COMMIT → durable and delivered to a local follower, 200/s, p50 / p99 (one '
                     f'fdatasync of this disk: {sync[0]:.2f} / {sync[1]:.2f} ms)',
                     f'{median[0]:.2f} / {median[1]:.2f} ms',
                     'pg_recvlogical + test_decoding, not durable',
                     f'{median[2]:.2f} / {median[3]:.2f} ms', '', '≤ 0.3 / 1 ms')
            self.row('the same, 83/s', f'{median[4]:.2f} / {median[5]:.2f} ms', '', '', '', '')
        finally:
            cluster.close()

    # ---- files ---------------------------------------------------------------------------------

    def files(self):
        megabytes = max(8, int(1024 * self.options.scale))
        directory = self.make('files', 2, megabytes // 2)
        days = [os.path.join(directory, name) for name in sorted(os.listdir(directory))
                if name.endswith('.tsv')]
        size = sum(os.path.getsize(day) for day in days)
        nowhere = {'stdout': subprocess.DEVNULL}
        sides = self.in_turn({
            'cat': lambda: timed([self.daystream, 'cat', directory, '--tables', 't3'], **nowhere),
            # grep that sees /dev/null stops at its first match.
            'grep': lambda: timed(['grep', '-c', 't3', *days], stdout=subprocess.PIPE),
            'verify': lambda: timed([self.daystream, 'verify', directory], **nowhere),
            'wc': lambda: timed(['wc', '-l', *days], **nowhere),
        })

        def speed(side):
            return f'{size / sides[side][0] / 1e9:.2f} GB/s'
        for ours, peer, name, target in (('cat', 'grep', 'grep -c', '≥ 1 GB/s'),
                                         ('verify', 'wc', 'wc -l', '≥ 0.7 GB/s')):
            what = 'daystream cat of one table of ten' if ours == 'cat' else 'daystream verify'
            self.row(f'{what}, {size / 1e9:.1f} GB, page cache warm', speed(ours), name, speed(peer),
                     f'{sides[ours][0] / sides[peer][0]:.2f}', target)
        subprocess.run([self.daystream, 'compress', directory], check=True, **nowhere)
        packed = self.in_turn({
            'cat': lambda: timed([self.daystream, 'cat', directory, '--tables', 't3'], **nowhere),
            'zstd': lambda: timed(['sh', '-c', f'zstd -dc {directory}/*.zst | grep -c t3'],
                                  **nowhere),
        })
        self.row('daystream cat of one table of ten, compressed',
                 f"{size / packed['cat'][0] / 1e9:.2f} GB/s", 'zstd -dc | grep -c',
                 f"{size / packed['zstd'][0] / 1e9:.2f} GB/s",
                 f"{packed['cat'][0] / packed['zstd'][0]:.2f}", '')
        shutil.rmtree(directory)
        year = self.make('year', 364, 0)
        info = self.in_turn({'info': lambda: timed([self.daystream, 'info', year], **nowhere)})
        self.row('daystream info on 365 days', f"{info['info'][0] * 1000:.1f} ms", '', '', '',
                 '< 20 ms')
        shutil.rmtree(year)

    def seek(self):
        megabytes = max(16, int(10 * 1024 * self.options.scale))
        directory = self.make('large', 1, megabytes)
        plain = self.helper('seek', directory, '1000')
        self.row(f'seek to a position in a day of {megabytes / 1024:.1f} GiB, p50 / p99',
                 f'{plain[0]:.2f} / {plain[1]:.2f} ms', '', '', '', '< 5 ms')
        seconds, _ = timed([self.daystream, 'compress', directory], stdout=subprocess.DEVNULL)
        self.row('compressing that day, read back and verified',
                 f'{megabytes / 1024 * 1.0737 / seconds:.2f} GB/s', '', '', '', '')
        packed = self.helper('seek', directory, '300')
        self.row('the same seek, compressed', f'{packed[0]:.2f} / {packed[1]:.2f} ms', '', '', '',
                 '< 50 ms')
        shutil.rmtree(directory)

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', required=True, help='the build folder')
    parser.add_argument('--bindir', required=True, help="PostgreSQL's programs")
    parser.add_argument('--rounds', type=int, default=int(os.environ.get('BENCH_ROUNDS', '5')))
    parser.add_argument('--scale', type=float, default=float(os.environ.get('BENCH_SCALE', '1')),
                        help='factor of all amounts; at 1 it needs 12 GB of disk for a while')
    parser.add_argument('--directory', help='where to put the files (default: $TMPDIR or /tmp)')
    parser.add_argument('--only', action='append', choices=['stream', 'latency', 'files', 'seek'])
    options = parser.parse_args()
    bench = Bench(options)
    print('| what | ours | peer | peer | ratio | target |')
    print('| --- | ---: | --- | ---: | ---: | ---: |', flush=True)
    try:
        for part in options.only or ['stream', 'latency', 'files', 'seek']:
            getattr(bench, part)()
    finally:
        bench.close()


if __name__ == '__main__':
    main()
