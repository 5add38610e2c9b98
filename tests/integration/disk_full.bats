#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# disk_full.bats - the disk of the data root has no room: what runs goes on, what cannot be says so,
# nothing half-made is listed, and all is well when there is room again.

load lib

setup_file() {
    daemon_init
    mkdir -p "$T/data"
    mount -t tmpfs -o size=32m,mode=711 tmpfs "$T/data"
    daemon_start
    busybox_import
}

teardown_file() {
    # shellcheck disable=SC2046
    docker rm -f $(docker ps -aq) 2>/dev/null || true
    daemon_stop
    umount "$T/data"
    daemon_done
}

fill() { dd if=/dev/zero of="$T/data/filler" bs=64k 2>/dev/null || true; }

@test "what runs goes on; what cannot be made says why, and is not listed" {
    docker run -d --name on --network none busybox sh -c 'trap "exit 3" TERM; while :; do echo x; usleep 50000; done'
    fill
    [ "$(docker exec on echo alive)" = alive ]
    run docker run --name no --network none busybox true
    [ "$status" -eq 125 ] && [[ $output == *"No space left on device"* ]]
    run docker volume create no
    [ "$status" -eq 1 ] && [[ $output == *"No space left on device"* ]]
    run docker network create no
    [ "$status" -eq 1 ] && [[ $output == *"No space left on device"* ]]
    run docker import "$(busybox_tar)" no
    [ "$status" -eq 1 ] && [[ $output == *"o space left on device"* ]]
    run docker rename on off
    [ "$status" -eq 1 ]
    run docker update -m 48m --memory-swap 48m on
    [ "$status" -eq 1 ] && [[ $output == *"o space left on device"* ]]
    [ "$(docker inspect -f '{{.Name}} {{.HostConfig.Memory}}' on)" = '/on 0' ]
    run docker inspect off
    [ "$status" -eq 1 ]
    [ "$(docker ps -a --format '{{.Names}}')" = on ]
    [ -z "$(docker volume ls -q)$(docker network ls -q --filter name=no\$)$(docker images -q no)" ]
    docker stop on
    [ "$(docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' on)" = "exited 3" ]
}

@test "the daemon starts on a full disk" {
    daemon_kill
    daemon_start
    [ "$(docker ps -a --format '{{.Names}}')" = on ]
    [ "$(docker images -q | wc -l)" -eq 1 ]
    docker network inspect bridge >/dev/null
    rm "$T/data/filler"
    [ "$(docker run --rm --network none busybox echo room)" = room ]
    docker rm on
}

@test "an exit while the disk was full is kept once there is room" {
    docker run -d --name late --network none busybox sh -c 'trap "exit 5" TERM; while :; do usleep 50000; done'
    fill
    docker stop late
    rm "$T/data/filler"
    id=$(docker inspect -f '{{.Id}}' late)
    wait_until 15 grep -q '"ExitCode":5' "$T/data/containers/$id/state.json"
    daemon_kill
    daemon_start
    [ "$(docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' late)" = "exited 5" ]
    docker rm late
}
