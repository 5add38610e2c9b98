#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""damage.py KIND FILE... - damage files of state, as disks, crashes and people do."""
import json
import os
import random
import shutil
import sys


def opposite(value):
    """The same document with a value of another type wherever there is one."""
    if isinstance(value, dict):
        return {k: opposite(v) for k, v in value.items()}
    if isinstance(value, list):
        return {str(i): opposite(v) for i, v in enumerate(value)}
    if isinstance(value, bool) or value is None:
        return [value]
    if isinstance(value, (int, float)):
        return {"x": "y"}
    return 17


def huge(value):
    """Numbers that no field can hold, texts that no buffer holds."""
    if isinstance(value, dict):
        return {k: huge(v) for k, v in value.items()}
    if isinstance(value, list):
        return [huge(v) for v in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return 10**40 if random.random() < 0.5 else -(10**40)
    return value + "x" * 100000


def remade(path, change):
    """A document with its values changed; a file that is none becomes one number."""
    with open(path, "rb") as f:
        data = f.read()
    try:
        data = json.dumps(change(json.loads(data))).encode()
    except ValueError:
        data = b"9" * 3000
    with open(path, "wb") as f:
        f.write(data)


def replaced(path, make):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
    make(path)


def written(path, data):
    with open(path, "wb") as f:
        f.write(data)


def as_folder(path):
    os.mkdir(path)
    written(path + "/file", b"content")


KINDS = {
    "truncated": lambda p: os.truncate(p, os.path.getsize(p) // 2),
    "emptied": lambda p: os.truncate(p, 0),
    "garbage": lambda p: written(p, random.Random(1).randbytes(3000)),
    "zeroed": lambda p: written(p, bytes(os.path.getsize(p))),
    "a_folder": lambda p: replaced(p, as_folder),
    "a_link": lambda p: replaced(p, lambda q: os.symlink("/nowhere/at/all", q)),
    "a_fifo": lambda p: replaced(p, os.mkfifo),
    "endless": lambda p: replaced(p, lambda q: os.symlink("/dev/zero", q)),
    "of_other_types": lambda p: remade(p, opposite),
    "of_huge_values": lambda p: remade(p, huge),
    "of_another_kind": lambda p: written(p, b"[[],null,{\"Name\":{}}]"),
    "deep": lambda p: written(p, b"[" * 10000),
}

if len(sys.argv) == 1:
    print("\n".join(KINDS))
for path in sys.argv[2:]:
    KINDS[sys.argv[1]](path)
