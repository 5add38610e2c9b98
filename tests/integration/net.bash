# SPDX-License-Identifier: Apache-2.0
# net.bash - what the network tests share: servers in containers, other hosts in namespaces.

# shellcheck disable=SC2016
PEER_CGI='#!/bin/sh
echo; echo "$REMOTE_ADDR" | sed "s/^\[//; s/\]$//; s/^::ffff://"'

# web NAME [docker run arguments]: a server in a container that answers with its name, and at
# /cgi-bin/peer with the address of who asks.
web() {
    local name=$1
    shift
    docker run -d --name "$name" "$@" busybox sh -c "mkdir -p /www/cgi-bin; echo $name >/www/index.html
echo '$PEER_CGI' >/www/cgi-bin/peer; chmod +x /www/cgi-bin/peer
exec httpd -f -p 80 -h /www" >/dev/null
    wait_until 5 docker exec "$name" wget -q -O /dev/null http://127.0.0.1/
}

get() { curl -gsf --max-time "${2:-3}" "http://$1/"; }
# peer_at ADDRESS: the address that the server there sees us with.
peer_at() { curl -gsf --max-time 3 "http://$1/cgi-bin/peer"; }
peer_from() { docker exec "$1" timeout 2 wget -q -O - "http://$2/cgi-bin/peer"; }
# from HOST ADDRESS
from() { on "$1" curl -gsf --max-time "${3:-3}" "http://$2"; }
refused() { ! get "$1" 1; }
# get_from CONTAINER ADDRESS
get_from() { docker exec "$1" timeout 2 wget -q -O - "http://$2/"; }
ip_of() { docker inspect -f "{{(index .NetworkSettings.Networks \"$2\").IPAddress}}" "$1"; }
ip6_of() { docker inspect -f "{{(index .NetworkSettings.Networks \"$2\").GlobalIPv6Address}}" "$1"; }
gateway_of() { docker network inspect "$1" -f '{{(index .IPAM.Config 0).Gateway}}'; }
host_port() { docker port "$1" "$2" | head -n 1 | sed 's/.*://'; }
table() { nft list tables | awk '$3 ~ /^dray_/ {print $3}' | tail -n 1; }

# --- a machine of one's own -------------------------------------------------------------------

# The daemon, its rules and all commands about the network go into a network namespace of the test:
# nothing of this machine's own firewall is touched. Call it after daemon_init.
machine_own() {
    mkdir -p "$T/ns"
    touch "$T/ns/here"
    unshare --net="$T/ns/here" ip link set lo up
    export DRAY_TEST_NS=$T/ns/here
    machine_commands
    leftovers_before
}

machine_commands() {
    local c
    for c in ip nft iptables ip6tables iptables-save curl sysctl setsid ping iperf3 bridge; do
        eval "$c() { nsenter --net=\"\$DRAY_TEST_NS\" $c \"\$@\"; }"
    done
}
[ -z "$DRAY_TEST_NS" ] || machine_commands

# --- other hosts ------------------------------------------------------------------------------

# Make NAME, another host at 198.51.100.NUMBER; this machine is 198.51.100.1 and 2001:db8:51::1.
host_add() { # NAME NUMBER
    local bridge=up0
    ip link show $bridge >/dev/null 2>&1 || {
        ip link add $bridge type bridge
        ip link set $bridge up
        ip addr add 198.51.100.1/24 dev $bridge
        ip addr add 2001:db8:51::1/64 dev $bridge nodad
    }
    mkdir -p "$T/ns"
    touch "$T/ns/$1"
    unshare --net="$T/ns/$1" ip link set lo up
    ip link add "up-$1" mtu 1500 master $bridge up type veth peer name up0 netns "$T/ns/$1"
    on "$1" ip addr add "198.51.100.$2/24" dev up0
    on "$1" ip addr add "2001:db8:51::$2/64" dev up0 nodad
    on "$1" ip link set up0 up
}

hosts_done() {
    local n
    ip link del up0 2>/dev/null
    for n in "$T"/ns/*; do
        [ "$n" != "$T/ns/here" ] || continue
        umount "$n" 2>/dev/null
        rm -f "$n"
    done
    return 0
}

# After everything else that looks at the network.
machine_done() {
    umount "$T/ns/here" 2>/dev/null
    rm -rf "$T/ns"
}

# on HOST COMMAND...
on() {
    local h=$1
    shift
    nsenter --net="$T/ns/$h" "$@"
}
