#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# hostile.bats - hostile input to every endpoint is refused as Docker refuses; the daemon stays as it was.

load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() { daemon_done; }

hostile() { timeout 300 python3 "$BATS_TEST_DIRNAME/hostile.py" "$T/dray.sock" "$1"; }

@test "fields of every type" { hostile types; }
@test "bodies that are none" { hostile bodies; }
@test "queries and headers" { hostile queries; }
@test "names that lead elsewhere" { hostile names; }
@test "broken HTTP" { hostile wire; }
@test "slow clients" { hostile slow; }

@test "the daemon is the same process, and has given back what it took" {
    settled() {
        [ "$(ls "/proc/$(daemon_pid)/task" | wc -l)" -lt 60 ] && [ "$(ls "/proc/$(daemon_pid)/fd" | wc -l)" -lt 80 ]
    }
    [ "$(wc -l <"$T/drayd.pid")" -le 1 ] && [ -d "/proc/$(daemon_pid)" ]
    wait_until 10 settled
    run docker run --rm --network none busybox echo well
    [ "$output" = well ]
}
