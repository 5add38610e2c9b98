#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# run.bats - containers with the unmodified docker CLI: create, run, look, end.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() { daemon_done; }

teardown() {
    local ids
    ids=$(docker ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -fv $ids >/dev/null
}

@test "version and info name the server and its drivers" {
    run docker version --format '{{.Server.APIVersion}}'
    [ "$status" -eq 0 ] && [ "$output" = 1.51 ]
    run docker info --format '{{.Driver}} {{.LoggingDriver}} {{.DefaultRuntime}}'
    [ "$output" = "overlay2 json-file native" ]
}

@test "run streams both outputs and returns the exit code" {
    run --separate-stderr docker run --rm busybox sh -c 'echo out; echo err >&2; exit 7'
    [ "$status" -eq 7 ]
    [ "$output" = out ]
    [ "$stderr" = err ]
}

@test "run -i gives standard input and sees its end" {
    run bash -c 'printf "b\na\n" | docker run --rm -i busybox sort'
    [ "$status" -eq 0 ]
    [ "$output" = $'a\nb' ]
}

@test "run -t has a terminal" {
    run script -qec "docker run --rm -t busybox tty" /dev/null
    [[ "$output" == *"/dev/pts/0"* ]]
}

@test "run -it has a window size" {
    run script -qec "stty rows 33 cols 111; docker run --rm -it busybox sh -c 'sleep 0.3; stty size'" /dev/null
    [[ "$output" == *"33 111"* ]]
}

@test "-e, -w, -u, -h and --entrypoint arrive" {
    run docker run --rm -e FOO=bar -w /var -u 1000:50 -h box busybox sh -c 'echo $FOO $(pwd) $(id -u):$(id -g) $(hostname)'
    [ "$output" = "bar /var 1000:50 box" ]
    run docker run --rm --entrypoint echo busybox hi
    [ "$output" = hi ]
    run docker run --rm -u user busybox sh -c 'echo $(id -u):$(id -g) $HOME'
    [ "$output" = "1000:1000 /home" ]
}

@test "commands that cannot be run give 127 and 126" {
    run -127 docker run --rm busybox nosuchcommand
    [[ "$output" == *'exec: "nosuchcommand": executable file not found in $PATH'* ]]
    run docker run --rm busybox /etc
    [ "$status" -eq 126 ]
    [[ "$output" == *"permission denied"* || "$output" == *"is a directory"* ]]
    run docker create --name broken busybox nosuchcommand
    run docker start broken
    [ "$status" -ne 0 ]
    run docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' broken
    [ "$output" = "created 127" ]
}

@test "a missing image is 125 and says so" {
    run docker run --rm --pull never nosuch:1
    [ "$status" -eq 125 ]
    [[ "$output" == *"No such image: nosuch:1"* ]]
}

@test "--name is unique, rename frees the old one" {
    docker create --name one busybox
    run docker create --name one busybox
    [ "$status" -ne 0 ]
    [[ "$output" == *'Conflict. The container name "/one" is already in use by container'* ]]
    docker rename one two
    docker create --name one busybox
    run docker inspect -f '{{.Name}}' two
    [ "$output" = /two ]
}

@test "detached: ps, logs, stop, start, restart, wait, rm" {
    id=$(docker run -d --name svc busybox sh -c 'trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.05; done')
    [ ${#id} -eq 64 ]
    run docker ps --format '{{.Names}} {{.Image}} {{.State}}'
    [ "$output" = "svc busybox running" ]
    wait_until 5 bash -c 'docker logs svc | grep -q up'
    run docker stop svc
    [ "$status" -eq 0 ]
    run docker inspect -f '{{.State.ExitCode}} {{.State.Running}} {{.State.Pid}}' svc
    [ "$output" = "3 false 0" ]
    run docker logs svc
    [ "$output" = $'up\nbye' ]
    run docker ps -a --format '{{.Status}}'
    [[ "$output" == "Exited (3) "* ]]
    docker start svc
    docker restart -t 1 svc
    docker kill svc
    run docker wait svc
    [ "$output" = 137 ]
    run docker rm svc
    [ "$status" -eq 0 ]
    run docker inspect svc
    [ "$status" -ne 0 ]
    [[ "$output" == *"No such object: svc"* ]]
}

@test "start -a and attach see the output" {
    docker create --name att busybox sh -c 'echo hello; exit 5'
    run docker start -a att
    [ "$status" -eq 5 ]
    [ "$output" = hello ]
}

@test "logs: tail, since, timestamps, follow" {
    docker run --name lll busybox sh -c 'for i in 1 2 3 4 5; do echo line$i; done; echo oops >&2' >/dev/null 2>&1
    run docker logs --tail 2 lll
    [ "${#lines[@]}" -eq 2 ]
    run docker logs -t --tail 1 lll
    [[ "$output" =~ ^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{9}Z\  ]]
    run docker logs --since 2100-01-01T00:00:00Z lll
    [ -z "$output" ]
    run --separate-stderr docker logs lll
    [ "${#lines[@]}" -eq 5 ]
    [ "$stderr" = oops ]
    docker run -d --name fol busybox sh -c 'for i in 1 2 3; do echo $i; sleep 0.2; done'
    run timeout 10 docker logs -f fol
    [ "$status" -eq 0 ]
    [ "$output" = $'1\n2\n3' ]
}

@test "exec: output, exit code, input, environment, user, detached" {
    docker run -d --name xec -e A=1 busybox sleep 1000
    run docker exec xec echo hi
    [ "$output" = hi ]
    run docker exec xec sh -c 'exit 9'
    [ "$status" -eq 9 ]
    run bash -c 'echo data | docker exec -i xec cat'
    [ "$output" = data ]
    run docker exec -e B=2 -w /tmp -u 1000 xec sh -c 'echo $A$B $(pwd) $(id -u)'
    [ "$output" = "12 /tmp 1000" ]
    docker exec -d xec touch /tmp/made
    wait_until 5 docker exec xec test -e /tmp/made
    run -127 docker exec xec nosuch
    run script -qec "docker exec -it xec tty" /dev/null
    [[ "$output" == *"/dev/pts/"* ]]
    docker stop -t 0 xec
    run docker exec xec true
    [ "$status" -ne 0 ]
    [[ "$output" == *"is not running"* ]]
}

@test "top, port, inspect" {
    docker run -d --name top1 busybox sleep 1000
    run docker top top1
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == UID*PID*CMD* ]]
    [[ "${lines[1]}" == *"sleep 1000"* ]]
    run docker top top1 -o pid,args
    [[ "${lines[0]}" == PID*COMMAND* ]]
    run docker inspect -f '{{.Config.Image}} {{.HostConfig.NetworkMode}} {{.Path}} {{index .Args 0}} {{.RestartCount}}' top1
    [ "$output" = "busybox bridge sleep 1000 0" ]
    run docker inspect -f '{{.State.FinishedAt}}' top1
    [ "$output" = "0001-01-01T00:00:00Z" ]
}

@test "a published port answers on loopback and is freed" {
    port=$(free_port)
    docker run -d --name web -p "$port:80" busybox sh -c 'echo works >/index.html; httpd -f -p 80 -h /'
    run wait_until 5 curl -sf --max-time 1 -o /dev/null "http://127.0.0.1:$port/"
    [ "$status" -eq 0 ]
    run curl -s --max-time 2 "http://127.0.0.1:$port/"
    [ "$output" = works ]
    run docker port web
    [[ "$output" == *"80/tcp -> 0.0.0.0:$port"* ]]
    run docker run --rm -p "$port:80" busybox true
    [ "$status" -eq 125 ]
    [[ "$output" == *"port is already allocated"* ]]
    docker rm -f web
    run docker run --rm -p "$port:80" busybox true
    [ "$status" -eq 0 ]
}

@test "networks: bridge has an address, none has not, host is the machine's" {
    run docker run --rm busybox ip -4 addr show eth0
    [[ "$output" == *"inet 172."* || "$output" == *"inet 1"* ]]
    run docker run --rm --network none busybox ip -o link
    [ "${#lines[@]}" -eq 1 ]
    # Links of containers that have ended go in the background.
    as_host() { [ "$(docker run --rm --network host busybox ip -o link | wc -l)" -eq "$(ip -o link | wc -l)" ]; }
    wait_until 5 as_host
    run docker run --rm --network nosuchnet busybox true
    [ "$status" -ne 0 ]
    [[ "$output" == *"network nosuchnet not found"* ]]
}

@test "network: create, inspect, ls, rm, containers talk" {
    docker network create mynet
    run docker network inspect -f '{{.Name}} {{.Driver}} {{.Scope}}' mynet
    [ "$output" = "mynet bridge local" ]
    docker run -d --name srv --network mynet busybox sh -c 'echo pong >/index.html; httpd -f -p 80 -h /'
    ip=$(docker inspect -f '{{(index .NetworkSettings.Networks "mynet").IPAddress}}' srv)
    run docker run --rm --network mynet busybox sh -c "for i in 1 2 3 4 5 6 7 8 9; do printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 2 $ip 80 && break; sleep 0.1; done"
    [[ "$output" == *pong ]]
    run docker network rm mynet
    [ "$status" -ne 0 ]
    docker rm -f srv
    docker network rm mynet
    run docker network ls --format '{{.Name}}'
    [ "$output" = $'bridge\nhost\nnone' ]
}

@test "volumes: named, anonymous, bind, read-only" {
    docker volume create v1
    run docker run --rm -v v1:/data busybox sh -c 'echo kept >/data/f'
    [ "$status" -eq 0 ]
    run docker run --rm -v v1:/data:ro busybox sh -c 'cat /data/f; echo x >/data/g'
    [[ "$output" == *kept* && "$output" == *"Read-only file system"* ]]
    run docker volume inspect -f '{{.Driver}} {{.Scope}}' v1
    [ "$output" = "local local" ]
    docker create --name user1 -v v1:/data busybox
    run docker volume rm v1
    [ "$status" -ne 0 ]
    [[ "$output" == *"volume is in use"* ]]
    docker rm user1
    docker volume rm v1
    mkdir "$T/bind"
    run docker run --rm -v "$T/bind:/b" busybox sh -c 'echo hi >/b/file'
    [ "$(cat "$T/bind/file")" = hi ]
    docker run --rm -v /anon busybox true
    run docker volume ls -q
    [ -z "$output" ]
}

@test "an empty volume begins with the image's content" {
    docker run --name seed busybox sh -c 'mkdir /seed; echo s >/seed/file; chown 1000 /seed' >/dev/null
    docker commit seed seeded >/dev/null
    run docker run --rm -v fresh:/seed seeded sh -c 'cat /seed/file; stat -c %u /seed'
    [ "$output" = $'s\n1000' ]
    docker volume rm fresh
    docker rm seed
    docker rmi seeded
}

@test "cp in and out, running and stopped" {
    docker run -d --name cpc busybox sleep 1000
    echo content >"$T/f"
    docker cp "$T/f" cpc:/tmp/f
    run docker exec cpc cat /tmp/f
    [ "$output" = content ]
    docker cp cpc:/etc/passwd "$T/passwd"
    grep -q '^root:' "$T/passwd"
    docker stop -t 0 cpc
    docker cp cpc:/tmp/f "$T/g"
    [ "$(cat "$T/g")" = content ]
    mkdir -p "$T/d/sub"
    echo 1 >"$T/d/sub/one"
    docker cp "$T/d" cpc:/var/
    docker cp cpc:/var/d/. "$T/back"
    [ "$(cat "$T/back/sub/one")" = 1 ]
    run docker cp cpc:/nosuch "$T/x"
    [ "$status" -ne 0 ]
    [[ "$output" == *"Could not find the file /nosuch in container cpc"* ]]
}

@test "diff, export, commit, rmi" {
    docker run --name dif busybox sh -c 'echo new >/new; rm /etc/group; echo x >>/etc/passwd' >/dev/null
    run docker diff dif
    [[ "$output" == *"A /new"* && "$output" == *"D /etc/group"* && "$output" == *"C /etc/passwd"* ]]
    [[ "$output" != *"/etc/hosts"* && "$output" != *"/dev"* ]]
    run bash -c 'docker export dif | tar -tf - | grep -c "^new$"'
    [ "$output" = 1 ]
    docker commit -m why -a me dif committed:1
    run docker run --rm committed:1 cat /new
    [ "$output" = new ]
    run docker rmi committed:1
    [ "$status" -eq 0 ]
}

@test "events tell the life of a container" {
    since=$(date +%s.%N)
    docker run --rm --name ev busybox true
    run docker events --since "$since" --until "$(date +%s.%N)" --filter type=container --format '{{.Action}}'
    [ "$output" = $'create\nattach\nstart\ndie\ndestroy' ]
    run docker events --since "$since" --until "$(date +%s.%N)" --filter event=die --format '{{index .Actor.Attributes "exitCode"}} {{index .Actor.Attributes "name"}}'
    [ "$output" = "0 ev" ]
}

@test "pause and unpause" {
    docker run -d --name pau busybox sleep 1000
    docker pause pau
    run docker inspect -f '{{.State.Status}} {{.State.Paused}}' pau
    [ "$output" = "paused true" ]
    run docker exec pau true
    [ "$status" -ne 0 ]
    docker unpause pau
    run docker exec pau true
    [ "$status" -eq 0 ]
}

@test "limits are set and can be updated" {
    docker run -d --name lim -m 64m --pids-limit 50 --cpus 0.5 busybox sleep 1000
    run docker inspect -f '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}' lim
    [ "$output" = "67108864 500000000" ]
    run docker exec lim sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max'
    [ "$output" = 67108864 ]
    docker update -m 128m --memory-swap 256m lim
    run docker exec lim sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max'
    [ "$output" = 134217728 ]
    run docker stats --no-stream --format '{{.PIDs}} {{.MemUsage}}' lim
    [[ "$output" == *"128MiB"* ]]
}

@test "the default confinement: capabilities, seccomp, masked and read-only paths" {
    run docker run --rm busybox sh -c 'grep CapEff /proc/self/status'
    [[ "$output" == *00000000a80425fb ]]
    run docker run --rm busybox sh -c 'grep Seccomp: /proc/self/status'
    [[ "$output" == *2 ]]
    run docker run --rm busybox mount -t tmpfs none /tmp
    [ "$status" -ne 0 ]
    run docker run --rm busybox sh -c 'echo 1 >/proc/sys/kernel/panic'
    [ "$status" -ne 0 ]
    run docker run --rm busybox cat /proc/interrupts
    [ "$status" -eq 0 ] && [ -z "$output" ]
    # Host files that a container sees keep their mode; with its own it may do what it likes.
    run docker run --rm busybox chmod 666 /proc/interrupts
    [ "$status" -ne 0 ]
    run docker run --rm busybox test /proc/self/fd/0 -ef /dev/null
    [ "$status" -eq 0 ]
    run docker run --rm busybox chmod 666 /proc/self/fd/0
    [ "$status" -eq 0 ]
    docker run -d --name own busybox sleep 1000
    docker exec own test /proc/self/fd/0 -ef /dev/null
    docker exec own sh -c 'rm /dev/null && mkfifo /dev/null'
    run docker exec own chmod 666 /proc/self/fd/0
    [ "$status" -ne 0 ]
    [[ "$output" == *"Read-only file system"* ]]
    docker exec -d own sh -c 'chmod 666 /proc/self/fd/1 || echo refused >/said'
    wait_until 5 docker exec own grep -q refused /said
    docker rm -f own
    run docker run --rm --privileged busybox cat /proc/sys/net/ipv4/ip_unprivileged_port_start
    [ "$output" = 0 ]
    run docker run --rm --privileged busybox mount -t tmpfs none /tmp
    [ "$status" -eq 0 ]
    run docker run --rm --read-only busybox touch /x
    [ "$status" -ne 0 ]
    run docker run --rm --cap-drop ALL busybox sh -c 'grep CapEff /proc/self/status'
    [[ "$output" == *0000000000000000 ]]
}

@test "restart policies" {
    docker run -d --name again --restart on-failure:2 busybox sh -c 'exit 1'
    wait_until 10 bash -c '[ "$(docker inspect -f "{{.State.Status}} {{.RestartCount}}" again)" = "exited 2" ]'
    docker run -d --name always --restart always busybox sh -c 'sleep 0.1'
    wait_until 10 bash -c '[ "$(docker inspect -f "{{.RestartCount}}" always)" -ge 2 ]'
    docker stop -t 1 always
    sleep 1
    run docker inspect -f '{{.State.Status}}' always
    [ "$output" = exited ]
}

@test "health checks" {
    docker run -d --name hea --health-cmd 'test -e /ok' --health-interval 200ms --health-retries 2 busybox sh -c 'touch /ok; sleep 1000'
    wait_until 10 bash -c '[ "$(docker inspect -f "{{.State.Health.Status}}" hea)" = healthy ]'
    run docker ps --filter name=hea --format '{{.Status}}'
    [[ "$output" == *"(healthy)"* ]]
    docker exec hea rm /ok
    wait_until 10 bash -c '[ "$(docker inspect -f "{{.State.Health.Status}}" hea)" = unhealthy ]'
}

@test "--init, --tmpfs, --shm-size, --add-host, --dns" {
    run docker run --rm --init busybox sh -c 'cat /proc/1/comm'
    [[ "$output" == *init* ]]
    run docker run --rm --tmpfs /t:size=1m busybox sh -c 'df -k /t | tail -1'
    [[ "$output" == *1024* ]]
    run docker run --rm --shm-size 8m busybox sh -c 'df -k /dev/shm | tail -1'
    [[ "$output" == *8192* ]]
    run docker run --rm --add-host a.b:10.1.2.3 --dns 9.9.9.9 busybox sh -c 'cat /etc/hosts /etc/resolv.conf'
    [[ "$output" == *$'10.1.2.3\ta.b'* && "$output" == *"nameserver 9.9.9.9"* ]]
}

@test "prune removes what is stopped" {
    docker run --name gone1 busybox true
    docker run -d --name stays busybox sleep 1000
    run docker container prune -f
    [[ "$output" == *"Total reclaimed space"* ]]
    run docker ps -a --format '{{.Names}}'
    [ "$output" = stays ]
}

@test "1 MB of environment and labels" {
    big=$(head -c 120000 /dev/zero | tr '\0' x)
    args=()
    for i in 1 2 3 4 5 6 7 8; do args+=(--label "l$i=$big" -e "E$i=$big"); done
    printf '%s\n' "${args[@]}" >/dev/null
    run docker run --rm "${args[@]}" busybox sh -c 'echo ${#E8}'
    [ "$output" = 120000 ]
}
