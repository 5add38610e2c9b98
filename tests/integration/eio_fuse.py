#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""eio_fuse.py FOLDER FILE LIMIT - mount a FUSE filesystem with one file, "file", that has FILE's bytes.

Reads of what lies behind byte LIMIT fail with EIO, as on a disk with a bad block. Ends, and unmounts it, when its
standard input ends. No libfuse is needed.
"""
import ctypes
import errno
import os
import select
import struct
import sys

MNT_DETACH = 2
LOOKUP, FORGET, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT, INTERRUPT, BATCH_FORGET = 1, 2, 3, 14, 15, 18, 25, 26, 36, 42
DIRECT_IO = 1  # of an opened file: each read(2) is told its own error
libc = ctypes.CDLL(None, use_errno=True)
folder, limit = sys.argv[1].encode(), int(sys.argv[3])
with open(sys.argv[2], "rb") as f:
    content = f.read()
fd = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
if libc.mount(b"eio", folder, b"fuse", 0, options) != 0:
    sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")


def attr(node):
    mode, size = (0o40755, 0) if node == 1 else (0o100644, len(content))
    return struct.pack("<6Q3I7I", node, size, (size + 511) // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(op, node, body):
    """(error, bytes) for a request; None: it wants no answer."""
    if op == INIT:  # fuse_init_out of version 7.31
        return 0, struct.pack("<IIIIHHIIHHI7I", 7, 31, 65536, 0, 12, 10, 65536, 1, 0, 0, 0, *[0] * 7)
    if op == LOOKUP:
        found = node == 1 and body.rstrip(b"\0") == b"file"
        return (0, struct.pack("<QQQQII", 2, 0, 60, 60, 0, 0) + attr(2)) if found else (errno.ENOENT, b"")
    if op == GETATTR:
        return 0, struct.pack("<QII", 60, 0, 0) + attr(node)
    if op == OPEN:
        return 0, struct.pack("<QII", 0, DIRECT_IO, 0)
    if op == READ:
        _, offset, size = struct.unpack_from("<QQI", body)
        return (errno.EIO, b"") if offset + size > limit and offset < len(content) else (0, content[offset:offset + size])
    if op in (RELEASE, FLUSH):
        return 0, b""
    return None if op in (FORGET, BATCH_FORGET, INTERRUPT) else (errno.ENOSYS, b"")


print("mounted", flush=True)
while True:
    ready, _, _ = select.select([fd, sys.stdin], [], [])
    if sys.stdin in ready and not os.read(0, 1):
        break
    if fd not in ready:
        continue
    try:
        request = os.read(fd, 1 << 17)
    except OSError:
        break  # unmounted
    _, op, unique, node = struct.unpack_from("<IIQQ", request)
    said = answer(op, node, request[40:])
    if said:
        os.write(fd, struct.pack("<IiQ", 16 + len(said[1]), -said[0], unique) + said[1])
os.close(fd)
libc.umount2(folder, MNT_DETACH)
