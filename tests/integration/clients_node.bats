#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# clients_node.bats - dockerode and Testcontainers, as tests/deps.sh installs them with npm.

load lib

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
    [ "$(grep -c ^ok <<<"$output")" -ge 10 ]
}

@test "Testcontainers" {
    need testcontainers
    run timeout 120 node "$BATS_TEST_DIRNAME/testcontainers.js"
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(grep -c ^ok <<<"$output")" -ge 9 ]
}
