#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""network_freed.py SOCKET ROUNDS - a container that is seen to have ended holds no network any more.

Each round removes the network in the moment that its only container is told to be exited.
"""
import http.client
import json
import socket
import sys

path, rounds = sys.argv[1], int(sys.argv[2])
conn = http.client.HTTPConnection("d")
conn.sock = socket.socket(socket.AF_UNIX)
conn.sock.connect(path)


def call(method, url, body=None, ok=(200, 201, 204)):
    conn.request(method, url, json.dumps(body) if body else None, {"Content-Type": "application/json"})
    answer = conn.getresponse()
    data = answer.read()
    if answer.status not in ok:
        sys.exit(f"{method} {url}: {answer.status} {data.decode()}")
    return json.loads(data) if data else None


for i in range(rounds):
    net = call("POST", "/networks/create", {"Name": f"freed{i}"})["Id"]
    c = call("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": net}})["Id"]
    call("POST", f"/containers/{c}/start")
    while call("GET", f"/containers/{c}/json")["State"]["Running"]:
        pass
    call("DELETE", f"/networks/{net}")
    call("DELETE", f"/containers/{c}")
