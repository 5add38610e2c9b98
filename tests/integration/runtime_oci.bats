#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# runtime_oci.bats - the same containers through runc and crun.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    daemon_init
    cat >"$T/daemon.json" <<END
{"runtimes": {"crun": {"path": "$(command -v crun)"}, "quiet": {"path": "runc", "runtimeArgs": ["--systemd-cgroup=false"]},
 "typed": {"runtimeType": "io.containerd.runc.v2", "options": {"BinaryName": "crun"}}}}
END
    # crun works with no hybrid of cgroup v1 and a v2 that has controllers: the daemon gets a machine
    # of its own, with v1 alone.
    if [ -n "$(cat /sys/fs/cgroup/unified/cgroup.controllers 2>/dev/null)" ]; then
        mkdir -p "$T/stage/bin"
        for d in "$DRAY_STAGE"/*; do [ "${d##*/}" = bin ] || ln -s "$d" "$T/stage/"; done
        printf '#!/bin/sh\nexec unshare -m --propagation slave sh -c '"'umount /sys/fs/cgroup/unified && exec \"\$0\" \"\$@\"'"' %s "$@"\n' \
            "$DRAY_STAGE/bin/drayd" >"$T/stage/bin/drayd"
        chmod 755 "$T/stage/bin/drayd"
        export DRAY_STAGE=$T/stage
    fi
    daemon_start
    busybox_import
}

teardown_file() { daemon_done; }

