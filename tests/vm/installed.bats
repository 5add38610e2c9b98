#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# installed.bats - the installed product on a machine of its own, with systemd as PID 1 (see README.md).
#
# Changes the machine: run it on one that is thrown away. DRAY_DEB is the package to install.

load ../integration/lib

setup_file() {
    [ "$(cat /proc/1/comm)" = systemd ] && [ -n "${DRAY_DEB:-}" ] || return 0
    unset DRAY_STAGE
    dpkg -i "$DRAY_DEB"
    T=$(mktemp -d)
    export T DOCKER_HOST=unix:///run/dray.sock DRAY_HOST=unix:///run/dray.sock
    type -p docker >/dev/null || { ln -s /usr/bin/dray "$T/docker"; export PATH="$PATH:$T"; }
}

setup() {
    [ "$(cat /proc/1/comm)" = systemd ] || skip "PID 1 is not systemd"
    [ -n "${DRAY_DEB:-}" ] || skip "DRAY_DEB names no package"
}

main_pid() { systemctl show -P MainPID dray.service; }
pid_of() { docker inspect -f '{{.State.Pid}}' "$1"; }
answers() { docker version >/dev/null 2>&1; }

@test "the package: a group, a socket for it, and a daemon that its first client starts" {
    getent group dray
    systemctl start dray.socket
    [ "$(stat -c '%U:%G %a' /run/dray.sock)" = root:dray\ 660 ]
    [ "$(systemctl is-active dray.service)" = inactive ]
    docker version
    [ "$(systemctl is-active dray.service)" = active ]
    [ "$(readlink "/proc/$(main_pid)/exe")" = /usr/bin/drayd ]
    [ "$(systemctl show -P Delegate dray.service)" = yes ]
    busybox_import
    docker run --rm busybox true
}

@test "containers outlive a restart of the service, its death, and its stop" {
    local pid daemon
    docker run -d --name cont -m 64m busybox sh -c 'while true; do date; sleep 1; done'
    pid=$(pid_of cont)
    daemon=$(main_pid)
    systemctl restart dray
    [ "$(main_pid)" != "$daemon" ]
    [ "$(pid_of cont)" = "$pid" ]
    kill -0 "$pid"
    daemon=$(main_pid)
    kill -9 "$daemon"
    wait_until 15 answers
    [ "$(main_pid)" != "$daemon" ]
    [ "$(pid_of cont)" = "$pid" ]
    systemctl stop dray.service dray.socket
    [ "$(systemctl is-active dray.service)" = inactive ]
    kill -0 "$pid"
    systemctl start dray.socket
    [ "$(pid_of cont)" = "$pid" ]
    docker exec cont true
    # One that ended while there was no daemon is known to have.
    systemctl stop dray.service dray.socket
    kill -9 "$pid"
    systemctl start dray.service
    [ "$(docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' cont)" = "exited 137" ]
    docker rm cont
}

@test "limits hold whatever systemd does, with the daemon and without it" {
    local dir
    docker run -d --name cont -m 64m --cpus 0.5 --pids-limit 9 busybox sleep 1000
    dir=/sys/fs/cgroup/dray/$(docker inspect -f '{{.Id}}' cont)
    [ "$(cat "$dir/memory.max")" = 67108864 ]
    systemctl daemon-reload
    systemd-run --quiet --wait -p CPUWeight=50 -p IOWeight=50 true
    [ "$(cat "$dir/memory.max" "$dir/cpu.max" "$dir/pids.max" | tr '\n' ' ')" = "67108864 50000 100000 9 " ]
    systemctl stop dray.service dray.socket
    systemd-run --quiet --wait -p CPUWeight=50 -p AllowedCPUs=0 -p MemoryMax=100M true
    systemctl daemon-reload
    [ "$(cat "$dir/memory.max" "$dir/cpu.max" "$dir/pids.max" | tr '\n' ' ')" = "67108864 50000 100000 9 " ]
    systemctl start dray.service
    docker rm -f cont
}

