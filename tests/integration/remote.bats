#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# remote.bats - plugins of Docker's own protocol behind our bridges: volumes, and servers that fail.

load lib

setup_file() {
    T=$(mktemp -d /tmp/dray-it.XXXXXX)
    export P=$T/plugins
    mkdir -p "$P" "$T/specs"
    cat >"$T/daemon.json" <<JSON
{"plugins": {"volume/remote": {"socket-dirs": ["$P"], "spec-dirs": ["$T/specs"], "timeout": "3s"}}}
JSON
    local dir=$T
    daemon_init
    mv "$dir/daemon.json" "$T/daemon.json"
    export SERVERS=$dir
    daemon_start
    busybox_import
    server one
    server two
}

teardown_file() {
    local f
    for f in "$SERVERS"/*.pid; do kill "$(cat "$f")" 2>/dev/null; done
    daemon_done
    rm -rf "$SERVERS"
}

# Start a server under that name.
server() {
    rm -f "$P/$1.sock"
    python3 "$BATS_TEST_DIRNAME/plugin_server.py" "$P/$1.sock" "$SERVERS/$1" </dev/null >"$SERVERS/$1.log" 2>&1 3>&- &
    echo $! >"$SERVERS/$1.pid"
    wait_until 10 test -S "$P/$1.sock"
}

mode() { echo "$2" >"$SERVERS/$1/mode"; }
ms() { echo $(($(date +%s%N) / 1000000)); }

@test "a volume of a third party's server: create, inspect, list, use, remove" {
    run docker volume create -d one -o size=5 v1
    [ "$status" -eq 0 ] && [ "$output" = v1 ]
    run docker volume inspect -f '{{.Driver}} {{.Mountpoint}} {{.Scope}} {{.Status.uses}} {{.Options.size}}' v1
    [ "$output" = "one $SERVERS/one/data/v1 global 0 5" ]
    docker volume ls | grep -qE '^one +v1$'
    docker run --rm -v v1:/x busybox sh -c 'echo hello >/x/file'
    [ "$(cat "$SERVERS/one/data/v1/file")" = hello ]
    [ "$(grep -c 'VolumeDriver.Mount ' "$SERVERS/one/calls")" -eq 1 ]
    wait_until 5 grep -q 'VolumeDriver.Unmount ' "$SERVERS/one/calls"
    docker volume rm v1
    grep -q 'VolumeDriver.Remove {"Name":"v1"}' "$SERVERS/one/calls"
    ! docker volume inspect v1
}

@test "docker run makes the volume with --volume-driver" {
    docker run --rm --volume-driver two -v made:/x busybox touch /x/here
    [ -e "$SERVERS/two/data/made/here" ]
    [ "$(docker volume inspect -f '{{.Driver}}' made)" = two ]
    docker run --rm --mount type=volume,source=made,target=/y,volume-driver=two busybox test -e /y/here
    docker volume rm made
}

@test "a volume that the server has already is taken as it is" {
    curl -s --unix-socket "$P/one.sock" -d '{"Name":"old"}' http://x/VolumeDriver.Create
    echo kept >"$SERVERS/one/data/old/file"
    [ "$(docker run --rm --volume-driver one -v old:/x busybox cat /x/file)" = kept ]
    [ "$(grep -c 'VolumeDriver.Create.*"old"' "$SERVERS/one/calls")" -eq 1 ]
    docker volume rm old
}

@test "what only the server knows is listed, found by its name alone, and removed" {
    docker volume create -d one known # a driver is listed from once it is in use
    docker volume rm known
    curl -s --unix-socket "$P/one.sock" -d '{"Name":"outer"}' http://x/VolumeDriver.Create
    curl -s --unix-socket "$P/one.sock" -d '{"Name":"outer2"}' http://x/VolumeDriver.Create
    echo kept >"$SERVERS/one/data/outer/file"
    docker volume ls | grep -qE '^one +outer$'
    [ "$(docker volume ls -q -f name=outer | sort | xargs)" = 'outer outer2' ]
    [ "$(docker volume ls -q -f driver=one -f dangling=true -f name=outer | sort | xargs)" = 'outer outer2' ]
    [ -z "$(docker volume ls -q -f dangling=false -f name=outer)" ]
    [ "$(docker run --rm -v outer:/x busybox cat /x/file)" = kept ]
    [ "$(docker volume inspect -f '{{.Driver}} {{.Mountpoint}}' outer2)" = "one $SERVERS/one/data/outer2" ]
    [ "$(docker volume ls -q -f name=outer | sort | xargs)" = 'outer outer2' ]
    docker volume rm outer outer2
    grep -q 'VolumeDriver.Remove {"Name":"outer"}' "$SERVERS/one/calls"
    [ -z "$(docker volume ls -q -f name=outer)" ]
    mode one fail
    run api GET /volumes
    mode one ok
    [[ $output == *'list volumes of driver one: '*'the disk is on fire'* ]]
}

@test "the server's own words reach the user" {
    run docker volume create -d one -o bad=1 v2
    [ "$status" -ne 0 ]
    [[ $output == *"create v2: VolumeDriver.Create: bad is not an option of mine"* ]]
    ! docker volume inspect v2
    mode one fail
    run docker volume create -d one v2
    mode one ok
    [[ $output == *"VolumeDriver.Create: the disk is on fire"* ]]
}

@test "an unknown driver is refused at once, and found as soon as it is there" {
    local t
    t=$(ms)
    run docker volume create -d nobody v3
    [[ $output == *'error looking up volume plugin nobody: plugin "nobody" not found'* ]]
    [ $(($(ms) - t)) -lt 1500 ]
    [ "$(status_of POST /volumes/create -H 'Content-Type: application/json' -d '{"Name":"v3","Driver":"nobody"}')" = 404 ]
    echo "unix://$P/two.sock" >"$SERVERS/specs/nobody.spec"
    docker volume create -d nobody v3
    docker volume rm v3
}

@test "a specification in JSON, and one that makes no sense" {
    echo "{\"Name\":\"j\",\"Addr\":\"unix://$P/two.sock\"}" >"$SERVERS/specs/j.json"
    docker volume create -d j v4
    docker volume rm v4
    echo 'gopher://x' >"$SERVERS/specs/k.spec"
    run docker volume create -d k v4
    [[ $output == *'must begin with unix://, tcp://'* ]]
}

@test "a server that hangs: an error with its name in time, and nobody else waits" {
    local t pid
    docker volume create -d one hung
    docker run -d --name neighbour busybox sleep 100
    mode one hang
    docker run --rm -v hung:/x busybox true >"$T/hang.out" 2>&1 3>&- &
    pid=$!
    sleep 0.3
    t=$(ms)
    docker ps | grep -q neighbour
    docker inspect neighbour >/dev/null
    docker volume ls | grep -q hung
    docker run --rm -v other:/x busybox true
    docker volume create -d two quick
    docker volume rm quick other
    docker stop -t 0 neighbour
    [ $(($(ms) - t)) -lt 2500 ]
    ! wait $pid
    grep -q "hung.*the plugin \"one\" has not answered within" "$T/hang.out"
    docker rm neighbour
    # The next call is not given as long; once it answers, it serves as ever.
    t=$(ms)
    ! docker volume inspect hung
    [ $(($(ms) - t)) -lt 2800 ]
    mode one ok
    docker run --rm -v hung:/x busybox true
    docker volume rm hung
}

@test "late answers are waited for" {
    mode one late
    docker volume create -d one late
    mode one ok
    docker volume rm late
}

@test "rubbish is an error with its name" {
    local m
    for m in rubbish nojson; do
        mode one $m
        run docker volume create -d one v5
        [ "$status" -ne 0 ]
        [[ $output == *'the plugin "one"'* ]]
    done
    mode one ok
    ! docker volume inspect v5
}

@test "a server that dies amid a call, and one that comes again" {
    docker volume create -d two mortal
    mode two die
    run docker run --rm -v mortal:/x busybox true
    [ "$status" -ne 0 ]
    [[ $output == *'the plugin "two"'* ]]
    run docker volume inspect mortal
    [[ $output == *'cannot reach the plugin "two"'*'Connection refused'* ]]
    docker volume ls | grep -q mortal
    mode two ok
    server two
    # The new one knows nothing of it, as Docker's users know: made again by hand.
    curl -s --unix-socket "$P/two.sock" -d '{"Name":"mortal"}' http://x/VolumeDriver.Create
    docker run --rm -v mortal:/x busybox true
    docker volume rm mortal
}

@test "volumes and containers outlive a restart of the daemon, with the server down too" {
    docker volume create -d one stays
    docker run -d --name user -v stays:/x busybox sleep 1000
    daemon_kill
    mv "$P/one.sock" "$P/one.gone"
    daemon_start
    docker ps | grep -q user
    docker volume ls | grep -qE '^one +stays$'
    run docker volume rm stays
    [[ $output == *"volume is in use"* ]]
    mv "$P/one.gone" "$P/one.sock"
    docker exec user touch /x/more
    docker rm -f user
    wait_until 5 grep -q 'Unmount {"Name":"stays"' "$SERVERS/one/calls"
    docker volume rm stays
}

@test "rclone serve docker, as Debian has it" {
    command -v rclone >/dev/null && [ -c /dev/fuse ] || skip "rclone or /dev/fuse is missing"
    mkdir -p "$SERVERS/rclone/store" "$SERVERS/rclone/mnt" "$SERVERS/rclone/cache"
    printf '[here]\ntype = alias\nremote = %s\n' "$SERVERS/rclone/store" >"$SERVERS/rclone/rclone.conf"
    rclone serve docker --config "$SERVERS/rclone/rclone.conf" --base-dir "$SERVERS/rclone/mnt" \
        --cache-dir "$SERVERS/rclone/cache" --socket-addr "$P/rclone.sock" \
        </dev/null >"$SERVERS/rclone.log" 2>&1 3>&- &
    echo $! >"$SERVERS/rclone.pid"
    wait_until 10 test -S "$P/rclone.sock"
    docker volume create -d rclone -o remote=here: cloud
    docker run --rm -v cloud:/c busybox sh -c 'echo by rclone >/c/file'
    docker run --rm -v cloud:/c busybox cat /c/file | grep -q 'by rclone'
    wait_until 15 grep -qs "by rclone" "$SERVERS/rclone/store/file"
    docker volume inspect cloud | grep -q '"Driver": "rclone"'
    docker volume rm cloud
    kill "$(cat "$SERVERS/rclone.pid")"
    wait_until 10 gone "$(cat "$SERVERS/rclone.pid")"
    rm "$SERVERS/rclone.pid"
}
