#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes small tars of every kind into a folder, for fuzz_layer_tar to begin with."""
import io
import os
import sys
import tarfile

TYPES = {"f": tarfile.REGTYPE, "d": tarfile.DIRTYPE, "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE,
         "c": tarfile.CHRTYPE, "b": tarfile.BLKTYPE, "p": tarfile.FIFOTYPE}
SEEDS = {
    "plain": [("f", "a", "text"), ("d", "d", ""), ("f", "d/b", "x" * 2000)],
    "links": [("f", "a", "text"), ("h", "b", "a"), ("l", "c", "/mnt/canary"), ("f", "c/secret", "evil"),
              ("l", "e", "../canary"), ("h", "g", "e/secret"), ("l", "i", "i")],
    "devices": [("c", "c", ""), ("b", "b", ""), ("p", "p", "")],
    "whiteouts": [("d", "old", ""), ("f", "old/.wh..wh..opq", ""), ("f", ".wh.old", ""),
                  ("f", "old/new", "n"), ("f", "x/.wh.y", ""), ("f", ".wh...", "")],
    "climbing": [("f", "../canary/secret", "evil"), ("f", "/mnt/canary/secret", "evil"),
                 ("d", "a/../../canary", ""), ("h", "h", "../canary/secret")],
    "replaced": [("d", "a", ""), ("f", "a/b", "1"), ("l", "a", "/mnt/canary"), ("f", "a/secret", "2"),
                 ("f", "a", "3"), ("d", "a", "")],
    "long": [("f", "n" * 150 + "/" + "m" * 150, "x"), ("l", "l", "t" * 200)],
}


def write(path, members, kind, pax):
    with tarfile.open(path, "w", format=kind) as tar:
        for letter, name, text in members:
            info = tarfile.TarInfo(name)
            info.type = TYPES[letter]
            info.mtime = 1000
            if letter in "lh":
                info.linkname = text
            if letter in "cb":
                info.devmajor, info.devminor = 1, 3
            if pax:
                info.pax_headers = {"SCHILY.xattr.user.note": "hi", "mtime": "1.5",
                                    "SCHILY.xattr.trusted.overlay.opaque": "y"}
            if letter == "f":
                info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()) if letter == "f" else None)


def main():
    top = sys.argv[1]
    os.makedirs(top, exist_ok=True)
    for name, members in SEEDS.items():
        for label, kind in (("ustar", tarfile.USTAR_FORMAT), ("gnu", tarfile.GNU_FORMAT),
                            ("pax", tarfile.PAX_FORMAT)):
            if name == "long" and label == "ustar":
                continue
            write(os.path.join(top, name + "-" + label), members, kind, label == "pax")


main()
