#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# hostile_big.bats - input that is too much: the daemon answers, in time, and its memory stays within bounds.

load lib

setup_file() {
    export ASAN_OPTIONS=quarantine_size_mb=4 # what is freed is kept otherwise, and counted
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() { daemon_done; }

hostile() { timeout 500 python3 "$BATS_TEST_DIRNAME/hostile.py" "$T/dray.sock" "$1"; }

@test "archives that are bombs" { hostile bombs; }
@test "garbage on connections that were handed over" { hostile hijacked; }
@test "bodies without end" { hostile big; }

# labels N: a container's body with that many
labels() { python3 -c "import json; print(json.dumps({'Image': 'busybox', 'Labels': {'label-%d' % i: '' for i in range($1)}}))"; }
create() { status_of POST "/containers/create?name=labelled" -H 'Content-Type: application/json' --data-binary "@$T/body"; }

@test "many labels are taken, more than anybody has are refused before they take memory" {
    local before
    labels 50000 >"$T/body"
    [ "$(create)" = 201 ]
    docker rm labelled
    before=$(awk '/VmHWM/ {print $2}' "/proc/$(cat "$T/drayd.pid")/status")
    labels 1000000 >"$T/body"
    [ "$(create)" = 413 ]
    [ $(($(awk '/VmHWM/ {print $2}' "/proc/$(cat "$T/drayd.pid")/status") - before)) -lt 150000 ]
}
