"""What a walsender does that does not depend on how busy the machine is: system calls, by strace,
and its own instructions, by valgrind's callgrind. Each in a pass of its own, so that neither slows
what is timed.
"""
import os
import re
import signal
import subprocess
import time


def count_calls(cluster, decode):
    """System calls of the walsender that `decode` runs, from its start to the last change. strace
    follows what the postmaster starts from here on: that is the walsender alone. Its summary's last
    line is "100.00 SECONDS USECS CALLS [ERRORS] total".
    """
    with subprocess.Popen(['strace', '-f', '-c', '-e', 'signal=none', '-p',
                           str(cluster.postmaster_pid())],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as strace:
        attached = strace.stderr.readline()
        if 'attached' not in attached:
            raise RuntimeError(attached.strip())
        try:
            decode()
        finally:
            strace.send_signal(signal.SIGINT)
            summary = strace.stderr.read()
    total = [line.split() for line in summary.splitlines() if line.endswith(' total')]
    return int(total[-1][3])


def count_instructions(cluster, slot, decode):
    """User instructions of the walsender that `decode` runs on `slot`, from its start to its end.
    The server's log tells which process that was, and callgrind writes its file as it ends."""
    decode()
    with open(cluster.log, encoding='utf-8', errors='replace') as log:
        started = re.findall(rf'^(\d+) LOG:  starting logical decoding for slot "{slot}"',
                             log.read(), re.MULTILINE)
    counts = os.path.join(cluster.counts, started[-1])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if os.path.exists(counts):
            with open(counts, encoding='utf-8', errors='replace') as text:
                totals = re.search(r'^totals: (\d+)', text.read(), re.MULTILINE)
            if totals:
                return int(totals[1])
        time.sleep(0.1)
    raise RuntimeError(f'callgrind has not written {counts}')
