# SPDX-License-Identifier: Apache-2.0
# client_tty.py - drives `dray` on a pseudo-terminal: a container `web` must be running.
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

DRAY = sys.argv[1]
failed = 0


def size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def session(args, steps, limit=15):
    """Run dray with args; each step waits for its text and then types or does something."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(DRAY, [DRAY] + args)
    size(fd, 30, 100)
    out, seen, end = b"", 0, time.time() + limit
    while time.time() < end:
        if steps and steps[0][0] in out[seen:]:
            seen = len(out)
            _, do = steps.pop(0)
            do(fd, pid) if callable(do) else os.write(fd, do)
        if select.select([fd], [], [], 0.05)[0]:
            try:
                data = os.read(fd, 65536)
            except OSError:
                break
            if not data:
                break
            out += data
    for _ in range(100):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            os.close(fd)
            return os.waitstatus_to_exitcode(status), out
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(fd)
    return "hung", out


def check(name, result, code, *texts):
    global failed
    ok = result[0] == code and all(t in result[1] for t in texts)
    print("ok" if ok else "NOT ok", name, "" if ok else result)
    failed += not ok


def interrupt(fd, pid):
    time.sleep(0.5)  # the shell must have started it
    os.write(fd, b"\x03")


def resize(fd, pid):
    size(fd, 40, 120)
    os.kill(pid, signal.SIGWINCH)
    time.sleep(0.5)
    os.write(fd, b"stty size\n")


RUN = ["run", "--rm", "--network", "none"]
check("exit code and size", session(RUN + ["-it", "busybox", "sh"],
      [(b"/ # ", b"stty size; echo $((1+2))\n"), (b"3\r\n", b"exit 4\n")]), 4, b"30 100", b"\r\n3\r\n")
check("resize", session(RUN + ["-it", "busybox", "sh"],
      [(b"/ # ", resize), (b"40 120", b"exit\n")]), 0, b"40 120")
check("ctrl-c goes to the container", session(RUN + ["-it", "busybox", "sh"],
      [(b"/ # ", b"sleep 100\n"), (b"sleep 100", interrupt), (b"/ # ", b"exit 6\n")]), 6)
check("detach", session(["run", "--name", "det", "--network", "none", "-it", "busybox", "sh"],
      [(b"/ # ", b"echo x\n"), (b"x\r\n", b"\x10\x11")]), 0)
check("attach again", session(["attach", "det"],
      [(b"", b"echo ba''ck\n"), (b"back", b"exit 9\n")]), 9, b"back")
check("start -ai", session(["start", "-ai", "det"], [(b"/ # ", b"exit 2\n")]), 2)
subprocess.run([DRAY, "rm", "-f", "det"], stdout=subprocess.DEVNULL)
check("exec", session(["exec", "-it", "web", "sh"],
      [(b"/ # ", b"stty size\n"), (b"30 100", b"exit 6\n")]), 6, b"30 100")
check("own detach keys", session(["exec", "-it", "--detach-keys", "ctrl-a,b", "web", "sh"],
      [(b"/ # ", b"\x01b")]), 0)
check("signals are handed on", session(RUN + ["-t", "busybox", "sh", "-c",
      'trap "echo got; exit 3" TERM; echo up; while :; do sleep 0.1; done'],
      [(b"up", lambda fd, pid: os.kill(pid, signal.SIGTERM))]), 3, b"got")
check("stats draws a table", session(["stats", "web"], [(b"web", b"\x03")]), -2, b"CPU %")
sys.exit(1 if failed else 0)
