#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# compat_shared.bats - what clients see of starts that fail, of networks that are shared, and of what
# nobody asked for: as Docker shows it.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
}

teardown() {
    local ids
    ids=$(docker ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -fv $ids >/dev/null
    docker network prune -f >/dev/null
}

teardown_file() { daemon_done; }

inspect() { docker inspect -f "{{json $2}}" "$1"; }

@test "who waits for the next exit is not woken by a start that fails" {
    local waiter
    docker create --name never busybox nosuch >/dev/null
    curl -s -D "$T/h1" --max-time 100 --unix-socket "$T/dray.sock" -X POST 'http://d/containers/never/wait?condition=next-exit' >"$T/w1" 3>&- &
    waiter=$!
    wait_until 5 grep -q '200 OK' "$T/h1"
    run docker start never
    [[ $status -ne 0 && $output == *"executable file not found"* ]]
    run -127 docker run -d --name gone busybox nosuch
    [[ $output != *"Error waiting"* ]]
    kill -0 "$waiter"
    [ ! -s "$T/w1" ]
    docker rm never >/dev/null # its end is the container's
    wait "$waiter"
    grep -q StatusCode "$T/w1"
}

tried() { [ "$(docker inspect -f '{{.RestartCount}}' "$1")" -ge 5 ]; }

@test "who waits while a restart is due gets the error of one that fails" {
    local answer
    mkdir "$T/held"
    docker run -d --name again --restart always --mount "type=bind,src=$T/held,dst=/held" busybox \
        sh -c 'exit 3' >/dev/null
    wait_until 10 tried again # the next pause is a long one
    rmdir "$T/held"
    answer=$(api POST /containers/again/wait)
    # It was just up once more: this is of the next one.
    [[ $answer != '{"StatusCode":3}'* ]] || answer=$(api POST /containers/again/wait)
    [[ $answer == *'"StatusCode":'*'"Message":"'*held* ]]
}

@test "a container that shares a network names its owner by id, whatever that is called later" {
    docker run -d --name owner busybox sleep 1000 >/dev/null
    docker run -d --name guest --network container:owner busybox sleep 1000 >/dev/null
    [ "$(inspect guest .HostConfig.NetworkMode)" = "\"container:$(docker inspect -f '{{.Id}}' owner)\"" ]
    [ "$(inspect guest .NetworkSettings.SandboxID)$(inspect guest .NetworkSettings.SandboxKey)" = '""""' ]
    # Its names are the owner's, too.
    [ "$(docker exec guest hostname)" = "$(docker exec owner hostname)" ]
    [ "$(inspect guest .Config.Hostname)" = "$(inspect owner .Config.Hostname)" ]
    docker rename owner landlord
    docker restart -t 0 guest >/dev/null
    [ "$(docker exec guest ip -o -4 addr show eth0)" = "$(docker exec landlord ip -o -4 addr show eth0)" ]
    docker stop -t 0 landlord >/dev/null
    run docker restart -t 0 guest
    [[ $status -ne 0 && $output == *"failed to set up container networking: cannot join network of a non running container: $(docker inspect -f '{{.Id}}' landlord)"* ]]
    docker create --name tenant --pid container:landlord busybox true
    run docker start tenant
    [[ $status -ne 0 && $output == *"failed to join PID namespace: container $(docker inspect -f '{{.Id}}' landlord) is not running"* ]]
    docker rm tenant
}

sandbox() { docker inspect -f '{{.NetworkSettings.SandboxID}}' "$1"; }
sandbox_key() { docker inspect -f '{{.NetworkSettings.SandboxKey}}' "$1"; }
inode() { stat -L -c %i "$1"; }

@test "a network sandbox has an id of 64 digits and a file, the host's too" {
    local box
    docker run -d --name own busybox sleep 1000 >/dev/null
    docker run -d --name shared --network host busybox sleep 1000 >/dev/null
    for box in own shared; do
        [[ $(sandbox $box) =~ ^[0-9a-f]{64}$ ]]
        [ "$(inode "$(sandbox_key $box)")" = "$(inode "/proc/$(docker inspect -f '{{.State.Pid}}' $box)/ns/net")" ]
    done
    [[ $(sandbox_key own) == */netns/$(sandbox own | cut -c 1-12) ]]
    [[ $(sandbox_key shared) == */netns/default ]]
    before="$(sandbox own) $(sandbox shared)"
    daemon_stop
    daemon_start
    [ "$(sandbox own) $(sandbox shared)" = "$before" ]
    [ "$(inode "$(sandbox_key shared)")" = "$(inode /proc/self/ns/net)" ]
    docker stop -t 0 shared >/dev/null
    [ -z "$(sandbox shared)$(sandbox_key shared)" ]
}

@test "an address that a network cannot give is refused before there is a container" {
    docker network create plain >/dev/null
    docker network create --subnet 10.214.5.0/24 given >/dev/null
    run docker run -d --name bad --network plain --ip 1.2.3.4 busybox true
    [[ $status -eq 125 && $output == *"invalid config for network plain: invalid endpoint settings:"*"only when connecting to networks with user configured subnets"* ]]
    run docker run -d --name bad --network given --ip 1.2.3.4 busybox true
    [[ $status -eq 125 && $output == *"invalid config for network given: invalid endpoint settings:"*"no configured subnet or ip-range contain the IP address 1.2.3.4"* ]]
    run docker run -d --name bad --ip 172.17.0.9 busybox true
    [[ $status -eq 125 && $output == *$'invalid config for network bridge: invalid endpoint settings:\nuser specified IP address is supported on user defined networks only'* ]]
    run docker inspect bad
    [ "$status" -ne 0 ]
    docker run --rm --network given --ip 10.214.5.9 busybox ip -o -4 addr show eth0 | grep -q 10.214.5.9/24
}

@test "inspect: what is not there is null, and drivers go by Docker's names" {
    docker network create mine >/dev/null
    docker create --name other busybox >/dev/null
    docker create --name plain --network mine --link other:o busybox >/dev/null
    [ "$(inspect plain .Config.Volumes)" = null ]
    [ "$(inspect plain .HostConfig.Links)" = null ]
    [ "$(inspect plain .NetworkSettings.Networks.mine.Links)" = '["other:o"]' ]
    [ "$(docker network inspect -f '{{json .IPAM.Config}}' host none | sort -u)" = null ]
    [ "$(docker image inspect -f '{{.GraphDriver.Name}}' busybox)" = "$(docker inspect -f '{{.GraphDriver.Name}}' plain)" ]
    docker run -d --name hosted --network host busybox sleep 1000 >/dev/null
    [ "$(docker network inspect -f '{{range .Containers}}{{.Name}}{{end}}' host)" = hosted ]
}

@test "a process begins with all signals as by default, also those that the C library keeps" {
    docker run -d --name sig busybox sleep 1000 >/dev/null
    [ "$(docker exec sig grep SigIgn /proc/self/status)" = $'SigIgn:\t0000000000000000' ]
    [ "$(docker run --rm busybox grep SigIgn /proc/self/status)" = $'SigIgn:\t0000000000000000' ]
}

@test "health checks are told of as other execs are" {
    local from
    from=$(date +%s.%N)
    docker run -d --name well --health-cmd 'true x' --health-interval 1s busybox sleep 1000 >/dev/null
    timeout 60 docker events --since "$from" --filter container=well --filter event=exec_die --format x | head -n 1 >/dev/null
    docker rm -f well >/dev/null
    docker events --since "$from" --until "$(date +%s.%N)" --filter container=well --format '{{.Action}}' |
        grep '^exec' | head -n 3 >"$T/told"
    diff - "$T/told" <<'EOF'
exec_create: /bin/sh -c true x
exec_start: /bin/sh -c true x
exec_die
EOF
}

@test "before API 1.45 an endpoint's short id and host name are among its aliases" {
    local id
    docker network create mine >/dev/null
    docker run -d --name named --network mine --network-alias zz -h hosty busybox sleep 1000 >/dev/null
    docker network connect bridge named
    id=$(docker inspect -f '{{.Id}}' named)
    aliases() { api GET "/v$1/containers/named/json" | jq -c '.NetworkSettings.Networks | [.mine.Aliases, .bridge.Aliases // []]'; }
    [ "$(aliases 1.44)" = "[[\"zz\",\"${id:0:12}\",\"hosty\"],[]]" ]
    [ "$(aliases 1.45)" = '[["zz"],[]]' ]
}

@test "the config of the container that an image is of has the image's volumes" {
    printf 'FROM busybox\nVOLUME /declared\n' | DOCKER_BUILDKIT=0 docker build -q -t declares - >/dev/null 2>&1
    [ "$(api GET /v1.38/images/declares/json | jq -c .ContainerConfig.Volumes)" = '{"/declared":{}}' ]
    docker rmi declares >/dev/null
}

@test "a repository that is saved by its name has all its tags; a tag has itself" {
    docker tag busybox many:one
    docker tag busybox many:two
    docker tag busybox manyother:three
    tags() { docker save "$@" | tar -xO manifest.json | jq -c '[.[].RepoTags] | flatten'; }
    [ "$(tags many)" = '["many:one","many:two"]' ]
    [ "$(tags many:two)" = '["many:two"]' ]
    [ "$(tags busybox)" = '["busybox:latest"]' ]
    [ "$(tags "$(docker image inspect -f '{{.Id}}' busybox)")" = '[null]' ]
    docker rmi many:one many:two manyother:three >/dev/null
    run docker save many
    [[ $status -ne 0 && $output == *"No such image: many"* ]]
}

@test "an exec of a lone word is told of as Docker tells it" {
    local from
    from=$(date +%s.%N)
    docker run -d --name lone busybox sleep 1000 >/dev/null
    docker exec lone true
    docker exec lone echo a b
    docker events --since "$from" --until "$(date +%s.%N)" --filter container=lone --format '{{.Action}}|' | grep '^exec_create' >"$T/told"
    diff - "$T/told" <<'EOF'
exec_create: true |
exec_create: echo a b|
EOF
}
