#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kit_hostile.py SOCKET - sessions of clients that do what no client of BuildKit's does. Each begins a build from its folder; the build
must fail for the reason that is named, soon, and the daemon must go on."""
import json, os, socket, struct, sys, tempfile, threading, time
from http.client import HTTPConnection
import h2.config, h2.connection, h2.events, h2.settings

PATH = sys.argv[1]


def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(PATH)
    return s


def varint(n):
    out = b""
    while n >= 0x80:
        out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
    return out + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n) if n else b""


def text(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def stat(path, mode=0o644, size=0, link=""):
    return text(2, text(1, path) + number(2, mode) + number(5, size) + (text(7, link) if link else b""))


def data(number_of, content):
    return number(1, 2) + number(3, number_of) + (text(4, content) if content else b"")


def frame(message, flag=0):
    return struct.pack(">BI", flag, len(message)) + message


DOCKERFILE = b"FROM busybox\nCOPY . /c\n"
DIR, LINK = 1 << 31, 1 << 27


class Session:
    """A client whose folder holds what the entries say; hostile() may take over a transfer of the context."""

    def __init__(self, name, entries=(), hostile=None):
        self.name, self.entries, self.hostile = name, list(entries), hostile
        self.sock = connect()
        self.sock.sendall((f"POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nX-Docker-Expose-Session-Uuid: {name}\r\n"
                           "X-Docker-Expose-Session-Grpc-Method: /moby.filesync.v1.FileSync/DiffCopy\r\n\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.sock.recv(1)
        assert b" 101 " in head and b"Upgrade: h2c" in head, head
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.h2.initiate_connection()
        self.streams = {}
        self.flush()
        threading.Thread(target=self.run, daemon=True).start()

    def flush(self):
        out = self.h2.data_to_send()
        if out:
            self.sock.sendall(out)

    def send(self, stream, payload):
        for i in range(0, len(payload), 16000):
            piece = payload[i:i + 16000]
            while self.h2.local_flow_control_window(stream) < len(piece):
                self.flush()
                self.handle(self.h2.receive_data(self.sock.recv(65536)))
            self.h2.send_data(stream, piece)
        self.flush()

    def finish(self, stream):
        self.h2.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        self.flush()

    def begin(self, stream, headers):
        md = dict(headers)
        if md[b":path"].startswith(b"/grpc.health"):
            self.streams[stream] = {"kind": "health", "in": b""}
            self.h2.send_headers(stream, [(":status", "200"), ("grpc-status", "12")], end_stream=True)
            return
        kind = md[b"dir-name"].decode()
        self.streams[stream] = {"kind": kind, "in": b""}
        if kind == "context" and self.hostile and b"followpaths" not in md:
            return self.hostile(self, stream)
        self.h2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        files = [stat("Dockerfile", size=len(DOCKERFILE))] if kind == "dockerfile" else [] if b"followpaths" in md else self.entries
        self.send(stream, b"".join(frame(f) for f in files) + frame(b""))

    def handle(self, events):
        for e in events:
            if isinstance(e, h2.events.RequestReceived):
                self.begin(e.stream_id, e.headers)
            elif isinstance(e, h2.events.DataReceived):
                self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
                s = self.streams[e.stream_id]
                s["in"] += e.data
                while len(s["in"]) >= 5 and len(s["in"]) >= 5 + struct.unpack(">I", s["in"][1:5])[0]:
                    n = struct.unpack(">I", s["in"][1:5])[0]
                    message, s["in"] = s["in"][5:5 + n], s["in"][5 + n:]
                    if s["kind"] == "mute":
                        continue
                    if message[:2] == number(1, 1): # REQ
                        content = DOCKERFILE if s["kind"] == "dockerfile" else b"x"
                        which = message[3] if len(message) > 3 else 0
                        self.send(e.stream_id, frame(data(which, content)) + frame(data(which, b"")))
                    elif message[:2] == number(1, 3): # FIN
                        self.send(e.stream_id, frame(number(1, 3)))
                        self.finish(e.stream_id)

    def run(self):
        try:
            while True:
                got = self.sock.recv(65536)
                if not got:
                    return
                self.handle(self.h2.receive_data(got))
                self.flush()
        except (OSError, h2.exceptions.ProtocolError):
            pass

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


def build(session):
    c = HTTPConnection("d")
    c.sock = connect()
    start = time.time()
    c.request("POST", f"/build?version=2&remote=client-session&session={session}&t=hostile:{session}")
    r = c.getresponse()
    body = r.read().decode()
    c.close()
    lines = [json.loads(x) for x in body.splitlines() if x.strip()] if r.status == 200 else [json.loads(body)]
    error = [x.get("error") or x.get("message") for x in lines if "error" in x or "message" in x]
    return (error or [None])[0], time.time() - start


def expect(name, want, entries=(), hostile=None, before=None):
    s = Session(name, entries, hostile)
    if before:
        threading.Timer(0.5, before, (s,)).start()
    error, took = build(name)
    s.close()
    print(f"{name}: {error} ({took:.1f} s)")
    assert (error is None) if want is None else (error and want in error), (name, want, error)
    assert took < 25, (name, took)


def answered(s, stream):
    s.h2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])


def says(*messages):
    def fn(s, stream):
        answered(s, stream)
        s.send(stream, b"".join(frame(m) for m in messages))
    return fn


def too_long(s, stream):
    answered(s, stream)
    s.send(stream, struct.pack(">BI", 0, 0xFFFFFFF0) + b"x" * 1000)


def compressed(s, stream):
    answered(s, stream)
    s.send(stream, frame(stat("a"), 1))


def headers(s, stream):
    s.h2.send_headers(stream, [(":status", "200")] + [(f"x-{k}", "v" * 30) for k in range(600)])
    s.flush()


def junk(s, stream):
    s.sock.sendall(b"\xff" * 4000)


def refused(s, stream):
    s.h2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "7"), ("grpc-message", "not %22for%22 you")],
                      end_stream=True)
    s.flush()


def endless(s, stream):
    s.streams[stream]["kind"] = "mute"
    answered(s, stream)
    s.send(stream, frame(stat("f", size=10)) + frame(b""))


expect("honest", None, [stat("d", DIR | 0o755), stat("d/f", size=1)])
for i, path in enumerate(["../../../../tmp/escape", "/tmp/escape", "d/../../escape", "d//f", "./f", "", "..", "a\0b"]):
    expect(f"path{i}", "invalid entry", [stat(path, size=1)])
expect("hardlink", "invalid entry", [stat("f", size=1, link="../../etc/passwd")])
victim = tempfile.mkdtemp()
s = Session("through-link", [stat("l", LINK | 0o777, link=victim), stat("l/f", size=1)])
print("through-link:", build("through-link")[0])
s.close()
assert not os.listdir(victim), "a file was written through a link"
os.rmdir(victim)
expect("negative", "invalid entry", [text(2, text(1, "f") + number(2, 0o644) + number(5, 1 << 63))])
expect("unasked", "invalid file request", hostile=says(stat("f", size=1), data(7, b"x")))
expect("malformed", "malformed packet", hostile=says(b"\xff\xff\xff"))
expect("half", "amid", hostile=says(number(1, 3)))
expect("peer-error", "no such thing", hostile=says(number(1, 4) + text(4, "no such thing")))
expect("too-long", "too long", hostile=too_long)
expect("compressed", "compresses", hostile=compressed)
expect("headers", "session", hostile=headers)
expect("junk", "session", hostile=junk)
expect("refused", 'not "for" you', hostile=refused)
expect("silent", "session", hostile=lambda s, stream: None, before=lambda s: s.close())
expect("gone", "session", hostile=endless, before=lambda s: s.close())

# Not HTTP/2 at all, twice the same name, none, too many methods.
raw = connect()
raw.sendall(b"POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nX-Docker-Expose-Session-Uuid: raw\r\n\r\n")
raw.recv(4096)
raw.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
while raw.recv(4096):
    pass
one = Session("twice")
for extra, status in ((b"X-Docker-Expose-Session-Uuid: twice\r\n", b" 409 "), (b"", b" 400 "), (b"X-Docker-Expose-Session-Uuid: " + b"u" * 300 + b"\r\n", b" 400 ")):
    two = connect()
    two.sendall(b"POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n" + extra + b"\r\n")
    head = two.recv(4096)
    assert status in head, (extra, head)
    two.close()
one.close()


# The other way round: we call, over /grpc.
def grpc_connect():
    sock = connect()
    sock.sendall(b"POST /grpc HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(1)
    assert b" 101 " in head, head
    return sock


def call(method, payload, metadata=()):
    """The status and text that end a call."""
    sock = grpc_connect()
    c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    c.initiate_connection()
    c.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":path", method), (":authority", "d"), ("content-type", "application/grpc"), *metadata])
    for i in range(0, len(payload), 10000):
        c.send_data(1, payload[i:i + 10000])
    c.end_stream(1)
    sock.sendall(c.data_to_send())
    headers = {}
    while True:
        got = sock.recv(65536)
        if not got:
            return None, "closed"
        for e in c.receive_data(got):
            if isinstance(e, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                headers.update(e.headers)
            elif isinstance(e, h2.events.StreamReset):
                return None, "reset"
        sock.sendall(c.data_to_send())
        if b"grpc-status" in headers:
            sock.close()
            return headers[b"grpc-status"].decode(), headers.get(b"grpc-message", b"").decode()


CONTROL, BRIDGE = "/moby.buildkit.v1.Control/", "/moby.buildkit.v1.frontend.LLBBridge/"
build_id = [("buildkit-controlapi-buildid", "nobody")]
for method, payload, metadata, want in (
    ("/x.Y/Z", frame(b""), [], "12 unknown method"),
    (CONTROL + "Info", frame(b""), [], "12 unknown method"),
    (CONTROL + "ListWorkers", frame(b""), [], "0 "),
    (CONTROL + "ListenBuildHistory", frame(b"\x20\x01"), [], "0 "),
    (CONTROL + "ListWorkers", b"", [], "2 "),
    (CONTROL + "ListWorkers", struct.pack(">BI", 0, 1 << 31), [], "2 a message of"),
    (CONTROL + "ListWorkers", frame(b"", 1), [], "2 the peer compresses"),
    (CONTROL + "Solve", frame(b"\xff" * 9), [], "2 malformed"),
    (CONTROL + "Solve", frame(b""), [], "2 malformed"),
    (CONTROL + "Solve", frame(text(1, "r") + text(6, "dockerfile.v0")), [], "12 a frontend"),
    (CONTROL + "Prune", frame(text(1, "nonsense")), [], "2 malformed"),
    (BRIDGE + "Solve", frame(b""), [], "2 the call names no build"),
    (BRIDGE + "Ping", frame(b""), build_id, "5 no such job nobody"),
):
    status, why = call(method, payload, metadata)
    print(method, status, why)
    assert f"{status} {why}".startswith(want), (method, want)
raw = grpc_connect()
raw.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
while raw.recv(4096):
    pass
