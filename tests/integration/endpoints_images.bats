#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# endpoints_images.bats - what the API of images answers: lists and filters, history, import, archives of
# several images in every compression, conflicts, prune, events; read by the docker CLI, dray and skopeo.

load lib
load registry

setup_file() {
    daemon_init
    registry_start
    push_busybox
    make_images
    daemon_start
}

teardown_file() {
    [ ! -r "$T/web.pid" ] || kill "$(cat "$T/web.pid")"
    registry_stop
    daemon_done
}

setup() {
    docker image prune -af >/dev/null
}

make_images() {
    local i
    mkdir -p "$T/l"
    for i in base one two; do
        mkdir -p "$T/l/$i"
        echo "$i" >"$T/l/$i/$i.txt"
        tar -C "$T/l/$i" -cf "$T/l/$i.tar" .
    done
    "$BATS_TEST_DIRNAME/mkimage.py" "$T/l/first" '{"Labels":{"who":"first","kind":"test"}}' "$T/l/base.tar" "$T/l/one.tar"
    "$BATS_TEST_DIRNAME/mkimage.py" "$T/l/second" '{"Labels":{"who":"second","kind":"test"}}' "$T/l/base.tar" "$T/l/two.tar:zstd"
    push "$T/l/first" first:1
    push "$T/l/first" first:2
    push "$T/l/second" second:1
}

q() { python3 -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.argv[1]))' "$1"; }
list() { api GET "/images/json?$1" | jq -rc "$2"; }

@test "images/json: every filter" {
    docker pull -q "$REGISTRY/first:1"
    docker pull -q "$REGISTRY/second:1"
    docker tag "$REGISTRY/first:1" mine/first:a
    names='[.[] | .RepoTags[]?] | sort | join(" ")'
    [ "$(list "filters=$(q '{"label":["who=first"]}')" "$names")" = "$REGISTRY/first:1 mine/first:a" ]
    [ "$(list "filters=$(q '{"label":{"who=second":true}}')" "$names")" = "$REGISTRY/second:1" ]
    [ "$(list "filters=$(q '{"label":["who=first","who=second"]}')" length)" = 0 ]
    [ "$(list "filters=$(q '{"label":["kind"]}')" length)" = 2 ]
    [ "$(list "filters=$(q '{"reference":["mine/*"]}')" "$names")" = "mine/first:a" ]
    [ "$(list "filters=$(q '{"reference":["*/second","mine/first"]}')" length)" = 2 ]
    [ "$(list "filters=$(q '{"until":["2020-01-01T00:00:00Z"]}')" length)" = 0 ]
    [ "$(list "filters=$(q '{"until":["2024-01-01T00:00:00Z"]}')" length)" = 2 ]
    [ "$(list "filters=$(q '{"dangling":["true"]}')" length)" = 0 ]
    docker import "$T/l/one.tar" newer:1 >/dev/null
    [ "$(list "filters=$(q "{\"since\":[\"$REGISTRY/first:1\"]}")" "$names")" = newer:1 ]
    [ "$(list "filters=$(q '{"before":["newer:1"]}')" length)" = 2 ]
    docker tag newer:1 keep:1
    docker import "$T/l/two.tar" newer:1 >/dev/null
    docker rmi keep:1
    docker import "$T/l/base.tar" >/dev/null
    [ "$(list "filters=$(q '{"dangling":["true"]}')" length)" -ge 1 ]
    [ "$(list "filters=$(q '{"dangling":["false"]}')" "$names")" = "$REGISTRY/first:1 $REGISTRY/second:1 mine/first:a newer:1" ]
    [ "$(status_of GET "/images/json?filters=$(q '{"nosuch":["x"]}')")" = 400 ]
    [ "$(status_of GET "/images/json?filters=$(q '{"dangling":["perhaps"]}')")" = 400 ]
    [ "$(status_of GET "/images/json?filters=$(q '{"before":["nosuch"]}')")" = 404 ]
}

