#!/usr/bin/env python3
"""Reads a daystream with nothing of ours: what FORMAT.md says, and no more.

    read.py DAYSTREAM [AFTER]      AFTER: a position, C/S, to go on after

Checks positions and CRCs, and prints each committed change as one JSON array: position of the
commit, table, verb, old identity, values. A byte that is not UTF-8 is a lone surrogate, as
Python's "surrogateescape" has it. Compressed days are read through the command zstd.
"""
import json
import os
import re
import subprocess
import sys

CRC_TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    CRC_TABLE.append(byte)


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


ESCAPES = {b"\\t": b"\t", b"\\n": b"\n", b"\\r": b"\r", b"\\\\": b"\\"}


def text(raw):
    """The value that `raw` stands for; None is NULL."""
    if raw == b"\\N":
        return None
    plain = re.sub(rb"\\(?:x(..)|.)",
                   lambda m: bytes.fromhex(m[1].decode()) if m[1] else ESCAPES[m[0]], raw)
    return plain.decode("utf-8", "surrogateescape")


def columns(fields):
    return {text(name): text(value) for name, value in zip(fields[::2], fields[1::2])}


def durable(directory):
    """What `durable` says; None: there is none, then whole groups of the last day count."""
    try:
        while True:
            with open(os.path.join(directory, "durable"), "rb") as file:
                line = file.read().rstrip()
            fields = line.split(b"\t")
            if crc32c(line[:line.rindex(b"\t_crc\t")]) == int(fields[-1], 16):
                return dict(zip(fields[::2], fields[1::2]))
    except (FileNotFoundError, ValueError):
        return None


def days(directory):
    """The days that may be read, oldest first: name and bytes."""
    limit = durable(directory)
    names = sorted({name[:10] for name in os.listdir(directory)
                    if re.fullmatch(r"\d{4}-\d\d-\d\d\.tsv(\.zst)?", name)})
    for name in names:
        path = os.path.join(directory, name + ".tsv")
        if os.path.exists(path):
            with open(path, "rb") as file:
                data = file.read()
        else:
            data = subprocess.run(["zstd", "-dcq", path + ".zst"], check=True,
                                  stdout=subprocess.PIPE).stdout
        if limit and b"-1" == limit[b"_c"]:
            return
        if limit and int(limit[b"_c"]) // 86400 == day_number(name):
            yield name, data[:int(limit[b"_size"])]
            return
        yield name, data


def day_number(name):
    from datetime import date
    return (date.fromisoformat(name) - date(1970, 1, 1)).days


def groups(directory):
    """Each group that is committed: its lines, and the keys of the line that ends it."""
    last = (-1, 0)
    chain = None
    for name, data in days(directory):
        lines, covered = [], b""
        for line in data.split(b"\n")[:-1]:
            fields = line.split(b"\t")
            position = int(fields[1]), int(fields[3])
            if position != (last[0], last[1] + 1) and not (position[0] > last[0] and not position[1]):
                sys.exit(f"{name}: position {position} cannot follow {last}")
            last = position
            if fields[4] != b"_crc":
                lines.append(fields)
                covered += line + b"\n"
                continue
            keys = dict(zip(fields[:fields.index(b"_action"):2], fields[1::2]))
            verb = fields[fields.index(b"_action") + 1]
            if b"_prev" in keys or chain is None:
                chain = int(keys.get(b"_prev", b"0"), 16)
            chain = crc32c(covered + b"\t".join(fields[:4] + fields[6:]) + b"\n", chain)
            if chain != int(fields[5], 16):
                sys.exit(f"{name}: the CRC at {position} is {chain:08x}")
            if verb == b"gap":
                sys.exit(f"{name}: changes after {keys[b'_lsn'].decode()} are missing")
            if verb != b"abort":
                yield lines, position
            lines, covered = [], b""


def changes(directory):
    """Each committed change: position of the commit, table, verb, old identity, values."""
    for lines, commit in groups(directory):
        old = None
        for fields in lines:
            at = fields.index(b"_action", 4)
            while at % 2:  # a value of that spelling
                at = fields.index(b"_action", at + 1)
            keys = dict(zip(fields[:at:2], fields[1:at:2]))
            verb, row = fields[at + 1].decode(), columns(fields[at + 2:])
            if verb == "replace":
                old = row
            elif verb in ("insert", "update"):
                yield commit, text(keys[b"_table"]), verb, old, row
                old = None
            elif verb in ("delete", "truncate", "rewrite"):
                yield commit, text(keys[b"_table"]), verb, row, None
            elif verb not in ("schema", "drop", "message"):
                sys.exit(f"a verb that is not known: {verb}")


if __name__ == "__main__":
    after = tuple(map(int, sys.argv[2].split("/"))) if len(sys.argv) > 2 else (-1, 0)
    for (c, s), *change in changes(sys.argv[1]):
        if (c, s) > after:
            print(json.dumps([f"{c}/{s}", *change]))