@test "the log driver journald writes to the machine's journal, and logs read it back" {
    docker run --name jour --log-driver journald --log-opt tag=it/jour busybox sh -c 'echo to out; echo to err >&2'
    in_journal() { [ "$(journalctl -q -o cat CONTAINER_NAME=jour | sort | tr '\n' ' ')" = "to err to out " ]; }
    wait_until 15 in_journal
    [ "$(journalctl -q -o json CONTAINER_NAME=jour | jq -r .CONTAINER_TAG | sort -u)" = it/jour ]
    [ "$(docker logs jour 2>/dev/null)" = "to out" ]
    docker rm jour
}

@test "after a reboot what must run runs again, and nothing of before is in the way" {
    local pid
    docker run -d --name always --restart always -p 18080:80 busybox sleep 1000
    docker run -d --name plain busybox sleep 1000
    pid=$(pid_of always)
    # What a reboot leaves: no process, no mount, no group, an empty /run, another boot id.
    systemctl stop dray.service dray.socket
    pkill -9 dray-shim
    pkill -9 dray-dns || true
    pkill -9 dray-proxy || true
    for dir in /sys/fs/cgroup/dray/*/; do echo 1 >"$dir/cgroup.kill"; done
    wait_until 15 gone "$pid"
    awk '$5 ~ "^/(run|var/lib)/dray/" {print $5}' /proc/self/mountinfo | sort -r | xargs -r umount -l
    find /sys/fs/cgroup/dray -depth -type d -exec rmdir {} \;
    ip link del dray0 2>/dev/null || true
    nft delete table ip dray 2>/dev/null || true
    rm -rf /run/dray
    uuidgen >"$T/boot" 2>/dev/null || cat /proc/sys/kernel/random/uuid >"$T/boot"
    mount --bind "$T/boot" /proc/sys/kernel/random/boot_id
    systemctl start dray.service
    comes_back() { [ "$(docker inspect -f '{{.State.Status}}' always)" = running ]; }
    wait_until 30 comes_back
    docker exec always true
    [ "$(docker inspect -f '{{.State.Running}}' plain)" = false ]
    docker start plain
    umount /proc/sys/kernel/random/boot_id
    docker rm -f always plain
}

@test "a reload of the service, and the driver of systemd's groups: each container is a scope" {
    local id scope since
    mkdir -p /etc/dray
    echo '{"exec-opts": ["native.cgroupdriver=systemd"], "labels": ["a=b"]}' >/etc/dray/daemon.json
    systemctl restart dray
    [ "$(docker info -f '{{.CgroupDriver}}')" = systemd ]
    id=$(docker run -d --name cont -m 64m --cpus 0.5 --pids-limit 9 busybox sleep 1000)
    scope=/sys/fs/cgroup/system.slice/dray-$id.scope/container
    [ "$(cat "$scope/memory.max" "$scope/cpu.max" "$scope/pids.max" | tr '\n' ' ')" = "67108864 50000 100000 9 " ]
    [ "$(systemctl is-active "dray-$id.scope")" = active ]
    systemctl daemon-reload
    systemctl restart dray
    systemd-run --quiet --wait -p CPUWeight=50 true
    [ "$(cat "$scope/memory.max" "$scope/cpu.max" "$scope/pids.max" | tr '\n' ' ')" = "67108864 50000 100000 9 " ]
    docker update -m 96m --memory-swap 96m cont
    systemctl daemon-reload
    [ "$(cat "$scope/memory.max")" = 100663296 ]
    docker rm -f cont
    scope_is_gone() { [ ! -e "${scope%/container}" ]; }
    wait_until 10 scope_is_gone
    since=$(date +%s)
    echo '{"log-level": "debug"}' >/etc/dray/daemon.json
    systemctl reload dray
    reloaded() { docker events --since "$since" --until "$(date +%s)" --filter type=daemon | grep -q reload; }
    wait_until 10 reloaded
    systemctl restart dray
    [ "$(docker info -f '{{.CgroupDriver}}')" = cgroupfs ]
}
