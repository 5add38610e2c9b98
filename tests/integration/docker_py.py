# SPDX-License-Identifier: Apache-2.0
"""docker_py.py - the Docker SDK for Python against a daemon at DOCKER_HOST: prints "ok" lines."""
import io
import tarfile
import threading

import docker

c = docker.from_env()


def check(name, value):
    print("ok" if value else "NOT OK", name)


check("ping", c.ping())
check("version", c.version()["ApiVersion"] == "1.51")
check("run", c.containers.run("busybox", ["echo", "hello"], remove=True) == b"hello\n")
try:
    c.containers.run("busybox", ["sh", "-c", "echo bad >&2; exit 3"], remove=True)
    check("exit status", False)
except docker.errors.ContainerError as e:
    check("exit status", e.exit_status == 3 and e.stderr == b"bad\n")
seen = []
events = c.events(decode=True, filters={"type": "container"})
t = threading.Thread(target=lambda: seen.extend(e["Action"] for e in events), daemon=True)
t.start()
x = c.containers.run("busybox", ["sh", "-c", "echo one; echo two >&2; sleep 1000"], detach=True, name="pytest",
                     labels={"k": "v"}, ports={"80/tcp": None}, environment={"A": "b"})
x.reload()
check("status", x.status == "running" and x.labels["k"] == "v")
check("ports", x.ports["80/tcp"][0]["HostPort"].isdigit())
check("exec", tuple(x.exec_run(["sh", "-c", "echo $A; exit 4"])) == (4, b"b\n"))
out, err = x.exec_run(["sh", "-c", "echo o; echo e >&2"], demux=True).output
check("demux", (out, err) == (b"o\n", b"e\n"))
sock = x.exec_run("cat", stdin=True, socket=True).output
check("exec socket", sock is not None)
sock.close()
check("logs", x.logs(stderr=False) == b"one\n")
check("stats", "cpu_stats" in x.stats(stream=False))
check("top", "sleep 1000" in str(x.top()["Processes"]))
buf = io.BytesIO()
with tarfile.open(fileobj=buf, mode="w") as tar:
    info = tarfile.TarInfo("put")
    info.size = 4
    tar.addfile(info, io.BytesIO(b"data"))
check("put_archive", x.put_archive("/tmp", buf.getvalue()))
stream, stat = x.get_archive("/tmp/put")
got = tarfile.open(fileobj=io.BytesIO(b"".join(stream)))
check("get_archive", stat["size"] == 4 and got.extractfile("put").read() == b"data")
check("diff", any(d["Path"] == "/tmp/put" for d in x.diff()))
x.pause()
x.reload()
check("pause", x.status == "paused")
x.unpause()
image = x.commit("committed", tag="1")
check("commit", image.tags == ["committed:1"])
net = c.networks.create("pynet", driver="bridge", labels={"a": "b"})
net.connect(x)
net.reload()
check("network connect", [k.name for k in net.containers] == ["pytest"])
net.disconnect(x)
net.remove()
vol = c.volumes.create("pyvol")
check("volume", vol.name in [v.name for v in c.volumes.list()])
vol.remove()
x.stop(timeout=0)
check("wait", x.wait()["StatusCode"] == 137)
x.remove()
c.images.remove("committed:1")
try:
    c.containers.get("pytest")
    check("not found", False)
except docker.errors.NotFound:
    check("not found", True)
check("events", all(a in seen for a in ("create", "start", "pause", "unpause", "die", "stop", "destroy")))
try:
    c.images.get("nosuch:1")
    check("image not found", False)
except docker.errors.ImageNotFound:
    check("image not found", True)
check("list all", c.containers.list(all=True) == [])
check("df", "LayersSize" in c.df())
check("prune", c.containers.prune()["SpaceReclaimed"] == 0)
