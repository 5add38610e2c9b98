#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# net_cli.bats - `dray network` and `dray volume` say what the docker CLI says, and refusals are Docker's.

bats_require_minimum_version 1.5.0
load lib
load net

setup_file() {
    daemon_init
    machine_own
    daemon_start
    busybox_import
    docker network create --subnet 10.81.0.0/24 --label kind=test --label b=2 one >/dev/null
    docker network create --ipv6 --subnet 10.82.0.0/24 --subnet fd82::/64 --internal two >/dev/null
    docker network create --attachable three >/dev/null
    docker volume create --label kind=test plain >/dev/null
    docker volume create --opt type=tmpfs --opt device=tmpfs --opt o=size=1m little >/dev/null
    docker volume create another >/dev/null
    docker run -d --name user --network one --ip 10.81.0.77 -v plain:/data busybox sleep 600 >/dev/null
}

teardown_file() { daemon_done; }

teardown() {
    [ -z "$held" ] || kill "$held" 2>/dev/null || true
    docker rm -f two three aa bb >/dev/null 2>&1
}

# both ARGUMENTS...: the two clients print the same, on both channels, and end alike.
both() {
    local theirs ours a=0 b=0
    theirs=$(docker "$@" 2>&1) || a=$?
    ours=$(dray "$@" 2>&1 | sed 's/dray /docker /g; s/^dray:/docker:/'; exit "${PIPESTATUS[0]}") || b=$?
    [ "$a" = "$b" ] && [ "$theirs" = "$ours" ] || {
        echo "docker $* ended $a with: $theirs"
        echo "dray $* ended $b with: $ours"
        return 1
    }
}
# Refused by the daemon: `says TEXT ARGUMENTS...` with both clients.
says() {
    local text=$1
    shift
    both "$@"
    run docker "$@"
    [ "$status" -ne 0 ]
    [[ "$output" == *"$text"* ]] || { echo "docker $*: $output"; return 1; }
}

@test "network ls, inspect: formats, filters, quiet, verbose" {
    both network ls
    both network list
    both network ls -q
    both network ls --no-trunc
    both network ls -q --no-trunc
    both network ls --format '{{.Name}} {{.Driver}} {{.Scope}} {{.IPv4}} {{.IPv6}} {{.Internal}} {{.Label "kind"}} {{.CreatedAt}}'
    both network ls --format 'table {{.Name}}\t{{.ID}}\t{{.Internal}}'
    both network ls --filter driver=bridge --filter name=o
    both network ls --filter label=kind=test
    both network ls --filter type=builtin -q
    both network ls --filter dangling=true
    both network ls --filter scope=swarm
    both network ls --filter what=ever
    both network ls --filter type=odd
    both network inspect two three
    both network inspect -v one
    both network inspect --verbose two
    both network inspect -f '{{range .IPAM.Config}}{{.Subnet}} {{end}}{{json .Labels}}' one two
    both network inspect --format '{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}' one
    both network inspect nosuch one
    both network inspect
    # Fields that the docker CLI does not know are not in its JSON.
    [ "$(docker network ls --format json | jq -S 'del(.Labels)')" = "$(dray network ls --format json | jq -S 'del(.Labels)')" ]
}

@test "volume ls, inspect: formats, filters, quiet" {
    both volume ls
    both volume ls -q
    both volume ls --format '{{.Name}} {{.Driver}} {{.Scope}} {{.Mountpoint}} {{.Label "kind"}} {{.Links}} {{.Size}} {{.Availability}}'
    both volume ls --format 'table {{.Driver}}\t{{.Name}}'
    both volume ls --filter label=kind=test
    both volume ls --filter dangling=true
    both volume ls --filter name=l --filter driver=local
    both volume ls --filter what=ever
    both volume inspect plain little
    both volume inspect -f '{{json .Options}} {{.Mountpoint}}' little
    both volume inspect nosuch
    both volume inspect nosuch plain
}

@test "what networks refuse, in Docker's words" {
    says "network with name one already exists" network create one
    says "operation is not permitted on predefined bridge network" network create bridge
    says "Pool overlaps with other one on this address space" network create --subnet 10.81.0.0/25 overlap
    says "invalid subnet 10.83.0.1/24: it should be 10.83.0.0/24" network create --subnet 10.83.0.1/24 odd
    says "no matching subnet for gateway 10.99.0.1" network create --subnet 10.83.0.0/24 --gateway 10.99.0.1 odd
    says "no matching subnet for range 10.99.0.0/28" network create --subnet 10.83.0.0/24 --ip-range 10.99.0.0/28 odd
    says "only one instance of \"host\" network is allowed" network create -d host again
    says "only one instance of \"null\" network is allowed" network create -d null again
    says "nosuch" network create -d nosuch again
    says "not a swarm manager" network create -d overlay again
    says "network one has active endpoints" network rm one
    says "bridge is a pre-defined network and cannot be removed" network rm bridge
    says "network nosuch not found" network rm nosuch
    both network rm --force nosuch
    says "network nosuch not found" network connect nosuch user
    says "No such container: nosuch" network connect three nosuch
    says "cannot connect container to host network - container must be created in host network mode" network connect host user
    says "endpoint with name user already exists in network one" network connect one user
    says "no configured subnet or ip-range contain the IP address 10.99.0.1" network connect --ip 10.99.0.1 two user
    says "user specified IP address is supported only when connecting to networks with user configured subnets" network connect --ip 10.99.0.1 three user
    says "is not connected to" network disconnect three user
    says "Address already in use" run --rm --network one --ip 10.81.0.77 busybox true
    says "user specified IP address is supported on user defined networks only" run --rm --ip 10.81.0.8 busybox true
    says "network-scoped aliases are only supported for user-defined networks" run --rm --network-alias x busybox true
    both network create
    both network rm
    both network connect one
}

