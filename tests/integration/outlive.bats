#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# outlive.bats - containers outlive the daemon: kill -9 with 20 running, 20 times over.

bats_require_minimum_version 1.5.0
load lib

ROUNDS=${DRAY_OUTLIVE_ROUNDS:-20}
COUNT=20

setup_file() {
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() { daemon_done; }

# Each writes a number every 20 ms, and answers on a port of its own.
start_all() {
    local i
    for i in $(seq $COUNT); do
        docker run -d --name "ct$i" -p "127.0.0.1:$((21000 + i)):80" busybox sh -c '
            echo $HOSTNAME >/index.html; httpd -p 80 -h /
            n=0; while :; do n=$((n + 1)); echo $n; usleep 20000; done' >/dev/null
    done
}

pids() { for i in $(seq $COUNT); do docker inspect -f '{{.State.Pid}}' "ct$i"; done; }

answers() {
    local i
    for i in $(seq $COUNT); do
        curl -sf --max-time 2 -o /dev/null "http://127.0.0.1:$((21000 + i))/" || { echo "port of ct$i"; return 1; }
    done
}

no_gap() { # the numbers of a log are 1, 2, 3, ...
    docker logs "$1" | awk '$1 != NR {print "line " NR " is " $1; exit 1}'
}

@test "kill -9 with $COUNT running, $ROUNDS times: same processes, ports, logs, exit codes" {
    start_all
    wait_until 10 answers
    before=$(pids)
    for round in $(seq "$ROUNDS"); do
        docker run -d --name "ends" busybox sh -c 'sleep 0.3; exit 23' >/dev/null
        docker wait ct1 >"$T/waited" 2>/dev/null &
        waiter=$!
        daemon_kill
        answers
        sleep 0.4
        answers
        daemon_start
        kill $waiter 2>/dev/null || true
        [ "$(pids)" = "$before" ]
        answers
        [ "$(docker wait ends)" = 23 ]
        [ "$(docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' ends)" = "exited 23" ]
        docker rm ends >/dev/null
    done
    for i in $(seq $COUNT); do no_gap "ct$i"; done
    # They still obey.
    docker exec ct1 true
    docker stop -t 0 $(seq -f 'ct%g' $COUNT) >/dev/null
    [ "$(docker inspect -f '{{.State.ExitCode}}' ct5)" = 137 ]
    docker start ct5 >/dev/null
    wait_until 5 curl -sf --max-time 1 -o /dev/null "http://127.0.0.1:21005/"
    docker rm -f $(seq -f 'ct%g' $COUNT) >/dev/null
}

@test "a container with --rm that ended meanwhile is removed" {
    docker run -d --rm --name temp busybox sleep 0.3
    daemon_kill
    sleep 0.6
    daemon_start
    wait_until 5 bash -c '! docker inspect temp >/dev/null 2>&1'
}

@test "a graceful stop leaves containers running too" {
    docker run -d --name stays busybox sleep 1000
    pid=$(docker inspect -f '{{.State.Pid}}' stays)
    daemon_stop
    kill -0 "$pid"
    daemon_start
    [ "$(docker inspect -f '{{.State.Pid}}' stays)" = "$pid" ]
    docker rm -f stays
}

@test "a restart policy is kept across a restart of the daemon" {
    docker run -d --name keep --restart always busybox sleep 1000
    pid=$(docker inspect -f '{{.State.Pid}}' keep)
    daemon_kill
    kill -9 "$pid"
    daemon_start
    wait_until 10 bash -c '[ "$(docker inspect -f "{{.State.Status}}" keep)" = running ]'
    docker rm -f keep
}

@test "containers that died with the machine start again by policy, all of them" {
    local i dir
    for i in $(seq 24); do
        docker run -d --name "re$i" --restart always busybox sh -c 'echo up >/index.html; exec httpd -f -p 80 -h /' >/dev/null
    done
    docker run -d --name joins --restart always --network container:re1 busybox sleep 1000 >/dev/null
    docker run -d --name after --restart always --network container:joins busybox sleep 1000 >/dev/null
    docker run -d --name fails --restart on-failure:3 busybox sleep 1000 >/dev/null
    docker run -d --name none busybox sleep 1000 >/dev/null
    docker run -d --name held --restart unless-stopped busybox sleep 1000 >/dev/null
    docker stop -t 0 held >/dev/null
    daemon_kill
    for dir in "$T"/exec/containers/*; do kill -9 "$(cat "$dir/shim.pid")"; done
    daemon_start
    all_up() { [ "$(docker ps -q -f status=running | wc -l)" = 27 ]; }
    wait_until 20 all_up
    for i in $(seq 24); do
        wait_until 5 curl -sf --max-time 5 -o /dev/null "http://$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' "re$i")/"
    done
    docker exec after wget -q -O /dev/null http://127.0.0.1/
    [ "$(docker inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}' none fails held | xargs)" = 'exited 255 0 running 0 0 exited 137 0' ]
    docker rm -f $(seq -f 're%g' 24) joins after none fails held >/dev/null
}

@test "a reload is an event that clients can read" {
    local since
    since=$(date +%s)
    kill -HUP "$(daemon_pid)"
    reloaded() { [[ "$(docker events --since "$since" --until "$(date +%s)" --filter type=daemon)" == *"reload"*"debug=false"* ]]; }
    wait_until 10 reloaded
}

@test "a running container whose document is broken keeps its address and its port" {
    local id pid ip port doc
    port=$(free_port)
    docker run -d --name torn -p "$port:80" busybox sh -c 'echo torn >/index.html; exec httpd -f -p 80 -h /' >/dev/null
    id=$(docker inspect -f '{{.Id}}' torn)
    pid=$(docker inspect -f '{{.State.Pid}}' torn)
    ip=$(docker inspect -f '{{.NetworkSettings.IPAddress}}' torn)
    wait_until 5 curl -sf --max-time 2 -o /dev/null "http://127.0.0.1:$port/"
    doc=$T/data/containers/$id/container.json
    daemon_stop
    cp "$doc" "$T/whole"
    echo '{"Id"' >"$doc"
    daemon_start
    [ "$(docker network inspect bridge | jq -r ".[0].Containers[\"$id\"].IPv4Address")" = "$ip/16" ]
    run -125 docker run --rm -p "$port:80" busybox true
    [[ $output == *"port is already allocated"* ]]
    docker run -d --name other busybox sleep 1000 >/dev/null
    [ "$(docker inspect -f '{{.NetworkSettings.IPAddress}}' other)" != "$ip" ]
    [ "$(curl -s --max-time 3 "http://127.0.0.1:$port/")" = torn ]
    # It is mended: nothing has changed for it.
    daemon_stop
    cp "$T/whole" "$doc"
    daemon_start
    [ "$(docker inspect -f '{{.NetworkSettings.IPAddress}} {{.State.Pid}}' torn)" = "$ip $pid" ]
    # Removed as it is, it leaves both to others.
    daemon_stop
    echo '{"Id"' >"$doc"
    daemon_start
    docker rm -f "$id" >/dev/null
    wait_until 5 gone "$pid"
    [ "$(docker network inspect bridge | jq -r ".[0].Containers[\"$id\"]")" = null ]
    docker run -d --name next -p "$port:80" busybox sleep 1000 >/dev/null
    docker rm -f other next >/dev/null
}

@test "what was open where the daemon was started is not held by those that outlive it" {
    daemon_stop
    exec 7>"$T/starters"
    daemon_start
    exec 7>&-
    docker run -d --name heir -p 127.0.0.1::80 busybox sleep 1000 >/dev/null
    holders=$(find /proc/[0-9]*/fd -lname "$T/starters" 2>/dev/null || true)
    [ "$(wc -w <<<"$holders")" -eq 1 ] # the daemon itself
    [[ $holders == "/proc/$(daemon_pid)/"* ]]
    docker rm -f heir >/dev/null
}

