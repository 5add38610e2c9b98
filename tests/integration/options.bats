#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# options.bats - what docker run's options do inside of a container, with every docker CLI that is here.

load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
    # The machine's own CLI and Debian's.
    CLIS=$(type -ap docker | xargs -n1 readlink -f | sort -u | tr '\n' ' ')
    export CLIS
    mkdir "$T/host" "$T/host/sub"
    mount -t tmpfs tmpfs "$T/host/sub"
    echo file >"$T/host/f"
    echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["chmod","fchmodat","fchmodat2"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}' >"$T/nochmod.json"
}

teardown_file() {
    umount "$T/host/sub"
    daemon_done
}

# A row: OPTIONS | COMMAND | OUTPUT. The command runs in a shell of the container; its output must match the pattern.
rows() {
    local cli opts cmd want got bad=0 argv
    while IFS='|' read -r opts cmd want; do
        [ -n "$opts" ] || continue
        eval "argv=($opts)"
        cmd=${cmd# } cmd=${cmd% } want=${want# } want=$(eval "echo \"$want\"")
        for cli in $CLIS; do
            got=$("$cli" run --rm "${argv[@]}" busybox sh -c "$(tr '~' '|' <<<"$cmd")" 2>&1 | tr '\n' ' ')
            got=${got% }
            # shellcheck disable=SC2053
            [[ $got == $want || $got == "$want" ]] || { echo "$cli run $opts: $cmd: got '$got', not '$want'"; bad=1; }
        done
    done
    [ $bad -eq 0 ]
}

labels_are() { [ "$(docker info -f '{{.Labels}}')" = "$1" ]; }

@test "names, users, environment, folders" {
    rows <<'END'
--hostname h1 --domainname d.e --network none | hostname; cat /proc/sys/kernel/domainname | h1 d.e
--user 1000:50 --network none | id -u; id -g | 1000 50
--user user --group-add 10 --group-add staff --network none | id -G | 1000 10 50
-w /x/y --network none | pwd | /x/y
-e A=b -e C --network none | echo $A; env ~ grep -c ^C= | b 0
--network none --uts host | hostname | $(hostname)
--add-host a:1.2.3.4 --dns 5.6.7.8 --dns-search s.t --dns-option ndots:3 | grep -c 1.2.3.4 /etc/hosts; cat /etc/resolv.conf | 1 *nameserver 5.6.7.8*
--add-host gw:host-gateway | grep -w gw /etc/hosts | *.*.*.*gw
END
}

@test "limits" {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        rows <<'END'
--network none -m 64m --memory-swap 128m --memory-reservation 32m | cd /sys/fs/cgroup; cat memory.max memory.swap.max memory.low | 67108864 67108864 33554432
--network none --cpus 0.5 --cpuset-cpus 0 --cpu-shares 512 | cd /sys/fs/cgroup; cat cpu.max cpuset.cpus | 50000 100000 0
--network none --pids-limit 77 | cat /sys/fs/cgroup/pids.max | 77
END
    else
        rows <<'END'
--network none -m 64m --memory-swap 128m --memory-reservation 32m --memory-swappiness 7 | cd /sys/fs/cgroup/memory; cat memory.limit_in_bytes memory.memsw.limit_in_bytes memory.soft_limit_in_bytes memory.swappiness | 67108864 134217728 33554432 7
--network none -m 64m --oom-kill-disable | grep oom_kill_disable /sys/fs/cgroup/memory/memory.oom_control | oom_kill_disable 1
--network none --cpus 0.5 --cpuset-cpus 0 --cpuset-mems 0 --cpu-shares 512 | cd /sys/fs/cgroup; cat cpu*/cpu.cfs_quota_us ~ head -n1; cat cpuset/cpuset.cpus cpuset/cpuset.mems; cat cpu*/cpu.shares ~ head -n1 | 50000 0 0 512
--network none --cpu-period 50000 --cpu-quota 20000 | cat /sys/fs/cgroup/cpu*/cpu.cfs_period_us ~ head -n1; cat /sys/fs/cgroup/cpu*/cpu.cfs_quota_us ~ head -n1 | 50000 20000
--network none --pids-limit 77 | cat /sys/fs/cgroup/pids/pids.max | 77
END
    fi
    rows <<'END'
--network none --ulimit nofile=100:200 --ulimit core=0 | ulimit -n; ulimit -Hn; ulimit -c | 100 200 0
--network none --oom-score-adj 123 | cat /proc/self/oom_score_adj | 123
--network none --shm-size 8m | df -k /dev/shm ~ tail -n1 ~ awk '{print $2}' | 8192
--network none --tmpfs /t:size=1m,mode=700,exec | df -k /t ~ tail -n1 ~ awk '{print $2}'; stat -c %a /t; mount ~ grep -c '/t .*noexec' | 1024 700 0
--network none --cgroupns host --cgroup-parent /dray-it-parent | cat /proc/self/cgroup ~ grep -c dray-it-parent | [1-9]*
END
    find /sys/fs/cgroup -maxdepth 3 -type d -name dray-it-parent -exec rmdir {} + 2>/dev/null || true
    if lsblk -ndo PATH 2>/dev/null | grep -q .; then
        disk=$(lsblk -ndo PATH | head -n1)
        [ -e /sys/fs/cgroup/cgroup.controllers ] || [ "$(docker run --rm --network none --device-read-bps "$disk:1mb" busybox sh -c 'cat /sys/fs/cgroup/blkio/blkio.throttle.read_bps_device' | awk '{print $2}')" = 1048576 ]
    fi
}

@test "security" {
    rows <<'END'
--network none | grep -e CapEff -e NoNewPrivs -e Seccomp: /proc/self/status ~ tr -d '\t' | CapEff:00000000a80425fb NoNewPrivs:0 Seccomp:2
--network none --cap-drop ALL | grep CapEff /proc/self/status ~ tr -d '\t' | CapEff:0000000000000000
--network none --cap-drop ALL --cap-add net_admin --cap-add CAP_SYS_TIME | grep CapBnd /proc/self/status ~ tr -d '\t' | CapBnd:0000000002001000
--network none --security-opt no-new-privileges | grep NoNewPrivs /proc/self/status ~ tr -d '\t' | NoNewPrivs:1
--network none --security-opt seccomp=unconfined | grep Seccomp: /proc/self/status ~ tr -d '\t' | Seccomp:0
--network none --security-opt seccomp=$T/nochmod.json | touch /f; chmod 600 /f 2>&1 | *not permitted
--network none | unshare -m true 2>&1; mount -t tmpfs x /mnt 2>&1 | *not permitted*permi*
--network none | mount ~ grep -c ' /proc/'; (echo x >/proc/sys/kernel/domainname) 2>&1 | [1-9]*Read-only*
--network none --security-opt systempaths=unconfined | mount ~ grep -c ' /proc/' | 0
--network none --privileged | grep Seccomp: /proc/self/status ~ tr -d '\t'; mount ~ grep -c ' /proc/'; test -e /dev/fuse -o -e /dev/loop-control -o -e /dev/vda -o -e /dev/kmsg && echo dev | Seccomp:0 0 dev
--network none --read-only --tmpfs /w | touch /x 2>&1; touch /w/x && echo ok | *Read-only file system ok
--network none --device /dev/null:/dev/xnull:r | test -c /dev/xnull && echo yes | yes
--network none | mknod /k c 1 11; head -c0 /k 2>&1 | *not permitted
--network none --device-cgroup-rule 'c 1:11 rwm' --cap-add SYSLOG | mknod /k c 1 11; dd if=/k of=/dev/null count=0 2>/dev/null && echo opened | opened
--network none --security-opt label=disable | echo ok | ok
--network none | cd /sys/fs/cgroup/pids 2>/dev/null ~~ cd /sys/fs/cgroup; mkdir own 2>&1 | *Read-only file system
--network none --security-opt writable-cgroups=true | cd /sys/fs/cgroup/pids 2>/dev/null ~~ cd /sys/fs/cgroup; mkdir own && rmdir own && echo made | made
--network none --privileged --security-opt writable-cgroups=false | cd /sys/fs/cgroup/pids 2>/dev/null ~~ cd /sys/fs/cgroup; mkdir own 2>&1 | *Read-only file system
END
    rows <<'END'
--sysctl net.ipv4.ip_forward=1 --sysctl kernel.msgmax=100 --sysctl fs.mqueue.msg_max=7 | cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/fs/mqueue/msg_max | 1 100 7
END
}

@test "namespaces" {
    docker run -d --name donor --ipc shareable busybox sleep 1000
    docker run -d --name private busybox sleep 1000
    pid=$(docker inspect -f '{{.State.Pid}}' donor)
    DNET=$(readlink "/proc/$pid/ns/net") DIPC=$(readlink "/proc/$pid/ns/ipc") DPID=$(readlink "/proc/$pid/ns/pid")
    docker exec donor sh -c 'echo shared >/dev/shm/x'
    rows <<'END'
--network container:donor | readlink /proc/self/ns/net | $DNET
--network none --ipc container:donor | readlink /proc/self/ns/ipc; cat /dev/shm/x | $DIPC shared
--network none --pid container:donor | readlink /proc/self/ns/pid; ps ~ grep -qw 'sleep 1000' && echo seen | $DPID seen
--network none --ipc none | ls -d /dev/shm 2>&1 | *No such file*
--network none --ipc host --pid host --uts host | for n in ipc pid uts; do readlink /proc/self/ns/$n; done | $(readlink /proc/self/ns/ipc) $(readlink /proc/self/ns/pid) $(readlink /proc/self/ns/uts)
--network host | readlink /proc/self/ns/net | $(readlink /proc/self/ns/net)
--network none --cgroupns private | tail -n1 /proc/self/cgroup | *:/
--network none --cgroupns host | head -n1 /proc/self/cgroup | *:/*[0-9a-f]
--network none --userns host | echo ok | ok
END
    run docker run --rm --network none --ipc container:private busybox true
    [[ $status -ne 0 && $output == *"non-shareable IPC"* ]]
    docker rm -f donor private
}

@test "mounts" {
    rows <<'END'
--network none -v $T/host:/x:ro | touch /x/a 2>&1; touch /x/sub/a 2>&1 | *Read-only*Read-only*
END
    rows <<'END'
--network none -v $T/host:/x | cat /x/f; touch /x/sub/b && echo ok | file ok
--network none --mount type=bind,source=$T/host,target=/x,bind-nonrecursive=true | mount ~ grep -c /x/sub | *0
--network none --mount type=tmpfs,target=/t,tmpfs-size=1048576,tmpfs-mode=1770 | df -k /t ~ tail -n1 ~ awk '{print $2}'; stat -c %a /t | 1024 1770
--network none -v ov1:/etc | cat /etc/passwd ~ head -n1 | root:x:0:0*
--network none -v ov2:/etc:nocopy | ls /etc ~ grep -c passwd | 0
--network none -v /av | mount ~ grep -c ' /av ' | 1
END
    docker volume rm ov1 ov2
    [ -z "$(docker volume ls -q)" ]
}

@test "read-only binds are so all the way down, unless asked otherwise" {
    body() { echo "{\"Image\":\"busybox\",\"Cmd\":[\"sh\",\"-c\",\"touch /x/a; touch /x/sub/a && echo ok\"],\"HostConfig\":{\"NetworkMode\":\"none\",\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"$T/host\",\"Target\":\"/x\",\"ReadOnly\":true,\"BindOptions\":{$1}}]}}"; }
    for pair in ':' '"ReadOnlyNonRecursive"!true:ok' '"NonRecursive"!true:'; do
        api POST '/containers/create?name=rec' -H 'Content-Type: application/json' -d "$(body "$(tr '!' ':' <<<"${pair%:*}")")"
        run docker start -a rec
        [[ $output == *"/x/a: Read-only file system"* ]]
        [ "$(grep -c '^ok' <<<"$output")" = "$([ "${pair##*:}" = ok ] && echo 1 || echo 0)" ]
        docker rm rec
    done
}

@test "an image is mounted" {
    docker tag busybox imgmnt:1
    docker create --name im --mount type=image,source=imgmnt:1,target=/img --network none busybox sh -c 'cat /img/etc/passwd | head -n1; touch /img/x'
    run docker start -a im
    [[ $output == *"root:x:0:0"*"Read-only file system"* ]]
    run docker inspect -f '{{json .Mounts}}' im
    [ "$output" = '[{"Type":"image","Name":"imgmnt:1","Source":"imgmnt:1","Destination":"/img","Mode":"","RW":false,"Propagation":"rprivate"}]' ]
    docker rm im
    ! grep -q "$T/exec/containers/.*/image-" /proc/self/mountinfo
    run docker run --rm --network none --mount type=image,source=nope,target=/img busybox true
    [[ $status -eq 125 && $output == *"No such image: nope"* ]]
    docker rmi imgmnt:1
}

@test "an image that is mounted is in use, and stays for its container when it is removed by force" {
    printf 'kept\n' >"$T/kept"
    tar -C "$T" -c kept | docker import - imgkept:1
    docker run -d --name im --mount type=image,source=imgkept:1,target=/img --network none busybox sh -c 'cat /img/kept; exec sleep 1000'
    run docker rmi imgkept:1
    [[ $status -ne 0 && $output == *"container $(docker inspect -f '{{.Id}}' im | cut -c1-12) is using its referenced image"* ]]
    docker stop -t 0 im
    docker rmi -f imgkept:1
    docker start im
    wait_until 10 eval '[ "$(docker logs im)" = $'"'kept\nkept'"' ]'
    docker rm -f im
    [ -z "$(docker images -aq imgkept)" ]
}

@test "an init reaps, and passes signals on" {
    for cli in $CLIS; do
        [ "$("$cli" run --rm --init --network none busybox sh -c 'cat /proc/1/comm')" = docker-init ] ||
            [[ $("$cli" run --rm --init --network none busybox sh -c 'cat /proc/1/comm') == *init ]]
    done
    docker run -d --name in --init --network none busybox sh -c 'trap "exit 7" TERM; while :; do sleep 0.1; done'
    docker exec in sh -c '(sleep 0.1 &)'
    sleep 0.4
    [ "$(docker exec in ps | grep -c '\[sleep\]')" = 0 ]
    docker stop in
    [ "$(docker inspect -f '{{.State.ExitCode}}' in)" = 7 ]
    docker rm in
}

@test "exit codes" {
    for cli in $CLIS; do
        code() { local want=$1 rc=0; shift; "$cli" run --rm --network none "$@" >/dev/null 2>&1 || rc=$?; [ "$rc" -eq "$want" ] || { echo "$cli $*: $rc, not $want"; return 1; }; }
        code 0 busybox true
        code 3 busybox sh -c 'exit 3'
        code 125 --cap-add ZZ busybox true
        code 126 busybox /etc/passwd
        code 127 busybox nope
        code 127 busybox /no/such
        id=$("$cli" run -d --network none busybox sleep 100)
        docker kill "$id"
        [ "$("$cli" wait "$id")" = 137 ]
        docker rm "$id"
        code 143 --init busybox sh -c 'kill -15 $$'
    done
    docker create --name nx --network none busybox nope
    run docker start nx
    [[ $status -eq 1 && $output == *'exec: "nope": executable file not found in $PATH'* ]]
    run docker inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}' nx
    [[ $output == "created 127 "*"executable file not found"* ]]
    docker rm nx
}

