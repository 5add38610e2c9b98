#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# build_killed.bats - kill -9 of the daemon in every kind of a build's step: after a restart nothing of the step is
# left, and the same build goes on from the cache.

bats_require_minimum_version 1.5.0
load lib
load registry

setup_file() {
    export DOCKER_BUILDKIT=0
    daemon_init
    registry_start
    push_busybox
    make_contexts
    daemon_start
    busybox_import
    mkdir "$T/first" && printf 'FROM busybox\nRUN true >/x\n' >"$T/first/Dockerfile"
    docker build -q -t first "$T/first" # what is made once, as init layers, is there
    forget first
    files >"$T/files"
    mounts >"$T/mounts"
}

teardown_file() {
    [ ! -r "$T/faults.pid" ] || kill "$(cat "$T/faults.pid")"
    registry_stop
    daemon_done
}

# $T/much.tar: a folder of many files; $T/copy.tar and $T/add.tar: contexts that copy and unpack it.
make_contexts() {
    python3 - "$T" <<'PY'
import io, sys, tarfile
top = sys.argv[1]
def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
def many(tar):
    for i in range(8000):
        add(tar, f"much/{i % 100}/f{i}", b"%d\n" % i * 100)
head = b"FROM busybox\nRUN echo before >/before\n"
with tarfile.open(f"{top}/much.tar", "w") as t:
    many(t)
with tarfile.open(f"{top}/copy.tar", "w") as t:
    add(t, "Dockerfile", head + b"COPY much /much\nRUN ls /much | wc -l\n")
    many(t)
with tarfile.open(f"{top}/add.tar", "w") as t:
    add(t, "Dockerfile", head + b"ADD much.tar /\nRUN ls /much | wc -l\n")
    t.add(f"{top}/much.tar", "much.tar")
PY
}

# All in the data root but what changes by itself; all below the root that is mounted or runs.
files() { (cd "$T/data" && find . ! -path './*/trash/*' ! -path '*/spare/*' ! -path './blobs/partial*' ! -type s | sort); }
mounts() { leftovers_list | grep -v -e /exec/netns/ -e '^process .*drayd' -e '^process .*registry' -e '^process .*dray-shim' || true; }
same_files() { files >"$T/now" && diff "$T/files" "$T/now" >"$T/more"; }
same_mounts() { mounts >"$T/now" && diff "$T/mounts" "$T/now" >"$T/more"; }

forget() { # IMAGE...
    docker rmi -f "$@" >/dev/null
    docker builder prune -af >/dev/null
}

nothing_left() {
    [ -z "$(docker ps -aq)" ] || { docker ps -a; return 1; }
    wait_until 5 same_mounts || { echo "left over:"; cat "$T/more"; return 1; }
}

# The images of a test are gone, and so is all that its builds wrote.
clean_again() { # IMAGE...
    forget "$@"
    nothing_left
    wait_until 5 same_files || { echo "left over:"; cat "$T/more"; return 1; }
}

# Start a build in the background; its output is in $T/out.
begin() { # CONTEXT: a tar or a Dockerfile
    docker build -t killed - <"$1" >"$T/out" 2>&1 3>&- &
    BUILD=$!
}

kill_daemon() {
    daemon_kill
    wait "$BUILD" || true
    daemon_start
    cat "$T/out"
    nothing_left
}

# A file of that pattern lies in a layer that is being made.
layer_has() { compgen -G "$T/data/storage/overlay/layers/*/diff/$1" >/dev/null; }
at_step() { grep -q "^Step $1" "$T/out"; }
before_step() { ! at_step "$1"; }
no_container() { [ -z "$(docker ps -aq)" ]; }
a_container() { ! no_container; }

again() { # CACHED ARGUMENTS: the build succeeds, with so many steps from the cache
    run docker build "${@:2}"
    printf '%s\n' "$output"
    [ "$status" -eq 0 ]
    [ "$(grep -c 'Using cache' <<<"$output")" -eq "$1" ]
}

@test "while a base image is pulled" {
    local proxy
    proxy=127.0.0.1:$(free_port)
    echo '[{"match": "GET .*/blobs/", "drip": 0.2}]' >"$T/rules.json"
    "$BATS_TEST_DIRNAME/registry_faults.py" --listen "$proxy" --upstream "$REGISTRY" --rules "$T/rules.json" --log "$T/faults.log" \
        </dev/null >"$T/faults.out" 2>&1 3>&- &
    echo $! >"$T/faults.pid"
    wait_until 10 curl -sf -o /dev/null "http://$proxy/v2/"
    printf 'FROM %s/busybox\nRUN echo x >/x\n' "$proxy" >"$T/df"
    begin "$T/df"
    wait_until 10 grep -q '/blobs/' "$T/faults.log"
    kill_daemon
    [ -z "$(docker images -q "$proxy/busybox")" ]
    echo '[]' >"$T/rules.json"
    again 0 -t killed - <"$T/df"
    clean_again killed "$proxy/busybox"
    kill "$(cat "$T/faults.pid")" && rm "$T/faults.pid"
}

