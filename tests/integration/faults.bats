#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# faults.bats - registries that misbehave: broken, wrong, slow, endless and hostile answers. Whatever
# happens, nothing wrong is listed, what can be mended is, and what cannot be is said.

load lib
load registry

setup_file() {
    daemon_init
    registry_start
    UPSTREAM=$REGISTRY
    make_images
    faults_start
    FAULTY=$FAULTS
    export FAULTY UPSTREAM
    echo '{"plugins":{"hub":{"options":{"stall-timeout":2}}}}' >"$T/daemon.json"
    daemon_start
}

teardown_file() {
    faults_stop
    registry_stop
    daemon_done
}

setup() {
    rules '[]'
    docker image prune -af >/dev/null
    : >"$T/faults.log"
}

make_images() {
    mkdir -p "$T/l/one"
    head -c 3000000 /dev/urandom >"$T/l/one/data"
    tar -C "$T/l/one" -cf "$T/l/one.tar" .
    "$BATS_TEST_DIRNAME/mkimage.py" "$T/l/image" '{}' "$T/l/one.tar"
    push "$T/l/image" one:1
    LAYER=$(python3 -c 'import json,sys
r = sys.argv[1]; i = json.load(open(r + "/index.json"))["manifests"][0]
print(json.load(open(r + "/blobs/sha256/" + i["digest"][7:]))["layers"][0]["digest"][7:])' "$T/l/image")
    export LAYER
}

requests() { jq -rc "select(.method == \"$1\" and (.path | test(\"$2\")))${3:-}" "$T/faults.log"; }
ms() { echo $(($(date +%s%N) / 1000000)); }

# The image's only file is what was put into it.
content_is_right() {
    docker create --name check "$FAULTY/one:1" x >/dev/null
    docker cp check:/data - | tar -xO | cmp - "$T/l/one/data"
    docker rm check >/dev/null
}

# Nothing of the image came here.
nothing_listed() { [ -z "$(docker images -aq)" ] && [ -z "$(ls "$T/data/images")" ]; }

@test "a registry that speaks HTTP costs no retries, and is remembered" {
    local begin
    begin=$(ms)
    docker pull -q "$FAULTY/one:1"
    [ $(($(ms) - begin)) -lt 2500 ]
    docker image prune -af >/dev/null
    begin=$(ms)
    for i in 1 2 3 4 5; do docker pull -q "$FAULTY/one:1"; done
    [ $(($(ms) - begin)) -lt 5000 ]
}

@test "a layer cut at every tenth goes on by Range" {
    rules "[$(for i in 0 1 2 3 4 5 6 7 8 9; do echo "{\"match\":\"GET .*$LAYER\",\"times\":1,\"cut\":0.$i},"; done)
        {\"match\":\"never\",\"status\":500}]"
    docker pull -q "$FAULTY/one:1"
    content_is_right
    # All but the first two ask for the rest only.
    [ "$(requests GET "$LAYER" | wc -l)" -eq 11 ]
    [ "$(requests GET "$LAYER" | grep -c 'bytes=[1-9][0-9]*-')" -eq 9 ]
}

@test "a layer cut in the middle goes on after a restart of the daemon" {
    rules "[{\"match\":\"GET .*$LAYER\",\"times\":1,\"cut\":0.5},{\"match\":\"GET .*$LAYER\",\"drip\":1}]"
    docker pull -q "$FAULTY/one:1" >"$T/out" 2>&1 3>&- &
    puller=$!
    wait_until 10 half_is_here
    daemon_kill
    wait $puller || true
    rules '[]'
    : >"$T/faults.log"
    daemon_start
    docker pull -q "$FAULTY/one:1"
    content_is_right
    [ "$(requests GET "$LAYER" | wc -l)" -eq 1 ]
    requests GET "$LAYER" | grep -q 'bytes=1[0-9]*-'
    [ -z "$(ls "$T/data/ingest")" ]
}
half_is_here() { [ "$(stat -c %s "$T/data/ingest/$LAYER" 2>/dev/null || echo 0)" -gt 1000000 ]; }

@test "a server without Range sends it all again, and what is here is skipped" {
    rules "[{\"match\":\"GET .*$LAYER\",\"times\":1,\"cut\":0.5},{\"match\":\"GET .*$LAYER\",\"norange\":true}]"
    docker pull -q "$FAULTY/one:1"
    content_is_right
}

@test "wrong bytes, too many and too few are refused, for layers, configs and manifests" {
    for what in '"corrupt":true' '"longer":10' '"shorter":10'; do
        rules "[{\"match\":\"GET .*$LAYER\",$what}]"
        run docker pull "$FAULTY/one:1"
        [ "$status" -ne 0 ]
        [[ "$output" == *"$LAYER"* || "$output" == *"more than"* ]] || { echo "$output"; false; }
        nothing_listed
        [ "$what" != '"shorter":10' ] || continue
        docker image prune -af >/dev/null
        rules "[{\"match\":\"GET .*/blobs/\",$what}]"
        run docker pull "$FAULTY/one:1"
        [ "$status" -ne 0 ]
        nothing_listed
        docker image prune -af >/dev/null # what came right is kept for another try
        rules "[{\"match\":\"GET .*/manifests/\",$what}]"
        run docker pull "$FAULTY/one:1"
        [ "$status" -ne 0 ]
        nothing_listed
    done
    rules '[]'
    docker pull -q "$FAULTY/one:1"
    content_is_right
}

@test "a server that sends a byte now and then is given up, and asked again" {
    rules "[{\"match\":\"GET .*$LAYER\",\"times\":1,\"drip\":0.5}]"
    docker pull -q "$FAULTY/one:1"
    content_is_right
    rules '[{"match":"/manifests/","drip":0.5}]'
    run timeout 40 docker pull "$FAULTY/one:1"
    [ "$status" -ne 124 ]
}

@test "429 is waited out as Retry-After says; 500 is tried again" {
    rules "[{\"match\":\"GET .*$LAYER\",\"times\":1,\"status\":429,\"headers\":{\"Retry-After\":\"2\"}},
        {\"match\":\"HEAD .*manifests\",\"times\":2,\"status\":500},
        {\"match\":\"GET .*$LAYER\",\"times\":1,\"status\":503}]"
    local begin
    begin=$(ms)
    docker pull -q "$FAULTY/one:1"
    [ $(($(ms) - begin)) -ge 2000 ]
    content_is_right
}

@test "429 for good is said in the registry's words" {
    rules '[{"match":"/manifests/","status":429,"headers":{"Retry-After":"600"},
        "body":"{\"errors\":[{\"code\":\"TOOMANYREQUESTS\",\"message\":\"You have reached your pull rate limit.\"}]}"}]'
    run docker pull "$FAULTY/one:1"
    [ "$status" -ne 0 ]
    [[ "$output" == *"toomanyrequests: You have reached your pull rate limit."* ]]
}

@test "redirects are followed, but not for ever" {
    rules "[{\"match\":\"GET .*$LAYER\",\"redirect\":\"http://$UPSTREAM{path}\"}]"
    docker pull -q "$FAULTY/one:1"
    content_is_right
    docker rmi "$FAULTY/one:1"
    rules "[{\"match\":\"GET .*$LAYER\",\"redirect\":\"http://$FAULTY{path}\"}]"
    run docker pull "$FAULTY/one:1"
    [ "$status" -ne 0 ]
    [[ "$output" == *redirect* ]]
    nothing_listed
}

@test "HTML and broken JSON are not taken for manifests" {
    local oci='"Content-Type":"application/vnd.oci.image.manifest.v1+json"'
    rules '[{"match":"/manifests/","status":200,"headers":{"Content-Type":"text/html"},"body":"<html>sign in</html>"}]'
    run docker pull "$FAULTY/one:1"
    [ "$status" -ne 0 ]
    [[ "$output" == *"invalid manifest content type"* ]]
    for body in '' '{' '[]' '{\"schemaVersion\":2}' '{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:../../etc/passwd\",\"size\":2},\"layers\":[]}' \
        '{\"schemaVersion\":2,\"config\":{\"digest\":5,\"size\":-1},\"layers\":{}}'; do
        rules "[{\"match\":\"/manifests/\",\"status\":200,\"headers\":{$oci},\"body\":\"$body\"}]"
        run docker pull "$FAULTY/one:1"
        [ "$status" -ne 0 ]
        nothing_listed
    done
}

@test "a manifest of a gigabyte is refused early, and the daemon stays small" {
    before=$(peak)
    for length in '' ',"Content-Length":"1073741824","Docker-Content-Digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000"'; do
        rules "[{\"match\":\"/manifests/\",\"status\":200,\"huge\":1073741824,\"headers\":{\"Content-Type\":\"application/vnd.oci.image.manifest.v1+json\"$length}}]"
        run docker pull "$FAULTY/one:1"
        [ "$status" -ne 0 ]
        [[ "$output" == *"larger than"* ]]
    done
    [ $(($(peak) - before)) -lt 60000 ]
}
peak() { awk '/VmHWM/ {print $2}' "/proc/$(daemon_pid)/status"; }

@test "a push is tried again where it broke" {
    docker pull -q "$UPSTREAM/one:1"
    docker tag "$UPSTREAM/one:1" "$FAULTY/pushed:1"
    rules '[{"match":"PUT .*/blobs/uploads/","times":1,"cut_upload":0.5},
        {"match":"POST .*/blobs/uploads/","times":1,"status":503},
        {"match":"PUT .*/manifests/","times":1,"status":500}]'
    docker push -q "$FAULTY/pushed:1"
    rules '[]'
    [ "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$UPSTREAM/pushed:1")" = \
      "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$UPSTREAM/one:1")" ]
    docker rmi "$FAULTY/pushed:1" "$UPSTREAM/one:1"
}

