#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""images.py - what images cost: pull, push, load, save, import, export, commit, remove, list.

    sudo tests/bench/images.py [--stage build/stage] [--peer dockerd] [--peer podman] [-n 2] [--dir /var/tmp] [ITEM...]

Each item runs on every engine in turn, n times; medians, with the ratio to drayd, and drayd's peak memory.
Items: gzip zstd tiny shared push load save import export commit list (default: all).
"""
import argparse
import gzip
import hashlib
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request

import bench

HERE = os.path.dirname(os.path.abspath(__file__))
REGISTRY = "127.0.0.1:5999"
OCI = "application/vnd.oci.image.manifest.v1+json"


def get(path):
    r = urllib.request.Request(f"http://{REGISTRY}/v2/{path}", headers={"Accept": OCI})
    return urllib.request.urlopen(r).read()


def exists(name):
    try:
        get(f"{name}/manifests/latest")
        return True
    except OSError:
        return False


def put_blob(name, data):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    r = urllib.request.urlopen(urllib.request.Request(f"http://{REGISTRY}/v2/{name}/blobs/uploads/", method="POST", data=b""))
    at = r.headers["Location"]
    urllib.request.urlopen(urllib.request.Request(at + f"&digest={digest}", method="PUT", data=data,
                                                  headers={"Content-Type": "application/octet-stream"}))
    return {"digest": digest, "size": len(data)}


def mount(name, source, digest):
    urllib.request.urlopen(urllib.request.Request(
        f"http://{REGISTRY}/v2/{name}/blobs/uploads/?mount={digest}&from={source}", method="POST", data=b""))


def put_image(name, layers, diffs):
    config = put_blob(name, json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["true"]},
                                        "rootfs": {"type": "layers", "diff_ids": diffs}}).encode())
    doc = {"schemaVersion": 2, "mediaType": OCI,
           "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config}, "layers": layers}
    urllib.request.urlopen(urllib.request.Request(f"http://{REGISTRY}/v2/{name}/manifests/latest", method="PUT",
                                                  data=json.dumps(doc).encode(), headers={"Content-Type": OCI}))


def small_tar(name, size):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        info = tarfile.TarInfo(name)
        info.size = size
        t.addfile(info, io.BytesIO(os.urandom(size)))
    return out.getvalue()


def prepare():
    if not exists("zstd-layers"):
        # By hand: skopeo finds the gzip layers in the registry and takes them instead.
        layers, doc = [], json.loads(get("bench/manifests/latest"))
        for layer in doc["layers"]:
            data = gzip.decompress(get(f"bench/blobs/{layer['digest']}"))
            data = subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
            layers.append({"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", **put_blob("zstd-layers", data)})
        config = json.loads(get(f"bench/blobs/{doc['config']['digest']}"))
        put_image("zstd-layers", layers, config["rootfs"]["diff_ids"])
    if not exists("tiny"):
        layers, diffs = [], []
        for i in range(60):
            data = small_tar(f"file{i}", 1000)
            diffs.append("sha256:" + hashlib.sha256(data).hexdigest())
            layers.append({"mediaType": "application/vnd.oci.image.layer.v1.tar", **put_blob("tiny", data)})
        put_image("tiny", layers, diffs)
    if not exists("shared"):
        doc = json.loads(get("bench/manifests/latest"))
        config = json.loads(get(f"bench/blobs/{doc['config']['digest']}"))
        for layer in doc["layers"][:7]:
            mount("shared", "bench", layer["digest"])
        data = small_tar("top", 1 << 20)
        last = {"mediaType": "application/vnd.oci.image.layer.v1.tar", **put_blob("shared", data)}
        put_image("shared", doc["layers"][:7] + [last],
                  config["rootfs"]["diff_ids"][:7] + ["sha256:" + hashlib.sha256(data).hexdigest()])


def pull(e, name):
    e.pull(f"{REGISTRY}/{name}")


def remove(e, name):
    try:
        e.call("DELETE", f"/images/{name}?force=1")
    except RuntimeError:
        pass


def timed(fn):
    t = time.perf_counter()
    fn()
    return time.perf_counter() - t


def peak(e):
    with open(f"/proc/{e.proc.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024


def cpu(e):
    """Seconds of processor time that the engine and its ended children have taken: steadier than time on a busy machine."""
    with open(f"/proc/{e.proc.pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def pulls(engines, n, name, label, before=None):
    values, gone, used = {}, {}, {}
    for e in engines:
        runs, removals = [], []
        try:
            if before:
                pull(e, before)
            for _ in range(n):
                start = cpu(e)
                runs.append(timed(lambda: pull(e, name)))
                used[e.name] = cpu(e) - start
                removals.append(timed(lambda: remove(e, f"{REGISTRY}/{name}:latest")))
        except RuntimeError as why:  # dockerd 20.10 has no zstd
            if e is engines[0]:
                raise
            print(f"{label}: left out: {str(why)[-200:]}")
            continue
        values[e.name], gone[e.name] = statistics.median(runs), statistics.median(removals)
        if before:
            remove(e, f"{REGISTRY}/{before}:latest")
    bench.report(label, "s", values)
    bench.report("  processor time", "s", used)
    bench.report("  its removal", "s", gone)
    print(f"  peak memory of drayd so far: {peak(engines[0]):.0f} MB", flush=True)


def curl(e, method, path, *more):
    subprocess.run(["curl", "-sf", "--unix-socket", e.sock, "-X", method, "http://d/v1.41" + path, *more], check=True,
                   stdout=subprocess.DEVNULL)


def measure(engines, n, label, fn, undo=None):
    values, used = {}, {}
    for e in engines:
        runs = []
        for _ in range(n):
            start = cpu(e)
            runs.append(timed(lambda: fn(e)))
            used[e.name] = cpu(e) - start
            if undo:
                undo(e)
        values[e.name] = statistics.median(runs)
    bench.report(label, "s", values)
    bench.report("  processor time", "s", used)


def item_push(engines, n):
    for e in engines:
        pull(e, "bench")
        e.call("POST", f"/images/{REGISTRY}/bench:latest/tag?repo={REGISTRY}/pushed-{e.name}-{os.getpid()}&tag=latest")
    # Into a repository that has nothing: mounts are how it may be quick, so they are part of it.
    measure(engines, 1, "push of a pulled image", lambda e: curl(
        e, "POST", f"/images/{REGISTRY}/pushed-{e.name}-{os.getpid()}/push?tag=latest", "-H", "X-Registry-Auth: e30="))
    for e in engines:
        remove(e, f"{REGISTRY}/pushed-{e.name}-{os.getpid()}:latest")
        remove(e, f"{REGISTRY}/bench:latest")


def item_archives(engines, n):
    with tempfile.TemporaryDirectory(dir=ARGS.dir) as tmp:
        archive, tree = tmp + "/saved.tar", tmp + "/tree.tar"
        for e in engines:
            pull(e, "bench")
        measure(engines, n, "save", lambda e: curl(e, "GET", f"/images/{REGISTRY}/bench/get", "-o", archive))
        curl(engines[0], "GET", f"/images/{REGISTRY}/bench/get", "-o", archive)
        ids = {e.name: e.call("POST", "/containers/create", {"Image": f"{REGISTRY}/bench", "Cmd": ["x"]})["Id"] for e in engines}
        measure(engines, n, "export", lambda e: curl(e, "GET", f"/containers/{ids[e.name]}/export", "-o", tree))
        for e in engines:
            e.call("DELETE", f"/containers/{ids[e.name]}")
            remove(e, f"{REGISTRY}/bench:latest")
        measure(engines, n, "load", lambda e: curl(e, "POST", "/images/load?quiet=1", "-H", "Content-Type: application/x-tar", "-T", archive),
                lambda e: remove(e, f"{REGISTRY}/bench:latest"))
        subprocess.run(["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{REGISTRY}/bench",
                        f"docker-archive:{tmp}/plain.tar:{REGISTRY}/bench:latest"], check=True)
        measure(engines, n, "load of plain layers", lambda e: curl(
            e, "POST", "/images/load?quiet=1", "-H", "Content-Type: application/x-tar", "-T", tmp + "/plain.tar"),
                lambda e: remove(e, f"{REGISTRY}/bench:latest"))
        subprocess.run(["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{REGISTRY}/bench",
                        f"oci-archive:{tmp}/gzip.tar:{REGISTRY}/bench:latest"], check=True)
        measure(engines, n, "load of gzip layers", lambda e: curl(
            e, "POST", "/images/load?quiet=1", "-H", "Content-Type: application/x-tar", "-T", tmp + "/gzip.tar"),
                lambda e: remove(e, f"{REGISTRY}/bench:latest"))
        measure(engines, n, "import", lambda e: curl(e, "POST", "/images/create?fromSrc=-&repo=imported", "-T", tree),
                lambda e: remove(e, "imported:latest"))


def item_commit(engines, n):
    for e in engines:
        c = e.create(["dd", "if=/dev/urandom", "of=/big", "bs=1M", "count=200"], name="changed")
        e.call("POST", f"/containers/{c}/start")
        e.call("POST", f"/containers/{c}/wait")
    measure(engines, n, "commit of 200 MB", lambda e: e.call("POST", "/commit?container=changed&repo=committed", {}),
            lambda e: remove(e, "committed:latest"))
    for e in engines:
        e.call("DELETE", "/containers/changed?force=1")


def item_list(engines, n):
    for e in engines:
        for i in range(500):
            e.call("POST", f"/images/create?fromSrc=-&repo=many{i}", raw=small_tar(f"f{i}", 10), kind="application/x-tar")
    values = {e.name: bench.median_ms(lambda: e.call("GET", "/images/json"), 10) for e in engines}
    bench.report("list of 500 images", "ms", values)
    for e in engines:
        for i in range(500):
            remove(e, f"many{i}:latest")


ITEMS = {
    "gzip": lambda e, n: pulls(e, n, "bench", "pull of 600 MB in 8 gzip layers"),
    "zstd": lambda e, n: pulls(e, n, "zstd-layers", "pull of 600 MB in 8 zstd layers"),
    "tiny": lambda e, n: pulls(e, n, "tiny", "pull of 60 tiny layers"),
    "shared": lambda e, n: pulls(e, n, "shared", "pull that shares 7 of 8 layers", "bench"),
    "push": item_push, "archives": item_archives, "commit": item_commit, "list": item_list,
}


def main():
    global ARGS
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--stage", default=os.path.join(HERE, "../../build/stage"))
    p.add_argument("--peer", action="append", default=[], choices=["dockerd", "podman"])
    p.add_argument("-n", type=int, default=2)
    p.add_argument("--dir", default="/var/tmp")
    p.add_argument("items", nargs="*", metavar="ITEM")
    ARGS = p.parse_args()
    if os.geteuid() != 0:
        sys.exit("run it as root")
    subprocess.run([os.path.join(HERE, "pull.sh"), "start"], check=True)
    engines = []
    try:
        prepare()
        tempfile.tempdir = ARGS.dir
        engines = bench.start_engines(ARGS)
        tar = bench.busybox_tar()
        for e in engines:
            e.call("POST", "/images/create?fromSrc=-&repo=busybox&tag=latest", raw=tar, kind="application/x-tar")
        failed = bench.run_items(engines, ITEMS, ARGS.items, ARGS.n)
    finally:
        for e in engines:
            e.stop()
        subprocess.run([os.path.join(HERE, "pull.sh"), "stop"])
    sys.exit(1 if failed else 0)


main()
