#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# clients_py.bats - the SDK for Python with older versions of the API, and with answers that come very fast.

load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() {
    daemon_done
}

@test "docker-py speaks every version of the API" {
    run timeout 100 /usr/bin/python3 "$BATS_TEST_DIRNAME/docker_py_versions.py" 1.24 1.30 1.38 1.41 1.43 1.44 1.51
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output != *"NOT OK"* ]]
    [ "$(grep -c ^ok <<<"$output")" -ge 98 ]
}

@test "output that comes at once is not lost to a client that reads ahead" {
    run timeout 60 /usr/bin/python3 "$BATS_TEST_DIRNAME/docker_py_exec.py" 60
    [ "$output" = "0 bad" ]
}
