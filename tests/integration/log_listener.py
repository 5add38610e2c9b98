#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""log_listener.py - receives what log drivers send and writes it down, one JSON value a line.

Usage: log_listener.py KIND ADDRESS OUTPUT [cert=PEM] [ack] [hang] [drop=N]

KIND: lines, octets (length in front), datagrams, gelf, gelf-tcp, fluentd, journal, splunk.
ADDRESS: HOST:PORT or a path. hang: accepts and never reads. drop=N: closes each connection after N
messages. Prints "ready" once it listens.
"""
import gzip
import http.server
import json
import os
import socket
import ssl
import struct
import sys
import threading
import zlib

import msgpack


class Output:
    def __init__(self, path):
        self.file = open(path, "a", buffering=1, encoding="utf-8", errors="backslashreplace")
        self.lock = threading.Lock()

    def put(self, value):
        with self.lock:
            self.file.write(json.dumps(value, sort_keys=True, default=str) + "\n")


def text(data):
    return data.decode("utf-8", "backslashreplace")


def listen(address, kind):
    if address.startswith("/"):
        if os.path.exists(address):
            os.unlink(address)
        s = socket.socket(socket.AF_UNIX, kind)
        s.bind(address)
    else:
        host, port = address.rsplit(":", 1)
        s = socket.socket(socket.AF_INET, kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        s.bind((host, int(port)))
    if kind == socket.SOCK_STREAM:
        s.listen(16)
    return s


def datagrams(sock, out):
    while True:
        out.put(text(sock.recv(1 << 17)))


def gelf(sock, out):
    chunks = {}
    while True:
        data = sock.recv(1 << 17)
        form = "plain"
        if data[:2] == b"\x1e\x0f":
            key, seq, total = data[2:10], data[10], data[11]
            chunks.setdefault(key, {})[seq] = data[12:]
            if len(chunks[key]) < total:
                continue
            data = b"".join(part for _, part in sorted(chunks.pop(key).items()))
            form = "chunked"
        if data[:2] == b"\x1f\x8b":
            form, data = form + " gzip", gzip.decompress(data)
        elif data[:1] == b"\x78":
            form, data = form + " zlib", zlib.decompress(data)
        out.put({"form": form, **json.loads(data)})


def journal(sock, out):
    while True:
        data, fds, _, _ = socket.recv_fds(sock, 1 << 20, 4)
        entry = {}
        if fds:
            data = os.pread(fds[0], 1 << 24, 0)
            os.close(fds[0])
            entry["form"] = "file"
        while data:
            line, _, rest = data.partition(b"\n")
            name, eq, value = line.partition(b"=")
            if not eq:
                size = struct.unpack("<Q", rest[:8])[0]
                value, rest = rest[8:8 + size], rest[9 + size:]
            entry[text(name)] = text(value)
            data = rest
        out.put(entry)


def stream_items(conn, kind):
    if kind == "fluentd":
        unpacker = msgpack.Unpacker(raw=False, unicode_errors="backslashreplace", strict_map_key=False)
        while data := conn.recv(1 << 16):
            unpacker.feed(data)
            yield from unpacker
        return
    held = b""
    while data := conn.recv(1 << 16):
        held += data
        while True:
            if kind == "octets":
                size, sep, rest = held.partition(b" ")
                if not sep or len(rest) < int(size):
                    break
                yield text(rest[:int(size)])
                held = rest[int(size):]
                continue
            item, sep, rest = held.partition(b"\0" if kind == "gelf-tcp" else b"\n")
            if not sep:
                break
            held = rest
            yield json.loads(item) if kind == "gelf-tcp" else text(item)


def fluentd_value(item):
    tag, when, record, option = item
    if isinstance(when, msgpack.ExtType):
        when = list(struct.unpack(">II", when.data))
    return {"tag": tag, "time": when, "record": record, "option": option}


def serve(conn, kind, flags, out):
    n = 0
    for item in stream_items(conn, kind):
        out.put(fluentd_value(item) if kind == "fluentd" else item)
        if kind == "fluentd" and "ack" in flags:
            conn.sendall(msgpack.packb({"ack": item[3]["chunk"]}))
        n += 1
        if n >= int(flags.get("drop", 1 << 40)):
            break
    conn.close()


def splunk(address, out):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_OPTIONS(self):
            self.answer()

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            decoder, rest = json.JSONDecoder(), text(body)
            while rest:
                value, at = decoder.raw_decode(rest)
                out.put({"auth": self.headers["Authorization"], "path": self.path, **value})
                rest = rest[at:].lstrip()
            self.answer()

        def log_message(self, *args):
            pass

    host, port = address.rsplit(":", 1)
    server = http.server.ThreadingHTTPServer((host, int(port)), Handler)
    print("ready", flush=True)
    server.serve_forever()


def main():
    kind, address, path = sys.argv[1:4]
    flags = dict((f.split("=", 1) + [""])[:2] for f in sys.argv[4:])
    out = Output(path)
    if kind == "splunk":
        splunk(address, out)
    if kind in ("datagrams", "gelf", "journal"):
        sock = listen(address, socket.SOCK_DGRAM)
        print("ready", flush=True)
        {"datagrams": datagrams, "gelf": gelf, "journal": journal}[kind](sock, out)
    sock = listen(address, socket.SOCK_STREAM)
    context = None
    if "cert" in flags:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(flags["cert"])
    print("ready", flush=True)
    kept = []
    while True:
        conn, _ = sock.accept()
        if "hang" in flags:
            kept.append(conn)
            continue
        try:
            conn = context.wrap_socket(conn, server_side=True) if context else conn
        except OSError:
            continue
        threading.Thread(target=serve, args=(conn, kind, flags, out), daemon=True).start()


main()
