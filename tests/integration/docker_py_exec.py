# SPDX-License-Identifier: Apache-2.0
"""docker_py_exec.py N: N short execs, one after another, whose output must be whole each time."""
import sys

import docker

c = docker.from_env(timeout=30).api
x = c.create_container("busybox", ["sleep", "1000"])["Id"]
c.start(x)
bad = 0
for _ in range(int(sys.argv[1])):
    e = c.exec_create(x, ["sh", "-c", "echo hi; exit 3"])["Id"]
    out = c.exec_start(e)
    bad += out != b"hi\n" or c.exec_inspect(e)["ExitCode"] != 3
c.remove_container(x, force=True)
print(bad, "bad")
sys.exit(bad != 0)
