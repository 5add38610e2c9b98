#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# userns_setting.bats - "userns-remap" itself: its values, restarts of the daemon, other drivers.

bats_require_minimum_version 1.5.0
load lib
load userns

setup_file() { userns_begin; }
teardown_file() { userns_end; }
teardown() { userns_clean; }

# A daemon that shall not start says why.
refused() { # ARGUMENTS...
    echo '{}' >"$T/none.json"
    "$DRAY_STAGE/bin/drayd" --data-root "$T/u" --exec-root "$T/ux" -H "unix://$T/u.sock" --config-file "$T/none.json" "$@" 2>&1
}

@test "kill -9 of the daemon: containers go on in their namespaces, and others start" {
    docker run -d --name c9 -p 127.0.0.1::80 --restart always -v vol9:/v busybox sh -c 'mkdir /w; echo served >/w/i; exec httpd -f -p 80 -h /w'
    local port pid
    port=$(docker port c9 80 | sed 's/.*://')
    pid=$(pid_of c9)
    wait_until 10 curl -sf "http://127.0.0.1:$port/i" -o /dev/null
    daemon_kill
    daemon_start
    [ "$(pid_of c9)" = "$pid" ]
    curl -sf "http://127.0.0.1:$port/i" | grep -q served
    docker exec c9 sh -c 'touch /new /v/new; echo out >/dev/stdout' | grep -q out
    [ "$(owner "$(volume_at vol9)/new")" = "$FIRST:$FIRST" ]
    [ "$(copied c9:/new)" = 0/0 ]
    docker run --rm busybox true
    docker exec c9 kill 1 || true
    docker kill c9 || true
    docker start c9
    [ "$(docker exec c9 stat -c %u /new)" = 0 ]
    # Without the setting what runs goes on as it is, and what starts anew has the host's ids.
    echo '{}' >"$T/daemon.json"
    daemon_stop
    daemon_start
    [ "$(docker exec c9 awk '{print $2}' /proc/self/uid_map)" = $FIRST ]
    [ "$(copied c9:/new)" = 0/0 ]
    docker restart -t 0 c9
    [ "$(docker exec c9 awk '{print $2}' /proc/self/uid_map)" = 0 ]
    [ "$(docker exec c9 stat -c %u:%g /new /bin/busybox | xargs)" = "0:0 0:0" ]
    docker rm -f c9
    echo '{"userns-remap": "remapped"}' >"$T/daemon.json"
    daemon_stop
    daemon_start
}

@test "other drivers of storage and runtimes" {
    daemon_stop
    daemon_start --storage-driver vfs
    busybox_import vfs-busybox
    [ "$(docker run --rm vfs-busybox sh -c 'touch /x; chown 5 /x; stat -c %u /x /bin/busybox' | xargs)" = "5 0" ]
    docker run --name v10 vfs-busybox sh -c 'touch /x; chown 5:6 /x'
    [ "$(copied v10:/x)" = 5/6 ]
    docker commit v10 vfs-committed >/dev/null
    [ "$(docker run --rm --userns host vfs-committed stat -c %u:%g /x)" = 5:6 ]
    docker rm -f v10
    docker rmi vfs-committed vfs-busybox
    daemon_stop
    daemon_start --storage-driver overlay
    run docker run --rm --runtime runc busybox true
    [[ $status -ne 0 && $output == *"--userns=host"* ]]
}

@test "the setting: users, groups, ranges, and what is wrong with them" {
    run refused --userns-remap nobody-of-that-name
    [[ $status -ne 0 && $output == *'Error during uid lookup for "nobody-of-that-name"'* ]]
    run refused --userns-remap 987654
    [[ $status -ne 0 && $output == *'Uid 987654 has no entry in /etc/passwd'* ]]
    run refused --userns-remap remapped:nogroup-of-that-name
    [[ $status -ne 0 && $output == *'Error during gid lookup for "nogroup-of-that-name"'* ]]
    run refused --userns-remap a:b:c
    [[ $status -ne 0 && $output == *'Invalid user/group specification in --userns-remap: "a:b:c"'* ]]
    run refused --userns-remap daemon
    [[ $status -ne 0 && $output == *'no subuid ranges found for user "daemon" in /etc/subuid'* ]]
    echo "daemon:300000:1000" >>/etc/subuid
    echo "daemon:300000:65536" >>/etc/subgid
    run refused --userns-remap daemon
    [[ $status -ne 0 && $output == *'the subuid range of user "daemon" in /etc/subuid has 1000 ids, 65536 are needed'* ]]
    sed -i '/^daemon/d' /etc/subuid /etc/subgid
    echo "daemon:zz" >>/etc/subuid
    run refused --userns-remap daemon
    [[ $status -ne 0 && $output == *'Format not correct for /etc/subuid file'* ]]
    sed -i '/^daemon/d' /etc/subuid
    local setting
    echo 'remapped:900000:65536' >>/etc/subuid # the first counts
    echo '{}' >"$T/daemon.json"
    for setting in 4242 4242:4242 remapped:remapped; do
        daemon_stop
        daemon_start --userns-remap "$setting"
        [ "$(docker run --rm --network none busybox awk '{print $2}' /proc/self/uid_map)" = $FIRST ]
    done
    daemon_stop
    daemon_start --userns-remap root
    [ "$(docker run --rm --network none busybox awk '{print $2}' /proc/self/uid_map)" = 0 ]
    ! docker info --format '{{.SecurityOptions}}' | grep -q userns
}

@test "default makes the user dockremap with ranges of its own" {
    daemon_stop
    echo '{"userns-remap": "default"}' >"$T/daemon.json"
    daemon_start
    grep -q '^dockremap:' /etc/passwd
    local range
    range=$(sed -n 's/^dockremap://p' /etc/subuid)
    [[ $range == *:65536 && ${range%:*} -ge 265536 ]]
    [ "$(docker run --rm --network none busybox awk '{print $2}' /proc/self/uid_map)" = "${range%:*}" ]
    daemon_stop
    daemon_start
    [ "$(grep -c '^dockremap:' /etc/subuid)" = 1 ]
}
