#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# net_stream.bats - streams go on, without a gap and without a loss, while the daemon is killed and comes back.

bats_require_minimum_version 1.5.0
load lib
load net

setup_file() {
    daemon_init
    machine_own
    daemon_start
    busybox_import
    host_add ha 11
}

teardown_file() {
    hosts_done
    daemon_done
}

teardown() {
    docker ps -aq | xargs -r docker rm -fv >/dev/null
    docker network prune -f >/dev/null
}

# tool NAME [docker run arguments] -- COMMAND...: a program of this machine in a container.
tool() {
    local name=$1
    local args=()
    shift
    while [ "$1" != -- ]; do
        args+=("$1")
        shift
    done
    shift
    docker run -d --name "$name" -v /:/host "${args[@]}" busybox chroot /host "$@" >/dev/null
}

# A server that takes one stream after another.
server() { # NAME [docker run arguments]
    local name=$1
    shift
    tool "$name" "$@" -- iperf3 -s --forceflush
    wait_until 10 listens "$name"
}
listens() { docker logs "$1" 2>&1 | grep -q "Server listening"; }

# Kill the daemon and let it come back, twice, then stop it in peace and let it come back.
daemon_comes_and_goes() {
    for _ in 1 2; do
        daemon_kill
        sleep 0.5
        daemon_start
        docker ps -q >/dev/null
    done
    daemon_stop
    daemon_start
}

# through_restarts START...: commands that begin streams of $seconds seconds and add their numbers to
# the array streams; they must outlast what happens to the daemon, so a slow machine gets longer ones.
through_restarts() {
    local pid outlasted rc=0
    for seconds in 6 15 40; do
        local streams=()
        "$@"
        daemon_comes_and_goes
        outlasted=1
        for pid in "${streams[@]}"; do
            kill -0 "$pid" 2>/dev/null || outlasted=
        done
        for pid in "${streams[@]}"; do
            wait "$pid" || rc=1
        done
        [ $rc -eq 0 ] || return 1
        [ -z "$outlasted" ] || return 0
    done
    return 1
}

# unbroken REPORT: it ran to its end, and every part of it carried something.
unbroken() {
    jq -e '.error == null and ([.intervals[].sum.bytes] | length > 2 and min > 0)' "$1" >/dev/null ||
        { jq -c '.error, [.intervals[].sum.bytes]' "$1"; return 1; }
}

tcp_streams() {
    on ha iperf3 -c 198.51.100.1 -p 5201 -t "$seconds" -i 2 -b 200M -J >"$T/far.json" 3>&- &
    streams+=($!)
    nsenter --net="/proc/$source/ns/net" iperf3 -c "$inner" -t "$seconds" -i 2 -b 200M -J >"$T/near.json" 3>&- &
    streams+=($!)
}

@test "TCP streams through a published port, from another host and container to container" {
    local source inner
    docker network create lane >/dev/null
    server sink -p 5201:5201
    server inner --network lane
    docker run -d --name source --network lane busybox sleep 600 >/dev/null
    source=$(docker inspect -f '{{.State.Pid}}' source)
    inner=$(ip_of inner lane)
    through_restarts tcp_streams
    unbroken "$T/far.json"
    unbroken "$T/near.json"
    # The containers are the same ones, and new streams come through.
    [ "$(docker inspect -f '{{.State.Running}} {{.RestartCount}}' sink)" = "true 0" ]
    iperf3 -c 127.0.0.1 -p 5201 -n 1M >/dev/null
}

udp_stream() { # so few that a busy machine does not drop them for want of a reader
    on ha iperf3 -u -c 198.51.100.1 -p 5201 -t "$seconds" -i 2 -b 200K -l 500 -J >"$T/udp.json" 3>&- &
    streams+=($!)
}

@test "not a datagram is lost" {
    server sink -p 5201:5201 -p 5201:5201/udp
    through_restarts udp_stream
    unbroken "$T/udp.json"
    jq -c .end.sum "$T/udp.json"
    jq -e '.end.sum | .packets > 200 and .lost_packets == 0' "$T/udp.json"
}

@test "connections are made all the while" {
    local failed
    web one -p 8080:80
    for _ in $(seq 400); do
        on ha curl -sf --max-time 5 http://198.51.100.1:8080/ || echo failed
        sleep 0.01
    done >"$T/answers" 3>&- &
    local a=$!
    daemon_comes_and_goes
    wait $a
    failed=$(grep -cv '^one$' "$T/answers" || true)
    [ "$(wc -l <"$T/answers")" -eq 400 ]
    [ "$failed" -eq 0 ]
}