@test "labels of the daemon change by reload" {
    local before
    before=$(cat "$T/daemon.json")
    jq '.labels = ["a=1", "b=2"]' <<<"$before" >"$T/daemon.json"
    kill -HUP "$(daemon_pid)"
    wait_until 5 labels_are '[a=1 b=2]'
    echo "$before" >"$T/daemon.json"
    kill -HUP "$(daemon_pid)"
    wait_until 5 labels_are '[]'
}

@test "systemd's names of groups" {
    run "$DRAY_STAGE/bin/drayd" --data-root "$T/u" --exec-root "$T/ux" -H "unix://$T/u.sock" --exec-opt native.cgroupdriver=zz --config-file "$T/daemon.json"
    [[ $status -ne 0 && $output == *"invalid option for native.cgroupdriver: zz"* ]]
    daemon_stop
    daemon_start --exec-opt native.cgroupdriver=systemd
    [ "$(docker info -f '{{.CgroupDriver}}')" = systemd ]
    [[ $(docker run --rm --network none --cgroupns host busybox cat /proc/self/cgroup) == */system.slice/dray-*.scope* ]]
    [[ $(docker run --rm --network none --cgroupns host --cgroup-parent it-sub.slice busybox cat /proc/self/cgroup) == */it.slice/it-sub.slice/dray-*.scope* ]]
    run docker create --cgroup-parent /zz busybox
    [[ $status -ne 0 && $output == *'should be a valid slice named as "xxx.slice"'* ]]
    find /sys/fs/cgroup -depth -type d \( -name 'it-sub.slice' -o -name it.slice \) -exec rmdir {} + 2>/dev/null || true
    [ -d /run/systemd/system ] || find /sys/fs/cgroup -depth -type d -name system.slice -exec rmdir {} + 2>/dev/null || true
    daemon_stop
    daemon_start
}
