#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# volumes.bats - volumes as the docker CLI and dray use them: life, content, options, filters, events.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
    # An image with a folder that has an owner, a mode and an attribute of its own.
    mkdir -p "$T/tree/data/sub"
    echo seed >"$T/tree/data/file"
    ln -s file "$T/tree/data/link"
    chown -R 1000:50 "$T/tree/data"
    chmod 2750 "$T/tree/data"
    setfattr -n user.mark -v yes "$T/tree/data/file" 2>/dev/null || true
    cp /bin/busybox "$T/tree/sh"
    tar -C "$T/tree" --xattrs -cf - . | docker import --change 'VOLUME /data' --change 'ENTRYPOINT ["/sh","-c"]' - seeded
}

teardown_file() { daemon_done; }

teardown() {
    local ids
    ids=$(docker ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -fv $ids >/dev/null
    docker volume prune -af >/dev/null
}

path_of() { docker volume inspect -f '{{.Mountpoint}}' "$1"; }

@test "create, ls, inspect, rm; a name twice is the same volume" {
    [ "$(docker volume create --label a=b one)" = one ]
    [ "$(docker volume create one)" = one ]
    [ "$(docker volume ls -q)" = one ]
    [ "$(docker volume inspect -f '{{.Driver}} {{.Scope}} {{.Labels.a}}' one)" = "local local b" ]
    [ "$(dray volume inspect -f '{{.Driver}} {{.Scope}} {{.Labels.a}}' one)" = "local local b" ]
    [ "$(dray volume rm one)" = one ]
    run docker volume inspect one
    [ "$status" -eq 1 ]
    [[ $output == *"no such volume"* ]]
    [ "$(status_of POST /volumes/create -H 'Content-Type: application/json' -d '{"Name":"../x"}')" = 400 ]
    [ "$(status_of POST /volumes/create -H 'Content-Type: application/json' -d '{"Name":"xx","Driver":"nonesuch"}')" = 404 ]
}

@test "a volume in use is not removed, unless the container has gone" {
    docker create --name user -v held:/x busybox true
    run docker volume rm held
    [ "$status" -eq 1 ]
    [[ $output == *"volume is in use - [$(docker inspect -f '{{.Id}}' user)]"* ]]
    [ "$(status_of DELETE /volumes/held)" = 409 ]
    docker rm user
    docker volume rm held
    [ "$(status_of DELETE /volumes/held)" = 404 ]
    [ "$(status_of DELETE '/volumes/held?force=1')" = 204 ]
}

@test "an empty volume begins as the image's folder: content, owner, mode, links" {
    docker run --rm -v copied:/data seeded :
    p=$(path_of copied)
    [ "$(cat "$p/file")" = seed ]
    [ "$(readlink "$p/link")" = file ]
    [ "$(stat -c '%u:%g %a' "$p")" = "1000:50 2750" ]
    [ "$(stat -c '%u:%g' "$p/file")" = "1000:50" ]
    if getfattr -n user.mark "$T/tree/data/file" >/dev/null 2>&1; then
        [ "$(getfattr --only-values -n user.mark "$p/file")" = yes ]
    fi
    # What is there already is left alone.
    echo mine >"$p/file"
    docker run --rm -v copied:/data seeded :
    [ "$(cat "$p/file")" = mine ]
}

@test "nocopy leaves it empty; a bind mount is never filled" {
    docker run --rm -v bare:/data:nocopy seeded :
    [ -z "$(ls -A "$(path_of bare)")" ]
    docker run --rm --mount type=volume,src=bare2,dst=/data,volume-nocopy seeded :
    [ -z "$(ls -A "$(path_of bare2)")" ]
    mkdir "$T/bound"
    docker run --rm -v "$T/bound:/data" seeded :
    [ -z "$(ls -A "$T/bound")" ]
}

@test "anonymous volumes: of VOLUME and -v, gone with --rm and rm -v, kept by rm" {
    docker run --rm seeded :
    docker run --rm -v /more busybox true
    [ -z "$(docker volume ls -q)" ]
    docker create --name anon -v /more seeded :
    [ "$(docker volume ls -q | wc -l)" -eq 2 ]
    docker rm anon
    [ "$(docker volume ls -q | wc -l)" -eq 2 ]
    docker create --name anon -v /more -v named:/named seeded :
    docker rm -v anon
    [ "$(docker volume ls -q | wc -l)" -eq 3 ]
    docker volume ls -q | grep -qx named
}

@test "a volume where the image has a file is refused when the container is made, and nothing of it stays" {
    local before after
    before=$(docker volume ls -q | wc -l)
    for how in /sh named-over-file:/sh; do
        run docker create -v $how seeded
        [ "$status" -ne 0 ]
        [[ "$output" == *"cannot mount volume over existing file, file exists /sh"* ]]
    done
    docker volume rm named-over-file
    after=$(docker volume ls -q | wc -l)
    [ "$before $(docker ps -aq | wc -l)" = "$after 0" ]
}

@test "volumes-from, read-only, and several containers on one volume" {
    docker create --name source -v shared:/s busybox true
    docker run --rm --volumes-from source busybox sh -c 'echo hello >/s/f'
    [ "$(docker run --rm --volumes-from source:ro busybox cat /s/f)" = hello ]
    run docker run --rm --volumes-from source:ro busybox touch /s/g
    [ "$status" -ne 0 ]
    run docker run --rm -v shared:/s:ro busybox touch /s/g
    [[ $output == *"Read-only file system"* ]]
    run docker run --rm --volumes-from nobody busybox true
    [ "$status" -eq 125 ]
}

@test "subpath mounts a folder of a volume, and nothing outside of it" {
    docker run --rm -v whole:/w busybox sh -c 'mkdir -p /w/a/b; echo deep >/w/a/b/f; ln -s /etc /w/out'
    [ "$(docker run --rm --mount type=volume,src=whole,dst=/x,volume-subpath=a/b busybox cat /x/f)" = deep ]
    run docker run --rm --mount type=volume,src=whole,dst=/x,volume-subpath=nope busybox true
    [ "$status" -ne 0 ]
    run docker run --rm --mount type=volume,src=whole,dst=/x,volume-subpath=../.. busybox true
    [ "$status" -ne 0 ]
    run docker run --rm --mount type=volume,src=whole,dst=/x,volume-subpath=out busybox ls /x/passwd
    [[ $status -ne 0 && $output == *"path concatenation escapes the base directory"* ]]
}

@test "a subpath: through links within, a file, filled from the image, not left by docker cp either" {
    local sub=type=volume,src=inner,dst=/x,volume-subpath
    docker run --rm -v inner:/w busybox sh -c 'mkdir -p /w/a /w/hack /w/bin; echo file >/w/a/f; ln -s ../a /w/hack/good; ln -s /etc /w/hack/root; ln -s root /w/hack/bad'
    [ "$(docker run --rm --mount $sub=hack/good busybox cat /x/f)" = file ]
    [ "$(docker run --rm --mount $sub=a/f busybox cat /x)" = file ]
    [ "$(docker run --rm --mount type=volume,src=inner,dst=/bin,volume-subpath=bin busybox ls /bin/busybox)" = /bin/busybox ]
    docker run --rm -v inner:/w busybox test -e /w/bin/busybox
    docker create --name escaping --mount $sub=hack/bad busybox true
    run docker start escaping
    [[ $status -ne 0 && $output == *"path concatenation escapes the base directory"* ]]
    ! docker cp escaping:/x/passwd - # nor while it is stopped
    docker create --name staying --mount $sub=hack/good busybox true
    docker cp staying:/x/f - | tar xO | grep -x file
    docker start -a staying
    ! grep "$T/exec/containers/.*/sub-" /proc/self/mountinfo
    docker rm escaping staying
    docker volume rm inner
}

@test "local's options: tmpfs, bind, an ext4 image; mounted while used" {
    docker volume create -o type=tmpfs -o device=tmpfs -o o=size=1m,uid=1000 ram
    run docker run --rm -v ram:/r busybox sh -c 'stat -c %u /r; dd if=/dev/zero of=/r/f bs=1M count=2'
    [[ $output == 1000* && $output == *"No space left"* ]]
    mkdir -p "$T/src"
    docker volume create -o type=none -o o=bind -o "device=$T/src" bound
    docker run --rm -v bound:/b busybox touch /b/here
    [ -e "$T/src/here" ]
    truncate -s 8M "$T/disk.img"
    mkfs.ext4 -q "$T/disk.img"
    docker volume create -o type=ext4 -o "device=$T/disk.img" -o o=loop disk
    docker run -d --name on1 -v disk:/d busybox sleep 1000
    docker run --rm -v disk:/d busybox sh -c 'echo kept >/d/f'
    [ "$(grep -c " $(path_of disk) " /proc/self/mountinfo)" -eq 1 ]
    docker rm -f on1
    run ! grep -q " $(path_of disk) " /proc/self/mountinfo
    [ "$(docker run --rm -v disk:/d busybox cat /d/f)" = kept ]
    docker volume create -o type=nfs -o device=:/x -o o=addr=127.0.0.1,soft,timeo=1,retrans=1 far
    run timeout 60 docker run --rm -v far:/x busybox true
    [ "$status" -eq 125 ]
    [[ $output == *"failed to mount local volume"* ]]
    run docker volume create -o nonsense=1 bad
    [ "$status" -ne 0 ]
}

@test "filters and prune: dangling, driver, label, name; anonymous ones unless all" {
    docker volume create --label keep=1 vol-a
    docker volume create vol-b
    docker create --name user -v vol-c:/c -v /anon busybox true
    [ "$(docker volume ls -q -f name=vol | sort | paste -sd ' ')" = "vol-a vol-b vol-c" ]
    [ "$(docker volume ls -q -f dangling=true | sort | paste -sd ' ')" = "vol-a vol-b" ]
    [ "$(docker volume ls -q -f label=keep=1)" = vol-a ]
    [ -z "$(docker volume ls -q -f driver=other)" ]
    run docker volume ls -f what=1
    [ "$status" -ne 0 ]
    docker rm user
    docker volume prune -f
    [ "$(docker volume ls -q | sort | paste -sd ' ')" = "vol-a vol-b vol-c" ]
    docker volume prune -af --filter label!=keep
    [ "$(docker volume ls -q)" = vol-a ]
    [[ $(docker system df --format '{{.Type}} {{.TotalCount}}') == *"Local Volumes 1"* ]]
}

@test "events: create, mount, unmount, destroy" {
    since=$(date +%s.%N)
    docker run --rm -v ev:/e busybox true
    docker volume rm ev
    run docker events --since "$since" --until "$(date +%s.%N)" --filter type=volume --filter volume=ev --format '{{.Action}}'
    [ "$output" = $'create\nmount\nunmount\ndestroy' ]
}

@test "propagation: shared and slave need a mount that is shared" {
    mkdir -p "$T/prop"
    mount -t tmpfs tmpfs "$T/prop"
    mount --make-private "$T/prop"
    for mode in shared rshared slave rslave; do
        run docker run --rm -v "$T/prop:/p:$mode" busybox true
        [ "$status" -eq 125 ]
        [[ $output == *"path $T/prop is mounted on $T/prop but it is not a shared"* ]]
    done
    docker run --rm -v "$T/prop:/p:rprivate" busybox true
    mount --make-shared "$T/prop"
    mkdir "$T/prop/in"
    docker run -d --name slave -v "$T/prop:/p:rslave" busybox sleep 1000
    mount -t tmpfs tmpfs "$T/prop/in"
    docker exec slave grep -q ' /p/in ' /proc/self/mountinfo
    docker rm -f slave
    docker run --rm --privileged -v "$T/prop:/p:rshared" busybox sh -c 'mkdir /p/out && mount -t tmpfs tmpfs /p/out'
    grep -q " $T/prop/out " /proc/self/mountinfo
    umount -R "$T/prop"
}
