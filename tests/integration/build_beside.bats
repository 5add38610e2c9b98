#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# build_beside.bats - the same Dockerfiles built by Dray and by a real dockerd: the same images, the same failures.

bats_require_minimum_version 1.5.0
load lib

# A quarter of the corpus, and an eighth with BuildKit; all of it with DRAY_TEST_ROUNDS.
[ -z "${DRAY_TEST_ROUNDS:-}" ] || EVERY=1

their() { docker -H "unix://$T/theirs.sock" "$@"; }
their_answers() { their version >/dev/null 2>&1; }

setup_file() {
    command -v dockerd >/dev/null || skip "no dockerd here"
    daemon_init
    mkdir "$T/theirs" && mount -t tmpfs tmpfs "$T/theirs" # dockerd syncs a lot
    setsid dockerd --data-root "$T/theirs" --exec-root "$T/theirs.exec" -H "unix://$T/theirs.sock" \
        --pidfile "$T/theirs.pid" --bridge none --iptables=false --shutdown-timeout 1 \
        </dev/null >>"$T/theirs.log" 2>&1 3>&- &
    wait_until 20 their_answers || { tail -n 20 "$T/theirs.log" >&2; return 1; }
    daemon_start
    busybox_import
    docker save busybox | their load >/dev/null
    # The docker CLI that still speaks to the daemon's own BuildKit.
    DOCKER_OLD=
    for d in /usr/bin/docker /usr/local/bin/docker; do
        [[ $("$d" --version 2>/dev/null) == *" 20.10."* ]] && DOCKER_OLD=$d && break
    done
    export DOCKER_OLD
}

teardown_file() {
    [ -n "$T" ] || return 0
    local rc=0 pid
    pid=$(cat "$T/theirs.pid")
    kill -TERM "$pid"
    wait_until 20 gone "$pid" || rc=1
    awk -v t="$T/theirs" 'index($5, t) == 1 {print $5}' /proc/self/mountinfo | sort -r | xargs -r umount
    daemon_done || rc=1
    return $rc
}

@test "images and failures are those of the classic builder" {
    run timeout 300 python3 "$BATS_TEST_DIRNAME/build_beside.py" "$T/dray.sock" "$T/theirs.sock" --every "${EVERY:-4}"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "images and failures are those of BuildKit" {
    [ -n "$DOCKER_OLD" ] || skip "no docker CLI 20.10 here"
    run timeout 300 python3 "$BATS_TEST_DIRNAME/build_beside.py" "$T/dray.sock" "$T/theirs.sock" --kit "$DOCKER_OLD" --every "${EVERY:-8}"
    echo "$output"
    [ "$status" -eq 0 ]
}
