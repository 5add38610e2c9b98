#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""registry_faults.py - a proxy before a registry that misbehaves as it is told, and a token server.

registry_faults.py --listen HOST:PORT --upstream HOST:PORT --rules FILE --log FILE
                   [--cert FILE --key FILE] [--users NAME:PASSWORD] [--connect]

FILE holds a JSON list of rules, read anew whenever it changes. The first rule whose "match" (a regular
expression on "METHOD /path") fits and which has "times" left (default: always) is carried out:
  {"cut": 0.3}           pass that part of the body on, then cut the connection
  {"corrupt": true}      flip a bit of the body
  {"longer": 10}         append bytes; {"shorter": 10} announce fewer
  {"drip": 0.2}          one byte each 0.2 s
  {"status": 500, "headers": {}, "body": ""}   answer this; "huge": N sends N more zeros
  {"redirect": "URL"}    307 there; {path} stands for the path asked for
  {"norange": true}      ignore Range
With --users a bearer token is demanded of /v2/, to be had from /token by basic credentials or by the
identity token "identity-NAME". With --connect CONNECT requests reach the upstream, whatever they name,
and absolute http:// requests are logged and passed on.
The log has one JSON object a request: method, path, host, authorization, range, rule, bytes of the body.
"""
import argparse
import base64
import http.client
import http.server
import json
import os
import re
import socket
import socketserver
import ssl
import threading
import time
import urllib.parse

args = None
lock = threading.Lock()
rules, rules_time = [], None
tokens = {}


def pick(line):
    """The rule for a request, or {}."""
    global rules, rules_time
    with lock:
        try:
            now = os.stat(args.rules).st_mtime_ns
            if now != rules_time:
                with open(args.rules) as f:
                    rules, rules_time = json.load(f), now
        except (OSError, ValueError):
            pass
        for r in rules:
            if r.get("times", 1) != 0 and re.search(r["match"], line):
                if "times" in r:
                    r["times"] -= 1
                return r
    return {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self, **more):
        entry = {"method": self.command, "path": self.path, "host": self.headers.get("Host"),
                 "authorization": self.headers.get("Authorization"), "range": self.headers.get("Range"), **more}
        with lock, open(args.log, "a") as f:
            f.write(json.dumps(entry) + "\n")

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for k, v in dict(headers).items():
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def drop(self):
        """Cut the connection so that the other side notices."""
        self.close_connection = True
        try:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    # --- tokens ---------------------------------------------------------------------------------

    def give_token(self, body):
        query = urllib.parse.urlsplit(self.path).query
        form = urllib.parse.parse_qs(body.decode() if self.command == "POST" else query)
        users = dict(u.split(":", 1) for u in args.users.split(","))
        who = ""
        head = self.headers.get("Authorization", "")
        if self.command == "POST":
            who = form.get("refresh_token", [""])[0].removeprefix("identity-")
            if who not in users:
                return self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED"}]}')
        elif head.startswith("Basic "):
            who, _, secret = base64.b64decode(head[6:]).decode().partition(":")
            if users.get(who) != secret:
                return self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED"}]}')
        token = f"token-{len(tokens)}"
        tokens[token] = {"who": who, "scopes": " ".join(form.get("scope", [])).split(),
                         "until": time.time() + args.token_life}
        doc = {"access_token" if self.command == "POST" else "token": token, "expires_in": args.token_life}
        if who and form.get("offline_token"):
            doc["refresh_token"] = "identity-" + who
        return self.answer(200, json.dumps(doc).encode(), {"Content-Type": "application/json"})

    def authorized(self):
        if not args.users or not self.path.startswith("/v2/"):
            return True
        m = re.match(r"/v2/(.+?)/(?:manifests|blobs|tags)/", self.path)
        repo = m.group(1) if m else ""
        write = self.command not in ("GET", "HEAD")
        t = tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        if t and t["until"] > time.time():
            if not repo or repo.startswith("public") and not write:
                return True
            for s in t["scopes"]:
                _, name, actions = s.split(":")
                if name == repo and t["who"] and (not write or "push" in actions):
                    return True
        scheme = "https" if args.cert else "http"
        scope = f',scope="repository:{repo}:{"pull,push" if write else "pull"}"' if repo else ""
        self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}', {
            "WWW-Authenticate": f'Bearer realm="{scheme}://{self.headers["Host"]}/token",service="faults"{scope}'})
        return False

    # --- passing on -----------------------------------------------------------------------------

    def forward(self, body, rule):
        conn = http.client.HTTPConnection(args.upstream, timeout=30)
        headers = {k: v for k, v in self.headers.items()
                   if k.lower() not in ("authorization", "connection") and not (rule.get("norange") and k == "Range")}
        path = self.path
        if path.startswith("http://"):
            parts = urllib.parse.urlsplit(path)
            path = parts.path + ("?" + parts.query if parts.query else "")
        conn.request(self.command, path, body=body if body or self.command in ("PUT", "POST", "PATCH") else None,
                     headers=headers)
        r = conn.getresponse()
        data = r.read()
        conn.close()
        if rule.get("corrupt") and data:
            data = data[:-1] + bytes([data[-1] ^ 1])
        length = r.getheader("Content-Length") if self.command == "HEAD" else len(data)
        if "longer" in rule:
            data += b"x" * rule["longer"]
            length = len(data)
        if "shorter" in rule:
            data = data[:-rule["shorter"]]
            length = len(data)
        self.send_response(r.status)
        for k, v in r.getheaders():
            if k.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(k, v)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD":
            return
        if "cut" in rule:
            self.wfile.write(data[:int(len(data) * rule["cut"])])
            self.drop()
        elif "drip" in rule:
            for i in range(len(data)):
                self.wfile.write(data[i:i + 1])
                self.wfile.flush()
                time.sleep(rule["drip"])
        else:
            self.wfile.write(data)

    def read_body(self, rule):
        """The request's body; None when it was cut."""
        n = int(self.headers.get("Content-Length") or 0)
        if "cut_upload" in rule:
            self.rfile.read(int(n * rule["cut_upload"]))
            self.drop()
            return None
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            out = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                out += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return out
        return self.rfile.read(n)

    def handle_one(self):
        rule = pick(f"{self.command} {self.path}")
        self.note(rule={k: v for k, v in rule.items() if k != "match"})
        body = self.read_body(rule)
        if body is None:
            return
        if args.users and urllib.parse.urlsplit(self.path).path == "/token" and "status" not in rule:
            self.give_token(body)
        elif "redirect" in rule:
            self.answer(307, b"", {"Location": rule["redirect"].replace("{path}", self.path)})
        elif "status" in rule:
            headers = dict(rule.get("headers", {}))
            if "huge" in rule:
                self.send_response(rule["status"])
                for k, v in headers.items():
                    self.send_header(k, v)
                self.end_headers()
                try:
                    for _ in range(0 if self.command == "HEAD" else rule["huge"] >> 20):
                        self.wfile.write(b" " * (1 << 20))
                finally:
                    self.drop()
            else:
                self.answer(rule["status"], rule.get("body", "").encode(), headers)
        elif self.authorized():
            self.forward(body, rule)

    def do_any(self):
        try:
            self.handle_one()
        except (OSError, http.client.HTTPException):
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = do_any

    def do_CONNECT(self):
        self.note(rule={})
        if not args.connect:
            return self.answer(405)
        host, port = (args.connect_to or args.upstream).rsplit(":", 1)
        up = socket.create_connection((host, int(port)))
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()

        def pump(a, b):
            try:
                while data := a.recv(65536):
                    b.sendall(data)
                b.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        t = threading.Thread(target=pump, args=(up, self.connection), daemon=True)
        t.start()
        pump(self.connection, up)
        t.join(5)
        up.close()
        self.close_connection = True


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass


def main():
    global args
    p = argparse.ArgumentParser()
    for name in ("listen", "upstream", "rules", "log"):
        p.add_argument("--" + name, required=True)
    for name in ("cert", "key", "users", "connect-to"):
        p.add_argument("--" + name)
    p.add_argument("--token-life", type=int, default=300)
    p.add_argument("--connect", action="store_true")
    args = p.parse_args()
    host, port = args.listen.rsplit(":", 1)
    server = Server((host, int(port)), Handler)
    if args.cert:
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(args.cert, args.key)
        server.socket = ctx.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


main()
