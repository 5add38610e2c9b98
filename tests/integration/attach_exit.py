#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""attach_exit.py SOCKET ROUNDS: attach, start, and inspect as soon as the output has ended: the exit
code must be there. Says how often it was not."""
import http.client
import json
import socket
import sys

SOCKET, ROUNDS = sys.argv[1], int(sys.argv[2])
CODE = 7


def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(SOCKET)
    return s


def call(method, path, body=None):
    c = http.client.HTTPConnection("d")
    c.sock = connect()
    c.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
    text = c.getresponse().read()
    c.close()
    return json.loads(text) if text else {}


def round_(policy):
    name = call("POST", "/containers/create", {"Image": "busybox", "Cmd": ["sh", "-c", f"exit {CODE}"],
                                               "HostConfig": {"NetworkMode": "none", "RestartPolicy": policy}})["Id"]
    s = connect()
    s.sendall(f"POST /containers/{name}/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: d\r\n"
              "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n".encode())
    s.recv(4096)
    call("POST", f"/containers/{name}/start")
    while s.recv(4096):
        pass
    state = call("GET", f"/containers/{name}/json")["State"]
    s.close()
    call("DELETE", f"/containers/{name}?force=1")
    return state["ExitCode"] == CODE and state["Pid"] == 0


plain = {"Name": "no"}
again = {"Name": "on-failure", "MaximumRetryCount": 1}
missing = sum(not round_(again if i % 8 == 7 else plain) for i in range(ROUNDS))
print(f"without the exit code: {missing} of {ROUNDS}")
sys.exit(missing > 0)
