# SPDX-License-Identifier: Apache-2.0
# lib.bash - what every bats file needs: a daemon of its own, images, and a look for leftovers.
#
# DRAY_STAGE is the folder with bin/, libexec/ and lib*/ of the build under test (set by run.sh).

: "${DRAY_STAGE:=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/stage}"
export PATH="$DRAY_STAGE/bin:$PATH"
DRAY_CACHE=${DRAY_CACHE:-/var/tmp/dray-tests}

# --- the daemon -------------------------------------------------------------------------------

# Make a private root in $T and start drayd there. More arguments go to drayd.
daemon_init() {
    T=$(mktemp -d /tmp/dray-it.XXXXXX)
    export T DOCKER_HOST=unix://$T/dray.sock DOCKER_CONFIG=$T/docker-config
    export DRAY_HOST=$DOCKER_HOST
    mkdir -p "$DOCKER_CONFIG"
    [ -e "$T/daemon.json" ] || echo '{}' >"$T/daemon.json"
    sanitizers_into "$T/sanitizer"
    leftovers_before
}

# What a build with a sanitizer reports goes to files PREFIX.PID: also the reports of shims, plugin hosts and
# clients, whose standard error is elsewhere or nowhere. A daemon that ends while sessions go on, or something
# hangs, joins no threads.
sanitizers_into() { # PREFIX
    export ASAN_OPTIONS="${ASAN_OPTIONS:-}:log_path=$1" TSAN_OPTIONS="${TSAN_OPTIONS:-}:log_path=$1:report_thread_leaks=0" \
        UBSAN_OPTIONS="${UBSAN_OPTIONS:-}:print_stacktrace=1:log_path=$1"
}

# Fail, and say them, if there are reports.
sanitizers_silent() { # PREFIX
    local report any=
    for report in "$1".[0-9]*; do
        [ -e "$report" ] || continue
        any=1
        echo "--- report of a sanitizer, $report:" >&2
        head -n 80 "$report" >&2
    done
    [ -z "$any" ]
}

daemon_start() {
    # bats reads from descriptor 3: the daemon must not hold it.
    setsid "$DRAY_STAGE/bin/drayd" --data-root "$T/data" --exec-root "$T/exec" -H "$DOCKER_HOST" \
        --pidfile "$T/drayd.pid" --config-file "$T/daemon.json" "$@" \
        </dev/null >>"$T/drayd.log" 2>&1 3>&- &
    wait_until 10 daemon_answers || { tail -n 30 "$T/drayd.log" >&2; return 1; }
}

