#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# network.bats - networks and published ports with the docker CLI and real traffic.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() { daemon_done; }

teardown() {
    local ids
    ids=$(docker ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -fv $ids >/dev/null
    docker network prune -f >/dev/null
}

# web NAME [docker run arguments]: a server that answers with its name.
web() {
    local name=$1
    shift
    docker run -d --name "$name" "$@" busybox \
        sh -c "mkdir /www; echo $name >/www/index.html; exec httpd -f -p 80 -h /www" >/dev/null
    wait_until 5 docker exec "$name" wget -q -O /dev/null http://127.0.0.1/
}

get() { curl -sf --max-time 3 "http://$1/"; }
# get_from CONTAINER ADDRESS
get_from() { docker exec "$1" timeout 2 wget -q -O - "http://$2/"; }
ip_of() { docker inspect -f "{{(index .NetworkSettings.Networks \"$2\").IPAddress}}" "$1"; }
bridge_ip() { docker network inspect bridge -f '{{(index .IPAM.Config 0).Gateway}}'; }
table() { nft list tables | awk '$3 ~ /^dray_/ {print $3}' | tail -n 1; }

@test "the default networks are there and stay" {
    run docker network ls --format '{{.Name}} {{.Driver}} {{.Scope}}'
    [[ "$output" == *"bridge bridge local"* && "$output" == *"host host local"* ]]
    [[ "$output" == *"none null local"* ]]
    run docker network rm bridge
    [ "$status" -ne 0 ]
    [[ "$output" == *"bridge is a pre-defined network and cannot be removed"* ]]
    run docker network create host
    [ "$status" -ne 0 ]
}

@test "a network is created, shown, listed by filters, removed" {
    docker network create --subnet 10.201.0.0/16 --ip-range 10.201.7.0/24 --gateway 10.201.0.9 \
        --aux-address router=10.201.7.1 --label color=red --internal one >/dev/null
    docker network create two >/dev/null
    run docker network inspect one -f '{{(index .IPAM.Config 0).Subnet}} {{(index .IPAM.Config 0).IPRange}} {{(index .IPAM.Config 0).Gateway}} {{.Internal}} {{.Labels.color}}'
    [ "$output" = "10.201.0.0/16 10.201.7.0/24 10.201.0.9 true red" ]
    [ "$(docker network ls -q --filter label=color=red | wc -l)" -eq 1 ]
    [ "$(docker network ls -q --filter type=custom | wc -l)" -eq 2 ]
    run docker network create one
    [[ "$output" == *"network with name one already exists"* ]]
    run docker network create --subnet 10.201.5.0/24 three
    [[ "$output" == *"Pool overlaps with other one on this address space"* ]]
    run docker network create -d nosuch three
    [ "$status" -ne 0 ]
    docker run --rm --network one busybox ip -4 addr show eth0 | grep -q 'inet 10.201.7.0/16\|inet 10.201.7.2/16'
    docker network rm one two >/dev/null
    run docker network inspect one
    [[ "$output" == *"network one not found"* ]]
}

@test "malformed requests are refused with Docker's status codes" {
    [ "$(status_of POST /v1.43/networks/create -H 'Content-Type: application/json' -d '{"Name":')" = 400 ]
    [ "$(status_of POST /v1.43/networks/create -H 'Content-Type: application/json' -d '{"Name":"host"}')" = 403 ]
    [ "$(status_of GET '/v1.43/networks?filters=%7B%22nosuch%22%3A%5B%22x%22%5D%7D')" = 400 ]
    [ "$(status_of GET /v1.43/networks/nosuch)" = 404 ]
    [ "$(status_of DELETE /v1.43/networks/none)" = 403 ]
    [ "$(status_of POST /v1.43/networks/bridge/connect -H 'Content-Type: application/json' -d '{"Container":"nosuch"}')" = 404 ]
}

@test "a published port answers on every way to it" {
    local port
    port=$(free_port)
    web one -p "$port:80"
    [ "$(docker port one 80)" = "0.0.0.0:$port"$'\n'"[::]:$port" ]
    [ "$(get "127.0.0.1:$port")" = one ]
    [ "$(get "$(bridge_ip):$port")" = one ]
    [ "$(get_from one "$(bridge_ip):$port")" = one ] # hairpin
    web two
    [ "$(get_from two "$(bridge_ip):$port")" = one ]
    docker network create far >/dev/null
    web three --network far
    [ "$(get_from three "$(bridge_ip):$port")" = one ]
    docker stop -t 0 one >/dev/null
    run get "127.0.0.1:$port"
    [ "$status" -ne 0 ]
    docker start one >/dev/null
    wait_until 5 get "127.0.0.1:$port"
}

@test "a taken port is refused in Docker's words, and nothing is left of the attempt" {
    local port
    port=$(free_port)
    web one -p "$port:80"
    run docker run -d --name two -p "$port:80" busybox sleep 60
    [ "$status" -ne 0 ]
    [[ "$output" == *"Bind for 0.0.0.0:$port failed: port is already allocated"* ]]
    [ "$(docker inspect -f '{{.State.Status}}' two)" = created ]
    docker rm -f one >/dev/null
    docker start two >/dev/null
    [ "$(docker port two 80)" = "0.0.0.0:$port"$'\n'"[::]:$port" ]
    python3 -c "import socket,sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try: s.bind(('0.0.0.0', $port))
except OSError: sys.exit(0)
sys.exit(1)"
}

@test "ephemeral ports, ranges, -P, UDP and one address" {
    local port
    web one -P --expose 80 -p 127.0.0.1::81
    port=$(docker port one 80 | head -n 1 | sed 's/.*://')
    [ "$(get "127.0.0.1:$port")" = one ]
    [[ "$(docker port one 81)" == 127.0.0.1:* ]]
    port=$(free_port)
    docker run -d --name sink -p "$port:7/udp" busybox sleep 60 >/dev/null
    nsenter -t "$(docker inspect -f '{{.State.Pid}}' sink)" -n python3 -c "import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); s.bind(('0.0.0.0', 7))
data, peer = s.recvfrom(9); s.sendto(data.upper(), peer)" 3>&- &
    sleep 0.5
    run python3 -c "import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(3)
s.sendto(b'ping', ('127.0.0.1', $port)); print(s.recv(9).decode())"
    [ "$output" = PING ]
}

@test "containers of one network talk, of two do not" {
    docker network create left >/dev/null
    docker network create right >/dev/null
    web aa --network left
    web bb --network left
    web cc --network right
    [ "$(get_from bb "$(ip_of aa left)")" = aa ]
    run get_from cc "$(ip_of aa left)"
    [ "$status" -ne 0 ]
    docker network connect left cc
    [ "$(get_from cc "$(ip_of aa left)")" = aa ]
    run docker network rm left
    [[ "$output" == *"has active endpoints"* ]]
    docker network disconnect left cc
    run get_from cc "$(ip_of aa left)"
    [ "$status" -ne 0 ]
    docker exec cc ip route | grep -q '^default via'
    docker network disconnect right cc
    docker network connect left cc # and has the name that is free
    docker exec cc ip -o -4 addr show eth0 | grep -q "$(ip_of cc left)"
}

@test "published ports are where the way out is, when networks come and go" {
    docker network create --internal cave >/dev/null
    docker network create way >/dev/null
    docker network create other >/dev/null
    web moved --network cave -p 18083:80
    run get 127.0.0.1:18083
    [ "$status" -ne 0 ]
    docker network connect way moved
    [ "$(get 127.0.0.1:18083)" = moved ]
    docker network connect other moved
    docker network disconnect way moved
    [ "$(get 127.0.0.1:18083)" = moved ]
    daemon_kill
    daemon_start
    [ "$(get 127.0.0.1:18083)" = moved ]
    [[ $(docker ps --filter name=moved --format '{{.Ports}}') == *18083* ]]
    docker network disconnect other moved
    run get 127.0.0.1:18083
    [ "$status" -ne 0 ]
    [ -z "$(docker port moved)" ]
    docker network connect way moved
    [ "$(get 127.0.0.1:18083)" = moved ]
    docker rm -f moved >/dev/null
    docker network rm cave way other >/dev/null
}

@test "fixed addresses are kept over a restart and checked" {
    docker network create --subnet 10.202.0.0/24 fixed >/dev/null
    web one --network fixed --ip 10.202.0.50
    [ "$(ip_of one fixed)" = 10.202.0.50 ]
    docker restart -t 0 one >/dev/null
    [ "$(ip_of one fixed)" = 10.202.0.50 ]
    run docker run --rm --network fixed --ip 10.202.0.50 busybox true
    [[ "$output" == *"Address already in use"* ]]
    run docker run --rm --network fixed --ip 10.9.0.50 busybox true
    [[ "$output" == *"no configured subnet or ip-range contain the IP address 10.9.0.50"* ]]
    run docker run --rm --ip 172.17.0.50 busybox true
    [[ "$output" == *"user specified IP address is supported on user defined networks only"* ]]
}

@test "network modes none, host and container" {
    run docker run --rm --network none busybox sh -c 'ip -o link | wc -l'
    [ "$output" = 1 ]
    [ "$(docker run --rm --network host busybox readlink /proc/self/ns/net)" = "$(readlink /proc/self/ns/net)" ]
    web one
    [ "$(docker run --rm --network container:one busybox wget -q -O - http://127.0.0.1/)" = one ]
}

@test "events tell of networks" {
    local since
    since=$(date +%s.%N)
    docker network create told >/dev/null
    docker run --rm --network told busybox true
    docker network rm told >/dev/null
    run docker events --since "$since" --until "$(date +%s.%N)" --filter type=network --format '{{.Action}} {{.Actor.Attributes.name}}'
    [ "$output" = $'create told\nconnect told\ndisconnect told\ndestroy told' ]
}

@test "ports answer while the daemon is dead and after it came back; stale ones go" {
    local port port2 pid
    port=$(free_port)
    port2=$(free_port)
    docker network create stays >/dev/null
    web one --network stays -p "$port:80"
    web two -p "$port2:80"
    pid=$(docker inspect -f '{{.State.Pid}}' two)
    daemon_kill
    [ "$(get "127.0.0.1:$port")" = one ]
    kill -KILL "$pid" # of container two, which ends while nobody looks
    daemon_start
    [ "$(get "127.0.0.1:$port")" = one ]
    run get "127.0.0.1:$port2"
    [ "$status" -ne 0 ]
    docker network inspect stays >/dev/null
    docker rm -f one two >/dev/null
    run get "127.0.0.1:$port"
    [ "$status" -ne 0 ]
    wait_until 5 bash -c '! ip -o link | grep -q ": veth"'
    [ -z "$(nft list table inet "$(table)" | grep -w "$port\|$port2")" ]
}

@test "rules that somebody flushed come back" {
    local port
    port=$(free_port)
    web one -p "$port:80"
    # Sooner than by the check every ten seconds, which could be due just now, but not each time.
    for what in "delete table inet $(table)" "flush table inet $(table)" "flush ruleset"; do
        # shellcheck disable=SC2086
        nft $what
        since=$(date +%s%N)
        wait_until 15 get "127.0.0.1:$port"
        echo "$what: after $((($(date +%s%N) - since) / 1000000)) ms"
        [ $(($(date +%s%N) - since)) -lt 3000000000 ]
    done
}
