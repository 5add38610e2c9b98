#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# net_settings.bats - what daemon.json and drayd's options say of networks holds.

bats_require_minimum_version 1.5.0
load lib
load net

setup_file() {
    daemon_init
    machine_own
    daemon_start
    busybox_import
    daemon_stop
}

teardown_file() {
    daemon_answers || { echo '{}' >"$T/daemon.json"; daemon_start; }
    hosts_done
    daemon_done
}

teardown() {
    daemon_answers || return 0
    docker ps -aq | xargs -r docker rm -fv >/dev/null
    docker network prune -f >/dev/null
    daemon_stop
}

# with JSON [options]: start the daemon with these settings.
with() {
    echo "$1" >"$T/daemon.json"
    shift
    daemon_start "$@"
}
# refuses TEXT JSON: the daemon does not start and says why.
refuses() {
    echo "$2" >"$T/daemon.json"
    run timeout 20 "$DRAY_STAGE/bin/drayd" --data-root "$T/data2" --exec-root "$T/exec2" -H "unix://$T/two.sock" \
        --pidfile "$T/two.pid" --config-file "$T/daemon.json"
    [ "$status" -ne 0 ] && [ "$status" -ne 124 ]
    [[ "$output" == *"$1"* ]] || { echo "$output"; return 1; }
}
option() { docker network inspect "$1" -f "{{index .Options \"com.docker.network.$2\"}}"; }
in_new() { docker run --rm "$@"; }
aux() { docker network inspect bridge | jq -c ".[0].IPAM.Config[$1].AuxiliaryAddresses"; }
route() { in_new "$@" busybox ip route | awk '/^default/ {print $3}'; }
route6() { in_new "$@" busybox ip -6 route | awk '/^default/ {print $3}'; }

@test "bip, bip6, fixed-cidr and fixed-cidr-v6" {
    with '{"ipv6": true, "bip": "10.71.3.1/24", "fixed-cidr": "10.71.3.64/26", "bip6": "fd71:3::1/64", "fixed-cidr-v6": "fd71:3::a000/116"}'
    [ "$(docker network inspect bridge -f '{{range .IPAM.Config}}{{.Subnet}} {{.IPRange}} {{.Gateway}}|{{end}}')" = \
        "10.71.3.0/24 10.71.3.64/26 10.71.3.1|fd71:3::/64 fd71:3::a000/116 fd71:3::1|" ]
    ip -6 addr show dev "$(option bridge bridge.name)" | grep -q "fd71:3::1/64"
    web one
    [[ "$(ip_of one bridge)" =~ ^10\.71\.3\.(6[4-9]|[7-9].|1[01].|12[0-7])$ ]]
    [[ "$(ip6_of one bridge)" == fd71:3::a* ]]
    [ "$(get "[$(ip6_of one bridge)]")" = one ]
    [ "$(docker exec one ip -6 route | awk '/^default/ {print $3}')" = fd71:3::1 ]
    docker rm -f one >/dev/null
    daemon_stop
    # A range alone is the subnet.
    with '{"ipv6": true, "bip": "10.71.4.1/24", "fixed-cidr-v6": "fd71:4::/80"}'
    [ "$(docker network inspect bridge -f '{{(index .IPAM.Config 1).Subnet}}')" = fd71:4::/80 ]
    web one
    [[ "$(ip6_of one bridge)" == fd71:4::* ]]
    refuses "invalid CIDR address: 10.1.1.1/24" '{"ipv6": true, "bip6": "10.1.1.1/24"}'
    refuses "invalid CIDR address: fd00::1" '{"ipv6": true, "bip6": "fd00::1"}'
}

