#!/usr/bin/env python3
"""Runs small worlds, one seed after the other, until the time is over, and says what came of them.

report.py MINUTES REPORT     in the folder that has build/; ends with 1 where one was wrong

Each world is a process of its own (tests/fault/world/), of which a line comes back. A world that
failed is repeated with its seed.
"""
import collections
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

PROGRAM = 'build/tests/fault/world/fault_world'
LONGEST_S = 1800

COLUMNS = [('commits', 'commits checked'), ('snapshots', 'snapshots that readers saw'),
           ('kills', 'kills'), ('power_losses', 'power losses'), ('stops', 'programs stopped'),
           ('cuts', 'connections cut'), ('faults', 'system calls failed'),
           ('shortages', 'shortages of memory'), ('clock_steps', 'steps of a clock'),
           ('ended', 'programs that ended by an error and were started again'),
           ('side_seeds', 'seeds in the middle of it')]


def run_world(seed, lines):
    """Whether all was right, and what it said."""
    environment = {**os.environ, 'DELTAFLOOD_FAULT_SEED': str(seed),
                   'DELTAFLOOD_FAULT_REPORT': lines, 'DELTAFLOOD_TEST_KEEP': 'failed'}
    try:
        done = subprocess.run([PROGRAM], env=environment, text=True, check=False,
                              timeout=LONGEST_S, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired as hung:
        return False, f'hung for {LONGEST_S} s\n{hung.stdout or ""}'
    return done.returncode == 0, done.stdout


def totals(lines):
    sums = collections.Counter()
    for line in pathlib.Path(lines).read_text(encoding='utf-8').splitlines():
        for key, value in re.findall(r'(\w+)=(\d+)', line):
            sums[key] += int(value)
    return sums


def write(report, minutes, worlds, sums, wrong):
    text = [f'# The last long run: {minutes} minutes of small worlds', '',
            'Written by `./dev test --long MINUTES`. A world is a PostgreSQL, a deltastream that waits'
            ' for a copy, a server,', 'a relay, two mirrors and a consumer, under a load, with whatever may'
            ' happen to them (`tests/fault/world/`).', '', '| | |', '| --- | ---: |',
            f'| worlds | {worlds} |']
    text += [f'| {name} | {sums[key]:,} |' for key, name in COLUMNS]
    text += [f'| **violations** | **{len(wrong)}** |', '']
    text += [f'- `DELTAFLOOD_FAULT_SEED={seed}`: {what}' for seed, what in wrong.items()]
    report.write_text('\n'.join(text).rstrip() + '\n', encoding='utf-8')


def main(minutes, report):
    until = time.monotonic() + 60 * float(minutes)
    wrong = {}
    worlds = 0
    with tempfile.NamedTemporaryFile() as lines:
        while time.monotonic() < until or worlds == 0:
            seed = random.randrange(1 << 32)
            right, said = run_world(seed, lines.name)
            worlds += 1
            if not right:
                print(said, flush=True)
                wrong[seed] = next((line.strip().rpartition('/')[2] for line in said.splitlines()
                                    if 'FAILED' in line or 'hung' in line), 'it failed')
            print(f'world {worlds}, seed {seed}: {"right" if right else "WRONG"}', flush=True)
        write(pathlib.Path(report), minutes, worlds, totals(lines.name), wrong)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
