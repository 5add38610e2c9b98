#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""leaks.py - what the daemon and the machine hold, and work after which they must hold no more.

leaks.py ROOT look FILE        writes what is held now
leaks.py ROOT do CASE N        does a case N times, the daemon at ROOT/dray.sock
leaks.py ROOT back FILE N      waits until no more is held than FILE says, after work that was done N times;
                               says what is, and exits with 1, if that does not come

ROOT holds drayd.pid, data (the data root) and exec (the exec root).
"""
import collections
import concurrent.futures
import http.client
import io
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tarfile
import time

ROOT = sys.argv[1]
SOCKET = ROOT + "/dray.sock"
PATIENCE = 30 * float(os.environ.get("DRAY_TEST_SLOW", 4))
# Pages that the allocator keeps, and what a call may leave for good without being a leak that matters: 10,000
# calls make 2 MB of it.
PSS_SLACK_KB, PSS_EACH_KB = 3000, 0.2
SPARE_LAYERS = 16  # that the storage driver keeps ready, at most
SANITIZED = bool(os.environ.get("DRAY_STAGE", "").count("build-"))


# --- what is held ------------------------------------------------------------------------------

def lines(path):
    try:
        with open(path, errors="replace") as f:
            return f.readlines()
    except OSError:
        return []


def nameless(name):
    """A name without what differs between two objects of a kind: ids, numbers."""
    return re.sub(r"[0-9a-f]{8,64}|\d+", "#", name.replace(ROOT, ""))


def files(folder):
    for at, dirs, names in os.walk(folder):
        for name in dirs + names:
            yield nameless(os.path.join(at, name))


def descriptors(pid):
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            yield nameless(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass


def processes():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        words = "".join(lines(f"/proc/{pid}/cmdline")).split("\0")
        if ROOT in " ".join(words) and str(os.getpid()) != pid and "leaks" not in " ".join(words):
            yield os.path.basename(words[0])


def groups():
    for at, _, _ in os.walk("/sys/fs/cgroup"):
        if "/dray/" in at:
            yield nameless(at)


def nft():
    """Rules, and elements of sets and maps."""
    out = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=False).stdout
    return len(re.findall(r"[\n,]", out))


def held():
    pid = int(open(ROOT + "/drayd.pid").read())
    count = lambda names: dict(collections.Counter(names))
    pss = [int(w.split()[1]) for w in lines(f"/proc/{pid}/smaps_rollup") if w.startswith("Pss:")]
    mounts = {m.split()[4] for p in ("self", pid) for m in lines(f"/proc/{p}/mountinfo") if ROOT in m}
    return {
        "descriptors": count(descriptors(pid)),
        "threads": {"threads": len(os.listdir(f"/proc/{pid}/task"))},
        "pss": {"kB": pss[0]},
        "mounts": count(nameless(m) for m in mounts),
        "groups": count(groups()),
        "links": count(re.sub(r"(br-|veth).*", r"\1", n) for n in os.listdir("/sys/class/net")),
        "nft": {"rules and elements": nft()},
        "state": count(files(ROOT + "/data")),
        "run": count(files(ROOT + "/exec")),
        "processes": count(processes()),
    }


def excess(before, now, n):
    """What is held now and was not before, as text."""
    for kind, counts in now.items():
        for name, count in counts.items():
            allowed = before[kind].get(name, 0)
            if kind == "threads":
                allowed += 2  # of pools, which go when they had nothing to do for a while
            if "/spare/" in name:
                allowed = max(allowed, SPARE_LAYERS)
            if kind == "pss":
                allowed += PSS_SLACK_KB + PSS_EACH_KB * n
            if count > allowed and not (kind == "pss" and SANITIZED):
                yield f"{kind}: {name}: {before[kind].get(name, 0)} before, {count} now"


def back(path, n):
    before = json.load(open(path))
    end = time.monotonic() + PATIENCE
    while True:
        now = held()
        left = list(excess(before, now, n))
        if not left or time.monotonic() > end:
            break
        time.sleep(0.2)
    print(f"pss {before['pss']['kB']} kB before, {now['pss']['kB']} kB now; "
          f"{sum(now['descriptors'].values())} descriptors, {now['threads']['threads']} threads")
    print("\n".join(left[:40]))
    return not left


# --- work --------------------------------------------------------------------------------------

class Connection(http.client.HTTPConnection):
    def __init__(self):
        super().__init__("localhost", timeout=PATIENCE)

    def connect(self):
        self.sock = unix()


def unix():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(PATIENCE)
    s.connect(SOCKET)
    return s


def call(method, path, body=None, want=(200, 201, 204), kind="application/json", headers=()):
    c = Connection()
    data = body if isinstance(body, bytes) else json.dumps(body) if body is not None else None
    c.request(method, path, data, dict(headers, **({"Content-Type": kind} if data is not None else {})))
    r = c.getresponse()
    got = r.read()
    c.close()
    if r.status not in want:
        raise SystemExit(f"{method} {path}: {r.status} {got[:300]!r}")
    return json.loads(got) if got[:1] in (b"{", b"[") and b"}\r\n{" not in got and b"}\n{" not in got else got


def begun(method, path, body=None, upgrade=False):
    """A request on a socket of its own, its answer unread."""
    s = unix()
    data = json.dumps(body).encode() if body is not None else b""
    s.sendall(b"%s %s HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s" % (
        method.encode(), path.encode(), len(data), b"Upgrade: tcp\r\nConnection: Upgrade\r\n" if upgrade else b"", data))
    return s


def dropped(s, i):
    """The client is gone: closed, reset, or half closed first."""
    if i % 3 == 0:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif i % 3 == 1:
        s.shutdown(socket.SHUT_WR)
    s.close()


def create(cmd, host=None, **more):
    return call("POST", "/containers/create", dict({"Image": "busybox:latest", "Cmd": cmd,
                "HostConfig": dict({"NetworkMode": "none"}, **(host or {}))}, **more))["Id"]


def container(i):
    """Each of these ends in another way."""
    host = [{"NetworkMode": "none"}, {"NetworkMode": "bridge"},
            {"NetworkMode": "bridge", "PortBindings": {"80/tcp": [{"HostPort": ""}]}},
            {"NetworkMode": "none", "Binds": ["/anonymous"], "Tmpfs": {"/t": ""}}][i % 4]
    cmd = [["true"], ["false"], ["nosuchprogram"], ["sleep", "1000"], ["sh", "-c", "echo text; exit 3"]][i % 5]
    more = {"Volumes": {"/v": {}}, "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**9}} if i % 3 == 0 else {}
    cid = create(cmd, dict(host, Binds=[]), ExposedPorts={"80/tcp": {}}, Tty=i % 7 == 0, **more)
    call("POST", f"/containers/{cid}/start", want=(204, 400, 404))
    if cmd[0] == "sleep":
        call("GET", f"/containers/{cid}/stats?stream=0&one-shot=1")
        call("GET", f"/containers/{cid}/top")
        call("POST", f"/containers/{cid}/kill" if i % 2 else f"/containers/{cid}/stop?t=0")
    elif cmd[0] != "nosuchprogram":
        call("POST", f"/containers/{cid}/wait")
    call("GET", f"/containers/{cid}/logs?stdout=1&stderr=1")
    call("GET", f"/containers/{cid}/json")
    call("DELETE", f"/containers/{cid}?v=1&force=1")


def run_rm(i):
    """docker run --rm: attached before the start, waited for until it is removed."""
    cid = create(["sh", "-c", "cat; echo end"], {"AutoRemove": True}, OpenStdin=True, StdinOnce=True, AttachStdin=True)
    s = begun("POST", f"/containers/{cid}/attach?stream=1&stdin=1&stdout=1&stderr=1", upgrade=True)
    s.recv(1000)
    wait = begun("POST", f"/containers/{cid}/wait?condition=removed")
    call("POST", f"/containers/{cid}/start")
    s.sendall(b"text\n")
    s.shutdown(socket.SHUT_WR)
    while s.recv(4096):
        pass
    s.close()
    got = b""
    while b"StatusCode" not in got:
        piece = wait.recv(4096)
        if not piece:
            raise SystemExit(f"wait ended with {got!r}")
        got += piece
    wait.close()


def execs(i):
    cmd = [["true"], ["false"], ["nosuchprogram"], ["echo", "text"], ["cat"], ["sleep", "1000"]][i % 6]
    ex = call("POST", "/containers/subject/exec", {"Cmd": cmd, "AttachStdin": cmd[0] == "cat", "AttachStdout": True, "Tty": i % 4 == 0})["Id"]
    s = begun("POST", f"/exec/{ex}/start", {"Detach": i % 5 == 0, "Tty": i % 4 == 0}, upgrade=i % 2 == 0)
    s.recv(1000)
    if i % 5 == 0 and cmd[0] != "sleep":
        dropped(s, i)
        return
    if cmd[0] == "sleep":
        pid = call("GET", f"/exec/{ex}/json")["Pid"]
        dropped(s, i)
        if pid:
            os.kill(pid, 9)
        return
    if cmd[0] == "cat":
        s.sendall(b"text\n\x04")
        s.shutdown(socket.SHUT_WR)
    try:
        while s.recv(4096):
            if i % 7 == 0:
                break
    except ConnectionResetError:
        pass
    dropped(s, i)


def pulls(i):
    registry = os.environ["REGISTRY"]
    if i % 4 == 3:
        call("POST", f"/images/create?fromImage={registry}/nosuch&tag=1", want=(404, 500))
        return
    call("POST", f"/images/create?fromImage={registry}/pulled&tag=1")
    call("POST", f"/images/{registry}/pulled:1/tag?repo=tagged&tag={i}")
    if i % 5 == 0:
        call("GET", f"/images/{registry}/pulled:1/get")
    call("DELETE", f"/images/{registry}/pulled:1")
    call("DELETE", f"/images/tagged:{i}")


def networks(i):
    name = f"n{i}"
    call("POST", "/networks/create", {"Name": name, "Internal": i % 3 == 0, "Labels": {"a": "b"}})
    if i % 10 == 0:
        cid = create(["true"], {"NetworkMode": name})
        call("POST", f"/containers/{cid}/start")
        call("POST", f"/containers/{cid}/wait")
        call("DELETE", f"/containers/{cid}?force=1")
    call("DELETE", f"/networks/{name}")


def volumes(i):
    call("POST", "/volumes/create", {"Name": f"v{i}", "Labels": {"a": "b"},
         "DriverOpts": {"type": "tmpfs", "device": "tmpfs"} if i % 3 == 0 else {}})
    if i % 10 == 0:
        cid = create(["true"], {"Binds": [f"v{i}:/v"]})
        call("POST", f"/containers/{cid}/start")
        call("POST", f"/containers/{cid}/wait")
        call("DELETE", f"/containers/{cid}?force=1")
    call("GET", f"/volumes/v{i}")
    call("DELETE", f"/volumes/v{i}")


def attaches(i):
    """Broken half-way: before the start, amid output that is not read, with input that has no end."""
    if i % 4 == 0:
        cid = create(["sh", "-c", "echo text"], Tty=i % 8 == 0, OpenStdin=True)
        s = begun("POST", f"/containers/{cid}/attach?stream=1&stdin=1&stdout=1", upgrade=True)
        s.recv(10)
        dropped(s, i)
        call("POST", f"/containers/{cid}/start")
        call("DELETE", f"/containers/{cid}?force=1")
        return
    s = begun("POST", "/containers/subject/attach?stream=1&stdin=1&stdout=1&logs=%d" % (i % 2), upgrade=i % 3 > 0)
    s.recv(100)
    if i % 5 == 0:
        s.sendall(b"x" * 100000)
    dropped(s, i)


def streams(i):
    path = ["/events", "/containers/subject/logs?follow=1&stdout=1", "/containers/subject/stats?stream=1",
            "/containers/subject/logs?follow=1&stdout=1&tail=0", "/events?since=1", "/containers/subject/wait"][i % 6]
    s = begun("POST" if path.endswith("wait") else "GET", path)
    s.recv(100)
    dropped(s, i)


def archives(i):
    """Tars whose reader goes away in the middle."""
    path = ["/images/busybox:latest/get", "/containers/subject/archive?path=/bin", "/containers/subject/export"][i % 3]
    s = begun("GET", path)
    s.recv(100)
    dropped(s, 0)


def builds(i):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in (("Dockerfile", f"FROM busybox\nCOPY file /\nRUN cat /file{' && false' if i % 5 == 4 else ''}\n"), ("file", f"{i} {time.time()}")):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    context = out.getvalue()
    if i % 5 == 3:  # the client goes away in the middle
        s = unix()
        s.sendall(b"POST /build?gone=%d HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nContent-Length: %d\r\n\r\n" % (i, len(context)))
        s.sendall(context[:len(context) if i % 2 else 600])
        time.sleep(0.05)
        dropped(s, i)
        return
    call("POST", f"/build?t=built{i}&forcerm=1", context, kind="application/x-tar")
    if i % 5 != 4:
        call("DELETE", f"/images/built{i}?force=1")


def bodies(i):
    """Requests that end in the middle."""
    s = unix()
    path = [b"/containers/create", b"/images/load", b"/build", b"/containers/subject/archive?path=/tmp", b"/networks/create"][i % 5]
    s.sendall(b"%s %s HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n" % (b"PUT" if b"archive" in path else b"POST", path))
    s.sendall(b"{" + b" " * 5000)
    dropped(s, i)


AT_ONCE = {"networks": 2, "pulls": 1, "builds": 2}


def do(case, n):
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE.get(case, 4)) as pool:
        for _ in pool.map(globals()[case], range(n)):
            pass
    if case == "builds":  # what they leave on purpose
        call("POST", "/build/prune?all=1")
        call("POST", "/images/prune?filters={%22dangling%22:[%22true%22]}")


def main():
    what = sys.argv[2]
    if what == "look":
        with open(sys.argv[3], "w") as f:
            json.dump(held(), f)
    elif what == "do":
        do(sys.argv[3], int(sys.argv[4]))
    else:
        sys.exit(not back(sys.argv[3], int(sys.argv[4])))


main()
