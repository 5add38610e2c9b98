#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# build_limits.bats - builds that meet a limit: a full disk in each kind of step, contexts and Dockerfiles that are
# made to be too much. The error is clear, the daemon goes on, nothing is left.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    export DOCKER_BUILDKIT=0
    daemon_init
    mkdir -p "$T/data"
    mount -t tmpfs -o size=48m,mode=711 tmpfs "$T/data"
    daemon_start
    busybox_import
    mkdir "$T/c"
    printf 'FROM busybox\nRUN echo before >/before\n' | docker build -q -t first -
}

teardown_file() {
    daemon_stop
    umount "$T/data"
    daemon_done
}

free_kb() { df --output=avail -k "$T/data" | tail -n 1; }
# A build has failed for want of room; afterwards there is as much as before.
no_room() { # FREE
    [ "$status" -ne 0 ]
    printf '%s\n' "$output"
    [[ ${output,,} == *"no space left on device"* ]]
    [ -z "$(docker ps -aq)" ]
    wait_until 5 room_for "$1"
}
room_for() { [ "$(free_kb)" -ge $(($1 - 200)) ]; }

@test "a full disk: while the context comes" {
    free=$(free_kb)
    printf 'FROM busybox\nCOPY big /\n' >"$T/c/Dockerfile"
    head -c 60M /dev/urandom >"$T/c/big"
    run docker build "$T/c"
    no_room "$free"
    tar -C "$T/c" -cz . >"$T/c.tgz"
    run docker build - <"$T/c.tgz"
    no_room "$free"
    rm "$T/c.tgz"
}

@test "a full disk: in COPY, ADD and COPY --from" {
    free=$(free_kb)
    head -c 25M /dev/urandom >"$T/c/big"
    printf 'FROM busybox\nRUN echo before >/before\nCOPY big /\n' >"$T/c/Dockerfile"
    run docker build "$T/c"
    no_room "$free"
    [[ $output == *"Using cache"* && $output != *"the layer has"* ]]
    mkdir "$T/a"
    tar -C "$T/c" -cf "$T/a/big.tar" big
    printf 'FROM busybox\nADD big.tar /\n' >"$T/a/Dockerfile"
    run docker build "$T/a"
    no_room "$free"
    rm -r "$T/a"
    printf 'FROM busybox AS one\nRUN dd if=/dev/zero of=/big bs=1M count=30\nFROM busybox\nCOPY --from=one /big /\n' >"$T/df"
    run docker build - <"$T/df"
    [ "$status" -ne 0 ]
    printf '%s\n' "$output"
    [[ ${output,,} == *"no space left on device"* ]]
    docker builder prune -af
    wait_until 5 room_for "$free"
}

@test "a full disk: in RUN" {
    free=$(free_kb)
    printf 'FROM busybox\nRUN dd if=/dev/zero of=/big bs=1M count=100\n' >"$T/df"
    run docker build - <"$T/df"
    no_room "$free"
    [[ $output == *"returned a non-zero code: 1"* ]]
}

@test "the same builds when there is room" {
    head -c 5M /dev/urandom >"$T/c/big"
    docker build -q -t fits "$T/c"
    docker rmi fits
}

@test "variables that double themselves, too many instructions, a Dockerfile that is too long" {
    python3 - "$T" <<'PY'
import sys
top = sys.argv[1]
with open(top + "/double", "w") as f:
    f.write("FROM busybox\nARG B=xxxxxxxxxxxxxxxx\n" + "ARG B=$B$B\n" * 40)
with open(top + "/wide", "w") as f:
    f.write("FROM busybox\nARG B=xxxxxxxxxxxxxxxx\n" + "ARG B=$B$B\n" * 15 + "".join(f"ENV V{i}=$B\n" for i in range(200)))
with open(top + "/many", "w") as f:
    f.write("FROM busybox\n" + "ARG A\n" * 100000)
with open(top + "/stages", "w") as f:
    f.write("FROM busybox\n" * 100000)
with open(top + "/long", "w") as f:
    f.write("FROM busybox\n" + "# a comment that is long\n" * (10 << 20 >> 4))
PY
    for f in double:'longer than 1048576 bytes' wide:'expand to more than' many:'more than 20000 instructions' \
        stages:'more than 1000 stages' long:'Dockerfile is larger than'; do
        run docker build -q - <"$T/${f%%:*}"
        printf '%.300s\n' "$output"
        [ "$status" -ne 0 ]
        [[ $output == *"${f#*:}"* ]]
        rm "$T/${f%%:*}"
    done
    daemon_answers
}

