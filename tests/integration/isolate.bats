#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolate.bats - plugins in processes of their own: they work as ever, and crash and hang alone.

bats_require_minimum_version 1.5.0
load lib
load misbehave
load registry

setup_file() {
    daemon_init
    export ORDERS=$T/orders
    mkdir "$ORDERS" "$T/so"
    misbehave_build "$T/so/misbehave.so" -DISOLABLE
    misbehave_build "$T/so/shimkinds.so"
    cc -shared -fPIC -O1 -std=gnu17 -D_GNU_SOURCE -I"$BATS_TEST_DIRNAME/../../sdk/include" -fvisibility=hidden \
        -Wl,-z,defs,-z,now,-z,nodelete -o "$T/so/ram.so" "$BATS_TEST_DIRNAME/../../examples/volume-ram/ram.c"
    cat >"$T/daemon.json" <<JSON
{"storage-driver": "vfs",
 "plugins": {
   "vfs": {"isolation": "process"},
   "hub": {"isolation": "process"},
   "log/local": {"isolation": "process"},
   "ram": {"path": "$T/so/ram.so", "isolation": "process"},
   "mis": {"plugin": "misbehave", "path": "$T/so/misbehave.so", "dir": "$ORDERS", "isolation": "process"},
   "shimkinds": {"plugin": "misbehave", "path": "$T/so/shimkinds.so", "dir": "$ORDERS", "isolation": "process"},
   "volume/remote": {"isolation": "process"}}}
JSON
    daemon_start
    busybox_import
}

teardown_file() {
    go_on
    daemon_done
}

teardown() { go_on; }

state_of() { api GET /plugins/loaded | jq -r --arg n "$1" '.[] | select(.Name == $n) | .State'; }
is() { [ "$(state_of "$1")" = "$2" ]; }
process_of() { pgrep -P "$(daemon_pid)" -f "dray-plugin-host $1\$"; }

@test "the daemon does not have their files in its memory; each has a process" {
    local name
    for name in vfs hub ram mis; do
        is $name ready
        process_of $name
    done
    ! grep -qE 'storage-vfs|registry-hub|ram.so|misbehave.so' "/proc/$(daemon_pid)/maps"
    grep -q /plugins/storage-vfs.so "/proc/$(process_of vfs)/maps" || grep -q storage-vfs "/proc/$(process_of vfs)/maps"
}

@test "dray plugin ls and inspect tell of them" {
    dray plugin ls | grep -qE '^storage +vfs +.* ready '
    [ "$(dray plugin inspect -f '{{.Name}} {{.State}} {{.Isolation}}' volume/ram)" = "ram ready process" ]
    [ "$(dray plugin inspect -f '{{.Isolation}} {{.Family}}' bridge authz/remote)" = $'none false\nnone true' ]
    dray plugin inspect mis | jq -e '.[0].Kinds | index("ipam")'
    run dray plugin inspect nobody
    [ "$status" -eq 1 ]
    [[ $output == *'plugin "nobody" not found'* ]]
}

@test "storage: images and containers" {
    docker run --name layer busybox sh -c 'echo hello >/file; rm /etc/group'
    docker diff layer | grep -q '^A /file'
    docker diff layer | grep -q '^D /etc/group'
    docker commit layer mine:1
    [ "$(docker run --rm mine:1 cat /file)" = hello ]
    docker save mine:1 | tar t | grep -q manifest.json
    docker rm layer
    docker rmi mine:1
    [ "$(docker info -f '{{.Driver}}')" = vfs ]
}

@test "registry: push and pull" {
    command -v docker-registry >/dev/null || skip "docker-registry is missing"
    registry_start
    docker tag busybox "$REGISTRY/b:1"
    docker push "$REGISTRY/b:1"
    docker rmi "$REGISTRY/b:1"
    docker pull "$REGISTRY/b:1"
    docker run --rm "$REGISTRY/b:1" true
    run docker pull "$REGISTRY/none:1"
    [ "$status" -ne 0 ]
    docker rmi "$REGISTRY/b:1"
    registry_stop
}

@test "volume: the example driver, its options and errors" {
    docker volume create -d ram -o size=2m r1
    docker run --rm -v r1:/x busybox sh -c 'echo kept >/x/file; df -k /x | tail -n 1' | grep -q 2048
    docker run -d --name user -v r1:/x busybox sleep 1000
    docker exec user touch /x/more
    docker rm -f user
    docker volume rm r1
    run docker volume create -d ram -o colour=red r2
    [ "$status" -ne 0 ]
    [[ $output == *"create r2: "*colour* ]]
    ! docker volume inspect r2
}