@test "default-gateway and default-gateway-v6" {
    with '{"ipv6": true, "bip": "10.72.0.1/24", "bip6": "fd72::1/64", "default-gateway": "10.72.0.9", "default-gateway-v6": "fd72::9"}'
    [ "$(gateway_of bridge)" = 10.72.0.1 ]
    [ "$(aux 0) $(aux 1)" = '{"DefaultGatewayIPv4":"10.72.0.9"} {"DefaultGatewayIPv6":"fd72::9"}' ]
    [ "$(route)" = 10.72.0.9 ]
    [ "$(route6)" = fd72::9 ]
    docker run -d --name one busybox sleep 300 >/dev/null
    [ "$(docker inspect -f '{{.NetworkSettings.Gateway}} {{.NetworkSettings.IPv6Gateway}}' one)" = "10.72.0.9 fd72::9" ]
    # Nobody gets the router's address.
    run docker run --rm --ip 10.72.0.9 busybox true
    [ "$status" -ne 0 ]
    # A network of the user says it by an auxiliary address, and keeps it over a restart.
    docker network create --subnet 10.73.0.0/24 --aux-address DefaultGatewayIPv4=10.73.0.200 own >/dev/null
    [ "$(route --network own)" = 10.73.0.200 ]
    daemon_kill
    daemon_start
    [ "$(route --network own)" = 10.73.0.200 ]
    [ "$(route)" = 10.72.0.9 ]
    docker rm -f one >/dev/null
    daemon_stop
    with '{"bip": "10.72.0.1/24"}'
    [ "$(route)" = 10.72.0.1 ]
    [ "$(aux 0)" = null ]
    refuses "invalid IPv4 address: nonsense" '{"bip": "10.72.0.1/24", "default-gateway": "nonsense"}'
    refuses "default gateway ip must be part of the network" '{"bip": "10.72.0.1/24", "default-gateway": "10.99.0.1"}'
}

@test "default-network-opts: for new networks of a driver, unless the user says otherwise" {
    with '{"default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1333", "com.docker.network.bridge.enable_icc": "false"}}}'
    docker network create plain >/dev/null
    docker network create -o com.docker.network.driver.mtu=1444 own >/dev/null
    [ "$(option plain driver.mtu) $(option plain bridge.enable_icc)" = "1333 false" ]
    [ "$(option own driver.mtu) $(option own bridge.enable_icc)" = "1444 false" ]
    [ "$(in_new --network plain busybox cat /sys/class/net/eth0/mtu)" = 1333 ]
    [ "$(in_new --network own busybox cat /sys/class/net/eth0/mtu)" = 1444 ]
    [ "$(in_new busybox cat /sys/class/net/eth0/mtu)" = 1500 ] # the default network is no new one
    docker network rm plain own >/dev/null
    daemon_stop
    with '{}' --default-network-opt bridge=com.docker.network.driver.mtu=1222
    docker network create plain >/dev/null
    [ "$(option plain driver.mtu)" = 1222 ]
    daemon_stop
    with '{}' --default-network-opt bridge=com.docker.network.enable_ipv6=true
    docker network create six >/dev/null
    api POST /v1.51/networks/create -H 'Content-Type: application/json' -d '{"Name":"four","EnableIPv6":false}' >/dev/null
    docker network create -o com.docker.network.enable_ipv4=f only >/dev/null
    [ "$(docker network inspect six four only | jq -c '[.[] | [.EnableIPv4, .EnableIPv6, (.IPAM.Config | length), (.Options | length)]]')" = '[[true,true,2,1],[true,false,1,0],[false,true,1,2]]' ]
    run docker network create -o com.docker.network.enable_ipv4=maybe x
    [[ $output == *'driver-opt "com.docker.network.enable_ipv4" is not a valid bool'* ]]
    docker network rm six four only >/dev/null
    refuses 'must be an object of objects of strings' '{"default-network-opts": {"bridge": {"com.docker.network.driver.mtu": 1222}}}'
    refuses 'must be an object of objects of strings' '{"default-network-opts": {"bridge": "x"}}'
}

@test "mtu, icc, ip-masq and ip of the default bridge" {
    with '{"bip": "10.74.0.1/24", "mtu": 1380, "icc": false, "ip-masq": false, "ip": "127.0.0.1"}'
    [ "$(option bridge driver.mtu) $(option bridge bridge.enable_icc) $(option bridge bridge.enable_ip_masquerade)" = "1380 false false" ]
    [ "$(option bridge bridge.host_binding_ipv4)" = 127.0.0.1 ]
    host_add ha 11
    on ha ip route replace 10.74.0.0/24 via 198.51.100.1
    nsenter --net="$T/ns/ha" socat -u TCP-LISTEN:7,fork,reuseaddr SYSTEM:'echo $SOCAT_PEERADDR >>'"$T/peers" 3>&- &
    local server=$!
    web one -p 8080:80
    [ "$(docker exec one cat /sys/class/net/eth0/mtu)" = 1380 ]
    [ "$(get 127.0.0.1:8080)" = one ]
    run from ha 198.51.100.1:8080 1
    [ "$status" -ne 0 ]
    run docker run --rm busybox timeout 1 wget -q -O - "http://$(ip_of one bridge)/"
    [ "$status" -ne 0 ]
    wait_until 10 docker exec one timeout 1 busybox nc 198.51.100.11 7 </dev/null
    wait_until 5 grep -q . "$T/peers"
    kill $server
    [ "$(head -n 1 "$T/peers")" = "$(ip_of one bridge)" ] # not masqueraded
}

