#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# userns.bats - "userns-remap": containers whose root is nobody on the host.

bats_require_minimum_version 1.5.0
load lib
load userns

setup_file() { userns_begin; }
teardown_file() { userns_end; }
teardown() { userns_clean; }

@test "ids are the container's inside and the range's outside; the host's own with --userns=host" {
    docker info --format '{{.SecurityOptions}}' | grep -q 'name=userns'
    docker run -d --name c1 busybox sleep 1000
    [ "$(docker exec c1 id -u)" = 0 ]
    [ "$(docker exec c1 sh -c 'echo $(cat /proc/self/uid_map) $(cat /proc/self/gid_map)')" = "0 $FIRST 65536 0 $FIRST 65536" ]
    [ "$(owner /proc/"$(pid_of c1)")" = "$FIRST:$FIRST" ]
    [ "$(docker exec -u 1000:50 c1 sh -c 'echo $(id -u):$(id -g)')" = 1000:50 ]
    docker top c1 | grep -q "^$FIRST .*sleep 1000"
    docker run -d --name h1 --userns=host busybox sleep 1000
    [ "$(owner /proc/"$(pid_of h1)")" = 0:0 ]
    [ "$(docker inspect -f '{{.HostConfig.UsernsMode}}' h1)" = host ]
    # One and the same layer, owned by root in both.
    for c in c1 h1; do [ "$(docker exec $c stat -c %u:%g /bin/busybox /etc/hosts /etc/hostname /etc/resolv.conf | sort -u)" = 0:0 ]; done
    [ "$(docker inspect -f '{{.GraphDriver.Data.LowerDir}}' c1 | sed 's/^[^:]*://')" = "$(docker inspect -f '{{.GraphDriver.Data.LowerDir}}' h1 | sed 's/^[^:]*://')" ]
}

@test "every namespace belongs to the container's user namespace" {
    docker run -d --name c2 --network none busybox sleep 1000
    local pid ns
    pid=$(pid_of c2)
    python3 - "$pid" <<'PY'
import fcntl, os, sys
user = os.stat(f"/proc/{sys.argv[1]}/ns/user")
assert user.st_ino != os.stat("/proc/self/ns/user").st_ino
for ns in ("mnt", "net", "ipc", "uts", "pid"):
    fd = os.open(f"/proc/{sys.argv[1]}/ns/{ns}", os.O_RDONLY)
    owner = os.fstat(fcntl.ioctl(fd, 0xb701))  # NS_GET_USERNS
    assert owner.st_ino == user.st_ino, ns
PY
    # Its root rules them, and no more than them.
    docker run --rm --cap-add SYS_ADMIN --cap-add NET_ADMIN busybox sh -c '
        mount -t tmpfs none /mnt 2>/dev/null || { mkdir /mnt && mount -t tmpfs none /mnt; }
        ip link add dummy9 type dummy 2>/dev/null || ip link set lo mtu 1400
        ! mknod /tmp/sda b 8 0'
    [ "$(docker run --rm --sysctl net.ipv4.ip_forward=0 --sysctl kernel.msgmax=4096 busybox cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax | xargs)" = "0 4096" ]
    docker run --rm busybox ping -c 1 -W 5 172.17.0.1
    run docker run --rm busybox sh -c 'echo 1 >/proc/sysrq-trigger'
    [ "$status" -ne 0 ]
}

@test "streams, terminals, limits and devices" {
    [ "$(docker run --rm busybox sh -c 'echo out >/dev/stdout; echo err >/dev/stderr' 2>&1 | sort | xargs)" = "err out" ]
    [ "$(docker run --rm -u 1000 busybox sh -c 'echo out >/proc/self/fd/1')" = out ]
    [ "$(echo in | docker run --rm -i busybox cat /dev/stdin)" = in ]
    run script -qec "docker run --rm -t -u 1000 busybox sh -c 'tty; echo ok >/dev/tty'" /dev/null
    [[ $output == *"/dev/pts/0"*ok* ]]
    docker run -d --name c3 --ulimit nofile=900:1000 --oom-score-adj 77 busybox sleep 1000
    [ "$(docker exec c3 sh -c 'echo $(ulimit -Sn) $(ulimit -Hn) $(cat /proc/1/oom_score_adj)')" = "900 1000 77" ]
    [ "$(docker exec c3 sh -c 'echo out >/dev/stdout')" = out ]
    docker exec c3 sh -c 'echo x >/dev/null; head -c 3 /dev/zero | wc -c; touch /dev/shm/a; [ -w /tmp ]'
    docker pause c3; docker unpause c3
    docker stats --no-stream --format '{{.PIDs}}' c3 | grep -qx 1
    docker update --memory 64m --memory-swap 64m c3
    docker restart -t 0 c3
    [ "$(docker exec c3 id -u)" = 0 ]
    [ "$(docker run --rm --tmpfs /x:uid=7,mode=700 -u 7 busybox sh -c 'touch /x/a; stat -c %u /x /x/a' | xargs)" = "7 7" ]
    docker run --name l3 busybox echo logged
    [ "$(docker logs l3)" = logged ]
    docker run --rm --read-only --init busybox sh -c '! touch /x; [ "$(cat /proc/1/comm)" = docker-init ] || [ -e /sbin/docker-init ]'
}

