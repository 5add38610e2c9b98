#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# archive_ahead.bats - layers of an archive are unpacked while the rest of it comes in: what they turn out to be
# layers of, or of nothing, is found out at its end.

load lib

setup_file() {
    daemon_init
    daemon_start
    make_tars
    "$BATS_TEST_DIRNAME/mkimage.py" "$T/oci" '{"Cmd":["sh"]}' "$(busybox_tar)" "$T/low.tar" "$T/mid.tar:zstd" "$T/top.tar:none" "$T/low.tar"
}

teardown_file() { daemon_done; }

# Each layer counts on the ones below it: whiteouts, an opaque folder, a link in place of a folder.
make_tars() {
    python3 - "$T" <<'PY'
import io, sys, tarfile
top = sys.argv[1]
def tar(name, entries):
    with tarfile.open(f"{top}/{name}.tar", "w") as t:
        for path, what in entries:
            info = tarfile.TarInfo(path)
            if what is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                t.addfile(info)
            else:
                info.size = len(what)
                t.addfile(info, io.BytesIO(what))
tar("low", [("d", None), ("d/gone", b"1"), ("d/kept", b"2"), ("o", None), ("o/hidden", b"3"), ("again", b"low")])
tar("mid", [("d/.wh.gone", b""), ("o", None), ("o/.wh..wh..opq", b""), ("o/shown", b"4"), ("again", b"mid")])
tar("top", [("d/more", b"5"), ("large", bytes(3 << 20)), (".wh.again", b"")])
PY
}

# The layout as an archive, layers first; after them it waits for a file to come. MORE: files to put in as well.
archive() { # GO [MORE...]
    python3 - "$T/oci" "$@" <<'PY'
import io, json, os, sys, tarfile, time
top, go, more = sys.argv[1], sys.argv[2], sys.argv[3:]
blob = lambda d: f"blobs/sha256/{d['digest'][7:]}"
index = json.load(open(top + "/index.json"))
manifest = json.load(open(f"{top}/{blob(index['manifests'][0])}"))
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", bufsize=512) as t:
    for path in dict.fromkeys(map(blob, manifest["layers"])):
        t.add(f"{top}/{path}", path)
    for path in more:
        t.add(path, os.path.relpath(path, os.path.dirname(top) + "/more"))
    t.add(top + "/oci-layout", "oci-layout") # pushes out what tarfile keeps
    sys.stdout.flush()
    end = time.time() + 60
    while go and not os.path.exists(go) and time.time() < end:
        time.sleep(0.05)
    for path in (blob(manifest["config"]), blob(index["manifests"][0]), "index.json"):
        t.add(f"{top}/{path}", path)
PY
}

layers() { ls "$T/data/storage/overlay/layers"; }
unpacked() { compgen -G "$T/data/storage/overlay/layers/*/diff/$1" >/dev/null; }
all_unpacked() { unpacked d/more && unpacked o/shown && unpacked d/kept && unpacked bin/busybox; }
left() { find "$T"/data/{blobs,ingest,layers,tmp} -type f 2>/dev/null | sort; }

shows_all() { # IMAGE
    [ "$(docker run --rm "$1" sh -c 'ls d o; cat again; stat -c %s large')" = $'d:\ngone\nkept\nmore\n\no:\nhidden\nshown\nlow3145728' ]
}

setup() {
    layers >"$T/layers-before"
    left >"$T/left-before"
}

nothing_left() {
    layers | diff "$T/layers-before" -
    left | diff "$T/left-before" -
}

@test "layers are unpacked before the archive has ended, and stand where the manifest says" {
    archive "$T/go" > >(docker load >"$T/out" 2>&1) &
    sent=$!
    wait_until 30 all_unpacked
    [ -z "$(docker images -q)" ]
    touch "$T/go"
    wait $sent
    wait_until 30 grep -q 'Loaded image' "$T/out"
    id=$(sed -n 's/Loaded image.*: //p' "$T/out")
    shows_all "$id"
    docker load -q -i <(archive "") # its layers are known now
    docker rmi "$id"
    nothing_left
}

@test "of an archive that breaks off nothing is left" {
    rm -f "$T/go"
    archive "$T/go" > >(docker load >"$T/out" 2>&1) &
    sent=$!
    wait_until 30 all_unpacked
    pkill -P $sent || true
    kill $sent 2>/dev/null || true
    wait $sent || true
    wait_until 30 nothing_left
    [ -z "$(docker images -q)" ]
}

@test "what looks like a layer and is none of the image does no harm" {
    mkdir -p "$T/more/blobs/sha256"
    head -c 100000 /dev/urandom | gzip | head -c 50000 >"$T/more/torn" # a gzip that ends too early
    mv "$T/more/torn" "$T/more/blobs/sha256/$(sha256sum <"$T/more/torn" | cut -d' ' -f1)"
    printf '\x1f\x8bno gzip' >"$T/more/broken.tar"
    tar -C "$T" -cf "$T/more/other.tar" mid.tar
    cp "$T/more/other.tar" "$T/more/blobs/sha256/$(sha256sum <"$T/more/other.tar" | cut -d' ' -f1)"
    archive "" "$T"/more/blobs/sha256/* "$T"/more/*.tar | docker load >"$T/out"
    id=$(sed -n 's/Loaded image.*: //p' "$T/out")
    shows_all "$id"
    docker rmi "$id"
    nothing_left
}

@test "a layer with another diff id than its config names is refused" {
    mkdir "$T/false"
    python3 - "$T/oci" "$T/false" <<'PY'
import hashlib, json, os, shutil, sys
shutil.copytree(sys.argv[1], sys.argv[2], dirs_exist_ok=True)
top = sys.argv[2] + "/"
def put(doc):
    data = json.dumps(doc).encode()
    digest = hashlib.sha256(data).hexdigest()
    open(top + "blobs/sha256/" + digest, "wb").write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}
load = lambda d: json.load(open(top + "blobs/sha256/" + d["digest"][7:]))
index = json.load(open(top + "index.json"))
manifest = load(index["manifests"][0])
config = load(manifest["config"])
ids = config["rootfs"]["diff_ids"]
ids[1], ids[2] = ids[2], ids[1]
manifest["config"].update(put(config))
index["manifests"][0].update(put(manifest))
json.dump(index, open(top + "index.json", "w"))
PY
    run bash -c 'tar -C "$T/false" -c . | docker load'
    [ "$status" -ne 0 ]
    [[ $output == *"invalid diffID for layer 1: expected "*", got "* ]] # as dockerd says it
    [ -z "$(docker images -q)" ]
    nothing_left
}

@test "a docker-archive's layers are unpacked before it has ended, each time that they occur" {
    "$BATS_TEST_DIRNAME/mkimage.py" "$T/oci-gz" '{"Cmd":["sh"]}' "$(busybox_tar)" "$T"/{low,mid,top,low}.tar
    skopeo copy -q "oci:$T/oci-gz" "docker-archive:$T/old.tar:old:1"
    size=$(stat -c %s "$T/old.tar")
    rm -f "$T/go"
    (head -c $((size - 4096)) "$T/old.tar"; wait_until 60 test -e "$T/go"; tail -c 4096 "$T/old.tar") |
        docker load >"$T/out" 2>&1 &
    loads=$!
    wait_until 30 all_unpacked
    [ -z "$(docker images -q)" ]
    touch "$T/go"
    wait $loads
    shows_all old:1
    docker save -o "$T/saved.tar" old:1
    [ "$(tar -xOf "$T/saved.tar" manifest.json | jq '.[0].Layers | length')" -eq 5 ]
    docker rmi old:1
    nothing_left
}
