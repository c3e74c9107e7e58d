#!/usr/bin/env python3
"""Reads what `meson test` left in build/, for ./dev.

results.py count         the summary: one line "N passed, N failed", counting test cases
results.py having TEXT   of the test names on standard input, those with a case that has TEXT

Meson knows executables; a person and a CI count test cases. A test that is not Catch2's counts as
one, as does one that crashed or ran out of time beside the cases it had passed.
"""
import json
import re
import subprocess
import sys


def cases(test):
    """(passed, failed) of one line of testlog.json."""
    text = test.get('stdout', '')
    ok = test['result'] in ('OK', 'EXPECTEDFAIL')
    everything = re.search(r'All tests passed \(.* in (\d+) test cases?\)', text)
    some = re.search(r'^test cases:\s*(\d+)(.*)$', text, re.M)
    if everything and ok:
        return int(everything.group(1)), 0
    if some:
        passed = re.search(r'(\d+) passed', some.group(2))
        passed = int(passed.group(1)) if passed else 0
        failed = int(some.group(1)) - passed
        return passed, failed if ok else max(failed, 1)
    return (1, 0) if ok else (0, 1)


def count():
    passed = failed = 0
    bad, skipped = [], []
    try:
        with open('build/meson-logs/testlog.json', encoding='utf-8') as log:
            for line in log:
                test = json.loads(line)
                if test['result'] == 'SKIP':
                    skipped.append(test['name'])
                    continue
                now_passed, now_failed = cases(test)
                passed += now_passed
                failed += now_failed
                if now_failed:
                    bad.append(f"{test['name']} ({test['result'].lower()})")
    except FileNotFoundError:
        print('results: meson test left no log', file=sys.stderr)
        failed += 1
    print()
    if skipped:
        print('skipped: ' + ', '.join(skipped))
    if bad:
        print('failed: ' + ', '.join(bad))
    print(f'{passed} passed, {failed} failed')
    return 1 if failed or not passed else 0


def having(text):
    names = {line.strip() for line in sys.stdin}
    tests = json.loads(subprocess.run(['meson', 'introspect', '--tests', 'build'], check=True,
                                      capture_output=True, text=True).stdout)
    for test in tests:
        if test['name'] not in names or not test['cmd'][0].startswith('/'):
            continue
        listed = subprocess.run(test['cmd'][:1] + ['--list-test-names-only'],
                                capture_output=True, text=True, check=False).stdout
        if any(text in case for case in listed.splitlines()):
            print(test['name'])
    return 0


if __name__ == '__main__':
    sys.exit(count() if sys.argv[1] == 'count' else having(sys.argv[2]))
