#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# net_firewalls.bats - beside Debian's ufw and firewalld: containers get out and published ports answer,
# also after the firewall was loaded again.

bats_require_minimum_version 1.5.0
export DRAY_TEST_NS= # the box's own network
load lib
load net

setup_file() {
    FW=$("$BATS_TEST_DIRNAME/firewalls.sh" 2>/tmp/why.$$) || { WHY=$(cat /tmp/why.$$); export WHY; return 0; }
    rm -f /tmp/why.$$
    export FW
    daemon_init
    # As if they were installed, in this box alone.
    mkdir -p "$T/layer"
    mount -t tmpfs tmpfs "$T/layer"
    mkdir -p "$T/layer/up" "$T/layer/work"
    mount -t overlay overlay -o "lowerdir=$FW/usr:/usr" /usr
    mount -t overlay overlay -o "lowerdir=$FW/etc:/etc,upperdir=$T/layer/up,workdir=$T/layer/work" /etc
    mount -t tmpfs tmpfs /run
    host_add ha 11
    nsenter --net="$T/ns/ha" python3 -c '
import http.server, os
open(os.environ["T"] + "/far.pid", "w").write(str(os.getpid()))
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"far\n")
    def log_message(self, *a): pass
http.server.HTTPServer(("198.51.100.11", 9000), H).serve_forever()' </dev/null >/dev/null 2>&1 3>&- &
    daemon_start
    busybox_import
    daemon_stop
}

setup() { [ -z "${WHY:-}" ] || skip "$WHY"; }

teardown() {
    [ -z "${WHY:-}" ] || return 0
    docker ps -aq | xargs -r docker rm -fv >/dev/null
    docker network prune -f >/dev/null
    daemon_stop
    ! [ -e "$T/firewalld.pid" ] || { kill "$(cat "$T/firewalld.pid")" && rm "$T/firewalld.pid"; }
    ! [ -e /run/dbus/pid ] || { kill "$(cat /run/dbus/pid)" && rm -f /run/dbus/pid; }
    nft flush ruleset
}

teardown_file() {
    [ -z "${WHY:-}" ] || return 0
    kill "$(cat "$T/far.pid")"
    umount -l /run /etc /usr "$T/layer"
    hosts_done
    daemon_done
}

firewalld_up() {
    mkdir -p /run/dbus
    dbus-daemon --system --fork 3>&-
    firewalld --nofork --nopid </dev/null >"$T/firewalld.log" 2>&1 3>&- &
    echo $! >"$T/firewalld.pid"
    runs() { firewall-cmd --state >/dev/null 2>&1; }
    wait_until 15 runs || skip "firewalld does not run here: $(tail -n 1 "$T/firewalld.log")"
}

gets_out() { [ "$(docker exec one timeout 5 wget -q -O - http://198.51.100.11:9000/ 2>/dev/null)" = far ]; }
is_reached() { [ "$(from ha 198.51.100.1:8080/)" = one ]; }
both() { gets_out && is_reached; }

# soon COMMAND...: sooner than by the check every ten seconds.
soon() {
    local since
    since=$(date +%s%N)
    wait_until 20 "$@"
    since=$((($(date +%s%N) - since) / 1000000))
    echo "$*: after $since ms"
    [ $since -lt 5000 ]
}

@test "firewalld: bridges are in the zone trusted; a reload, and a network that goes" {
    firewalld_up
    daemon_start
    web one -p 8080:80
    wait_until 5 both
    docker network create fwnet >/dev/null
    bridge=br-$(docker network inspect -f '{{slice .Id 0 12}}' fwnet)
    [ "$(firewall-cmd --get-zone-of-interface="$bridge")" = trusted ]
    firewall-cmd --reload
    soon both
    firewall-cmd --complete-reload
    soon both
    # Where the administrator put a bridge it stays.
    firewall-cmd --zone=work --change-interface="$bridge"
    daemon_stop
    daemon_start
    [ "$(firewall-cmd --get-zone-of-interface="$bridge")" = work ]
    docker network rm fwnet >/dev/null
    docker network create fwnet2 >/dev/null
    bridge=br-$(docker network inspect -f '{{slice .Id 0 12}}' fwnet2)
    [ "$(firewall-cmd --get-zone-of-interface="$bridge")" = trusted ]
    docker network rm fwnet2 >/dev/null
    run ! firewall-cmd --get-zone-of-interface="$bridge"
}

@test "ufw: on, loaded again, off" {
    daemon_start
    web one -p 8080:80
    ufw --force enable
    wait_until 20 both
    ufw reload
    wait_until 20 both
    nft flush ruleset # what a restart of nftables.service does
    wait_until 20 both
    ufw --force disable
    wait_until 20 both
}

@test "ufw decides over published ports, if it is to" {
    daemon_start --publish-policy host-rules
    web one -p 8080:80
    wait_until 5 is_reached
    ufw default allow routed # the way through the machine is the administrator's then, too
    ufw --force enable
    closed() { ! from ha 198.51.100.1:8080/ 1; }
    wait_until 10 closed
    ufw allow 8080/tcp
    wait_until 10 is_reached
    ufw reload
    wait_until 10 is_reached
    ufw delete allow 8080/tcp
    wait_until 10 closed
    ufw --force disable
}
