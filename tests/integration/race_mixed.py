#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""race_mixed.py SOCKET CLIENTS SECONDS [PID] - clients that do everything to the same few objects at once.

Containers, networks, volumes and images have few names, which all CLIENTS threads share; builds run, and
streams of events, stats, logs and attaches come and go. The daemon PID is told to read its configuration
again meanwhile, and ended at the end, while all goes on: what breaks off then is no fault. Prints a line per
answer that is the daemon's fault, and what was answered; exits with 1 if there was any fault, or if the daemon
has not ended.
"""
import collections
import http.client
import io
import json
import os
import random
import signal
import socket
import sys
import tarfile
import threading
import time

PLACES = 3  # names of each type, none of which can begin an id
# Docker answers these with 500 when somebody else was faster.
LATE = {"start", "restart", "unpause", "attach-network", "detach-network"}
SLOW = float(os.environ.get("DRAY_TEST_SLOW", 4))
PATIENCE = 30 * SLOW


class Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def context(rnd):
    """Some builds share their steps, some do not."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        n = rnd.randrange(3)
        for name, text in (("Dockerfile", f"FROM busybox\nCOPY f /f{n}\nRUN echo {n} >/g\nLABEL mixed=1\n"),
                           ("f", f"content {n}\n")):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


class Mixed:
    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()  # guards what follows
        self.counts = collections.Counter()
        self.wrong = []
        self.ending = threading.Event()  # the daemon may break off what it does
        self.over = threading.Event()

    def note(self, text):
        with self.lock:
            if not self.ending.is_set():
                self.wrong.append(text)

    def call(self, what, method, path, body=None, data=None, read=None):
        """One request; read: at most so many bytes of the answer, and at most for a moment."""
        c = Connection(self.path, 0.5 if read else PATIENCE)
        kind = "application/x-tar" if data else "application/json"
        if body is not None:
            data = json.dumps(body)
        try:
            c.request(method, path, data, {"Content-Type": kind} if data else {})
            r = c.getresponse()
            out = r.read(read) if read else r.read()
        except socket.timeout:
            if not read:
                self.note(f"{what}: {method} {path}: no answer after {PATIENCE} s")
            return
        except (OSError, http.client.HTTPException) as e:
            if not read:  # a stream breaks off when its container is removed
                self.note(f"{what}: {method} {path}: {e!r}")
            return
        finally:
            c.close()
        with self.lock:
            self.counts[f"{what} {r.status}"] += 1
        if r.status >= 500 and what not in LATE:
            self.note(f"{what}: {method} {path}: {r.status} {out[:300]!r}")

    def containers(self, rnd, name):
        mounts = [f"v{rnd.randrange(PLACES)}:/v"] if rnd.random() < 0.5 else []
        self.call("create", "POST", f"/containers/create?name={name}", {
            "Image": rnd.choice(["busybox", f"made{rnd.randrange(PLACES)}"]), "OpenStdin": True,
            "Cmd": rnd.choice([["true"], ["sleep", "30"], ["sh", "-c", "while :; do echo x; done"]]),
            "HostConfig": {"NetworkMode": rnd.choice(["none", "bridge", f"n{rnd.randrange(PLACES)}"]),
                           "Binds": mounts, "RestartPolicy": {"Name": rnd.choice(["no", "always"])}}})
        self.call("start", "POST", f"/containers/{name}/start")
        for what in rnd.sample(["stop?t=0", "kill", "restart?t=0", "pause", "unpause", "resize?h=9&w=9"], 2):
            self.call(what.split("?")[0], "POST", f"/containers/{name}/{what}")
        self.call("update", "POST", f"/containers/{name}/update", {"Memory": rnd.randrange(32, 64) << 20, "MemorySwap": -1})
        if rnd.random() < 0.6:
            self.call("remove", "DELETE", f"/containers/{name}?force=1&v=1")

    def networks(self, rnd, name):
        net = f"n{rnd.randrange(PLACES)}"
        self.call("network", "POST", "/networks/create", {"Name": net})
        self.call("attach-network", "POST", f"/networks/{net}/connect", {"Container": name})
        self.call("networks", "GET", "/networks")
        self.call("network-inspect", "GET", f"/networks/{net}")
        self.call("detach-network", "POST", f"/networks/{net}/disconnect", {"Container": name, "Force": True})
        self.call("network-remove", "DELETE", f"/networks/{net}")

    def volumes(self, rnd, _):
        volume = f"v{rnd.randrange(PLACES)}"
        self.call("volume", "POST", "/volumes/create", {"Name": volume})
        self.call("volumes", "GET", "/volumes")
        self.call("volume-remove", "DELETE", f"/volumes/{volume}")
        self.call("prune", "POST", rnd.choice(["/volumes/prune", "/networks/prune", "/images/prune"]))

    def images(self, rnd, name):
        image = f"made{rnd.randrange(PLACES)}"
        self.call("tag", "POST", f"/images/busybox/tag?repo={image}")
        self.call("commit", "POST", f"/commit?container={name}&repo={image}", {})
        self.call("images", "GET", "/images/json?all=1")
        self.call("history", "GET", f"/images/{image}/history")
        self.call("save", "GET", f"/images/{image}/get", read=65536)
        self.call("image-remove", "DELETE", f"/images/{image}?force=1")

    def builds(self, rnd, _):
        self.call("build", "POST", f"/build?t=made{rnd.randrange(PLACES)}&nocache={rnd.randrange(2)}", data=context(rnd))
        self.call("usage", "GET", "/system/df")
        if rnd.random() < 0.3:
            self.call("build-prune", "POST", "/build/prune?all=1")

    def streams(self, rnd, name):
        for path in ("/events", f"/events?since={int(time.time()) - 5}", f"/containers/{name}/stats",
                     f"/containers/{name}/logs?follow=1&stdout=1&tail=5"):
            self.call("stream", "GET", path, read=4096)
        self.call("attach", "POST", f"/containers/{name}/attach?stream=1&stdout=1&logs=1", read=4096)

    def looks(self, rnd, name):
        for path in ("/containers/json?all=1&size=1", f"/containers/{name}/json", f"/containers/{name}/top",
                     f"/containers/{name}/changes", "/info", "/version", f"/containers/{name}/archive?path=/etc"):
            self.call("look", "GET", path)

    def worker(self, seed):
        rnd = random.Random(seed)
        jobs = [self.containers, self.containers, self.networks, self.volumes, self.images, self.builds, self.streams, self.looks]
        while not self.over.is_set():
            rnd.choice(jobs)(rnd, f"mix{rnd.randrange(PLACES)}")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def main():
    path, clients, seconds, pid = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    seed = int(os.environ.get("DRAY_RACE_SEED", time.time()))
    mixed = Mixed(path)
    workers = [threading.Thread(target=mixed.worker, args=(seed + i,), daemon=True) for i in range(clients)]
    for t in workers:
        t.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end and alive(pid):
        time.sleep(0.5)
        os.kill(pid, signal.SIGHUP)
    if not alive(pid):
        mixed.note("the daemon has died")
    mixed.ending.set()
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + 15 * SLOW
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    mixed.over.set()
    for line in mixed.wrong[:40]:
        print(line)
    print(f"seed {seed}:", ", ".join(f"{k}: {v}" for k, v in sorted(mixed.counts.items())))
    if alive(pid):
        print("the daemon has not ended")
    sys.exit(1 if mixed.wrong or alive(pid) else 0)


main()
