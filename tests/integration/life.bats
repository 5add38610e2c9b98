#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# life.bats - restart policies, health, memory running out, waiting, detaching: what goes on over time.

load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() {
    daemon_done
}

teardown() {
    local ids
    ids=$(docker ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -fv $ids >/dev/null
}

get() { docker inspect -f "$2" "$1"; }
is() { [[ $(get "$1" "$2") == $3 ]]; }
actions() { docker events --since "$1" --until "$(date +%s.%N)" --filter container="$2" --format '{{.Action}}' | tr '\n' ' '; }

acted() { [ "$(actions "$1" "$2")" = "$3" ]; } # the event of a change comes after it

@test "on-failure restarts as often as it says, and backs off" {
    since=$(date +%s.%N)
    docker run -d --name of --network none --restart on-failure:3 busybox sh -c 'exit 5'
    wait_until 8 is of '{{.State.Status}} {{.RestartCount}}' 'exited 3'
    [ "$(get of '{{.State.ExitCode}}')" = 5 ]
    wait_until 8 acted "$since" of "create start die start die start die start die "
    # 100, 200 and 400 ms lie between them.
    ms=$(docker events --since "$since" --until "$(date +%s.%N)" --filter container=of --filter event=start --format '{{.TimeNano}}' | tr '\n' ' ')
    read -r a _ _ b <<<"$ms"
    [ $(((b - a) / 1000000)) -ge 690 ]
    # An end without failure is one.
    docker run -d --name ok --network none --restart on-failure:3 busybox true
    [ "$(docker wait ok)" = 0 ]
    [ "$(get ok '{{.RestartCount}}')" = 0 ]
    # A start by hand begins anew.
    docker start of
    wait_until 8 is of '{{.State.Status}} {{.RestartCount}}' 'exited 3'
}

@test "always restarts until somebody stops it" {
    docker run -d --name al --network none --restart always busybox sh -c 'sleep 0.05'
    wait_until 5 is al '{{ge .RestartCount 2}}' true
    docker stop -t0 al
    n=$(get al '{{.RestartCount}}')
    sleep 1.2
    is al '{{.State.Status}}' exited
    [ "$(get al '{{.RestartCount}}')" = "$n" ]
    run docker run --rm --restart always busybox true
    [[ $status -eq 125 && $output == *"onflicting options"* ]]
    docker run -d --name kl --network none --restart always busybox sleep 1000
    docker kill kl
    sleep 0.5
    is kl '{{.State.Status}}' exited
    # A restart by hand does not count.
    docker start kl
    docker restart -t0 kl
    [ "$(get kl '{{.RestartCount}}')" = 0 ]
}

@test "policies hold across restarts of the daemon" {
    docker run -d --name al --network none --restart always busybox sleep 1000
    docker run -d --name us --network none --restart unless-stopped busybox sleep 1000
    docker run -d --name st --network none --restart always busybox sleep 1000
    docker run -d --name no --network none busybox sleep 1000
    docker run -d --name loop --network none --restart always busybox false
    docker stop -t0 us st
    daemon_stop
    # They are killed while nobody looks.
    for n in al no; do kill -9 "$(python3 -c "import json,glob
for f in glob.glob('$T/data/containers/*/*.json'):
    d=json.load(open(f))
    if d.get('Name','').strip('/')=='$n' or d.get('name')=='$n': print(d.get('State',{}).get('Pid') or d.get('pid') or '')" | grep -m1 .)" 2>/dev/null || true; done
    daemon_start
    wait_until 5 is al '{{.State.Running}}' true
    # Docker starts "always" again when the daemon comes back, also what was stopped by hand.
    wait_until 5 is st '{{.State.Running}}' true
    is us '{{.State.Status}}' exited
    wait_until 5 is loop '{{ge .RestartCount 1}}' true
}

@test "health: states, log, events, and what ps and filters say" {
    since=$(date +%s.%N)
    docker run -d --name he --network none --health-cmd 'cat /ok' --health-interval 1s --health-retries 2 --health-timeout 2s busybox sleep 1000
    [ "$(get he '{{.State.Health.Status}}')" = starting ]
    [[ $(docker ps --filter name=he --format '{{.Status}}') == *"(health: starting)" ]]
    wait_until 20 is he '{{.State.Health.Status}}' unhealthy
    [ "$(get he '{{ge .State.Health.FailingStreak 2}}')" = true ]
    [[ $(get he '{{(index .State.Health.Log 0).Output}}') == *"can't open '/ok'"* ]]
    [ "$(get he '{{(index .State.Health.Log 0).ExitCode}}')" = 1 ]
    docker exec he touch /ok
    wait_until 20 is he '{{.State.Health.Status}} {{.State.Health.FailingStreak}}' 'healthy 0'
    [[ $(docker ps --filter health=healthy --format '{{.Status}}') == *"(healthy)" ]]
    wait_until 20 is he '{{len .State.Health.Log}}' 5
    [[ $(actions "$since" he) == *"health_status: unhealthy "*"health_status: healthy "* ]]
    # A slow probe is killed; in the start period failures do not count; NONE switches the image's off.
    docker run -d --name slow --network none --health-cmd 'echo said; sleep 60' --health-interval 100ms --health-timeout 200ms --health-retries 1 busybox sleep 1000
    wait_until 5 is slow '{{.State.Health.Status}}' unhealthy
    [[ $(get slow '{{(index .State.Health.Log 0).Output}}') == "Health check exceeded timeout (200ms): said" ]]
    [ "$(get slow '{{(index .State.Health.Log 0).ExitCode}}')" = -1 ]
    docker run -d --name sp --network none --health-cmd false --health-interval 100ms --health-start-period 30s --health-start-interval 100ms --health-retries 1 busybox sleep 1000
    sleep 1
    [ "$(get sp '{{.State.Health.Status}} {{.State.Health.FailingStreak}}')" = 'starting 0' ]
    docker commit --change 'HEALTHCHECK CMD false' he hc:1
    docker run -d --name none --network none --no-healthcheck hc:1 sleep 1000
    [ "$(get none '{{.State.Health}}')" = '<nil>' ]
    docker rm -f none
    docker rmi hc:1
}

@test "memory that runs out is noticed" {
    since=$(date +%s.%N)
    run docker run --name oom --network none -m 16m --memory-swap 16m busybox sh -c 'tail /dev/zero'
    [ "$status" -eq 137 ]
    [ "$(get oom '{{.State.OOMKilled}} {{.State.ExitCode}}')" = 'true 137' ]
    [[ $(actions "$since" oom) == *" oom "* ]]
    docker start oom
    [ "$(docker wait oom)" = 137 ]
}

@test "waiting: all conditions, before the start and after the removal" {
    docker create --name wa --network none busybox sh -c 'sleep 0.3; exit 4'
    curl -s --max-time 20 --unix-socket "$T/dray.sock" -X POST 'http://d/containers/wa/wait?condition=next-exit' >"$T/w1" &
    curl -s --max-time 20 --unix-socket "$T/dray.sock" -X POST 'http://d/containers/wa/wait?condition=removed' >"$T/w2" &
    w2=$!
    # On a container that is not running, the default is there at once.
    [[ $(api POST /containers/wa/wait) == *'"StatusCode":0'* ]]
    sleep 0.3
    docker start wa
    wait %1
    [[ $(cat "$T/w1") == *'"StatusCode":4'* ]]
    docker rm wa
    wait $w2
    [[ $(cat "$T/w2") == *'"StatusCode":4'* ]]
    [ "$(status_of POST '/containers/busybox/wait')" = 404 ]
    run docker run --rm --network none busybox sh -c 'exit 9'
    [ "$status" -eq 9 ]
}

@test "keys detach, and the process lives on" {
    cat >"$T/keys.py" <<'END'
import json, os, socket, sys
def hijack(path, body=None):
    s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1])
    b = json.dumps(body).encode() if body is not None else b""
    s.sendall(f"POST {path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: {len(b)}\r\n\r\n".encode() + b)
    d = b""
    while b"\r\n\r\n" not in d: d += s.recv(4096)
    assert b" 101 " in d.split(b"\r\n")[0], d
    return s
