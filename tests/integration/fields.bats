#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# fields.bats - no field of a container's configuration is dropped without a word (fields.py has the table).

load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
    mkdir -p "$T/host/sub"
    mount -t tmpfs tmpfs "$T/host"
    mount --make-shared "$T/host"
    mkdir "$T/host/sub"
    mount -t tmpfs tmpfs "$T/host/sub"
    echo file >"$T/host/f"
}

teardown_file() {
    umount "$T/host/sub"
    umount "$T/host"
    daemon_done
}

table() { python3 "$BATS_TEST_DIRNAME/fields.py" "$T/dray.sock" "$1"; }

@test "every field of a create is honoured, refused or warned of" {
    table create
}

@test "fields within fields have their types, and are shown as Docker shows them" {
    table types
}

@test "a body means what its version of the API says" {
    table versions
}

@test "update: what it changes, refuses and leaves alone" {
    table update
}

@test "exec: every field, and what inspect says of it" {
    table exec
}

@test "the list: its fields, and every filter in both forms" {
    table list
}

@test "inspect, stats and events have their fields, filled" {
    table inspect
}

@test "defaults of the daemon for ipc and control groups" {
    local id
    daemon_stop
    echo '{"default-ipc-mode": "shareable", "default-cgroupns-mode": "private"}' >"$T/daemon.json"
    daemon_start
    id=$(docker create --network none busybox true)
    [ "$(docker inspect -f '{{.HostConfig.IpcMode}} {{.HostConfig.CgroupnsMode}}' "$id")" = "shareable private" ]
    docker rm "$id"
    echo '{"default-ipc-mode": "host"}' >"$T/bad.json"
    run "$DRAY_STAGE/bin/drayd" --config-file "$T/bad.json" --validate
    [[ $status -ne 0 && $output == *'default IPC mode setting (host) is invalid'* ]]
}

@test "links on the default bridge tell of the other in variables" {
    local want
    docker run -d --name linkdb -e SECRET=x -e "PATH=$PATH" --expose 5432 --expose 5433 --expose 53/udp busybox sleep 1000
    docker create --name linkweb --link linkdb:my-db -e MY_DB_ENV_SECRET=own busybox sh -c 'env | grep ^MY_DB | sort'
    want=$(ip=$(docker inspect -f '{{.NetworkSettings.IPAddress}}' linkdb); cat <<END
MY_DB_ENV_SECRET=own
MY_DB_NAME=/linkweb/my-db
MY_DB_PORT=tcp://$ip:5432
MY_DB_PORT_53_UDP=udp://$ip:53
MY_DB_PORT_53_UDP_ADDR=$ip
MY_DB_PORT_53_UDP_PORT=53
MY_DB_PORT_53_UDP_PROTO=udp
MY_DB_PORT_5432_TCP=tcp://$ip:5432
MY_DB_PORT_5432_TCP_ADDR=$ip
MY_DB_PORT_5432_TCP_END=tcp://$ip:5433
MY_DB_PORT_5432_TCP_PORT=5432
MY_DB_PORT_5432_TCP_PORT_END=5433
MY_DB_PORT_5432_TCP_PORT_START=5432
MY_DB_PORT_5432_TCP_PROTO=tcp
MY_DB_PORT_5432_TCP_START=tcp://$ip:5432
MY_DB_PORT_5433_TCP=tcp://$ip:5433
MY_DB_PORT_5433_TCP_ADDR=$ip
MY_DB_PORT_5433_TCP_PORT=5433
MY_DB_PORT_5433_TCP_PROTO=tcp
END
)
    run docker start -a linkweb
    diff <(LC_ALL=C sort <<<"$output") <(LC_ALL=C sort <<<"$want")
    docker run -d --name linkexec --link linkdb busybox sleep 1000
    [ "$(docker exec linkexec sh -c 'echo $LINKDB_ENV_SECRET')" = x ]
    docker kill linkdb
    run docker start linkweb
    [[ $status -ne 0 && $output == *"Cannot link to a non running container: /linkdb AS /linkweb/my-db"* ]]
    docker rm -f linkdb linkweb linkexec
}

@test "the daemon's log options are checked when it starts" {
    local config want
    while IFS='|' read -r config want; do
        echo "$config" >"$T/bad.json"
        run timeout 20 "$DRAY_STAGE/bin/drayd" --config-file "$T/bad.json" --data-root "$T/other" --exec-root "$T/other-exec" \
            -H "unix://$T/other.sock" --pidfile "$T/other.pid"
        [[ $status -ne 0 && $output == *"failed to set log opts: $want"* ]] || { echo "$config: $output"; return 1; }
    done <<'END'
{"log-opts": {"zz": "1"}}|unknown log opt 'zz' for json-file log driver
{"log-driver": "zz"}|logger: no log driver named 'zz' is registered
{"log-driver": "local", "log-opts": {"max-size": "huge"}}|invalid size: 'huge'
{"log-opts": {"mode": "sometimes"}}|logger: logging mode not supported: sometimes
END
}

@test "sizes of log files are decimal" {
    docker run --name sizes --network none --log-opt max-size=100k --log-opt max-file=2 busybox sh -c 'for i in $(seq 3000); do echo a line of some length $i; done' >"$T/sizes.out"
    local file size
    file=$(docker inspect -f '{{.LogPath}}' sizes)
    size=$(stat -c %s "$file.1")
    # A file is put away with the line that fills it.
    [ "$size" -ge 99000 ] && [ "$size" -lt 101000 ] || { echo "$size"; return 1; }
    docker rm sizes
}
