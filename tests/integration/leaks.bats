#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# leaks.bats - what was taken is given back: descriptors, threads, memory, mounts, groups, links, rules, files,
# processes. DRAY_TEST_ROUNDS multiplies how often each is done (50: 2,000 containers, 1,000 execs ...).

load lib
load registry

ROUNDS=${DRAY_TEST_ROUNDS:-1}

setup_file() {
    daemon_init
    registry_start
    push_busybox pulled:1
    daemon_start
    busybox_import
    docker run -d --name subject -i --network none busybox sh -c 'while :; do echo line; usleep 20000; done'
}

teardown_file() {
    registry_stop
    daemon_done
}

leaks() { timeout $((300 * ROUNDS * ${DRAY_TEST_SLOW:-1})) python3 "$BATS_TEST_DIRNAME/leaks.py" "$T" "$@"; }

# nothing_kept CASE TIMES: done a few times to fill what is kept on purpose, then so often.
nothing_kept() {
    local n=$(($2 * ROUNDS))
    leaks do "$1" $((10 + n / 10))
    leaks look "$T/held"
    leaks do "$1" $n
    leaks back "$T/held" $n
}

@test "containers created, run and removed" { nothing_kept container 40; }
@test "containers that remove themselves, attached and waited for" { nothing_kept run_rm 10; }
@test "execs of every end, some left half-way" { nothing_kept execs 20; }
@test "images pulled, tagged, saved and removed" { nothing_kept pulls 6; }
@test "networks" { nothing_kept networks 10; }
@test "volumes" { nothing_kept volumes 10; }
@test "attach connections broken half-way" { nothing_kept attaches 10; }
@test "events, logs, stats and waits dropped by the client" { nothing_kept streams 10; }
@test "archives dropped by the client" { nothing_kept archives 40; }
@test "builds: whole, failed and left half-way" { nothing_kept builds 4; }
@test "requests that end in the middle" { nothing_kept bodies 10; }

@test "restarts after kill -9" {
    daemon_kill
    daemon_start
    leaks do streams 20
    leaks look "$T/held"
    for i in $(seq $((2 * ROUNDS))); do
        docker run -d --name "amid$i" busybox sleep 1000 >/dev/null 2>&1 3>&- &
        sleep "0.$(printf %02d $((RANDOM % 30)))"
        daemon_kill
        wait || true
        daemon_start
        [ "$(docker exec subject echo alive)" = alive ]
        docker ps -aq --filter name=amid | xargs -r docker rm -f >/dev/null
    done
    leaks do streams 20
    leaks back "$T/held" 0
}
