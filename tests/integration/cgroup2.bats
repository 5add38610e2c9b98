#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cgroup2.bats - a normal modern host: limits, devices, events and statistics of cgroup v2, and AppArmor.
#
# Skipped where the machine's control groups are of version 1.

load lib

setup_file() {
    [ -e /sys/fs/cgroup/cgroup.controllers ] || return 0
    daemon_init
    daemon_start
    busybox_import
    DISK=$(lsblk -dnpo NAME,TYPE | awk '$2 == "disk" && $1 !~ /ram|zram|nbd/ {print $1; exit}')
    export DISK
}

setup() { [ -n "${T:-}" ] || skip "the control groups of this machine are not of version 2"; }

teardown_file() { [ -z "${T:-}" ] || daemon_done; }

teardown() {
    local ids
    [ -n "${T:-}" ] || return 0
    ids=$(docker ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -f $ids >/dev/null
}

up() { # NAME OPTIONS: a container that sleeps
    local name=$1
    shift
    docker run -d --name "$name" --network none "$@" busybox sleep 1000 >/dev/null
}

group() { # NAME: the folder of its group
    echo "/sys/fs/cgroup/dray/$(docker inspect -f '{{.Id}}' "$1")"
}

has() { # NAME FILE TEXT: what the host sees in a file of its group
    local got
    got=$(cat "$(group "$1")/$2")
    [ "$got" = "$3" ] || { echo "$1: $2 is '$got', not '$3'" >&2; return 1; }
}

@test "limits become the files of version 2, as Docker maps them" {
    up ca -m 64m --memory-swap 128m --memory-reservation 32m --cpus 1.5 --cpu-shares 512 --cpuset-cpus 0 \
        --cpuset-mems 0 --pids-limit 77
    has ca memory.max 67108864
    has ca memory.swap.max 67108864
    has ca memory.low 33554432
    has ca cpu.max "150000 100000"
    has ca cpu.weight 20
    has ca cpuset.cpus 0
    has ca cpuset.mems 0
    has ca pids.max 77
    up cb -m 64m --cpu-period 50000 --cpu-quota 10000 --cpu-shares 262144
    has cb memory.swap.max 67108864
    has cb cpu.max "10000 50000"
    has cb cpu.weight 10000
    has cb pids.max max
    up cc -m 64m --memory-swap -1 --cpu-shares 2
    has cc memory.swap.max max
    has cc cpu.weight 1
    up cd -m 64m --memory-swap 64m
    has cd memory.swap.max 0
    up ce
    has ce memory.max max
    has ce cpu.max "max 100000"
    has ce cpu.weight 100
    # What the container sees of itself.
    [ "$(docker exec ca cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max | tr '\n' ' ')" = "67108864 77 " ]
}

@test "limits of block devices" {
    [ -n "$DISK" ] || skip "no disk"
    grep -qw io /sys/fs/cgroup/cgroup.controllers || skip "no io controller"
    up ca --device-read-bps "$DISK:1mb" --device-write-bps "$DISK:2mb" --device-read-iops "$DISK:100" --device-write-iops "$DISK:200"
    has ca io.max "$(cat "/sys/class/block/${DISK#/dev/}/dev") rbps=1048576 wbps=2097152 riops=100 wiops=200"
    if [ -e "$(group ca)/io.weight" ]; then
        up cb --blkio-weight 500
        has cb io.weight "default 4950"
    fi
    run docker run --rm --device-read-bps /dev/nodisk:1mb busybox true
    [[ $status -ne 0 && $output == *"/dev/nodisk"* ]]
}

@test "update changes the limits of what runs" {
    up ca -m 64m --pids-limit 50
    docker update -m 96m --memory-swap 192m --memory-reservation 16m --cpus 0.5 --cpu-shares 1024 --cpuset-cpus 0 --pids-limit 20 ca
    has ca memory.max 100663296
    has ca memory.swap.max 100663296
    has ca memory.low 16777216
    has ca cpu.max "50000 100000"
    has ca cpu.weight 39
    has ca cpuset.cpus 0
    has ca pids.max 20
    docker update --memory-swap -1 --pids-limit -1 ca
    has ca memory.swap.max max
    has ca pids.max max
    run docker update -m 32m --memory-swap 16m ca
    [[ $status -ne 0 ]]
    has ca memory.max 100663296
}

@test "the pids limit holds" {
    run docker run --rm --network none --pids-limit 5 busybox sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 5 & done'
    [[ $output == *"can't fork"* ]]
}

@test "a process that runs out of memory is noticed, whether it is the first one or not" {
    local since
    since=$(date +%s)
    run docker run --name ca --network none -m 16m --memory-swap 16m busybox sh -c 'x=a; while true; do x=$x$x$x$x; done'
    [ "$status" -eq 137 ] || { echo "status $status: $output"; false; }
    [ "$(docker inspect -f '{{.State.OOMKilled}}' ca)" = true ]
    docker run -d --name cb --network none -m 16m --memory-swap 16m busybox \
        sh -c 'sh -c "x=a; while true; do x=\$x\$x\$x\$x; done"; sleep 1000'
    oom_of_b() { docker events --since "$since" --until "$(($(date +%s) + 1))" --filter event=oom --filter container=cb | grep -q .; }
    wait_until 20 oom_of_b
    [ "$(docker inspect -f '{{.State.Running}}' cb)" = true ]
}

@test "pause freezes the group; a frozen one can be killed" {
    up ca
    docker pause ca
    [[ $(cat "$(group ca)/cgroup.events") == *"frozen 1"* ]]
    run docker exec ca true
    [[ $status -ne 0 && $output == *"Container ca is paused, unpause the container before exec"* ]]
    docker unpause ca
    [[ $(cat "$(group ca)/cgroup.events") == *"frozen 0"* ]]
    docker exec ca true
    docker pause ca
    docker kill ca
    [ "$(timeout 60 docker wait ca)" = 137 ]
}

@test "what a container may do to devices" {
    local maj min
    IFS=: read -r maj min <"/sys/class/block/${DISK#/dev/}/dev"
    read_disk="mknod /d b $maj $min && head -c 512 /d | wc -c"
    # A node may be made, but not used.
    run docker run --rm --network none busybox sh -c "$read_disk; echo x >/dev/null && head -c 1 /dev/zero | wc -c"
    [[ $output == *"Operation not permitted"*1 ]]
    run docker run --rm --network none --device "$DISK" busybox sh -c "head -c 512 $DISK | wc -c"
    [ "$output" = 512 ]
    run docker run --rm --network none --device "$DISK:/dev/mine:r" busybox sh -c 'head -c 512 /dev/mine | wc -c; : >>/dev/mine'
    [[ $output == 512*"Operation not permitted"* || $output == *"Operation not permitted"*512 ]]
    run docker run --rm --network none --device-cgroup-rule "b $maj:* r" busybox sh -c "$read_disk"
    [ "$output" = 512 ]
    run docker run --rm --network none --privileged busybox sh -c "head -c 512 $DISK | wc -c"
    [ "$output" = 512 ]
}

@test "statistics have the fields and numbers of version 2" {
    up ca -m 64m --pids-limit 9 --cpus 0.5
    docker exec ca sh -c 'i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); done'
    api GET "/containers/ca/stats?stream=false" >"$T/stats"
    jq -e '.memory_stats.limit == 67108864 and .memory_stats.usage > 0 and .memory_stats.stats.anon > 0
        and (.memory_stats.stats | has("inactive_file") and has("pgfault"))
        and (.memory_stats | has("max_usage") | not)
        and .pids_stats.current == 1 and .pids_stats.limit == 9
        and .cpu_stats.cpu_usage.total_usage > 1000000 and .cpu_stats.online_cpus > 0 and .cpu_stats.system_cpu_usage > 0
        and (.cpu_stats.throttling_data | has("periods") and has("throttled_periods") and has("throttled_time"))
        and (.blkio_stats | has("io_service_bytes_recursive")) and .blkio_stats.io_serviced_recursive == null' "$T/stats"
    [[ $(docker stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' ca) == *"/ 64MiB 1" ]]
}

@test "a namespace of groups for each container, unless it is the host's" {
    [ "$(docker run --rm --network none busybox cat /proc/1/cgroup)" = 0::/ ]
    [ "$(docker run --rm --network none --privileged busybox cat /proc/1/cgroup)" = 0::/ ]
    [[ $(docker run --rm --network none --cgroupns host busybox cat /proc/1/cgroup) == 0::*/dray/* ]]
    [ "$(docker inspect -f '{{.HostConfig.CgroupnsMode}}' "$(docker create busybox)")" = private ]
    [ "$(docker inspect -f '{{.HostConfig.CgroupnsMode}}' "$(docker create --privileged busybox)")" = private ]
    # Its own group is the root of what it sees, read-only but for the privileged.
    run docker run --rm --network none busybox sh -c 'cat /sys/fs/cgroup/cgroup.procs; mkdir /sys/fs/cgroup/x'
    [[ $output == 1*"Read-only file system"* ]]
    docker info -f '{{.CgroupVersion}} {{.SecurityOptions}}' | grep -q '^2 .*name=cgroupns'
    daemon_stop
    daemon_start --default-cgroupns-mode host
    [ "$(docker inspect -f '{{.HostConfig.CgroupnsMode}}' "$(docker create busybox)")" = host ]
    daemon_stop
    daemon_start
}

@test "groups that a container made go with it" {
    local dir
    up ca --privileged
    dir=$(group ca)
    docker exec ca sh -c 'mkdir -p /sys/fs/cgroup/x/y; sleep 1000 & echo $! >/sys/fs/cgroup/x/y/cgroup.procs'
    [ -d "$dir/x/y" ]
    docker rm -f ca
    [ ! -e "$dir" ]
}

@test "a parent group of one's own" {
    local id
    id=$(docker run -d --network none --cgroup-parent /dray/it/deep -m 32m --pids-limit 8 busybox sleep 1000)
    [ "$(cat "/sys/fs/cgroup/dray/it/deep/$id/memory.max")" = 33554432 ]
    [ "$(cat "/sys/fs/cgroup/dray/it/deep/$id/pids.max")" = 8 ]
    docker rm -f "$id"
    rmdir /sys/fs/cgroup/dray/it/deep /sys/fs/cgroup/dray/it
}

# --- AppArmor ---------------------------------------------------------------------------------

need_apparmor() {
    [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] || skip "no AppArmor in this kernel"
    [ -r /sys/kernel/security/apparmor/profiles ] || skip "AppArmor's policy is not in sight"
    [ -x /sbin/apparmor_parser ] || skip "apparmor_parser is not installed"
}

@test "AppArmor: containers are under docker-default, execs too" {
    need_apparmor
    grep -q '^docker-default (enforce)' /sys/kernel/security/apparmor/profiles
    docker info -f '{{.SecurityOptions}}' | grep -q name=apparmor
    up ca
    [ "$(docker exec ca cat /proc/1/attr/current)" = "docker-default (enforce)" ]
    [ "$(docker exec ca cat /proc/self/attr/current)" = "docker-default (enforce)" ]
    [ "$(docker exec --privileged ca cat /proc/self/attr/current)" = "docker-default (enforce)" ]
    [ "$(docker inspect -f '{{.AppArmorProfile}}' ca)" = docker-default ]
    up cp --privileged
    [ "$(docker exec cp cat /proc/self/attr/current)" = unconfined ]
    [ "$(docker inspect -f '{{.AppArmorProfile}}' cp)" = unconfined ]
    up cu --security-opt apparmor=unconfined
    [ "$(docker exec cu cat /proc/self/attr/current)" = unconfined ]
    # Signals pass: from the host, and inside.
    docker exec ca sh -c 'sleep 100 & kill $!'
    docker stop -t 20 ca
}

@test "AppArmor: the default profile refuses mounts and writes to the kernel's settings" {
    need_apparmor
    caps="--cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt systempaths=unconfined"
    # shellcheck disable=SC2086
    {
        run docker run --rm --network none $caps busybox mount -t tmpfs none /tmp
        [[ $status -ne 0 && $output == *"ermission denied"* ]]
        run docker run --rm --network none $caps busybox sh -c 'echo 1 >/proc/sysrq-trigger'
        [[ $status -ne 0 && $output == *"ermission denied"* ]]
        run docker run --rm --network none $caps --security-opt apparmor=unconfined busybox mount -t tmpfs none /tmp
        [ "$status" -eq 0 ]
    }
    # Ordinary work goes on.
    docker run --rm --network none busybox sh -c 'mkdir /x && echo a >/x/b && chown 5 /x/b && umask && kill -0 1'
}

@test "AppArmor: a profile of one's own, one that is not there, and policy that was unloaded" {
    need_apparmor
    printf 'profile dray-it flags=(attach_disconnected) {\n file,\n deny /secret r,\n}\n' | apparmor_parser -r
    run docker run --rm --network none --security-opt apparmor=dray-it busybox sh -c 'echo a >/secret; cat /proc/self/attr/current; cat /secret'
    [[ $output == *"dray-it (enforce)"*"ermission denied"* ]]
    [ "$(docker inspect -f '{{.AppArmorProfile}}' "$(docker run -d --network none --security-opt apparmor=dray-it busybox true)")" = dray-it ]
    run docker run --rm --network none --security-opt apparmor=nope busybox true
    [[ $status -ne 0 && $output == *"unable to apply apparmor profile"* ]]
    printf 'profile dray-it {\n}\n' | apparmor_parser -R
    printf 'profile docker-default {\n}\n' | apparmor_parser -R
    [ "$(docker run --rm --network none busybox cat /proc/self/attr/current)" = "docker-default (enforce)" ]
}
