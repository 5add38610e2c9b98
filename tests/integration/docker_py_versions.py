# SPDX-License-Identifier: Apache-2.0
"""docker_py_versions.py - the SDK for Python speaking older versions of the API, as docker-compose 1.29 does: prints "ok" lines."""
import io
import sys
import tarfile

import docker


def check(name, value):
    print("ok" if value else "NOT OK", name)


def life(c, v):
    """A container as compose makes one: create with labels and a network, start, look, exec, stop, remove."""
    net = c.create_network(f"pv{v}", driver="bridge", check_duplicate=True, labels={"com.docker.compose.project": "p"})
    vol = c.create_volume(f"pv{v}", labels={"k": "v"})
    host = c.create_host_config(binds=[f"pv{v}:/data:rw", "/tmp:/t:ro"], port_bindings={80: None}, network_mode=f"pv{v}",
                                restart_policy={"Name": ""}, mem_limit="64m", log_config={"type": "json-file", "config": {}},
                                extra_hosts={"h": "1.2.3.4"}, shm_size="8m", ulimits=[docker.types.Ulimit(name="nofile", soft=100, hard=200)])
    networking = c.create_networking_config({f"pv{v}": c.create_endpoint_config(aliases=["web", "alias"])})
    x = c.create_container("busybox", ["sh", "-c", "echo begin; sleep 1000"], name=f"py{v}", hostname="hh", host_config=host,
                           networking_config=networking, labels={"com.docker.compose.service": "web"}, environment={"A": "b"},
                           ports=[80], volumes=["/data"], stop_signal="SIGKILL", detach=True, tty=False, stdin_open=False)
    check(f"{v} create", x["Warnings"] in (None, []))
    c.start(x["Id"])
    i = c.inspect_container(x["Id"])
    check(f"{v} inspect", i["State"]["Running"] and i["Config"]["Env"][0] == "A=b" and i["NetworkSettings"]["Networks"][f"pv{v}"]["IPAddress"]
          and "alias" in i["NetworkSettings"]["Networks"][f"pv{v}"]["Aliases"] and i["HostConfig"]["Memory"] == 64 << 20
          and sorted(m["Destination"] for m in i["Mounts"]) == ["/data", "/t"] and i["Name"] == f"/py{v}")
    row = c.containers(all=True, filters={"label": ["com.docker.compose.service=web"], "name": f"py{v}"})
    check(f"{v} list", len(row) == 1 and row[0]["State"] == "running" and row[0]["Ports"][0]["PrivatePort"] == 80
          and row[0]["NetworkSettings"]["Networks"][f"pv{v}"]["Aliases"] is not None)
    check(f"{v} port", c.port(x["Id"], 80)[0]["HostPort"].isdigit())
    e = c.exec_create(x["Id"], ["sh", "-c", "echo $A; cat /etc/hosts; exit 3"])
    out = c.exec_start(e["Id"])
    check(f"{v} exec", out.startswith(b"b\n") and b"1.2.3.4" in out and c.exec_inspect(e["Id"])["ExitCode"] == 3)
    check(f"{v} logs", c.logs(x["Id"], stdout=True, stderr=True) == b"begin\n"
          and b"begin" in next(c.logs(x["Id"], stream=True, follow=True)))
    check(f"{v} stats", c.stats(x["Id"], stream=False)["memory_stats"]["usage"] > 0)
    check(f"{v} top", "sleep 1000" in str(c.top(x["Id"])))
    buf = io.BytesIO()
    with tarfile.open(fileobj=buf, mode="w") as tar:
        info = tarfile.TarInfo("put")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    check(f"{v} archive", c.put_archive(x["Id"], "/data", buf.getvalue()) and c.get_archive(x["Id"], "/data/put")[1]["size"] == 1)
    c.pause(x["Id"])
    c.unpause(x["Id"])
    c.update_container(x["Id"], mem_limit="128m", memswap_limit="256m")
    c.rename(x["Id"], f"py{v}b")
    c.restart(x["Id"], timeout=0)
    img = c.commit(x["Id"], repository="pv", tag=v)
    image = c.inspect_image(f"pv:{v}")
    check(f"{v} image", image["Id"] == img["Id"] and ("VirtualSize" in image) == (float(v[2:]) < 44))
    check(f"{v} images", ("VirtualSize" in c.images("pv")[0]) == (float(v[2:]) < 44))
    c.remove_image(f"pv:{v}")
    c.stop(x["Id"], timeout=0)
    check(f"{v} wait", c.wait(x["Id"])["StatusCode"] == 137)
    try:
        c.inspect_container("nope")
        check(f"{v} not found", False)
    except docker.errors.NotFound as err:
        check(f"{v} not found", "No such container: nope" in str(err))
    c.remove_container(x["Id"], v=True)
    c.remove_network(net["Id"])
    c.remove_volume(vol["Name"])
    check(f"{v} info", c.info()["ServerVersion"] and c.version()["ApiVersion"])


for version in sys.argv[1:]:
    life(docker.from_env(version=version, timeout=30).api, version)
