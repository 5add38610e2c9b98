#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# hung.bats - a driver's call that never returns, in each kind: others are not held up by it.

bats_require_minimum_version 1.5.0
load lib
load misbehave

setup_file() {
    daemon_init
    export ORDERS=$T/orders
    mkdir "$ORDERS" "$T/so"
    misbehave_build "$T/so/misbehave.so"
    driver_build "$T/so/gated.so" gated_storage.c -ldl
    # An instance for each kind, so that one does not hang for another.
    for name in hvol hnet hipam hreg hlog hrun hbuild hext hauth; do
        printf '"%s": {"plugin": "misbehave", "path": "%s", "dir": "%s"},\n' $name "$T/so/misbehave.so" "$ORDERS"
    done | sed '1s/^/{"storage-driver": "gated", "plugins": {/' >"$T/daemon.json"
    echo "\"gated\": {\"path\": \"$T/so/gated.so\", \"dir\": \"$ORDERS\",
        \"inner\": \"$DRAY_STAGE/lib/dray/plugins/storage-overlay.so\"}}}" >>"$T/daemon.json"
    daemon_start
    busybox_import
    docker run -d --name neighbour busybox sleep 1000
    docker create --name idle busybox sleep 1000
}

teardown_file() {
    go_on
    daemon_done
}

teardown() {
    go_on
    wait
}

# What people do beside: each must be as quick as ever, all of it within three seconds.
others_are_quick() {
    local t ms
    t=$(date +%s%N)
    docker ps -a | grep -q neighbour
    docker inspect neighbour idle >/dev/null
    docker volume ls >/dev/null
    docker network ls >/dev/null
    docker images >/dev/null
    docker info >/dev/null
    docker start idle
    docker exec neighbour true
    docker stop -t 0 idle
    docker run --rm -v beside:/x busybox true
    docker volume rm beside
    docker network create beside
    docker network rm beside
    ms=$((($(date +%s%N) - t) / 1000000))
    echo "others took $ms ms"
    [ $ms -lt 3000 ]
}

# hangs ORDER COMMAND...: the command is held up by it, and ends once it may go on.
hangs() {
    local order=$1 pid
    shift
    hang "$order"
    "$@" >"$T/hung.out" 2>&1 3>&- &
    pid=$!
    sleep 0.3
    others_are_quick
    ! gone $pid
    go_on
    wait $pid || true
}

@test "volume: create, mount, unmount, inspect" {
    hangs volume.create docker volume create -d hvol v1
    docker volume inspect v1
    hangs volume.mount docker run --rm -v v1:/x busybox true
    hangs volume.inspect docker volume inspect v1
    docker run -d --name user -v v1:/x busybox sleep 1000
    hangs volume.unmount docker rm -f user
    docker volume rm v1
}

@test "network: create, join, removal of an endpoint" {
    hangs network.net_create docker network create -d hnet n1
    hangs network.join docker run --rm --network n1 busybox true
    docker run -d --name user --network n1 busybox sleep 1000
    hangs network.ep_remove docker rm -f user
    docker network rm n1
}

@test "ipam: a pool, an address" {
    hangs ipam.pool_request docker network create --ipam-driver hipam n2
    hangs ipam.addr_request docker run --rm --network n2 busybox true
    docker network rm n2
}

@test "registry: resolve" {
    hangs registry.resolve docker pull misbehave.test/x:1
    grep -q 'manifest.*not found' "$T/hung.out"
}

@test "log: open, write" {
    hangs log.open docker run --rm --log-driver hlog busybox true
    hang log.write
    docker run -d --name talks --log-driver hlog busybox sh -c 'while :; do echo word; sleep 0.1; done'
    sleep 0.3
    others_are_quick
    go_on
    docker rm -f talks
}

@test "runtime: create" {
    hangs runtime.create docker run --rm --runtime hrun busybox true
    grep -q 'runs nothing' "$T/hung.out"
}

@test "storage: a layer made, mounted, dropped, filled, packed, looked at" {
    hangs storage.create docker create --name s1 busybox true
    hangs storage.mounts docker start s1
    docker wait s1
    hangs storage.changes docker diff s1
    hangs storage.diff docker commit s1 s1:1
    hangs storage.release docker start s1
    docker wait s1
    docker rmi s1:1
    mkdir -p "$T/root"
    date +%N >"$T/root/file"
    tar -C "$T/root" -cf "$T/root.tar" file
    hangs storage.apply docker import "$T/root.tar" imported:1
    docker rmi imported:1
    hangs storage.remove docker rm s1
    ! docker inspect s1
}

@test "builder: another one builds meanwhile" {
    printf 'FROM busybox\nRUN true\n' >"$T/Dockerfile"
    mkdir "$T/context"
    cp "$T/Dockerfile" "$T/context/misbehave"
    hang builder.build
    DOCKER_BUILDKIT=0 docker build -f "$T/context/misbehave" "$T/context" >"$T/hung.out" 2>&1 3>&- &
    pid=$!
    others_are_quick
    DOCKER_BUILDKIT=0 timeout 60 docker build -q - <"$T/Dockerfile"
    ! gone $pid
    go_on
    ! wait $pid
    grep -q 'this builder builds nothing' "$T/hung.out"
}

@test "extension: a request" {
    hangs extension.handle curl -s -m 60 --unix-socket "$T/dray.sock" http://d/extensions/hext/
    grep -q '^GET /' "$T/hung.out"
}

@test "authorization: requests wait for it, fail by its name once it is suspect, and containers go on" {
    docker run -d --name counts -v counted:/c busybox sh -c 'while :; do date >>/c/times; sleep 0.1; done'
    lines() { wc -l <"$T/data/volume/local/counted/_data/times"; }
    sed -i 's/"storage-driver"/"authorization-plugins": ["hauth"], "storage-driver"/' "$T/daemon.json"
    hang authz.request
    : >"$ORDERS/ill."
    kill -HUP "$(daemon_pid)"
    refused() { [ "$(status_of GET /_ping -m 1)" = 500 ] && api GET /_ping -m 5 | grep -q hauth; }
    wait_until 15 refused
    api GET /info | grep -q '"message":"plugin hauth failed with error: '
    before=$(lines)
    goes_on() { [ "$(lines)" -gt "$before" ]; }
    wait_until 5 goes_on
    rm "$ORDERS/ill."
    go_on
    allowed() { [ "$(status_of GET /info)" = 200 ]; }
    wait_until 10 allowed
    sed -i 's/"authorization-plugins": \["hauth"\], //' "$T/daemon.json"
    kill -HUP "$(daemon_pid)"
    docker rm -f counts
    docker volume rm counted
}

@test "past its deadline: its instance is suspect, says so at once, and serves again" {
    local t pid
    docker volume create -d hvol v3
    hang volume.inspect
    docker volume inspect v3 >"$T/hung.out" 2>&1 3>&- &
    pid=$!
    is() { api GET /plugins/loaded | jq -e --arg s "$1" '.[] | select(.Name == "hvol" and .State == $s)' >/dev/null; }
    : >"$ORDERS/ill."
    wait_until 14 is suspect
    t=$(date +%s%N)
    run docker volume create -d hvol v4
    [ $(($(date +%s%N) - t)) -lt 1000000000 ]
    [[ $output == *"the driver volume/hvol does not answer"* ]]
    others_are_quick
    go_on
    rm "$ORDERS/ill."
    wait $pid
    wait_until 5 is ready
    docker volume create -d hvol v4
    docker volume rm v3 v4
}