daemon_answers() { curl -sf --max-time 2 --unix-socket "$T/dray.sock" http://d/_ping >/dev/null; }
daemon_pid() { cat "$T/drayd.pid"; }

daemon_stop() {
    local pid
    [ -r "$T/drayd.pid" ] || return 0
    pid=$(daemon_pid)
    kill -TERM "$pid" 2>/dev/null || return 0
    wait_until 15 gone "$pid" || { kill -KILL "$pid"; return 1; }
}

daemon_kill() {
    local pid
    pid=$(daemon_pid)
    kill -KILL "$pid"
    wait_until 5 gone "$pid"
}

gone() { ! kill -0 "$1" 2>/dev/null; }

# End everything of this file's daemon and look whether anything is left.
daemon_done() {
    local ids rc=0
    ids=$(docker ps -aq 2>/dev/null)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -fv $ids >/dev/null || rc=1
    docker network prune -f >/dev/null 2>&1
    daemon_stop || rc=1
    leftovers_after || rc=1
    [ -z "$DRAY_TEST_NS" ] || machine_done
    sanitizers_silent "$T/sanitizer" || rc=1
    if [ $rc -ne 0 ] || grep -q 'Sanitizer\|runtime error:' "$T/drayd.log"; then
        echo "--- drayd.log" >&2
        grep -n -A 30 'Sanitizer\|runtime error:' "$T/drayd.log" | head -n 80 >&2
        tail -n 20 "$T/drayd.log" >&2
        return 1
    fi
    rm -rf "$T"
}

# --- leftovers --------------------------------------------------------------------------------

# What a run may leave on the machine: mounts, links, cgroups and shims below this root.
leftovers_list() {
    { grep -F "$T/" /proc/self/mountinfo | awk '{print "mount " $5}'
      find /sys/fs/cgroup -maxdepth 3 -type d -path '*/dray/*' 2>/dev/null | sed 's/^/cgroup /'
      for p in /proc/[0-9]*; do
          { tr '\0' ' ' <"$p/cmdline"; } 2>/dev/null | grep -qF "$T/" && echo "process ${p#/proc/} $(tr '\0' ' ' <"$p/cmdline")"
      done
      ip -o link 2>/dev/null | awk -F': ' '$2 ~ /^(veth|dray|br-|vx-|vn-|dm-)/ {sub(/@.*/, "", $2); print "link " $2}'
      nft list tables 2>/dev/null | grep -w 'dray[_a-z0-9]*' | sed 's/^/nft /'
    } | sort
}

leftovers_before() { leftovers_list >"$T/before"; }

leftovers_after() {
    local i
    for i in 1 2 3 4 5 6 7 8 9 10; do
        leftovers_list >"$T/after"
        # The daemon's own bridge and table stay, as Docker's do: they are removed here.
        comm -13 "$T/before" "$T/after" | while read -r kind name rest; do
            case $kind in
            link) case $name in dray*) ip link del "$name" 2>/dev/null ;; esac ;;
            nft) # shellcheck disable=SC2086
                nft delete $name $rest 2>/dev/null ;;
            esac
        done
        leftovers_list >"$T/after"
        [ -z "$(comm -13 "$T/before" "$T/after")" ] && return 0
        sleep 0.3
    done
    echo "left over:" >&2
    comm -13 "$T/before" "$T/after" >&2
    return 1
}

# --- images -----------------------------------------------------------------------------------

# A docker-archive of busybox, made once a machine.
busybox_tar() {
    local tree
    mkdir -p "$DRAY_CACHE"
    if [ ! -s "$DRAY_CACHE/busybox-root.tar" ]; then
        tree=$(mktemp -d)
        mkdir -p "$tree"/{bin,etc,root,tmp,var,home,usr/bin}
        chmod 755 "$tree" # users other than root enter
        cp /bin/busybox "$tree/bin/busybox"
        for a in $("$tree/bin/busybox" --list); do
            [ "$a" = busybox ] || ln -s busybox "$tree/bin/$a"
        done
        printf 'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/false\nuser:x:1000:1000:user:/home:/bin/sh\n' >"$tree/etc/passwd"
        printf 'root:x:0:\ndaemon:x:1:\nuser:x:1000:\nstaff:x:50:user\n' >"$tree/etc/group"
        chmod 1777 "$tree/tmp"
        tar -C "$tree" --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner -cf "$DRAY_CACHE/.rootfs.$$" .
        mv "$DRAY_CACHE/.rootfs.$$" "$DRAY_CACHE/busybox-root.tar"
        rm -rf "$tree"
    fi
    echo "$DRAY_CACHE/busybox-root.tar"
}

busybox_import() {
    docker import --change 'CMD ["sh"]' --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        "$(busybox_tar)" "${1:-busybox:latest}" >/dev/null
}

# --- small things -----------------------------------------------------------------------------

# wait_until SECONDS COMMAND...: try it every 50 ms; DRAY_TEST_SLOW says how many times slower than usual
# the machine is.
wait_until() {
    local end=$((SECONDS + $1 * ${DRAY_TEST_SLOW:-4})) # a machine that is busy with other tests has time, too
    shift
    while ! "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

api() { # METHOD PATH [curl arguments]
    local method=$1 path=$2
    shift 2
    curl -s --max-time $((30 * ${DRAY_TEST_SLOW:-1})) --unix-socket "$T/dray.sock" -X "$method" "http://d$path" "$@"
}

status_of() { # METHOD PATH [curl arguments]: the HTTP status alone
    local method=$1 path=$2
    shift 2
    curl -s -o /dev/null -w '%{http_code}' --max-time $((30 * ${DRAY_TEST_SLOW:-1})) --unix-socket "$T/dray.sock" -X "$method" "http://d$path" "$@"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
