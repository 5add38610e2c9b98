# SPDX-License-Identifier: Apache-2.0
"""fields.py - every field of a container's configuration is honoured, refused or warned of: a table over the API.

    fields.py SOCKET [PART...]     parts: create types versions update exec list inspect; all without one
"""
import http.client
import json
import os
import socket
import sys
import time
import urllib.parse

SOCKET = sys.argv[1]
UNIFIED = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
IMAGE = "busybox"
bad = 0


class Conn(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(SOCKET)


def raw(method, path, body=None):
    c = Conn("d")
    c.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
    r = c.getresponse()
    text = r.read()
    c.close()
    return r.status, text


def call(method, path, body=None):
    status, text = raw(method, path, body)
    return status, json.loads(text) if text.strip() else {}


def fail(name, got, want):
    global bad
    bad += 1
    print(f"{name}: got {got!r}, not {want!r}")


def check(name, got, want):
    if got != want:
        fail(name, got, want)


def has(name, text, part):
    if part not in (text or ""):
        fail(name, text, part)


# --- a container for each row -----------------------------------------------------------------


def body_of(config=None, host=None, nets=None, cmd=("true",)):
    b = {"Image": IMAGE, "Cmd": list(cmd), **(config or {})}
    h = dict(host or {})
    if nets is None and "NetworkDisabled" not in b:
        h.setdefault("NetworkMode", "none")
    b["HostConfig"] = h
    if nets is not None:
        b["NetworkingConfig"] = {"EndpointsConfig": nets}
    return b


def until(condition, seconds=30):
    """Wait for it; whether it came true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def plain(text, tty):
    out = text if tty else b""
    while len(text) >= 8 and not tty:
        n = int.from_bytes(text[4:8], "big")
        out, text = out + text[8:8 + n], text[8 + n:]
    return out.decode().replace("\r", "").strip()


class Box:
    """A container that is gone at the end of the with."""

    def __init__(self, name, body, version="v1.51", start=True):
        self.name, self.id, self.warnings = name, None, []
        status, j = call("POST", f"/{version}/containers/create", body)
        if status != 201:
            fail(name, (status, j), "created")
            return
        self.id, self.warnings = j["Id"], j["Warnings"]
        if start:
            self.start()

    def start(self):
        status, j = call("POST", f"/containers/{self.id}/start")
        if status != 204:
            fail(self.name, (status, j), "started")

    def wait(self):
        return call("POST", f"/containers/{self.id}/wait")[1].get("StatusCode")

    def inspect(self):
        return call("GET", f"/containers/{self.id}/json")[1]

    def output(self):
        self.wait()
        text = raw("GET", f"/containers/{self.id}/logs?stdout=1&stderr=1")[1]
        return plain(text, self.inspect()["Config"]["Tty"])

    def group(self, v1, v2):
        """A file of the container's control group: "controller/file" of v1, or a file of v2."""
        if UNIFIED:
            path = f"/sys/fs/cgroup/dray/{self.id}/{v2}"
        else:
            controller, file = v1.split("/")
            path = f"/sys/fs/cgroup/{controller}/dray/{self.id}/{file}"
        with open(path, encoding="ascii") as f:
            return f.read().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.id:
            call("DELETE", f"/containers/{self.id}?force=1&v=1")


def seen(fields, command, want, config=None, host=None, nets=None):
    """The field has its effect inside: a command of the container's prints `want`."""
    covered.update(fields.split())
    with Box(fields, body_of(config, host, nets, ("sh", "-c", command))) as c:
        if c.id:
            check(fields, " ".join(c.output().split()), want)
            check(fields + " warnings", c.warnings, [])


def grouped(fields, v1, v2, want, host, want2=None):
    """The limit is in the control group."""
    covered.update(fields.split())
    with Box(fields, body_of(host=host, cmd=("sleep", "60"))) as c:
        if c.id:
            check(fields, c.group(v1, v2), want2 if UNIFIED and want2 else want)


def kept(field, value, config=None, host=None, nets=None):
    """Inspect shows the value; what it does is the client's business, or is tested elsewhere."""
    covered.add(field)
    part = "Config" if config is not None else "HostConfig"
    with Box(field, body_of(config, host, nets), start=False) as c:
        if c.id:
            check(field, c.inspect()[part].get(field), value)


def refused(fields, text, config=None, host=None, nets=None, status=400):
    covered.update(fields.split())
    got, j = call("POST", "/v1.51/containers/create", body_of(config, host, nets))
    if got == 201:
        call("DELETE", f"/containers/{j['Id']}?force=1&v=1")
    if got != status or text not in j.get("message", ""):
        fail(fields, (got, j), (status, text))


def warned(field, text, config=None, host=None, nets=None):
    covered.add(field)
    with Box(field, body_of(config, host, nets), start=False) as c:
        if c.id:
            has(field + " warnings", " ".join(c.warnings), text)


covered = set()

CONFIG = """Hostname Domainname User AttachStdin AttachStdout AttachStderr ExposedPorts Tty OpenStdin StdinOnce Env
    Cmd Healthcheck ArgsEscaped Image Volumes WorkingDir Entrypoint NetworkDisabled MacAddress OnBuild Labels StopSignal
    StopTimeout Shell"""
HOST = """CpuShares Memory CgroupParent BlkioWeight BlkioWeightDevice BlkioDeviceReadBps BlkioDeviceWriteBps
    BlkioDeviceReadIOps BlkioDeviceWriteIOps CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime CpusetCpus CpusetMems
    Devices DeviceCgroupRules DeviceRequests KernelMemory KernelMemoryTCP MemoryReservation MemorySwap MemorySwappiness
    NanoCpus OomKillDisable Init PidsLimit Ulimits CpuCount CpuPercent IOMaximumIOps IOMaximumBandwidth Binds
    ContainerIDFile LogConfig NetworkMode PortBindings RestartPolicy AutoRemove VolumeDriver VolumesFrom Mounts ConsoleSize
    Annotations CapAdd CapDrop CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts GroupAdd IpcMode Cgroup Links OomScoreAdj
    PidMode Privileged PublishAllPorts ReadonlyRootfs SecurityOpt StorageOpt Tmpfs UTSMode UsernsMode ShmSize Sysctls
    Runtime Isolation MaskedPaths ReadonlyPaths"""
ENDPOINT = "IPAMConfig Links MacAddress Aliases DriverOpts GwPriority"


def config_fields():
    seen("Hostname Domainname Cmd Image", "hostname; cat /proc/sys/kernel/domainname", "h1 d.e",
         {"Hostname": "h1", "Domainname": "d.e"})
    seen("User", "id -u; id -g", "1000 50", {"User": "user:staff"})
    for f in ("AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce", "ArgsEscaped"):
        kept(f, True, {f: True})
    kept("OnBuild", ["RUN x"], {"OnBuild": ["RUN x"]})
    kept("ExposedPorts", {"53/udp": {}}, {"ExposedPorts": {"53/udp": {}}})
    kept("ExposedPorts", {"80/tcp": {}, "81/tcp": {}, "9/udp": {}}, {"ExposedPorts": {"80-81/tcp": {}, "9/udp": {}}})
    refused("ExposedPorts", "invalid port specification", {"ExposedPorts": {"zz": {}}})
    refused("ExposedPorts", "invalid port specification", {"ExposedPorts": {"9-8/tcp": {}}})
    refused("ExposedPorts", "invalid port specification: \"1-2-3/tcp\"", {"ExposedPorts": {"1-2-3/tcp": {}}})
    # Ranges are few bytes, and many ports: no more of them than there are.
    refused("ExposedPorts", "invalid port specification", {"ExposedPorts": {f"{i}-65535/tcp": {} for i in range(1, 2000)}})
    refused("ExposedPorts", "invalid port specification", {"ExposedPorts": {f"1-65535/{i}": {} for i in range(2000)}})
    seen("Tty", "test -t 0 && test -t 1 && echo yes", "yes", {"Tty": True})
    seen("OpenStdin", "readlink /proc/self/fd/0 | cut -d: -f1", "/dev/null")
    with Box("OpenStdin", body_of({"OpenStdin": True}, cmd=("sh", "-c", "readlink /proc/self/fd/0 | cut -d: -f1"))) as c:
        check("OpenStdin", c.output(), "pipe")
    seen("Env", "echo $A$PATH", "b/p", {"Env": ["A=b", "PATH=/p", "BARE"], "Entrypoint": ["/bin/sh"], "Cmd": ["-c", "echo $A$PATH"]})
    refused("Env", "invalid environment variable: =x", {"Env": ["=x"]})
    seen("Entrypoint", "ignored", "one two", {"Entrypoint": ["echo", "one"], "Cmd": ["two"]})
    seen("WorkingDir", "pwd", "/w/x", {"WorkingDir": "/w/x"})
    refused("WorkingDir", "needs to be an absolute path", {"WorkingDir": "x"})
    seen("Volumes", "grep -c ' /vol ' /proc/mounts", "1", {"Volumes": {"/vol": {}}})
    seen("NetworkDisabled", "ls /sys/class/net", "lo", {"NetworkDisabled": True})
    kept("Labels", {"a": "b", "c.d": ""}, {"Labels": {"a": "b", "c.d": ""}})
    with Box("StopSignal", body_of({"StopSignal": "SIGUSR1", "StopTimeout": 30},
                                   cmd=("sh", "-c", "trap 'exit 7' USR1; echo set; while :; do sleep 0.1; done"))) as c:
        covered.add("StopSignal")
        until(lambda: b"set" in raw("GET", f"/containers/{c.id}/logs?stdout=1")[1])
        call("POST", f"/containers/{c.id}/stop")
        check("StopSignal", c.wait(), 7)
    refused("StopSignal", "invalid signal: zz", {"StopSignal": "zz"})
    with Box("StopTimeout", body_of({"StopTimeout": 0}, cmd=("sh", "-c", "trap '' TERM; echo set; while :; do sleep 0.1; done"))) as c:
        covered.add("StopTimeout")
        until(lambda: b"set" in raw("GET", f"/containers/{c.id}/logs?stdout=1")[1])
        begin = time.monotonic()
        call("POST", f"/containers/{c.id}/stop")
        check("StopTimeout", c.wait(), 137)
        check("StopTimeout in time", time.monotonic() - begin < 9.5, True)
    health = {"Test": ["CMD-SHELL", "exit 3"], "Interval": 10**8, "Timeout": 10**9, "Retries": 1, "StartPeriod": 0}
    with Box("Healthcheck Shell", body_of({"Healthcheck": health, "Shell": ["/bin/busybox", "sh", "-c"]}, cmd=("sleep", "60"))) as c:
        covered.update(["Healthcheck", "Shell"])
        until(lambda: c.inspect()["State"]["Health"]["Status"] == "unhealthy")
        state = c.inspect()["State"]["Health"]
        check("Healthcheck", (state["Status"], state["Log"][0]["ExitCode"]), ("unhealthy", 3))
    refused("Healthcheck", "Interval in Healthcheck cannot be less than 1ms", {"Healthcheck": {"Test": ["CMD", "true"], "Interval": 5}})
    refused("Healthcheck", "Retries in Healthcheck cannot be negative", {"Healthcheck": {"Test": ["CMD", "true"], "Retries": -1}})
    warned("MacAddress", "container-wide MacAddress field is now deprecated", {"MacAddress": "02:42:ac:11:00:99"}, nets={"bridge": {}})


def limits():
    m = 64 << 20
    grouped("Memory", "memory/memory.limit_in_bytes", "memory.max", str(m), {"Memory": m})
    grouped("MemoryReservation", "memory/memory.soft_limit_in_bytes", "memory.low", str(m), {"Memory": 2 * m, "MemoryReservation": m})
    if UNIFIED:
        grouped("MemorySwap", "", "memory.swap.max", str(m), {"Memory": m, "MemorySwap": 2 * m})
        warned("MemorySwappiness", "memory swappiness", host={"MemorySwappiness": 5})
        warned("OomKillDisable", "OomKillDisable discarded", host={"OomKillDisable": True})
    else:
        kept("MemorySwap", 2 * m, host={"Memory": m, "MemorySwap": 2 * m})
        grouped("MemorySwappiness", "memory/memory.swappiness", "", "5", {"Memory": m, "MemorySwappiness": 5})
        warned("OomKillDisable", "no memory limit is set", host={"OomKillDisable": True})
    kept("MemorySwappiness", None, host={"MemorySwappiness": -1})
    grouped("PidsLimit", "pids/pids.max", "pids.max", "55", {"PidsLimit": 55})
    kept("PidsLimit", None, host={"PidsLimit": -1})
    grouped("NanoCpus", "cpu/cpu.cfs_quota_us", "cpu.max", "50000", {"NanoCpus": 500000000}, "50000 100000")
    grouped("CpuPeriod CpuQuota", "cpu/cpu.cfs_quota_us", "cpu.max", "20000", {"CpuPeriod": 50000, "CpuQuota": 20000}, "20000 50000")
    grouped("CpuShares", "cpu/cpu.shares", "cpu.weight", "512", {"CpuShares": 512}, "20")
    grouped("CpusetCpus CpusetMems", "cpuset/cpuset.cpus", "cpuset.cpus", "0", {"CpusetCpus": "0", "CpusetMems": "0"})
    refused("CpusetCpus", "Invalid value x for cpuset cpus: invalid format: x", host={"CpusetCpus": "x"})
    refused("CpusetMems", "Requested memory nodes are not available - requested 99", host={"CpusetMems": "99"})
    refused("Memory", "Minimum memory limit allowed is 6MB", host={"Memory": 5})
    refused("NanoCpus", "range of CPUs is from 0.01", host={"NanoCpus": 10**15})
    kept("CpuRealtimePeriod", 0, host={"CpuRealtimePeriod": 0})
    kept("CpuRealtimeRuntime", 0, host={"CpuRealtimeRuntime": 0})
    with Box("CgroupParent", body_of(host={"CgroupParent": "/dray/fields-parent"}, cmd=("sleep", "60"))) as c:
        covered.add("CgroupParent")
        has("CgroupParent", open(f"/proc/{c.inspect()['State']['Pid']}/cgroup").read(), f"/dray/fields-parent/{c.id}")
    for top in ("/sys/fs/cgroup", *(os.path.join("/sys/fs/cgroup", d) for d in os.listdir("/sys/fs/cgroup"))):
        try:
            os.rmdir(top + "/dray/fields-parent")
        except OSError:
            pass
    # Which block devices there are is the machine's business: one that is none is refused.
    refused("BlkioWeight", "Range of blkio weight is from 10 to 1000", host={"BlkioWeight": 5})
    for f, v in (("BlkioWeightDevice", "Weight"), ("BlkioDeviceReadBps", "Rate"), ("BlkioDeviceWriteBps", "Rate"),
                 ("BlkioDeviceReadIOps", "Rate"), ("BlkioDeviceWriteIOps", "Rate")):
        covered.add(f)
        with Box(f, body_of(host={f: [{"Path": "/dev/nope", v: 200}]}), start=False) as c:
            status, j = call("POST", f"/containers/{c.id}/start")
            if not any("discarded" in w for w in c.warnings) and "/dev/nope" not in j.get("message", ""):
                fail(f, (status, j, c.warnings), "refused or warned of")
    warned("KernelMemory", "kernel memory limit capabilities", host={"KernelMemory": m})
    warned("KernelMemoryTCP", "kernel memory TCP limit capabilities", host={"KernelMemoryTCP": m})
    warned("CpuPercent", "linux does not support CPU percent. Percent discarded.", host={"CpuPercent": 5})
    kept("CpuPercent", 0, host={"CpuPercent": 5})
    warned("CpuCount", "CPU count", host={"CpuCount": 1})
    refused("IOMaximumIOps", "does not support configuration of maximum IOPs", host={"IOMaximumIOps": 5})
    refused("IOMaximumBandwidth", "does not support configuration of maximum bandwidth", host={"IOMaximumBandwidth": 5})
    refused("DeviceRequests", "could not select device driver \"\" with capabilities: [[gpu]]",
            host={"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]})
    seen("Ulimits", "ulimit -n; ulimit -Hn", "100 200", host={"Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}]})
    refused("Ulimits", "invalid ulimit type: foo", host={"Ulimits": [{"Name": "foo", "Soft": 1, "Hard": 2}]})
    refused("Ulimits", "soft limit must be less than or equal to hard limit: 3 > 2", host={"Ulimits": [{"Name": "nofile", "Soft": 3, "Hard": 2}]})
    seen("OomScoreAdj", "cat /proc/self/oom_score_adj", "321", host={"OomScoreAdj": 321})
    refused("OomScoreAdj", "range for oom score adj", host={"OomScoreAdj": 2000})


def security():
    seen("CapAdd CapDrop", "grep CapEff /proc/self/status | cut -f2", "0000000000001000",
         host={"CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"]})
    refused("CapAdd", "FOO", host={"CapAdd": ["FOO"]})
    seen("Privileged", "grep Seccomp: /proc/self/status | cut -f2; touch /proc/sys/kernel/domainname && echo rw", "0 rw", host={"Privileged": True})
    seen("ReadonlyRootfs", "touch /x 2>/dev/null || echo ro", "ro", host={"ReadonlyRootfs": True})
    seen("SecurityOpt", "grep NoNewPrivs /proc/self/status | cut -f2", "1", host={"SecurityOpt": ["no-new-privileges"]})
    refused("SecurityOpt", "invalid --security-opt 1: \"foo\"", host={"SecurityOpt": ["foo"]})
    refused("SecurityOpt", "invalid --security-opt 2: \"foo=bar\"", host={"SecurityOpt": ["foo=bar"]})
    refused("SecurityOpt", "Decoding seccomp profile failed", host={"SecurityOpt": ["seccomp={"]})
    refused("UsernsMode", "invalid user namespace mode: zz", host={"UsernsMode": "zz"})
    kept("UsernsMode", "host", host={"UsernsMode": "host"})
    seen("MaskedPaths ReadonlyPaths", "wc -c </bin/masked; touch /home/x 2>/dev/null || echo ro", "0 ro",
         {"Entrypoint": ["sh", "-c", "wc -c </etc/passwd; touch /home/x 2>/dev/null || echo ro"], "Cmd": None},
         {"MaskedPaths": ["/etc/passwd"], "ReadonlyPaths": ["/home"]})
    seen("MaskedPaths", "grep -c ' /proc/keys ' /proc/mounts", "0", host={"MaskedPaths": []})
    seen("Sysctls", "cat /proc/sys/net/ipv4/ip_default_ttl", "33", host={"Sysctls": {"net.ipv4.ip_default_ttl": "33"}})
    refused("Sysctls", "not in a separate kernel namespace", host={"Sysctls": {"vm.swappiness": "1"}})
    seen("Devices", "cat /dev/zz | head -c 3 | wc -c", "3", host={"Devices": [{"PathOnHost": "/dev/zero", "PathInContainer": "/dev/zz", "CgroupPermissions": "r"}]})
    refused("Devices", "invalid device mode: zzz", host={"Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "zzz"}]})
    # /dev/mem: 1:1 can be made by mknod, and opened only where the rule allows it.
    seen("DeviceCgroupRules", "mknod /tmp/f c 1:11 && { head -c 0 /tmp/f || : ; } 2>&1 | grep -c permitted", "1",
         {"Cmd": ["sh", "-c", "mknod /tmp/f c 4 1 && (: </tmp/f) 2>&1 | grep -c permitted"]})
    seen("DeviceCgroupRules", "mknod /tmp/f c 1 5 && head -c 2 /tmp/f | wc -c", "2", host={"DeviceCgroupRules": ["c 1:5 rwm"]})
    seen("GroupAdd", "id -G", "0 10 50", host={"GroupAdd": ["10", "staff"]})


def namespaces():
    seen("IpcMode", "grep -c ' /dev/shm ' /proc/mounts", "0", host={"IpcMode": "none"})
    refused("IpcMode", "invalid IPC mode: zz", host={"IpcMode": "zz"})
    seen("PidMode", "readlink /proc/self/ns/pid", os.readlink("/proc/self/ns/pid"), host={"PidMode": "host"})
    refused("PidMode", "No such container: nope", host={"PidMode": "container:nope"})
    seen("UTSMode", "readlink /proc/self/ns/uts", os.readlink("/proc/self/ns/uts"), host={"UTSMode": "host"})
    seen("CgroupnsMode", "readlink /proc/self/ns/cgroup", os.readlink("/proc/self/ns/cgroup"), host={"CgroupnsMode": "host"})
    with Box("CgroupnsMode", body_of(host={"CgroupnsMode": "private"}, cmd=("readlink", "/proc/self/ns/cgroup"))) as c:
        check("CgroupnsMode private", c.output() != os.readlink("/proc/self/ns/cgroup"), True)
    refused("CgroupnsMode", "invalid cgroup namespace mode: zz", host={"CgroupnsMode": "zz"})
    seen("NetworkMode", "readlink /proc/self/ns/net", os.readlink("/proc/self/ns/net"), host={"NetworkMode": "host"})
    refused("Isolation", "invalid isolation: \"hyperv\" - linux only supports 'default'", host={"Isolation": "hyperv"})
    refused("Runtime", "unknown or invalid runtime name: nope", host={"Runtime": "nope"})
    warned("Cgroup", "not supported", host={"Cgroup": "container:x"})
    seen("ShmSize", "df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d' ' -f2", "1024", host={"ShmSize": 1 << 20})
    seen("Init", "cat /proc/1/cmdline | tr '\\0' ' ' | cut -d' ' -f1", "/sbin/docker-init", host={"Init": True})
    # Without an interface nothing is done for names but the files.
    seen("Dns DnsOptions DnsSearch", "grep -v ^# /etc/resolv.conf | sort", "nameserver 5.6.7.8 options ndots:3 search s.t",
         {"NetworkDisabled": False}, {"Dns": ["5.6.7.8"], "DnsSearch": ["s.t"], "DnsOptions": ["ndots:3"]}, {"bridge": {}})
    seen("ExtraHosts", "grep -w a /etc/hosts", "1.2.3.4 a", host={"ExtraHosts": ["a:1.2.3.4"]})
    refused("ExtraHosts", "bad format for add-host: \"a\"", host={"ExtraHosts": ["a"]})
    refused("ExtraHosts", "bad format for add-host: \"a\n1.1.1.1 b:1.2.3.4\"", host={"ExtraHosts": ["a\n1.1.1.1 b:1.2.3.4"]})
    refused("Dns", "invalid nameserver address: \"1.1.1.1\noptions rotate\"", host={"Dns": ["1.1.1.1\noptions rotate"]})
    refused("DnsSearch", "invalid DNS search domain: \"a\nnameserver 6.6.6.6\"", host={"DnsSearch": ["a\nnameserver 6.6.6.6"]})
    refused("DnsOptions", "invalid DNS option: \"a b\"", host={"DnsOptions": ["a b"]})
    refused("Hostname", "invalid hostname format: \"a\n1.1.1.1 b\"", {"Hostname": "a\n1.1.1.1 b"})
    refused("Domainname", "invalid domainname format: \"a b\"", {"Domainname": "a b"})


def files():
    seen("Binds", "cat /b/f; touch /b/x 2>/dev/null || echo ro", "file ro", host={"Binds": [os.environ["T"] + "/host:/b:ro"]})
    spec = os.environ["T"] + "/host:/b:"
    refused("Binds", "invalid mode: ro,rw", host={"Binds": [spec + "ro,rw"]})
    refused("Binds", "field VolumeOptions must not be specified", host={"Binds": [spec + "nocopy"]})
    refused("Binds", "field BindOptions must not be specified", host={"Binds": ["vol:/b:rshared"]})
    refused("VolumeDriver", "plugin \"nope\" not found", host={"VolumeDriver": "nope", "Binds": ["v1:/x"]}, status=404)
    refused("VolumesFrom", "No such container: nope", host={"VolumesFrom": ["nope"]})
    with Box("VolumesFrom", body_of({"Volumes": {"/shared": {}}}), start=False) as c:
        seen("VolumesFrom", "grep -c ' /shared ' /proc/mounts", "1", host={"VolumesFrom": [c.id]})
    seen("Tmpfs", "grep ' /t ' /proc/mounts | grep -o 'size=[0-9]*k'", "size=1024k", host={"Tmpfs": {"/t": "size=1m"}})
    refused("Tmpfs", "destination can't be '/'", host={"Tmpfs": {"/": ""}})
    refused("StorageOpt", "Unknown option foo", host={"StorageOpt": {"foo": "1"}})
    kept("ContainerIDFile", "/x", host={"ContainerIDFile": "/x"})
    seen("ConsoleSize", "stty size", "33 44", {"Tty": True}, {"ConsoleSize": [33, 44]})
    kept("ConsoleSize", [5, 0], host={"ConsoleSize": [5]})
    kept("Annotations", {"a": "b"}, host={"Annotations": {"a": "b"}})
    refused("Annotations", "the empty string is not permitted", host={"Annotations": {"": "b"}})
    host = os.environ["T"] + "/host"
    mount = {"Type": "bind", "Source": host, "Target": "/m"}
    seen("Mounts", "touch /m/x 2>/dev/null || echo ro; touch /m/sub/x 2>/dev/null || echo ro", "ro ro", host={"Mounts": [{**mount, "ReadOnly": True}]})
    seen("Mounts", "touch /m/sub/x && echo rw", "rw", host={"Mounts": [{**mount, "ReadOnly": True, "BindOptions": {"ReadOnlyNonRecursive": True}}]})
    seen("Mounts", "grep -c ' /m' /proc/mounts", "1", host={"Mounts": [{**mount, "BindOptions": {"NonRecursive": True}}]})
    seen("Mounts", "grep ' /m ' /proc/self/mountinfo | grep -o master: | head -n 1; echo .", "master: .",
         host={"Mounts": [{**mount, "BindOptions": {"Propagation": "rslave"}}]})
    refused("Mounts", "bind source path does not exist", host={"Mounts": [{**mount, "Source": host + "/none"}]})
    seen("Mounts", "ls -d /m", "/m", host={"Mounts": [{**mount, "Source": host + "/made", "BindOptions": {"CreateMountpoint": True}}]})
    seen("Mounts", "stat -c %a:%u /m; df -k /m | tail -n 1 | tr -s ' ' | cut -d' ' -f2", "700:5 512",
         host={"Mounts": [{"Type": "tmpfs", "Target": "/m", "TmpfsOptions": {"SizeBytes": 1 << 19, "Mode": 0o700, "Options": [["uid", "5"]]}}]})
    refused("Mounts", "SizeBytes must not be negative", host={"Mounts": [{"Type": "tmpfs", "Target": "/m", "TmpfsOptions": {"SizeBytes": -1}}]})
    seen("Mounts", "ls /m/etc/passwd", "/m/etc/passwd", host={"Mounts": [{"Type": "image", "Source": IMAGE, "Target": "/m"}]})
    seen("Mounts", "ls /m", "group passwd", host={"Mounts": [{"Type": "image", "Source": IMAGE, "Target": "/m", "ImageOptions": {"Subpath": "etc"}}]})
    seen("Mounts", "ls /etc", "hostname hosts resolv.conf", host={"Mounts": [{"Type": "volume", "Target": "/etc", "VolumeOptions": {"NoCopy": True}}]})
    with Box("Mounts", body_of(host={"Mounts": [{"Type": "volume", "Source": "fields-v", "Target": "/m", "VolumeOptions": {
            "Labels": {"a": "b"}, "DriverConfig": {"Name": "local", "Options": {"type": "tmpfs", "device": "tmpfs"}}}}]}), start=False):
        v = call("GET", "/volumes/fields-v")[1]
        check("Mounts VolumeOptions", (v["Labels"], v["Options"]["type"]), ({"a": "b"}, "tmpfs"))
    call("DELETE", "/volumes/fields-v")
    refused("Mounts", "must not set ReadOnly mode when using anonymous volumes", host={"Mounts": [{"Type": "volume", "Target": "/m", "ReadOnly": True}]})
    refused("Mounts", "TmpfsOptions must not be specified on mount type \"bind\"", host={"Mounts": [{**mount, "TmpfsOptions": {}}]})
    refused("Mounts", "Duplicate mount point: /m", host={"Mounts": [mount, mount]})


def life():
    kept("LogConfig", {"Type": "local", "Config": {"max-size": "1m"}}, host={"LogConfig": {"Type": "local", "Config": {"max-size": "1m"}}})
    refused("LogConfig", "unknown log opt 'zz' for json-file log driver", host={"LogConfig": {"Type": "json-file", "Config": {"zz": "1"}}})
    refused("LogConfig", "no log driver named 'zz' is registered", host={"LogConfig": {"Type": "zz"}})
    refused("RestartPolicy", "unknown policy 'zz'", host={"RestartPolicy": {"Name": "zz"}})
    with Box("RestartPolicy", body_of(host={"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 1}}, cmd=("false",))) as c:
        until(lambda: (c.inspect()["RestartCount"], c.inspect()["State"]["Status"]) == (1, "exited"))
        check("RestartPolicy", c.inspect()["RestartCount"], 1)
    with Box("AutoRemove", body_of(host={"AutoRemove": True})) as c:
        covered.add("AutoRemove")
        call("POST", f"/containers/{c.id}/wait?condition=removed")
        check("AutoRemove", call("GET", f"/containers/{c.id}/json")[0], 404)


def network():
    with Box("PortBindings", body_of({"ExposedPorts": {"81/tcp": {}}},
                                     {"PortBindings": {"80/tcp": [{"HostPort": ""}]}, "PublishAllPorts": True}, {"bridge": {}}, ("sleep", "60"))) as c:
        covered.update(["PortBindings", "PublishAllPorts"])
        ports = c.inspect()["NetworkSettings"]["Ports"]
        check("PublishAllPorts", sorted(ports), ["80/tcp", "81/tcp"])
        check("PortBindings", all(int(p[0]["HostPort"]) > 1023 for p in ports.values()), True)
        check("PortBindings kept", c.inspect()["HostConfig"]["PortBindings"], {"80/tcp": [{"HostPort": "", "HostIp": ""}]})
    refused("PortBindings", "invalid port specification", host={"PortBindings": {"80/tcp": [{"HostPort": "zz"}]}})
    refused("Links", "bad format for links: a:b:c", host={"Links": ["a:b:c"]}, nets={"bridge": {}})
    status, j = call("POST", "/networks/create", {"Name": "fields", "IPAM": {"Config": [{"Subnet": "10.98.0.0/24"}]}})
    check("network", status, 201)
    ep = {"IPAMConfig": {"IPv4Address": "10.98.0.77", "LinkLocalIPs": ["169.254.7.7"]}, "MacAddress": "02:42:0a:62:00:4d", "Aliases": ["al"],
          "GwPriority": 5,
          "DriverOpts": {"com.docker.network.endpoint.ifname": "eth9", "com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1"}}
    with Box("endpoint", body_of(None, {"NetworkMode": "fields"}, {"fields": ep}, ("sleep", "60"))) as c:
        covered.update("IPAMConfig MacAddress Aliases DriverOpts GwPriority".split())
        got = c.inspect()["NetworkSettings"]["Networks"]["fields"]
        check("IPAMConfig", got["IPAddress"], "10.98.0.77")
        check("MacAddress", got["MacAddress"], ep["MacAddress"])
        has("Aliases", got["Aliases"], "al")
        has("DNSNames", got["DNSNames"], "al")
        check("GwPriority DriverOpts", (got["GwPriority"], got["DriverOpts"]), (5, ep["DriverOpts"]))
        pid = c.inspect()["State"]["Pid"]
        has("DriverOpts", open(f"/proc/{pid}/net/dev", encoding="ascii").read(), "eth9")
        has("LinkLocalIPs", open(f"/proc/{pid}/net/fib_trie", encoding="ascii").read(), "169.254.7.7")
        seen("DriverOpts", "cat /proc/sys/net/ipv4/conf/eth9/log_martians", "1", None, {"NetworkMode": "fields"},
             {"fields": {"DriverOpts": ep["DriverOpts"]}})
        for opts, text in (({"ifname": "a/b"}, "invalid interface name"), ({"sysctls": "net.ipv4.ip_forward=1"}, "unrecognised network interface sysctl")):
            refused("DriverOpts", text, nets={"fields": {"DriverOpts": {"com.docker.network.endpoint." + k: v for k, v in opts.items()}}})
        seen("Links", "ping -c 1 -W 5 other >/dev/null && echo yes", "yes", None, {"NetworkMode": "fields"}, {"fields": {"Links": [c.id + ":other"]}})
    refused("Aliases", "supported only for containers in user defined networks", nets={"bridge": {"Aliases": ["x"]}})
    refused("IPAMConfig", "invalid IPv4 address: zz", nets={"fields": {"IPAMConfig": {"IPv4Address": "zz"}}})
    refused("IPAMConfig", "EndpointsConfig is nil", nets={"bridge": None})
    call("DELETE", "/networks/fields")


def create():
    for part in (config_fields, limits, security, namespaces, files, life, network):
        part()
    for name in f"{CONFIG} {HOST} {ENDPOINT}".split():
        if name not in covered:
            fail(name, "no row in the table", "one")


# --- fields within fields ---------------------------------------------------------------------


def nested(path, value):
    """{"a": [{"b": value}]} for a.#.b"""
    for part in reversed(path.split(".")):
        value = [value] if part == "#" else {part: value}
    return value


def types():
    with open(os.path.join(os.path.dirname(__file__), "hostile_table.json"), encoding="utf-8") as f:
        table = next(r for r in json.load(f) if r["path"] == "/containers/create")["body"]
    for path, kind in table.items():
        wrong = "x" if kind in ("integer", "boolean") else 7
        status, j = call("POST", "/containers/create", {"Image": IMAGE, "Cmd": ["true"], **nested(path, wrong)})
        if status != 400 or "cannot unmarshal" not in j["message"]:
            fail(f"{path} of a wrong type", (status, j), 400)
    config = {"Healthcheck": {"Test": ["CMD", None], "Interval": 0, "Retries": None, "nosuch": 1}, "Labels": {"l": None},
              "ExposedPorts": {}, "StopSignal": "", "Shell": []}
    host = {"Devices": [{"PathOnHost": "/dev/null", "nosuch": 1}], "PortBindings": {"80/tcp": [None]},
            "BlkioDeviceReadBps": [{"Path": "/dev/null"}], "DnsSearch": [None],
            "Mounts": [{"Type": "tmpfs", "Target": "/t", "ReadOnly": False, "TmpfsOptions": {"SizeBytes": 0, "x": 1}}]}
    with Box("what is shown of null, nothing and unknown keys", body_of(config, host), start=False) as c:
        i = c.inspect()
    check("Healthcheck", i["Config"]["Healthcheck"], {"Test": ["CMD", ""]})
    check("Labels", i["Config"]["Labels"], {"l": ""})
    check("left out", [k for k in ("ExposedPorts", "StopSignal", "Shell") if k in i["Config"]], [])
    check("Devices", i["HostConfig"]["Devices"], [{"PathOnHost": "/dev/null", "PathInContainer": "", "CgroupPermissions": ""}])
    check("PortBindings", i["HostConfig"]["PortBindings"], {"80/tcp": [{"HostIp": "", "HostPort": ""}]})
    check("BlkioDeviceReadBps", i["HostConfig"]["BlkioDeviceReadBps"], [{"Path": "/dev/null", "Rate": 0}])
    check("DnsSearch", i["HostConfig"]["DnsSearch"], [""])
    check("Mounts", i["HostConfig"]["Mounts"], [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {}}])


# --- the version that a request came in -------------------------------------------------------


def versions():
    def host(version, h, config=None):
        with Box(f"v{version}", body_of(config, h), f"v{version}", start=False) as c:
            return c.inspect() if c.id else {"HostConfig": {}, "Config": {}}
    check("AutoRemove 1.24", host("1.24", {"AutoRemove": True})["HostConfig"]["AutoRemove"], False)
    check("AutoRemove 1.25", host("1.25", {"AutoRemove": True})["HostConfig"]["AutoRemove"], True)
    check("IpcMode 1.39", host("1.39", {})["HostConfig"]["IpcMode"], "shareable")
    check("IpcMode 1.40", host("1.40", {})["HostConfig"]["IpcMode"], "private")
    check("ConsoleSize 1.41", host("1.41", {"ConsoleSize": [1, 2]})["HostConfig"]["ConsoleSize"], [0, 0])
    check("ConsoleSize 1.42", host("1.42", {"ConsoleSize": [1, 2]})["HostConfig"]["ConsoleSize"], [1, 2])
    check("Annotations 1.42", host("1.42", {"Annotations": {"a": "b"}})["HostConfig"].get("Annotations"), None)
    health = {"Healthcheck": {"Test": ["CMD", "true"], "StartInterval": 10**9}}
    check("StartInterval 1.43", host("1.43", {}, health)["Config"]["Healthcheck"].get("StartInterval"), None)
    check("StartInterval 1.44", host("1.44", {}, health)["Config"]["Healthcheck"]["StartInterval"], 10**9)
    tmpfs = {"Mounts": [{"Type": "volume", "Source": "fields-v", "Target": "/m", "TmpfsOptions": {}}]}
    check("TmpfsOptions 1.41", "Mounts" in host("1.41", tmpfs)["HostConfig"], True)
    call("DELETE", "/volumes/fields-v")
    mac = {"MacAddress": "02:42:ac:11:00:99"}
    for version, body, text in (
            ("1.43", body_of(mac, {"NetworkMode": "host"}), "conflicting options: mac-address and the network mode"),
            ("1.44", body_of(mac, None, {"bridge": {"MacAddress": "02:42:ac:11:00:98"}}), "must match the endpoint-specific MAC"),
            ("1.43", body_of(None, None, {"bridge": {}, "x": {}}), "cannot be created with multiple network endpoints"),
            ("1.43", body_of(None, {"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/m", "ReadOnly": True,
                                                "BindOptions": {"ReadOnlyForceRecursive": True}}]}), "needs API v1.44 or newer")):
        status, j = call("POST", f"/v{version}/containers/create", body)
        if status != 400 or text not in j["message"]:
            fail(version, (status, j), text)


# --- update -----------------------------------------------------------------------------------


def update():
    with Box("update", body_of(cmd=("sleep", "60"))) as c:
        def change(body, status=200, text=""):
            got, j = call("POST", f"/containers/{c.id}/update", body)
            if got != status or text not in json.dumps(j):
                fail(f"update {body}", (got, j), (status, text))
        m = 64 << 20
        rows = ((("Memory", m), "memory/memory.limit_in_bytes", "memory.max", str(m)),
                (("PidsLimit", 44), "pids/pids.max", "pids.max", "44"), (("PidsLimit", -1), "pids/pids.max", "pids.max", "max"),
                (("CpuShares", 512), "cpu/cpu.shares", "cpu.weight", "20" if UNIFIED else "512"),
                (("CpusetCpus", "0"), "cpuset/cpuset.cpus", "cpuset.cpus", "0"),
                (("CpuQuota", 20000), "cpu/cpu.cfs_quota_us", "cpu.max", "20000 100000" if UNIFIED else "20000"))
        for (key, value), v1, v2, want in rows:
            change({key: value, **({"MemorySwap": -1} if key == "Memory" else {})})
            check(f"update {key}", c.group(v1, v2), want)
        check("PidsLimit", c.inspect()["HostConfig"]["PidsLimit"], 0)
        change({"NanoCpus": 5 * 10**8}, 409, f"Cannot update container {c.id}: Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set")
        change({"Devices": [{"PathOnHost": 1}]}, 400, "cannot unmarshal number")
        change({"Memory": 5}, 400, "\"Minimum memory limit allowed is 6MB\"")
        change({"CpusetCpus": "77"}, 400, "\"Requested CPUs are not available")
        change({"RestartPolicy": {"Name": "zz"}}, 400, "\"invalid restart policy")
        change({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}})
        check("update RestartPolicy", c.inspect()["HostConfig"]["RestartPolicy"], {"Name": "on-failure", "MaximumRetryCount": 3})
        change({"KernelMemory": m}, 200, "Limitation discarded")
        change({"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 1}]}, 200, "Ulimits cannot be changed in an update. Discarded.")
        change({"MemoryReservation": m // 2})
        got, j = call("POST", f"/containers/{c.id}/update", {"CpuShares": 600})
        check("no warning of what another update said", j["Warnings"], None)


# --- exec -------------------------------------------------------------------------------------


def execs():
    with Box("exec", body_of({"Env": ["C=d"]}, cmd=("sleep", "60"))) as c:
        def run(body, stream_tty=None):
            status, j = call("POST", f"/containers/{c.id}/exec", {"AttachStdout": True, **body})
            if status != 201:
                return j["message"], {}
            tty = body.get("Tty", False) if stream_tty is None else stream_tty
            status, text = raw("POST", f"/exec/{j['Id']}/start", {"Tty": tty, "Detach": body.get("Detach", False)})
            return " ".join(plain(text, tty).split()), call("GET", f"/exec/{j['Id']}/json")[1]
        check("Env User WorkingDir", run({"Cmd": ["sh", "-c", "echo $A $C; id -u; pwd"], "Env": ["A=b"], "User": "user", "WorkingDir": "/tmp"})[0], "b d 1000 /tmp")
        check("Privileged", run({"Cmd": ["sh", "-c", "grep CapEff /proc/self/status | cut -f2 | tail -c 6"], "Privileged": True})[0], "fffff")
        check("the start's Tty says how the stream looks", run({"Cmd": ["echo", "a"]}, True)[0], "a")
        check("the start's Tty, of one with a terminal", run({"Cmd": ["sh", "-c", "tty; exit 4"], "Tty": True}, False)[0], "/dev/pts/0")
        check("Tty ConsoleSize", run({"Cmd": ["stty", "size"], "Tty": True, "ConsoleSize": [11, 22]})[0], "11 22")
        has("DetachKeys", run({"Cmd": ["true"], "DetachKeys": "zz"})[0], "Invalid escape keys (zz) provided")
        has("DetachKeys, several", run({"Cmd": ["true"], "DetachKeys": "ctrl-a,zz"})[0], "Invalid escape keys (ctrl-a,zz) provided")
        has("detachKeys of attach", raw("POST", f"/containers/{c.id}/attach?stream=1&stdout=1&detachKeys=ctrl-A,zz")[1].decode(),
            "Invalid detach keys (ctrl-A,zz) provided")
        has("Cmd", run({"Cmd": []})[0], "No exec command specified")
        has("Privileged", run({"Cmd": ["true"], "Privileged": "yes"})[0], "cannot unmarshal string into Go struct field ExecOptions.Privileged")
        for user, text in (("nosuch", "unable to find user nosuch: no matching entries in passwd file"),
                           ("user:nosuch", "unable to find group nosuch: no matching entries in group file"),
                           ("2147483648", "uids and gids must be in range 0-2147483647")):
            check(f"User {user}", call("POST", f"/containers/{c.id}/exec", {"Cmd": ["true"], "User": user}), (400, {"message": text}))
        x = run({"Cmd": ["sh", "-c", "exit 3"], "User": "user", "DetachKeys": "ctrl-a"})[1]
        want = {"Running": False, "ExitCode": 3, "OpenStdin": False, "OpenStdout": True, "OpenStderr": False, "CanRemove": False, "ContainerID": c.id}
        check("exec inspect", {k: x.get(k) for k in want}, want)
        check("ProcessConfig", x["ProcessConfig"], {"tty": False, "entrypoint": "sh", "arguments": ["-c", "exit 3"], "privileged": False, "user": "user"})
        check("exec inspect names", {"ID", "Pid", "DetachKeys"} <= set(x), True)


# --- list, inspect, stats, events -------------------------------------------------------------


def listing():
    nets = call("POST", "/networks/create", {"Name": "fields-l"})
    check("network", nets[0], 201)
    with Box("a", body_of({"Labels": {"l": "1", "m": "2"}, "ExposedPorts": {"70/udp": {}}}, {"PortBindings": {"80/tcp": [{"HostPort": ""}]}, "Binds": ["fields-w:/data"], "NetworkMode": "fields-l", "Annotations": {"n": "o"}}, {}, ("sleep", "60"))) as a, \
            Box("b", body_of({"Labels": {"l": "2"}}, cmd=("sh", "-c", "exit 3"))) as b, \
            Box("c", body_of({"Healthcheck": {"Test": ["NONE"]}}), start=False) as c:
        b.wait()
        port = a.inspect()["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]
        name = a.inspect()["Name"]
        rows = (({"status": ["running"]}, "a"), ({"status": ["exited", "created"]}, "bc"), ({"exited": ["3"]}, "b"), ({"label": ["l"]}, "ab"),
                ({"label": ["l=1", "m"]}, "a"), ({"label": ["l=1", "l=2"]}, ""), ({"label!": ["l"]}, "c"), ({"id": [a.id[:12]]}, "a"), ({"id": [a.id, b.id]}, "ab"),
                ({"name": [name]}, "a"), ({"name": ["^" + name + "$"]}, "a"), ({"volume": ["fields-w"]}, "a"), ({"volume": ["/data"]}, "a"),
                ({"network": ["fields-l"]}, "a"), ({"network": [nets[1]["Id"]]}, "a"), ({"expose": ["70/udp"]}, "a"), ({"expose": ["69-71/udp"]}, "a"), ({"expose": ["70"]}, ""),
                ({"publish": [port]}, "a"), ({"publish": ["80"]}, ""), ({"publish": ["80/udp"]}, ""), ({"before": [b.id]}, "a"), ({"since": [a.id]}, "bc"), ({"ancestor": [IMAGE]}, "abc"),
                ({"ancestor": [IMAGE + ":latest"]}, "abc"), ({"ancestor": ["nothing"]}, ""), ({"health": ["none"]}, "abc"), ({"health": ["healthy"]}, ""),
                ({"is-task": ["true"]}, ""), ({"is-task": ["false"]}, "abc"), ({"isolation": ["default"]}, "abc"), ({"status": ["running"], "label": ["l=2"]}, ""))
        for f, want in rows:
            for q in (f, {k: {v: True for v in vs} for k, vs in f.items()}):
                status, got = call("GET", "/containers/json?all=1&filters=" + urllib.parse.quote(json.dumps(q)))
                ids = "".join(n for n, x in zip("abc", (a, b, c)) if any(r["Id"] == x.id for r in got)) if status == 200 else got
                check(f"filter {q}", ids, want)
        for q in ({"nope": ["x"]}, {"status": ["nope"]}, {"exited": ["x"]}, {"health": ["nope"]}, {"is-task": ["maybe"]}, {"expose": ["x"]}):
            status, got = call("GET", "/containers/json?all=1&filters=" + urllib.parse.quote(json.dumps(q)))
            check(f"filter {q}", status, 400)
        row = next(r for r in call("GET", "/containers/json?size=1")[1] if r["Id"] == a.id)
        check("list SizeRw of nothing", "SizeRw" in row, False)
        for key in "Id Names Image ImageID Command Created Ports SizeRootFs Labels State Status HostConfig NetworkSettings Mounts".split():
            check(f"list {key}", key in row, True)
        check("list HostConfig", row["HostConfig"], {"NetworkMode": "fields-l", "Annotations": {"n": "o"}})
        row = next(r for r in call("GET", "/v1.45/containers/json")[1] if r["Id"] == a.id)
        check("list HostConfig 1.45", row["HostConfig"], {"NetworkMode": "fields-l"})
        check("list Command", row["Command"], "sleep 60")
        check("limit", len(call("GET", "/containers/json?limit=2")[1]), 2)
    call("DELETE", "/volumes/fields-w")
    call("DELETE", "/networks/fields-l")


INSPECT = """Id Created Path Args State Image ResolvConfPath HostnamePath HostsPath LogPath Name RestartCount Driver Platform MountLabel
    ProcessLabel AppArmorProfile ExecIDs HostConfig GraphDriver SizeRw SizeRootFs Mounts Config NetworkSettings"""
STATE = "Status Running Paused Restarting OOMKilled Dead Pid ExitCode Error StartedAt FinishedAt Health"
NETWORK = """Bridge SandboxID HairpinMode LinkLocalIPv6Address LinkLocalIPv6PrefixLen Ports SandboxKey SecondaryIPAddresses SecondaryIPv6Addresses
    EndpointID Gateway GlobalIPv6Address GlobalIPv6PrefixLen IPAddress IPPrefixLen IPv6Gateway MacAddress Networks"""


def inspecting():
    health = {"Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**8}}
    begin = time.time()
    with Box("inspect", body_of({**health, "Labels": {"l": "v"}}, {"Memory": 64 << 20}, {"bridge": {}}, ("sleep", "60"))) as c:
        i = call("GET", f"/containers/{c.id}/json?size=1")[1]
        for names, part in ((INSPECT, i), (STATE, i["State"]), (NETWORK, i["NetworkSettings"]), (HOST, None)):
            for name in names.split():
                if part is not None and name not in part:
                    fail(f"inspect {name}", "absent", "there")
        check("Path Args", (i["Path"], i["Args"]), ("sleep", ["60"]))
        for f in ("ResolvConfPath", "HostnamePath", "HostsPath"):
            check(f, os.path.isfile(i[f]), True)
        check("LogPath", os.path.isfile(i["LogPath"]), True)
        check("SandboxKey", os.path.exists(i["NetworkSettings"]["SandboxKey"]), True)
        ns = i["NetworkSettings"]
        check("IPAddress", ns["IPAddress"], ns["Networks"]["bridge"]["IPAddress"])
        has("MacAddress", open(f"/proc/{i['State']['Pid']}/net/dev", encoding="ascii").read(), "eth0")
        if i["Driver"] == "overlay2":
            check("UpperDir", os.path.isdir(i["GraphDriver"]["Data"]["UpperDir"]), True)
        s = call("GET", f"/containers/{c.id}/stats?stream=false")[1]
        for path in """name id read preread pids_stats.current num_procs storage_stats blkio_stats.io_service_bytes_recursive cpu_stats.cpu_usage.total_usage
                cpu_stats.cpu_usage.usage_in_kernelmode cpu_stats.cpu_usage.usage_in_usermode cpu_stats.system_cpu_usage cpu_stats.online_cpus
                cpu_stats.throttling_data.periods precpu_stats.system_cpu_usage precpu_stats.cpu_usage.total_usage memory_stats.usage
                memory_stats.limit memory_stats.stats networks.eth0.rx_bytes networks.eth0.tx_packets networks.eth0.rx_dropped""".split():
            at = s
            for key in path.split("."):
                at = at.get(key) if isinstance(at, dict) else None
            if at is None and not path.startswith("blkio_stats."):
                fail(f"stats {path}", at, "a value")
        check("stats limit", s["memory_stats"]["limit"], 64 << 20)
        check("stats processes", s["pids_stats"]["current"], 1)
        one = call("GET", f"/containers/{c.id}/stats?stream=false&one-shot=1")[1]
        check("one-shot", one["precpu_stats"]["cpu_usage"]["total_usage"], 0)
        until(lambda: c.inspect()["State"]["Health"]["Status"] == "healthy")
        call("POST", f"/containers/{c.id}/kill?signal=KILL")
        check("exit code", c.wait(), 137)
        status, text = raw("GET", f"/events?since={begin:.3f}&until={time.time() + 1.5:.3f}&filters=" + urllib.parse.quote(json.dumps({"container": [c.id]})))
        events = {e["Action"]: e for e in map(json.loads, text.decode().splitlines()) if e["Type"] == "container"}
        for action, more in (("create", {}), ("start", {}), ("kill", {"signal": "9"}), ("die", {"exitCode": "137"})):
            e = events.get(action)
            if not e:
                fail(f"event {action}", sorted(events), "there")
                continue
            a = e["Actor"]["Attributes"]
            check(f"event {action}", {**{k: a.get(k) for k in ("image", "name", "l")}, **{k: a.get(k) for k in more}},
                  {"image": IMAGE, "name": i["Name"][1:], "l": "v", **more})
            check(f"event {action} older fields", (e["status"], e["id"], e["from"], e["scope"]), (action, c.id, IMAGE, "local"))
            check(f"event {action} time", e["timeNano"] // 10**9, e["time"])
        check("event die duration", "execDuration" in events["die"]["Actor"]["Attributes"], True)
        has("health event", " ".join(events), "health_status: healthy")


PARTS = {"create": create, "types": types, "versions": versions, "update": update, "exec": execs, "list": listing, "inspect": inspecting}
for part in sys.argv[2:] or PARTS:
    PARTS[part]()
print("ok" if bad == 0 else f"{bad} wrong")
sys.exit(bad != 0)
