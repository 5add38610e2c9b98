#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""race.py SOCKET CLIENTS TOTAL - clients that create, start, exec, stop and remove containers at once.

CLIENTS threads share TOTAL containers, while readers list, inspect and follow events. Some clients
work on each other's containers on purpose. Prints a line per answer that Docker would not give, and
counts at the end; exits with 1 if there was any.
"""
import collections
import http.client
import json
import random
import socket
import sys
import threading
import time

# What Docker answers when somebody else was faster.
FAIR = {"start": {204, 304, 404, 409}, "stop": {204, 304, 404, 409}, "kill": {204, 404, 409},
        "remove": {204, 404, 409}, "exec": {201, 404, 409}, "exec-start": {200, 404, 409},
        "wait": {200, 404}, "inspect": {200, 404}, "create": {201}, "list": {200}, "logs": {200, 404, 409},
        "pause": {204, 404, 409}, "unpause": {204, 404, 409, 500}, "rename": {204, 404, 409}}


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Race:
    def __init__(self, path, total):
        self.path, self.left = path, total
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.wrong, self.slow = [], []
        self.shared = []  # ids that anybody may touch
        self.done = threading.Event()

    def call(self, what, method, path, body=None):
        c = Connection(self.path)
        begin = time.monotonic()
        try:
            data = json.dumps(body) if body is not None else None
            c.request(method, path, data, {"Content-Type": "application/json"} if data else {})
            r = c.getresponse()
            out = r.read()
        except (OSError, http.client.HTTPException) as e:
            self.note(f"{what}: {method} {path}: {e!r}")
            return 0, b""
        finally:
            c.close()
        took = time.monotonic() - begin
        with self.lock:
            self.counts[f"{what} {r.status}"] += 1
            if what == "list":
                self.slow.append(took)
        if r.status not in FAIR[what]:
            self.note(f"{what}: {method} {path}: {r.status} {out[:300]!r}")
        return r.status, out

    def note(self, text):
        with self.lock:
            self.wrong.append(text)

    def take(self):
        with self.lock:
            self.left -= 1
            return self.left >= 0

    def somebody(self):
        with self.lock:
            return random.choice(self.shared) if self.shared else None

    def meddle(self, rnd):
        """Do something to a container that another thread is working on; never start it, since that
        thread may be waiting for its end."""
        other = self.somebody()
        if not other:
            return
        what = rnd.choice(["stop", "kill", "remove", "inspect", "logs", "pause", "unpause", "rename"])
        base = f"/containers/{other}"
        method, path = {"remove": ("DELETE", f"{base}?force=1"), "inspect": ("GET", f"{base}/json"),
                        "logs": ("GET", f"{base}/logs?stdout=1"), "stop": ("POST", f"{base}/stop?t=0"),
                        "rename": ("POST", f"{base}/rename?name=r{rnd.randrange(10**9)}"),
                        }.get(what, ("POST", f"{base}/{what}"))
        self.call(what, method, path)
        if what == "pause":
            self.call("unpause", "POST", f"{base}/unpause")

    def one(self, rnd):
        network = rnd.choice(["none", "none", "bridge"])
        status, out = self.call("create", "POST", "/containers/create", {
            "Image": "busybox:latest", "Cmd": rnd.choice([["true"], ["sleep", "100"], ["sh", "-c", "echo hello; exit 3"]]),
            "HostConfig": {"NetworkMode": network, "AutoRemove": rnd.random() < 0.2}})
        if status != 201:
            return
        cid = json.loads(out)["Id"]
        with self.lock:
            self.shared.append(cid)
        base = f"/containers/{cid}"
        self.call("start", "POST", f"{base}/start")
        status, out = self.call("exec", "POST", f"{base}/exec", {"Cmd": ["true"], "AttachStdout": True})
        if status == 201:
            self.call("exec-start", "POST", f"/exec/{json.loads(out)['Id']}/start", {"Detach": False})
        if rnd.random() < 0.5:
            self.meddle(rnd)
        self.call("stop", "POST", f"{base}/stop?t=0")
        self.call("wait", "POST", f"{base}/wait")
        with self.lock:
            self.shared.remove(cid)
        self.call("remove", "DELETE", f"{base}?force=1&v=1")

    def worker(self, seed):
        rnd = random.Random(seed)
        while self.take():
            self.one(rnd)

    def lister(self):
        while not self.done.wait(0.02):
            status, out = self.call("list", "GET", "/containers/json?all=1")
            if status == 200:
                json.loads(out)

    def follower(self):
        c = Connection(self.path)
        c.connect()
        sock = c.sock
        c.request("GET", "/events")
        r = c.getresponse()
        sock.settimeout(2)
        while not self.done.is_set():
            try:
                line = r.readline()
            except (socket.timeout, OSError):
                break
            if not line:
                break
            json.loads(line)
            self.counts["event"] += 1
        c.close()


def main():
    path, clients, total = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    race = Race(path, total)
    readers = [threading.Thread(target=race.lister), threading.Thread(target=race.follower)]
    workers = [threading.Thread(target=race.worker, args=(i,)) for i in range(clients)]
    begin = time.monotonic()
    for t in readers + workers:
        t.start()
    for t in workers:
        t.join()
    race.done.set()
    for t in readers:
        t.join()
    took = time.monotonic() - begin
    for line in race.wrong[:40]:
        print(line)
    lists = sorted(race.slow) or [0]
    print(f"{total} containers in {took:.1f} s ({total / took:.0f}/s), {len(race.wrong)} wrong answers; "
          f"list: median {lists[len(lists) // 2] * 1000:.1f} ms, worst {lists[-1] * 1000:.0f} ms")
    print(", ".join(f"{k}: {v}" for k, v in sorted(race.counts.items())))
    sys.exit(1 if race.wrong else 0)


main()
