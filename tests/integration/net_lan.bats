#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# net_lan.bats - macvlan and ipvlan: containers on the network of the machine itself, or a clear refusal.

bats_require_minimum_version 1.5.0
load lib
load net

setup_file() {
    daemon_init
    machine_own
    daemon_start
    busybox_import
    # The machine's cable leads to another host, that has the addresses 192.0.2.254 and 2001:db8:52::ff.
    mkdir -p "$T/ns"
    touch "$T/ns/far"
    unshare --net="$T/ns/far" ip link set lo up
    ip link add lan0 up type veth peer name lan0 netns "$T/ns/far"
    on far ip addr add 192.0.2.254/24 dev lan0
    on far ip addr add 2001:db8:52::ff/64 dev lan0 nodad
    on far ip link set lan0 up
    # Machines have an eth0, as containers do.
    ip link show eth0 >/dev/null 2>&1 || ip link add eth0 type veth peer name eth0-far
}

teardown_file() {
    ip link del lan0
    ip link del eth0-far 2>/dev/null || true
    hosts_done
    daemon_done
}

teardown() {
    docker ps -aq | xargs -r docker rm -fv >/dev/null
    docker network prune -f >/dev/null
}

# lan DRIVER MODE [arguments]: the network "lan" on lan0; skips where the kernel lacks its links.
lan() {
    local driver=$1 mode=$2
    shift 2
    run docker network create -d "$driver" --subnet 192.0.2.0/24 --gateway 192.0.2.254 -o parent=lan0 \
        -o "${driver}_mode=$mode" "$@" lan
    if [ "$status" -ne 0 ]; then
        # Nothing is left of what could not be made, and the message says what is missing.
        [[ "$output" == *"this kernel has no $driver links (module $driver)"* ]]
        run docker network inspect lan
        [ "$status" -ne 0 ]
        skip "no $driver links in this kernel"
    fi
}
far_hears() { [ "$(on far curl -gsf --max-time 3 "http://$1/")" = "$2" ]; }
no_link() { ! ip link show "$1" >/dev/null 2>&1; }

@test "macvlan: an address of its own on the machine's network, over a restart of the daemon" {
    lan macvlan bridge
    web one --network lan --ip 192.0.2.10
    web two --network lan
    [ "$(docker exec one cat /sys/class/net/eth0/address)" = 02:42:c0:00:02:0a ]
    [ "$(docker exec one ip route | awk '/^default/ {print $3}')" = 192.0.2.254 ]
    far_hears 192.0.2.10 one
    [ "$(on far curl -s --max-time 3 http://192.0.2.10/cgi-bin/peer)" = 192.0.2.254 ] # no NAT
    [ "$(get_from two 192.0.2.10)" = one ]
    [ "$(get_from two one)" = one ] # by its name
    docker exec one ping -c 1 -W 3 192.0.2.254 >/dev/null
    docker network inspect lan | jq -e '.[0].Options == {"parent": "lan0", "macvlan_mode": "bridge"} and (.[0].Containers | length) == 2'
    daemon_kill
    far_hears 192.0.2.10 one
    daemon_start
    far_hears 192.0.2.10 one
    docker restart -t 0 one >/dev/null
    wait_until 10 far_hears 192.0.2.10 one
    [ "$(ip_of one lan)" = 192.0.2.10 ]
    run docker network rm lan
    [[ "$output" == *"has active endpoints"* ]]
}

@test "macvlan: IPv6, MAC address, ports that nobody publishes" {
    lan macvlan bridge --ipv6 --subnet 2001:db8:52::/64 --gateway 2001:db8:52::ff
    web one --network lan --ip6 2001:db8:52::10 --mac-address 02:aa:bb:cc:dd:02 -p 8080:80
    far_hears "[2001:db8:52::10]" one
    [ "$(docker exec one cat /sys/class/net/eth0/address)" = 02:aa:bb:cc:dd:02 ]
    run get 127.0.0.1:8080 1
    [ "$status" -ne 0 ]
}

@test "macvlan: what is refused, and parents that are made and go" {
    lan macvlan bridge
    run docker network create -d macvlan -o parent=lan0 other
    [[ "$output" == *"is already using parent interface lan0"* ]]
    docker network rm lan >/dev/null
    run docker network create -d macvlan -o parent=nosuch0 other
    [[ "$output" == *"the requested parent interface nosuch0 was not found"* ]]
    run docker network create -d macvlan -o parent=lo other
    [[ "$output" == *"loopback interface is not a valid macvlan parent link"* ]]
    run docker network create -d macvlan -o parent=lan0 -o macvlan_mode=odd other
    [[ "$output" == *"odd"*"is not valid"* ]]
    # Private: two of one parent do not talk, both reach the other host.
    lan macvlan private
    web one --network lan
    web two --network lan
    far_hears "$(ip_of one lan)" one
    run get_from two "$(ip_of one lan)"
    [ "$status" -ne 0 ]
    docker rm -f one two >/dev/null
    docker network rm lan >/dev/null
    ip link show lan0 >/dev/null # never ours to remove
    # Without a parent it stays within the machine.
    run docker network create -d macvlan --subnet 192.0.2.0/24 inner
    [ "$status" -eq 0 ] || {
        [[ "$output" == *'this kernel has no dummy links: give the option "parent"'* ]]
        return 0
    }
    web one --network inner
    web two --network inner
    [ "$(get_from two one)" = one ]
    docker rm -f one two >/dev/null
    docker network rm inner >/dev/null
}

@test "macvlan: a VLAN of the parent is made with the network and goes with it" {
    run docker network create -d macvlan --subnet 192.0.3.0/24 -o parent=lan0.7 tagged
    [[ "$status" -eq 0 || "$output" == *"this kernel has no VLAN links (802.1Q)"* ]]
    [ "$status" -eq 0 ] || skip "no VLAN links in this kernel"
    ip -d link show lan0.7 | grep -q 'vlan protocol 802.1Q id 7'
    docker network rm tagged >/dev/null
    wait_until 10 no_link lan0.7
}

@test "ipvlan l2: shares the parent's MAC address" {
    lan ipvlan l2
    web one --network lan --ip 192.0.2.10
    web two --network lan
    [ "$(docker exec one cat /sys/class/net/eth0/address)" = "$(cat /sys/class/net/lan0/address 2>/dev/null || ip -br link show lan0 | awk '{print $3}')" ]
    far_hears 192.0.2.10 one
    [ "$(get_from two one)" = one ]
    docker exec one ping -c 1 -W 3 192.0.2.254 >/dev/null
}

@test "ipvlan l3: routed, without neighbours and gateway" {
    lan ipvlan l3
    web one --network lan --ip 192.0.2.10
    web two --network lan
    docker exec one ip route | grep -q '^default dev eth0'
    [ "$(get_from two 192.0.2.10)" = one ]
}
