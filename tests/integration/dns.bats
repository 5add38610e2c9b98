#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# dns.bats - the embedded resolver of user-defined networks, asked by dig inside the containers' namespaces.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
    SERVER=$(docker network inspect bridge -f '{{(index .IPAM.Config 0).Gateway}}')
    python3 "$BATS_TEST_DIRNAME/dns_server.py" "$SERVER" "$T/asked" 3>&- 2>"$T/server.log" &
    echo $! >"$T/server.pid"
    export SERVER
    wait_until 5 server_answers
}

server_answers() { dig +short +time=1 +tries=1 "@$SERVER" good.example | grep -q 192.0.2.1; }

teardown_file() {
    kill "$(cat "$T/server.pid")"
    daemon_done
}

teardown() {
    local ids
    ids=$(docker ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -fv $ids >/dev/null
    docker network prune -f >/dev/null
}

# box NAME [docker run arguments]: a container that does nothing.
box() {
    local name=$1
    shift
    docker run -d --init --name "$name" "$@" busybox sleep 600 >/dev/null
}
pid_of() { docker inspect -f '{{.State.Pid}}' "$1"; }
ip_of() { docker inspect -f "{{(index .NetworkSettings.Networks \"$2\").IPAddress}}" "$1"; }
# ask CONTAINER dig arguments...
ask() {
    local pid
    pid=$(pid_of "$1")
    shift
    nsenter -t "$pid" -n dig +time=3 +tries=1 @127.0.0.11 "$@"
}
addresses() { ask "$@" +short | sort | tr '\n' ' '; }
status() { ask "$@" | sed -n 's/.*status: \([A-Z]*\),.*/\1/p'; }
resolv() { docker exec "$1" grep -v -e '^#' -e '^$' /etc/resolv.conf; }
dns_pids() { pgrep -f "dray-dns $T/exec" | sort | tr '\n' ' '; }

@test "names, aliases, short id, host name, name.network, in any case, by UDP and TCP" {
    local ip
    docker network create one >/dev/null
    box aa --network one
    box bb --network one --network-alias other -h hosty
    ip=$(ip_of bb one)
    for name in bb BB other hosty bb.one other.ONE "$(docker inspect -f '{{.Id}}' bb | cut -c 1-12)"; do
        [ "$(addresses aa "$name")" = "$ip " ]
        [ "$(addresses aa "$name" +tcp)" = "$ip " ]
    done
    [ "$(ask aa bb | awk '/^bb/ {print $2, $3, $4}')" = "600 IN A" ]
    [ "$(docker exec aa ping -c 1 -W 1 bb | grep -c "from $ip")" -eq 1 ]
    [ "$(ask aa -x "$ip" +short)" = bb.one. ]
    [ "$(docker inspect -f '{{json .NetworkSettings.Networks.one.DNSNames}}' bb)" = "[\"bb\",\"other\",\"$(docker inspect -f '{{.Id}}' bb | cut -c 1-12)\",\"hosty\"]" ]
    docker rename bb cc
    [ "$(addresses aa cc)" = "$ip " ]
    [ "$(status aa bb)" != NOERROR ]
    [ "$(ask aa -x "$ip" +short)" = cc.one. ]
}

@test "a shared alias gives all addresses in changing order, without those of stopped containers" {
    local i first
    docker network create one >/dev/null
    for i in 1 2 3; do box "w$i" --network one --network-alias web; done
    box client --network one
    [ "$(addresses client web)" = "$(for i in 1 2 3; do ip_of "w$i" one; done | sort | tr '\n' ' ')" ]
    first=$(for i in $(seq 30); do ask client web +short | head -n 1; done | sort -u | wc -l)
    [ "$first" -eq 3 ]
    docker stop w2 >/dev/null
    [ "$(ask client web +short | wc -l)" -eq 2 ]
    [ "$(status client w2)" != NOERROR ]
    docker start w2 >/dev/null
    [ "$(ask client web +short | wc -l)" -eq 3 ]
    kill -KILL "$(pid_of w3)"
    wait_until 5 only_two
    docker network disconnect one w1
    [ "$(ask client web +short | wc -l)" -eq 1 ]
    docker network connect --alias extra one w1
    [ "$(addresses client extra)" = "$(ip_of w1 one) " ]
}
only_two() { [ "$(ask client web +short | wc -l)" -eq 2 ]; }

@test "AAAA and reverse questions of an IPv6 network; other types are answered, not forwarded" {
    local six
    docker network create --ipv6 --subnet fd00:5::/64 six >/dev/null
    box aa --network six --dns "$SERVER"
    box bb --network six
    six=$(docker inspect -f '{{.NetworkSettings.Networks.six.GlobalIPv6Address}}' bb)
    [ "$(ask aa bb AAAA +short)" = "$six" ]
    [ "$(ask aa -x "$six" +short)" = bb.six. ]
    docker network create four >/dev/null
    docker network connect four bb
    box cc --network four --dns "$SERVER"
    : >"$T/asked"
    for type in AAAA MX TXT HTTPS SRV; do
        ask cc bb "$type" | grep -q 'status: NOERROR.*'
        ask cc bb "$type" | grep -q 'ANSWER: 0'
    done
    [ ! -s "$T/asked" ] # no name of ours has left
}

@test "links: seen by their owner alone, on their network; legacy links in hosts" {
    docker network create one >/dev/null
    docker network create two >/dev/null
    box db --network one
    box app --network one --link db:store
    box other --network one
    [ "$(addresses app store)" = "$(ip_of db one) " ]
    [ "$(status other store)" != NOERROR ]
    docker network connect two db
    docker network connect --link db:second two other
    [ "$(addresses other second)" = "$(ip_of db two) " ]
    box old
    box young --link old:elder
    knows_elder
    docker stop old >/dev/null
    box between # takes the address
    docker start old >/dev/null
    wait_until 5 knows_elder
}

knows_elder() {
    docker exec young grep -q "^$(ip_of old bridge)	elder $(docker inspect -f '{{.Id}}' old | cut -c 1-12) old\$" /etc/hosts
}

@test "other names go to the servers: answers, no such name, failures, truncation, EDNS" {
    docker network create one >/dev/null
    box aa --network one --dns "$SERVER"
    [ "$(addresses aa good.example)" = "192.0.2.1 " ]
    [ "$(addresses aa good.example +tcp)" = "192.0.2.1 " ]
    [ "$(status aa gone.example)" = NXDOMAIN ]
    [ "$(status aa fail.example)" = SERVFAIL ]
    ask aa big.example +noedns +ignore | grep -q 'flags:.* tc'
    [ "$(ask aa big.example +noedns +short | wc -l)" -eq 60 ] # dig comes again by TCP
    [ "$(ask aa big.example +bufsize=4096 +ignore +short | wc -l)" -eq 60 ]
    docker exec aa wget -T 2 -q -O /dev/null http://good.example/ || true
    grep -q '^udp good.example 1$' "$T/asked"
    # The second server is asked where the first cannot tell or is not there.
    box bb --network one --dns 127.0.0.1 --dns "$SERVER"
    [ "$(addresses bb good.example)" = "192.0.2.1 " ]
    [ "$(addresses bb good.example +tcp)" = "192.0.2.1 " ]
}

@test "our own answers are cut to what the client takes" {
    local i
    docker network create one >/dev/null
    for i in $(seq 33); do
        docker run -d --init --network one --network-alias many busybox sleep 600 >/dev/null
    done
    box client --network one
    ask client many +noedns +ignore | grep -q 'flags:.* tc'
    [ "$(ask client many +noedns +ignore | awk '/MSG SIZE/ {print ($NF <= 512)}')" = 1 ]
    [ "$(ask client many +noedns +short | wc -l)" -eq 33 ]
    [ "$(ask client many +bufsize=1232 +ignore +short | wc -l)" -eq 33 ]
}

@test "resolv.conf in every network mode" {
    docker network create one >/dev/null
    box user --network one --dns "$SERVER" --dns-search corp.example --dns-search lab.example --dns-opt timeout:2
    [ "$(resolv user)" = $'nameserver 127.0.0.11\nsearch corp.example lab.example\noptions timeout:2 ndots:0' ]
    docker exec user grep -q "^# ExtServers: \[$SERVER\]\$" /etc/resolv.conf
    docker exec user grep -q '^# Overrides: \[nameservers search options\]$' /etc/resolv.conf
    docker exec user grep -q '^# Option ndots from: internal$' /etc/resolv.conf
    box plain --dns "$SERVER" --dns-search .
    [ "$(resolv plain)" = "nameserver $SERVER" ]
    docker exec plain grep -q "(legacy)" /etc/resolv.conf
    [ "$(docker run --rm --network none --dns 10.1.1.1 busybox grep ^nameserver /etc/resolv.conf)" = "nameserver 10.1.1.1" ]
    run docker run --rm --network host busybox cat /etc/resolv.conf
    echo "$status: $output" # told when the next line fails
    [ "$(grep ^nameserver <<<"$output")" = "$(grep ^nameserver /etc/resolv.conf)" ]
    [ "$(docker run --rm --network container:user busybox cat /etc/resolv.conf)" = "$(docker exec user cat /etc/resolv.conf)" ]
    # A network that is connected later brings the resolver along.
    docker network connect one plain
    [ "$(resolv plain)" = $'nameserver 127.0.0.11\noptions ndots:0' ]
    docker exec plain ping -c 1 -W 1 user >/dev/null
}

@test "the daemon's own dns options; addresses that are none" {
    cp "$T/daemon.json" "$T/daemon.json.was"
    echo '{"dns": ["10.7.7.7"], "dns-search": ["daemon.example"], "dns-opts": ["attempts:3"]}' >"$T/daemon.json"
    daemon_stop
    daemon_start
    docker network create one >/dev/null
    box aa --network one
    [ "$(resolv aa)" = $'nameserver 127.0.0.11\nsearch daemon.example\noptions attempts:3 ndots:0' ]
    docker exec aa grep -q '^# ExtServers: \[10.7.7.7\]$' /etc/resolv.conf
    [ "$(docker run --rm --dns 10.8.8.8 --dns-search own.example busybox grep -v -e '^#' -e '^$' /etc/resolv.conf)" = $'nameserver 10.8.8.8\nsearch own.example\noptions attempts:3' ]
    mv "$T/daemon.json.was" "$T/daemon.json"
    daemon_stop
    daemon_start
    api POST '/v1.43/containers/create?name=bb' -H 'Content-Type: application/json' -d '{"Image":"busybox","HostConfig":{"Dns":["nonsense"]}}' >/dev/null
    run docker start bb
    [ "$status" -ne 0 ]
    [[ "$output" == *"bad nameserver address nonsense"* ]]
}

@test "with ndots given, single labels are left to the search domains" {
    docker network create one >/dev/null
    box aa --network one --dns "$SERVER" --dns-opt ndots:2
    : >"$T/asked"
    [ "$(status aa single)" = NOERROR ]
    ask aa single | grep -q 'ANSWER: 0'
    [ ! -s "$T/asked" ]
    [ "$(status aa single MX)" = NXDOMAIN ]
    box bb --network one --dns "$SERVER"
    [ "$(status bb single)" = NXDOMAIN ]
}

@test "internal networks resolve names, and nothing leaves" {
    docker network create --internal inside >/dev/null
    box aa --network inside --dns "$SERVER"
    box bb --network inside
    : >"$T/asked"
    [ "$(addresses aa bb)" = "$(ip_of bb inside) " ]
    [ "$(status aa good.example)" = SERVFAIL ]
    [ ! -s "$T/asked" ]
    docker network create outside >/dev/null
    docker network connect outside aa
    [ "$(addresses aa good.example)" = "192.0.2.1 " ]
    docker network disconnect outside aa
    [ "$(status aa good.example)" = SERVFAIL ]
}

@test "a container may serve on port 53 of all its addresses itself" {
    docker network create one >/dev/null
    box server --network one
    box client --network one
    nsenter -t "$(pid_of server)" -n python3 "$BATS_TEST_DIRNAME/dns_server.py" 0.0.0.0 "$T/theirs" 3>&- 2>/dev/null &
    wait_until 5 serves_itself
    nsenter -t "$(pid_of client)" -n dig +tcp +short +time=2 +tries=1 "@$(ip_of server one)" good.example | grep -q 192.0.2.1
    [ "$(addresses server client)" = "$(ip_of client one) " ]
    [ "$(addresses server client +tcp)" = "$(ip_of client one) " ]
    kill %1
}
serves_itself() { nsenter -t "$(pid_of client)" -n dig +short +time=1 +tries=1 "@$(ip_of server one)" good.example | grep -q 192.0.2.1; }

@test "the default bridge has no resolver" {
    box aa
    run nsenter -t "$(pid_of aa)" -n dig +time=1 +tries=1 @127.0.0.11 aa
    [ "$status" -ne 0 ]
    [ -z "$(nsenter -t "$(pid_of aa)" -n nft list ruleset)" ]
}

@test "it answers while the daemon is dead; the next daemon takes it over and drops who has gone" {
    local before
    docker network create one >/dev/null
    box aa --network one --dns "$SERVER"
    box bb --network one
    box cc --network one
    before=$(dns_pids)
    local pid ip gone
    pid=$(pid_of aa)
    ip=$(ip_of bb one)
    gone=$(pid_of cc)
    daemon_kill
    [ "$(nsenter -t "$pid" -n dig +short @127.0.0.11 bb)" = "$ip" ]
    [ "$(nsenter -t "$pid" -n dig +short +tcp @127.0.0.11 bb)" = "$ip" ]
    [ "$(nsenter -t "$pid" -n dig +short @127.0.0.11 good.example)" = 192.0.2.1 ]
    kill -KILL "$gone"
    daemon_start
    [ "$(dns_pids)" = "$before" ]
    [ "$(addresses aa bb)" = "$ip " ]
    [ "$(status aa cc)" != NOERROR ]
    docker rm -f bb >/dev/null
    [ "$(status aa bb)" != NOERROR ]
}

@test "a daemon of another version brings its own resolver, which takes over" {
    local before pid
    docker network create one >/dev/null
    box aa --network one
    box bb --network one
    before=$(dns_pids)
    pid=$(pid_of aa)
    cp -a "$DRAY_STAGE" "$T/stage"
    daemon_stop
    [ "$(nsenter -t "$pid" -n dig +short @127.0.0.11 bb | wc -l)" -eq 1 ]
    DRAY_STAGE=$T/stage daemon_start
    [ -z "$(comm -12 <(tr ' ' '\n' <<<"$before") <(tr ' ' '\n' <<<"$(dns_pids)") | tr -d '\n')" ]
    [ "$(addresses aa bb)" = "$(ip_of bb one) " ]
    [ "$(addresses bb aa +tcp)" = "$(ip_of aa one) " ]
    daemon_stop
    daemon_start
    [ "$(addresses aa bb)" = "$(ip_of bb one) " ]
    rm -rf "$T/stage"
}

@test "parts of it that die are replaced: the worker at once, all of it soon" {
    local keeper worker
    docker network create one >/dev/null
    box aa --network one
    box bb --network one
    worker=$(pgrep -x dray-dns-worker | while read -r p; do grep -qF "$T/exec" "/proc/$p/cmdline" && echo "$p"; done)
    [ "$(awk '/^Uid:/ {print $2}' "/proc/$worker/status")" = 65534 ]
    [ "$(awk '/^CapEff:/ {print $2}' "/proc/$worker/status")" = 0000000000000000 ]
    kill -KILL "$worker"
    wait_until 3 resolves aa bb
    # One that hangs is replaced when it is told of the next container.
    kill -STOP "$(dns_pids | cut -d ' ' -f 2)"
    box cc --network one
    wait_until 3 resolves aa cc
    keeper=$(dns_pids | cut -d ' ' -f 1)
    kill -KILL "$keeper"
    wait_until 15 resolves aa bb
    docker exec aa ping -c 1 -W 1 bb >/dev/null
}
resolves() { [ "$(nsenter -t "$(pid_of "$1")" -n dig +short +time=1 +tries=1 @127.0.0.11 "$2")" = "$(ip_of "$2" one)" ]; }

@test "containers that come and go by the dozen leave nothing behind" {
    local keeper i before rounds=${DRAY_TEST_ROUNDS:-1}
    docker network create one >/dev/null
    box stays --network one --network-alias all
    keeper=$(dns_pids | cut -d ' ' -f 1)
    before=$(descriptors)
    for i in $(seq "$rounds"); do
        for n in $(seq 24); do
            (box "c$n" --network one --network-alias all && docker rm -f "c$n" >/dev/null) 3>&- &
        done
        while [ -n "$(jobs -r)" ]; do
            ask stays all +short >"$T/answer"
            grep -q "^$(ip_of stays one)\$" "$T/answer"
        done
        wait
    done
    [ "$(addresses stays all)" = "$(ip_of stays one) " ]
    [ "$(descriptors)" = "$before" ]
    [ "$(find "$T/exec/dns" -name '*.json' | wc -l)" -eq 1 ]
}
descriptors() { for p in $(dns_pids); do find "/proc/$p/fd" -mindepth 1 | wc -l; done | tr '\n' ' '; }

@test "hostile packets do no harm" {
    local before
    docker network create one >/dev/null
    box aa --network one --dns "$SERVER"
    box bb --network one
    before=$(dns_pids)
    nsenter -t "$(pid_of aa)" -n python3 - <<'P'
import os, random, socket, struct
random.seed(7)
good = bytes.fromhex("1234010000010000000000000262620000010001")
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(3000):
    data = bytearray(good + bytes(random.randrange(40)))
    for _ in range(random.randrange(1, 8)):
        data[random.randrange(len(data))] = random.randrange(256)
    udp.sendto(data if i % 3 else os.urandom(random.randrange(1, 1200)), ("127.0.0.11", 53))
for i in range(60):
    tcp = socket.create_connection(("127.0.0.11", 53), 2)
    data = os.urandom(random.randrange(200))
    tcp.sendall(struct.pack(">H", random.choice((0, 1, 11, len(data), 65535))) + data)
    if i % 2:
        tcp.close()
idle = [socket.create_connection(("127.0.0.11", 53), 2) for _ in range(100)]
P
    [ "$(dns_pids)" = "$before" ]
    [ "$(addresses aa bb)" = "$(ip_of bb one) " ]
    [ "$(addresses bb aa +tcp)" = "$(ip_of aa one) " ]
}

@test "servers on the host's own loopback are asked from the host" {
    local t2 host=127.0.0.153
    t2=$(mktemp -d "$T/second.XXXXXX")
    echo "nameserver $host" >"$t2/resolv.conf"
    python3 "$BATS_TEST_DIRNAME/dns_server.py" "$host" "$t2/asked" 3>&- 2>/dev/null &
    unshare -m --propagation private sh -c "mount --bind $t2/resolv.conf /etc/resolv.conf && exec $DRAY_STAGE/bin/drayd \
        --data-root $t2/data --exec-root $t2/exec -H unix://$t2/sock --bridge none --config-file $T/daemon.json" \
        >"$t2/log" 2>&1 3>&- &
    local DOCKER_HOST=unix://$t2/sock
    wait_until 10 docker version >/dev/null 2>&1
    busybox_import
    docker network create loop >/dev/null
    box aa --network loop
    [ "$(addresses aa good.example)" = "192.0.2.1 " ]
    [ "$(addresses aa good.example +tcp)" = "192.0.2.1 " ]
    docker exec aa grep -q "ExtServers: \[host($host)\]" /etc/resolv.conf
    docker rm -f aa >/dev/null
    docker network rm loop >/dev/null
    kill %1 %2
    wait
}