@test "while the context comes" {
    mkfifo "$T/half"
    exec 7<>"$T/half"
    curl -s --unix-socket "$T/dray.sock" -H 'Content-Type: application/x-tar' -T - -X POST http://d/build <"$T/half" >"$T/out" 2>&1 3>&- 7>&- &
    BUILD=$!
    head -c 3000000 "$T/copy.tar" >&7 # and then nothing
    # The unnamed file that it is kept in.
    wait_until 10 bash -c 'find -L /proc/$(cat "$T/drayd.pid")/fd -size +2000k -links 0 2>/dev/null | grep -q .'
    daemon_kill
    exec 7>&- # curl sees it end
    wait "$BUILD" || true
    rm "$T/half"
    daemon_start
    nothing_left
    wait_until 5 same_files
}

@test "in a RUN, with a cache mount that is locked" {
    printf 'FROM busybox\nRUN echo before >/before\nRUN --mount=type=cache,target=/c,sharing=locked echo kept >/c/f; sleep 60\n' >"$T/df"
    begin "$T/df"
    wait_until 10 a_container
    wait_until 10 compgen -G "$T/data/build/mounts/*/f" >/dev/null
    kill_daemon
    sed -i 's/echo kept.*/cat \/c\/f/' "$T/df"
    again 1 -t killed - <"$T/df"
    [[ $output == *kept* ]]
    clean_again killed
}

@test "in a COPY of many files" {
    begin "$T/copy.tar"
    wait_until 10 layer_has 'much/0/f0'
    kill_daemon
    at_step 3
    before_step 4
    again 1 -t killed - <"$T/copy.tar"
    [[ $output == *$'\n100\n'* ]]
    clean_again killed
}

@test "in an ADD of an archive" {
    begin "$T/add.tar"
    wait_until 10 layer_has 'much/0/f0'
    kill_daemon
    at_step 3
    before_step 4
    again 1 -t killed - <"$T/add.tar"
    [[ $output == *$'\n100\n'* ]]
    clean_again killed
}

@test "in an ADD of a repository" {
    local port server
    port=$(free_port)
    python3 -c 'import socket, sys
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
held = []
while True: held.append(s.accept())' "$port" </dev/null >/dev/null 2>&1 3>&- &
    server=$!
    printf 'FROM busybox\nADD http://127.0.0.1:%s/x.git /x\n' "$port" >"$T/df"
    begin "$T/df"
    wait_until 10 compgen -G "$T/data/builder/dockerfile/git-*/.git/config" >/dev/null
    daemon_kill
    kill $server # git sees it end
    wait "$BUILD" || true
    daemon_start
    nothing_left
    wait_until 5 same_files
}

@test "in a COPY from another stage" {
    docker build -q -t much - <"$T/copy.tar"
    printf 'FROM busybox AS one\nRUN echo one >/one\nFROM busybox\nCOPY --from=one /one /\nCOPY --from=much /much /again\nRUN ls /again | wc -l\n' >"$T/df"
    begin "$T/df"
    wait_until 10 layer_has 'again/0/f0'
    kill_daemon
    at_step 5
    before_step 6
    again 2 -t killed - <"$T/df"
    [[ $output == *$'\n100\n'* ]]
    clean_again killed much
}

@test "while the changes of a RUN are taken" {
    docker build -q -t much - <"$T/copy.tar"
    printf 'FROM much\nRUN echo before >/before\nRUN cp -r /much /again\nRUN ls /again | wc -l\n' >"$T/df"
    local try
    for try in {1..5}; do # they are taken in an instant, which the kill may miss
        begin "$T/df"
        wait_until 20 at_step 3
        wait_until 10 a_container
        wait_until 20 no_container
        kill_daemon
        before_step 4 && break
        docker rmi -f killed >/dev/null 2>&1 || true
        docker builder prune -af >/dev/null
    done
    before_step 4
    again 1 -t killed - <"$T/df"
    [[ $output == *$'\n100\n'* ]]
    clean_again killed much
}

@test "while the result is exported" {
    docker build -q -t much - <"$T/copy.tar"
    printf 'FROM much\nRUN echo before >/before\n' >"$T/first/Dockerfile"
    mkfifo "$T/export"
    dray build -q -o type=tar,dest="$T/export" "$T/first" >"$T/out" 2>&1 3>&- &
    BUILD=$!
    head -c 100000 "$T/export" >/dev/null # and no more: the daemon cannot go on
    kill_daemon
    rm "$T/export"
    again 1 -t killed "$T/first"
    clean_again killed much
}
