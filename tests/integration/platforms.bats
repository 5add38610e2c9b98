#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# platforms.bats - images of several platforms: what is here of their index, and how it travels.

load lib
load registry

setup_file() {
    daemon_init
    registry_start
    mkdir -p "$T/l/other"
    echo other >"$T/l/other/file"
    tar -C "$T/l/other" -cf "$T/l/other.tar" .
    "$BATS_TEST_DIRNAME/mkimage.py" "$T/l/amd64" '{"Cmd":["/bin/true"]}' "$(busybox_tar)"
    ARCH=arm64 "$BATS_TEST_DIRNAME/mkimage.py" "$T/l/arm64" '{"Cmd":["/arm"]}' "$T/l/other.tar" "$(busybox_tar)"
    "$BATS_TEST_DIRNAME/mkindex.py" "$T/l/multi" "$T/l/amd64" "$T/l/arm64"
    skopeo copy -q --all --dest-tls-verify=false "oci:$T/l/multi" "docker://$REGISTRY/multi:1"
    daemon_start
}

teardown_file() {
    registry_stop
    daemon_done
}

setup() {
    docker image prune -af >/dev/null
    M=$REGISTRY/multi:1
    ARM='{"os":"linux","architecture":"arm64"}'
    S390='{"os":"linux","architecture":"s390x"}'
    AMD='{"os":"linux","architecture":"amd64"}'
}