@test "images/json: sizes, digests, shapes" {
    docker pull -q "$REGISTRY/first:1"
    docker pull -q "$REGISTRY/second:1"
    [ "$(list '' '[.[].SharedSize] | unique | join(" ")')" = -1 ]
    [ "$(list shared-size=1 '[.[] | .SharedSize > 0 and .SharedSize < .Size] | all')" = true ]
    [ "$(list '' '[.[] | (.RepoDigests | length), .Containers, (.Labels.kind)] | unique | join(" ")')" = "0 1 test" ]
    [ "$(api GET "/v1.51/images/json?manifests=1" | jq '.[0].Manifests[0] | .Available, .Kind' | xargs)" = "true image" ]
    docker create --name user "$REGISTRY/first:1" x
    [ "$(api GET /system/df | jq -c '[.Images[] | select(.Containers == 1)] | length')" = 1 ]
    [ "$(api GET /system/df | jq '.LayersSize > 0')" = true ]
    docker rm user
    [[ "$(docker system df --format '{{.Type}} {{.TotalCount}}' | head -n 1)" = "Images 2" ]]
}

@test "all tags are pulled and pushed" {
    run docker pull -a "$REGISTRY/first"
    [ "$status" -eq 0 ]
    [ "$(docker images "$REGISTRY/first" | wc -l)" -eq 3 ]
    [ "$(grep ^Status: <<<"$output")" = "Status: Image is up to date for $REGISTRY/first" ] ||
        [ "$(grep ^Status: <<<"$output")" = "Status: Downloaded newer image for $REGISTRY/first" ]
    docker tag "$REGISTRY/first:1" "$REGISTRY/all:x"
    docker tag "$REGISTRY/first:2" "$REGISTRY/all:y"
    run docker push -a "$REGISTRY/all"
    [ "$status" -eq 0 ]
    [[ "$output" == *"x: digest: sha256:"*"y: digest: sha256:"* ]]
    [ "$(curl -s "http://$REGISTRY/v2/all/tags/list" | jq -rc '.tags | sort | join(" ")')" = "x y" ]
    run docker push "$REGISTRY/all:nosuch"
    [[ "$output" == *"An image does not exist locally with the tag: $REGISTRY/all"* ]]
}

@test "history and inspect tell what the config tells" {
    docker pull -q "$REGISTRY/first:1"
    run docker history --no-trunc --format '{{.ID}} {{.CreatedBy}} {{.Size}}' "$REGISTRY/first:1"
    [ "${#lines[@]}" -eq 2 ]
    [[ "${lines[0]}" == "sha256:"*" layer 1 4B" ]]
    [[ "${lines[1]}" == "<missing> layer 0 5B" ]]
    [ "$(dray history --no-trunc --format '{{.ID}} {{.CreatedBy}} {{.Size}}' "$REGISTRY/first:1")" = "$output" ]
    api GET "/images/$REGISTRY/first:1/json" >"$T/i.json"
    [ "$(jq -r '.Architecture, .Os, .RootFS.Type, (.RootFS.Layers | length), .GraphDriver.Name' "$T/i.json" | xargs)" = "amd64 linux layers 2 overlay2" ] ||
        [ "$(jq -r '.Architecture, .Os, .RootFS.Type, (.RootFS.Layers | length)' "$T/i.json" | xargs)" = "amd64 linux layers 2" ]
    [ "$(jq -r .Created "$T/i.json")" = 2023-11-14T22:13:20Z ]
    [ "$(status_of GET /images/nosuch/json)" = 404 ]
    [ "$(api GET /images/nosuch/json | jq -r .message)" = "No such image: nosuch:latest" ]
    id=$(docker images -q --no-trunc "$REGISTRY/first:1")
    [ "$(docker image inspect -f '{{.Id}}' "${id:7:9}")" = "$id" ]
}

@test "import: from a body in every compression, with changes, and from a URL" {
    for z in cat gzip 'xz -T1' bzip2 zstd; do
        $z <"$T/l/one.tar" >"$T/l/import.tar"
        docker import -m why -c 'CMD ["x","y"]' -c 'ENV A=1' -c 'LABEL a=b' "$T/l/import.tar" im:1 >/dev/null
        [ "$(docker image inspect -f '{{.Config.Cmd}} {{.Config.Env}} {{.Config.Labels}} {{.Comment}}' im:1)" = "[x y] [A=1] map[a:b] why" ]
        [ "$(api GET /v1.51/images/im:1/json | jq -c '.Config | keys')" = '["Cmd","Entrypoint","Env","Labels","OnBuild","User","Volumes","WorkingDir"]' ]
        docker create --name im im:1 >/dev/null
        docker cp im:/one.txt - | tar -xO | grep -qx one
        docker rm im >/dev/null
    done
    run docker import -c 'COPY a b' "$T/l/one.tar"
    [ "$status" -ne 0 ]
    port=$(free_port)
    (cd "$T/l" && exec python3 -m http.server -b 127.0.0.1 "$port") >/dev/null 2>&1 3>&- &
    echo $! >"$T/web.pid"
    wait_until 5 curl -so /dev/null "http://127.0.0.1:$port/"
    run docker import "http://127.0.0.1:$port/two.tar" web:1
    [ "$status" -eq 0 ]
    [[ "$output" == *"Downloading from http://127.0.0.1:$port/two.tar"*"sha256:"* ]]
    [ "$(docker image inspect -f '{{.Comment}}' web:1)" = "Imported from http://127.0.0.1:$port/two.tar" ]
    run dray import "http://127.0.0.1:$port/nosuch.tar"
    [ "$status" -ne 0 ]
    [[ "$output" == *404* ]]
    run docker import "http://127.0.0.1:1/x.tar"
    [ "$status" -ne 0 ]
    kill "$(cat "$T/web.pid")"
    rm "$T/web.pid"
}

# The archive's files: layers are plain tars under their diff ids, tables name them, times are the images'.
saved_as_docker_does() {
    rm -rf "$T/apart" && mkdir "$T/apart" && tar -C "$T/apart" -xf "$1"
    tar -tf "$1" | tail -n +3 | LC_ALL=C sort -c
    [ "$(tar -tf "$1" | head -n 2 | xargs)" = "blobs/ blobs/sha256/" ]
    python3 - "$T/apart" <<'PY'
import hashlib, json, os, sys
from datetime import datetime
at = sys.argv[1]
read = lambda path: json.load(open(os.path.join(at, path)))
tops, named = {}, []
for row in read("manifest.json"):
    config = read(row["Config"])
    diffs = config["rootfs"]["diff_ids"]
    assert row["Layers"] == ["blobs/sha256/" + d[7:] for d in diffs], row
    for d in diffs:
        data = open(f"{at}/blobs/sha256/{d[7:]}", "rb").read()
        assert hashlib.sha256(data).hexdigest() == d[7:] and data[257:262] == b"ustar"
        assert row["LayerSources"][d] == {"mediaType": "application/vnd.oci.image.layer.v1.tar",
                                          "digest": d, "size": len(data)}
    made = int(datetime.fromisoformat(config["created"][:19] + "+00:00").timestamp())
    assert int(os.stat(os.path.join(at, row["Config"])).st_mtime) == made
    for tag in row["RepoTags"]:
        repo, _, tag = tag.rpartition(":")
        tops.setdefault(repo, {})[tag] = diffs[-1][7:]
        named.append(tag)
assert read("repositories") == tops
rows = read("index.json")["manifests"]
assert [r["annotations"]["org.opencontainers.image.ref.name"] for r in rows] == named
for r in rows:
    data = open(f"{at}/blobs/sha256/{r['digest'][7:]}", "rb").read()
    assert hashlib.sha256(data).hexdigest() == r["digest"][7:] and len(data) == r["size"]
assert read("oci-layout") == {"imageLayoutVersion": "1.0.0"} and os.stat(at + "/index.json").st_mtime == 0
PY
}

@test "save and load: several images, every compression, both formats" {
    docker pull -q "$REGISTRY/first:1"
    docker pull -q "$REGISTRY/second:1"
    docker tag "$REGISTRY/first:1" also:1
    ids=$(docker images -q --no-trunc | sort -u)
    docker save -o "$T/all.tar" also:1 "$REGISTRY/first:1" "$REGISTRY/second:1"
    # It is a docker-archive and an OCI layout, which skopeo reads as both.
    docker save -o "$T/single.tar" also:1
    skopeo inspect "docker-archive:$T/all.tar:also:1" >/dev/null
    [ "$(skopeo inspect --config "oci-archive:$T/single.tar")" = \
      "$(skopeo inspect --config --tls-verify=false "docker://$REGISTRY/first:1")" ]
    saved_as_docker_does "$T/all.tar"
    for z in cat gzip 'xz -T1' bzip2 zstd; do
        docker rmi -f $ids >/dev/null
        $z <"$T/all.tar" >"$T/all.z"
        run docker load -i "$T/all.z"
        [ "$status" -eq 0 ]
        [[ "$output" == *"Loaded image: also:1"* && "$output" == *"Loaded image: $REGISTRY/second:1"* ]]
        [ "$(docker images -q --no-trunc | sort -u)" = "$ids" ]
    done
    docker rmi -f $ids >/dev/null
    # An OCI archive of skopeo's, with and without a name.
    skopeo copy -q "oci:$T/l/first" "oci-archive:$T/named.tar:named:1"
    run docker load -i "$T/named.tar"
    [ "$status" -eq 0 ]
    [[ "$output" == *"Loaded image"* ]]
    skopeo copy -q "oci:$T/l/second" "oci-archive:$T/nameless.tar"
    run dray load -i "$T/nameless.tar"
    [[ "$output" == *"Loaded image ID: sha256:"* ]]
    run dray load -i "$T/l"
    [[ "$status" -eq 1 && "$output" == "read $T/l: is a directory" ]]
    for bad in "$T/l/one.tar" /etc/passwd /dev/null; do
        run docker load -i "$bad"
        [ "$status" -ne 0 ] || [ "$bad" = /dev/null ]
    done
    run docker save nosuch:1
    [ "$status" -ne 0 ]
}

@test "removal: by id, by tag, forced, noprune; what is told" {
    docker pull -q "$REGISTRY/first:1"
    docker tag "$REGISTRY/first:1" a:1
    docker tag "$REGISTRY/first:1" b:1
    id=$(docker images -q --no-trunc a:1)
    [ "$(api DELETE /images/a:1 | jq -rc '.')" = '[{"Untagged":"a:1"}]' ]
    [ "$(api DELETE "/images/$id" | jq -r .message)" = "conflict: unable to delete ${id:7:12} (must be forced) - image is referenced in multiple repositories" ]
    run docker rmi -f "$id"
    [ "$(grep -c Untagged <<<"$output")" -eq 3 ]
    [ "$(grep -c 'Deleted: sha256:' <<<"$output")" -eq 3 ]
    docker pull -q "$REGISTRY/busybox"
    docker run -d --name runs --network none "$REGISTRY/busybox" sleep 100
    id=$(docker images -q --no-trunc "$REGISTRY/busybox")
    run docker rmi "$id"
    [[ "$output" == *"conflict: unable to delete ${id:7:12} (cannot be forced) - image is being used by running container "* ]]
    run docker rmi -f "$id"
    [[ "$output" == *"cannot be forced"* ]]
    docker kill runs >/dev/null
    run docker rmi "$id"
    [[ "$output" == *"conflict: unable to delete ${id:7:12} (must be forced) - image is being used by stopped container "* ]]
    run docker rmi -f "$id"
    [ "$status" -eq 0 ]
    docker start runs
    docker rm -f runs
    [ -z "$(ls "$T/data/images")" ]
}

@test "children keep their parents; noprune leaves them, prune takes them" {
    docker pull -q "$REGISTRY/busybox"
    parent=$(docker images -q --no-trunc "$REGISTRY/busybox")
    docker create --name cc "$REGISTRY/busybox" x
    child=$(docker commit cc)
    docker rm cc
    run docker rmi "$parent"
    [[ "$output" == *"conflict: unable to delete ${parent:7:12} (cannot be forced) - image has dependent child images"* ]]
    docker rmi "$REGISTRY/busybox"
    [ "$(docker image inspect -f '{{.Parent}}' "$child")" = "$parent" ]
    docker rmi --no-prune "$child"
    docker image inspect "$parent" >/dev/null
    docker rmi "$parent"
}

@test "prune: dangling, until, labels, what it says" {
    docker pull -q "$REGISTRY/first:1"
    docker import "$T/l/two.tar" >/dev/null
    run docker image prune -f --filter until=2020-01-01
    [[ "$output" == *"Total reclaimed space: 0B"* ]]
    run docker image prune -f --filter label=nosuch
    [[ "$output" == *"Total reclaimed space: 0B"* ]]
    run docker image prune -f
    [[ "$output" == *"Deleted Images:"*"deleted: sha256:"*"Total reclaimed space: "[1-9]* ]]
    run docker image prune -af --filter 'label!=who=first'
    [[ "$output" == *"Total reclaimed space: 0B"* ]]
    run docker image prune -af --filter label=who=first
    [[ "$output" == *"untagged: $REGISTRY/first:1"* ]]
    [ "$(status_of POST "/images/prune?filters=$(q '{"reference":["x"]}')")" = 400 ]
}

@test "references are refused in Docker's words" {
    docker import "$T/l/one.tar" im:1 >/dev/null
    [ "$(api POST "/images/im:1/tag?repo=UPPER&tag=x" | jq -r .message)" = "invalid reference format: repository name (library/UPPER) must be lowercase" ]
    [ "$(api POST "/images/im:1/tag?repo=a&tag=-x" | jq -r .message)" = "invalid reference format" ]
    [ "$(status_of POST "/images/im:1/tag?repo=a&tag=x")" = 201 ]
    [ "$(status_of POST "/images/nosuch/tag?repo=a&tag=x")" = 404 ]
    [ "$(status_of POST "/images/create?fromImage=a%20b&tag=x")" = 400 ]
    [ "$(status_of POST "/images/create")" = 400 ]
    [ "$(status_of POST "/images/im:1/tag?repo=$(printf '0%.0s' {1..64})")" = 400 ]
}

@test "images tell of themselves in events" {
    begin=$(date +%s.%N)
    docker pull -q "$REGISTRY/first:1"
    docker tag "$REGISTRY/first:1" ev:1
    docker save ev:1 >/dev/null
    docker rmi ev:1 "$REGISTRY/first:1"
    docker import "$T/l/one.tar" >/dev/null
    run docker events --since "$begin" --until "$(date +%s.%N)" --filter type=image --format '{{.Action}}'
    for want in pull tag untag delete import; do [[ $'\n'"$output"$'\n' == *$'\n'"$want"$'\n'* ]] || { echo "no $want"; false; }; done
}

@test "the docker CLI and dray draw bars for pull, push and load" {
    docker pull -q "$REGISTRY/busybox"
    docker save -o "$T/bb.tar" "$REGISTRY/busybox"
    for cli in docker dray; do
        docker rmi "$REGISTRY/busybox" >/dev/null
        run script -qec "stty rows 40 cols 120; $cli pull $REGISTRY/busybox" /dev/null
        [[ "$output" == *"["*">"*"]"* && "$output" == *"Pull complete"* ]]
        docker tag "$REGISTRY/busybox" "$REGISTRY/bars-$cli-$RANDOM"
        run script -qec "stty rows 40 cols 120; $cli push $(docker images --format '{{.Repository}}' | grep bars)" /dev/null
        [[ "$output" == *"Pushed"* || "$output" == *"Mounted from"* || "$output" == *"already exists"* ]]
        docker rmi "$(docker images --format '{{.Repository}}' | grep bars)" "$REGISTRY/busybox" >/dev/null
        run script -qec "stty rows 40 cols 120; $cli load -i $T/bb.tar" /dev/null
        [[ "$output" == *"Loading layer"* ]] || { echo "$cli: $output"; false; }
    done
    # Off a terminal: plain lines.
    docker rmi "$REGISTRY/busybox" >/dev/null
    run dray pull "$REGISTRY/busybox"
    [[ "$output" != *$'\e'* && "$output" == *"Pull complete"* ]]
    [ "$(dray pull -q "$REGISTRY/busybox")" = "$REGISTRY/busybox:latest" ]
}

@test "dray image ls, rmi, tag print what docker prints" {
    docker pull -q "$REGISTRY/first:1"
    docker tag "$REGISTRY/first:1" b:1
    for args in 'images' 'images -a --digests' 'images -q' 'images --no-trunc -q' 'image ls b' 'images --filter label=who=first' \
        'images --format {{.Repository}}:{{.Tag}}@{{.Digest}}' 'images --format json' 'image inspect b:1' 'history b:1'; do
        # shellcheck disable=SC2086
        # docker's order of one image's names is that of a Go map
        # containers are counted since API 1.51
        dray $args | sort | sed 's/"Containers":"[^"]*"//' >"$T/a"; docker $args | sort | sed 's/"Containers":"[^"]*"//' >"$T/b"; cmp "$T/a" "$T/b" || { echo "dray $args"; diff "$T/a" "$T/b"; false; }
    done
}
