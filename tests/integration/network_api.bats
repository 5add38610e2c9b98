#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# network_api.bats - every endpoint of /networks: filters, inspect, creation, connecting, pruning, events.

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

V=/v1.51
box() {
    local name=$1
    shift
    docker run -d --init --name "$name" "$@" busybox sleep 600 >/dev/null
}
# post PATH JSON: status and message
post() { api POST "$V$1" -H 'Content-Type: application/json' -d "$2" -w '\n%{http_code}' | tr '\n' ' '; }
settings() { docker inspect -f "{{json (index .NetworkSettings.Networks \"$2\")}}" "$1"; }
field() { settings "$1" "$2" | jq -r ".$3"; }
listed() { docker network ls --no-trunc --format '{{.Name}}' "$@" | sort | tr '\n' ' '; }

@test "a container that is seen to have ended holds no network any more" {
    run timeout 60 "$BATS_TEST_DIRNAME/network_freed.py" "$T/dray.sock" 10
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "list filters: name, id, driver, label, scope, type, dangling, and wrong ones" {
    local id
    id=$(docker network create --label tier=front --label x alpha)
    docker network create --label tier=back beta >/dev/null
    docker network create -d macvlan -o parent=lo gamma >/dev/null 2>&1 || docker network create gamma >/dev/null
    box user --network alpha
    [ "$(listed --filter name=alp)" = "alpha " ]
    [ "$(listed --filter name=alp --filter name=beta)" = "alpha beta " ]
    [ "$(listed --filter "id=${id:0:10}")" = "alpha " ]
    [ "$(listed --filter label=tier)" = "alpha beta " ]
    [ "$(listed --filter label=tier=front --filter label=x)" = "alpha " ]
    [ "$(listed --filter label=tier=front --filter label=tier=back)" = "" ]
    [ "$(listed --filter type=builtin)" = "bridge host none " ]
    [ "$(listed --filter type=custom --filter driver=bridge --filter name=a)" = "alpha beta gamma " ] ||
        [ "$(listed --filter type=custom --filter driver=bridge --filter name=a)" = "alpha beta " ]
    [ "$(listed --filter driver=host)" = "host " ]
    [ "$(listed --filter scope=swarm)" = "" ]
    [ "$(listed --filter dangling=true --filter name=a)" = "beta gamma " ]
    [ "$(listed --filter dangling=false)" = "alpha bridge host none " ]
    [ "$(status_of GET "$V/networks?filters=%7B%22type%22%3A%5B%22odd%22%5D%7D")" = 400 ]
    [ "$(status_of GET "$V/networks?filters=%7B%22dangling%22%3A%5B%22odd%22%5D%7D")" = 400 ]
    [ "$(status_of GET "$V/networks?filters=%5B%5D")" = 400 ]
    [ "$(api GET "$V/networks" | jq -c '[.[] | select(.Name == "alpha") | .Containers]')" = '[{}]' ]
}

@test "inspect: by id, prefix and name, scope, verbose, the containers on it" {
    local id c
    id=$(docker network create one)
    box aa --network one
    c=$(docker inspect -f '{{.Id}}' aa)
    for key in one "$id" "${id:0:12}"; do
        [ "$(api GET "$V/networks/$key?verbose=true&scope=local" | jq -r .Id)" = "$id" ]
    done
    [ "$(status_of GET "$V/networks/one?scope=swarm")" = 404 ]
    [ "$(status_of GET "$V/networks/one?verbose=maybe")" = 400 ]
    [ "$(api GET "$V/networks/one" | jq -c 'keys')" = '["Attachable","ConfigFrom","ConfigOnly","Containers","Created","Driver","EnableIPv4","EnableIPv6","IPAM","Id","Ingress","Internal","Labels","Name","Options","Scope"]' ]
    [ "$(api GET "$V/networks/none" | jq -c '[.EnableIPv4, .EnableIPv6]')" = '[true,false]' ]
    [ "$(api GET "$V/networks/one" | jq -r ".Containers[\"$c\"] | .Name, .EndpointID, .MacAddress, .IPv4Address, .IPv6Address")" = \
        "$(settings aa one | jq -r '"aa", .EndpointID, .MacAddress, .IPAddress + "/" + (.IPPrefixLen | tostring), ""')" ]
    docker stop aa >/dev/null
    [ "$(api GET "$V/networks/one" | jq -c .Containers)" = '{}' ]
}

@test "create: pools, ranges, gateways, auxiliary addresses, and what is refused" {
    docker network create --subnet 10.211.0.0/16 --ip-range 10.211.4.0/24 --gateway 10.211.4.254 --aux-address a=10.211.4.1 \
        --ipv6 --subnet fd00:211::/64 --gateway fd00:211::9 --attachable --label k=v -o com.docker.network.driver.mtu=1420 many >/dev/null
    [ "$(docker network inspect many -f '{{json .IPAM.Config}}' | jq -cS .)" = '[{"AuxiliaryAddresses":{"a":"10.211.4.1"},"Gateway":"10.211.4.254","IPRange":"10.211.4.0/24","Subnet":"10.211.0.0/16"},{"Gateway":"fd00:211::9","Subnet":"fd00:211::/64"}]' ]
    [ "$(docker network inspect many -f '{{.Attachable}} {{.EnableIPv6}} {{.Labels.k}} {{index .Options "com.docker.network.driver.mtu"}}')" = "true true v 1420" ]
    docker network create --subnet 10.214.0.0/24 bare >/dev/null # a gateway that nobody named is not shown
    [ "$(docker network inspect bare -f '{{json .IPAM.Config}}')" = '[{"Subnet":"10.214.0.0/24"}]' ]
    docker network rm bare >/dev/null
    post /networks/create '{"Name":"v6first","EnableIPv6":true,"IPAM":{"Config":[{"Subnet":"fd00:215::/64"},{"Subnet":"10.215.0.0/24"}]}}' >/dev/null
    [ "$(docker network inspect v6first -f '{{json .IPAM.Config}}')" = '[{"Subnet":"10.215.0.0/24"},{"Subnet":"fd00:215::/64"}]' ]
    docker network rm v6first >/dev/null
    box aa --network many
    [[ "$(field aa many IPAddress)" == 10.211.4.* && "$(field aa many IPAddress)" != 10.211.4.1 ]]
    [[ "$(field aa many GlobalIPv6Address)" == fd00:211::* ]]
    [[ "$(post /networks/create '{"Name":"many"}')" == *"network with name many already exists"*409* ]]
    [[ "$(post /networks/create '{"Name":"bridge"}')" == *"operation is not permitted on predefined bridge network"*403* ]]
    [[ "$(post /networks/create '{"Name":""}')" == *400* ]]
    [[ "$(post /networks/create '{"Name":"x","Driver":"nosuch"}')" == *'could not find plugin nosuch in v1 plugin registry'*404* || "$(post /networks/create '{"Name":"x","Driver":"nosuch"}')" == *nosuch*404* ]]
    [[ "$(post /networks/create '{"Name":"x","Driver":"host"}')" == *'only one instance of \"host\" network is allowed'*403* ]]
    [[ "$(post /networks/create '{"Name":"x","Driver":"null"}')" == *'only one instance of \"null\" network is allowed'*403* ]]
    [[ "$(post /networks/create '{"Name":"x","Ingress":true}')" == *"not a swarm manager"*503* ]]
    [[ "$(post /networks/create '{"Name":"x","Driver":"overlay"}')" == *"not a swarm manager"*503* ]]
    [[ "$(post /networks/create '{"Name":"x","ConfigOnly":true}')" == *config-only*400* ]]
    [[ "$(post /networks/create '{"Name":"x","IPAM":{"Config":[{"Subnet":"10.211.9.1/24"}]}}')" == *"invalid subnet 10.211.9.1/24: it should be 10.211.9.0/24"*400* ]]
    [[ "$(post /networks/create '{"Name":"x","IPAM":{"Config":[{"Subnet":"10.212.0.0/24","Gateway":"10.213.0.1"}]}}')" == *"invalid gateway 10.213.0.1: parent subnet 10.212.0.0/24 doesn't contain this address"*400* ]]
    [[ "$(post /networks/create '{"Name":"x","IPAM":{"Config":[{"Subnet":"10.212.0.0/24","IPRange":"10.213.0.0/24"}]}}')" == *"invalid ip-range 10.213.0.0/24: parent subnet 10.212.0.0/24 doesn't contain ip-range"*400* ]]
    [[ "$(post /networks/create '{"Name":"x","IPAM":{"Config":[{"Subnet":"10.211.77.0/24"}]}}')" == *"Pool overlaps with other one on this address space"*403* ]]
    [ "$(listed --filter name=x)" = "" ]
}

@test "connect a running container: aliases, addresses, MAC, options, links, priority" {
    docker network create --subnet 10.214.0.0/24 --ipv6 --subnet fd00:214::/64 other >/dev/null
    docker network create one >/dev/null
    box aa --network one
    box db --network other
    [ "$(post /networks/other/connect '{"Container":"aa","EndpointConfig":{"Aliases":["extra"],"Links":["db:store"],"MacAddress":"02:42:00:00:00:77","GwPriority":5,"DriverOpts":{"k":"v"},"IPAMConfig":{"IPv4Address":"10.214.0.77","IPv6Address":"fd00:214::77"}}}')" = " 200" ]
    [ "$(settings aa other | jq -r '.IPAddress, .GlobalIPv6Address, .MacAddress, .GwPriority, .DriverOpts.k, .Aliases[0], .Links[0]' | tr '\n' ' ')" = "10.214.0.77 fd00:214::77 02:42:00:00:00:77 5 v extra db:store " ]
    docker exec aa ip -o addr show | grep -q 'inet 10.214.0.77/24'
    docker exec aa ip -o addr show | grep -q 'inet6 fd00:214::77/64'
    docker exec aa ip link | grep -q 02:42:00:00:00:77
    docker exec aa ip route | grep -q '^default via 10.214.0.1 '
    docker exec aa ping -c 1 -W 1 store >/dev/null
    docker exec db ping -c 1 -W 1 extra >/dev/null
    [[ "$(post /networks/other/connect '{"Container":"aa"}')" == *"endpoint with name aa already exists in network other"*403* ]]
    docker network disconnect other aa
    docker exec aa ip route | grep -q "^default via $(docker network inspect one -f '{{(index .IPAM.Config 0).Gateway}}') "
    [ "$(settings aa other)" = null ]
    [[ "$(post /networks/other/disconnect '{"Container":"aa"}')" == *"is not connected to network other"*500* ]]
}

@test "connect and disconnect a stopped container; a fixed address outlives restarts and the daemon" {
    docker network create --subnet 10.215.0.0/24 fixed >/dev/null
    docker network create one >/dev/null
    docker create --name aa --network one busybox sleep 600 >/dev/null
    docker network connect --ip 10.215.0.50 --alias still fixed aa
    docker network connect --ip 10.215.0.60 fixed aa # what was said first stays
    [ "$(field aa fixed IPAMConfig.IPv4Address) $(field aa fixed IPAddress)" = "10.215.0.50 " ]
    [ "$(settings aa fixed | jq -c .DNSNames)" = "[\"aa\",\"still\",\"$(docker inspect -f '{{.Id}}' aa | cut -c 1-12)\"]" ]
    docker start aa >/dev/null
    [ "$(field aa fixed IPAddress)" = 10.215.0.50 ]
    docker restart -t 0 aa >/dev/null
    [ "$(field aa fixed IPAddress)" = 10.215.0.50 ]
    docker stop -t 0 aa >/dev/null
    [ "$(field aa fixed DNSNames[1])" = still ]
    daemon_stop
    daemon_start
    docker start aa >/dev/null
    [ "$(field aa fixed IPAddress)" = 10.215.0.50 ]
    daemon_kill
    daemon_start
    [ "$(field aa fixed IPAddress)" = 10.215.0.50 ]
    run docker run --rm --network fixed --ip 10.215.0.50 busybox true
    [[ "$output" == *"Address already in use"* ]]
    docker stop -t 0 aa >/dev/null
    docker network disconnect fixed aa
    [ "$(settings aa fixed)" = null ]
    [[ "$(post /networks/fixed/disconnect '{"Container":"aa"}')" == *"is not connected to the network fixed"*500* ]]
    docker network rm one >/dev/null
    run docker start aa
    [[ "$output" == *"network one not found"* ]]
    docker network disconnect -f one aa
}

@test "endpoint settings that cannot be are refused before anything is made" {
    docker network create --subnet 10.216.0.0/24 sub >/dev/null
    docker network create plain >/dev/null
    box aa --network plain
    docker create --name stopped --network plain busybox true >/dev/null
    for c in aa stopped; do
        [[ "$(post /networks/sub/connect "{\"Container\":\"$c\",\"EndpointConfig\":{\"IPAMConfig\":{\"IPv4Address\":\"10.99.0.5\"}}}")" == *"no configured subnet or ip-range contain the IP address 10.99.0.5"*400* ]]
        [[ "$(post /networks/sub/connect "{\"Container\":\"$c\",\"EndpointConfig\":{\"IPAMConfig\":{\"IPv4Address\":\"nonsense\",\"IPv6Address\":\"10.1.1.1\"}}}")" == *"invalid endpoint settings:\\n* invalid IPv4 address: nonsense\\n* invalid IPv6 address: 10.1.1.1\\n* no configured subnet or ip-range contain the IP address nonsense\\n* user specified IP address"*400* ]]
        [[ "$(post /networks/sub/connect "{\"Container\":\"$c\",\"EndpointConfig\":{\"IPAMConfig\":{\"IPv6Address\":\"::ffff:10.1.1.1\"}}}")" == *"invalid IPv6 address: ::ffff:10.1.1.1"*400* ]]
        [[ "$(post /networks/sub/connect "{\"Container\":\"$c\",\"EndpointConfig\":{\"MacAddress\":\"zz\"}}")" == *"invalid MAC address zz"*400* ]]
        [[ "$(post /networks/bridge/connect "{\"Container\":\"$c\",\"EndpointConfig\":{\"Aliases\":[\"x\"]}}")" == *"network-scoped alias is supported only for containers in user defined networks"*400* ]]
        [[ "$(post /networks/bridge/connect "{\"Container\":\"$c\",\"EndpointConfig\":{\"IPAMConfig\":{\"IPv4Address\":\"172.17.0.9\"}}}")" == *"user specified IP address is supported on user defined networks only"*400* ]]
        [[ "$(post /networks/host/connect "{\"Container\":\"$c\"}")" == *"cannot connect container to host network"*400* ]]
        [[ "$(post /networks/none/connect "{\"Container\":\"$c\"}")" == *"one of the networks in private (none) mode"*400* ]]
    done
    for a in 169.253.5.5 2001:db8::89; do # known only where the address is added
        run docker run --rm --network plain --link-local-ip "$a" busybox true
        [[ $output == *"invalid link local IP address: $a"* ]]
    done
    [[ "$(post /networks/sub/connect '{"Container":"nosuch"}')" == *"No such container: nosuch"*404* ]]
    [[ "$(post /networks/nosuch/connect '{"Container":"aa"}')" == *"network nosuch not found"*404* ]]
    [[ "$(post '/containers/create?name=bad' '{"Image":"busybox","HostConfig":{"NetworkMode":"bridge"},"NetworkingConfig":{"EndpointsConfig":{"bridge":{"Aliases":["x"]}}}}')" == *"network-scoped alias"*400* ]]
    box alone --network none
    [[ "$(post /networks/sub/connect '{"Container":"alone"}')" == *"private (none) mode"*400* ]]
    docker network disconnect none alone
    docker network connect sub alone
    docker exec alone ip -o addr | grep -q 'inet 10.216.0.'
    box shared --network container:aa
    [[ "$(post /networks/sub/connect '{"Container":"shared"}')" == *"sharing network namespace with another container or host"*400* ]]
    box hosted --network host
    [[ "$(post /networks/sub/connect '{"Container":"hosted"}')" == *"sharing network namespace"*400* ]]
    [[ "$(post /networks/host/disconnect '{"Container":"hosted"}')" == *"cannot disconnect container from host network"*400* ]]
}

@test "an interface's sysctl names it in any case; older clients cannot do without IPv4" {
    for name in IFNAME ifname; do
        [ "$(docker run --rm --network "name=bridge,driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.$name.log_martians=1" \
            busybox sysctl -n net.ipv4.conf.eth0.log_martians)" = 1 ]
    done
    local body='{"Name":"only6","EnableIPv4":false,"EnableIPv6":true}'
    [ "$(status_of POST /v1.47/networks/create -H 'Content-Type: application/json' -d "$body")" = 201 ]
    [ "$(docker network inspect only6 -f '{{.EnableIPv4}} {{.EnableIPv6}} {{len .IPAM.Config}}')" = 'true true 2' ]
    docker network rm only6
    [ "$(status_of POST /v1.48/networks/create -H 'Content-Type: application/json' -d "$body")" = 201 ]
    [ "$(docker network inspect only6 -f '{{.EnableIPv4}} {{.EnableIPv6}} {{len .IPAM.Config}}')" = 'false true 1' ]
}

@test "a container that switches IPv6 off has no address of it, nor a name for one" {
    docker network create --ipv6 both >/dev/null
    docker network create --ipv6 more >/dev/null
    box six --network both
    box four --network both --sysctl net.ipv6.conf.all.disable_ipv6=1
    docker network connect more four
    [ -n "$(field six both GlobalIPv6Address)" ]
    for n in both more; do
        [ "$(field four $n GlobalIPv6Address)$(field four $n IPv6Gateway)" = "" ]
        [ -n "$(field four $n IPAddress)" ]
    done
    run ! docker exec four grep : /etc/hosts
    docker exec six grep -q ::1 /etc/hosts
    docker exec six ping -4 -c1 -W3 four
    run ! docker exec six ping -6 -c1 -W3 four
    [[ "$output" == *'bad address'* ]]
    docker restart -t0 four
    [ "$(field four both GlobalIPv6Address)" = "" ]
}

@test "several networks at creation; the highest priority gives the way out" {
    docker network create one >/dev/null
    docker network create two >/dev/null
    [[ "$(post '/containers/create?name=aa' '{"Image":"busybox","Cmd":["sleep","600"],"HostConfig":{"NetworkMode":"one","Init":true},"NetworkingConfig":{"EndpointsConfig":{"one":{"Aliases":["uno"]},"two":{"GwPriority":10}}}}')" == *201* ]]
    docker start aa >/dev/null
    docker exec aa ip route | grep -q "^default via $(docker network inspect two -f '{{(index .IPAM.Config 0).Gateway}}') "
    [ "$(docker exec aa ip -o link | grep -c eth)" -eq 2 ]
    [[ "$(api POST '/v1.43/containers/create?name=bb' -H 'Content-Type: application/json' -d '{"Image":"busybox","NetworkingConfig":{"EndpointsConfig":{"one":{},"two":{}}}}')" == *"cannot be created with multiple network endpoints: one, two"* ]]
}

@test "remove and prune: in use, predefined, unknown, by label and age" {
    docker network create --label keep=yes kept >/dev/null
    docker network create spare >/dev/null
    docker network create used >/dev/null
    box aa --network used
    [ "$(status_of DELETE "$V/networks/used")" = 403 ]
    [ "$(status_of DELETE "$V/networks/host")" = 403 ]
    [ "$(status_of DELETE "$V/networks/nosuch")" = 404 ]
    [ "$(api POST "$V/networks/prune?filters=%7B%22label%21%22%3A%5B%22keep%3Dyes%22%5D%7D" | jq -c .)" = '{"NetworksDeleted":["spare"]}' ]
    [ "$(api POST "$V/networks/prune?filters=%7B%22until%22%3A%5B%221h%22%5D%7D" | jq -c .NetworksDeleted)" = null ]
    [ "$(status_of POST "$V/networks/prune?filters=%7B%22odd%22%3A%5B%22x%22%5D%7D")" = 400 ]
    docker stop aa >/dev/null
    docker network rm used kept >/dev/null # nobody active is on it
    [ "$(listed --filter type=custom)" = "" ]
}

@test "events of networks: create, connect, disconnect, destroy, prune, with their attributes" {
    local since id c
    since=$(date +%s.%N)
    id=$(docker network create told)
    box aa --network none
    docker network disconnect none aa
    docker network connect told aa
    c=$(docker inspect -f '{{.Id}}' aa)
    docker stop aa >/dev/null
    docker network disconnect told aa
    docker network rm told >/dev/null
    docker network prune -f >/dev/null
    api GET "$V/events?since=$since&until=$(date +%s.%N)&filters=%7B%22type%22%3A%5B%22network%22%5D%7D" >"$T/events"
    [ "$(jq -r 'select(.Actor.Attributes.name == "told") | .Action' "$T/events" | tr '\n' ' ')" = "create connect disconnect disconnect destroy " ]
    [ "$(jq -r 'select(.Action == "connect" and .Actor.Attributes.name == "told") | [.Actor.ID, .Actor.Attributes.container, .Actor.Attributes.type, .scope] | join(" ")' "$T/events")" = "$id $c bridge local" ]
    [ "$(jq -r 'select(.Action == "prune") | .Actor.Attributes.reclaimed' "$T/events")" = 0 ]
}

@test "the subnet of a network that was removed is free at once" {
    for i in $(seq 45); do
        docker network create "quick$i" >/dev/null
        docker network rm "quick$i" >/dev/null
    done
}