# api METHOD PATH [QUERY...]: a call of API 1.51, its body; the status goes to $T/status
api() {
    local method=$1 path=$2 args=()
    shift 2
    for q in "$@"; do args+=(--data-urlencode "$q"); done
    curl -s --unix-socket "$T/dray.sock" -X "$method" -G "${args[@]}" -o "$T/body" -w '%{http_code}' \
        "http://d/v1.51$path" >"$T/status"
    cat "$T/body"
}
refused() { # STATUS TEXT
    [ "$(cat "$T/status")" = "$1" ] && grep -qF -- "$2" "$T/body" || { cat "$T/status" "$T/body"; return 1; }
}
remote_type() { skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/$1" | jq -r .mediaType; }
remote_digest() { skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/$1" | sha256sum | cut -d' ' -f1; }
manifests() { api GET "/images/$1/json" manifests=1 | jq -c '[.Manifests[] | [.Kind, .Available, .ImageData.Platform.architecture]]'; }

# The archive of all platforms, made by another program.
archive() {
    tar -C "$T/l/multi" -cf "$T/multi.tar" .
    docker load -i "$T/multi.tar" >"$T/out"
    docker tag "$(sed -n 's/Loaded image ID: //p' "$T/out")" "$M"
}

@test "a pull of one platform keeps the index, and tells of the others" {
    docker pull -q "$M"
    [ "$(manifests "$M")" = '[["image",true,"amd64"],["image",false,"arm64"],["attestation",false,null]]' ]
    [ "$(api GET /images/json manifests=1 | jq -c '[.[0].Manifests[].Available]')" = '[true,false,false]' ]
    [ "$(api GET /images/json | jq -c '.[0].Manifests')" = null ]
    api GET "/images/$M/json" manifests=1 "platform=$AMD"
    refused 400 'conflicting options: manifests and platform options cannot both be set'
    [ "$(api GET "/images/$M/json" "platform=$AMD" | jq -r .Architecture)" = amd64 ]
    missing="image with reference $M was found but does not provide the specified platform (linux/arm64)"
    api GET "/images/$M/json" "platform=$ARM"; refused 404 "$missing"
    api GET "/images/$M/history" "platform=$ARM"; refused 404 "$missing"
    api GET "/images/$M/get" "platform=$ARM"; refused 404 "no suitable export target found: $missing"
    api DELETE "/images/$M" "platforms=$ARM"; refused 404 "$missing"
    api POST "/images/$REGISTRY/multi/push" tag=1 "platform=$ARM"
    grep -qF "image with reference $REGISTRY/multi was found but does not provide" "$T/body"
    api GET "/images/$M/json" 'platform={"os":"linux"}'; refused 400 'both OS and Architecture must be provided'
    api GET "/images/$M/json" 'platform=linux'; refused 400 'failed to parse platform'
    # Clients from before these parameters never asked for a platform.
    [ "$(curl -s --unix-socket "$T/dray.sock" -G --data-urlencode "platform=$ARM" "http://d/v1.47/images/$M/json" |
        jq -r .Architecture)" = amd64 ]
}

@test "of a part of an index, the platform that is here is pushed, and the stream says so" {
    docker pull -q "$M"
    docker tag "$M" "$REGISTRY/part:1"
    api POST "/images/$REGISTRY/part/push" tag=1 >"$T/push"
    [ "$(jq -c 'select(.aux.manifestPushedInsteadOfIndex) | [.aux.originalIndex.digest, .aux.selectedManifest.digest]' "$T/push")" = \
      "[\"sha256:$(remote_digest multi:1)\",\"sha256:$(remote_digest part:1)\"]" ]
    [ "$(remote_type part:1)" = application/vnd.oci.image.manifest.v1+json ]
    dray push "$REGISTRY/part:1" | grep -F "sha256:$(remote_digest multi:1) -> sha256:$(remote_digest part:1)"
    ! dray push -q "$REGISTRY/part:1" | grep -F -e '->'
    docker save -o "$T/part.tar" "$M"
    [ "$(tar -xOf "$T/part.tar" index.json | jq -r '.manifests[0].mediaType')" = application/vnd.oci.image.manifest.v1+json ]
}

@test "a whole index is loaded, looked at, pushed and saved as it is" {
    archive
    [ "$(docker images -aq | wc -l)" -eq 1 ]
    [ "$(manifests "$M")" = '[["image",true,"amd64"],["image",true,"arm64"],["attestation",true,null]]' ]
    daemon_stop
    daemon_start
    docker image prune -f
    docker run --rm "$M"
    [ "$(api GET "/images/$M/json" "platform=$ARM" | jq -c '[.Architecture, .Config.Cmd[0], (.RootFS.Layers | length)]')" = '["arm64","/arm",2]' ]
    [ "$(api GET "/images/$M/history" "platform=$ARM" | jq length)" -eq 2 ]
    docker tag "$M" "$REGISTRY/whole:1"
    docker push -q "$REGISTRY/whole:1"
    [ "$(remote_digest whole:1)" = "$(remote_digest multi:1)" ]
    skopeo copy -q --all --src-tls-verify=false "docker://$REGISTRY/whole:1" "dir:$T/whole"
    [ "$(docker inspect -f '{{index .RepoDigests 0}}' "$REGISTRY/whole:1" | cut -d@ -f2)" = "sha256:$(remote_digest multi:1)" ]
    docker save -o "$T/saved.tar" "$M"
    skopeo copy -q --all "oci-archive:$T/saved.tar" "dir:$T/again"
    [ "$(sha256sum <"$T/again/manifest.json")" = "$(sha256sum <"$T/whole/manifest.json")" ]
    docker rmi -f "$M" "$REGISTRY/whole:1"
    [ -z "$(ls "$T/data/blobs/sha256")" ]
    docker load -i "$T/saved.tar"
    [ "$(manifests "$M")" = '[["image",true,"amd64"],["image",true,"arm64"],["attestation",true,null]]' ]
    rm -rf "$T/whole" "$T/again"
}

@test "one platform of several is pushed, saved and loaded alone" {
    archive
    docker tag "$M" "$REGISTRY/arm:1"
    api POST "/images/$REGISTRY/arm/push" tag=1 "platform=$ARM" >"$T/push"
    ! grep -q errorDetail "$T/push"
    [ "$(skopeo inspect --tls-verify=false --override-arch arm64 --config "docker://$REGISTRY/arm:1" | jq -r .architecture)" = arm64 ]
    api GET "/images/$M/get" "platform=$ARM" >"$T/arm.tar"
    [ "$(tar -xOf "$T/arm.tar" "$(tar -xOf "$T/arm.tar" manifest.json | jq -r '.[0].Config')" | jq -r .architecture)" = arm64 ]
    [ "$(tar -xOf "$T/arm.tar" manifest.json | jq '.[0].Layers | length')" -eq 2 ]
    docker rmi -f "$M" "$REGISTRY/arm:1"
    load() { curl -s --unix-socket "$T/dray.sock" -T "$2" -X POST "http://d/v1.51/images/load?platform=$(jq -rn --arg p "$1" '$p|@uri')"; }
    load "$ARM" "$T/multi.tar" | grep 'Loaded image ID'
    [ "$(docker inspect -f '{{.Architecture}}' "$(docker images -aq)")" = arm64 ]
    docker image prune -af
    load "$S390" "$T/multi.tar" | grep -F 'the archive does not provide the requested platform (linux/s390x)'
    load "$AMD" "$T/arm.tar" | grep -F "requested platform (linux/amd64) does not match the image's platform (linux/arm64)"
    [ -z "$(docker images -aq)" ]
    load "$ARM" "$T/arm.tar" | grep 'Loaded image'
}

@test "content of another platform is removed, the unpacked one only with the image" {
    archive
    before=$(ls "$T/data/blobs/sha256" | wc -l)
    api DELETE "/images/$M" "platforms=$AMD"
    refused 409 'conflict: unable to delete only some platforms'
    api DELETE "/images/$M" "platforms=$S390"
    refused 404 'does not provide the specified platform (linux/s390x)'
    [ "$(api DELETE "/images/$M" "platforms=$ARM" | jq 'length')" -eq 1 ]
    # Manifest, config, and the one layer that amd64 has not.
    [ "$(ls "$T/data/blobs/sha256" | wc -l)" -eq $((before - 3)) ]
    [ "$(manifests "$M")" = '[["image",true,"amd64"],["image",false,"arm64"],["attestation",true,null]]' ]
    docker run --rm "$M"
    [ "$(api DELETE "/images/$M" "platforms=$AMD" | jq 'length > 1')" = true ]
    [ -z "$(docker images -aq)" ]
}

@test "two platforms pulled one after the other are pushed as the index again" {
    docker pull -q "$M"
    docker tag "$M" keep:amd64
    docker pull -q --platform linux/arm64 "$M"
    [ "$(manifests "$M")" = '[["image",true,"amd64"],["image",true,"arm64"],["attestation",false,null]]' ]
    [ "$(api GET "/images/$M/json" "platform=$AMD" | jq -r .Architecture)" = amd64 ]
    docker tag "$M" "$REGISTRY/both:1"
    docker push -q "$REGISTRY/both:1" # the attestation is not here
    [ "$(remote_type both:1)" = application/vnd.oci.image.manifest.v1+json ]
}

@test "an index may call an architecture by the name that the kernel has for it" {
    [ "$(uname -m)" = x86_64 ] || skip "for this machine's architecture the test has no other name"
    ARCH=x86_64 "$BATS_TEST_DIRNAME/mkimage.py" "$T/l/uname" '{"Cmd":["/bin/true"]}' "$(busybox_tar)"
    "$BATS_TEST_DIRNAME/mkindex.py" "$T/l/named" "$T/l/uname" "$T/l/arm64"
    skopeo copy -q --all --dest-tls-verify=false "oci:$T/l/named" "docker://$REGISTRY/named:1"
    docker pull -q "$REGISTRY/named:1"
    for name in amd64 x86_64; do
        api GET "/images/$REGISTRY/named:1/json" platform="{\"os\":\"linux\",\"architecture\":\"$name\"}"
        [ "$(cat "$T/status")" = 200 ]
    done
    docker run --rm --platform linux/amd64 --pull never "$REGISTRY/named:1"
    docker rmi "$REGISTRY/named:1"
}
