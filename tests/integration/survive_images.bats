#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# survive_images.bats - images through kill -9 at random instants, full disks, and other programs' hands.
# DRAY_TEST_ROUNDS: how often each is killed (3 by default; 50 is a good run).

load lib
load registry

ROUNDS=${DRAY_TEST_ROUNDS:-3}

setup_file() {
    daemon_init
    registry_start
    push_busybox
    make_images
    daemon_start
}

teardown_file() {
    [ ! -r "$T/peer.pid" ] || kill "$(cat "$T/peer.pid")"
    registry_stop
    daemon_done
}

setup() { docker image prune -af >/dev/null; }

make_images() {
    local i
    for i in 1 2 3 4; do
        mkdir -p "$T/l/big$i/d"
        head -c 6000000 /dev/urandom >"$T/l/big$i/data$i"
        for f in $(seq 200); do echo "$f" >"$T/l/big$i/d/$i-$f"; done
        tar -C "$T/l/big$i" -cf "$T/l/big$i.tar" .
    done
    "$BATS_TEST_DIRNAME/mkimage.py" "$T/l/large" '{"Cmd":["x"]}' "$T"/l/big1.tar "$T"/l/big2.tar:zstd "$T"/l/big3.tar:none "$T"/l/big4.tar
    push "$T/l/large" large:1
}

