#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# clients.bats - other clients of the Docker API: the SDK for Python, and dray beside docker.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() { daemon_done; }

@test "docker-py" {
    run /usr/bin/python3 "$BATS_TEST_DIRNAME/docker_py.py"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" != *"NOT OK"* ]]
    [ "${#lines[@]}" -ge 25 ]
}

@test "dray says what docker says" {
    docker run -d --name same -e A=1 -p 80 busybox sleep 1000
    docker volume create vol1
    for args in "ps --no-trunc --format {{.ID}}_{{.Names}}_{{.State}}" "ps -aq" "inspect same" "images --no-trunc" \
        "network ls --no-trunc" "volume ls" "port same" "image inspect busybox" "network inspect bridge" \
        "inspect -f {{.State.Status}}:{{.Config.Env}} same" "version --format {{.Server.APIVersion}}" "top same" "diff same"; do
        # shellcheck disable=SC2086
        docker $args >"$T/a" 2>&1 || true
        # shellcheck disable=SC2086
        dray $args >"$T/b" 2>&1 || true
        diff "$T/a" "$T/b" || { echo "differs: $args"; return 1; }
    done
    docker rm -f same
    docker volume rm vol1
}

@test "dray run: input, exit codes, detached, removal" {
    run bash -c 'printf "b\na\n" | dray run --rm -i busybox sort'
    [ "$output" = $'a\nb' ]
    run dray run --rm busybox sh -c 'exit 42'
    [ "$status" -eq 42 ]
    run -127 dray run --rm busybox nosuchcommand
    run -125 dray run --rm --pull never nosuch:1 true
    dray run -d --name det busybox sh -c 'echo up; sleep 1000'
    run dray exec det echo in
    [ "$output" = in ]
    wait_until 5 bash -c 'dray logs det | grep -q up'
    run dray stop -t 0 det
    [ "$status" -eq 0 ]
    dray rm det
    run dray plugin ls
    [[ "$output" == *overlay* && "$output" == *native* && "$output" == *json-file* ]]
    run dray nosuchcommand
    [ "$status" -ne 0 ]
    [[ "$output" == *"unknown command: dray nosuchcommand"* ]]
}
