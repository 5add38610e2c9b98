#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# sdk.bats - plugins of others: built out of tree against the installed SDK, chosen by config, used.

load lib.bash

setup_file() {
    daemon_init
    export SDK=$T/sdk PREFIX=/opt/dray
    export SDK_ROOT=$SDK/dest$PREFIX
    mkdir -p "$SDK"
    DESTDIR=$SDK/dest cmake --install "$DRAY_STAGE/.." --prefix $PREFIX --component sdk >"$SDK/install.log"
    cp -r "$SDK_ROOT/share/dray/sdk/examples/"* "$SDK"
    cp -r "$SDK_ROOT/share/dray/sdk/template" "$SDK/template"
}

teardown_file() {
    daemon_done
}

# build NAME: configure, build, run its own tests, in $SDK/NAME/build
build() {
    cmake -S "$SDK/$1" -B "$SDK/$1/build" -DCMAKE_PREFIX_PATH="$SDK_ROOT" &&
        cmake --build "$SDK/$1/build" && ctest --test-dir "$SDK/$1/build" --output-on-failure
}

# Where does this build take <dray/...> from?
headers_of() { # NAME SOURCE
    cc -M -D_GNU_SOURCE -I"$SDK_ROOT/include" "$SDK/$1/$2" | tr ' ' '\n' | grep '/dray/'
}