teardown() {
    local ids
    ids=$(docker ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -fv $ids >/dev/null
}

each() { # FUNCTION: for every runtime under test
    local r
    for r in runc crun; do
        "$1" "$r" || { echo "with $r" >&2; return 1; }
    done
}

@test "runtimes of the configuration are listed and accepted by every name" {
    local r
    run docker info --format '{{range $n, $r := .Runtimes}}{{$n}} {{end}}'
    for r in crun native quiet runc typed; do [[ " $output" == *" $r "* ]]; done
    for r in runc crun quiet typed io.containerd.runc.v2; do
        [ "$(docker run --rm --runtime $r busybox echo "$r")" = $r ]
    done
    docker create --name named --runtime io.containerd.runc.v2 busybox true
    [ "$(docker inspect -f '{{.HostConfig.Runtime}}' named)" = io.containerd.runc.v2 ]
    run docker create --runtime nope busybox true
    [ "$status" -eq 1 ]
    [[ "$output" == *"unknown or invalid runtime name: nope"* ]]
}

streams() {
    run --separate-stderr docker run --rm --runtime "$1" busybox sh -c 'echo out; echo err >&2; exit 7'
    [ "$status" -eq 7 ] && [ "$output" = out ] && [ "$stderr" = err ] || return 1
    run bash -c "printf 'b\na\n' | docker run --rm -i --runtime $1 busybox sort"
    [ "$output" = $'a\nb' ] || return 1
    docker run --name lines --runtime "$1" busybox sh -c 'echo one; echo two >&2' >/dev/null 2>&1
    [ "$(docker logs lines 2>&1 | sort)" = $'one\ntwo' ] || return 1
    docker rm lines >/dev/null
}

@test "streams, exit codes and logs" { each streams; }

terminal() {
    run script -qec "stty rows 33 cols 111; docker run --rm -it --runtime $1 busybox sh -c 'sleep 0.3; tty; stty size'" /dev/null
    [[ "$output" == *"/dev/pts/0"* && "$output" == *"33 111"* ]]
}

@test "a terminal and its size" { each terminal; }

ports() {
    local port
    port=$(free_port)
    docker run -d --name web --runtime "$1" -p "127.0.0.1:$port:80" -v data:/data -m 64m --pids-limit 50 -e K=v -w /var -h box --tmpfs /scratch \
        busybox sh -c 'echo page >/tmp/index.html; hostname; echo $K $PWD; exec httpd -f -p 80 -h /tmp' >/dev/null
    wait_until 5 curl -sf "http://127.0.0.1:$port/" -o /dev/null || return 1
    [ "$(curl -s "http://127.0.0.1:$port/")" = page ] || return 1
    [ "$(docker logs web)" = $'box\nv /var' ] || return 1
    [ "$(docker exec web sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max')" = 67108864 ] || return 1
    docker rm -fv web >/dev/null
    docker volume rm data >/dev/null
}

@test "ports, volumes, limits and the environment" { each ports; }

execs() {
    docker run -d --name box --runtime "$1" busybox sleep 1000 >/dev/null
    run --separate-stderr docker exec -e A=b -w /tmp -u 1000:50 box sh -c 'echo $A $PWD $(id -u):$(id -g); echo no >&2; exit 3'
    [ "$status" -eq 3 ] && [ "$output" = "b /tmp 1000:50" ] && [ "$stderr" = no ] || return 1
    [ "$(echo in | docker exec -i box cat)" = in ] || return 1
    run script -qec "docker exec -it box sh -c 'tty; exit 5'" /dev/null
    [[ "$status" -eq 5 && "$output" == *"/dev/pts/"* ]] || return 1
    run -127 docker exec box nosuch
    [[ "$output" == *'"nosuch": executable file not found in $PATH'* ]] || { echo "$output" >&2; return 1; }
    docker exec -d box sh -c 'echo made >/tmp/made'
    wait_until 5 docker exec box test -e /tmp/made || return 1
    docker rm -f box >/dev/null
}

@test "exec, with a terminal too" { each execs; }

life() {
    docker run -d --name box --runtime "$1" busybox sh -c 'trap "echo got; exit 9" USR1; while :; do sleep 0.1; done' >/dev/null
    docker pause box >/dev/null
    [ "$(docker inspect -f '{{.State.Status}}' box)" = paused ] || return 1
    docker unpause box >/dev/null
    docker update -m 48m --memory-swap 48m --pids-limit 33 box >/dev/null || return 1
    run docker exec box sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max'
    [ "$output" = $'50331648\n33' ] || { echo "$output" >&2; return 1; }
    run docker stats --no-stream --format '{{.PIDs}} {{.MemUsage}}' box
    [[ "$output" == [1-9]*"/ 48MiB" ]] || { echo "$output" >&2; return 1; }
    run docker top box
    [[ "$output" == *"sleep 0.1"* ]] || return 1
    docker kill -s USR1 box >/dev/null
    [ "$(docker wait box)" = 9 ] && [ "$(docker logs box)" = got ] || return 1
    docker start box >/dev/null && docker restart -t 0 box >/dev/null || return 1
    [ "$(docker inspect -f '{{.State.Running}}' box)" = true ] || return 1
    docker stop -t 0 box >/dev/null
    [ "$(docker inspect -f '{{.State.ExitCode}}' box)" = 137 ] || return 1
    docker rm box >/dev/null
}

@test "pause, update, stats, top, kill, restart and stop" { each life; }

oom() {
    docker run --name big --runtime "$1" -m 16m --memory-swap 16m busybox sh -c 'x=$(head -c 100000000 /dev/zero | tr "\0" y)' >/dev/null 2>&1
    [ "$(docker inspect -f '{{.State.ExitCode}} {{.State.OOMKilled}}' big)" = "137 true" ] || { docker inspect -f '{{.State}}' big >&2; return 1; }
    docker rm big >/dev/null
}

@test "a lack of memory is noticed" { each oom; }

failures() {
    run -127 docker run --name bad --runtime "$1" busybox nosuchcommand
    [[ "$output" == *"executable file"*"not found in \$PATH"* ]] || { echo "$output" >&2; return 1; }
    docker rm bad >/dev/null
    run docker run --name bad --runtime "$1" busybox /etc
    [ "$status" -eq 126 ] || { echo "$output" >&2; return 1; }
    docker rm bad >/dev/null
    # What the program itself has to say arrives.
    run ! docker run --name bad --runtime "$1" --sysctl net.nosuch=1 busybox true
    [[ "$output" == *"OCI runtime create failed: "*"nosuch"* ]] || { echo "$output" >&2; return 1; }
    docker rm bad >/dev/null
}

@test "failures are told in the runtime's own words" { each failures; }

outlive() {
    docker run -d --name box --runtime "$1" busybox sh -c 'i=0; while :; do echo $((i=i+1)); sleep 0.1; done' >/dev/null
    docker run -d --name ends --runtime "$1" busybox sh -c 'sleep 0.5; exit 4' >/dev/null
    daemon_kill
    sleep 0.7
    daemon_start
    [ "$(docker inspect -f '{{.State.Running}}' box)" = true ] || return 1
    [ "$(docker wait ends)" = 4 ] || return 1
    [ "$(docker exec box echo alive)" = alive ] || return 1
    docker logs box | awk '$1 != NR { exit 1 }' || return 1
    docker pause box >/dev/null && docker unpause box >/dev/null || return 1
    docker rm -f box ends >/dev/null
}

@test "containers outlive the daemon" { each outlive; }

no_state() { [ -z "$(ls "$T/exec/runtime/$1" 2>/dev/null)" ]; }

nothing_left() {
    docker run --rm --runtime "$1" busybox true
    docker run -d --name box --runtime "$1" busybox sleep 1000 >/dev/null
    ! grep -q "$T/exec/containers/.*/rootfs" /proc/self/mountinfo || return 1 # the root shows in the container alone
    docker rm -f box >/dev/null
    wait_until 5 no_state "$1" || { ls "$T/exec/runtime/$1" >&2; return 1; }
}

@test "nothing is left of containers that have ended" { each nothing_left; }