def closed(s):
    try:
        while s.recv(4096): pass
    except socket.timeout: return False
    return True
s = hijack(f"/containers/{sys.argv[2]}/attach?stream=1&stdin=1&stdout=1{sys.argv[3]}" if len(sys.argv) < 5 else f"/exec/{sys.argv[4]}/start", {} if len(sys.argv) > 4 else None)
s.sendall(b"x"); s.sendall(bytes.fromhex(os.environ["KEYS"]))
print("detached" if closed(s) else "still there")
END
    since=$(date +%s.%N)
    docker run -dit --name dk --network none busybox sh
    [ "$(KEYS=1011 python3 "$T/keys.py" "$T/dray.sock" dk '')" = detached ]
    [ "$(KEYS=0161 python3 "$T/keys.py" "$T/dray.sock" dk '&detachKeys=ctrl-a,a')" = detached ]
    is dk '{{.State.Running}}' true
    [[ $(actions "$since" dk) == *"attach detach attach detach "* ]]
    id=$(api POST /containers/dk/exec -H 'Content-Type: application/json' -d '{"Cmd":["cat"],"Tty":true,"AttachStdin":true,"AttachStdout":true,"DetachKeys":"ctrl-x"}' | sed 's/.*"Id":"\([0-9a-f]*\)".*/\1/')
    [ "$(KEYS=18 python3 "$T/keys.py" "$T/dray.sock" dk '' "$id")" = detached ]
    [[ $(api GET "/exec/$id/json") == *'"Running":true'* ]]
    run curl -s --unix-socket "$T/dray.sock" -X POST 'http://d/containers/dk/attach?stream=1&detachKeys=zz'
    [[ $output == *"nvalid"* ]]
}

