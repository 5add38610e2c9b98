#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# quickstart.sh - from a fresh clone to running containers, in a private root that is left to play with.
#
#   sudo examples/quickstart.sh          build, start drayd, run containers, show what happened
#   sudo examples/quickstart.sh stop     stop its containers and its daemon, remove the root
#
# Safe to run twice. Ends with 0 only if everything that it shows has really worked.
set -euo pipefail
cd "$(dirname "$0")/.."

root=${DRAY_QUICKSTART_ROOT:-/var/tmp/dray-quickstart}
prefix=$root/install
sock=unix://$root/dray.sock
port=${DRAY_QUICKSTART_PORT:-18080}
build=${DRAY_QUICKSTART_BUILD:-build/quickstart}
dray() { "$prefix/bin/dray" -H "$sock" "$@"; }
say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
show() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }
fail() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "run it as root: sudo $0"

daemon_pid() {
    local pid
    [ -r "$root/drayd.pid" ] && pid=$(cat "$root/drayd.pid") && [ -d "/proc/$pid" ] &&
        [ "$(readlink "/proc/$pid/exe")" = "$prefix/bin/drayd" ] && echo "$pid"
}

stop_all() {
    local pid
    pid=$(daemon_pid) || return 0
    dray ps -aq | while read -r id; do dray rm -f "$id" >/dev/null; done
    kill "$pid"
    for _ in $(seq 100); do [ -d "/proc/$pid" ] || return 0; sleep 0.1; done
    fail "drayd ($pid) does not stop"
}

# The bridges of its networks and the rules that go with them, which outlive a daemon for its containers.
bridges() {
    dray network ls -q --filter driver=bridge 2>/dev/null |
        while read -r id; do
            dray network inspect -f '{{with index .Options "com.docker.network.bridge.name"}}{{.}}{{else}}br-{{slice $.Id 0 12}}{{end}}' "$id"
        done
}

if [ "${1:-}" = stop ]; then
    links=$(bridges)
    stop_all
    for link in $links; do
        [ ! -d "/sys/class/net/$link/bridge" ] || ip link del "$link"
        case $link in dray-*) nft delete table inet "${link/-/_}" ;; esac
    done
    rm -rf "$root"
    echo "stopped; $root removed"
    exit 0
fi

say "Build dependencies"
tests/deps.sh build
echo "all there"

say "Build and install into $prefix"
[ -f "$build/CMakeCache.txt" ] ||
    cmake -G Ninja -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DDRAY_TESTS=OFF >/dev/null
cmake --build "$build" | tail -n 1
stop_all
mkdir -p "$root"
chmod 711 "$root"
[ -e "$root/daemon.json" ] || echo "{}" >"$root/daemon.json"
cmake --install "$build" --prefix "$prefix" >/dev/null
"$prefix/bin/drayd" --version

say "Start drayd"
setsid "$prefix/bin/drayd" --data-root "$root/data" --exec-root "$root/exec" --host "$sock" \
    --pidfile "$root/drayd.pid" --config-file "$root/daemon.json" \
    </dev/null >>"$root/drayd.log" 2>&1 &
for _ in $(seq 100); do
    dray version >/dev/null 2>&1 && break
    sleep 0.1
done
dray version >/dev/null 2>&1 || { tail -n 20 "$root/drayd.log" >&2; fail "drayd does not answer"; }
show dray plugin ls

say "Get an image"
image=alpine
if ! timeout 60 "$prefix/bin/dray" -H "$sock" pull alpine 2>"$root/pull.err"; then
    echo "Docker Hub is out of reach: making an image of Debian's busybox-static"
    image=busybox
    tree=$(mktemp -d)
    trap 'rm -rf "$tree"' EXIT
    mkdir -p "$tree"/bin "$tree"/etc "$tree"/root "$tree"/tmp "$tree"/var
    cp /bin/busybox "$tree/bin/busybox"
    for applet in $("$tree/bin/busybox" --list); do
        [ "$applet" = busybox ] || ln -s busybox "$tree/bin/$applet"
    done
    echo 'root:x:0:0:root:/root:/bin/sh' >"$tree/etc/passwd"
    echo 'root:x:0:' >"$tree/etc/group"
    chmod 1777 "$tree/tmp"
    tar -C "$tree" -c . | dray import --change 'CMD ["sh"]' --message quickstart - busybox:latest
fi
show dray images

say "Run a container"
out=$(show dray run --rm "$image" echo 'hello from inside')
echo "$out"
out=${out##*$'\n'}
[ "$out" = 'hello from inside' ] || fail "the container said: $out"
code=0
show dray run --rm "$image" sh -c 'exit 42' || code=$?
[ "$code" = 42 ] || fail "exit code $code instead of 42"
echo "exit code 42 came through"

say "Publish a port"
dray rm -f quickstart-web >/dev/null 2>&1 || true
show dray run -d --name quickstart-web -p "$port:80" "$image" \
    sh -c 'while true; do printf "HTTP/1.0 200 OK\r\n\r\nhello from port 80\n" | nc -l -p 80 >/dev/null; done'
answer=
for _ in $(seq 50); do
    answer=$(curl -s --max-time 2 "http://127.0.0.1:$port/" || true)
    [ -n "$answer" ] && break
    sleep 0.1
done
echo "http://127.0.0.1:$port/ answers: $answer"
[ "$answer" = 'hello from port 80' ] || fail "the published port does not answer"
show dray exec quickstart-web hostname
show dray ps -a

say "All of that worked. How to go on"
cat <<EOF
  alias dray='$prefix/bin/dray -H $sock'
  dray run -it --rm $image sh                      a shell in a container
  DOCKER_HOST=$sock docker ps    the docker CLI, if you have it
  tail $root/drayd.log                             what the daemon says
  $0 stop                        end everything and remove $root
EOF
