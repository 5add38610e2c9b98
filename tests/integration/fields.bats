#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# fields.bats - no field of a container's configuration is dropped without a word (fields.py has the table).

load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
    mkdir -p "$T/host/sub"
    mount -t tmpfs tmpfs "$T/host"
    mount --make-shared "$T/host"
    mkdir "$T/host/sub"
    mount -t tmpfs tmpfs "$T/host/sub"
    echo file >"$T/host/f"
}

teardown_file() {
    umount "$T/host/sub"
    umount "$T/host"
    daemon_done
}

table() { python3 "$BATS_TEST_DIRNAME/fields.py" "$T/dray.sock" "$1"; }

@test "every field of a create is honoured, refused or warned of" {
    table create
}

@test "a body means what its version of the API says" {
    table versions
}

@test "update: what it changes, refuses and leaves alone" {
    table update
}

@test "exec: every field, and what inspect says of it" {
    table exec
}

@test "the list: its fields, and every filter in both forms" {
    table list
}

@test "inspect, stats and events have their fields, filled" {
    table inspect
}

@test "defaults of the daemon for ipc and control groups" {
    local id
    daemon_stop
    echo '{"default-ipc-mode": "shareable", "default-cgroupns-mode": "private"}' >"$T/daemon.json"
    daemon_start
    id=$(docker create --network none busybox true)
    [ "$(docker inspect -f '{{.HostConfig.IpcMode}} {{.HostConfig.CgroupnsMode}}' "$id")" = "shareable private" ]
    docker rm "$id"
    echo '{"default-ipc-mode": "host"}' >"$T/bad.json"
    run "$DRAY_STAGE/bin/drayd" --config-file "$T/bad.json" --validate
    [[ $status -ne 0 && $output == *'default IPC mode setting (host) is invalid'* ]]
}
