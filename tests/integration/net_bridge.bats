#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# net_bridge.bats - the options of bridge networks, seen by real traffic from other hosts.

bats_require_minimum_version 1.5.0
load lib
load net

setup_file() {
    daemon_init
    machine_own
    cat >"$T/daemon.json" <<'JSON'
{"default-address-pools": [{"base": "10.60.0.0/16", "size": 24}, {"base": "10.61.0.0/16", "size": 26}]}
JSON
    # As where nobody loaded br_netfilter.
    sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 2>/dev/null || true
    daemon_start --bip 10.59.7.1/24 --fixed-cidr 10.59.7.128/25
    busybox_import
    host_add ha 11
    host_add hb 12
}

teardown_file() {
    hosts_done
    daemon_done
}

teardown() {
    docker ps -aq | xargs -r docker rm -fv >/dev/null
    docker network prune -f >/dev/null
}

no_link() { ! ip link show "$1" >/dev/null 2>&1; }
# The machine's way back to a network of containers.
route_from() { on "$1" ip route replace "$2" via 198.51.100.1; }
subnet_of() { docker network inspect "$1" -f '{{(index .IPAM.Config 0).Subnet}}'; }

@test "bip, fixed-cidr and default-address-pools" {
    [ "$(gateway_of bridge)" = 10.59.7.1 ]
    [ "$(subnet_of bridge)" = 10.59.7.0/24 ]
    web one
    [[ "$(ip_of one bridge)" == 10.59.7.1[2-9]* ]]
    docker network create p1 >/dev/null
    docker network create p2 >/dev/null
    [ "$(subnet_of p1)" = 10.60.0.0/24 ]
    [ "$(subnet_of p2)" = 10.60.1.0/24 ]
    docker network create --subnet 10.60.2.0/25 taken >/dev/null
    docker network create p3 >/dev/null
    [ "$(subnet_of p3)" = 10.60.3.0/24 ]
}

@test "the bridge's name, MTU and MAC addresses" {
    docker network create -o com.docker.network.bridge.name=mybr0 -o com.docker.network.driver.mtu=1400 named >/dev/null
    ip -o link show mybr0 | grep -q "mtu 1400 "
    web one --network named
    [ "$(docker exec one cat /sys/class/net/eth0/mtu)" = 1400 ]
    local ip
    ip=$(ip_of one named)
    # shellcheck disable=SC2046
    [ "$(docker exec one cat /sys/class/net/eth0/address)" = "$(printf '02:42:%02x:%02x:%02x:%02x' $(tr . ' ' <<<"$ip"))" ]
    web two --network named --mac-address 02:aa:bb:cc:dd:01
    [ "$(docker exec two cat /sys/class/net/eth0/address)" = 02:aa:bb:cc:dd:01 ]
    [ "$(docker inspect -f '{{.NetworkSettings.Networks.named.MacAddress}}' two)" = 02:aa:bb:cc:dd:01 ]
    run docker network create -o com.docker.network.bridge.name=mybr0 again
    [[ "$output" == *"networks have same bridge name"* ]]
    docker rm -f one two >/dev/null
    docker network rm named >/dev/null
    wait_until 5 no_link mybr0
}

@test "without icc containers of a network do not talk, but published ports answer" {
    docker network create -o com.docker.network.bridge.enable_icc=false quiet >/dev/null
    web one --network quiet -P --expose 80
    web two --network quiet
    run get_from two "$(ip_of one quiet)"
    [ "$status" -ne 0 ]
    [ "$(get "127.0.0.1:$(host_port one 80)")" = one ]
    [ "$(get_from two "$(gateway_of quiet):$(host_port one 80)")" = one ]
    [ "$(from ha "198.51.100.1:$(host_port one 80)/" 3)" = one ]
}

@test "masquerade: on, off, and for what stays on the machine" {
    docker network create far >/dev/null
    docker network create -o com.docker.network.bridge.enable_ip_masquerade=false plain >/dev/null
    on ha ip route replace "$(subnet_of plain)" via 198.51.100.1
    mkdir -p "$T/www/cgi-bin"
    echo "$PEER_CGI" >"$T/www/cgi-bin/peer"
    chmod +x "$T/www/cgi-bin/peer"
    nsenter --net="$T/ns/ha" busybox httpd -f -p 8099 -h "$T/www" 3>&- &
    local server=$!
    sleep 0.2
    docker run --rm --network far busybox wget -q -O - http://198.51.100.11:8099/cgi-bin/peer | grep -qx 198.51.100.1
    docker run -d --name pp --network plain busybox sleep 60 >/dev/null
    docker exec pp wget -q -O - http://198.51.100.11:8099/cgi-bin/peer | grep -qx "$(ip_of pp plain)"
    kill $server
    wait $server || true
}

@test "host_binding_ipv4 is where ports without an address go" {
    docker network create -o com.docker.network.bridge.host_binding_ipv4=127.0.0.1 inner >/dev/null
    web one --network inner -p 80
    [[ "$(docker port one 80)" == 127.0.0.1:* ]]
    local port
    port=$(host_port one 80)
    [ "$(get "127.0.0.1:$port")" = one ]
    run from ha "198.51.100.1:$port/" 1
    [ "$status" -ne 0 ]
    web two --network inner -p 198.51.100.1::80
    [ "$(from ha "198.51.100.1:$(host_port two 80)/" 3)" = two ]
}

