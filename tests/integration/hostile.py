#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# hostile.py SOCKET CASE - what no client of good will sends, to every endpoint of the API's contract.
#
# hostile_table.json lists the endpoints with their parameters and the types of the fields of their
# bodies (HostConfig.Binds.# is an element of an array). Every answer must be Docker's kind: no 5xx
# without a cause that lies outside, a {"message"} with every refusal, and in time.
import json
import os
import socket
import sys
import time

SOCKET = sys.argv[1]
TABLE = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "hostile_table.json")))
PATIENCE = float(os.environ.get("HOSTILE_PATIENCE", 60))
# These ask other machines, which cannot be reached here.
OUTSIDE = ("/images/create", "/images/search", "/auth", "/distribution/", "/plugins/", "/push")
# Docker's own answers with a 5xx: the kernel refuses a limit, an archive cannot be unpacked, a swarm is needed.
CAUSED = (b"Cannot update container", b"write into the container: ", b"is not paused", b"not a swarm manager", b"swarm is unavailable")
faults = []


def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(PATIENCE)
    s.connect(SOCKET)
    return s


def read_answer(s, limit=1 << 20):
    """Status, headers and what of the body came: a stream is not read to its end."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = s.recv(65536)
        if not piece:
            return 0, b"", data
        data += piece
    head, body = data.split(b"\r\n\r\n", 1)
    status = int(head.split(None, 2)[1])
    if status == 101 or (status < 300 and (b"chunked" in head.lower() or b"-stream" in head.lower())):
        return status, head, body
    while len(body) < limit:
        piece = s.recv(65536)
        if not piece:
            break
        body += piece
    return status, head, body


def ask(method, path, body=None, headers=(), what=""):
    """One request on a connection of its own; its answer is judged. Returns the status and the body."""
    if isinstance(body, (dict, list, str, int)):
        body = json.dumps(body).encode()
    lines = [b"%s %s HTTP/1.1" % (method.encode(), path if isinstance(path, bytes) else path.encode()),
             b"Host: d", b"Connection: close", *headers]
    if body is not None:
        lines += [b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
    elif method != "GET":
        lines.append(b"Content-Length: 0")
    tag = f"{method} {path!r:.100} {what or body!r:.120}"
    try:
        with connect() as s:
            try:
                s.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + (body or b""))
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before it was read; the answer may be there
            status, head, got = read_answer(s)
    except (OSError, ValueError) as e:
        faults.append(f"{tag}: {e!r}")
        return 0, b""
    judge(tag, method, path, status, head, got)
    return status, got


def judge(tag, method, path, status, head, got):
    if status == 0:
        faults.append(f"{tag}: no answer")
    elif status >= 500 and status != 501 and not any(o in str(path) for o in OUTSIDE) and not any(c in got for c in CAUSED):
        faults.append(f"{tag}: {status} {got[:200]!r}")
    elif status >= 400 and method != "HEAD" and b"json" in head.lower():
        try:
            body = b"".join(got.split(b"\r\n")[1::2]) if b"chunked" in head.lower() else got
            assert isinstance(json.loads(body)["message"], str)
        except (ValueError, KeyError, TypeError, AssertionError):
            faults.append(f"{tag}: {status} without a message: {got[:200]!r}")


# --- what the endpoints are asked about --------------------------------------------------------

BASE = {
    "/containers/create": {"Image": "busybox", "Cmd": ["true"]},
    "/networks/create": {"Name": "hostile-net", "Internal": True},
    "/volumes/create": {"Name": "hostile-vol"},
    "/containers/{id}/exec": {"Cmd": ["true"]},
    "/exec/{id}/start": {"Detach": True},
    "/networks/{id}/connect": {"Container": "nosuch"},
    "/networks/{id}/disconnect": {"Container": "nosuch"},
}


def objects():
    """What the ids in the paths name. They are made again whenever a request has removed them."""
    ask("POST", "/containers/create?name=victim", {"Image": "busybox", "Cmd": ["sh", "-c", "trap exit TERM; sleep 1000 & wait"]})
    ask("POST", "/containers/victim/start")
    ask("POST", "/networks/create", {"Name": "victim-net", "Internal": True})
    ask("POST", "/volumes/create", {"Name": "victim-vol"})
    ask("POST", "/images/busybox/tag?repo=victim&tag=latest")
    status, got = ask("POST", "/containers/victim/exec", {"Cmd": ["true"]})
    return json.loads(got)["Id"] if status == 201 else "nosuch"


def fill(path, ex):
    names = {"exec": ex, "networks": "victim-net", "volumes": "victim-vol", "images": "victim:latest",
             "distribution": "victim:latest", "plugins": "nosuch"}
    name = names.get(path.split("/")[1], "victim")
    return path.replace("{id}", name).replace("{name}", name)


def undo(path, status, got):
    if status != 201:
        return
    try:
        made = json.loads(got)
    except ValueError:
        return
    if path == "/containers/create":
        ask("DELETE", f"/containers/{made['Id']}?force=1&v=1")
    elif path == "/networks/create":
        ask("DELETE", f"/networks/{made['Id']}")
    elif path == "/volumes/create":
        ask("DELETE", "/volumes/" + made["Name"])


def links_gone():
    """Bridges of removed networks go in the background, and their addresses are free when they have."""
    end = time.monotonic() + PATIENCE
    while sum(name.startswith("br-") for name in os.listdir("/sys/class/net")) > 3 and time.monotonic() < end:
        time.sleep(0.02)


def put_field(body, field, value):
    """The body with the field set, whatever its parents were."""
    body = json.loads(json.dumps(body))
    at, keys = body, field.split(".")
    for i, key in enumerate(keys):
        last = i == len(keys) - 1
        new = value if last else [] if keys[i + 1] == "#" else {}
        if key == "#":
            at.append(new)
            at = new
        elif last:
            at[key] = new
        else:
            if not isinstance(at.get(key), type(new)):
                at[key] = new
            at = at[key]
    return body


# --- cases -------------------------------------------------------------------------------------

WRONG = [None, True, -1, 2**31, 2**63, -(2**63) - 1, 10**40, 1.5, "", "x", "../../etc", "\x00\x1b",
         [], {}, [[]], [None], [{}], [1], {"x": None}, {"x": 1}, {"x": [1]}, {"": ""}]


def case_types():
    """Every field of every body with values of every type."""
    for row in TABLE:
        if not row.get("body"):
            continue
        ex = objects()
        path = fill(row["path"], ex)
        for field in row["body"]:
            for value in WRONG:
                body = put_field(BASE.get(row["path"], {}), field, value)
                undo(row["path"], *ask(row["method"], path, body))
            if row["path"] == "/networks/create":
                links_gone()


def bodies():
    yield "none", b""
    yield "cut", b'{"Image":"busybox",'
    yield "text", b"not json"
    yield "null", b"null"
    yield "number", b"17"
    yield "array", b"[1,2]"
    yield "two", b"{}{}"
    yield "bad UTF-8", b'{"Image":"\xff\xfe\xc0\x80","Name":"\xed\xa0\x80"}'
    yield "zero", b'{"Image":"a\\u0000b","Name":"a\\u0000b"}'
    yield "deep", b'{"Labels":' + b"[" * 100000 + b"]" * 100000 + b"}"
    yield "deep objects", b'{"a":' * 50000 + b"1" + b"}" * 50000
    yield "keys", b"{" + b",".join(b'"k%d":%d' % (i, i) for i in range(50000)) + b"}"
    yield "10 MB", b'{"Labels":{"x":"' + b"y" * 10_000_000 + b'"}}'
    yield "huge number", b'{"StopTimeout":' + b"9" * 100000 + b"}"


def case_bodies():
    """Every endpoint with bodies that are none."""
    for row in TABLE:
        if row["method"] in ("GET", "HEAD"):
            continue
        path = fill(row["path"], objects())
        for what, body in bodies():
            undo(row["path"], *ask(row["method"], path, body, what=what))


QUERY = ["", "x", "-1", "99999999999999999999999999", "1e400", "%00", "%", "%zz", "%ff%fe", "../../../etc/passwd",
         "%7B", "%7B%22x%22%3A%5B%22y%22%5D%7D", "%5B%5B%5B", "a" * 200]


def case_queries():
    """Every parameter of every endpoint, and header, with what it cannot mean."""
    for row in TABLE:
        path = fill(row["path"], objects())
        for name in row.get("query", {}):
            for value in QUERY:
                if (row["path"], name) == ("/containers/{id}/wait", "condition") and value == "":
                    continue
                body = b"" if row["method"] != "GET" else None
                undo(row["path"], *ask(row["method"], f"{path}?{name}={value}", body))
        for name in row.get("headers", []):
            for value in (b"x", b"!!!!", b"e30", b"W10=", b"bnVsbA==", b"\xff\xfe", b"e" * 6000):
                ask(row["method"], path, b"" if row["method"] != "GET" else None, [name.encode() + b": " + value])


NAMES = ["..", "%2e%2e", "..%2f..%2f..%2fetc%2fpasswd", "%00", "%ff", "a%0d%0ab", "%25s%25n", "x" * 6000, "-rf", "."]


def case_names():
    """Every id in a path with names that would lead elsewhere."""
    for row in TABLE:
        if "{" not in row["path"]:
            continue
        head, tail = row["path"].split("{", 1)
        for name in NAMES:
            ask(row["method"], head + name + tail.split("}", 1)[1], None if row["method"] == "GET" else b"{}")
    for what in ("containers", "images", "volumes", "networks"):
        ask("GET", f"/{what}/../../../../etc/passwd/json")


def raw(data, must=None, close=True):
    """Bytes as they are. The connection ends in time, with the status if one is named."""
    with connect() as s:
        try:
            s.sendall(data)
            if close:
                s.shutdown(socket.SHUT_WR)
            status, _, got = read_answer(s)
        except (BrokenPipeError, ConnectionResetError):
            return
        except (OSError, ValueError) as e:
            faults.append(f"{data[:80]!r}: {e!r}")
            return
    if status not in must if must else status >= 500 and status not in (501, 505):
        faults.append(f"{data[:80]!r}: {status} {got[:100]!r}")


def case_wire():
    """HTTP that is broken."""
    head = b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
    for chunk in (b"zz\r\n{}\r\n0\r\n\r\n", b"-1\r\n{}\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n{}", b"2;" + b"x" * 70000, b"5\r\n{}\r\n",
                  b"2\r\n{}xx0\r\n\r\n", b"2\r\n{", b""):
        raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk, (0, 400, 413, 431, 500))  # the HTTP library's own 500
    for length in (b"-1", b"x", b"99999999999999999999", b"1, 2", b"0x10"):
        raw(head + b"Content-Length: " + length + b"\r\n\r\n{}", (0, 400, 413))
    raw(head + b"Content-Length: 1000\r\n\r\n{", (0, 400))
    # What another server may take for another request.
    for unsure in (b"Content-Length: 2\r\nContent-Length: 3", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
                   b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked, identity", b"Host: e"):
        raw(head + unsure + b"\r\n\r\n0\r\n\r\n", (400,))
    raw(head + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}")
    raw(b"GET /_ping HTTP/1.1\r\nHost: d\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(20000)) + b"\r\n", (0, 400, 413, 431))
    raw(b"GET /_ping HTTP/1.1\r\nHost: d\r\nX: " + b"y" * 2_000_000 + b"\r\n\r\n", (0, 400, 413, 431))
    raw(b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: d\r\n\r\n", (0, 400, 404, 413, 414, 431))
    for line in (b"\r\n\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET", b"GET /_ping", b"GET /_ping HTTP/9.9\r\n\r\n", b"\x00" * 1000,
                 b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"FOO /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n",
                 b"GET http://other/_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"):
        raw(line)
    for row in TABLE:  # gone in the middle of the request, and right after it
        path = fill(row["path"], "nosuch").encode()
        with connect() as s:
            s.sendall(row["method"].encode() + b" " + path + b" HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\n{")
        with connect() as s:
            s.sendall(row["method"].encode() + b" " + path + b" HTTP/1.1\r\nHost: d\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n")


def peak_kb():
    pid = open(os.path.join(os.path.dirname(SOCKET), "drayd.pid")).read().strip()
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))


def pour(row, path, chunked, fill_with, length):
    """A body of so many bytes, sent until the daemon has answered or hung up."""
    head = f"{row['method']} {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/json\r\n".encode()
    head += b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n" % length
    piece = fill_with * (1 << 20)
    if chunked:
        piece = b"%x\r\n" % len(piece) + piece + b"\r\n"
    with connect() as s:
        s.sendall(head)
        try:
            for _ in range(length >> 20):
                s.sendall(piece)
                s.setblocking(False)
                try:
                    if s.recv(1, socket.MSG_PEEK) is not None:
                        break
                except BlockingIOError:
                    pass
                s.settimeout(PATIENCE)
            else:
                if chunked:
                    s.sendall(b"0\r\n\r\n")
            s.settimeout(PATIENCE)
            s.shutdown(socket.SHUT_WR)  # whoever has answered early reads the rest away, for a while
            status, _, got = read_answer(s)
        except (BrokenPipeError, ConnectionResetError):
            return
        except (OSError, ValueError) as e:
            faults.append(f"{row['method']} {path}, {length >> 20} MB, chunked {chunked}: {e!r}")
            return
    if status >= 500 and not any(o in path for o in OUTSIDE):
        faults.append(f"{row['method']} {path}, {length >> 20} MB, chunked {chunked}: {status} {got[:200]!r}")


def case_big():
    """Bodies of 40 MB, or a gigabyte with HOSTILE_MB=1024, to every endpoint: the daemon stays small."""
    length = int(os.environ.get("HOSTILE_MB", 40)) << 20
    before = peak_kb()
    for row in TABLE:
        if row["method"] in ("GET", "HEAD", "DELETE"):
            continue
        path = fill(row["path"], objects())
        for chunked, piece in ((False, b"["), (True, b" ")):
            pour(row, path, chunked, piece, length)
        if peak_kb() - before > 150_000:
            faults.append(f"after {row['path']}: {peak_kb() - before} kB more than before")
            before = peak_kb()


def case_hijacked():
    """Garbage on connections that were handed over, and on WebSockets that are none."""
    noise = bytes(range(256)) * 4000
    ask("POST", "/containers/create?name=hijacked", {"Image": "busybox", "Cmd": ["sleep", "1000"], "OpenStdin": True, "Tty": False})
    ask("POST", "/containers/hijacked/start")
    upgrade = b"Upgrade: %s\r\nConnection: Upgrade\r\n"
    ws = upgrade % b"websocket" + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    frames = [noise, b"\xff" * 1000, b"\x81\xff" + b"\xff" * 8 + b"abcd", b"\x82\xfe\xff\xff", b"\x01\x80abcd" * 1000, b"\x89\xfe\x10\x00abcd" + b"x" * 4096, b"\x88\x80abcd", b"\x80\x00"]
    for i in range(40):
        for head, path in ((ws, b"GET /containers/hijacked/attach/ws?stream=1&stdin=1&stdout=1"),
                           (upgrade % b"tcp", b"POST /containers/hijacked/attach?stream=1&stdin=1&stdout=1"),
                           (upgrade % b"h2c", b"POST /session"), (upgrade % b"h2c", b"POST /grpc")):
            with connect() as s:
                try:
                    s.sendall(path + b" HTTP/1.1\r\nHost: d\r\n" + head + b"\r\n")
                    if i % 2:
                        s.recv(1000)
                    s.settimeout(0.5)  # the container reads nothing, so neither does the daemon at last
                    s.sendall(frames[i % len(frames)])
                    s.shutdown(socket.SHUT_WR)
                    s.settimeout(0.02)
                    s.recv(1000)
                except OSError:
                    pass
    status, got = ask("GET", "/containers/hijacked/json")
    if status != 200 or not json.loads(got)["State"]["Running"]:
        faults.append(f"the container did not outlive its attach connections: {status} {got[:200]!r}")
    ask("DELETE", "/containers/hijacked?force=1")


def case_bombs():
    """Archives that are more than they seem, put into a container with a small disk: refused in time."""
    import bz2, gzip, lzma, tarfile, io
    ask("POST", "/containers/create?name=bombed", {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"Tmpfs": {"/small": "size=1m"}}})
    ask("POST", "/containers/bombed/start")

    def tar(*members):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as t:
            for name, kind, size, link in members:
                m = tarfile.TarInfo(name)
                m.type, m.size, m.linkname = kind, size, link
                t.addfile(m, io.BytesIO(bytes(size)))
        return out.getvalue()

    huge = tarfile.TarInfo("huge")
    huge.size = 1 << 60
    bombs = {
        "a size that is not there": huge.tobuf() + bytes(10000),
        "zeros, gzipped": gzip.compress(tar(("z", tarfile.REGTYPE, 200 << 20, ""))),
        "zeros, xz": lzma.compress(tar(("z", tarfile.REGTYPE, 50 << 20, ""))),
        "zeros, bzip2": bz2.compress(tar(("z", tarfile.REGTYPE, 50 << 20, ""))),
        "gzip in gzip": gzip.compress(gzip.compress(gzip.compress(bytes(20 << 20)))),
        "ways out": tar(("../../../../tmp/hostile-out", tarfile.REGTYPE, 1, ""), ("l", tarfile.SYMTYPE, 0, "/"), ("l/tmp/hostile-out", tarfile.REGTYPE, 1, ""),
                        ("h", tarfile.LNKTYPE, 0, "/etc/shadow"), ("/tmp/hostile-out", tarfile.REGTYPE, 1, "")),
        "100,000 files": tar(*((f"d{i % 100}/f{i}", tarfile.REGTYPE, 0, "") for i in range(100_000))),
        "deep": tar(*(("/".join(["d"] * (i % 1000 + 1)), tarfile.DIRTYPE, 0, "") for i in range(1000))),
        "noise": bytes(range(256)) * 1000,
    }
    before = peak_kb()
    for what, data in bombs.items():
        begin = time.monotonic()
        for to in ("/small", "/"):
            if to == "/" and what.startswith("zeros"):
                continue
            ask("PUT", f"/containers/bombed/archive?path={to}", data, what=what)
        if time.monotonic() - begin > PATIENCE:
            faults.append(f"{what}: took {time.monotonic() - begin:.0f} s")
    if os.path.exists("/tmp/hostile-out"):
        faults.append("an archive has written outside of its container")
    if peak_kb() - before > 150_000:
        faults.append(f"archives took {peak_kb() - before} kB")
    ask("DELETE", "/containers/bombed?force=1")


def case_slow():
    """1,000 connections that say nothing or nearly nothing do not keep others from being answered."""
    idle = [connect() for _ in range(1000)]
    for i, s in enumerate(idle):
        s.sendall((b"", b"G", b"GET /_ping HTTP/1.1\r\nX-Slow: ", b"POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 1000000\r\n\r\nx")[i % 4])
    for _ in range(20):
        begin = time.monotonic()
        status, _ = ask("GET", "/version")
        if status != 200 or time.monotonic() - begin > 20:
            faults.append(f"beside 1,000 idle connections: {status} in {time.monotonic() - begin:.1f} s")
    for s in idle:
        s.close()


def main():
    globals()["case_" + sys.argv[2]]()
    status, _ = ask("GET", "/containers/json?all=1")
    if status != 200:
        faults.append(f"the daemon is not well: {status}")
    for text in faults[:40]:
        print(text)
    print(f"{len(faults)} faults")
    sys.exit(bool(faults))


main()