@test "volumes belong to the root of the remapped; binds keep the host's ids" {
    docker run --rm -v vol:/data busybox sh -c 'touch /data/root; touch /data/user; chown 1000:50 /data/user; mkdir -m 755 /data/d'
    local at
    at=$(volume_at vol)
    [ "$(owner "$at") $(owner "$at/root") $(owner "$at/user")" = "$FIRST:$FIRST $FIRST:$FIRST $((FIRST + 1000)):$((FIRST + 50))" ]
    [ "$(docker run --rm -v vol:/data busybox stat -c %u:%g /data /data/root /data/user | xargs)" = "0:0 0:0 1000:50" ]
    # What the image has at its place comes with the ids of the container.
    printf 'FROM busybox\nRUN mkdir /seed && touch /seed/a && chown -R 33:34 /seed\nVOLUME /seed\n' | docker build -q -t seeded - >/dev/null
    docker run --rm -v seed:/seed seeded true
    [ "$(owner "$(volume_at seed)") $(owner "$(volume_at seed)/a")" = "$((FIRST + 33)):$((FIRST + 34)) $((FIRST + 33)):$((FIRST + 34))" ]
    [ "$(docker run --rm seeded stat -c %u:%g /seed/a)" = 33:34 ]
    docker run --rm --mount type=volume,src=nocopy,dst=/seed,volume-nocopy seeded sh -c '[ -z "$(ls /seed)" ] && touch /seed/mine'
    # A bind shows the host's files as nobody's; one that is made belongs to the container's root.
    mkdir -m 755 "$T/bind"
    echo secret >"$T/bind/file"; chmod 600 "$T/bind/file"
    [ "$(docker run --rm -v "$T/bind:/b" busybox stat -c %u:%g /b/file)" = 65534:65534 ]
    run docker run --rm -v "$T/bind:/b" busybox cat /b/file
    [[ $status -ne 0 && $output == *"Permission denied"* ]]
    docker run --rm -v "$T/made/by/it:/b" busybox touch /b/x
    [ "$(owner "$T/made/by") $(owner "$T/made/by/it/x")" = "$FIRST:$FIRST $FIRST:$FIRST" ]
}

@test "cp shows and takes the container's ids, whether it runs or not" {
    docker run -d --name c5 -v vol5:/vol busybox sh -c 'mkdir /d; touch /d/f /vol/f; chown 1000:50 /d/f /vol/f; touch /done; exec sleep 1000'
    wait_until 10 docker exec c5 test -e /done
    local state
    for state in running stopped; do
        [ "$(copied c5:/d/f)" = 1000/50 ]
        [ "$(copied c5:/vol/f)" = 1000/50 ]
        tar_owned 12 13 | docker cp - "c5:/vol"
        tar_owned 12 13 | docker cp - "c5:/d"
        [ "$(copied c5:/d/etc/hostname)" = 12/13 ]
        [ "$(owner "$(volume_at vol5)/etc/hostname")" = "$((FIRST + 12)):$((FIRST + 13))" ]
        run docker cp - c5:/d < <(tar_owned 70000 0)
        [[ $status -ne 0 && $output == *"no user 70000"* ]]
        docker stop -t 0 c5
    done
    docker start c5
    [ "$(docker exec c5 stat -c %u:%g /d/etc/hostname /vol/etc/hostname /d | xargs)" = "12:13 12:13 0:0" ]
    # Of a container that was never started.
    docker create --name n5 -v /fresh busybox
    tar_owned 12 13 | docker cp - n5:/fresh
    docker start n5
    docker wait n5
    [ "$(copied n5:/fresh/etc/hostname)" = 12/13 ]
}