@test "network, ipam, authz, extension" {
    docker network create -d mis --ipam-driver mis n1
    [ "$(docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' n1)" = 10.66.0.0/24 ]
    docker run -d --name c1 --network n1 busybox sleep 1000
    [ "$(docker inspect -f '{{.NetworkSettings.Networks.n1.MacAddress}}' c1)" = 02:01:02:03:04:05 ]
    docker inspect -f '{{.NetworkSettings.Networks.n1.IPAddress}}' c1 | grep -q '^10.66.0.'
    docker rm -f c1
    docker network rm n1
    [ "$(api GET '/extensions/mis/?q=1' -H 'X-Test: t' | sed 's/events=.*//')" = "GET / q=1 h=t " ]
    head -c 2000000 /dev/urandom >"$T/blob"
    api POST /extensions/mis/echo --data-binary "@$T/blob" | cmp - "$T/blob"
    [ "$(status_of GET '/extensions/mis/?fail=1')" = 409 ]
    sed -i 's/"storage-driver"/"authorization-plugins": ["mis"], "storage-driver"/' "$T/daemon.json"
    kill -HUP "$(daemon_pid)"
    denied() { [ "$(status_of GET '/info?x=FORBIDDEN')" = 403 ]; }
    wait_until 5 denied
    [ "$(status_of GET /info)" = 200 ]
    sed -i 's/"authorization-plugins": \["mis"\], //' "$T/daemon.json"
    kill -HUP "$(daemon_pid)"
    allowed() { ! denied; }
    wait_until 5 allowed
}

# The process of a container's log driver, a child of its shim.
log_process_of() { # CONTAINER
    pgrep -P "$(awk '{print $4}' "/proc/$(docker inspect -f '{{.State.Pid}}' "$1")/stat")" -f dray-plugin-host
}

@test "log: written in the container's own process, read in the daemon's" {
    docker run -d --name l1 --log-driver local --log-opt max-size=1m busybox \
        sh -c 'echo out; echo err >&2; i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i + 1)); done; sleep 1000'
    last() { docker logs --tail 1 l1 | grep -q 'line 19999'; }
    wait_until 10 last
    [ "$(docker logs l1 2>/dev/null | sed -n '1p;2p;$p' | paste -sd,)" = "out,line 0,line 19999" ]
    [ "$(docker logs l1 2>&1 >/dev/null)" = err ]
    [ "$(docker logs --tail 2 l1 | head -n 1)" = "line 19998" ]
    run ! docker run --log-driver local --log-opt colour=red busybox true
    docker rm -f l1
    [ "$(docker run --name l2 --log-driver local busybox echo quick)" = quick ]
    [ "$(docker logs -f l2)" = quick ]
    docker rm l2
}

@test "log: a crash costs lines, neither the container nor those that follow" {
    local old pid
    docker run -d --name l3 --log-driver local busybox sh -c 'i=0; while :; do echo $i; i=$((i + 1)); sleep 0.02; done'
    pid=$(docker inspect -f '{{.State.Pid}}' l3)
    old=$(log_process_of l3)
    [ -n "$old" ]
    kill -KILL "$old"
    again() { log_process_of l3 >/dev/null && [ "$(log_process_of l3)" != "$old" ]; }
    wait_until 5 again
    far() { [ "$(docker logs --tail 1 l3)" -gt "$1" ]; }
    wait_until 5 far "$(($(docker logs --tail 1 l3) + 5))"
    [ "$(docker inspect -f '{{.State.Pid}}' l3)" = "$pid" ]
    # None is lost when there was no call under way, and none is there twice.
    [ "$(docker logs l3 | sort -n | uniq -d | wc -l)" -eq 0 ]
    # It outlives the daemon, as the shim does.
    old=$(log_process_of l3)
    daemon_kill
    daemon_start
    [ "$(log_process_of l3)" = "$old" ]
    docker rm -f l3
    wait_until 5 gone "$old"
    # One that fails over and over costs its lines alone; one that hangs stops its container at the pipe.
    docker run -d --name l4 --log-driver mis busybox sh -c 'while :; do echo x; sleep 0.05; done'
    for _ in 1 2 3 4; do crash log.write; sleep 0.3; done
    [ "$(docker inspect -f '{{.State.Running}}' l4)" = true ]
    hang log.write
    docker exec l4 true
    docker rm -f l4
}

