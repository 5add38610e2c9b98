# SPDX-License-Identifier: Apache-2.0
"""A server of Docker's plugin protocol for the tests: volumes, networks, addresses, authorization.

plugin_server.py SOCKET FOLDER: FOLDER/mode says how it behaves (ok, hang, late, rubbish, die, fail, mac),
and is read again for each request; FOLDER/calls gets one line a request.
"""
import ipaddress
import json
import os
import socketserver
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

SOCKET, FOLDER = sys.argv[1:3]
volumes, pools, endpoints = {}, {}, {}
lock = threading.Lock()


def mode():
    try:
        with open(os.path.join(FOLDER, "mode")) as f:
            return f.read().strip()
    except OSError:
        return "ok"


# --- volumes ---------------------------------------------------------------------------------------

def volume(name):
    if name not in volumes:
        raise KeyError("no such volume: " + name)
    v = volumes[name]
    return {"Name": name, "Mountpoint": v["path"], "CreatedAt": "2020-01-02T03:04:05Z",
            "Status": {"uses": str(len(v["ids"])), "opts": v["opts"]}}


def volume_create(q):
    path = os.path.join(FOLDER, "data", q["Name"])
    if (q.get("Opts") or {}).get("bad"):
        raise ValueError("bad is not an option of mine")
    os.makedirs(path, exist_ok=True)
    volumes[q["Name"]] = {"path": path, "opts": q.get("Opts") or {}, "ids": set()}


def volume_remove(q):
    volume(q["Name"])
    del volumes[q["Name"]]


def volume_mount(q):
    v = volume(q["Name"])
    volumes[q["Name"]]["ids"].add(q["ID"])
    return {"Mountpoint": v["Mountpoint"]}


def volume_unmount(q):
    volume(q["Name"])
    volumes[q["Name"]]["ids"].discard(q["ID"])


# --- addresses -------------------------------------------------------------------------------------

def pool_request(q):
    net = ipaddress.ip_network(q["Pool"] or "10.77.0.0/24")
    pid = "pool-%s" % net
    pools[pid] = {"net": net, "used": set()}
    return {"PoolID": pid, "Pool": str(net), "Data": {}}


def address_request(q):
    pool = pools[q["PoolID"]]
    wanted = q.get("Address")
    for a in ([ipaddress.ip_address(wanted)] if wanted else pool["net"].hosts()):
        if a not in pool["used"]:
            pool["used"].add(a)
            return {"Address": "%s/%d" % (a, pool["net"].prefixlen), "Data": {}}
    raise ValueError("no address is left")


def address_release(q):
    pools[q["PoolID"]]["used"].discard(ipaddress.ip_address(q["Address"]))


# --- networks: a pair of links for each endpoint, and nothing at the other end -----------------------

def ip(*args):
    subprocess.run(["ip"] + list(args), check=True, capture_output=True)


def endpoint_create(q):
    endpoints[q["EndpointID"]] = q
    given = q["Interface"] or {}
    return {"Interface": {} if given.get("MacAddress") else {"MacAddress": "02:77:00:00:00:09"}}


def endpoint_delete(q):
    endpoints.pop(q["EndpointID"], None)
    subprocess.run(["ip", "link", "del", "rt" + q["EndpointID"][:8]], capture_output=True)


def join(q):
    outer, inner = "rt" + q["EndpointID"][:8], "ri" + q["EndpointID"][:8]
    ip("link", "add", outer, "type", "veth", "peer", "name", inner)
    ip("link", "set", outer, "up")
    return {"InterfaceName": {"SrcName": inner, "DstPrefix": "eth"}, "Gateway": "10.77.0.1",
            "StaticRoutes": [{"Destination": "10.99.0.0/16", "RouteType": 0, "NextHop": "10.77.0.1"}]}


# --- authorization: FOLDER/deny holds a word; requests with it in their URI or body are denied -------

def word(name):
    try:
        with open(os.path.join(FOLDER, name)) as f:
            return f.read().strip()
    except OSError:
        return ""


