#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""net.py - measures networks, published ports and volumes of a Docker-like engine, beside others.

    sudo tests/box.sh tests/bench/net.py [--stage build/stage] [--peer dockerd] [--peer podman]
                                         [--scale 1.0] [--seconds 2] [--rounds 4] [ITEM...]

Items: networks ports volumes connections throughput (default: all). The first three make many of a
kind and show what the first and the last fiftieth cost: a flat cost says that nobody searches lists.
"""
import argparse
import json
import os
import socket
import statistics
import subprocess
import tempfile
import time

import bench


def timed(fn, keys):
    """The milliseconds of fn(key) for each key."""
    out = []
    for k in keys:
        t = time.perf_counter()
        fn(k)
        out.append((time.perf_counter() - t) * 1000)
    return out


def early_and_late(label, engines, work):
    """work(engine) gives the times of one operation, in order."""
    early, late = {}, {}
    for e in engines:
        times = work(e)
        n = max(len(times) // 10, 1)
        early[e.name], late[e.name] = statistics.median(times[:n]), statistics.median(times[-n:])
    bench.report(f"{label}: first tenth", "ms", early)
    bench.report(f"{label}: last tenth", "ms", late)


def limited(e, n):
    """What the others can do in a minute."""
    return n if e.name == "drayd" else min(n, 25)


def item_networks(engines, args):
    n = int(500 * args.scale)
    made = {e.name: [] for e in engines}

    def create(e):
        def one(i):
            made[e.name].append(e.call("POST", "/networks/create", {
                "Name": f"bench-{i}", "CheckDuplicate": True,
                "IPAM": {"Config": [{"Subnet": f"10.{100 + i // 250}.{i % 250}.0/24"}]}})["Id"])
        return timed(one, range(limited(e, n)))

    early_and_late(f"network create ({n})", engines, create)
    bench.report("network list", "ms", {
        e.name: bench.median_ms(lambda e=e: e.call("GET", "/networks"), 5, 1) for e in engines})
    bench.report("container start+rm beside them", "ms", {
        e.name: bench.median_ms(lambda e=e: run_one(e, {}), 5, 1) for e in engines})
    early_and_late("network remove", engines,
                   lambda e: timed(lambda i: e.call("DELETE", f"/networks/{i}"), made[e.name]))


def create(e, argv, ports, binds=()):
    """A container with {port: port of the host}. dockerd publishes only what is exposed too."""
    return e.call("POST", "/containers/create", {
        "Image": "busybox:latest", "Cmd": argv, "ExposedPorts": {f"{c}/tcp": {} for c in ports},
        "HostConfig": {"NetworkMode": "bridge", "Binds": list(binds), "PortBindings": {
            f"{c}/tcp": [{"HostPort": str(h)}] for c, h in ports.items()}}})["Id"]


def run_one(e, ports):
    cid = create(e, ["sleep", "60"], ports)
    e.call("POST", f"/containers/{cid}/start")
    e.call("DELETE", f"/containers/{cid}?force=1")


def item_ports(engines, args):
    n = int(1000 * args.scale)

    def work(e):
        cids = []
        times = []
        for i in range(limited(e, n) // 20):
            cids.append(create(e, ["sleep", "600"], {p: 20000 + i * 20 + p for p in range(1, 21)}))
            times += timed(lambda c: e.call("POST", f"/containers/{c}/start"), cids[-1:])
        for c in cids:
            e.call("DELETE", f"/containers/{c}?force=1")
        return times

    early_and_late(f"start of a container with 20 ports ({n} ports)", engines, work)


def item_volumes(engines, args):
    n = int(2000 * args.scale)
    early_and_late(f"volume create ({n})", engines, lambda e: timed(
        lambda i: e.call("POST", "/volumes/create", {"Name": f"bench-{i}"}), range(n)))
    bench.report("volume list", "ms", {
        e.name: bench.median_ms(lambda e=e: e.call("GET", "/volumes"), 5, 1) for e in engines})
    early_and_late("volume remove", engines, lambda e: timed(
        lambda i: e.call("DELETE", f"/volumes/bench-{i}"), range(n)))


def serve(e, argv, ports, binds):
    cid = create(e, argv, ports, binds)
    e.call("POST", f"/containers/{cid}/start")
    return cid


def answering(port):
    """Wait until somebody listens behind the port; a connection without data does no harm."""
    end = time.time() + 10
    while time.time() < end:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(0.2)  # a proxy listens before the server does
                return
        time.sleep(0.05)


def address(e, cid):
    return e.call("GET", f"/containers/{cid}/json")["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]


def best(work, engines, rounds):
    """The best of some rounds, in turn, so that other work on the machine strikes all alike."""
    found = {}
    for _ in range(rounds):
        for e in engines:
            found[e] = max(found.get(e, 0), work(e))
    return found


def item_connections(engines, args):
    with tempfile.TemporaryDirectory() as folder:
        tool = folder + "/conn_load"
        os.chmod(folder, 0o755)
        subprocess.run(["cc", "-O2", "-static", "-o", tool, bench.HERE + "/conn_load.c"], check=True)
        cids = {e: serve(e, ["/t/conn_load", "serve", "7000"], {7000: 27000 + i}, [folder + ":/t:ro"])
                for i, e in enumerate(engines)}
        own = subprocess.Popen([tool, "serve", "26999"])

        def rate(host, port):
            p = subprocess.run([tool, "ask", host, str(port), str(args.seconds), "4"], stdout=subprocess.PIPE)
            return float(p.stdout)

        ports = {e: 27000 + i for i, e in enumerate(engines)}
        ports["no container"] = 26999
        for port in ports.values():
            answering(port)
        found = best(lambda e: rate("127.0.0.1", ports[e]), ports, args.rounds)
        bench.report("connections a second, 127.0.0.1:PORT", "", {getattr(e, "name", e): v for e, v in found.items()})
        found = best(lambda e: rate(address(e, cids[e]), 7000), engines, args.rounds)
        bench.report("connections a second, straight to it", "", {e.name: v for e, v in found.items()})
        own.kill()
        own.wait()
        for e, cid in cids.items():
            e.call("DELETE", f"/containers/{cid}?force=1")


def item_throughput(engines, args):
    def iperf(argv):
        out = subprocess.run(argv + ["-t", str(args.seconds), "-J"], stdout=subprocess.PIPE)
        found = json.loads(out.stdout)
        if "error" in found:
            raise SystemExit("iperf3: " + found["error"])
        return found["end"]["sum_received"]["bits_per_second"] / 1e9

    ports = {e: 25201 + i for i, e in enumerate(engines)}
    cids = {e: serve(e, ["chroot", "/host", "iperf3", "-s"], {5201: ports[e]}, ["/:/host"]) for e in engines}
    others = {e: serve(e, ["sleep", "600"], {}, []) for e in engines}
    for port in ports.values():
        answering(port)
    time.sleep(1)

    def between(e):
        pid = e.call("GET", f"/containers/{others[e]}/json")["State"]["Pid"]
        return iperf(["nsenter", f"--net=/proc/{pid}/ns/net", "iperf3", "-c", address(e, cids[e])])

    for label, work in (("host to published port", lambda e: iperf(["iperf3", "-c", "127.0.0.1", "-p", str(ports[e])])),
                        ("container to container", between)):
        found = best(work, engines, args.rounds)
        bench.report("throughput " + label, "Gbit/s", {e.name: v for e, v in found.items()})
    for e in engines:
        for c in (cids[e], others[e]):
            e.call("DELETE", f"/containers/{c}?force=1")


ITEMS = {"networks": item_networks, "ports": item_ports, "volumes": item_volumes,
         "connections": item_connections, "throughput": item_throughput}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("items", nargs="*", metavar="ITEM", help=" ".join(ITEMS))
    p.add_argument("--stage", default="build/stage")
    p.add_argument("--peer", action="append", default=[], choices=["dockerd", "podman"])
    p.add_argument("--scale", type=float, default=1.0, help="how many objects, 1.0: 500 networks")
    p.add_argument("--seconds", type=int, default=2, help="of each stream")
    p.add_argument("--rounds", type=int, default=4, help="of which the best counts")
    args = p.parse_args()
    args.dir = "/var/tmp"
    engines = bench.start_engines(args)
    try:
        for e in engines:
            e.call("POST", "/images/create?fromSrc=-&repo=busybox&tag=latest", raw=bench.busybox_tar(),
                   kind="application/x-tar")
        for name in args.items or ITEMS:
            ITEMS[name](engines, args)
    finally:
        for e in engines:
            e.stop()


if __name__ == "__main__":
    main()
