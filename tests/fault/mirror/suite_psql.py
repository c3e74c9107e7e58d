"""psql, driven: at a terminal, where its prompt tells when a statement has ended; and for answers."""
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

READY = re.compile(rb'@@R(.?)@@$')  # the prompt; with the state of the transaction
MORE = re.compile(rb'@@[CD]@@$')    # in the middle of a statement, or of COPY's data
# As the mirror reads values, and ours are compared with them.
SETTINGS = """SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; SET bytea_output = 'hex';
SET extra_float_digits = 3; SET TimeZone = 'UTC'; SET search_path = ''; SET lc_monetary = 'C';
SET row_security = off; SET statement_timeout = 0;"""


class Psql:
    """psql at a terminal: what is typed, a line at a time, and where its prompt stands."""

    def __init__(self, cluster, database, environment):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(environment)
            os.environ['TERM'] = 'dumb'
            os.execv(os.path.join(cluster.bindir, 'psql'), [
                'psql', '-Xqn', '-h', cluster.dir, '-U', 'postgres', '-P', 'pager=off', '-v',
                'PROMPT1=@@R%x@@', '-v', 'PROMPT2=@@C@@', '-v', 'PROMPT3=@@D@@', '-v',
                'HIDE_TABLEAM=on', '-v', 'HIDE_TOAST_COMPRESSION=on', database])
        # Nothing comes back but what psql writes, and no line is too long.
        mode = termios.tcgetattr(self.terminal)
        mode[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(self.terminal, termios.TCSANOW, mode)
        self.output = b''
        self.wait()

    def wait(self, seconds=120):
        """Until a prompt stands there. None: psql has ended."""
        deadline = time.monotonic() + seconds
        self.output = b''
        while True:
            ready, _, _ = select.select([self.terminal], [], [], 1)
            if ready:
                try:
                    read = os.read(self.terminal, 65536)
                except OSError:
                    read = b''
                if not read:
                    return None
                self.output = (self.output + read)[-4096:]
            prompt = READY.search(self.output)
            if prompt:
                return 'idle' if prompt.group(1) == b'' else 'in a transaction'
            if MORE.search(self.output):
                return 'in a statement'
            if time.monotonic() > deadline:
                raise TimeoutError(f'psql gives no prompt: {self.output[-300:]!r}')

    def type(self, line):
        os.write(self.terminal, line.encode('utf-8', 'surrogateescape') + b'\n')
        return self.wait()

    def close(self):
        try:
            os.write(self.terminal, b'\x04')
        except OSError:
            pass
        os.close(self.terminal)
        try:
            os.kill(self.pid, signal.SIGHUP)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)


class Session:
    """psql reading statements from us: one connection for all that we ask."""

    def __init__(self, cluster, database):
        self.psql = subprocess.Popen(
            [os.path.join(cluster.bindir, 'psql'), '-XAtq', '-h', cluster.dir, '-U', 'postgres',
             '-F', '\x1f', database],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.ask(SETTINGS)

    def ask(self, sql):
        """The lines of what `sql` prints."""
        self.psql.stdin.write((sql.rstrip().rstrip(';') +
                               ';\n\\echo @@end@@ :ERROR\n').encode())
        self.psql.stdin.flush()
        lines = []
        for line in self.psql.stdout:
            if line.startswith(b'@@end@@'):
                self.failed = line.strip().endswith(b'true')
                return lines
            lines.append(line[:-1].decode('utf-8', 'surrogateescape'))
        raise RuntimeError('psql has ended')

    def rows(self, sql):
        return [line.split('\x1f') for line in self.ask(sql)]

    def close(self):
        self.psql.stdin.close()
        self.psql.wait()
