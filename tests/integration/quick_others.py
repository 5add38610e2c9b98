#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""quick_others.py SOCKET BASELINE - are list, inspect, start and stop of a container quick while others hang?

Prints the median of each in milliseconds. The first call writes them to the file BASELINE; a later
one exits with 1 when, three rounds long, one is over 20 ms and over three times its baseline.
"""
import http.client
import json
import os
import socket
import statistics
import sys
import time


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def call(path, method, url, body=None):
    c = Connection(path)
    c.request(method, url, json.dumps(body) if body else None, {"Content-Type": "application/json"} if body else {})
    r = c.getresponse()
    data = r.read()
    c.close()
    if r.status >= 400:
        sys.exit(f"{method} {url}: {r.status} {data[:300]}")
    return json.loads(data) if data else None


def timed(times, what, *request):
    begin = time.perf_counter()
    call(*request)
    times.setdefault(what, []).append((time.perf_counter() - begin) * 1000)


def one_round(path, cid):
    times = {}
    for _ in range(15):
        timed(times, "list", path, "GET", "/containers/json?all=1")
        timed(times, "inspect", path, "GET", f"/containers/{cid}/json")
        timed(times, "start", path, "POST", f"/containers/{cid}/start")
        timed(times, "stop", path, "POST", f"/containers/{cid}/stop?t=0")
    return {what: statistics.median(t) for what, t in times.items()}


def main():
    path, baseline = sys.argv[1:3]
    base = json.load(open(baseline)) if os.path.exists(baseline) else None
    cid = call(path, "POST", "/containers/create", {
        "Image": "busybox:latest", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none"}})["Id"]
    slow = True
    for _ in range(3 if base else 1):
        medians = one_round(path, cid)
        print(", ".join(f"{what} {ms:.1f} ms" for what, ms in medians.items()))
        slow = base and any(ms > max(20, 3 * base[what]) for what, ms in medians.items())
        if not slow:
            break
    call(path, "DELETE", f"/containers/{cid}?force=1")
    if not base:
        json.dump(medians, open(baseline, "w"))
    sys.exit(1 if slow else 0)


main()
