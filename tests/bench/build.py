#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""build.py - what builds cost over the API: POST /build, as the classic builder is called.

    sudo tests/bench/build.py [--stage build/stage] [--peer dockerd] [--peer podman] [-n 3] [--dir /var/tmp] [ITEM...]

Medians of the time and, on a second line, of the processor time of the engine's own processes, which tells
more on a machine that has other work. Items: copy steps runs stages (default: all).
"""
import argparse
import io
import os
import statistics
import sys
import tarfile
import time

import bench

HERE = os.path.dirname(os.path.abspath(__file__))
TICK = os.sysconf("SC_CLK_TCK")
WORK = "RUN i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; echo $i >/%s"


def context(dockerfile, files=()):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in [("Dockerfile", dockerfile.encode()), *files]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def busy(e):
    """Seconds of processor time that the engine's processes and their ended children have had."""
    total = 0
    for pid in e.pids():
        try:
            with open(f"/proc/{pid}/stat") as f:
                total += sum(int(x) for x in f.read().rsplit(")", 1)[1].split()[11:15])
        except OSError:
            pass
    return total / TICK


def build(e, tar, tag, cached=False):
    out = e.call("POST", f"/build?t={tag}&rm=1" + ("" if cached else "&nocache=1"), raw=tar, kind="application/x-tar")
    if b'"errorDetail"' in (out if isinstance(out, bytes) else b""):
        raise RuntimeError(f"{e.name}: {out[-400:]}")


def drop(e, tag):
    e.call("DELETE", f"/images/{tag}?force=1")
    if e.name != "podman":
        e.call("POST", "/build/prune?all=1")
    e.call("POST", '/images/prune?filters=%7B%22dangling%22:%5B%22true%22%5D%7D')


def measure(engines, label, tar, n, cached=False):
    """Median seconds by engine; with `cached` the first build is not counted, and the others find its steps."""
    wall, cpu = {}, {}
    for e in engines:
        times, work = [], []
        for i in range(n + cached):
            before, begin = busy(e), time.perf_counter()
            build(e, tar, "bench", cached)
            if i >= cached:
                times.append((time.perf_counter() - begin) * 1000)
                work.append((busy(e) - before) * 1000)
            if not cached:
                drop(e, "bench")
        if cached:
            drop(e, "bench")
        wall[e.name], cpu[e.name] = statistics.median(times), statistics.median(work)
    bench.report(label, "ms", wall)
    bench.report("   of the engine's processors", "ms", cpu)
    return wall


def item_copy(engines, n):
    files = [(f"many/d{i % 100}/f{i}", os.urandom(100) * 150) for i in range(20000)]
    measure(engines, "COPY of 20,000 files, 300 MB", context("FROM busybox\nCOPY many /many\n", files), n)


def item_steps(engines, n):
    lines = ["FROM busybox"]
    for i in range(8):
        lines += [f"ENV E{i}=v{i}", f"COPY f{i} /d{i}/", f"RUN echo {i} >/r{i}"]
    tar = context("\n".join(lines) + "\n", [(f"f{i}", b"content %d\n" % i) for i in range(8)])
    measure(engines, "25 steps (8 RUN, 8 COPY, 8 ENV), uncached", tar, n)
    measure(engines, "the same, all in the cache", tar, n * 3, cached=True)


def item_runs(engines, n):
    measure(engines, "20 times RUN true", context("FROM busybox\n" + "RUN true\n" * 20), n)


def item_stages(engines, n):
    names = "abcd"
    chain = "FROM busybox\n" + "".join(WORK % s + "\n" for s in names)
    fan = "".join(f"FROM busybox AS {s}\n{WORK % s}\n" for s in names)
    fan += "FROM busybox\n" + "".join(f"COPY --from={s} /{s} /\n" for s in names)
    one = measure(engines, "4 steps that compute, one after the other", context(chain), n)
    four = measure(engines, "the same in 4 independent stages", context(fan), n)
    bench.report("   faster by", "times", {e: one[e] / four[e] for e in one})


ITEMS = {"copy": item_copy, "steps": item_steps, "runs": item_runs, "stages": item_stages}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--stage", default=os.path.join(HERE, "../../build/stage"))
    p.add_argument("--peer", action="append", default=[], choices=["dockerd", "podman"])
    p.add_argument("--dir", default="/var/tmp", help="where the engines keep their data")
    p.add_argument("-n", type=int, default=3)
    p.add_argument("items", nargs="*", metavar="ITEM")
    args = p.parse_args()
    if os.geteuid() != 0:
        sys.exit("run it as root")
    engines = bench.start_engines(args)
    try:
        tar = bench.busybox_tar()
        for e in engines:
            e.call("POST", "/images/create?fromSrc=-&repo=busybox&tag=latest", raw=tar, kind="application/x-tar")
        for name in args.items or ITEMS:
            ITEMS[name](engines, args.n)
    finally:
        for e in engines:
            e.stop()


if __name__ == "__main__":
    main()
