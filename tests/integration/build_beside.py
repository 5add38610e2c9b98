#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build_beside.py OURS THEIRS [--kit DOCKER] [--only PATTERN] [--every N] - builds the corpus with Dray and with a real dockerd, and compares.

OURS and THEIRS are the daemons' sockets; both have the same busybox:latest. Compared are the config, the
history, and every file of the image: type, mode, owner, size, content, link target, extended attributes,
and the times of files that the context gave. (The classic builder of dockerd loses set-id bits and
capabilities when it changes a file's owner; they are left out there.) With --kit the same is built by dockerd's BuildKit through that
docker CLI, by both daemons. --every N takes each Nth alone. Ends with 1 when anything differs.
"""
import argparse
import concurrent.futures
import fnmatch
import functools
import hashlib
import http.client
import io
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import tarfile
import tempfile
import urllib.parse

from build_corpus import BASES, CASES, ERRORS

OLD = 1000000000  # times of the context; what a build makes is younger than NEW
NEW = 1600000000
FIELDS = ("Env", "Cmd", "Entrypoint", "Labels", "User", "WorkingDir", "Volumes", "ExposedPorts", "Healthcheck",
          "OnBuild", "Shell", "StopSignal")



# --- the context -------------------------------------------------------------------------------------------

def entry(tar, name, kind=tarfile.REGTYPE, data=b"", mode=0o644, link="", **pax):
    e = tarfile.TarInfo(name)
    e.type, e.size, e.mode, e.linkname, e.mtime = kind, len(data), mode, link, OLD
    e.pax_headers = {f"SCHILY.xattr.{k.replace('__', '.')}": v for k, v in pax.items()}
    tar.addfile(e, io.BytesIO(data))


@functools.lru_cache(None)  # gzip notes the time
def archive(kind):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{kind}") as t:
        entry(t, "arch", tarfile.DIRTYPE, mode=0o750)
        entry(t, "arch/p", data=b"packed\n", mode=0o600)
        entry(t, "arch/l", tarfile.SYMTYPE, link="p", mode=0o777)
        entry(t, "arch/h", tarfile.LNKTYPE, link="arch/p", mode=0o600)
    return out.getvalue()


def folder(t, name, mode=0o755, files=()):
    entry(t, name, tarfile.DIRTYPE, mode=mode)
    for f in files:
        entry(t, f"{name}/{f}", data=f"{name}/{f}\n".encode())


def write_context(t):
    entry(t, "f1", data=b"one\n", mode=0o755)
    entry(t, "f2", data=b"two\n", mode=0o640)
    entry(t, "zero")
    entry(t, "sp ace", data=b"with space\n")
    entry(t, ".hidden", data=b"h\n")
    folder(t, "dir", files=["top"])
    folder(t, "dir/sub", 0o700, ["deep"])
    folder(t, "dir2", files=["x"])
    folder(t, "many", files=["m1.txt", "m2.txt", "m3.txt", "a.md"])
    folder(t, "empty", 0o711)
    folder(t, "links", files=["real"])
    for name, to in (("links/l", "real"), ("links/up", "../f1"), ("links/abs", "/etc/passwd"), ("links/no", "nowhere"),
                     ("link", "f1"), ("dirlink", "dir"), ("dangling", "nowhere")):
        entry(t, name, tarfile.SYMTYPE, link=to, mode=0o777)
    folder(t, "modes", 0o1777)
    for mode in (0o000, 0o400, 0o644, 0o755, 0o1644, 0o2755, 0o4755, 0o6711, 0o777):
        entry(t, f"modes/{mode:04o}", data=b"m", mode=mode)
    folder(t, "hard", files=["a"])
    entry(t, "hard/b", tarfile.LNKTYPE, link="hard/a")
    entry(t, "capable", data=b"cap", mode=0o755,
          security__capability="\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
    for suffix, kind in (("", ""), (".gz", "gz"), (".xz", "xz"), (".bz2", "bz2")):
        entry(t, f"a.tar{suffix}", data=archive(kind))
    entry(t, "fake.tar", data=b"notatar\n")


def context(c):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
        write_context(t)
        entry(t, "Dockerfile", data=c["text"].encode())
        if "ignore" in c:
            entry(t, ".dockerignore", data=c["ignore"].encode())
    return out.getvalue()


# --- a daemon ----------------------------------------------------------------------------------------------

class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def call(sock, method, url, body=None, headers=None):
    c = Connection(sock)
    c.request(method, url, body, headers or {})
    r = c.getresponse()
    data = r.read()
    c.close()
    return r.status, data


def classic(sock, c):
    """The error's text, or None when the image has been made."""
    query = {"t": tag(c), "networkmode": "none", "target": c.get("target", ""), "rm": "1",
             "buildargs": json.dumps(c.get("args", {})), "labels": json.dumps(c.get("labels", {}))}
    status, data = call(sock, "POST", "/v1.41/build?" + urllib.parse.urlencode(query), context(c),
                        {"Content-Type": "application/x-tar"})
    if status != 200:
        return json.loads(data)["message"]
    for line in data.decode().splitlines():
        if "error" in (doc := json.loads(line)):
            return doc["error"]
    return None


def kit(docker, sock, c):
    with tempfile.TemporaryDirectory() as d:
        with tarfile.open(fileobj=io.BytesIO(context(c))) as t:
            t.extractall(d, numeric_owner=True)
        argv = [docker, "-H", f"unix://{sock}", "build", "-q", "--network", "none", "-t", tag(c), d]
        for k, v in c.get("args", {}).items():
            argv[4:4] = ["--build-arg", f"{k}={v}"]
        for k, v in c.get("labels", {}).items():
            argv[4:4] = ["--label", f"{k}={v}"]
        if "target" in c:
            argv[4:4] = ["--target", c["target"]]
        p = subprocess.run(argv, env=dict(os.environ, DOCKER_BUILDKIT="1"), capture_output=True, text=True, timeout=120)
        return None if p.returncode == 0 else p.stderr.strip().splitlines()[-1]


def tag(c):
    return "beside-" + c["name"].lower()


# --- an image ----------------------------------------------------------------------------------------------

def described(t, m):
    if m.isfile():
        what = f"file {m.size} {hashlib.sha256(t.extractfile(m).read()).hexdigest()[:12]}"
    elif m.issym():
        what = f"link {m.linkname}"
    else:
        what = {tarfile.DIRTYPE: "folder", tarfile.FIFOTYPE: "pipe"}.get(m.type, f"type {m.type} {m.devmajor}:{m.devminor}")
    xattrs = {k: v for k, v in m.pax_headers.items() if k.startswith("SCHILY.xattr.")}
    when = int(m.mtime) if m.mtime < NEW and m.isfile() else "new"
    return f"{what} {m.mode & 0o7777:04o} {m.uid}:{m.gid} {when}{' ' + repr(xattrs) if xattrs else ''}"


def lay(files, t):
    """Put a layer on what is below."""
    mine = {}
    for m in t:
        name = os.path.normpath("/" + m.name).lstrip("/")
        if not name:
            continue
        where, base = os.path.split(name)
        gone = where if base == ".wh..wh..opq" else os.path.join(where, base[4:]) if base.startswith(".wh.") else None
        if gone is not None:
            for f in [f for f in files if f.startswith(gone + "/") or (f == gone and base != ".wh..wh..opq")]:
                del files[f]
            continue
        mine[name] = mine[os.path.normpath(m.linkname)] if m.islnk() else described(t, m)
        if not m.isdir():
            for f in [f for f in files if f.startswith(name + "/")]:
                del files[f]
    files.update(mine)


def image(sock, name):
    """Config, history and files."""
    status, data = call(sock, "GET", f"/images/{name}/get")
    if status != 200:
        sys.exit(f"save {name}: {status} {data[:200]}")
    files = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as t:
        links = {m.name: m.linkname for m in t if m.issym()}
        manifest = json.load(t.extractfile("manifest.json"))[0]
        doc = json.load(t.extractfile(manifest["Config"]))
        for path in manifest["Layers"]:
            if path in links:  # dockerd: the same layer, in another folder
                path = os.path.normpath(os.path.join(os.path.dirname(path), links[path]))
            with tarfile.open(fileobj=io.BytesIO(t.extractfile(path).read())) as layer:
                lay(files, layer)
    config = {k: doc["config"].get(k) or None for k in FIELDS}
    config.update({k: doc.get(k) or None for k in ("author", "architecture", "os")})
    history = [re.sub(r"(file|dir|multi):[0-9a-f]{64}", r"\1:SUM", h.get("created_by", "")) +
               (" -" if h.get("empty_layer") else " +") + h.get("comment", "") for h in doc["history"]]
    return {"config": config, "files": files, "history": dict(enumerate(history))}


def differences(ours, theirs, parts):
    for part in parts:
        for k in sorted(set(ours[part]) | set(theirs[part]), key=str):
            a, b = ours[part].get(k), theirs[part].get(k)
            if a != b:
                yield f"{part} {k}:\n    ours   {a}\n    theirs {b}"


# --- all of them -------------------------------------------------------------------------------------------

def essence(text):
    """What has failed, without where: newer Dockers name the line in other words, and show it."""
    text = re.sub(r"\nDockerfile:\d+:\d+\n-{20}.*", "", text, flags=re.S)
    text = re.sub(r"^(dockerfile parse error( on)? line \d+|failed to parse Dockerfile): ", "", text)
    return re.sub(r" \(did you mean .*\)$", "", text).strip().lower()


def is_new(sock):
    return int(json.loads(call(sock, "GET", "/version")[1])["Version"].split(".")[0]) >= 28


def compare(ours, theirs, c, build, kit, new):
    with concurrent.futures.ThreadPoolExecutor(2) as both:
        a, b = both.submit(build, ours, c), both.submit(build, theirs, c)
        a, b = a.result(), b.result()
    if a or b:
        if not (a and b):
            return [f"ours: {a or 'built'}\n    theirs: {b or 'built'}"]
        if c.get("words", True) and (new or not c.get("new")) and not kit and essence(a) != essence(b):
            return [f"fails in other words\n    ours   {a}\n    theirs {b}"]
        return []
    left = [p for p in ("config", "files", "history") if kit or p not in c.get("why", ())]
    if c.get("new") and not new:
        left.remove("history")
    a, b = image(ours, tag(c)), image(theirs, tag(c))
    if kit:
        # BuildKit keeps layers with nothing in them, and names the images that others are FROM as it likes.
        for i in (a, b):
            i["history"] = {n: re.sub(r" [-+](\w[\w.]*)?$", r" \1", h) for n, h in i["history"].items()}
        for stub in ("dev", "proc", "sys") + c.get("stubs", ()):
            b["files"].pop(stub, None)
        if "FROM scratch" in c["text"] and b["config"]["WorkingDir"] == "/":
            b["config"]["WorkingDir"] = None
    for files in (a["files"], b["files"]):
        for f, what in files.items():
            what = re.sub(r" \{'SCHILY.*", "", what)
            files[f] = what if kit else re.sub(r"^(file \d+ \w+) [2-7]", r"\1 0", what)
    return list(differences(a, b, left))


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("ours")
    p.add_argument("theirs")
    p.add_argument("--kit", metavar="DOCKER")
    p.add_argument("--only", metavar="PATTERN", default="*")
    p.add_argument("--every", metavar="N", type=int, default=1)
    o = p.parse_args()
    wanted = [c for c in CASES + ERRORS if fnmatch.fnmatch(c["name"], o.only) and
              not (c.get("only") if o.kit else c.get("kit"))][::o.every]
    build = (lambda s, c: kit(o.kit, s, c)) if o.kit else classic

    new = is_new(o.theirs)

    def one(c):
        return c, compare(o.ours, o.theirs, c, build, bool(o.kit), new)

    first = [one(c) for c in BASES]
    n = bad = 0
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for c, found in itertools.chain(first, pool.map(one, wanted)):
            n += 1
            bad += bool(found)
            for f in found:
                print(f"{c['name']}: {f}", flush=True)
    print(f"{n} compared, {bad} differ")
    sys.exit(1 if bad or not n else 0)


main()
