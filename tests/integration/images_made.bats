#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# images_made.bats - layers that are made here have no archive of their own until one is wanted: pushed, saved
# and built upon they are the very layers that their images' configs name.

load lib
load registry

setup_file() {
    daemon_init
    registry_start
    push_busybox
    daemon_start
    docker pull -q "$REGISTRY/busybox:latest"
    docker tag "$REGISTRY/busybox:latest" busybox
    make_changed
}

teardown_file() {
    docker rm changed
    registry_stop
    daemon_done
}

# A container with every kind of change that a layer can hold.
make_changed() {
    docker run --name base busybox sh -ec 'mkdir -p /dir/old; echo old >/dir/old/file'
    docker commit base based
    docker rm base
    docker run --name changed based sh -ec '
        mkdir -p /a/b/c /a/opaque
        for i in 1 2 3; do echo $i >/a/b/$i; done
        ln /a/b/1 /a/again; ln /a/b/1 /z-last; ln -s b/2 /a/link; ln -s nowhere /a/dangling
        mkfifo /a/pipe; mknod /a/null c 1 3
        dd if=/dev/zero of=/a/hole bs=1 count=1 seek=3000000 2>/dev/null
        dd if=/dev/urandom of=/a/data bs=1000 count=700 2>/dev/null
        chmod 4755 /a/b/2; chmod 1777 /a/opaque; chown 1234:567 /a/b/3
        touch -d "2001-02-03 04:05:06" /a/b/3
        long=$(printf "%0150d" 0); mkdir -p /a/$long/$long; echo long >/a/$long/$long/$long
        printf x >"/a/with a
newline"; echo é >/a/é
        rm /bin/vi; rm -r /dir; mkdir /dir; echo new >/dir/new
        : >/a/empty'
}

layers() { docker inspect -f '{{range .RootFS.Layers}}{{println .}}{{end}}' "$1" | sed '/^$/d'; }
size_of_blobs() { du -sk "$T/data/blobs" | cut -f1; }

# What a registry holds of an image inflates to the diff ids of its config.
pushed_is_whole() { # NAME DIGEST
    skopeo copy -q --src-tls-verify=false "docker://$REGISTRY/$1" "dir:$T/pulled-$2"
    local want
    python3 - "$T/pulled-$2" <<'PY'
import gzip, hashlib, json, sys
top = sys.argv[1]
m = json.load(open(top + "/manifest.json"))
config = json.load(open(f"{top}/{m['config']['digest'].split(':')[1]}"))
assert len(m["layers"]) == len(config["rootfs"]["diff_ids"]), m
for layer, diff in zip(m["layers"], config["rootfs"]["diff_ids"]):
    assert layer["mediaType"].endswith("gzip"), layer
    data = gzip.open(f"{top}/{layer['digest'].split(':')[1]}").read()
    assert "sha256:" + hashlib.sha256(data).hexdigest() == diff, layer
PY
    want=$?
    rm -rf "$T/pulled-$2"
    return $want
}