@test "ip-forward" {
    sysctl -qw net.ipv4.ip_forward=0
    with '{"ip-forward": false}'
    docker network create lane >/dev/null
    [ "$(sysctl -n net.ipv4.ip_forward)" = 0 ]
    docker network rm lane >/dev/null
    daemon_stop
    with '{}'
    [ "$(sysctl -n net.ipv4.ip_forward)" = 1 ]
}

@test "dns, dns-search and dns-opts" {
    with '{"dns": ["192.0.2.53"], "dns-search": ["of.config.test"], "dns-opts": ["ndots:4"]}'
    run in_new busybox cat /etc/resolv.conf
    [[ "$output" == *"nameserver 192.0.2.53"* ]]
    [[ "$output" == *"search of.config.test"* ]]
    [[ "$output" == *"options ndots:4"* ]]
    run in_new --dns 192.0.2.54 --dns-search own.test --dns-opt ndots:2 busybox cat /etc/resolv.conf
    [[ "$output" == *"nameserver 192.0.2.54"* && "$output" != *192.0.2.53* ]]
    [[ "$output" == *"search own.test"* && "$output" != *of.config.test* ]]
    [[ "$output" == *"options ndots:2"* && "$output" != *ndots:4* ]]
}

reached() { # each port of the machine by each way leads to the container
    [ "$(get 127.0.0.1:8081)$(get '[::1]:8081')$(get 127.0.0.1:8082)$(get "127.0.0.1:$(host_port one 81)")" = oneoneoneone ]
    [ "$(host_port one 81)" = "$(docker port one 81 | tail -n 1 | sed 's/.*://')" ]
    run ! get '[::1]:8082'
}

@test "iptables: false keeps no rules; ports are carried by the proxy, and running containers follow a change" {
    nft flush ruleset
    with '{"iptables": false}'
    docker run -d --name one -p 8081:80 -p 127.0.0.1:8082:80 -p 81 -p 8083-8085:80 busybox \
        sh -c 'echo one >index.html; httpd -p 80; exec httpd -f -p 81' >/dev/null
    wait_until 5 docker exec one wget -q -O /dev/null http://127.0.0.1:81/
    reached
    docker run -d --name two -p 8083-8085:80 busybox sleep 1000 >/dev/null
    [ "$(docker port two | tr '\n' ' ')" = "80/tcp -> 0.0.0.0:8084 80/tcp -> [::]:8084 " ]
    [ -z "$(nft list ruleset)" ]
    [ "$(sysctl -n "net.ipv4.conf.$(option bridge bridge.name).route_localnet")" = 0 ]
    [ "$(api GET /v1.49/info | jq .FirewallBackend)" = null ]
    run -125 docker run --rm -p 8081:80 busybox true
    [[ "$output" == *"address already in use"* ]]
    run -125 docker run --rm -p 80/sctp busybox true
    [[ "$output" == *'cannot publish port 80/sctp: with "iptables": false'* ]]
    docker network create -o com.docker.network.bridge.gateway_mode_ipv4=routed routed >/dev/null
    docker run -d --name three --network routed -p 80 busybox sleep 1000 >/dev/null
    [ "$(docker port three)" = "80/tcp -> 0.0.0.0:" ] # reached at its own address, as ever
    docker rm -f three >/dev/null
    daemon_stop
    with '{}'
    nft list table inet "$(table)" | grep -q masquerade
    [ "$(api GET /v1.49/info | jq -c .FirewallBackend)" = "{\"Driver\":\"nftables\",\"Info\":[[\"Table\",\"inet $(table)\"]]}" ]
    [ "$(api GET /v1.48/info | jq .FirewallBackend)" = null ]
    reached
    daemon_stop
    with '{"iptables": false}'
    [ -z "$(nft list ruleset)" ]
    reached
    daemon_stop
    refuses 'You specified --iptables=false with --icc=false' '{"iptables": false, "icc": false}'
    refuses 'You specified -b & --bip, mutually exclusive options' '{"bridge": "dray0", "bip": "10.1.2.1/24"}'
    with '{"ip6tables": false}'
    grep -q 'setting ip6tables=false has no effect' "$T/drayd.log"
}

