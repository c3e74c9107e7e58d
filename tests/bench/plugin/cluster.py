"""A private PostgreSQL in a temporary folder, for benchmarks."""
import os
import pwd
import shutil
import subprocess
import tempfile
import time


class Cluster:
    """Run as `postgres` when we are root; under valgrind's callgrind where asked for, each of its
    processes then leaves its counts in `counts` when it ends."""

    def __init__(self, bindir, library_path):
        self.bindir = bindir
        self.dir = tempfile.mkdtemp(prefix='deltaflood-bench-')
        os.chmod(self.dir, 0o711)
        self.as_user = []
        self.counts = os.path.join(self.dir, 'counts')
        os.mkdir(self.counts)
        if os.geteuid() == 0:
            user = pwd.getpwnam('postgres')
            for folder in self.dir, self.counts:
                os.chown(folder, user.pw_uid, user.pw_gid)
            self.as_user = ['runuser', '-u', 'postgres', '--']
        self.data = os.path.join(self.dir, 'data')
        self.log = os.path.join(self.dir, 'log')
        self.run('initdb', '-A', 'trust', '-N', '-U', 'postgres', '-E', 'UTF8', '--locale=C.UTF-8',
                 self.data)
        settings = {
            'wal_level': 'logical', 'listen_addresses': '', 'unix_socket_directories': self.dir,
            'fsync': 'off', 'max_wal_size': '4GB', 'checkpoint_timeout': '1h', 'autovacuum': 'off',
            'max_replication_slots': '30', 'max_wal_senders': '10',
            'logical_decoding_work_mem': '256MB', 'log_line_prefix': '%p ',
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
        self.server = None
        self.run('pg_ctl', '-D', self.data, '-l', self.log, '-w', 'start')

    def restart_counting(self):
        """From here on under callgrind, some fifty times slower."""
        self.run('pg_ctl', '-D', self.data, '-m', 'fast', '-w', 'stop')
        with open(self.log, 'ab') as log:
            # pylint: disable=consider-using-with  # it outlives this; close() stops it
            self.server = subprocess.Popen(
                [*self.as_user, 'valgrind', '--tool=callgrind',
                 f'--callgrind-out-file={self.counts}/%p', os.path.join(self.bindir, 'postgres'),
                 '-D', self.data], stdout=log, stderr=log, cwd='/')
        while self.server.poll() is None:
            try:
                self.sql('SELECT 1')
                return
            except subprocess.CalledProcessError:
                time.sleep(0.1)
        raise RuntimeError('the server does not start under valgrind')

    def run(self, tool, *args):
        subprocess.run([*self.as_user, os.path.join(self.bindir, tool), *args], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd='/')

    def tool(self, name, *args):
        return [os.path.join(self.bindir, name), '-h', self.dir, '-U', 'postgres', *args]

    def sql(self, text):
        return subprocess.run(self.tool('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', text),
                              check=True, capture_output=True, text=True).stdout.strip()

    def postmaster_pid(self):
        with open(os.path.join(self.data, 'postmaster.pid'), encoding='utf-8') as text:
            return int(text.readline())

    def close(self):
        mode = 'fast' if self.server else 'immediate'  # callgrind writes as each process ends
        subprocess.run([*self.as_user, os.path.join(self.bindir, 'pg_ctl'), '-D', self.data,
                        '-m', mode, '-w', 'stop'], check=False,
                       stdout=subprocess.DEVNULL, cwd='/')
        if self.server:
            self.server.wait()
        shutil.rmtree(self.dir)
