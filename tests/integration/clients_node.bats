#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# clients_node.bats - dockerode and Testcontainers, as tests/deps.sh installs them with npm.

load lib
load ryuk

setup_file() {
    daemon_init
    daemon_start
    busybox_import
    export NODE_PATH=$DRAY_CACHE/node/node_modules TESTCONTAINERS_RYUK_DISABLED=true
}

teardown_file() {
    daemon_done
}

need() {
    command -v node >/dev/null || skip "node is not installed"
    [ -d "$NODE_PATH/$1" ] || skip "npm has not installed $1 (tests/deps.sh test)"
}

@test "dockerode" {
    need dockerode
    run timeout 60 node "$BATS_TEST_DIRNAME/dockerode.js"
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(grep -c ^ok <<<"$output")" -eq 12 ]
}

@test "Testcontainers" {
    need testcontainers
    run timeout 120 node "$BATS_TEST_DIRNAME/testcontainers.js"
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(grep -c ^ok <<<"$output")" -ge 9 ]
}

@test "Testcontainers with its reaper, which removes what a program leaves" {
    need testcontainers
    ryuk_import ryuk:test
    export RYUK_CONTAINER_IMAGE=ryuk:test
    unset TESTCONTAINERS_RYUK_DISABLED
    run timeout 120 node "$BATS_TEST_DIRNAME/testcontainers_ryuk.js"
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(grep -c ^ok <<<"$output")" -eq 6 ]
    local _ container network
    read -r _ container network < <(grep ^left <<<"$output")
    wait_until 20 reaped "$container" "$network"
}

reaped() { # CONTAINER NETWORK
    ! docker inspect "$1" >/dev/null 2>&1 && ! docker network inspect "$2" >/dev/null 2>&1
}
