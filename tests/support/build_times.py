#!/usr/bin/env python3
"""build_times.py DIRECTORY: seconds of compiler and linker by target, from what Ninja logged there.

Ninja logs from when to when each command ran; with no more commands at once than processors, and
nothing else running, that is near the CPU's seconds. An output that was built twice counts once, by
its last time.
"""
import collections
import pathlib
import re
import sys


def target(output):
    """The target that an output belongs to: "mirror/libmirror.a.p/x.o" is of mirror/libmirror.a."""
    inside = re.match(r'(.*)\.p/', output)
    return inside.group(1) if inside else output


def main():
    seconds = {}
    for line in (pathlib.Path(sys.argv[1]) / '.ninja_log').read_text(encoding='utf-8').splitlines():
        if line.startswith('#'):
            continue
        start, end, _, output, _ = line.split('\t')
        seconds[output] = (int(end) - int(start)) / 1000
    by_target = collections.Counter()
    for output, taken in seconds.items():
        by_target[target(output)] += taken
    for name, taken in by_target.most_common():
        print(f'{taken:8.1f} s  {name}')
    print(f'{sum(by_target.values()):8.1f} s  all')


if __name__ == '__main__':
    main()
