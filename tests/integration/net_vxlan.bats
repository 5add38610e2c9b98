#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# net_vxlan.bats - one network over two machines: two daemons in two network namespaces.

bats_require_minimum_version 1.5.0
load lib
load net

# use a|b: talk to that daemon from here on.
answers() { docker version >/dev/null 2>&1; }
use() {
    export DOCKER_HOST=unix://$T/$1.sock DRAY_HOST=unix://$T/$1.sock
}

start_on() { # HOST
    nsenter --net="$T/ns/$1" setsid "$DRAY_STAGE/bin/drayd" --data-root "$T/$1" \
        --exec-root "$T/$1.exec" -H "unix://$T/$1.sock" --pidfile "$T/$1.pid" \
        --config-file "$T/daemon.json" </dev/null >>"$T/drayd.log" 2>&1 3>&- &
    use "$1"
    wait_until 10 answers
}

stop_on() {
    local pid
    pid=$(cat "$T/$1.pid")
    kill -TERM "$pid"
    wait_until 15 gone "$pid"
}

setup_file() {
    unshare -n ip link add t0 type vxlan id 1 dstport 4789 2>/dev/null || skip "this kernel has no vxlan links"
    daemon_init
    machine_own
    host_add a 11
    host_add b 12
    for h in a b; do
        start_on $h
        busybox_import
    done
}

teardown_file() {
    [ -n "$T" ] || return 0
    local h rc=0
    for h in a b; do
        use $h
        docker ps -aq | xargs -r docker rm -fv >/dev/null
        stop_on $h || rc=1
    done
    hosts_done
    leftovers_after || rc=1
    sanitizers_silent "$T/sanitizer" || rc=1
    [ $rc -eq 0 ] || tail -n 30 "$T/drayd.log" >&2
    machine_done
    rm -rf "$T"
    return $rc
}

teardown() {
    local h
    for h in a b; do
        use $h
        docker ps -aq | xargs -r docker rm -fv >/dev/null
        docker network prune -f >/dev/null
    done
}

make_both() { # OPTIONS OF A -- OPTIONS OF B
    local -a first=()
    while [ "$1" != -- ]; do first+=("$1"); shift; done
    shift
    use a
    docker network create -d vxlan --subnet 10.77.0.0/16 --ip-range 10.77.1.0/24 "${first[@]}" wide >/dev/null
    use b
    docker network create -d vxlan --subnet 10.77.0.0/16 --ip-range 10.77.2.0/24 "$@" wide >/dev/null
}

@test "containers of two machines talk over static peers, and a restart of a daemon harms nothing" {
    make_both --opt vni=77 --opt peers=198.51.100.12 -- --opt vni=77 --opt peers=198.51.100.11
    use a
    web one --network wide
    [ "$(ip_of one wide)" = 10.77.1.1 ] || [ "$(ip_of one wide)" = 10.77.1.0 ]
    docker exec one cat /sys/class/net/eth0/mtu | grep -qx 1450
    one=$(ip_of one wide)
    use b
    web two --network wide
    [ "$(get_from two "$one")" = one ]
    two=$(ip_of two wide)
    # A packet of the full size, and one that must be cut.
    docker exec two ping -c 1 -W 2 -s 1422 "$one" >/dev/null
    docker exec two ping -c 1 -W 2 -s 5000 "$one" >/dev/null
    kill -KILL "$(cat "$T/b.pid")"
    use a
    [ "$(get_from one "$two")" = two ]
    start_on b
    [ "$(docker exec two wget -q -O - "http://$one/")" = one ]
    docker network inspect wide -f '{{.Driver}} {{index .Options "vni"}}' | grep -qx 'vxlan 77'
    docker rm -f two >/dev/null
    web three --network wide
    [ "$(get_from three "$one")" = one ]
    docker rm -f three >/dev/null
    docker network rm wide >/dev/null
    wait_until 5 bash -c "! nsenter --net=$T/ns/b ip -o link | grep -q 'vx-\|vn-'"
}

@test "a multicast group finds the machines by itself" {
    make_both --opt vni=78 --opt group=239.1.2.3 --opt parent=up0 -- --opt vni=78 --opt group=239.1.2.3 --opt parent=up0
    use a
    web one --network wide
    one=$(ip_of one wide)
    use b
    web two --network wide
    [ "$(get_from two "$one")" = one ]
    use a
    [ "$(get_from one "$(use b; ip_of two wide)")" = two ]
}

@test "machines reach each other over IPv6 too" {
    make_both --opt vni=79 --opt peers=2001:db8:51::12 -- --opt vni=79 --opt peers=2001:db8:51::11
    use a
    web one --network wide
    docker exec one cat /sys/class/net/eth0/mtu | grep -qx 1430
    one=$(ip_of one wide)
    use b
    web two --network wide
    [ "$(get_from two "$one")" = one ]
}

@test "networks of another vni hear nothing" {
    make_both --opt vni=80 --opt peers=198.51.100.12 -- --opt vni=81 --opt peers=198.51.100.11
    use a
    web one --network wide
    one=$(ip_of one wide)
    use b
    web two --network wide
    run get_from two "$one"
    [ "$status" -ne 0 ]
}

@test "options are checked" {
    use a
    run docker network create -d vxlan wide
    [[ "$output" == *'missing required option: "vni"'* ]]
    run docker network create -d vxlan --opt vni=1 wide
    [[ "$output" == *'missing required option: "peers"'* ]]
    run docker network create -d vxlan --opt vni=16777216 --opt peers=1.2.3.4 wide
    [[ "$output" == *'invalid value of option vni: "16777216"'* ]]
    run docker network create -d vxlan --opt vni=1 --opt peers=1.2.3.4,fe80::1 wide
    [[ "$output" == *'invalid value of option peers'* ]]
    run docker network create -d vxlan --opt vni=1 --opt group=239.0.0.1 wide
    [[ "$output" == *'missing required option: "parent"'* ]]
    run docker network create -d vxlan --opt vni=1 --opt peers=1.2.3.4 --opt parent=nosuch0 wide
    [[ "$output" == *'the requested parent interface nosuch0 was not found'* ]]
    docker network create -d vxlan --subnet 10.78.0.0/24 --opt vni=5 --opt peers=198.51.100.12 five >/dev/null
    run docker network create -d vxlan --subnet 10.79.0.0/24 --opt vni=5 --opt peers=198.51.100.12 six
    [[ "$output" == *'vni 5 with port 4789 is in use on this machine'* ]]
    docker network rm five >/dev/null
    [ -z "$(docker network ls -q -f driver=vxlan)" ]
}
