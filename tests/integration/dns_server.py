#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# dns_server.py ADDRESS LOG - a name server for tests, by UDP and TCP. It logs "PROTOCOL NAME TYPE" of each question.
#   good.example  192.0.2.1          gone.example  no such name
#   fail.example  server failure     mute.example  no answer at all
#   big.example   60 addresses: truncated by UDP beyond what the client takes
import socketserver
import struct
import sys
import threading


def parse(data):
    names, at = [], 12
    while data[at]:
        names.append(data[at + 1:at + 1 + data[at]].decode())
        at += 1 + data[at]
    qtype = struct.unpack(">H", data[at + 1:at + 3])[0]
    size = 512
    if struct.unpack(">H", data[10:12])[0] and len(data) > at + 16:
        size = struct.unpack(">H", data[at + 8:at + 10])[0]
    return ".".join(names).lower(), qtype, data[12:at + 5], size


def answer(data, tcp):
    name, qtype, question, size = parse(data)
    with open(sys.argv[2], "a") as log:
        log.write(f"{'tcp' if tcp else 'udp'} {name} {qtype}\n")
    records, code, flags = [], 0, 0x8180
    if name == "mute.example":
        return None
    if name == "fail.example":
        code = 2
    elif name == "good.example" and qtype == 1:
        records = [b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes((192, 0, 2, 1))]
    elif name == "big.example" and qtype == 1:
        records = [b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes((192, 0, 2, i)) for i in range(60)]
    elif name not in ("good.example", "big.example"):
        code = 3
    body = b"".join(records)
    if not tcp and 12 + len(question) + len(body) > size:
        flags, records, body = flags | 0x0200, [], b""
    return data[:2] + struct.pack(">HHHHH", flags | code, 1, len(records), 0, 0) + question + body


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        reply = answer(data, False)
        if reply:
            sock.sendto(reply, self.client_address)


class Tcp(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.rfile.read(2):
            reply = answer(self.rfile.read(struct.unpack(">H", head)[0]), True)
            if not reply:
                return
            self.wfile.write(struct.pack(">H", len(reply)) + reply)
            self.wfile.flush()


socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer.daemon_threads = True
tcp_server = socketserver.ThreadingTCPServer((sys.argv[1], 53), Tcp)
threading.Thread(target=tcp_server.serve_forever, daemon=True).start()
socketserver.ThreadingUDPServer((sys.argv[1], 53), Udp).serve_forever()
