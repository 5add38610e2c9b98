#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# layout.bats - OCI layouts as registries: "oci:/path" of a folder or a tar is pulled from and pushed to.

load lib
load registry

setup_file() {
    daemon_init
    mkdir -p "$DRAY_CACHE" "$T/l/two"
    echo two >"$T/l/two/two.txt"
    tar -C "$T/l/two" -cf "$T/l/two.tar" .
    "$BATS_TEST_DIRNAME/mkimage.py" "$T/l/App" '{"Cmd":["sh"],"Env":["PATH=/bin"]}' "$(busybox_tar)" "$T/l/two.tar:zstd"
    daemon_start
}

teardown_file() { daemon_done; }

setup() { docker image prune -af >/dev/null; }

digest_of() { skopeo inspect --format '{{.Digest}}' "oci:$1"; }

@test "an image is pulled from a folder, by tag and by digest, and run" {
    run dray pull "oci:$T/l/App"
    [ "$status" -eq 0 ]
    [ "$(grep -c 'Pull complete' <<<"$output")" -eq 2 ]
    [[ "$output" == *"Digest: $(digest_of "$T/l/App")"* ]]
    name=$(docker images --format '{{.Repository}}:{{.Tag}}')
    [[ "$name" == localhost/tmp/dray-it.*/l/app:latest ]]
    run docker run --rm --network none "$name" cat /two.txt
    [ "$output" = two ]
    run dray run --rm --network none "oci:$T/l/App" echo by path
    [ "$output" = "by path" ]
    docker rmi "$name"
    dray pull -q "oci:$T/l/App@$(digest_of "$T/l/App")"
    (cd "$T/l" && run dray pull "oci:./App" && [ "$status" -eq 0 ])
}

@test "a tar of a layout will do, compressed or not" {
    tar -C "$T/l/App" -cf "$T/l/app.tar" .
    tar -C "$T/l/App" -czf "$T/l/app.tgz" .
    for f in app.tar app.tgz; do
        run dray pull "oci:$T/l/$f"
        [ "$status" -eq 0 ]
        run dray run --rm --network none "oci:$T/l/$f" cat /two.txt
        [ "$output" = two ]
    done
    run dray push "oci:$T/l/app.tar"
    [ "$status" -ne 0 ]
    [[ "$output" == *"is an archive: images can be pushed to a folder only"* ]]
}

@test "images are pushed to a folder, which others can read" {
    dray pull -q "oci:$T/l/App"
    dray tag "oci:$T/l/App" plain:1
    dray tag plain:1 "oci:$T/l/out:1"
    dray tag plain:1 "oci:$T/l/out:2"
    run dray push "oci:$T/l/out:1"
    [ "$status" -eq 0 ]
    [[ "$output" == *"1: digest: sha256:"* ]]
    dray push -q "oci:$T/l/out:2"
    dray push -q "oci:$T/l/out:2"
    [ "$(jq '.manifests | length' "$T/l/out/index.json")" -eq 2 ]
    skopeo copy -q "oci:$T/l/out:2" "dir:$T/l/copied"
    [ "$(docker image inspect -f '{{index .RepoDigests 0}}' "$(docker images -q plain:1)" | cut -d@ -f2)" = "$(digest_of "$T/l/out:1")" ]
    id=$(docker images -q --no-trunc plain:1)
    docker rmi -f "$id"
    run dray pull -a "oci:$T/l/out"
    [ "$status" -eq 0 ]
    [ "$(docker images -q --no-trunc | sort -u)" = "$id" ]
    [ "$(docker images -q | wc -l)" -eq 2 ]
    # Other manifests than OCI's go there and back as well.
    busybox_import docker:1
    dray tag docker:1 "oci:$T/l/out:3"
    dray push -q "oci:$T/l/out:3"
    docker rmi docker:1
    docker rmi -f "$(docker images -q --no-trunc --filter "reference=localhost/**:3")"
    dray pull -q "oci:$T/l/out:3"
    # What is not a layout is left alone.
    mkdir "$T/l/other" && touch "$T/l/other/precious"
    dray tag "$id" "oci:$T/l/other:1"
    run dray push "oci:$T/l/other:1"
    [ "$status" -ne 0 ]
    [ "$(ls "$T/l/other")" = precious ]
}

@test "what is missing, broken or hostile is refused" {
    run dray pull "oci:$T/l/nowhere"
    [ "$status" -ne 0 ]
    [[ "$output" == *"not found"* ]]
    run dray pull "oci:$T/l/App:nosuch"
    [[ "$output" == *"manifest for"*"nosuch not found"* ]]
    run dray pull "oci:$T/../etc/x"
    [[ "$output" == *"invalid reference format"* ]]
    cp -r "$T/l/App" "$T/l/bad"
    blob=$(find "$T/l/bad/blobs/sha256" -size +100k -type f | head -n 1)
    printf x | dd of="$blob" bs=1 seek=5000 conv=notrunc status=none
    run dray pull "oci:$T/l/bad"
    [ "$status" -ne 0 ]
    # A link out of the folder is not followed.
    cp "$T/l/App/blobs/sha256/${blob##*/}" "$T/l/outside"
    ln -sf ../../../outside "$blob"
    run dray pull "oci:$T/l/bad"
    [ "$status" -ne 0 ]
    echo '{"manifests":{}}' >"$T/l/bad/index.json"
    run dray pull "oci:$T/l/bad"
    [[ "$output" == *"is not that of an OCI layout"* ]]
    [ -z "$(docker images -aq)" ]
}
