#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# ws_attach.py SOCKET PATH INPUT: attach over a WebSocket, send INPUT, print what comes until the goodbye.
import base64
import hashlib
import os
import socket
import struct
import sys


def frame(opcode, payload):
    mask = os.urandom(4)
    n = len(payload)
    head = bytes([0x80 | opcode]) + (bytes([0x80 | n]) if n < 126 else bytes([0x80 | 126]) + struct.pack(">H", n))
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def main():
    path, target, text = sys.argv[1:4]
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(path)
    key = base64.b64encode(os.urandom(16)).decode()
    s.sendall(f"GET {target} HTTP/1.1\r\nHost: d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    f = s.makefile("rb")
    status = f.readline().decode()
    headers = {}
    while (line := f.readline().decode().strip()):
        name, value = line.split(": ", 1)
        headers[name.lower()] = value
    if " 101 " not in status:
        sys.exit(f"{status.strip()}: {f.read(int(headers.get('content-length', 0))).decode()}")
    want = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    assert headers["sec-websocket-accept"] == want and headers["upgrade"].lower() == "websocket", headers
    s.sendall(frame(9, b"ping"))
    data = text.encode()
    for i in range(0, len(data), 30000):
        s.sendall(frame(2, data[i:i + 30000]))
    pongs = 0
    while True:
        first, n = f.read(2)
        assert first & 0x80 and not n & 0x80
        if n == 126:
            n = struct.unpack(">H", f.read(2))[0]
        payload = f.read(n)
        opcode = first & 0x0f
        if opcode == 10:
            assert payload == b"ping"
            pongs += 1
        elif opcode == 8:
            assert payload == b"\x03\xe8"
            s.sendall(frame(8, payload))
            break
        else:
            sys.stdout.buffer.write(payload)
    assert pongs == 1


main()
