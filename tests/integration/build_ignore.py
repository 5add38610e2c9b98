#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare what dray and the docker CLI send of random folders under random .dockerignore files.

Usage: build_ignore.py ROUNDS [SEED]. A server of its own takes the contexts. Exceptions have no wildcards here: in an
ignored folder the docker CLI's classic builder overlooks those that do, and dray, as BuildKit, does not.
"""
import io
import os
import random
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading

NAMES = ["a", "b", "ab", "a.go", "b.md", ".x", "node_modules"]
PLAIN = ["a", "b", "ab", "node_modules", ".x"]
GLOBS = PLAIN + ["a*", "*", "?", "**", "*.go", "*.md", "[ab]", "[^a]", "a?", "**/a", "b**"]


def read_request(stream):
    """One request: its path and body; None at the end."""
    line = stream.readline()
    if not line:
        return None
    head = {}
    while True:
        field = stream.readline().strip().decode()
        if not field:
            break
        key, value = field.split(":", 1)
        head[key.lower()] = value.strip()
    body = b""
    if head.get("transfer-encoding") == "chunked":
        while True:
            size = int(stream.readline(), 16)
            body += stream.read(size)
            stream.readline()
            if size == 0:
                break
    else:
        body = stream.read(int(head.get("content-length", 0)))
    return line.decode().split()[:2], body


def serve(conn, contexts):
    stream = conn.makefile("rb")
    while True:
        request = read_request(stream)
        if request is None:
            return
        (method, path), body = request
        if "/build" in path:
            contexts.append(body)
        answer = b"" if method == "HEAD" else b'{"stream":"x"}\n'
        conn.sendall(b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)


def listen(path, contexts):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen(20)

    def accept():
        while True:
            conn, _ = sock.accept()
            threading.Thread(target=serve, args=(conn, contexts), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def make_tree(folder, depth=0):
    os.makedirs(folder, exist_ok=True)
    for name in random.sample(NAMES, random.randint(1, 5)):
        path = os.path.join(folder, name)
        if depth < 3 and random.random() < 0.5:
            make_tree(path, depth + 1)
        else:
            open(path, "w").close()


def make_pattern():
    negated = random.random() < 0.35
    words = PLAIN if negated else GLOBS
    text = "/".join(random.choice(words) for _ in range(random.randint(1, 3)))
    if random.random() < 0.2:
        text = "/" + text
    if random.random() < 0.2:
        text += "/"
    if random.random() < 0.15:
        text = " " + text + " "
    return "!" + text if negated else text


def sent(client, folder, env, contexts):
    contexts.clear()
    run = subprocess.run([client, "build", "-q", folder], env=env, capture_output=True, check=False, timeout=30)
    if not contexts:
        return "nothing: " + run.stderr.decode()[-200:]
    return sorted(m.name for m in tarfile.open(fileobj=io.BytesIO(contexts[-1])))


def main():
    rounds = int(sys.argv[1])
    random.seed(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    top = tempfile.mkdtemp()
    contexts, bad = [], 0
    address = "unix://" + top + "/s"
    listen(top + "/s", contexts)
    env = dict(os.environ, DOCKER_HOST=address, DRAY_HOST=address, DOCKER_BUILDKIT="0", HOME=top, DOCKER_CONFIG=top)
    folder = top + "/context"
    for _ in range(rounds):
        shutil.rmtree(folder, ignore_errors=True)
        make_tree(folder)
        with open(folder + "/Dockerfile", "w", encoding="utf-8") as f:
            f.write("FROM scratch\n")
        patterns = "\n".join(make_pattern() for _ in range(random.randint(1, 5)))
        with open(folder + "/.dockerignore", "w", encoding="utf-8") as f:
            f.write(patterns + "\n")
        want, got = (sent(client, folder, env, contexts) for client in ("docker", "dray"))
        if want != got:
            bad += 1
            print(f"patterns {patterns!r}\n  docker {want}\n  dray   {got}")
    shutil.rmtree(top)
    print(f"{rounds} folders, {bad} differ")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