@test "logs: since, until, tail, timestamps, details, and the end of follow" {
    docker run -d --name lo --network none --label a=b --env E=f --log-opt labels=a --log-opt env=E busybox sh -c 'for i in 1 2 3; do echo $i; sleep 0.3; done'
    [ "$(timeout 10 docker logs -f lo | tr '\n' ' ')" = "1 2 3 " ]
    [ "$(docker logs --tail 2 lo | tr '\n' ' ')" = "2 3 " ]
    [ "$(docker logs --tail 0 lo)" = "" ]
    at=$(docker logs -t lo | sed -n '2s/ .*//p')
    [[ $at =~ ^20[0-9-]+T[0-9:]+\.[0-9]{9}Z$ ]]
    [ "$(docker logs --since "$at" lo | tr '\n' ' ')" = "2 3 " ]
    [ "$(docker logs --until "$at" lo | tr '\n' ' ')" = "1 2 " ]
    ns=$(date -d "$at" +%s.%N)
    [ "$(api GET "/containers/lo/logs?stdout=1&since=$ns" | tr -dc 123)" = 23 ]
    [[ $(docker logs --details --tail 1 lo) == *E=f*a=b*3 || $(docker logs --details --tail 1 lo) == *a=b*E=f*3 ]]
    run docker logs nope
    [[ $status -eq 1 && $output == *"No such container: nope"* ]]
    # A terminal's log has no frames.
    docker run -t --name tty --network none busybox echo raw
    [ "$(api GET '/containers/tty/logs?stdout=1')" = $'raw\r' ]
}

@test "update acts on what runs" {
    docker run -d --name up --network none busybox sleep 1000
    pid=$(get up '{{.State.Pid}}')
    docker update --memory 64m --memory-swap 128m --cpus 0.5 --pids-limit 50 --cpuset-cpus 0 up
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        dir=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$pid/cgroup")
        [ "$(cat "$dir/memory.max" "$dir/pids.max" | tr '\n' ' ')" = "67108864 50 " ]
    else
        [ "$(docker exec up cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/cpuset/cpuset.cpus | tr '\n' ' ')" = "67108864 50 0 " ]
    fi
    [ "$(get up '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}')" = '67108864 500000000 50' ]
    docker update --pids-limit -1 up
    docker update --restart always up
    [ "$(get up '{{.HostConfig.RestartPolicy.Name}}')" = always ]
    kill -9 "$pid"
    wait_until 5 is up '{{.RestartCount}} {{.State.Running}}' '1 true'
    # What cannot be changed is warned of, and a policy does not go with --rm.
    [[ $(api POST /containers/up/update -H 'Content-Type: application/json' -d '{"Ulimits":[{"Name":"nofile","Soft":1,"Hard":1}]}') == *"Ulimits cannot be changed in an update"* ]]
    [[ $(api POST /containers/up/update -H 'Content-Type: application/json' -d '{"Ulimits":[],"Memory":0}') == *'"Warnings":null'* ]]
    docker run -d --rm --name ur --network none busybox sleep 1000
    run docker update --restart always ur
    [[ $status -eq 1 && $output == *"Restart policy cannot be updated because AutoRemove is enabled"* ]]
}

@test "the wall's clock is set: deadlines, health checks and start periods go on as they were" {
    [[ $DRAY_STAGE != *-asan/* && $DRAY_STAGE != *-tsan/* ]] || skip "a sanitizer wants to be loaded first"
    gcc -shared -fPIC -o "$T/wall_clock.so" "$BATS_TEST_DIRNAME/wall_clock.c"
    daemon_stop
    echo 0 >"$T/wall"
    LD_PRELOAD=$T/wall_clock.so WALL_CLOCK=$T/wall daemon_start
    docker run -d --name early --health-cmd 'echo x >>/n; false' --health-interval 100ms --health-start-interval 100ms \
        --health-start-period 60s --health-retries 2 busybox sleep 1000 >/dev/null
    checked() { docker exec early test -s /n; }
    wait_until 5 checked
    docker run -d --name deaf busybox sh -c 'trap "" TERM; sleep 1000' >/dev/null
    for jump in -7200 7200; do
        docker start deaf >/dev/null
        echo $jump >"$T/wall"
        before=$(docker exec early sh -c 'wc -l </n')
        timeout 20 docker stop -t 1 deaf
        [ "$(docker inspect -f '{{.State.ExitCode}}' deaf)" = 137 ]
        [ "$(docker exec early sh -c 'wc -l </n')" -gt $((before + 2)) ]
        [ "$(docker inspect -f '{{.State.Health.Status}}' early)" = starting ]
    done
    docker rm -f early deaf >/dev/null
    daemon_stop
    daemon_start
}
