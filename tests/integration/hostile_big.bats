#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# hostile_big.bats - input that is too much: the daemon answers, in time, and its memory stays within bounds.

load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() { daemon_done; }

hostile() { timeout 500 python3 "$BATS_TEST_DIRNAME/hostile.py" "$T/dray.sock" "$1"; }

@test "archives that are bombs" { hostile bombs; }
@test "garbage on connections that were handed over" { hostile hijacked; }
@test "bodies without end" { hostile big; }
