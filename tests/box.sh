#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# box.sh COMMAND... - run a command in namespaces of its own: network, mounts, processes, control groups.
#
# What a test makes is unseen by the machine and by other tests, and goes with it. There is no network
# but lo. Works on cgroup v1, hybrid and v2; as root. With DRAY_TEST_CGROUP2=1 a hybrid machine is one of
# v2 for the command; the limits of controllers that v1 has are missing then, all else is as on v2.
set -u

fs=/sys/fs/cgroup
name=dray-test-$$
if [ "${DRAY_BOX:-}" = "$PPID" ]; then # the inner half, in the new namespaces
    unset DRAY_BOX
    ip link set lo up
    mounted=$(awk -v fs="$fs" '$5 == fs || index($5, fs "/") == 1 {
        for (i = 7; $i != "-"; i++); print $5, $(i + 1), $(i + 3)}' /proc/self/mountinfo)
    [ -z "${DRAY_TEST_CGROUP2:-}" ] || mounted="$fs cgroup2 rw"
    umount -R "$fs" 2>/dev/null
    mount -t sysfs sysfs /sys
    mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
    while read -r at type options; do
        case $type in
        tmpfs) mount -t tmpfs -o mode=755 tmpfs "$at" ;;
        cgroup)
            mkdir -p "$at"
            mount -t cgroup -o "$(tr , '\n' <<<"$options" | grep -vE '^(rw|xattr|seclabel|release_agent=.*|clone_children)$' |
                sed 's/^name=/none,name=/' | paste -sd ,)" cgroup "$at" ;;
        cgroup2)
            mkdir -p "$at"
            mount -t cgroup2 cgroup2 "$at"
            if [ "$at" = "$fs" ] && [ -s "$fs/cgroup.controllers" ]; then
                sed 's/^/+/; s/ / +/g' "$fs/cgroup.controllers" >"$fs/cgroup.subtree_control"
            fi ;;
        esac
    done <<<"$mounted"
    "$@"
    exit $?
fi

groups() { awk '$(NF - 2) == "cgroup" || $(NF - 2) == "cgroup2" {print $5}' /proc/self/mountinfo; }

drop_groups() {
    local i left
    for i in 1 2 3 4 5 6 7 8 9 10; do
        left=
        for g in $(groups); do
            [ -d "$g/$name" ] || continue
            find "$g/$name" -depth -type d -exec rmdir {} \; 2>/dev/null
            [ ! -d "$g/$name" ] || left=1
        done
        [ -n "$left" ] || return 0
        sleep 0.2
    done
}
trap drop_groups EXIT

for g in $(groups); do
    mkdir -p "$g/$name"
    if [ -e "$g/$name/cpuset.cpus" ] && [ ! -e "$g/cgroup.controllers" ]; then
        cat "$g/cpuset.cpus" >"$g/$name/cpuset.cpus"
        cat "$g/cpuset.mems" >"$g/$name/cpuset.mems"
    fi
done
(
    for g in $(groups); do echo $BASHPID >"$g/$name/cgroup.procs"; done
    # The new namespace of groups begins here. A group of v2 with members gives no controllers to its
    # children, so all go on one below. The inner half knows itself by its parent, which is 0 seen from
    # the new namespace.
    unified=$(awk '$(NF - 2) == "cgroup2" {print $5; exit}' /proc/self/mountinfo)
    # shellcheck disable=SC2016
    DRAY_BOX=0 exec unshare -C sh -c '
        if [ -e "$1/cgroup.controllers" ]; then
            mkdir "$1/init"
            echo $$ >"$1/init/cgroup.procs"
        fi
        shift
        exec unshare -n -m -p -i -f --kill-child --mount-proc "$@"' _ "$unified/$name" "$0" "$@"
)
