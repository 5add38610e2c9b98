#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# net_proxy.bats - published ports of containers without IPv6 are reached on [::] and ::1, by dray-proxy.

load lib
bats_require_minimum_version 1.5.0

setup_file() {
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() { daemon_done; }

teardown() {
    local ids
    [ -z "${HELD:-}" ] || kill "$HELD" 2>/dev/null || true
    ids=$(docker ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -f $ids >/dev/null
}

proxy_pid() { # of this daemon
    local p
    for p in /proc/[0-9]*; do
        [[ $(tr '\0' ' ' <"$p/cmdline" 2>/dev/null) != *"/dray-proxy $T/exec "* ]] || echo "${p#/proc/}"
    done
}

web() { # NAME OPTIONS: a container that serves its name
    local name=$1
    shift
    docker run -d --name "$name" "$@" busybox sh -c "mkdir /w; echo $name >/w/index.html; exec httpd -f -h /w -p 80" >/dev/null
    wait_until 10 answers "$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' "$name"):80"
}

answers() { curl -sf --max-time 5 "http://$1/" >/dev/null; }
says() { [ "$(curl -s --max-time 10 "http://$1/")" = "$2" ]; }

# A server of ours in the container's network: python3 reads from standard input.
inside() { # CONTAINER
    nsenter -t "$(docker inspect -f '{{.State.Pid}}' "$1")" -n python3 -
}

serve_echo() { # CONTAINER: TCP 80 echoes and ends when the client has; UDP 53 echoes
    docker run -d --name "$1" -p 8080:80 -p 5353:53/udp busybox sleep 1000 >/dev/null
    inside "$1" 3>&- >/dev/null 2>&1 <<'END' &
import socket, threading
def echo(c):
    while data := c.recv(65536):
        c.sendall(data)
    c.sendall(b"end")
    c.close()
def datagrams():
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(("", 53))
    while True:
        data, who = u.recvfrom(65536)
        u.sendto(data, who)
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", 80))
s.listen(100)
threading.Thread(target=datagrams, daemon=True).start()
while True:
    threading.Thread(target=echo, args=(s.accept()[0],), daemon=True).start()
END
    HELD=$!
    echoes() { [ "$(echo hi | timeout 5 nc -N 127.0.0.1 8080)" = $'hi\nend' ]; }
    wait_until 10 echoes
}

@test "a port of a container without IPv6 is shown and reached on both families" {
    web web -p 8080:80
    [ "$(docker port web)" = "80/tcp -> 0.0.0.0:8080"$'\n'"80/tcp -> [::]:8080" ]
    says 127.0.0.1:8080 web
    says '[::1]:8080' web
    says localhost:8080 web
    # Another address of the machine, and the port of a second container.
    ip addr add fd00:d7a:1::1/64 dev lo nodad
    web two -p 8081:80
    says '[fd00:d7a:1::1]:8080' web
    says '[fd00:d7a:1::1]:8081' two
    [ "$(proxy_pid | wc -l)" = 1 ]
    ip addr del fd00:d7a:1::1/64 dev lo
    docker rm -f web >/dev/null
    run ! answers '[::1]:8080'
    says '[::1]:8081' two
    # An address of IPv4 is nobody's but its own.
    web local -p 127.0.0.1:8082:80
    [ "$(docker port local)" = "80/tcp -> 127.0.0.1:8082" ]
    run ! answers '[::1]:8082'
}

@test "streams are carried whole, both ways, to the end of each; datagrams are answered from the address asked" {
    serve_echo echo
    run -0 python3 - <<'END'
import hashlib, os, socket, threading
def trip(n):
    s = socket.create_connection(("::1", 8080), 60)
    sent, got = hashlib.sha256(), hashlib.sha256()
    def send():
        for _ in range(n):
            data = os.urandom(100000)
            sent.update(data)
            s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    t = threading.Thread(target=send)
    t.start()
    total, tail = 0, b""
    while data := s.recv(65536):
        tail += data
        got.update(tail[:-3])
        total += len(tail[:-3])
        tail = tail[-3:]
    t.join()
    assert tail == b"end" and total == n * 100000 and got.digest() == sent.digest(), (n, total, tail)
trip(400)
many = [threading.Thread(target=trip, args=(3,)) for _ in range(60)]
[t.start() for t in many]
[t.join() for t in many]
us = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(20)]
for i, u in enumerate(us):
    u.settimeout(10)
    u.connect(("::1", 5353))
    u.send(b"datagram %d" % i)
for i, u in enumerate(us):
    assert u.recv(1000) == b"datagram %d" % i
print("carried")
END
    [[ "$output" == *carried ]]
    run ! curl -s --max-time 5 'http://[::1]:8083/'
}

@test "connections live on without the daemon, through its restart, and through another version of the proxy" {
    local pid
    serve_echo echo
    coproc nc -N ::1 8080 3>&-
    local to=${COPROC[1]} from=${COPROC[0]}
    same() { local line; echo "$1" >&"$to" && read -r -t 20 line <&"$from" && [ "$line" = "$1" ]; }
    same one
    pid=$(proxy_pid)
    daemon_kill
    same two
    [ "$(echo new | timeout 5 nc -N ::1 8080)" = $'new\nend' ]
    daemon_start
    same three
    [ "$(proxy_pid)" = "$pid" ]
    [ "$(docker port echo 80)" = "0.0.0.0:8080"$'\n'"[::]:8080" ]
    # The same program as another file: that is how a new version looks.
    daemon_stop
    cp -r "$DRAY_STAGE" "$T/stage"
    DRAY_STAGE=$T/stage daemon_start
    [ "$(echo new | timeout 5 nc -N ::1 8080)" = $'new\nend' ]
    same four
    [ "$(proxy_pid | wc -l)" = 2 ]
    exec {to}>&- {from}<&-
    one_left() { [ "$(proxy_pid | wc -l)" = 1 ]; }
    wait_until 10 one_left
    [ "$(proxy_pid)" != "$pid" ]
    daemon_stop
    daemon_start
}

@test "a proxy that died is started again, with its ports" {
    local pid
    web web -p 8080:80
    pid=$(proxy_pid)
    kill -9 "$pid"
    wait_until 30 says '[::1]:8080' web
    [ "$(proxy_pid)" != "$pid" ]
    docker rm -f web >/dev/null
    run ! answers '[::1]:8080'
}

@test "a proxy that does not answer: its port is refused by its name in time, others start, and it serves again" {
    web first -p 8080:80
    kill -STOP "$(proxy_pid)"
    run timeout 40 docker run -d --name second -p 8081:80 busybox sleep 1000
    docker run --rm busybox true
    says 127.0.0.1:8080 first
    kill -CONT "$(proxy_pid)"
    echo "$output"
    [ "$status" -eq 125 ]
    [[ $output == *"the proxy (dray-proxy) does not answer"* ]]
    docker rm -f second
    web second -p 8081:80
    says '[::1]:8081' second
}

@test "a port that is taken on IPv6 is refused, or another one is chosen" {
    local port
    python3 -c '
import socket, time
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
s.bind(("::", 8080)); s.listen(); print("listens", flush=True); time.sleep(1000)' >"$T/taken" 3>&- &
    HELD=$!
    wait_until 10 grep -q listens "$T/taken"
    run -125 docker run -d --name web -p 8080:80 busybox sleep 1000
    [[ "$output" == *"failed to bind host port for [::]:8080:"*":80/tcp: address already in use"* ]]
    docker rm web >/dev/null
    # Nothing of it is left on IPv4.
    run -0 timeout 5 python3 -c 'import socket; socket.create_server(("0.0.0.0", 8080))'
    web range -p 8080-8082:80
    [ "$(docker port range 80)" = "0.0.0.0:8081"$'\n'"[::]:8081" ]
    says '[::1]:8081' range
    web any -P --expose 80
    port=$(docker port any 80/tcp | head -n 1)
    port=${port##*:}
    [ "$(docker port any 80)" = "0.0.0.0:$port"$'\n'"[::]:$port" ]
    says "[::1]:$port" any
}

@test "an address of IPv6 alone, and a machine where the proxy is switched off" {
    web six -p '[::1]:8080:80' -p '[::1]::81'
    [ "$(docker port six 80)" = "[::1]:8080" ]
    says '[::1]:8080' six
    run ! answers 127.0.0.1:8080
    [[ "$(docker port six 81)" == "[::1]:"[1-9]* ]]
    docker rm -f six >/dev/null
    daemon_stop
    daemon_start --userland-proxy=false
    web web -p 8080:80
    [ "$(docker port web 80)" = "0.0.0.0:8080" ]
    says 127.0.0.1:8080 web
    run ! answers '[::1]:8080'
    run docker create -p '[::1]:8081:80' busybox
    [[ "$output" == *"discarded: no network of the container has IPv6 addresses"* ]]
    [ -z "$(proxy_pid)" ]
    daemon_stop
    daemon_start
}

@test "without descriptors connections wait, and none is lost" {
    local pid
    # The proxy starts under the limit of the daemon.
    pid=$(proxy_pid)
    if [ -n "$pid" ]; then
        kill "$pid"
        wait_until 10 gone "$pid"
    fi
    prlimit --pid "$(daemon_pid)" --nofile=100
    web web -p 8080:80
    python3 - <<'END'
import socket
held = [socket.create_connection(("::1", 8080), 20) for _ in range(30)]
for s in held:
    s.sendall(b"GET / HTTP/1.0\r\n\r\n")
for s in held:
    s.settimeout(60)
    text = b""
    while data := s.recv(1000):
        text += data
    assert text.endswith(b"web\n"), text
    s.close()
END
}
