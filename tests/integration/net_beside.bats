#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# net_beside.bats - beside a real dockerd and its iptables: neither disturbs the other.

bats_require_minimum_version 1.5.0
load lib
load net

their_answers() { their version >/dev/null 2>&1; }
passes() { iptables -S FORWARD | grep -q -- '-i dray-'; }
their() { docker -H "unix://$T/theirs.sock" "$@"; }

dockerd_start() {
    setsid dockerd --data-root "$T/theirs" --exec-root "$T/theirs.exec" -H "unix://$T/theirs.sock" \
        --pidfile "$T/theirs.pid" --bip 10.57.0.1/24 --storage-driver vfs --userland-proxy=false \
        </dev/null >>"$T/theirs.log" 2>&1 3>&- &
    wait_until 20 their_answers
}

dockerd_stop() {
    local pid
    [ -r "$T/theirs.pid" ] || return 0
    pid=$(cat "$T/theirs.pid")
    kill -TERM "$pid"
    wait_until 20 gone "$pid"
}

setup_file() {
    command -v dockerd >/dev/null || skip "no dockerd here"
    daemon_init
    machine_own
    sysctl -qw net.ipv4.ip_forward=0 # then dockerd turns it on, and sets the policy to DROP
    dockerd_start || { tail -n 20 "$T/theirs.log" >&2; return 1; }
    daemon_start
    busybox_import
    their import "$(busybox_tar)" busybox >/dev/null
    host_add ha 11
}

teardown_file() {
    [ -n "$T" ] || return 0
    local rc=0
    their ps -aq 2>/dev/null | xargs -r docker -H "unix://$T/theirs.sock" rm -fv >/dev/null
    dockerd_stop || rc=1
    hosts_done
    awk -v t="$T/theirs" 'index($5, t) == 1 {print $5}' /proc/self/mountinfo | sort -r | xargs -r umount
    daemon_done || rc=1
    return $rc
}

@test "containers of both get out, and their ports answer" {
    iptables -S FORWARD | grep -q 'P FORWARD DROP'
    web one -p 80
    their run -d --name theirs -p 8057:80 busybox sh -c 'mkdir /www; echo theirs >/www/index.html; exec httpd -f -h /www' >/dev/null
    docker exec one ping -c 1 -W 2 198.51.100.11
    their exec theirs ping -c 1 -W 2 198.51.100.11
    [ "$(from ha "198.51.100.1:$(host_port one 80)/")" = one ]
    [ "$(from ha 198.51.100.1:8057/)" = theirs ]
    [ "$(get "127.0.0.1:$(host_port one 80)")" = one ]
    # From theirs to ours and back, by published ports alone.
    [ "$(their exec theirs timeout 3 wget -q -O - "http://198.51.100.1:$(host_port one 80)/")" = one ]
    [ "$(get_from one 198.51.100.1:8057)" = theirs ]
    their exec -d theirs httpd -f -p 81 -h /www
    run get_from one "$(their inspect -f '{{.NetworkSettings.IPAddress}}' theirs):81"
    [ "$status" -ne 0 ]
    docker network create more >/dev/null
    web two --network more
    docker exec two ping -c 1 -W 2 198.51.100.11
}

@test "iptables still understands its chains; our rules there come and go with the bridges" {
    local br before
    docker network create tmp >/dev/null
    br=br-$(docker network inspect tmp -f '{{.Id}}' | cut -c1-12)
    iptables -S FORWARD | grep -q -- "-i $br .*-j dray_.*-out"
    iptables -S FORWARD | grep -q -- "-o $br .*-j ACCEPT"
    before=$(iptables -S FORWARD | wc -l)
    docker network rm tmp >/dev/null
    [ "$(iptables -S FORWARD | wc -l)" -eq $((before - 2)) ]
    iptables-save >/dev/null
}

@test "dockerd comes back with our rules there, and we with its" {
    dockerd_stop
    dockerd_start
    web three -p 80
    docker exec three ping -c 1 -W 2 198.51.100.11
    [ "$(from ha "198.51.100.1:$(host_port three 80)/")" = three ]
    daemon_kill
    daemon_start
    [ "$(iptables -S FORWARD | grep -c -- '-i dray-')" -eq 1 ]
    iptables -F FORWARD # as a firewall that starts anew
    wait_until 15 passes
    docker exec three ping -c 1 -W 2 198.51.100.11
}