@test "a shim that dies takes its container with it, and is reported" {
    docker run -d --name orphan busybox sleep 1000
    shim=$(cat "$T/exec/containers/$(docker inspect -f '{{.Id}}' orphan)/shim.pid")
    pid=$(docker inspect -f '{{.State.Pid}}' orphan)
    kill -9 "$shim"
    wait_until 10 bash -c '[ "$(docker inspect -f "{{.State.Status}} {{.State.ExitCode}}" orphan)" = "exited 137" ]'
    wait_until 5 gone "$pid"
    docker rm orphan
}

@test "addresses stay known, also those of a container that removes itself" {
    docker run -d --rm --name adr busybox sleep 1000
    before=$(docker inspect -f '{{json .NetworkSettings}}' adr)
    [[ $before == *'"IPAddress":"172.'* ]]
    daemon_kill
    daemon_start
    [ "$(docker inspect -f '{{json .NetworkSettings}}' adr)" = "$before" ]
    docker rm -f adr
}

@test "after a power loss: a state that was lost, a removal and a creation that were cut off" {
    docker run --name lost busybox false || true
    docker create --name cut busybox true
    docker create --name half busybox true
    lost=$(docker inspect -f '{{.Id}}' lost) cut=$(docker inspect -f '{{.Id}}' cut) half=$(docker inspect -f '{{.Id}}' half)
    daemon_stop
    : >"$T/data/containers/$lost/state.json"
    rm "$T/data/containers/$cut/container.json"
    mv "$T/data/containers/$half/container.json" "$T/data/containers/$half/container.json.0123456789ab.tmp"
    touch "$T/data/containers/$lost/state.json.0123456789ab.tmp" "$T"/data/{images,layers,build,build/cache,build/mounts,networks,volumes-meta}/x.json.0123456789ab.tmp
    daemon_start
    [ -z "$(find "$T/data" -name '*.0123456789ab.tmp')" ]
    [ "$(docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' lost)" = "exited 255" ]
    [ -z "$(docker ps -aq --no-trunc | grep -e "$cut" -e "$half")" ]
    [ ! -e "$T/data/containers/$cut" ] && [ ! -e "$T/data/containers/$half" ]
    docker start -a lost || [ $? -eq 1 ]
    docker rm lost
    docker create --name half busybox true
    docker rm half
}