@test "zip bombs stop at what the disk or the compressed size explains" {
    python3 - "$T/l/bomb" <<'PY'
import gzip, hashlib, io, json, os, subprocess, sys, tarfile
out = sys.argv[1]
os.makedirs(out + "/blobs/sha256")
def put(data, media):
    h = hashlib.sha256(data).hexdigest()
    open(f"{out}/blobs/sha256/{h}", "wb").write(data)
    return {"mediaType": media, "digest": "sha256:" + h, "size": len(data)}
head = tarfile.TarInfo("zeros"); head.size = 4 << 30
zstd = subprocess.Popen(["zstd", "-qc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
import threading
def feed():
    zstd.stdin.write(head.tobuf())
    for _ in range(4 << 10):
        zstd.stdin.write(bytes(1 << 20))
    zstd.stdin.close()
threading.Thread(target=feed).start()
bomb = zstd.stdout.read()
layer = put(bomb, "application/vnd.oci.image.layer.v1.tar+zstd")
config = put(json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "1" * 64]}}).encode(), "application/vnd.oci.image.config.v1+json")
m = put(json.dumps({"schemaVersion": 2, "config": config, "layers": [layer]}).encode(), "application/vnd.oci.image.manifest.v1+json")
json.dump({"schemaVersion": 2, "manifests": [m]}, open(out + "/index.json", "w"))
json.dump({"imageLayoutVersion": "1.0.0"}, open(out + "/oci-layout", "w"))
PY
    push "$T/l/bomb" bomb:1
    run docker pull "$UPSTREAM/bomb:1"
    [ "$status" -ne 0 ]
    [[ "$output" == *"inflates to more than"* || "$output" == *"no space left on device"* ]] || { echo "$output"; false; }
    nothing_listed
}
