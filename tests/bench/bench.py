#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench.py - measures a Docker-like engine over its API and through the command lines, beside others.

    sudo tests/bench/bench.py [--stage build/stage] [--peer dockerd] [--peer podman] [-n 40] [ITEM...]

Starts drayd, and each peer that is asked for and installed, in roots of their own, runs the same
work on each in turn, and prints medians with the ratio to drayd. Nothing here is a pass or fail.
Items: cli api exec memory list logs pull workers restart attach archive thousand (default: all).
"""
import argparse
import concurrent.futures
import glob
import http.client
import io
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Engine:
    """A server on a unix socket, with the processes that belong to it."""

    def __init__(self, name, root, argv, cli, env=None):
        self.name, self.root, self.cli, self.env = name, root, cli, {**os.environ, **(env or {})}
        self.sock = os.path.join(root, "api.sock")
        self.argv = [a.format(root=root, sock=self.sock) for a in argv]
        self.start()

    def start(self):
        """Start the server; returns the seconds until it answers."""
        name, root = self.name, self.root
        self.log = open(os.path.join(root, "log"), "ab")
        begin = time.perf_counter()
        self.proc = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                     start_new_session=True, env=self.env)
        end = time.time() + 30
        while True:
            try:
                self.call("GET", "/containers/json?all=1")
                return time.perf_counter() - begin
            except OSError:
                if time.time() > end or self.proc.poll() is not None:
                    raise SystemExit(f"{name} does not start, see {root}/log")
                time.sleep(0.002)

    def call(self, method, path, body=None, raw=None, kind="application/json"):
        c = Connection(self.sock)
        data = json.dumps(body).encode() if body is not None else raw
        c.request(method, "/v1.41" + path, data, {"Content-Type": kind} if data else {})
        r = c.getresponse()
        out = r.read()
        c.close()
        if r.status >= 400:
            raise RuntimeError(f"{self.name} {method} {path}: {r.status} {out[:200]}")
        return json.loads(out) if out[:1] in b"[{" and out and b"\n" not in out.strip() else out

    def pull(self, name):
        """Pull; an error in the stream of progress, whose status is 200, is an error here."""
        out = self.call("POST", f"/images/create?fromImage={name}&tag=latest")
        if b"errorDetail" in (out if isinstance(out, bytes) else json.dumps(out).encode()):
            raise RuntimeError(f"{self.name} pull {name}: {out[-300:]}")

    def pids(self):
        """Every process of the engine: below its own process, or with its root on the command line."""
        found = set()
        for d in glob.glob("/proc/[0-9]*"):
            try:
                with open(d + "/cmdline", "rb") as f:
                    line = f.read().replace(b"\0", b" ").decode(errors="replace")
                with open(d + "/stat") as f:
                    session = int(f.read().rsplit(")", 1)[1].split()[3])
            except (OSError, ValueError):
                continue
            pid = int(d[6:])
            if session == self.proc.pid or self.root in line or "dray-shim" in line and self.name == "drayd":
                found.add(pid)
        return found

    def pss(self):
        total = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    for line in f:
                        if line.startswith("Pss:"):
                            total += int(line.split()[1])
            except OSError:
                pass
        return total / 1024

    def create(self, cmd, network="none", name=None, **more):
        host = {"NetworkMode": network}
        host.update(more)
        path = "/containers/create" + (f"?name={name}" if name else "")
        return self.call("POST", path, {"Image": "busybox:latest", "Cmd": cmd, "HostConfig": host})["Id"]

    def stop(self):
        try:
            for c in self.call("GET", "/containers/json?all=1"):
                self.call("DELETE", f"/containers/{c['Id']}?force=1&v=1")
        except (OSError, RuntimeError):
            pass
        self.proc.send_signal(signal.SIGTERM)
        try:
            self.proc.wait(30)
        except subprocess.TimeoutExpired:
            self.proc.kill()
        subprocess.run(["sh", "-c", f"grep -F {self.root}/ /proc/self/mountinfo | cut -d' ' -f5 | sort -r | xargs -r umount -l"])
        shutil.rmtree(self.root, ignore_errors=True)


def start_engines(args):
    def root(name):
        return tempfile.mkdtemp(
            prefix=f"dray-bench-{name}-", dir=getattr(args, "dir", "/var/tmp"))

    stage = os.path.abspath(args.stage)
    dray = [stage + "/bin/drayd", "--data-root", "{root}/data", "--exec-root", "{root}/exec",
            "-H", "unix://{sock}", "--pidfile", "{root}/pid"]
    engines = [Engine("drayd", root("drayd"), dray, stage + "/bin/dray")]
    for peer in args.peer:
        if not shutil.which(peer):
            print(f"{peer}: not installed, left out")
        elif peer == "dockerd":
            engines.append(Engine("dockerd", root("dockerd"), [
                "dockerd", "--data-root", "{root}/data", "--exec-root", "{root}/exec", "-H", "unix://{sock}",
                "--pidfile", "{root}/pid", "--bip", "172.31.77.1/24", "--storage-driver", "overlay2"], "docker"))
        elif peer == "podman":
            at = root("podman")
            with open(at + "/registries.conf", "w") as f: # the others take a registry on 127.0.0.1 without TLS as it is
                f.write('[[registry]]\nlocation = "127.0.0.1:5999"\ninsecure = true\n')
            engines.append(Engine("podman", at, [
                "podman", "--root", "{root}/data", "--runroot", "{root}/run", "--runtime", "runc", "system", "service", "-t", "0",
                "unix://{sock}"], None, {"CONTAINERS_REGISTRIES_CONF": at + "/registries.conf"}))
    return engines


def busybox_tar():
    tree = tempfile.mkdtemp()
    os.makedirs(tree + "/bin")
    os.makedirs(tree + "/etc")
    shutil.copy("/bin/busybox", tree + "/bin/busybox")
    for a in subprocess.check_output(["/bin/busybox", "--list"], text=True).split():
        if a != "busybox":
            os.symlink("busybox", tree + "/bin/" + a)
    with open(tree + "/etc/passwd", "w") as f:
        f.write("root:x:0:0:root:/:/bin/sh\n")
    data = subprocess.check_output(["tar", "-C", tree, "-c", "."])
    shutil.rmtree(tree)
    return data


def median_ms(fn, n, warm=3):
    times = []
    for i in range(n + warm):
        t = time.perf_counter()
        fn()
        if i >= warm:
            times.append((time.perf_counter() - t) * 1000)
    return statistics.median(times)


def report(label, unit, values):
    base = values.get("drayd")
    cells = []
    for name, v in values.items():
        ratio = "" if name == "drayd" or not base else f" ({v / base:.1f}x)"
        cells.append(f"{name} {v:,.2f} {unit}{ratio}")
    print(f"{label:<44} " + "   ".join(cells), flush=True)


def item_cli(engines, n):
    for network in ("none", "bridge"):
        values = {}
        for e in engines:
            if not e.cli:
                continue
            argv = [e.cli, "-H", "unix://" + e.sock, "run", "--rm", "--network", network, "busybox", "true"]
            values[e.name] = median_ms(lambda: subprocess.run(argv, check=True, stdin=subprocess.DEVNULL), n)
        docker = shutil.which("docker")
        if docker:
            argv = [docker, "-H", "unix://" + engines[0].sock, "run", "--rm", "--network", network, "busybox", "true"]
            values["docker CLI on drayd"] = median_ms(lambda: subprocess.run(argv, check=True, stdin=subprocess.DEVNULL), n)
        report(f"run --rm --network {network} busybox true", "ms", values)


def item_api(engines, n):
    for network in ("none", "bridge"):
        values = {}
        for e in engines:
            def once():
                c = e.create(["true"], network)
                e.call("POST", f"/containers/{c}/start")
                e.call("POST", f"/containers/{c}/wait")
                e.call("DELETE", f"/containers/{c}")
            values[e.name] = median_ms(once, n)
        report(f"create+start+wait+remove, {network}", "ms", values)


def item_exec(engines, n):
    values = {}
    for e in engines:
        c = e.create(["sleep", "1000"])
        e.call("POST", f"/containers/{c}/start")

        def once():
            x = e.call("POST", f"/containers/{c}/exec", {"Cmd": ["true"], "AttachStdout": True})["Id"]
            e.call("POST", f"/exec/{x}/start", {"Detach": False})
        values[e.name] = median_ms(once, n)
        e.call("DELETE", f"/containers/{c}?force=1")
    report("exec true", "ms", values)


def item_memory(engines, n):
    idle, each = {}, {}
    for e in engines:
        time.sleep(10)  # idle, not just done
        idle[e.name] = e.pss()
        ids = []
        for _ in range(20):
            ids.append(e.create(["sleep", "1000"]))
            e.call("POST", f"/containers/{ids[-1]}/start")
        time.sleep(10)
        own = set()
        each[e.name] = (e.pss() - idle[e.name] - sum(own)) / 20
        for c in ids:
            e.call("DELETE", f"/containers/{c}?force=1")
    report("memory, idle (PSS)", "MB", idle)
    report("memory per running container (PSS)", "MB", each)


def item_list(engines, n):
    values = {}
    for e in engines:
        ids = [e.create(["true"], name=f"list{i}") for i in range(1000)]
        values[e.name] = median_ms(lambda: e.call("GET", "/containers/json?all=1"), 10)
        for c in ids:
            e.call("DELETE", f"/containers/{c}")
    report("list of 1,000 containers", "ms", values)


def item_logs(engines, n):
    wrote, read = {}, {}
    line = "x" * 99
    cmd = ["sh", "-c", f"yes {line} | head -n 1000000"]
    for e in engines:
        more = {"LogConfig": {"Type": "json-file", "Config": {"max-size": "1g"}}} if e.name != "podman" else {}
        c = e.create(cmd, **more)
        t = time.perf_counter()
        e.call("POST", f"/containers/{c}/start")
        e.call("POST", f"/containers/{c}/wait")
        wrote[e.name] = time.perf_counter() - t
        t = time.perf_counter()
        size = len(e.call("GET", f"/containers/{c}/logs?stdout=1"))
        read[e.name] = size / 1e6 / (time.perf_counter() - t)
        e.call("DELETE", f"/containers/{c}")
    report("1,000,000 log lines written", "s", wrote)
    report("read back", "MB/s", read)


def item_pull(engines, n):
    if not shutil.which("docker-registry") or not shutil.which("skopeo"):
        print("pull: docker-registry and skopeo are not installed, left out")
        return
    subprocess.run([os.path.join(HERE, "pull.sh"), "start"], check=True)
    try:
        values = {}
        for e in engines:
            def once():
                e.pull("127.0.0.1:5999/bench")
                e.call("DELETE", "/images/127.0.0.1:5999/bench:latest")
            values[e.name] = median_ms(once, 3, warm=1) / 1000
        report("pull (and remove) of 600 MB in 8 gzip layers", "s", values)
    finally:
        subprocess.run([os.path.join(HERE, "pull.sh"), "stop"])


def in_parallel(workers, jobs):
    """Seconds that so many threads need for all the jobs."""
    begin = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda job: job(), jobs))
    return time.perf_counter() - begin


def item_workers(engines, n):
    started, stopped, lists = {}, {}, {}
    for e in engines:
        ids = []

        def begin():
            c = e.create(["sleep", "1000"])
            ids.append(c)
            e.call("POST", f"/containers/{c}/start")
        started[e.name] = 100 / in_parallel(8, [begin] * 100)
        stopped[e.name] = 100 / in_parallel(8, [lambda c=c: e.call("POST", f"/containers/{c}/stop?t=0") for c in ids])
        lists[e.name] = 320 / in_parallel(16, [lambda: e.call("GET", "/containers/json?all=1")] * 320)
        in_parallel(8, [lambda c=c: e.call("DELETE", f"/containers/{c}") for c in ids])
    report("containers created and started by 8 workers", "/s", started)
    report("containers stopped by 8 workers", "/s", stopped)
    report("lists of 100 containers by 16 clients", "/s", lists)


def item_restart(engines, n):
    stopped, running = {}, {}
    for e in engines:
        if e.name == "podman":
            continue
        ids = [e.create(["true"]) for _ in range(1000)]
        e.proc.terminate()
        e.proc.wait()
        stopped[e.name] = e.start() * 1000
        in_parallel(8, [lambda c=c: e.call("DELETE", f"/containers/{c}") for c in ids])
        ids = [e.create(["sleep", "1000"], "bridge") for _ in range(50)]
        in_parallel(8, [lambda c=c: e.call("POST", f"/containers/{c}/start") for c in ids])
        e.proc.kill()
        e.proc.wait()
        running[e.name] = e.start() * 1000
        alive = len(e.call("GET", "/containers/json"))
        print(f"   {e.name}: {alive} of 50 alive after kill -9", flush=True)
        in_parallel(8, [lambda c=c: e.call("DELETE", f"/containers/{c}?force=1") for c in ids])
    report("start with 1,000 stopped containers", "ms", stopped)
    report("start after kill -9 with 50 running", "ms", running)


def item_attach(engines, n):
    values = {}
    for e in engines:
        if not e.cli:
            continue
        argv = [e.cli, "-H", "unix://" + e.sock, "run", "--rm", "--network", "none", "--log-driver", "none",
                "busybox", "dd", "if=/dev/zero", "bs=1M", "count=1024"]
        t = time.perf_counter()
        out = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        total = 0
        while chunk := out.stdout.read(1 << 20):
            total += len(chunk)
        out.wait()
        assert total == 1 << 30, total
        values[e.name] = total / 1e9 / (time.perf_counter() - t)
    report("1 GiB of output through the command line", "GB/s", values)


def many_files():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for i in range(20000):
            info = tarfile.TarInfo(f"many/d{i % 100}/f{i}")
            info.size = 15000
            tar.addfile(info, io.BytesIO(os.urandom(100) * 150))
    return data.getvalue()


def item_archive(engines, n):
    put, get = {}, {}
    tar = many_files()
    for e in engines:
        c = e.create(["sleep", "1000"])
        e.call("POST", f"/containers/{c}/start")
        t = time.perf_counter()
        e.call("PUT", f"/containers/{c}/archive?path=/", raw=tar, kind="application/x-tar")
        put[e.name] = time.perf_counter() - t
        t = time.perf_counter()
        assert len(e.call("GET", f"/containers/{c}/archive?path=/many")) > 300000000
        get[e.name] = time.perf_counter() - t
        e.call("DELETE", f"/containers/{c}?force=1")
    report("archive PUT of 20,000 files, 300 MB", "s", put)
    report("archive GET of them", "s", get)


def item_thousand(engines, n):
    """Only drayd: the others need minutes for it."""
    e = engines[0]
    ids = []

    def begin():
        c = e.create(["sleep", "10000"])
        ids.append(c)
        e.call("POST", f"/containers/{c}/start")
    before = e.pss()
    begun = 1000 / in_parallel(8, [begin] * 1000)
    time.sleep(5)
    each = (e.pss() - before) / 1000

    def cycle():
        c = e.create(["true"])
        e.call("POST", f"/containers/{c}/start")
        e.call("POST", f"/containers/{c}/wait")
        e.call("DELETE", f"/containers/{c}")
    values = {"list": median_ms(lambda: e.call("GET", "/containers/json"), 20),
              "inspect": median_ms(lambda: e.call("GET", f"/containers/{ids[500]}/json"), 20),
              "cycle": median_ms(cycle, 20)}
    e.proc.kill()
    e.proc.wait()
    back = e.start() * 1000
    alive = len(e.call("GET", "/containers/json"))
    ended = 1000 / in_parallel(8, [lambda c=c: e.call("DELETE", f"/containers/{c}?force=1") for c in ids])
    print(f"1,000 running: started {begun:.0f}/s, {each:.2f} MB each; " +
          ", ".join(f"{k} {v:.1f} ms" for k, v in values.items()) +
          f"; after kill -9 back in {back:.0f} ms with {alive} alive; removed {ended:.0f}/s", flush=True)


ITEMS = {"cli": item_cli, "api": item_api, "exec": item_exec, "memory": item_memory, "list": item_list,
         "logs": item_logs, "pull": item_pull, "workers": item_workers, "restart": item_restart,
         "attach": item_attach, "archive": item_archive, "thousand": item_thousand}


def run_items(engines, table, names, n):
    """Run items; one that fails is told and does not end the others. Returns how many failed."""
    failed = 0
    for name in names or table:
        try:
            table[name](engines, n)
        except (OSError, RuntimeError, subprocess.SubprocessError) as why:
            failed += 1
            print(f"{name}: failed: {why}", flush=True)
    return failed


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--stage", default=os.path.join(HERE, "../../build/stage"))
    p.add_argument("--peer", action="append", default=[], choices=["dockerd", "podman"])
    p.add_argument("-n", type=int, default=40)
    p.add_argument("items", nargs="*", metavar="ITEM")
    args = p.parse_args()
    if os.geteuid() != 0:
        sys.exit("run it as root")
    engines = start_engines(args)
    try:
        tar = busybox_tar()
        for e in engines:
            e.call("POST", "/images/create?fromSrc=-&repo=busybox&tag=latest", raw=tar, kind="application/x-tar")
        failed = run_items(engines, ITEMS, args.items, args.n)
    finally:
        for e in engines:
            e.stop()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