@test "the template builds and passes its test at once" {
    run build template
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"100% tests passed"*" out of 2"* ]]
    headers_of template myvol.c | while read -r h; do [[ $h == "$SDK_ROOT"/* ]]; done
}

@test "one command of the compiler with pkg-config does as well" {
    cd "$SDK/template"
    export PKG_CONFIG_PATH=$SDK_ROOT/share/pkgconfig
    # shellcheck disable=SC2046
    cc $(pkg-config --cflags dray-sdk) -O2 -o volume-myvol.so myvol.c $(pkg-config --libs dray-sdk)
    build/test_myvol ./volume-myvol.so
    [ "$(pkg-config --variable=abi dray-sdk)" = 0.1 ]
    # One exported symbol, and nothing asked of whoever loads it but libc.
    [ "$(nm -D --defined-only volume-myvol.so | awk '{print $3}')" = dray_plugin_v1 ]
    readelf -n volume-myvol.so | grep -q '^  dray '
}

@test "a card that does not fit its build is told at once" {
    cp -r "$SDK/template" "$SDK/wrong"
    rm -rf "$SDK/wrong/build"
    sed -i 's/\\"name\\":\\"myvol\\"/\\"name\\":\\"yourvol\\"/' "$SDK/wrong/myvol.c"
    run build wrong
    [ "$status" -ne 0 ]
    [[ $output == *"its card has another name"* ]]
    sed -i 's/DRAY_PLUGIN_CARD(/DRAY_PLUGIN_CARD("{}"); static const char other[] __attribute__((unused)) = (/' "$SDK/wrong/myvol.c"
    run build wrong
    [ "$status" -ne 0 ]
    [[ $output == *"no card"* ]]
}

@test "the example drivers build and pass their tests" {
    local name
    for name in volume-ram network-ptp ipam-steady log-sqlite authz-readers; do
        run build $name
        echo "$output"
        [ "$status" -eq 0 ]
    done
}

@test "dray-plugin of the SDK finds them fit, as their builds did" {
    run "$SDK_ROOT/bin/dray-plugin" check "$SDK/template/build/volume-myvol.so" "$SDK/network-ptp/build/network-ptp.so"
    echo "$output"
    [ "$status" -eq 0 ]
    grep -q promises "$SDK/template/build/Testing/Temporary/LastTest.log"
}

@test "the installed SDK may be moved" {
    mv "$SDK/dest" "$SDK/moved"
    rm -rf "$SDK/template/build"
    cmake -S "$SDK/template" -B "$SDK/template/build" -DCMAKE_PREFIX_PATH="$SDK/moved$PREFIX"
    cmake --build "$SDK/template/build"
    PKG_CONFIG_PATH=$SDK/moved$PREFIX/share/pkgconfig pkg-config --cflags dray-sdk | grep -qF "$SDK/moved"
    mv "$SDK/moved" "$SDK/dest"
}

@test "the daemon takes them by its config" {
    mkdir -p "$T/plugins"
    chmod 755 "$T/plugins"
    install -m 755 "$SDK/volume-ram/build/volume-ram.so" "$SDK/network-ptp/build/network-ptp.so" \
        "$SDK/ipam-steady/build/ipam-steady.so" "$SDK/authz-readers/build/authz-readers.so" \
        "$SDK/log-sqlite/build/log-sqlite.so" "$T/plugins"
    cat >"$T/daemon.json" <<EOC
{ "plugins": {
    "ram": { "path": "$T/plugins/volume-ram.so", "options": { "max-size": "8m" } },
    "sqlite": { "path": "$T/plugins/log-sqlite.so", "options": { "max-rows": 100 } },
    "steady": { "path": "$T/plugins/ipam-steady.so", "options": { "spare": 15 } },
    "ptp": { "path": "$T/plugins/network-ptp.so" } } }
EOC
    daemon_start
    run docker info
    [[ $output == *"Volume:"*ram* ]]
    [[ $output == *"Network:"*ptp* ]]
    api GET /plugins/loaded >"$T/plugins.json"
    grep -q '"Name":"ram","Plugin":"ram","Kinds":\["volume"\],"Version":"1.0.0","ABI":"0.1"' "$T/plugins.json"
    grep -q '"Options":{"max-size":"8m"}' "$T/plugins.json"
}

@test "a container writes to a volume of the ram driver" {
    busybox_import
    docker volume create -d ram -o size=1m scratch
    run docker run --rm -v scratch:/s busybox sh -c 'df -k /s | tail -n1; grep " /s " /proc/mounts'
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *1024* ]]
    [[ $output == *tmpfs* ]]
    # Its limit holds.
    run docker run --rm -v scratch:/s busybox sh -c 'head -c 4000000 /dev/zero >/s/f'
    [ "$status" -ne 0 ]
    run docker volume create -d ram -o size=1g toolarge
    [ "$status" -ne 0 ]
    [[ $output == *"size \"1g\" must be from 1 to 8388608 bytes"* ]]
    run docker volume inspect -f '{{.Driver}} {{.Status.size}}' scratch
    [ "$output" = "ram 1048576" ]
    docker volume rm scratch
}

@test "the sqlite driver keeps a container's lines, for several who follow" {
    docker run -d --name lines --log-driver sqlite busybox \
        sh -c 'for i in $(seq 120); do echo line $i; done; echo bad >&2; while [ ! -e /go ]; do sleep 0.1; done; echo end'
    wait_until 10 eval '[ "$(docker logs lines 2>/dev/null | tail -1)" = "line 120" ]'
    local followers=()
    for i in 1 2; do
        timeout 60 docker logs -f --tail 1 lines >"$T/follow$i" 2>&1 &
        followers+=($!)
    done
    wait_until 10 grep -q bad "$T/follow1"
    wait_until 10 grep -q bad "$T/follow2"
    [ "$(timeout 20 docker logs lines 2>/dev/null | wc -l)" -eq 99 ]
    docker exec lines touch /go
    wait "${followers[@]}"
    [ "$(cat "$T/follow1")" = $'bad\nend' ]
    [ "$(cat "$T/follow2")" = $'bad\nend' ]
    run docker run --rm --log-driver sqlite --log-opt max-rows=none busybox true
    [[ $output == *'max-rows must be a positive number, not "none"'* ]]
    docker rm lines
}

@test "a container is wired by the ptp driver" {
    docker network create -d ptp --subnet 10.219.77.0/24 wires
    docker run -d --name one --network wires busybox sleep 1000
    docker run -d --name two --network wires busybox sleep 1000
    two=$(docker inspect -f '{{.NetworkSettings.Networks.wires.IPAddress}}' two)
    [[ $two == 10.219.77.* ]]
    docker exec one ping -c 1 -W 3 10.219.77.1
    docker exec one ping -c 1 -W 3 "$two"
    docker rm -f two
    run docker exec one ping -c 1 -W 1 "$two"
    [ "$status" -ne 0 ]
}

@test "the steady driver gives a container its address again, and others another" {
    local first
    docker network create --ipam-driver steady --subnet 10.219.79.0/24 town
    [ "$(docker network inspect -f '{{.IPAM.Driver}} {{(index .IPAM.Config 0).Subnet}}' town)" = "steady 10.219.79.0/24" ]
    address() { docker inspect -f '{{.NetworkSettings.Networks.town.IPAddress}}' "$1"; }
    docker run -d --name web --network town busybox sleep 1000
    docker run -d --name db --network town busybox sleep 1000
    first=$(address web)
    [ "${first##*.}" -ge 16 ]
    [ "$(address db)" != "$first" ]
    docker exec db ping -c 1 -W 3 "$first"
    docker rm -f web
    docker run -d --network town --ip 10.219.79.5 --name fixed busybox sleep 1000
    docker run -d --name web --network town busybox sleep 1000
    [ "$(address web)" = "$first" ]
    # What is in use is told again after a restart.
    daemon_kill
    daemon_start
    run docker run --rm --network town --ip "$first" busybox true
    [ "$status" -ne 0 ]
    [[ $output == *"Address already in use"* ]]
    docker rm -f web db fixed
    docker run --rm --network town --ip "$first" busybox true
    docker network rm town
    # A subnet of its own choice.
    docker network create --ipam-driver steady town
    [ "$(docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' town)" = 10.230.0.0/24 ]
    docker network rm town
}

@test "what they made outlives the daemon" {
    docker volume create -d ram kept
    docker run -d --name user -v kept:/s busybox sh -c 'echo still here >/s/f; exec sleep 1000'
    wait_until 5 docker exec user test -s /s/f
    daemon_kill
    daemon_start
    [ "$(docker exec user cat /s/f)" = "still here" ]
    docker exec one ping -c 1 -W 3 10.219.77.1
    run docker volume rm kept
    [ "$status" -ne 0 ]
    docker rm -f user one
    docker volume rm kept
    docker network rm wires
    ! grep -q "$T/data/volume/ram" /proc/self/mountinfo
}

@test "a plugin that does not fit is refused and the daemon goes on, unless it is required" {
    daemon_stop
    chmod 777 "$T/plugins/volume-ram.so"
    daemon_start
    grep -q 'plugin .*/volume-ram.so refused: the file may be changed by others (mode 0777)' "$T/drayd.log"
    run docker volume create -d ram refused
    [ "$status" -ne 0 ]
    echo "$output"
    [[ $output == *ram* ]]
    docker network create -d ptp --subnet 10.219.78.0/24 wires2
    docker network rm wires2
    daemon_stop
    sed -i 's/"options"/"required": true, "options"/' "$T/daemon.json"
    run timeout 10 "$DRAY_STAGE/bin/drayd" --data-root "$T/data" --exec-root "$T/exec" -H "$DOCKER_HOST" \
        --pidfile "$T/drayd.pid" --config-file "$T/daemon.json"
    [ "$status" -ne 0 ]
    [ "$status" -ne 124 ]
    [[ $output == *"the required plugin ram"* ]]
    chmod 755 "$T/plugins/volume-ram.so"
    daemon_start
}

@test "a driver in C++ says who may only look, and takes a new list while the daemon runs" {
    daemon_stop
    cat >"$T/daemon.json" <<EOC
{ "authorization-plugins": ["readers"],
  "plugins": { "readers": { "path": "$T/plugins/authz-readers.so", "options": { "users": ["-"] } } } }
EOC
    daemon_start
    docker ps
    run docker volume create mine
    [ "$status" -ne 0 ]
    [[ $output == *"you may only look"* ]]
    sed -i 's/"-"/"dashboard"/' "$T/daemon.json"
    kill -HUP "$(cat "$T/drayd.pid")"
    wait_until 10 docker volume create mine
    docker volume rm mine
    sed -i 's/"dashboard"/"uid:65534"/' "$T/daemon.json" # somebody of this machine
    kill -HUP "$(cat "$T/drayd.pid")"
    chmod 711 "$T"
    chmod 666 "$T/dray.sock"
    somebody_asks() {
        setpriv --reuid 65534 --regid 65534 --clear-groups curl -s -o /dev/null -w '%{http_code}' \
            --unix-socket "$T/dray.sock" -X DELETE http://d/volumes/nosuch
    }
    wait_until 10 eval '[ "$(somebody_asks)" = 403 ]'
    docker volume create mine
    docker volume rm mine
    run docker info -f '{{.Plugins.Authorization}}'
    [ "$output" = "[readers]" ]
    sed -i 's/"authorization-plugins": .*/"authorization-plugins": [],/' "$T/daemon.json"
    kill -HUP "$(cat "$T/drayd.pid")"
    wait_until 10 eval '[ "$(docker info -f "{{.Plugins.Authorization}}")" = "[]" ]' # loaded, but asked nothing
}
