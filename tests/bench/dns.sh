#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# dns.sh - the embedded resolver under load, beside dockerd's when DOCKERD_SOCKET names one: dns.sh [SECONDS [IN-FLIGHT]]
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/integration/lib.bash
. "$here/../integration/lib.bash"
seconds=${1:-3}
flight=${2:-8}
daemon_init
cc -O2 -o "$T/dns_load" "$here/dns_load.c"
daemon_start
busybox_import

# CPU time of the resolver's processes so far, in microseconds
cpu() {
    for p in $(pgrep -f "dray-dns $T"); do cat "/proc/$p/stat"; done |
        awk -v hz="$(getconf CLK_TCK)" '{sub(/.*\) /, ""); n += $12 + $13} END {printf "%d\n", n * 1000000 / hz}'
}

# load NAME: a network with 50 containers, one of which asks
load() {
    local i pid before
    docker network create bench-dns >/dev/null
    for i in $(seq 50); do
        docker run -d --init --name "bench$i" --network bench-dns busybox sleep 600 >/dev/null
    done
    pid=$(docker inspect -f '{{.State.Pid}}' bench1)
    printf '%s, a name:    ' "$1"
    before=$(cpu)
    nsenter -t "$pid" -n "$T/dns_load" 127.0.0.11 bench9 "$seconds" "$flight" | tee "$T/rate"
    [ "$1" != dray ] || echo "$(cpu) $before $(cut -d ' ' -f 1 "$T/rate") $seconds" |
        awk '{printf "dray: %.1f us of CPU a question\n", ($1 - $2) / ($3 * $4)}'
    printf '%s, one by one: ' "$1"
    nsenter -t "$pid" -n "$T/dns_load" 127.0.0.11 bench9 "$seconds" 1
    [ "$1" != dray ] || for p in $(pgrep -f "dray-dns $T"); do
        awk -v n="$(cat "/proc/$p/comm")" '/^Pss:/ {print n, $2, "kB PSS"}' "/proc/$p/smaps_rollup"
    done
    # shellcheck disable=SC2046
    docker rm -f $(docker ps -aq --filter network=bench-dns) >/dev/null
    docker network rm bench-dns >/dev/null
}

load dray
if [ -n "${DOCKERD_SOCKET:-}" ]; then
    DOCKER_HOST=unix://$DOCKERD_SOCKET busybox_import
    DOCKER_HOST=unix://$DOCKERD_SOCKET load dockerd
fi
daemon_done
