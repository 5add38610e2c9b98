#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# net_firewall.bats - published ports and the administrator's own rules, nft's and iptables'.

bats_require_minimum_version 1.5.0
load lib
load net

setup_file() {
    daemon_init
    machine_own
    echo '{"publish-policy": "host-rules"}' >"$T/daemon.json"
    daemon_start
    busybox_import
    host_add ha 11
    host_add hb 12
}

teardown_file() {
    hosts_done
    daemon_done
}

setup() {
    web one -p 80
    port=$(host_port one 80)
}

teardown() {
    nft delete table inet admin 2>/dev/null || true
    for t in iptables ip6tables; do
        $t -P INPUT ACCEPT
        $t -P FORWARD ACCEPT
        $t -F
        $t -X
    done
    for t in "ip filter" "ip6 filter"; do
        # shellcheck disable=SC2086
        nft delete table $t 2>/dev/null || true
    done
    docker ps -aq | xargs -r docker rm -fv >/dev/null
    docker network prune -f >/dev/null
}

open_to() { from "$1" "${2:-198.51.100.1:$port}/" 2; }
closed_to() { ! from "$1" "${2:-198.51.100.1:$port}/" 1; }
copies() { nft list tables | grep -c "dray.*_in[0-9]"; }

@test "host-rules: nft input rules decide, and changes of them are followed" {
    wait_until 3 open_to ha
    nft -f - <<N
table inet admin {
    set friends { type ipv4_addr; elements = { 198.51.100.11 } }
    chain tcp_ports { ip saddr @friends tcp dport { 22, $port } accept; }
    chain input {
        type filter hook input priority filter; policy drop;
        ct state vmap { established : accept, related : accept }
        iif lo accept
        meta l4proto { icmp, ipv6-icmp } accept
        meta l4proto vmap { tcp : jump tcp_ports }
        counter log prefix "refused " drop
    }
}
N
    wait_until 3 closed_to hb
    [ "$(open_to ha)" = one ]
    [ "$(get "127.0.0.1:$port")" = one ]
    [ "$(get "198.51.100.1:$port")" = one ]
    web two
    [ "$(get_from two "198.51.100.1:$port")" = one ] # what is on this machine is inside
    nft add element inet admin friends '{ 198.51.100.12 }'
    wait_until 3 open_to hb
    nft flush chain inet admin tcp_ports
    wait_until 3 closed_to ha
    # A port published now is guarded from its first moment.
    web three -p 80
    closed_to hb "198.51.100.1:$(host_port three 80)"
    nft delete table inet admin
    wait_until 3 open_to hb
}

@test "host-rules: what was open stays so while the daemon is dead; its return changes nothing" {
    nft "table inet admin { chain input { type filter hook input priority 0; policy accept; ip saddr 198.51.100.12 tcp dport $port reject; }; }"
    wait_until 3 closed_to hb
    daemon_kill
    closed_to hb
    [ "$(open_to ha)" = one ]
    daemon_start
    closed_to hb
    [ "$(open_to ha)" = one ]
}

@test "host-rules: iptables' input rules, with matches and targets of its own" {
    iptables -N checks
    iptables -A INPUT -i lo -j ACCEPT
    iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    iptables -A INPUT -m addrtype --dst-type LOCAL -j checks
    iptables -A checks -s 198.51.100.11 -p tcp -m multiport --dports 22,"$port" -m comment --comment "one may" -j ACCEPT
    iptables -A checks -m limit --limit 3/min -j LOG --log-prefix "[BLOCK] "
    iptables -A checks -p tcp -j REJECT --reject-with tcp-reset
    iptables -P INPUT DROP
    wait_until 3 closed_to hb
    [ "$(open_to ha)" = one ]
    iptables -F checks
    wait_until 3 closed_to ha
    iptables -P INPUT ACCEPT
    wait_until 3 open_to hb
    iptables -S INPUT | grep -q conntrack # theirs is as it was
}

@test "host-rules: forward rules of the host, by the port that was asked for" {
    nft "table inet admin { chain forward { type filter hook forward priority 0; policy accept; ip protocol tcp ct original proto-dst $port ip saddr 198.51.100.12 drop; }; }"
    closed_to hb
    [ "$(open_to ha)" = one ]
}

@test "host-rules: IPv6" {
    docker network create --ipv6 --subnet fd00:78::/64 six >/dev/null
    web six -p 80 --network six
    local p6
    p6="[2001:db8:51::1]:$(host_port six 80)"
    [ "$(open_to hb "$p6")" = six ]
    ip6tables -A INPUT -s 2001:db8:51::12 -p tcp --dport "${p6##*:}" -j DROP
    wait_until 3 closed_to hb "$p6"
    [ "$(open_to ha "$p6")" = six ]
}

@test "host-rules: a flush of the ruleset opens nothing and closes nothing for good" {
    nft "table inet admin { chain input { type filter hook input priority 0; policy accept; ip saddr 198.51.100.12 drop; }; }"
    wait_until 3 closed_to hb
    nft flush ruleset
    nft "table inet admin { chain input { type filter hook input priority 0; policy accept; ip saddr 198.51.100.11 drop; }; }"
    wait_until 15 open_to hb
    closed_to ha
}

@test "docker: published ports are open whatever input rules say, and copies of rules are dropped" {
    nft "table inet admin { chain input { type filter hook input priority 0; policy drop; }; }"
    wait_until 3 closed_to hb
    [ "$(copies)" -ge 1 ]
    daemon_stop
    echo '{}' >"$T/daemon.json"
    daemon_start
    wait_until 3 open_to hb
    [ "$(copies)" -eq 0 ]
    daemon_stop
    echo '{"publish-policy": "host-rules"}' >"$T/daemon.json"
    daemon_start
    wait_until 3 closed_to hb
}

@test "a policy that is none is refused" {
    run "$DRAY_STAGE/bin/drayd" --validate --config-file <(echo '{"publish-policy": "open"}')
    [ "$status" -ne 0 ]
    [[ "$output" == *'invalid publish-policy: open'* ]]
}