@test "stages that need each other, or themselves" {
    printf 'FROM b AS a\nFROM a AS b\n' >"$T/df"
    run timeout 30 docker build - <"$T/df"
    [ "$status" -ne 0 ] && [ "$status" -ne 124 ]
    printf 'FROM busybox AS a\nCOPY --from=a /x /\n' >"$T/df"
    run timeout 30 docker build - <"$T/df"
    printf '%s\n' "$output"
    [ "$status" -ne 0 ] && [ "$status" -ne 124 ]
}

@test "odd names, devices, deep folders, loops of links" {
    python3 - "$T" <<'PY'
import io, sys, tarfile
top = sys.argv[1]
def make(name, entries, copy):
    with tarfile.open(f"{top}/{name}.tar", "w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape") as t:
        data = b"FROM busybox\nCOPY " + copy + b"\nRUN find /c | wc -l\n"
        i = tarfile.TarInfo("Dockerfile"); i.size = len(data); t.addfile(i, io.BytesIO(data))
        for n, kind, link in entries:
            i = tarfile.TarInfo(n); i.type = kind; i.linkname = link; i.devmajor, i.devminor = 1, 3
            t.addfile(i, io.BytesIO(b"") if kind == tarfile.REGTYPE else None)
R, S, D, C, F = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE
make("names", [("d/" + "n" * 255, R, ""), ("d/\udcff\udcfe", R, ""), ("d/a\nb", R, ""), ("d/ ", R, "")], b"d /c/")
make("too-long-a-name", [("d/" + "n" * 256, R, "")], b"d /c/")
make("devices", [("d/null", C, ""), ("d/pipe", F, "")], b"d /c/")
make("deep", [("d/" * 10000 + "f", R, "")], b"d /c/")
make("rather-deep", [("d/" * 1500 + "f", R, "")], b"d /c/")
make("loop", [("a", S, "b"), ("b", S, "a")], b"a /c/")
make("loop-inside", [("d/a", S, "b"), ("d/b", S, "a"), ("d/self", S, ".")], b"d /c/")
make("grows", [("l", S, "x/" * 1000 + "l")], b"l /c/")
PY
    for name in names devices loop-inside; do
        run docker build - <"$T/$name.tar"
        printf '%s: %s\n' $name "$output"
        [ "$status" -eq 0 ]
    done
    for name in too-long-a-name deep rather-deep loop grows; do
        run docker build - <"$T/$name.tar"
        printf '%s: %.300s\n' $name "${output##*Step 2}"
        [ "$status" -eq 1 ]
        [[ ${output,,} =~ "too long"|"too deep"|"too many"|"not found in build context" ]]
    done
    daemon_answers
    [ -z "$(docker ps -aq)" ]
}

@test "a context whose names and attributes would fill the memory" {
    python3 - <<'PY' | gzip -1 >"$T/held.tgz"
import sys, tarfile
for i in range(500):
    info = tarfile.TarInfo(f"f{i}")
    info.pax_headers = {"SCHILY.xattr.user.x": "0" * 900000}
    sys.stdout.buffer.write(info.tobuf(tarfile.PAX_FORMAT))
PY
    run docker build - <"$T/held.tgz"
    printf '%s\n' "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"names and attributes of its files take more than"* ]]
    daemon_answers
}