# Every blob has the digest of its name; every listed image has all of its blobs, or makes its tars of its layers,
# which are all there: a save verifies them.
verify_store() {
    local f want
    for f in "$T"/data/blobs/sha256/*; do
        [ -e "$f" ] || continue
        echo "$(basename "$f")  $f" | sha256sum --check --quiet || return 1
    done
    for f in $(docker images -aq | sort -u); do docker save "$f" | tar -t >/dev/null || return 1; done
    for f in "$T"/data/images/*.json; do
        [ -e "$f" ] || continue
        for want in $(python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
print(d["id"], d["manifest"], *[l["digest"] for l in d["layers"] if l["digest"] != l["diff"]])' "$f"); do
            [ -e "$T/data/blobs/sha256/${want#sha256:}" ] || { echo "missing $want"; return 1; }
        done
    done
    for f in $(docker images -q | sort -u); do
        docker create --name "verify-$f" "$f" x >/dev/null && docker export "verify-$f" | tar -t >/dev/null || return 1
        docker rm "verify-$f" >/dev/null
    done
}

nothing_left() {
    docker image prune -af >/dev/null
    [ -z "$(docker images -aq)" ] || return 1
    [ -z "$(ls "$T/data/images")$(ls "$T/data/blobs/sha256")$(ls "$T/data/ingest")$(ls "$T/data/tmp" 2>/dev/null)" ] ||
        { ls -R "$T/data/images" "$T/data/blobs" "$T/data/ingest" "$T/data/tmp"; return 1; }
    # Only layers that containers or the empty image need are left: none.
    [ "$(ls "$T/data/layers" 2>/dev/null | wc -l)" -le 1 ]
}

content_is_right() { # IMAGE
    local i
    docker create --name whole "$1" x >/dev/null
    for i in 1 2 3 4; do docker cp "whole:/data$i" - | tar -xO | cmp - "$T/l/big$i/data$i" || return 1; done
    docker rm whole >/dev/null
}

# kill_amid COMMAND...: run it, kill the daemon at a random instant of its first half second, start it again
kill_amid() {
    "$@" >/dev/null 2>&1 3>&- &
    local job=$!
    sleep "0.$(printf %03d $((RANDOM % 500)))"
    daemon_kill
    wait $job || true
    daemon_start
}

@test "killed amid pulls" {
    for _ in $(seq "$ROUNDS"); do
        kill_amid docker pull "$REGISTRY/large:1"
        verify_store
    done
    docker pull -q "$REGISTRY/large:1"
    content_is_right "$REGISTRY/large:1"
    nothing_left
}

@test "killed amid pushes" {
    docker pull -q "$REGISTRY/large:1"
    for i in $(seq "$ROUNDS"); do
        docker tag "$REGISTRY/large:1" "$REGISTRY/push$i:1"
        kill_amid docker push "$REGISTRY/push$i:1"
        verify_store
        docker push -q "$REGISTRY/push$i:1"
        skopeo inspect --tls-verify=false "docker://$REGISTRY/push$i:1" >/dev/null
    done
    nothing_left
}

@test "killed amid loads and imports" {
    docker pull -q "$REGISTRY/large:1"
    docker save -o "$T/large.tar" "$REGISTRY/large:1"
    docker rmi "$REGISTRY/large:1"
    for _ in $(seq "$ROUNDS"); do
        kill_amid docker load -i "$T/large.tar"
        verify_store
        kill_amid docker import "$T/l/big1.tar" imported:1
        verify_store
    done
    docker load -i "$T/large.tar"
    content_is_right "$REGISTRY/large:1"
    nothing_left
}

@test "killed amid removal" {
    for _ in $(seq "$ROUNDS"); do
        docker pull -q "$REGISTRY/large:1"
        docker import "$T/l/big2.tar" >/dev/null
        "docker" image prune -af >/dev/null 2>&1 3>&- &
        job=$!
        sleep "0.0$(printf %02d $((RANDOM % 40)))"
        daemon_kill
        wait $job || true
        daemon_start
        verify_store
    done
    docker pull -q "$REGISTRY/large:1"
    content_is_right "$REGISTRY/large:1"
    nothing_left
}

@test "prune, pull, load and run at once never take what is used" {
    docker pull -q "$REGISTRY/large:1"
    docker save -o "$T/large.tar" "$REGISTRY/large:1"
    (for _ in $(seq 15); do docker image prune -af; done) >/dev/null 2>&1 3>&- &
    pruner=$!
    for i in $(seq 5); do
        docker pull -q "$REGISTRY/large:1" >"$T/out" 2>&1 || { cat "$T/out"; false; }
        docker load -q -i "$T/large.tar" >"$T/out" 2>&1 || { cat "$T/out"; false; }
        docker pull -q "$REGISTRY/busybox" >"$T/out" 2>&1 || { cat "$T/out"; false; }
        if id=$(docker create "$REGISTRY/busybox" sh 2>/dev/null); then
            docker export "$id" | tar -t | grep -q bin/busybox
            docker rm "$id" >/dev/null
        fi
    done
    wait $pruner
    verify_store
    nothing_left
}

@test "an image that comes from an archive and a registry keeps what its document names" {
    local first second
    docker pull -q "$REGISTRY/large:1"
    docker save -o "$T/large.tar" "$REGISTRY/large:1"
    for first in pull load; do
        docker image prune -af >/dev/null
        if [ $first = pull ]; then second=load; else second=pull; fi
        for how in $first $second; do
            if [ $how = pull ]; then docker pull -q "$REGISTRY/large:1"; else docker load -q -i "$T/large.tar"; fi
        done
        verify_store
        daemon_kill
        daemon_start
        verify_store
        content_is_right "$REGISTRY/large:1"
    done
    docker rmi "$REGISTRY/large:1"
    nothing_left
}

@test "a full disk is said, nothing broken stays, and the repeat succeeds" {
    truncate -s 60M "$T/small.img"
    mkfs.ext4 -q -O ^has_journal "$T/small.img"
    mkdir -p "$T/small"
    mount -o loop "$T/small.img" "$T/small"
    (
        export T2=$T/second DOCKER_HOST=unix://$T/second/dray.sock
        mkdir -p "$T2"
        setsid "$DRAY_STAGE/bin/drayd" --data-root "$T/small" --exec-root "$T2/exec" -H "$DOCKER_HOST" --pidfile "$T2/pid" \
            --config-file "$T/daemon.json" --bridge none </dev/null >>"$T/drayd.log" 2>&1 3>&- &
        wait_until 10 curl -sf -o /dev/null --unix-socket "$T2/dray.sock" http://d/_ping
        rc=0
        head -c 20000000 /dev/zero >"$T/small/ballast"
        for what in "pull $REGISTRY/large:1" "load -i $T/large.tar" "import $T/l/huge.tar"; do
            [ -e "$T/l/huge.tar" ] || cat "$T"/l/big[1-4].tar >"$T/l/huge.tar"
            # shellcheck disable=SC2086
            docker $what >"$T/out" 2>&1 && { [ "${what%% *}" = import ] || { echo "$what succeeded"; rc=1; }; }
            [ "${what%% *}" = import ] || grep -qi 'no space left' "$T/out" || { cat "$T/out"; rc=1; }
            docker image prune -af >/dev/null
            [ -z "$(docker images -aq)" ] || rc=1
            [ -z "$(ls "$T/small/blobs/sha256" "$T/small/ingest" | grep -v :)" ] || { ls "$T/small/blobs/sha256" "$T/small/ingest"; rc=1; }
        done
        rm "$T/small/ballast"
        wait_until 10 docker pull -q "$REGISTRY/busybox" >/dev/null || rc=1
        docker create --name x1 "$REGISTRY/busybox" sh >/dev/null && docker export x1 | tar -t | grep -q bin/busybox || rc=1
        docker rm x1 >/dev/null
        pid=$(cat "$T2/pid")
        kill "$pid"
        wait_until 15 gone "$pid" || rc=1
        exit $rc
    )
    wait_until 5 umount "$T/small"
}

# on_disk COMMAND...: run it with a second daemon, at $DOCKER_HOST, whose data is below $T/small
on_disk() (
    export T2=$T/second DOCKER_HOST=unix://$T/second/dray.sock
    mkdir -p "$T2"
    setsid "$DRAY_STAGE/bin/drayd" --data-root "$T/small/data" --exec-root "$T2/exec" -H "$DOCKER_HOST" --pidfile "$T2/pid" \
        --config-file "$T/daemon.json" --bridge none </dev/null >>"$T/drayd.log" 2>&1 3>&- &
    wait_until 20 curl -sf -o /dev/null --unix-socket "$T2/dray.sock" http://d/_ping
    rc=0
    "$@" || rc=1
    curl -sf -o /dev/null --unix-socket "$T2/dray.sock" http://d/_ping || rc=1
    pid=$(cat "$T2/pid")
    kill "$pid"
    wait_until 30 gone "$pid" || rc=1
    exit $rc
)

# The kernel tells of a write that such a disk did not take in one of two ways.
is_refused() { grep -qiE 'input/output error|no space left on device' "$1"; }

refuses_to_list() { # a pull that the disk did not take is no image
    ! docker pull "$REGISTRY/large:1" >"$T/out" 2>&1 || return 1
    is_refused "$T/out" || { cat "$T/out"; return 1; }
    [ -z "$(docker images -aq)" ]
}

# a_disk SIZE STORE: a file system of SIZE at $T/small, on a disk that takes no more than STORE
a_disk() {
    mkdir -p "$T/tiny" "$T/small"
    mount -t tmpfs -o size="$2" tmpfs "$T/tiny"
    truncate -s "$1" "$T/tiny/disk"
    mkfs.ext4 -q -O ^has_journal "$T/tiny/disk"
    mount -o loop "$T/tiny/disk" "$T/small"
}

no_disk() {
    wait_until 5 umount "$T/small"
    wait_until 5 umount "$T/tiny"
}

@test "a disk that fails to write is said, and nothing is listed that is not on it" {
    a_disk 100M 16m # its file system believes in blocks that it will not give
    run on_disk refuses_to_list
    no_disk
    [ "$status" -eq 0 ] || { echo "$output"; false; }
}

written() { awk '{print int($7 / 2048)}' "/sys/dev/block/$(mountpoint -d "$T/small")/stat"; }

# an_import: feed 150 MB to `docker import` and end the archive only after `ready` was run
an_import() {
    local size=150000000
    BEFORE=$(written)
    [ -p "$T/slow" ] || mkfifo "$T/slow"
    { python3 -c "
import sys, tarfile
entry = tarfile.TarInfo('big')
entry.size = $size
sys.stdout.buffer.write(entry.tobuf())"
      head -c "$size" /dev/urandom; "$@"; head -c $((1024 + 512 - size % 512)) /dev/zero; } >"$T/slow" &
    docker import "$T/slow" slow >"$T/out" 2>&1
}

enough() { [ "$(written)" -ge $((BEFORE + 64)) ]; } # of the 150 that were sent
on_its_way() { wait_until 5 enough && touch "$T/early"; }

@test "what is unpacked goes to the disk while more comes in" {
    a_disk 400M 390m
    run on_disk an_import on_its_way
    no_disk
    [ "$status" -eq 0 ] || { echo "$output"; false; }
    [ -e "$T/early" ]
}

then_well() { on_its_way && mount -o remount,size=390m "$T/tiny"; }

refuses_import() {
    ! an_import then_well || return 1
    is_refused "$T/out" || { cat "$T/out"; return 1; }
    [ -z "$(docker images -aq)" ]
}

@test "a disk that failed to write while more came in is said, though it is well at the end" {
    a_disk 400M 40m
    run on_disk refuses_import
    no_disk
    [ "$status" -eq 0 ] || { echo "$output"; false; }
}

# The kernel tells of a failed write once: another import, which is told, must not hide it from the first.
told_to_another() {
    on_its_way || return 1
    tar -C "$T/l" -c big1.tar | docker import - other >"$T/other" 2>&1 && touch "$T/hidden"
    mount -o remount,size=390m "$T/tiny"
}

refuses_both() {
    rm -f "$T/hidden"
    ! an_import told_to_another || { echo "the second: $(cat "$T/other")"; return 1; }
    is_refused "$T/out" || { cat "$T/out"; return 1; }
    [ ! -e "$T/hidden" ]
    [ -z "$(docker images -aq)" ]
}

@test "a disk that failed to write is said to each that wrote to it" {
    a_disk 400M 40m
    run on_disk refuses_both
    no_disk
    [ "$status" -eq 0 ] || { echo "$output"; false; }
}

@test "round trips with dockerd and skopeo: the same ids, diff ids and digests" {
    command -v dockerd >/dev/null || skip "dockerd is not installed"
    peer() { docker -H "unix://$T/peer.sock" "$@"; }
    setsid dockerd --data-root "$T/peer" --exec-root "$T/peer-exec" -H "unix://$T/peer.sock" --pidfile "$T/peer.pid" --bridge none \
        --iptables=false --storage-driver vfs </dev/null >"$T/peer.log" 2>&1 3>&- &
    wait_until 30 test -S "$T/peer.sock"
    wait_until 30 peer version >/dev/null 2>&1
    facts='{{.Id}} {{json .RootFS.Layers}} {{json .Config.Cmd}} {{json .RepoDigests}}'
    docker pull -q "$REGISTRY/large:1"
    peer pull -q "$REGISTRY/large:1" || true # 20.10 has no zstd
    # Dray's save is dockerd's load, and the other way round.
    docker pull -q "$REGISTRY/busybox"
    peer pull -q "$REGISTRY/busybox"
    [ "$(docker image inspect -f "$facts" "$REGISTRY/busybox")" = "$(peer image inspect -f "$facts" "$REGISTRY/busybox")" ]
    short='{{.Id}} {{json .RootFS.Layers}} {{json .Config.Cmd}}'
    peer rmi "$REGISTRY/busybox" >/dev/null
    docker save "$REGISTRY/busybox" | peer load -q
    [ "$(docker image inspect -f "$short" "$REGISTRY/busybox")" = "$(peer image inspect -f "$short" "$REGISTRY/busybox")" ]
    docker rmi "$REGISTRY/busybox" >/dev/null
    peer save "$REGISTRY/busybox" | docker load -q
    [ "$(docker image inspect -f "$short" "$REGISTRY/busybox")" = "$(peer image inspect -f "$short" "$REGISTRY/busybox")" ]
    # What dockerd pushes, Dray pulls; what Dray commits and pushes, dockerd and skopeo read.
    peer tag "$REGISTRY/busybox" "$REGISTRY/frompeer:1"
    peer push -q "$REGISTRY/frompeer:1"
    docker pull -q "$REGISTRY/frompeer:1"
    [ "$(docker image inspect -f "$facts" "$REGISTRY/frompeer:1")" = "$(peer image inspect -f "$facts" "$REGISTRY/frompeer:1")" ]
    docker run --name changed --network none "$REGISTRY/busybox" sh -c 'echo new >/new; rm /etc/group; ln /new /hard; mkfifo /p'
    docker commit changed "$REGISTRY/committed:1" >/dev/null
    docker push -q "$REGISTRY/committed:1"
    peer pull -q "$REGISTRY/committed:1"
    [ "$(docker image inspect -f "$facts" "$REGISTRY/committed:1")" = "$(peer image inspect -f "$facts" "$REGISTRY/committed:1")" ]
    [ "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$REGISTRY/committed:1")" = \
      "$(docker image inspect -f '{{index .RepoDigests 0}}' "$REGISTRY/committed:1" | cut -d@ -f2)" ]
    # Both see the same file system: export here, import there.
    peer create --name theirs "$REGISTRY/committed:1" sh >/dev/null
    docker create --name ours "$REGISTRY/committed:1" sh >/dev/null
    list() { tar -tv | awk '{print $1, $3, $6, $7, $8}' | sed 's,/ *$,,' | grep -vE ' (dev|proc|sys|etc/(hosts|hostname|resolv.conf|mtab)|\.dockerenv)' | sort; }
    diff <(peer export theirs | tar -t | sed 's,^\./,,; s,/$,,' | grep -vE '^(dev|proc|sys|etc/(hosts|hostname|resolv.conf|mtab)|\.dockerenv)' | sort) \
        <(docker export ours | tar -t | sed 's,^\./,,; s,/$,,' | grep -vE '^(dev|proc|sys|etc/(hosts|hostname|resolv.conf|mtab)|\.dockerenv)' | sort)
    peer export theirs | docker import - imported:1 >/dev/null
    [ "$(docker run --rm --network none imported:1 /bin/cat /new)" = new ]
    docker rm changed ours >/dev/null
    skopeo copy -q --src-tls-verify=false "docker://$REGISTRY/committed:1" "docker-archive:$T/sk.tar:sk:1"
    docker load -q -i "$T/sk.tar"
    [ "$(docker image inspect -f "$short" sk:1)" = "$(docker image inspect -f "$short" "$REGISTRY/committed:1")" ]
    kill "$(cat "$T/peer.pid")"
    wait_until 20 test ! -e "$T/peer.pid"
    rm -rf "$T/peer" "$T/peer-exec"
}
