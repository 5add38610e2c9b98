#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# remote_net.bats - network and address plugins of Docker's own protocol behind our bridges.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    S=$(mktemp -d /tmp/dray-it.XXXXXX)
    export S
    mkdir -p "$S/p"
    daemon_init
    cat >"$T/daemon.json" <<JSON
{"plugins": {"network/remote": {"socket-dirs": ["$S/p"], "spec-dirs": [], "timeout": "3s"},
             "ipam/remote": {"socket-dirs": ["$S/p"], "spec-dirs": [], "timeout": "3s"}}}
JSON
    server net
    daemon_start
    busybox_import
}

teardown_file() {
    local f
    mode ok
    daemon_done || cat "$T/drayd.log" >&2
    for f in "$S"/*.pid; do kill "$(cat "$f")" 2>/dev/null; done
    rm -rf "$S"
}

server() {
    rm -f "$S/p/$1.sock"
    python3 "$BATS_TEST_DIRNAME/plugin_server.py" "$S/p/$1.sock" "$S/$1" </dev/null >"$S/$1.log" 2>&1 3>&- &
    echo $! >"$S/$1.pid"
    wait_until 10 test -S "$S/p/$1.sock"
}

mode() { echo "$1" >"$S/net/mode"; }
called() { grep -q "$1" "$S/net/calls"; }
setup() { : >"$S/net/calls"; }

@test "a network of a third party's server and its addresses: create, inspect, remove" {
    docker network create -d net --ipam-driver net --subnet 10.77.0.0/24 -o color=blue n1
    [ "$(docker network inspect -f '{{.Driver}} {{.IPAM.Driver}} {{(index .IPAM.Config 0).Subnet}}' n1)" = "net net 10.77.0.0/24" ]
    called 'IpamDriver.RequestPool {"AddressSpace":"here","Pool":"10.77.0.0/24","SubPool":"","Options":{},"V6":false}'
    called 'IpamDriver.RequestAddress .*"RequestAddressType":"com.docker.network.gateway"'
    called 'NetworkDriver.CreateNetwork .*"com.docker.network.generic":{"color":"blue"}.*"IPv4Data":\[{"AddressSpace":"","Pool":"10.77.0.0/24","Gateway":"10.77.0.1/24"'
    docker network rm n1
    called NetworkDriver.DeleteNetwork
    called IpamDriver.ReleasePool
}

@test "of a pool without addresses the server is told no gateway" {
    docker network create -d net --ipam-driver null n0
    [ "$(docker network inspect -f '{{json .IPAM.Config}}' n0)" = '[{"Subnet":"0.0.0.0/0"}]' ]
    called 'NetworkDriver.CreateNetwork .*"IPv4Data":\[{"AddressSpace":"","Pool":"0.0.0.0/0","AuxAddresses":{}}\]'
    docker network rm n0
}

@test "the server's pool is taken when none is asked for" {
    docker network create --ipam-driver net n2
    [ "$(docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' n2)" = 10.77.0.0/24 ]
    [ "$(docker run --rm --network n2 busybox ip -o -4 addr show eth0 | awk '{print $4}')" = 10.77.0.2/24 ]
    called 'IpamDriver.ReleaseAddress .*"Address":"10.77.0.2"'
    docker network rm n2
}

@test "a server that asks for MAC addresses gets them, chosen or given, and nobody else does" {
    mode mac
    docker network create --ipam-driver net n8
    docker run -d --name c8 --network n8 busybox sleep 1000
    mac=$(docker inspect -f '{{.NetworkSettings.Networks.n8.MacAddress}}' c8)
    [[ $mac == 02:42:* ]]
    called "IpamDriver.RequestAddress .*\"com.docker.network.endpoint.macaddress\":\"$mac\""
    docker exec c8 ip link show eth0 | grep -q "$mac"
    docker rm -f c8
    docker run --rm --network n8 --mac-address 02:11:22:33:44:55 busybox true
    called 'IpamDriver.RequestAddress .*"com.docker.network.endpoint.macaddress":"02:11:22:33:44:55"'
    mode ok
    : >"$S/net/calls"
    docker run --rm --network n8 busybox true
    called IpamDriver.RequestAddress
    ! called macaddress
    docker network rm n8
}

@test "a container gets the server's link, with address, MAC, routes; and gives it back" {
    docker network create -d net --ipam-driver net n3
    docker run -d --name c1 --network n3 busybox sleep 1000
    docker exec c1 ip -o -4 addr show eth0 | grep -q '10.77.0.2/24'
    docker exec c1 ip link show eth0 | grep -q 02:77:00:00:00:09
    docker exec c1 ip route | grep -q '^default via 10.77.0.1 '
    docker exec c1 ip route | grep -q '^10.99.0.0/16 via 10.77.0.1 '
    [ "$(docker inspect -f '{{.NetworkSettings.Networks.n3.IPAddress}} {{.NetworkSettings.Networks.n3.MacAddress}}' c1)" = "10.77.0.2 02:77:00:00:00:09" ]
    called 'NetworkDriver.Join .*"SandboxKey":"/proc/'
    docker network create n4
    docker network connect n4 c1
    docker exec c1 ip link show eth1
    docker network disconnect n3 c1
    run docker exec c1 ip link show eth0
    [ "$status" -ne 0 ]
    called NetworkDriver.Leave
    called NetworkDriver.DeleteEndpoint
    docker network connect n3 c1
    docker exec c1 ip -o -4 addr | grep -q 10.77.0
    docker rm -f c1
    docker network rm n3 n4
    [ "$(ip -o link | grep -c ': r[ti]')" -eq 0 ]
}

@test "a MAC address and a port that are asked for reach the server" {
    docker network create -d net --ipam-driver net n5
    docker run -d --name c1 --network n5 --mac-address 02:00:00:00:00:77 -p 8099:80 busybox sleep 1000
    docker exec c1 ip link show eth0 | grep -q 02:00:00:00:00:77
    called 'NetworkDriver.CreateEndpoint .*"MacAddress":"02:00:00:00:00:77"'
    called 'NetworkDriver.ProgramExternalConnectivity .*"Proto":6,"IP":"","Port":80,"HostIP":"[^"]*","HostPort":8099'
    docker rm -f c1
    called NetworkDriver.RevokeExternalConnectivity
    docker network rm n5
}

@test "the daemon restarts while the container runs: nothing is asked anew, all goes on" {
    docker network create -d net --ipam-driver net n6
    docker run -d --name c1 --network n6 busybox sleep 1000
    mode hang
    daemon_kill
    : >"$S/net/calls"
    local t=$SECONDS
    daemon_start
    [ $((SECONDS - t)) -le 3 ]
    [ ! -s "$S/net/calls" ]
    mode ok
    docker exec c1 ip -o -4 addr show eth0 | grep -q '10.77.0.2/24'
    [ "$(docker inspect -f '{{.NetworkSettings.Networks.n6.IPAddress}}' c1)" = 10.77.0.2 ]
    [ "$(docker run --rm --network n6 busybox ip -o -4 addr show eth0 | awk '{print $4}')" = 10.77.0.3/24 ]
    docker network disconnect n6 c1
    called NetworkDriver.Leave
    docker rm -f c1
    docker network rm n6
    called 'IpamDriver.ReleasePool {"PoolID":"pool-10.77.0.0/24"}'
}

@test "a server that fails or hangs: an error with its words, nothing half made, nobody else waits" {
    local t pid
    docker network create -d net --ipam-driver net n7
    mode fail
    run docker network create -d net n8
    [[ $output == *"NetworkDriver.CreateNetwork: the disk is on fire"* ]]
    run docker run --rm --network n7 busybox true
    [ "$status" -ne 0 ]
    [[ $output == *"the disk is on fire"* ]]
    mode hang
    docker run --rm --network n7 busybox true >"$T/hang.out" 2>&1 3>&- &
    pid=$!
    sleep 0.2
    t=$(date +%s%N)
    docker network ls | grep -q n7
    docker network inspect n7 >/dev/null
    docker network create n9
    docker run --rm --network n9 busybox true
    docker network rm n9
    docker ps -a >/dev/null
    [ $(($(date +%s%N) - t)) -lt 2500000000 ]
    ! wait $pid
    grep -q 'the plugin "net" has not answered' "$T/hang.out"
    mode ok
    docker network inspect n8 && false
    docker run --rm --network n7 busybox true
    docker network rm n7
    run docker network create -d nobody n8
    [[ $output == *'plugin "nobody" not found'* ]]
}
