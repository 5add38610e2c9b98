#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dead_fuse.py FOLDER - mount a FUSE filesystem that answers its start and then nothing at all.

Whoever looks into FOLDER after that hangs. Ends, and unmounts it, when its standard input ends.
"""
import ctypes
import os
import struct
import sys

MNT_DETACH = 2
libc = ctypes.CDLL(None, use_errno=True)
folder = sys.argv[1].encode()
fd = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
if libc.mount(b"dead", folder, b"fuse", 0, options) != 0:
    sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
request = os.read(fd, 1 << 17)
unique, = struct.unpack_from("<Q", request, 8)
# fuse_init_out of version 7.31, answered to the first request; the ones after it are left unread.
init = struct.pack("<IIIIHHIIHHI7I", 7, 31, 65536, 0, 12, 10, 65536, 1, 0, 0, 0, *[0] * 7)
os.write(fd, struct.pack("<IiQ", 16 + len(init), 0, unique) + init)
print("mounted", flush=True)
sys.stdin.read()
os.close(fd)
libc.umount2(folder, MNT_DETACH)
