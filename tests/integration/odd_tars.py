#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""odd_tars.py - tars that are hard to write again from their files, and a look at what was saved of them.

    odd_tars.py make DIR            write DIR/NAME.tar
    odd_tars.py whole ARCHIVE       every layer of a saved archive inflates to the diff id of its config
    odd_tars.py same ARCHIVE TAR    and the first layer is that very tar
"""
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile


def tar(path, members, kind=tarfile.PAX_FORMAT, pax=None):
    with tarfile.open(path, "w", format=kind, pax_headers=pax or {}) as t:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if isinstance(data, bytes):
                info.size = len(data)
            else:
                info.type, info.linkname = data
                data = b""
            info.mtime = 1234567890.5 if kind == tarfile.PAX_FORMAT else 1234567890
            if kind == tarfile.PAX_FORMAT and info.size:
                info.pax_headers = {"SCHILY.xattr.user.note": "héllo"}
            t.addfile(info, io.BytesIO(data))


def make(top):
    d, f, link, hard = (tarfile.DIRTYPE, ""), b"some text\n" * 500, tarfile.SYMTYPE, tarfile.LNKTYPE
    deep = "/".join(["n" * 90] * 4)
    plain = [("./", d), ("./dir", d), ("./dir/file", f), ("/abs", b"a"), ("dir//twice", b"slashes"), ("empty", b""),
             ("é", b"utf"), (deep, f), ("hard", (hard, "dir/file")), ("soft", (link, "dir/file")), ("x" * 99, b"1" * 512)]
    tar(top + "/pax.tar", plain, pax={"comment": "a global header"})
    tar(top + "/gnu.tar", plain, tarfile.GNU_FORMAT)
    tar(top + "/ustar.tar", [p for p in plain if p[0] not in (deep, "é")] + [("d" * 120 + "/" + "f" * 60, f)], tarfile.USTAR_FORMAT)
    # Bytes behind the end, which count for the diff id.
    with open(top + "/pax.tar", "rb") as a, open(top + "/tail.tar", "wb") as b:
        b.write(a.read() + b"\0" * 3000 + b"what is this?" * 100)
    # Content that no file of the layer has any more.
    tar(top + "/dup.tar", [("a", b"first"), ("b", f), ("a", b"other")])
    tar(top + "/alias.tar", [("real", d), ("way", (link, "real")), ("way/file", b"one"), ("real/file", b"two")])
    tar(top + "/replaced.tar", [("d", d), ("d/f", f), ("d", (link, "/nowhere")), ("e", b"e")])
    tar(top + "/whiteout.tar", [("d", d), ("d/.wh.x", b"content"), ("d/y", f)])
    # Sparse, as GNU tar writes it in two ways.
    os.makedirs(top + "/tree")
    with open(top + "/tree/hole", "wb") as h:
        h.seek(5000000)
        h.write(b"end")
    for how in ("gnu", "posix"):
        subprocess.run(["tar", "-C", top + "/tree", "-S", "--format", how, "-cf", f"{top}/sparse-{how}.tar", "."], check=True)


def layers(path):
    with tarfile.open(path) as t:
        row = json.load(t.extractfile("manifest.json"))[0]
        config = json.load(t.extractfile(row["Config"]))
        for name, diff in zip(row["Layers"], config["rootfs"]["diff_ids"], strict=True):
            data = t.extractfile(name).read()
            data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
            yield data, diff


def whole(path):
    found = list(layers(path))
    assert found
    for data, diff in found:
        assert "sha256:" + hashlib.sha256(data).hexdigest() == diff, diff
    return found


if sys.argv[1] == "make":
    make(sys.argv[2])
elif sys.argv[1] == "whole":
    whole(sys.argv[2])
else:
    with open(sys.argv[3], "rb") as f:
        assert whole(sys.argv[2])[0][0] == f.read(), sys.argv[3]