@test "a start that was cut off, whose shim does not answer, is undone" {
    local id shim pid
    id=$(docker run -d --name cut busybox sleep 1000)
    shim=$(cat "$T/exec/containers/$id/shim.pid")
    pid=$(docker inspect -f '{{.State.Pid}}' cut)
    kill -STOP "$shim"
    daemon_kill
    # As it is on disk until the daemon hears that the process runs.
    jq -c '.Status = "created" | .Pid = 0 | .HasBeenStarted = false' "$T/data/containers/$id/state.json" >"$T/state"
    cp "$T/state" "$T/data/containers/$id/state.json"
    daemon_start
    wait_until 5 gone "$shim" || { kill -CONT "$shim"; false; }
    wait_until 5 gone "$pid"
    [ "$(docker inspect -f '{{.State.Status}}' cut)" = created ]
    docker start cut
    docker exec cut true
    docker rm -f cut
}

@test "volumes whose creation or removal was cut off" {
    local meta=$T/data/volumes-meta local=$T/data/volume/local
    docker volume create --label a=b gone
    docker volume create --label a=b stays
    daemon_stop
    mv "$meta/gone.json" "$meta/gone.json.going"
    rm -r "$local/gone"
    mv "$meta/stays.json" "$meta/stays.json.going"
    mkdir -p "$local/empty/_data" "$local/filled/_data"
    touch "$local/filled/_data/x"
    echo -n local >"$meta/empty.json.coming"
    echo -n local >"$meta/filled.json.coming"
    echo -n nobody >"$meta/foreign.json.coming"
    touch "$meta/empty.json.0123456789ab.tmp" "$T/data/references.json.0123456789ab.tmp"
    daemon_start
    [ "$(docker volume ls -q)" = stays ]
    [ "$(docker volume inspect -f '{{.Labels.a}}' stays)" = b ]
    [ ! -e "$local/empty" ]
    [ -e "$local/filled/_data/x" ]
    [ "$(ls "$meta")" = stays.json ]
    [ ! -e "$T/data/references.json.0123456789ab.tmp" ]
    docker volume rm stays
    [ -z "$(ls "$meta")" ]
    docker run --rm -v filled:/v busybox test -e /v/x
    docker volume rm filled
}