def authz_request(q):
    import base64
    body = base64.b64decode(q.get("RequestBody") or "").decode(errors="replace")
    w = word("deny")
    ok = not w or (w not in q["RequestUri"] and w not in body)
    return {"Allow": ok, "Msg": "" if ok else "the word %s is not allowed" % w}


def authz_response(q):
    import base64
    body = base64.b64decode(q.get("ResponseBody") or "").decode(errors="replace")
    w = word("deny-answer")
    ok = not w or w not in body
    return {"Allow": ok, "Msg": "" if ok else "an answer with %s is not allowed" % w}


def nothing(_):
    return None  # "null", as servers in Go answer


METHODS = {
    "Plugin.Activate": lambda q: {"Implements": ["VolumeDriver", "NetworkDriver", "IpamDriver", "authz"]},
    "VolumeDriver.Create": volume_create,
    "VolumeDriver.Remove": volume_remove,
    "VolumeDriver.Get": lambda q: {"Volume": volume(q["Name"])},
    "VolumeDriver.Path": lambda q: {"Mountpoint": volume(q["Name"])["Mountpoint"]},
    "VolumeDriver.List": lambda q: {"Volumes": [volume(n) for n in sorted(volumes)]},
    "VolumeDriver.Mount": volume_mount,
    "VolumeDriver.Unmount": volume_unmount,
    "VolumeDriver.Capabilities": lambda q: {"Capabilities": {"Scope": "global"}},
    "IpamDriver.GetCapabilities": lambda q: {"RequiresMACAddress": mode() == "mac"},
    "IpamDriver.GetDefaultAddressSpaces": lambda q: {"LocalDefaultAddressSpace": "here",
                                                     "GlobalDefaultAddressSpace": "everywhere"},
    "IpamDriver.RequestPool": pool_request,
    "IpamDriver.ReleasePool": lambda q: pools.pop(q["PoolID"], None) and None,
    "IpamDriver.RequestAddress": address_request,
    "IpamDriver.ReleaseAddress": address_release,
    "NetworkDriver.GetCapabilities": lambda q: {"Scope": "local"},
    "NetworkDriver.CreateNetwork": nothing,
    "NetworkDriver.DeleteNetwork": nothing,
    "NetworkDriver.CreateEndpoint": endpoint_create,
    "NetworkDriver.EndpointOperInfo": lambda q: {"Value": {}},
    "NetworkDriver.DeleteEndpoint": endpoint_delete,
    "NetworkDriver.Join": join,
    "NetworkDriver.Leave": nothing,
    "NetworkDriver.ProgramExternalConnectivity": nothing,
    "NetworkDriver.RevokeExternalConnectivity": nothing,
    "AuthZPlugin.AuthZReq": authz_request,
    "AuthZPlugin.AuthZRes": authz_response,
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.1+json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        name = self.path.lstrip("/")
        query = json.loads(body or b"{}")
        with open(os.path.join(FOLDER, "calls"), "a") as f:
            f.write(name + " " + body.decode() + "\n")
        how = "ok" if name == "Plugin.Activate" else mode()
        if how == "hang":
            time.sleep(3600)
        if how == "late":
            time.sleep(1.5)
        if how == "die":
            os._exit(3)
        if how == "rubbish":
            self.wfile.write(b"\x00\x01 what is HTTP?\r\n\r\n")
            self.close_connection = True
            return
        if how == "nojson":
            return self.answer(200, b"this is no JSON")
        if how == "fail":
            return self.answer(500, b'{"Err":"the disk is on fire"}')
        try:
            with lock:
                value = METHODS[name](query)
            self.answer(200, json.dumps(value).encode())
        except Exception as e:  # the protocol tells all failures in "Err"
            self.answer(200, json.dumps({"Err": str(e.args[0] if e.args else e)}).encode())


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


os.makedirs(FOLDER, exist_ok=True)
if os.path.exists(SOCKET):
    os.unlink(SOCKET)
with Server(SOCKET, Handler) as server:
    server.serve_forever()