@test "bridge: none, and another one" {
    with '{"bridge": "none"}'
    run docker network inspect bridge
    [[ "$output" == *"network bridge not found"* ]]
    [ "$(in_new busybox ls /sys/class/net)" = lo ]
    daemon_stop
    ip link add mine0 type bridge
    ip addr add 10.75.0.1/24 dev mine0
    ip link set mine0 up
    with '{"bridge": "mine0"}'
    web one -p 8082:80
    [[ "$(ip_of one bridge)" == 10.75.0.* ]]
    [ "$(route)" = 10.75.0.1 ]
    [ "$(get 127.0.0.1:8082)" = one ]
    docker rm -f one >/dev/null
    daemon_stop
    ip addr show dev mine0 | grep -q 10.75.0.1/24 # it is not ours to remove
    # Of several addresses that counts which the range belongs to.
    ip addr add 10.76.0.1/24 dev mine0
    with '{"bridge": "mine0", "fixed-cidr": "10.76.0.128/25"}'
    [ "$(docker network inspect bridge | jq -c '.[0].IPAM.Config')" = '[{"Subnet":"10.76.0.0/24","IPRange":"10.76.0.128/25","Gateway":"10.76.0.1"}]' ]
    daemon_stop
    ip link del mine0
}

gateways() { in_new "$@" --add-host gw:host-gateway busybox awk '$2 == "gw" {print $1}' /etc/hosts | tr '\n' ' '; }

@test "host-gateway: the default bridge's gateways, or the addresses of the configuration" {
    with '{"ipv6": true, "bip": "10.74.0.1/24", "bip6": "fd00:74::1/64"}'
    [ "$(gateways)" = '10.74.0.1 fd00:74::1 ' ]
    [ "$(gateways --network host)" = '10.74.0.1 fd00:74::1 ' ]
    daemon_stop
    with '{"host-gateway-ip": "192.0.2.7"}'
    [ "$(gateways --network none)" = '192.0.2.7 ' ]
    daemon_stop
    with '{"host-gateway-ips": ["192.0.2.8", "2001:db8::8"]}'
    [ "$(gateways --network none)" = '192.0.2.8 2001:db8::8 ' ]
    daemon_stop
    with '{}' --host-gateway-ip 2001:db8::9
    [ "$(gateways --network none)" = '2001:db8::9 ' ]
    daemon_stop
    with '{"bridge": "none"}'
    run docker run --rm --add-host gw:host-gateway busybox true
    [ "$status" -eq 125 ]
    [[ "$output" == *'unable to derive the IP value for host-gateway'* ]]
    daemon_stop
    refuses 'host-gateway-ips: invalid IP address: nonsense' '{"host-gateway-ips": ["nonsense"]}'
    refuses 'host-gateway-ips: only one IPv4 address may be given: 192.0.2.2' '{"host-gateway-ips": ["192.0.2.1", "192.0.2.2"]}'
}

@test "a bridge that the user names must be there; one that cannot be made is told to who asks for it" {
    refuses 'bridge device with non default name nosuch0 must be created manually' '{"bridge": "nosuch0"}'
    run ! ip link show nosuch0
    with '{}'
    mine=$(option bridge bridge.name)
    daemon_stop
    ip link del "$mine"
    ip link add "$mine" type veth peer name mine1
    rm -r "$T"/data/networks
    with '{}'
    run -125 docker run --rm busybox true
    [[ "$output" == *"network bridge not found: it could not be made when the daemon started: "*"link $mine exists and is not a bridge"* ]]
    in_new --network none busybox true
    daemon_stop
    ip link del "$mine"
}