@test "other hosts reach published ports and keep their address; unpublished ones are closed" {
    web one -p 80
    local port ip
    port=$(host_port one 80)
    [ "$(from ha "198.51.100.1:$port/cgi-bin/peer" 3)" = 198.51.100.11 ]
    [ "$(peer_from one "$(gateway_of bridge):$port")" = 10.59.7.1 ]
    docker network create far >/dev/null
    web two --network far
    [ "$(peer_from two "198.51.100.1:$port")" = 198.51.100.1 ] || peer_from two "198.51.100.1:$port"
    ip=$(ip_of one bridge)
    route_from ha 10.59.7.0/24
    run from ha "$ip/" 1
    [ "$status" -ne 0 ]
    # A neighbour who sends to 127.0.0.1 by way of this machine gets nowhere.
    web three -p 127.0.0.1::80
    on ha ip route replace 127.9.0.0/16 via 198.51.100.1 2>/dev/null
    on ha sysctl -qw net.ipv4.conf.all.route_localnet=1
    on ha ip route replace local 127.0.0.0/24 dev lo
    run on ha curl -s --max-time 1 --interface up0 "http://127.9.0.1:$(host_port three 80)/"
    [ "$status" -ne 0 ]
}

@test "gateway modes: nat-unprotected, routed, isolated" {
    docker network create -o com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected bare >/dev/null
    docker network create -o com.docker.network.bridge.gateway_mode_ipv4=routed routed >/dev/null
    web one --network bare
    web two --network routed -p 80
    docker exec -d two httpd -f -p 81 -h /www
    route_from ha "$(subnet_of bare)"
    route_from ha "$(subnet_of routed)"
    [ "$(from ha "$(ip_of one bare)/" 3)" = one ]
    [ "$(from ha "$(ip_of two routed)/cgi-bin/peer" 3)" = 198.51.100.11 ]
    run from ha "$(ip_of two routed):81/" 1
    [ "$status" -ne 0 ]
    # Nothing is translated there: no port of the machine is taken.
    [ "$(docker inspect -f '{{json (index .NetworkSettings.Ports "80/tcp")}}' two)" = '[{"HostIp":"0.0.0.0","HostPort":""}]' ]
    [ "$(docker ps --filter name=two --format '{{.Ports}}')" = 80/tcp ]
    daemon_kill
    daemon_start --bip 10.59.7.1/24 --fixed-cidr 10.59.7.128/25
    [ "$(from ha "$(ip_of two routed)/cgi-bin/peer" 3)" = 198.51.100.11 ]
    run docker network create -o com.docker.network.bridge.gateway_mode_ipv4=isolated iso
    [[ "$output" == *"isolated"* ]]
    docker network create --internal --subnet 10.59.8.0/31 -o com.docker.network.bridge.gateway_mode_ipv4=isolated iso >/dev/null
    [ "$(docker network inspect iso -f '{{json .IPAM.Config}}')" = '[{"Subnet":"10.59.8.0/31"}]' ] # no address is kept for a gateway
    web three --network iso
    web four --network iso
    [ "$(get_from four "$(ip_of three iso)")" = three ]
    [ -z "$(ip -4 -o addr show "br-$(docker network inspect iso -f '{{.Id}}' | cut -c1-12)")" ]
    run docker network create -o com.docker.network.bridge.gateway_mode_ipv4=odd iso2
    [[ "$output" == *odd* ]]
}

@test "inhibit_ipv4 leaves the bridge without an address" {
    docker network create -o com.docker.network.bridge.inhibit_ipv4=true bare >/dev/null
    local br
    br=br-$(docker network inspect bare -f '{{.Id}}' | cut -c1-12)
    [ -z "$(ip -4 -o addr show "$br")" ]
    web one --network bare
    docker exec one ip route | grep -q "^default via $(gateway_of bare)"
}

@test "an internal network has no way out and no published ports" {
    docker network create --internal inside >/dev/null
    web one --network inside -p 80
    web two --network inside
    [ "$(get_from two "$(ip_of one inside)")" = one ]
    [ -z "$(docker port one)" ]
    run docker exec one ping -c 1 -W 1 198.51.100.11
    [ "$status" -ne 0 ]
    run docker exec one ip route
    [[ "$output" != *default* ]]
}

@test "IPv6 with NAT: published on :: and ::1, kept source address" {
    docker network create --ipv6 --subnet fd00:77::/64 six >/dev/null
    web one --network six -p 80
    local port
    port=$(host_port one 80)
    docker port one 80 | grep -qx "\[::\]:$port"
    [ "$(get "127.0.0.1:$port")" = one ]
    [ "$(get "[::1]:$port")" = one ]
    [ "$(get "[2001:db8:51::1]:$port")" = one ]
    [[ "$(from ha "[2001:db8:51::1]:$port/cgi-bin/peer" 3)" == *2001:db8:51::11* ]]
    web two --network six
    [ "$(get_from two "[$(ip6_of one six)]")" = one ]
    [ "$(get_from one "[2001:db8:51::1]:$port")" = one ]
    docker exec two ping -6 -c 1 -W 2 2001:db8:51::11
    web three --network six -p '[2001:db8:51::1]::80'
    [ "$(from ha "[2001:db8:51::1]:$(host_port three 80)/" 3)" = three ]
}

@test "IPv6 routed, and a network of IPv6 alone" {
    docker network create --ipv6 --subnet 2001:db8:99::/64 -o com.docker.network.bridge.gateway_mode_ipv6=routed six >/dev/null
    web one --network six -p 80
    on ha ip -6 route replace 2001:db8:99::/64 via 2001:db8:51::1
    [[ "$(from ha "[$(ip6_of one six)]/cgi-bin/peer" 3)" == *2001:db8:51::11* ]]
    docker exec -d one httpd -f -p 81 -h /www
    run from ha "[$(ip6_of one six)]:81/" 1
    [ "$status" -ne 0 ]
    docker network create --ipv6 auto6 >/dev/null
    [[ "$(docker network inspect auto6 -f '{{json .IPAM.Config}}')" == *'"fd'* ]]
}
