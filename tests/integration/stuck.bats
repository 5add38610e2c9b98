#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# stuck.bats - what hangs, hangs alone: dead file servers, deaf containers, readers that never read.

load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
    others_are_quick
}

teardown_file() { daemon_done; }

# Mount a file server that is dead at $T/dead. It goes when descriptor 9 is closed.
dead_mount() {
    mkdir -p "$T/dead"
    mkfifo "$T/dead.fifo"
    python3 "$BATS_TEST_DIRNAME/dead_fuse.py" "$T/dead" <"$T/dead.fifo" >"$T/dead.out" 3>&- &
    exec 9>"$T/dead.fifo"
    wait_until 5 grep -q mounted "$T/dead.out"
}

dead_unmount() {
    exec 9>&-
    wait
    rm -f "$T/dead.fifo" "$T/dead.out"
}

others_are_quick() { python3 "$BATS_TEST_DIRNAME/quick_others.py" "$T/dray.sock" "$T/baseline"; }

@test "a dead file server, bound or as a volume: start and cp fail in time, and nobody else waits" {
    [ -c /dev/fuse ] || skip "no FUSE on this machine"
    local pids=()
    dead_mount
    docker create --name waits -v "$T/dead:/x" busybox true
    docker run -d --name runs -v "$T:/x" busybox sleep 1000
    docker volume create --opt type=none --opt o=bind --opt "device=$T/dead" dead
    docker start waits >"$T/out1" 2>&1 3>&- 9>&- &
    pids+=($!)
    docker run --rm -v dead:/x busybox true >"$T/out2" 2>&1 3>&- 9>&- &
    pids+=($!)
    docker cp runs:/x/dead/file - >"$T/out3" 2>&1 3>&- 9>&- &
    pids+=($!)
    sleep 0.3
    others_are_quick
    docker inspect waits >/dev/null
    for i in 0 1 2; do
        if wait "${pids[i]}"; then false; fi
        grep "does not answer after 10 s" "$T/out$((i + 1))"
    done
    grep "^docker: .*volume dead: " "$T/out2"
    grep "/x/dead/file in container" "$T/out3"
    docker rm -f waits runs
    docker volume rm dead
    dead_unmount
}

@test "a container that sits in a dead file server can be listed, stopped and removed" {
    [ -c /dev/fuse ] || skip "no FUSE on this machine"
    dead_mount
    docker run -d --name sits -v "$T:/x" busybox ls -l /x/dead/
    sleep 0.3
    others_are_quick
    docker stop -t 1 sits
    [ "$(docker inspect -f '{{.State.ExitCode}}' sits)" = 137 ]
    docker rm sits
    dead_unmount
}

@test "an exec of a container whose shim is frozen fails in time, and nobody else waits" {
    docker run -d --name frozen busybox sleep 1000
    local shim
    shim=$(cat "$T/exec/containers/$(docker inspect -f '{{.Id}}' frozen)/shim.pid")
    kill -STOP "$shim"
    docker exec frozen touch /too-late >"$T/out" 2>&1 3>&- &
    local asking=$!
    others_are_quick
    if wait $asking; then false; fi
    kill -CONT "$shim"
    grep -q "the shim of container .* has not answered for 10 s" "$T/out"
    wait_until 5 docker exec frozen true
    docker exec frozen test ! -e /too-late # it was given up: it must not happen behind its caller's back
    docker rm -f frozen
}

@test "a frozen zygote is replaced: starts wait for it no longer than 10 s" {
    local zygote
    zygote=$(pgrep -P "$(daemon_pid)" -f 'dray-shim zygote')
    kill -STOP "$zygote"
    docker run --rm busybox echo first >"$T/first" 3>&- &
    local first=$!
    docker run --rm busybox echo second >"$T/second" 3>&- &
    others_are_quick
    wait $first $!
    grep -q first "$T/first"
    grep -q second "$T/second"
    wait_until 5 gone "$zygote"
    docker run --rm busybox true
}

@test "a container that ignores signals delays nobody, and is killed after its time" {
    docker run -d --name deaf busybox sh -c 'trap "" TERM; while :; do sleep 1; done'
    docker stop -t 3 deaf >/dev/null 3>&- &
    stopping=$!
    sleep 0.2
    others_are_quick
    wait $stopping
    [ "$(docker inspect -f '{{.State.ExitCode}}' deaf)" = 137 ]
    docker rm deaf
}

@test "an attach that never reads delays nobody else, and the container goes on when it has gone" {
    docker run -d --name talks busybox sh -c 'while :; do echo "$(date +%s) line"; usleep 1000; done'
    sleep 6 | docker attach talks 3>&- | sleep 6 &
    python3 - "$T/dray.sock" <<'EOP' 3>&- &
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"POST /containers/talks/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n")
time.sleep(4)
EOP
    sleep 2
    others_are_quick
    docker exec talks true
    timeout 5 docker logs --tail 5 talks | grep -q line
    wait
    before=$(docker logs talks | wc -l)
    sleep 0.5
    [ "$(docker logs talks | wc -l)" -gt "$before" ]
    docker rm -f talks
}

@test "the daemon ends in time, and starts in time, while a shim is frozen and clients wait for it" {
    local shim pid
    docker run -d --name frozen busybox sleep 1000
    shim=$(cat "$T/exec/containers/$(docker inspect -f '{{.Id}}' frozen)/shim.pid")
    kill -STOP "$shim"
    for what in "exec frozen true" "attach frozen" "logs -f frozen" "stats frozen" "stop -t 1 frozen" events; do
        # shellcheck disable=SC2086
        docker $what >/dev/null 2>&1 3>&- &
    done
    others_are_quick
    pid=$(daemon_pid)
    kill -TERM "$pid"
    wait_until 15 gone "$pid" || { kill -CONT "$shim"; false; }
    daemon_start || { kill -CONT "$shim"; false; }
    others_are_quick || { kill -CONT "$shim"; false; }
    kill -CONT "$shim"
    docker rm -f frozen
}