@test "commit, diff, export and images know the container's ids alone" {
    docker run --name c6 busybox sh -c 'echo a >/a; chown 1000:50 /a; rm /etc/group; mkdir -p /usr/x && chown 3:4 /usr/x; rm -r /home && mkdir /home'
    [ "$(docker diff c6 | grep -v /home | sort | xargs)" = "A /a A /usr/x C /etc C /usr D /etc/group" ]
    [ "$(docker export c6 | tar --numeric-owner -tvf - a usr/x/ | awk '{print $2}' | xargs)" = "1000/50 3/4" ]
    docker commit c6 committed >/dev/null
    [ "$(docker run --rm --userns host --network none -v "$(docker inspect -f '{{.GraphDriver.Data.UpperDir}}' c6):/upper" busybox stat -c %u:%g /upper/a)" = 1000:50 ]
    local mode
    for mode in "" host; do
        [ "$(docker run --rm --userns="$mode" committed stat -c %u:%g /a /usr/x /bin/busybox | xargs)" = "1000:50 3:4 0:0" ]
        run docker run --rm --userns="$mode" committed ls /etc/group
        [ "$status" -ne 0 ]
    done
    docker rmi committed
}

@test "a build's steps run in it, and make layers for everybody" {
    mkdir -p "$T/ctx"
    echo hi >"$T/ctx/file"; chown 4242 "$T/ctx/file"
    cat >"$T/ctx/Dockerfile" <<'DF'
FROM busybox AS one
RUN [ "$(awk '{print $2}' /proc/self/uid_map)" != 0 ] && mkdir /made && chown 5:6 /made
COPY file /copied
COPY --chown=7:8 file /owned
WORKDIR /work
USER 1000
RUN touch /tmp/mine
FROM busybox
COPY --from=one /made /made
COPY --from=one /tmp/mine /mine
RUN stat -c %u:%g /made /mine
DF
    docker build -q -t built "$T/ctx" >/dev/null
    docker build -q -t built1 --target one "$T/ctx" >/dev/null
    local mode
    for mode in "" host; do
        [ "$(docker run --rm --userns="$mode" built1 stat -c %u:%g /made /copied /owned /tmp/mine | xargs)" = "5:6 0:0 7:8 1000:1000" ]
        [ "$(docker run --rm --userns="$mode" built stat -c %u:%g /made | xargs)" = 0:0 ]
    done
    if docker buildx version >/dev/null 2>&1; then
        printf 'FROM busybox\nRUN --mount=type=cache,target=/c,uid=9,gid=10 --mount=type=bind,from=busybox,target=/b stat -c %%u:%%g /c /b/bin/busybox | xargs | tee /said && touch /c/x\n' |
            DOCKER_BUILDKIT=1 docker build -q -t cached -
        [ "$(docker run --rm cached cat /said)" = "9:10 0:0" ]
    fi
}

@test "published ports, names and shared namespaces" {
    docker network create n7
    docker run -d --name web --network n7 -p 127.0.0.1::80 busybox sh -c 'mkdir /w; echo served >/w/i; exec httpd -f -p 80 -h /w'
    local port
    port=$(docker port web 80 | sed 's/.*://')
    wait_until 10 curl -sf "http://127.0.0.1:$port/i" -o /dev/null
    [ "$(docker run --rm --network n7 busybox wget -qO- http://web/i)" = served ]
    [ "$(docker run --rm --network container:web busybox wget -qO- http://127.0.0.1/i)" = served ]
    docker run --rm --pid container:web busybox ps | grep -q httpd
    docker run -d --name ipc7 --ipc shareable busybox sh -c 'touch /dev/shm/there; exec sleep 1000'
    wait_until 10 docker exec ipc7 test -e /dev/shm/there
    docker run --rm --ipc container:ipc7 busybox sh -c '[ -e /dev/shm/there ] && touch /dev/shm/mine'
    docker run --rm --ipc host busybox true
    docker run --rm --uts host busybox true
    docker run -d --name host7 --userns host busybox sleep 1000
    run docker run --rm --network container:host7 busybox true
    [[ $status -ne 0 && $output == *"in the host's user namespace"* ]]
    docker run --rm --userns host --network container:web --pid container:web busybox true
    docker rm -f web
    docker network rm n7
}

@test "what cannot be had with it is refused in Docker's words" {
    run docker create --privileged busybox
    [[ $status -ne 0 && $output == *"privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode"* ]]
    run docker create --network host busybox
    [[ $status -ne 0 && $output == *"cannot share the host's network namespace when user namespaces are enabled"* ]]
    run docker create --pid host busybox
    [[ $status -ne 0 && $output == *"cannot share the host PID namespace when user namespaces are enabled"* ]]
    [ "$(status_of POST /containers/create -H 'Content-Type: application/json' -d '{"Image":"busybox","HostConfig":{"Privileged":true}}')" = 400 ]
    docker run --rm --userns host --privileged --network host --pid host busybox true
}
