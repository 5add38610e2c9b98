#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# images.bats - the image store against a real registry: shared layers, platforms, interrupted pulls,
# removal and its conflicts, commit, prune. What the store holds is verified byte by byte.

load lib
load registry

setup_file() {
    daemon_init
    registry_start
    push_busybox
    make_layers
    daemon_start
}

teardown_file() {
    registry_stop
    daemon_done
}

setup() { docker image prune -af >/dev/null; }

# Two images that share their lowest layer, and one of four larger layers.
make_layers() {
    local i
    mkdir -p "$T/l"
    for i in base one two; do
        mkdir -p "$T/l/$i"
        echo "$i" >"$T/l/$i/$i.txt"
        tar -C "$T/l/$i" -cf "$T/l/$i.tar" .
    done
    for i in 1 2 3 4; do
        mkdir -p "$T/l/big$i"
        head -c 25000000 /dev/urandom >"$T/l/big$i/data$i"
        tar -C "$T/l/big$i" -cf "$T/l/big$i.tar" .
    done
    "$BATS_TEST_DIRNAME/mkimage.py" "$T/l/first" '{}' "$T/l/base.tar" "$T/l/one.tar:zstd"
    "$BATS_TEST_DIRNAME/mkimage.py" "$T/l/second" '{}' "$T/l/base.tar" "$T/l/two.tar:none"
    "$BATS_TEST_DIRNAME/mkimage.py" "$T/l/large" '{}' "$T"/l/big[1-4].tar
    push "$T/l/first" first:1
    push "$T/l/second" second:1
    push "$T/l/large" large:1
}

