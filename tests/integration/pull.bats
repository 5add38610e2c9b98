#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# pull.bats - the story that Docker is explained by: run an image that is not there yet. A real
# registry, a real Python image of several layers, `dray` and the unmodified docker CLI.

load lib
load registry

setup_file() {
    daemon_init
    registry_start
    push "$(python_oci)" python:3
    push_busybox
    daemon_start
}

teardown_file() {
    registry_stop
    daemon_done
}

setup() { docker rmi -f "$REGISTRY/python:3" "$REGISTRY/busybox" >/dev/null 2>&1 || true; }

@test "dray run pulls layer by layer, runs, streams, returns the exit code" {
    run --separate-stderr dray run --rm "$REGISTRY/python:3" python3 hello.py 42
    [ "$status" -eq 42 ]
    [ "$output" = "python 3 Linux" ]
    [[ "$stderr" == *"Unable to find image '$REGISTRY/python:3' locally"* ]]
    [[ "$stderr" == *"Pulling from python"* ]]
    [ "$(grep -c 'Pull complete' <<<"$stderr")" -eq 3 ]
    [[ "$stderr" == *"Digest: sha256:"* ]]
    [[ "$stderr" == *"Status: Downloaded newer image for $REGISTRY/python:3"* ]]
}

@test "docker run does the same" {
    run --separate-stderr docker run --rm "$REGISTRY/python:3" python3 hello.py 7
    [ "$status" -eq 7 ]
    [ "$output" = "python 3 Linux" ]
    [ "$(grep -c 'Pull complete' <<<"$stderr")" -eq 3 ]
}

@test "the second run pulls nothing" {
    docker pull -q "$REGISTRY/python:3"
    run --separate-stderr dray run --rm "$REGISTRY/python:3" python3 -c 'print(6 * 7)'
    [ "$output" = 42 ]
    [ -z "$stderr" ]
    run docker pull "$REGISTRY/python:3"
    [[ "$output" == *"Status: Image is up to date for $REGISTRY/python:3"* ]]
}

@test "a terminal sees progress bars" {
    run script -qec "stty rows 40 cols 120; dray pull $REGISTRY/python:3" /dev/null
    [ "$status" -eq 0 ]
    [[ "$output" == *"["*"]"*"MB"* || "$output" == *"["*"]"*"kB"* ]]
    [[ "$output" == *"Pull complete"* ]]
}

@test "images are listed with the registry's own digest" {
    docker pull -q "$REGISTRY/busybox"
    want=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$REGISTRY/busybox")
    run docker images --digests --format '{{.Repository}} {{.Tag}} {{.Digest}}'
    [[ "$output" == *"$REGISTRY/busybox latest $want"* ]]
    run docker image inspect -f '{{index .RepoDigests 0}}' "$REGISTRY/busybox"
    [ "$output" = "$REGISTRY/busybox@$want" ]
    run docker run --rm "$REGISTRY/busybox@$want" echo by digest
    [ "$output" = "by digest" ]
}

@test "what is not there is said as Docker says it" {
    run docker pull "$REGISTRY/nosuch:1"
    [ "$status" -ne 0 ]
    [[ "$output" == *"not found"* || "$output" == *"manifest unknown"* ]]
    run docker run --rm "$REGISTRY/nosuch:1"
    [ "$status" -eq 125 ]
    run docker pull "127.0.0.1:1/x"
    [ "$status" -ne 0 ]
    [[ "$output" == *"connection refused"* ]]
}

@test "tag, push, pull back: the same digest" {
    docker pull -q "$REGISTRY/busybox"
    docker tag "$REGISTRY/busybox" "$REGISTRY/copy:2"
    run docker push "$REGISTRY/copy:2"
    [ "$status" -eq 0 ]
    [[ "$output" == *"digest: sha256:"* ]]
    [ "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$REGISTRY/copy:2")" = \
      "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$REGISTRY/busybox")" ]
    docker rmi "$REGISTRY/copy:2"
}

@test "save and load, with docker's and skopeo's archives" {
    docker pull -q "$REGISTRY/busybox"
    id=$(docker image inspect -f '{{.Id}}' "$REGISTRY/busybox")
    docker save -o "$T/saved.tar" "$REGISTRY/busybox"
    docker rmi "$REGISTRY/busybox"
    run docker load -i "$T/saved.tar"
    [[ "$output" == *"Loaded image: $REGISTRY/busybox:latest"* ]]
    [ "$(docker image inspect -f '{{.Id}}' "$REGISTRY/busybox")" = "$id" ]
    skopeo copy --quiet "oci:$DRAY_CACHE/busybox-oci" "docker-archive:$T/skopeo.tar:fromskopeo:1"
    gzip "$T/skopeo.tar"
    run docker load -i "$T/skopeo.tar.gz"
    [[ "$output" == *"Loaded image: fromskopeo:1"* ]]
    run docker run --rm fromskopeo:1 echo loaded
    [ "$output" = loaded ]
    docker rmi fromskopeo:1
}

@test "an image that a container uses is not removed" {
    docker pull -q "$REGISTRY/busybox"
    docker create --name user "$REGISTRY/busybox"
    run docker rmi "$REGISTRY/busybox"
    [ "$status" -ne 0 ]
    [[ "$output" == *"conflict: unable to remove repository reference"* ]]
    docker rm user
    run docker rmi "$REGISTRY/busybox"
    [ "$status" -eq 0 ]
    [[ "$output" == *"Untagged: $REGISTRY/busybox:latest"* && "$output" == *"Deleted: sha256:"* ]]
}
