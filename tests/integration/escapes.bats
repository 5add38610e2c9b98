#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# escapes.bats - what a container's root tries so as to get at the host, or to hold the daemon up.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
    export HOST=$T/host
    mkdir "$HOST"
    echo secret >"$HOST/f"
    docker run -d --name box --network none busybox sh -c "mkdir -p /s/real $HOST; echo inside >/s/real/f; echo inside >$HOST/f
        ln -s $HOST /s/link; touch /ready; sleep 1000" >/dev/null
    wait_until 5 docker exec box test -e /ready
}

teardown_file() {
    [ "$(ls "$HOST") $(cat "$HOST/f")" = "f secret" ] || { ls "$HOST"; return 1; }
    daemon_done
}

# Swap two names of a folder for as long as $T/swap is there.
swap() { # FOLDER NAME NAME
    touch "$T/swap"
    python3 - "$T/swap" "$@" 3>&- <<'PY' &
import ctypes, os, sys
stop, folder, a, b = sys.argv[1:]
fd = os.open(folder, os.O_RDONLY)
call = ctypes.CDLL(None).syscall
while os.path.exists(stop):
    for _ in range(20):
        call(316, fd, a.encode(), fd, b.encode(), 2)  # renameat2, RENAME_EXCHANGE
PY
    SWAPPER=$!
}

swap_end() {
    rm "$T/swap"
    wait "$SWAPPER"
}

# CVE-2016-9962 and its like: an exec shows up in the container as the container's, and no earlier.
@test "who may trace sees nothing of the host in an exec" {
    docker run -d --name tracer --network none --cap-add SYS_PTRACE busybox sh -c "
        while :; do
            read -r a b c d last </proc/loadavg
            for i in 1 2 3 4; do [ ! -e /proc/\$((last + i))/root$HOST/f ] || echo \$((last + i)) >>/seen; done
        done" >/dev/null
    for _ in $(seq 15); do docker exec tracer true; done
    run ! docker exec tracer cat /seen
    docker exec tracer test -e /proc/1/root/bin/sh # it may look
    docker rm -f tracer >/dev/null
}

@test "files of users that never begin, never end, or are none" {
    docker run -d --name users --network none busybox sleep 1000 >/dev/null
    for made in 'mkfifo /etc/passwd /etc/group' 'mknod /etc/passwd c 1 5; mknod /etc/group c 1 5' 'ln -s /proc/1/fd/0 /etc/passwd; mkdir /etc/group' \
        'truncate -s 1000G /etc/passwd /etc/group' 'ln -s passwd /etc/passwd; ln -s /proc/kmsg /etc/group'; do
        docker exec users sh -c "rm -rf /etc/passwd /etc/group; $made"
        run timeout 20 docker exec -u user users true
        [[ $output == *'unable to find user user: no matching entries in passwd file'* ]]
        run timeout 20 docker exec -u 5:staff users true
        [[ $output == *'unable to find group staff: no matching entries in group file'* ]]
        timeout 20 docker exec -u 5:6 users true
        docker stop -t 0 users >/dev/null
        timeout 20 docker start users >/dev/null
    done
    docker rm -f users >/dev/null
}

@test "users and groups are found in files of all shapes" {
    docker run -d --name names --network none busybox sleep 1000 >/dev/null
    docker exec -i names sh -c 'cat >/etc/passwd; printf "\n::\nlong:x:7:%s\nstaff:x:51" "$(yes a, | head -c 90000 | tr -d "\n")" >/etc/group' <<'EOF'
no line
:x:3:3

twice:x:1001:50:more:/home:/bin/sh
twice:x:1002:50
letters:x:abc:50
letters:x:1003:51
EOF
    [ "$(docker exec -u twice names sh -c 'id -u; id -g' | xargs)" = '1001 50' ]
    [ "$(docker exec -u 1003 names sh -c 'id -u; id -g' | xargs)" = '1003 51' ]
    [ "$(docker exec -u letters:staff names sh -c 'id -u; id -g' | xargs)" = '1003 51' ]
    run docker exec -u 'no line' names true
    [[ $output == *'unable to find user no line'* ]]
    docker rm -f names >/dev/null
}

@test "holes of files cost no time" {
    docker exec box sh -c 'echo begin >/hole; truncate -s 8000G /hole; cat /etc/group >>/hole; truncate -s 8001G /hole || truncate -s 15T /hole'
    timeout 10 docker cp box:/hole - >"$T/hole.tar"
    [ "$(stat -c %s "$T/hole.tar")" -lt 100000 ]
    docker exec box sh -c 'rm /hole; echo begin >/hole; truncate -s 5000000 /hole; cat /bin/busybox >>/hole; truncate -s 9000000 /hole'
    [ "$(docker cp box:/hole - | tar -xO | sha256sum)" = "$(docker exec box cat /hole | sha256sum)" ]
}