# Every blob has the digest of its name; every listed image has all of its blobs.
verify_store() {
    local f want
    for f in "$T"/data/blobs/sha256/*; do
        [ -e "$f" ] || continue
        want=$(basename "$f")
        echo "$want  $f" | sha256sum --check --quiet || return 1
    done
    for f in "$T"/data/images/*.json; do
        [ -e "$f" ] || continue
        for want in $(grep -o 'sha256:[0-9a-f]\{64\}' <(python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
print(d["id"], d["manifest"], *[l["digest"] for l in d["layers"]])' "$f")); do
            [ -e "$T/data/blobs/sha256/${want#sha256:}" ] || { echo "missing $want"; return 1; }
        done
    done
}

blobs() { find "$T/data/blobs/sha256" -type f | wc -l; }

@test "a layer that is here already is not pulled again" {
    docker pull -q "$REGISTRY/first:1"
    run docker pull "$REGISTRY/second:1"
    [ "$status" -eq 0 ]
    [ "$(grep -c 'Already exists' <<<"$output")" -eq 1 ]
    [ "$(grep -c 'Pull complete' <<<"$output")" -eq 1 ]
    verify_store
    docker rmi "$REGISTRY/first:1"
    run docker create --name shared "$REGISTRY/second:1" x
    [ "$status" -eq 0 ]
    docker cp shared:/base.txt - | tar -xO | grep -q base
    docker rm shared
}

@test "nothing is left of an image that was removed" {
    docker pull -q "$REGISTRY/first:1"
    docker rmi "$REGISTRY/first:1"
    [ "$(blobs)" -eq 0 ]
    [ -z "$(ls "$T/data/images")" ]
    [ -z "$(docker images -aq)" ]
}

@test "two pulls of the same image at once both succeed" {
    docker pull -q "$REGISTRY/large:1" >"$T/a" 2>&1 3>&- &
    a=$!
    docker pull -q "$REGISTRY/large:1" >"$T/b" 2>&1 3>&- &
    b=$!
    wait $a
    wait $b
    [ "$(docker images -q "$REGISTRY/large" | wc -l)" -eq 1 ]
    verify_store
    docker rmi "$REGISTRY/large:1"
    [ "$(blobs)" -eq 0 ]
}

@test "a daemon killed amid a pull lists nothing broken, and the next pull completes" {
    for ms in 50 150 250 350 500; do
        docker pull -q "$REGISTRY/large:1" >/dev/null 2>&1 3>&- &
        puller=$!
        sleep "0.$(printf %03d $ms)"
        daemon_kill
        wait $puller || true
        daemon_start
        verify_store
    done
    docker pull -q "$REGISTRY/large:1"
    verify_store
    [ -z "$(ls "$T/data/ingest")" ]
    docker create --name whole "$REGISTRY/large:1" x
    for i in 1 2 3 4; do
        docker cp "whole:/data$i" - | tar -xO | cmp - "$T/l/big$i/data$i"
    done
    docker rm whole
}

@test "removal says what is in the way, as Docker does" {
    docker pull -q "$REGISTRY/busybox"
    docker tag "$REGISTRY/busybox" inuse:1
    id=$(docker create inuse:1)
    run docker rmi "$(docker images -q inuse:1)"
    [ "$status" -ne 0 ]
    [[ "$output" == *"conflict: unable to delete"*"(must be forced) - image is referenced in multiple repositories"* ]]
    docker rmi "$REGISTRY/busybox"
    run docker rmi inuse:1
    [ "$status" -ne 0 ]
    [[ "$output" == *"conflict: unable to remove repository reference \"inuse:1\" (must force) - container ${id:0:12} is using its referenced image"* ]]
    docker rm "$id"
    run docker rmi inuse:1
    [ "$status" -eq 0 ]
    [[ "$output" == *"Untagged: inuse:1"* && "$output" == *"Deleted: sha256:"* ]]
    run docker rmi nothere
    [[ "$output" == *"No such image: nothere"* ]]
}

@test "an image of an index is chosen by platform; attestations are passed over" {
    python3 - "$T/l/first" <<'PY'
import hashlib, json, sys
root = sys.argv[1]
def put(doc):
    data = json.dumps(doc).encode()
    h = hashlib.sha256(data).hexdigest()
    open(f"{root}/blobs/sha256/{h}", "wb").write(data)
    return {"digest": "sha256:" + h, "size": len(data)}
index = json.load(open(root + "/index.json"))
m = index["manifests"][0]
m = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": m["digest"], "size": m["size"]}
fake = {"mediaType": m["mediaType"], "digest": "sha256:" + "0" * 64, "size": 7}
doc = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
    {**m, "platform": {"os": "unknown", "architecture": "unknown"}, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}},
    {**m, "platform": {"os": "linux", "architecture": "s390x"}},
    {**m, "platform": {"os": "linux", "architecture": "amd64"}}]}
data = json.dumps(doc).encode()
open(root + "/multi.json", "wb").write(data)
print("sha256:" + hashlib.sha256(data).hexdigest())
PY
    curl -sf -X PUT -H 'Content-Type: application/vnd.oci.image.index.v1+json' --data-binary "@$T/l/first/multi.json" \
        "http://$REGISTRY/v2/first/manifests/multi"
    want=sha256:$(sha256sum "$T/l/first/multi.json" | cut -d' ' -f1)
    run docker pull "$REGISTRY/first:multi"
    [ "$status" -eq 0 ]
    [[ "$output" == *"Digest: $want"* ]]
    run docker pull --platform linux/arm64 "$REGISTRY/first:multi"
    [ "$status" -ne 0 ]
    [[ "$output" == *"no matching manifest for linux/arm64/v8 in the manifest list entries"* ]]
}

@test "commit makes a layer of the changes, which can be pushed and pulled" {
    docker pull -q "$REGISTRY/busybox"
    docker run --name change --network none "$REGISTRY/busybox" sh -c 'echo new >/new; rm /etc/passwd || true'
    run docker commit -m why -a who -c 'ENV X=1' change "$REGISTRY/changed:1"
    [ "$status" -eq 0 ]
    docker rm change
    run docker image inspect -f '{{len .RootFS.Layers}} {{.Comment}} {{.Author}} {{.Config.Env}}' "$REGISTRY/changed:1"
    [[ "$output" == "2 why who "*"X=1"* ]]
    docker push -q "$REGISTRY/changed:1"
    docker rmi "$REGISTRY/changed:1"
    run docker run --rm --network none "$REGISTRY/changed:1" cat /new
    [ "${lines[-1]}" = new ]
}

@test "prune takes what nobody uses, and only that" {
    docker pull -q "$REGISTRY/first:1"
    docker pull -q "$REGISTRY/busybox"
    docker create --name keeper "$REGISTRY/busybox" x
    local before
    before=$(date +%s.%N)
    run docker image prune -af
    [ "$status" -eq 0 ]
    [[ "$output" == *"$REGISTRY/first:1"* ]]
    [ "$(docker images -q | wc -l)" -eq 1 ]
    run docker events --since "$before" --until "$(date +%s.%N)" --filter event=prune --format '{{.Type}} {{.Actor.Attributes.reclaimed}}'
    [[ "$output" == "image "[1-9]* ]]
    docker rm keeper
}
