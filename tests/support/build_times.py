#!/usr/bin/env python3
"""build_times.py DIRECTORY: CPU seconds of compiler and linker by target, as tests/support/timed has
noted them there."""
import collections
import pathlib
import re
import sys


def target(output):
    """The target that an output belongs to: "mirror/libmirror.a.p/x.o" is of mirror/libmirror.a."""
    inside = re.match(r'(.*)\.p/', output)
    return inside.group(1) if inside else output


def main():
    by_target = collections.Counter()
    for line in (pathlib.Path(sys.argv[1]) / 'cpu_seconds').read_text(encoding='utf-8').splitlines():
        seconds, output = line.split(' ', 1)
        if not output.startswith('meson-private'):
            by_target[target(output)] += float(seconds)
    for name, taken in by_target.most_common():
        print(f'{taken:8.1f} s  {name}')
    print(f'{sum(by_target.values()):8.1f} s  all')
    programs = sum(s for name, s in by_target.items() if not name.startswith('tests/'))
    print(f'{programs:8.1f} s  of these the programs, that is not the tests')


if __name__ == '__main__':
    main()