@test "a commit writes its changes once; a push makes the archive that the config names" {
    before=$(size_of_blobs)
    docker commit changed made:1
    [ $(($(size_of_blobs) - before)) -lt 200 ]
    layers made:1 >"$T/want"
    docker tag made:1 "$REGISTRY/made:1"
    docker push "$REGISTRY/made:1"
    pushed_is_whole made:1 one
    [ "$(docker inspect -f '{{.Id}}' made:1)" = "sha256:$(skopeo inspect --tls-verify=false --raw "docker://$REGISTRY/made:1" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["config"]["digest"][7:])')" ]
    docker run --rm made:1 sh -ec '[ "$(cat /dir/new)" = new ]; [ ! -e /bin/vi ]; [ ! -e /dir/old ]; [ "$(cat /z-last)" = 1 ]'
    docker rmi "$REGISTRY/made:1" made:1
    docker pull -q "$REGISTRY/made:1"
    layers "$REGISTRY/made:1" | diff "$T/want" -
    docker rmi "$REGISTRY/made:1"
}

@test "an image of such layers is saved and loaded, after a restart as well" {
    docker commit changed made:2
    layers made:2 >"$T/want"
    id=$(docker inspect -f '{{.Id}}' made:2) tagged=$(docker inspect -f '{{.Metadata.LastTagTime}}' made:2)
    [[ $tagged == 20* ]]
    daemon_stop
    daemon_start
    [ "$(docker inspect -f '{{.Metadata.LastTagTime}}' made:2)" = "$tagged" ]
    docker save -o "$T/made.tar" made:2
    docker rmi made:2
    docker load -i "$T/made.tar"
    layers made:2 | diff "$T/want" -
    [ "$(docker inspect -f '{{.Id}}' made:2)" = "$id" ]
    skopeo copy -q "docker-archive:$T/made.tar" "dir:$T/by-skopeo"
    docker rmi made:2
    rm -rf "$T/made.tar" "$T/by-skopeo"
}

@test "children of such an image share its layer, whichever is pushed first" {
    docker commit changed parent:1
    docker run --name child parent:1 sh -c 'echo child >/child; rm /a/b/1'
    docker commit child child:1
    docker rm child
    for name in child parent; do
        docker tag $name:1 "$REGISTRY/$name:1"
        docker push "$REGISTRY/$name:1"
        pushed_is_whole $name:1 $name
    done
    # The layer they share is one blob, made once.
    [ "$(for n in child parent; do skopeo inspect --tls-verify=false --raw "docker://$REGISTRY/$n:1" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["layers"][2]["digest"])'; done | uniq | wc -l)" -eq 1 ]
    docker rmi child:1 parent:1 "$REGISTRY/child:1" "$REGISTRY/parent:1"
}

@test "two pushes and a save of one such image at once" {
    docker commit changed busy:1
    docker tag busy:1 "$REGISTRY/busy-a:1"
    docker tag busy:1 "$REGISTRY/busy-b:1"
    docker push "$REGISTRY/busy-a:1" & a=$!
    docker push "$REGISTRY/busy-b:1" & b=$!
    docker save busy:1 >"$T/busy.tar" & c=$!
    wait $a
    wait $b
    wait $c
    pushed_is_whole busy-a:1 a
    pushed_is_whole busy-b:1 b
    tar -tf "$T/busy.tar" >/dev/null
    rm "$T/busy.tar"
    docker rmi busy:1 "$REGISTRY/busy-a:1" "$REGISTRY/busy-b:1"
}

@test "steps of a build are as good, from the cache as well" {
    mkdir -p "$T/context"
    printf 'FROM based\nRUN rm -r /dir && mkdir /dir && echo 1 >/dir/one\nCOPY file /file\nRUN mkdir -p /x && ln /file /x/file\n' \
        >"$T/context/Dockerfile"
    head -c 300000 /dev/urandom >"$T/context/file"
    docker build -q -t "$REGISTRY/built:1" "$T/context"
    docker build -q -t "$REGISTRY/built:2" "$T/context"
    docker push -q "$REGISTRY/built:1"
    pushed_is_whole built:1 one
    docker rmi "$REGISTRY/built:1" "$REGISTRY/built:2"
    docker build -q -t "$REGISTRY/built:3" "$T/context" # its layers are in the cache only
    docker push -q "$REGISTRY/built:3"
    pushed_is_whole built:3 three
    docker rmi "$REGISTRY/built:3"
}

@test "what COPY and ADD bring is written once, and pushed as the config names it" {
    mkdir -p "$T/copied/tree/sub" "$T/copied/arch"
    cd "$T/copied"
    dd if=/dev/urandom of=tree/data bs=1M count=4 2>/dev/null
    echo one >tree/sub/one; ln -s ../data tree/sub/link; chmod 4750 tree/sub/one; : >tree/empty
    setfattr -n user.note -v told tree/empty
    echo packed >arch/p; ln arch/p arch/q; mkfifo arch/pipe; truncate -s 3M arch/hole
    tar -S -cf arch.tar arch
    printf 'FROM %s\nCOPY tree /tree\nADD arch.tar /\nCOPY --chown=3:4 tree/sub/one tree/data /bin/\n' busybox >Dockerfile
    printf 'FROM scratch\nCOPY tree /\n' >from-scratch
    printf '*.tar.gz\n' >.dockerignore
    before=$(size_of_blobs)
    DOCKER_BUILDKIT=0 docker build -q --build-arg SOURCE_DATE_EPOCH=1000000000 -t copied:1 .
    DOCKER_BUILDKIT=0 docker build -q -f from-scratch -t copied:2 .
    [ $(($(size_of_blobs) - before)) -lt 400 ]
    # The same without its cache: the archive that will be is the same.
    want=$(layers copied:1)
    DOCKER_BUILDKIT=0 docker build -q --build-arg SOURCE_DATE_EPOCH=1000000000 --no-cache -t copied:3 .
    [ "$(layers copied:3)" = "$want" ]
    for i in 1 2; do
        docker tag copied:$i "$REGISTRY/copied:$i"
        docker push -q "$REGISTRY/copied:$i"
        pushed_is_whole copied:$i $i
    done
    docker rmi -f copied:1 copied:3 "$REGISTRY/copied:1"
    docker builder prune -af
    docker pull -q "$REGISTRY/copied:1"
    docker run --rm "$REGISTRY/copied:1" sh -ec 'cmp /tree/data /bin/data; [ /arch/p -ef /arch/q ]; [ -p /arch/pipe ]
        [ "$(stat -c %a:%u /tree/sub/one) $(stat -c %a:%u:%g /bin/one)" = "4750:0 4750:3:4" ]; [ "$(readlink /tree/sub/link)" = ../data ]'
    docker rmi "$REGISTRY/copied:1" "$REGISTRY/copied:2" copied:2
    rm -r "$T/copied"
}

@test "another storage driver gets such an image from the one that has it" {
    docker commit changed moved:1
    layers moved:1 >"$T/want"
    daemon_stop
    daemon_start --storage-driver vfs
    docker run --rm moved:1 sh -ec '[ "$(cat /dir/new)" = new ]; [ ! -e /bin/vi ]; [ ! -e /dir/old ]'
    layers moved:1 | diff "$T/want" -
    daemon_stop
    daemon_start
    docker rmi moved:1
}

@test "an imported tar is not kept, and is saved again byte by byte" {
    mkdir -p "$T/odd"
    "$BATS_TEST_DIRNAME/odd_tars.py" make "$T/odd"
    head -c 3000000 /dev/urandom >"$T/odd/tree/noise"
    tar -C "$T/odd/tree" -cf "$T/odd/noise.tar" noise
    before=$(size_of_blobs) maps=$(ls "$T/data/layers" | grep -c map || true)
    for kind in pax gnu ustar tail noise; do
        docker import "$T/odd/$kind.tar" "odd:$kind" >/dev/null
        [ "$(layers "odd:$kind")" = "sha256:$(sha256sum <"$T/odd/$kind.tar" | cut -d' ' -f1)" ]
    done
    [ $(($(size_of_blobs) - before)) -lt 200 ]
    daemon_stop
    daemon_start
    for kind in pax gnu ustar tail noise; do
        docker save -o "$T/odd/saved" "odd:$kind"
        "$BATS_TEST_DIRNAME/odd_tars.py" same "$T/odd/saved" "$T/odd/$kind.tar"
    done
    # A child of one is whole as well, and so is what another driver makes of it.
    docker import "$T/odd/gnu.tar" odd:again >/dev/null
    docker run --name child -v /bin/busybox:/busybox:ro odd:again /busybox touch /new
    docker commit child odd:child
    docker rm child
    docker save -o "$T/odd/saved" odd:child
    "$BATS_TEST_DIRNAME/odd_tars.py" same "$T/odd/saved" "$T/odd/gnu.tar"
    docker rmi odd:child odd:again
    docker images -q odd | sort -u | xargs docker rmi -f
    [ "$(ls "$T/data/layers" | grep -c map || true)" -eq "$maps" ]
}

@test "a tar that its files cannot tell is imported all the same" {
    for kind in dup alias replaced whiteout sparse-gnu sparse-posix; do
        docker import "$T/odd/$kind.tar" "odd:$kind" >/dev/null
        docker save -o "$T/odd/saved" "odd:$kind"
        "$BATS_TEST_DIRNAME/odd_tars.py" whole "$T/odd/saved"
    done
    [ "$(docker run --rm -v /bin/busybox:/busybox:ro odd:dup /busybox cat /a)" = other ]
    docker images -q odd | sort -u | xargs docker rmi -f
}

@test "layers of a docker-archive are what its configs name, whatever tars they are" {
    for kind in pax gnu tail dup alias sparse-gnu; do
        "$BATS_TEST_DIRNAME/mkimage.py" "$T/odd/oci-$kind" '{"Cmd":["x"]}' "$(busybox_tar)" "$T/odd/$kind.tar"
        skopeo copy -q "oci:$T/odd/oci-$kind" "docker-archive:$T/odd/archive:odd:$kind"
        before=$(size_of_blobs)
        docker load -q -i "$T/odd/archive"
        [ $(($(size_of_blobs) - before)) -lt 200 ]
        [ "$(layers "odd:$kind" | tail -n 1)" = "sha256:$(sha256sum <"$T/odd/$kind.tar" | cut -d' ' -f1)" ]
        docker run --rm "odd:$kind" /bin/true
        docker save -o "$T/odd/saved" "odd:$kind"
        "$BATS_TEST_DIRNAME/odd_tars.py" whole "$T/odd/saved"
        docker rmi "odd:$kind"
        docker load -q -i "$T/odd/saved" # and whatever form the archive has
        docker rmi "odd:$kind"
        rm "$T/odd/archive"
    done
}

@test "umoci unpacks what is saved, and what it packs is loaded" {
    docker pull -q "$REGISTRY/busybox:latest"
    mkdir "$T/umoci"
    docker save "$REGISTRY/busybox:latest" | tar -C "$T/umoci" -x
    [ "$(umoci ls --layout "$T/umoci")" = latest ]
    umoci unpack --image "$T/umoci:latest" "$T/bundle"
    docker create --name whole "$REGISTRY/busybox:latest" >/dev/null
    docker cp whole:/bin/busybox - | tar -xO | cmp - "$T/bundle/rootfs/bin/busybox"
    docker rm whole >/dev/null
    echo packed >"$T/bundle/rootfs/new"
    rm "$T/bundle/rootfs/bin/vi"
    umoci repack --image "$T/umoci:more" "$T/bundle"
    umoci rm --image "$T/umoci:latest"
    umoci gc --layout "$T/umoci"
    rm -f "$T/umoci/manifest.json"
    docker rmi "$REGISTRY/busybox:latest"
    tar -C "$T/umoci" -c . | docker load >"$T/out" 2>&1 || { cat "$T/out"; false; }
    id=$(sed -n "s/Loaded image: //p" "$T/out") # umoci keeps the name that containerd's note has
    [ "$id" = "$REGISTRY/busybox:latest" ]
    [ "$(docker run --rm "$id" sh -c 'cat /new; ls /bin/vi 2>/dev/null; echo $?')" = $'packed\n1' ]
    [ "$(docker inspect -f '{{.Id}}' "$id")" = "sha256:$(jq -r '.manifests[0].digest[7:]' "$T/umoci/index.json" |
        xargs -I{} jq -r '.config.digest[7:]' "$T/umoci/blobs/sha256/{}")" ]
    docker rmi "$id"
    rm -rf "$T/umoci" "$T/bundle"
}