@test "what volumes refuse, in Docker's words" {
    says "volume is in use" volume rm plain
    says "volume is in use" volume rm --force plain
    says "get nosuch: no such volume" volume rm nosuch
    both volume rm --force nosuch
    says "includes invalid characters for a local volume name" volume create 'a b'
    says "nosuch" volume create -d nosuch new
    says "invalid option" volume create --opt nonsense=1 new
    both volume create --opt type=tmpfs --opt device=tmpfs --opt o=size=1m little # the same again
    both volume rm
    [ "$(status_of PUT "/volumes/plain?version=1" -H 'Content-Type: application/json' -d '{}')" = 503 ] # no swarm
}

@test "create, connect, disconnect, prune, rm: the same done by either client" {
    local c
    for c in docker dray; do
        $c network create -d bridge --subnet 10.84.0.0/24 --gateway 10.84.0.254 --ip-range 10.84.0.128/25 --aux-address r=10.84.0.200 \
            --label a=b -o com.docker.network.driver.mtu=1400 --internal lane >"$T/out.$c"
        [[ "$(<"$T/out.$c")" =~ ^[0-9a-f]{64}$ ]]
        $c network connect --alias friend --ip 10.84.0.130 --link-local-ip 169.254.7.7 --gw-priority 3 --driver-opt x=y lane user
        docker network inspect lane | jq 'del(.[].Id, .[].Created, .[].Containers[].EndpointID, .[].Containers[].MacAddress)' >"$T/net.$c"
        docker inspect user | jq '.[0].NetworkSettings.Networks.lane | del(.NetworkID, .EndpointID, .MacAddress)' >"$T/ep.$c"
        $c network disconnect lane user
        [ "$(docker inspect -f '{{len .NetworkSettings.Networks}}' user)" = 1 ]
        $c network rm lane >"$T/rm.$c"
        $c volume create --label a=b -o type=tmpfs -o device=tmpfs made >>"$T/rm.$c"
        docker volume inspect made | jq 'del(.[].CreatedAt)' >>"$T/net.$c"
        $c volume rm made >>"$T/rm.$c"
        docker network create --label gone=1 spare >/dev/null
        docker volume create --label gone=1 spare >/dev/null
        $c network prune -f --filter label=gone=1 >>"$T/rm.$c"
        $c volume prune -f --all --filter label=gone=1 >>"$T/rm.$c"
    done
    diff "$T/net.docker" "$T/net.dray"
    diff "$T/ep.docker" "$T/ep.dray"
    diff "$T/rm.docker" "$T/rm.dray"
}

# A socket of somebody else's, held until its number is killed.
holder() { # PROTOCOL ADDRESS PORT
    nsenter --net="$DRAY_TEST_NS" python3 -c "import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if '$1' == 'tcp' else socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('$2', $3))
if '$1' == 'tcp': s.listen()
open('$T/held', 'w').close()
time.sleep(600)" 3>&- &
    held=$!
    wait_until 10 test -e "$T/held"
    rm "$T/held"
}

@test "a port that a program of the machine holds: address already in use" {
    holder tcp 0.0.0.0 8601
    run docker run -d --name two -p 8601:80 busybox sleep 60
    [ "$status" -ne 0 ]
    [[ "$output" == *"driver failed programming external connectivity on endpoint two"* ]]
    [[ "$output" == *"failed to bind host port"*"0.0.0.0:8601"*"80/tcp: address already in use"* ]]
    run docker start two
    [[ "$output" == *"address already in use"* ]]
    # A range goes on to the next one; UDP of the same number is another matter.
    docker run -d --name three -p 8601-8603:80 -p 8601:80/udp busybox sleep 60 >/dev/null
    [ "$(docker port three 80/tcp)" = $'0.0.0.0:8602\n[::]:8602' ]
    [ "$(docker port three 80/udp)" = $'0.0.0.0:8601\n[::]:8601' ]
    kill "$held"
    wait "$held" 2>/dev/null || true
    held=
    docker start two >/dev/null # nothing was left of the attempts
    [ "$(docker port two 80)" = $'0.0.0.0:8601\n[::]:8601' ]
    holder udp 127.0.0.1 8605
    run docker run --rm -p 127.0.0.1:8605:53/udp busybox true
    [[ "$output" == *"failed to bind host port"*"53/udp: address already in use"* ]]
    run docker run --rm -p 198.18.0.1:8606:53/udp busybox true
    [[ "$output" == *"cannot assign requested address"* ]]
}

@test "ephemeral ports pass by what programs of the machine hold" {
    sysctl -qw net.ipv4.ip_local_port_range="42000 42002"
    holder tcp 0.0.0.0 42001
    docker run -d --name aa -p 80 busybox sleep 60 >/dev/null
    docker run -d --name bb -p 80 busybox sleep 60 >/dev/null
    [ "$( (docker port aa 80; docker port bb 80) | sort | tr '\n' ' ')" = "0.0.0.0:42000 0.0.0.0:42002 [::]:42000 [::]:42002 " ]
    run docker run --rm -p 80 busybox true
    [[ "$output" == *"all ports are allocated"* ]]
    # What the same container asks for by number is not given away to its own others.
    docker rm -f aa bb
    docker run -d --name dd -p 70 -p 42000:81 busybox sleep 60 >/dev/null
    [ "$(docker port dd | grep -F 0.0.0.0 | sort | tr '\n' ' ')" = "70/tcp -> 0.0.0.0:42002 81/tcp -> 0.0.0.0:42000 " ]
    sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
}