# CVE-2018-15664
@test "a folder that becomes a link while files are copied" {
    swap "/proc/$(docker inspect -f '{{.State.Pid}}' box)/root/s" real link
    for _ in 1 2 3 4 5 6 7 8; do
        docker cp box:/s/real/f - 2>/dev/null | tar -xO 2>/dev/null >>"$T/got" || true
        tar -C "$T" -c got | docker cp - box:/s/real 2>/dev/null || true
    done
    swap_end
    grep -q inside "$T/got"
    run ! grep secret "$T/got"
}

# CVE-2021-30465
@test "a folder that becomes a link while volumes are mounted" {
    docker volume create shared >/dev/null
    local data=$T/data/volume/local/shared/_data
    mkdir "$data/d" "$T/other"
    echo other >"$T/other/f"
    ln -s "$HOST" "$data/l"
    swap "$data" d l
    for _ in 1 2 3 4 5 6; do
        docker run --rm --network none -v shared:/v -v "$T/other:/v/d" busybox cat "$HOST/f" "/v/d/f" >>"$T/mounted" 2>/dev/null || true
        docker run --rm --network none -v shared:/v --tmpfs /v/d/deep busybox true 2>/dev/null || true
    done
    swap_end
    run ! grep secret "$T/mounted"
    run ! grep -F "$HOST" /proc/self/mountinfo
    docker volume rm shared
}

# CVE-2024-21626
@test "no descriptor of the host's leads out as a working directory" {
    for n in 3 4 5 6 7 8 9 10 12; do # a descriptor that is none is no folder either
        docker run --rm --network none -w "/proc/self/fd/$n" busybox cat "../../../../../$HOST/f" || true
        docker exec -w "/proc/self/fd/$n/../../../.." box cat "$HOST/f" || true
    done >"$T/outside" 2>&1
    run ! grep secret "$T/outside"
}

# CVE-2019-5736
@test "the host's program is not the container's to run" {
    docker exec box sh -c 'ln -sf /proc/self/exe /bin/q; printf "#!/proc/self/exe\n" >/bin/q2; chmod +x /bin/q2'
    for program in /proc/self/exe q q2; do
        run docker exec box $program
        [[ $status -eq 126 && $output == *'permission denied'* ]]
    done
    run docker run --rm --network none --entrypoint /proc/self/exe busybox
    [ "$status" -eq 126 ]
}

# CVE-2022-0492
@test "no group's agent can be set" {
    run docker exec box sh -c 'unshare -Urm true; mkdir -p /c; mount -t cgroup -o pids c /c; mount -t cgroup2 c /c
        for f in $(find /sys/fs/cgroup -name release_agent) /sys/fs/cgroup/x; do echo /x >$f; done; ls -A /c'
    [[ $status -eq 0 && $output != *$'\n'notify* && $output == *'not permitted'* && $output == *'Read-only file system'* ]]
}

# CVE-2025-31133, CVE-2025-52565, CVE-2025-52881, and links in the place of what is mounted.
@test "links where devices, masks and mounts belong" {
    local pattern
    pattern=$(cat /proc/sys/kernel/core_pattern)
    docker volume create dev >/dev/null
    for name in null console fd ptmx; do ln -s /proc/sys/kernel/core_pattern "$T/data/volume/local/dev/_data/$name"; done
    for name in pts shm mqueue; do ln -s /proc/sys/kernel "$T/data/volume/local/dev/_data/$name"; done
    docker run --rm --network none -v dev:/dev busybox sh -c 'wc -c </proc/keys; ! echo x >/proc/sys/kernel/core_pattern; ! ls /proc/acpi | grep .' >"$T/out" 2>/dev/null
    [ "$(cat "$T/out")" = 0 ]
    run docker run --rm --network none -t -v dev:/dev busybox sh -c 'echo x >/dev/console; echo x >/proc/sys/kernel/core_pattern'
    [ "$(cat /proc/sys/kernel/core_pattern)" = "$pattern" ]
    for place in /proc/sys /proc/self/attr /proc/1; do
        run docker run --rm --network none -v "dev:$place" busybox true
        [[ $output == *'cannot be mounted because it is inside /proc'* ]]
    done
    docker volume rm dev
    for change in 'rm -f etc/hosts etc/resolv.conf; ln -s "$HOST/f" etc/hosts; ln -s "../../../../$HOST/f" etc/resolv.conf' 'rm -rf etc; ln -s /proc etc' \
        'ln -s /etc proc' 'ln -s /proc/sys sys' 'ln -s "$HOST" dev'; do
        rm -rf "$T/tree" && mkdir "$T/tree"
        tar -C "$T/tree" -xf "$(busybox_tar)"
        (cd "$T/tree" && eval "$change")
        tar -C "$T/tree" -c . | docker import - linked >/dev/null
        docker run --rm linked sh -c 'echo x >/etc/hosts; echo x >/etc/resolv.conf; echo x >/dev/f; echo x >/sys/kernel/core_pattern' || true
        [ "$(cat "$HOST/f")$(cat /proc/sys/kernel/core_pattern)" = "secret$pattern" ]
    done
}
