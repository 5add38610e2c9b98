#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# stopping.bats - SIGTERM ends the daemon in its time whatever hangs, and it starts again with its containers alive.

bats_require_minimum_version 1.5.0
load lib
load misbehave

setup_file() {
    daemon_init
    export ORDERS=$T/orders
    mkdir "$ORDERS"
    misbehave_build "$T/misbehave.so" -DISOLABLE
    cat >"$T/daemon.json" <<JSON
{"shutdown-timeout": 2, "insecure-registries": ["127.0.0.1:5999"],
 "plugins": {"mis": {"plugin": "misbehave", "path": "$T/misbehave.so", "dir": "$ORDERS", "isolation": "process"}}}
JSON
    daemon_start
    busybox_import
    docker run -d --name keep -p '[::1]:8888:80' busybox sh -c 'echo well >/index.html; exec httpd -f -h /'
}

teardown_file() { daemon_done; }

teardown() {
    local p
    for p in $frozen; do kill -CONT "$p" 2>/dev/null || true; done
    for p in $dead; do kill "$p" 2>/dev/null || true; done
    exec 9>&-
}

# Descendants of the daemon by name, or what it has left behind; they are frozen until the test's end.
freeze() { # NAME
    local p
    for p in /proc/[0-9]*; do
        [ "$(cat "$p/comm" 2>/dev/null)" = "$1" ] && tr '\0' ' ' <"$p/cmdline" | grep -qE "$T|plugin-host" || continue
        kill -STOP "${p#/proc/}"
        frozen+=" ${p#/proc/}"
    done
    [ -n "$frozen" ]
}

# It listens, and that is all.
deaf_server() { # PORT
    python3 -c 'import socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen(9)
time.sleep(100)' "$1" 3>&- &
    dead+=" $!"
    wait_until 5 grep -q "0100007F:$(printf %04X "$1") 00000000:0000 0A" /proc/net/tcp
}

# A client that asks and never reads.
deaf_client() { # METHOD PATH
    python3 - "$T/dray.sock" "$1" "$2" <<'EOP' 3>&- &
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
s.connect(sys.argv[1])
upgrade = "Upgrade: tcp\r\nConnection: Upgrade\r\n" if sys.argv[2] == "POST" else ""
s.sendall(f"{sys.argv[2]} {sys.argv[3]} HTTP/1.1\r\nHost: d\r\n{upgrade}\r\n".encode())
time.sleep(100)
EOP
    dead+=" $!"
}

# The stop time and what closing is given, and some on a busy machine.
ends_in_time() {
    local pid
    pid=$(daemon_pid)
    kill -TERM "$pid"
    DRAY_TEST_SLOW=1 wait_until 10 gone "$pid"
}

starts_again() {
    daemon_start
    [ "$(docker inspect -f '{{.State.Running}}' keep)" = true ]
    docker exec keep true
}

@test "clients and builds that never end, servers that never answer, a mount that hangs" {
    deaf_server 5999
    deaf_server 5998
    docker run -d --name talks --log-driver fluentd --log-opt fluentd-address=127.0.0.1:5998 busybox \
        sh -c 'while :; do echo "a line of some length"; usleep 200; done'
    docker pull 127.0.0.1:5999/x:1 >/dev/null 2>&1 3>&- &
    printf 'FROM busybox\nRUN sleep 100\n' | DOCKER_BUILDKIT=0 docker build - >"$T/build.out" 2>&1 3>&- &
    deaf_client POST '/containers/talks/attach?stream=1&stdout=1'
    deaf_client GET '/containers/talks/logs?follow=1&stdout=1'
    deaf_client GET /events
    if [ -c /dev/fuse ]; then
        mkdir -p "$T/dead"
        mkfifo "$T/dead.fifo"
        python3 "$BATS_TEST_DIRNAME/dead_fuse.py" "$T/dead" <"$T/dead.fifo" >"$T/dead.out" 3>&- &
        exec 9>"$T/dead.fifo"
        wait_until 5 grep -q mounted "$T/dead.out"
        docker create --name waits -v "$T/dead:/x" busybox true 9>&-
        docker start waits >/dev/null 2>&1 3>&- 9>&- &
    fi
    wait_until 10 grep -q 'Step 2' "$T/build.out"
    ends_in_time
    starts_again 9>&-
    [ "$(docker inspect -f '{{.State.Running}}' talks)" = true ]
    exec 9>&-
    docker rm -f talks waits
}

@test "helpers and a plugin's process that are frozen" {
    docker volume create -d mis v1
    freeze dray-proxy
    freeze dray-plugin
    freeze dray-shim
    docker volume inspect v1 >/dev/null 2>&1 3>&- &
    ends_in_time
    daemon_start
    [ "$(docker inspect -f '{{.State.Running}}' keep)" = true ]
    for p in $frozen; do kill -CONT "$p" 2>/dev/null || true; done
    serves() { [ "$(curl -sg -m 2 'http://[::1]:8888/')" = well ]; }
    wait_until 5 serves
    docker exec keep true
    docker kill keep
    [ "$(docker wait keep)" = 137 ]
}