@test "a crash ends its own call alone: logged, started again, told what was in use" {
    local old t
    docker volume create -d mis held
    docker run -d --name user -v held:/x busybox sleep 1000
    docker network create -d mis --ipam-driver mis n2
    old=$(process_of mis)
    [ "$(docker volume inspect -f '{{.Status.pid}}' held)" = "$old" ]
    crash volume.create
    t=$(date +%s%N)
    run docker volume create -d mis falls
    [ "$status" -ne 0 ]
    [ $(($(date +%s%N) - t)) -lt 4000000000 ]
    [[ $output == *"has ended and is being started again"* ]]
    docker volume inspect held # waits for the next process
    docker ps | grep -q user
    replaced() { is mis ready && [ -n "$(process_of mis)" ] && [ "$(process_of mis)" != "$old" ]; }
    wait_until 5 replaced
    [ "$(docker volume inspect -f '{{.Status.pid}}' held)" = "$(process_of mis)" ]
    grep -q "volume/mis: its process $old was ended by signal 6" "$T/drayd.log"
    grep -q "restore held for $(docker inspect -f '{{.Id}}' user)" "$T/drayd.log"
    # The CLI cuts --until to whole seconds.
    api GET "/events?since=1&until=$(date +%s.%N)" |
        jq -se 'any(.[]; .Type == "plugin" and .Action == "suspect" and .Actor.ID == "volume/mis")'
    docker volume create -d mis falls
    docker rm -f user
    docker volume rm held falls
    docker network rm n2
}

@test "one killed from outside comes back, and others are not held up meanwhile" {
    local old
    old=$(process_of mis)
    kill -KILL "$old"
    docker run --rm busybox true
    replaced() { is mis ready && [ -n "$(process_of mis)" ] && [ "$(process_of mis)" != "$old" ]; }
    wait_until 5 replaced
    docker volume create -d mis v1
    docker volume rm v1
}

@test "a call past its deadline: its process is killed, the caller is told, the next one serves" {
    local old
    docker volume create -d mis v2
    old=$(process_of mis)
    hang volume.inspect
    run docker volume inspect v2
    [ "$status" -ne 0 ]
    [[ $output == *"the driver volume/mis has not answered in time"* ]]
    wait_until 2 gone "$old"
    go_on
    wait_until 5 is mis ready
    docker volume inspect v2
    docker volume rm v2
}

@test "one that crashes over and over is started with more and more time between" {
    local n
    docker volume create -d mis v3
    docker run -d --name user -v v3:/x busybox sleep 1000
    while :; do crash volume.restore; sleep 0.02; done 3>&- &
    local feeder=$!
    n=$(grep -c 'could not be started again' "$T/drayd.log" || true)
    kill -KILL "$(process_of mis)"
    sleep 2.5
    kill $feeder
    go_on
    n=$(($(grep -c 'could not be started again' "$T/drayd.log") - n))
    echo "$n attempts"
    [ "$n" -ge 2 ] && [ "$n" -le 6 ]
    wait_until 10 is mis ready
    docker rm -f user
    docker volume rm v3
}

@test "what cannot be isolated is refused with the reason; a bad word too" {
    is shimkinds refused
    api GET /plugins/loaded | jq -e '.[] | select(.Name == "shimkinds") | .Error | contains("cannot run in a process of their own")'
    api GET /plugins/loaded | jq -e '.[] | select(.Name == "remote" and .Kinds == ["volume"]) | .Error | contains("it is a family")'
    echo '{"plugins": {"mis": {"isolation": "container"}}}' >"$T/bad.json"
    run "$DRAY_STAGE/bin/drayd" --data-root "$T/data2" --exec-root "$T/exec2" -H "unix://$T/other.sock" \
        --pidfile "$T/other.pid" --config-file "$T/bad.json"
    [ "$status" -ne 0 ]
    [[ $output == *'"isolation" is "process" or "none", not "container"'* ]]
}

@test "they end with the daemon, whether it stops or is killed" {
    local all p
    all=$(pgrep -P "$(daemon_pid)" -f dray-plugin-host)
    [ "$(echo "$all" | wc -l)" -eq 5 ]
    daemon_kill
    for p in $all; do wait_until 3 gone "$p"; done
    daemon_start
    all=$(pgrep -P "$(daemon_pid)" -f dray-plugin-host)
    daemon_stop
    for p in $all; do gone "$p"; done
    daemon_start
    docker run --rm busybox true
}
