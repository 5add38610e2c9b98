# SPDX-License-Identifier: Apache-2.0
# userns.bash - a daemon with "userns-remap", and what its tests look at.

FIRST=200000

# A copy of /etc that may be written to, seen by this file's processes alone.
etc_mount() {
    ETC=$(mktemp -d /tmp/dray-etc.XXXXXX)
    export ETC
    mkdir "$ETC/upper" "$ETC/work"
    mount -t overlay -o "lowerdir=/etc,upperdir=$ETC/upper,workdir=$ETC/work" etc /etc
    grep -q '^remapped:' /etc/passwd || echo 'remapped:x:4242:4242::/:/bin/false' >>/etc/passwd
    grep -q '^remapped:' /etc/group || echo 'remapped:x:4242:' >>/etc/group
    echo "remapped:$FIRST:65536" >/etc/subuid
    echo "remapped:$FIRST:65536" >/etc/subgid
}

userns_begin() {
    export DOCKER_BUILDKIT=0
    daemon_init
    etc_mount
    echo '{"userns-remap": "remapped"}' >"$T/daemon.json"
    daemon_start
    busybox_import
}

userns_end() {
    daemon_done
    local rc=$?
    umount -l /etc
    rm -rf "$ETC"
    return $rc
}

userns_clean() {
    local ids
    ids=$(docker ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -fv $ids >/dev/null
    docker volume ls -q | xargs -r docker volume rm >/dev/null
}

pid_of() { docker inspect -f '{{.State.Pid}}' "$1"; }
owner() { stat -c '%u:%g' "$1"; }
# "UID/GID" that a copy out of a container, or what is piped in, has for a file.
copied() { docker cp "$1" - | tar --numeric-owner -tvf - | awk '{print $2}'; }
tar_owned() { tar -C / --owner="$1" --group="$2" --numeric-owner -cf - etc/hostname; }
volume_at() { docker volume inspect -f '{{.Mountpoint}}' "$1"; }
