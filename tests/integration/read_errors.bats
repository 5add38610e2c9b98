#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# read_errors.bats - a disk that cannot read, or reads other bytes, is told by save, export and push: what comes
# out is whole or it is a failure.

load lib
load registry

setup_file() {
    daemon_init
    registry_start
    daemon_start --storage-driver vfs # whose files a test can put another file over
    make_image
}

teardown_file() {
    registry_stop
    daemon_done
}

# Loaded, so that it is in no registry: an image with a layer of two megabytes that do not compress.
make_image() {
    mkdir -p "$T/tree/dir"
    head -c 2000000 /dev/urandom >"$T/tree/dir/data"
    echo last >"$T/tree/last"
    tar -C "$T/tree" -cf "$T/layer.tar" .
    "$BATS_TEST_DIRNAME/mkimage.py" "$T/oci" '{"Cmd":["x"]}' "$T/layer.tar"
    tar -C "$T/oci" -c . | docker load >"$T/out"
    docker tag "$(sed -n 's/Loaded image.*: //p' "$T/out")" "$REGISTRY/odd:1"
    docker create --name odd "$REGISTRY/odd:1" >/dev/null
}

setup() {
    [ -c /dev/fuse ] || skip "no /dev/fuse"
    blob=$(find "$T/data/blobs/sha256" -size +1900k)
    [ -f "$blob" ]
}

teardown() {
    umount -l "${covered:-/nowhere}" 2>/dev/null || true
    [ -z "${hold:-}" ] || exec {hold}>&-
    wait_until 10 no_fuse
    docker info >/dev/null # it is alive
}

no_fuse() { ! grep -q " $T/bad " /proc/self/mountinfo; }

# From here on reads of FILE fail behind a megabyte.
cover() { # FILE
    covered=$1
    mkdir -p "$T/bad"
    rm -f "$T/fifo"
    mkfifo "$T/fifo"
    python3 "$BATS_TEST_DIRNAME/eio_fuse.py" "$T/bad" "$1" 1048576 <"$T/fifo" >"$T/fuse.out" 3>&- &
    exec {hold}>"$T/fifo"
    wait_until 10 grep -q mounted "$T/fuse.out"
    mount --bind "$T/bad/file" "$1"
    if cat "$1" >/dev/null 2>&1; then return 1; fi
}

# The status that the registry answers for the image's manifest.
in_registry() {
    [ "$(curl -s -o /dev/null -w '%{http_code}' -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
        "http://$REGISTRY/v2/odd/manifests/1")" = "$1" ]
}

works_again() {
    umount "$covered"
    covered=
    docker save "$REGISTRY/odd:1" | tar -t >/dev/null
    docker export odd | tar -xO dir/data | cmp - "$T/tree/dir/data"
}

@test "save of a blob that cannot be read fails" {
    cover "$blob"
    run docker save -o "$T/saved.tar" "$REGISTRY/odd:1"
    [ "$status" -ne 0 ]
    works_again
}

@test "push of a blob that cannot be read fails and says why" {
    cover "$blob"
    run docker push "$REGISTRY/odd:1"
    [ "$status" -ne 0 ]
    [[ $output == *"Input/output error"* ]]
    in_registry 404
    works_again
}

@test "export of a file that cannot be read fails" {
    cover "$(find "$T/data/storage/vfs" -path '*dir/data' | sort | tail -n 1)"
    find "$T/data/storage/vfs" -path '*dir/data' | while read -r other; do
        [ "$other" = "$covered" ] || mount --bind "$T/bad/file" "$other"
    done
    run bash -c 'docker export odd >"$T/exported.tar"'
    find "$T/data/storage/vfs" -path '*dir/data' | while read -r other; do
        [ "$other" = "$covered" ] || umount "$other"
    done
    [ "$status" -ne 0 ]
    works_again
}

@test "a blob whose bytes have changed is neither pushed nor saved" {
    cp "$blob" "$T/whole"
    printf changed | dd of="$blob" bs=1 seek=1000000 conv=notrunc 2>/dev/null
    run docker push "$REGISTRY/odd:1"
    [ "$status" -ne 0 ]
    [[ $output == *"has been altered on this machine"* ]]
    in_registry 404
    run docker save -o "$T/saved.tar" "$REGISTRY/odd:1"
    [ "$status" -ne 0 ]
    cat "$T/whole" >"$blob"
    docker push -q "$REGISTRY/odd:1"
    in_registry 200
    docker save -o "$T/saved.tar" "$REGISTRY/odd:1"
    plain=$(gzip -dc "$blob" | sha256sum | cut -d ' ' -f 1)
    tar -xOf "$T/saved.tar" "blobs/sha256/$plain" | cmp - <(gzip -dc "$blob")
}
