#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# plugin_check.bats - dray-plugin check: our own plugins keep what their kinds promise, broken ones are found out.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    export W=$BATS_FILE_TMPDIR
    export SDK=$BATS_TEST_DIRNAME/../../sdk
    mkdir -m 755 "$W/so"
}

teardown_file() {
    ! ls -d /var/tmp/dray-plugin-* 2>/dev/null
}

check() { timeout 60 "$DRAY_STAGE/bin/dray-plugin" check "$@"; }

# fits FILE.so... [options]: the last line of each says so.
fits() {
    run check "$@"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output != *"NOT FIT"* ]]
}

own() { echo "$DRAY_STAGE/lib/dray/plugins/$1.so"; }

# build FILE.so SOURCE.c [compiler arguments]
build() {
    local so=$1 c=$2
    shift 2
    cc "$@" -shared -fPIC -O1 -std=gnu17 -D_GNU_SOURCE -I"$SDK/include" -fvisibility=hidden \
        -Wl,-z,now,-z,nodelete,-z,noexecstack -o "$so" "$c"
}

faulty() {
    build "$W/so/$1.so" "$BATS_TEST_DIRNAME/plugins/faulty.c" "-DFAULT=\"$1\"" || return
    run check "${@:2}" "$W/so/$1.so"
    echo "$output"
}

@test "storage: overlay, vfs" {
    fits "$(own storage-overlay)" "$(own storage-vfs)"
    [[ $output == *"storage: a whiteout hides a file of the parent"* ]]
    [[ $output == *"storage: apply() of what diff() wrote"* ]]
}

@test "networks: bridge, vxlan, none, host; macvlan on a link of this namespace" {
    fits "$(own net-bridge)" "$(own net-none)" "$(own net-host)"
    [[ $output == *"network: publish() of a port"* ]]
    fits -O vni=7 -O peers=127.0.0.1 "$(own net-vxlan)"
    ip link add dpc0 type veth peer name dpc1 || skip "no veth links here"
    ip link set dpc0 up
    fits --here -O parent=dpc0 "$(own net-macvlan)" "$(own net-ipvlan)"
    ip link del dpc0
}

@test "run: operations by hand, one after another until one fails" {
    run --separate-stderr "$DRAY_STAGE/bin/dray-plugin" run "$(own volume-local)" \
        create v1 , mount v1 me , list , unmount v1 me , remove v1 , inspect v1 , list
    [ "$status" -eq 1 ]
    [ "$(jq -r '.operation + " " + (.error // "ok")' <<<"$output" | paste -sd,)" = \
        'volume.create ok,volume.mount ok,volume.list ok,volume.unmount ok,volume.remove ok,volume.inspect NOTFOUND' ]
    [ "$(jq -r 'select(.records) | .records[0].name' <<<"$output")" = v1 ]
    jq -es 'map(select(.operation == "volume.mount"))[0].gives[0] | endswith("/v1/_data")' <<<"$output"
    [ "$("$DRAY_STAGE/bin/dray-plugin" run "$(own ipam-default)" pool_request '{"family":4,"subnet":"10.9.0.0/24"}' , \
        addr_request LocalDefault/10.9.0.0/24 '{"addr":"10.9.0.7"}' | jq -r 'select(.operation == "ipam.addr_request").gives[0]')" = 10.9.0.7/24 ]
    # Files go in and out; the root is kept.
    mkdir -p "$W/tree" "$W/root"
    echo hi >"$W/tree/f"
    tar -C "$W/tree" -cf "$W/in.tar" f
    "$DRAY_STAGE/bin/dray-plugin" run --root "$W/root" "$(own storage-vfs)" create l1 "" 0 , apply l1 "$W/in.tar"
    "$DRAY_STAGE/bin/dray-plugin" run --root "$W/root" "$(own storage-vfs)" diff l1 "" "$W/out.tar"
    [ "$(tar -xOf "$W/out.tar" f)" = hi ]
    # What an operation takes is told.
    run "$DRAY_STAGE/bin/dray-plugin" run "$(own volume-local)" mount v1
    [ "$status" -eq 1 ]
    [[ $output == *"a word is missing"*"usage: mount TEXT TEXT"* ]]
    run "$DRAY_STAGE/bin/dray-plugin" run "$(own ipam-default)" pool_request '{"famly":4}'
    [[ $output == *"none of: family, subnet, range"* ]]
    "$DRAY_STAGE/bin/dray-plugin" run "$(own ipam-default)" pool_request '{"family":4,"subnet":"10.9.0.0/24","options":{"a":null},"avoid":[null]}' |
        jq -e '.gives[0] == "LocalDefault/10.9.0.0/24"'
    "$DRAY_STAGE/bin/dray-plugin" run "$(own log-json-file)" | grep -q '^log.write TEXT \[{time_ns,data,stream}...\]$'
}

@test "addresses, volumes, logs, extensions, builders" {
    fits "$(own ipam-default)" "$(own ipam-null)" "$(own volume-local)" "$(own log-json-file)" "$(own log-local)" \
        "$(own log-none)" "$(own ext-dashboard)" "$(own builder-dockerfile)"
    [[ $output == *"ipam: when none is left it says so"* ]]
    [[ $output == *"log: read() gives back what was written"* ]]
}

@test "runtimes: native, runc" {
    fits "$(own runtime-native)"
    [[ $output == *"runtime: its exit code is that of the command"* ]]
    [ -z "$(find /sys/fs/cgroup -maxdepth 2 -name 'dray-check*')" ]
    command -v runc >/dev/null || skip "runc is missing"
    fits "$(own runtime-oci)"
}

@test "a registry, against a layout; without an image it says what it needs" {
    command -v skopeo >/dev/null || skip "skopeo is missing"
    mkdir "$W/image"
    echo hello >"$W/image/hello"
    tar -C "$W/image" -cf "$W/image.tar" hello
    skopeo --insecure-policy copy -q "tarball:$W/image.tar" "oci:$W/layout:one"
    fits --image "oci:$W/layout:one" "$(own registry-layout)"
    [[ $output == *"registry: its bytes have that digest"* ]]
    fits "$(own registry-hub)"
    [[ $output == *"skip  registry: name an image that it can find with --image"* ]]
}

@test "the template and the examples, and plugins of the families by a name" {
    build "$W/so/myvol.so" "$SDK/template/myvol.c"
    build "$W/so/ram.so" "$SDK/../examples/volume-ram/ram.c"
    build "$W/so/steady.so" "$SDK/../examples/ipam-steady/steady.c"
    fits "$W/so/myvol.so" "$W/so/steady.so"
    fits -O size=1m -o max-size=8m "$W/so/ram.so"
    # A server that is not there is no driver.
    run check --instance nobody "$(own volume-remote)"
    [ "$status" -eq 1 ]
    [[ $output == *"FAIL  volume: "*nobody* ]]
    fits "$(own volume-remote)"
    [[ $output == *"it is a family"* ]]
}

@test "a plugin without a fault has none, as root and as somebody" {
    faulty none
    [ "$status" -eq 0 ]
    [[ $output == *"FIT: "*" passed, 0 failed, 0 warnings, 0 skipped"* ]]
    d=$(mktemp -d /tmp/plugin-check-XXXXXX)
    chmod 755 "$d"
    cp "$DRAY_STAGE/bin/dray-plugin" "$W/so/none.so" "$d"
    run setpriv --reuid 65534 --regid 65534 --clear-groups "$d/dray-plugin" check "$d/none.so"
    echo "$output"
    rm -r "$d"
    [ "$status" -eq 0 ]
}

@test "faults of a driver are found, each with the operation and the reason" {
    local fault
    while IFS='|' read -r fault words; do
        faulty "$fault" --timeout 2
        [ "$status" -eq 1 ]
        [[ $output == *"FAIL  $words"* ]]
        [[ $output == *"NOT FIT: "* ]]
    done <<'FAULTS'
forgets|volume: creating the same again succeeds: create gave CONFLICT instead of success: volume dray-check exists
mute|volume: inspect gave NOTFOUND and did not fill the error
odd|volume: create gave 5, which is none of DRAY_E_*
stays|volume: it is gone: inspect gave success instead of NOTFOUND
unlisted|volume: it names the volume: it is not so
hangs|volume.mount: it has not returned after 2 s
late|volume: mount() for a user: mount gave TIMEOUT instead of success: the time is over
crashes|volume.inspect: it ended the process with signal 6
exits|volume.inspect: it ended the process with exit(3)
FAULTS
    faulty ignores
    [ "$status" -eq 0 ]
    [[ $output == *"warn  volume: create() takes options that it does not know"* ]]
}

@test "what a driver sees in /sys is the network namespace it is tried in" {
    ip link add dpc0 type veth peer name dpc1 || skip "no veth links here"
    faulty links
    ip link del dpc0
    [ "$status" -eq 0 ]
}

@test "a log driver that reads is to let several do so" {
    local c=$SDK/../examples/log-sqlite/sqlite.c
    build "$W/so/sqlite.so" "$c" -Wl,--no-as-needed -lsqlite3
    fits "$W/so/sqlite.so"
    [[ $output == *"log: read() that follows gives what is written"* ]]
    [[ $output == *"log: it ends when the container has ended"* ]]
    sed 's/DRAY_THREAD_PARALLEL/DRAY_THREAD_PER_OBJECT/' "$c" >"$W/turns.c"
    build "$W/so/turns.so" "$W/turns.c" -Wl,--no-as-needed -lsqlite3
    run check "$W/so/turns.so"
    [ "$status" -eq 1 ]
    [[ $output == *"FAIL  log: read() lasts as long as somebody follows"* ]]
    sed 's/bool ended = .*/bool ended = true;/' "$c" >"$W/hasty.c"
    build "$W/so/hasty.so" "$W/hasty.c" -Wl,--no-as-needed -lsqlite3
    run check --timeout 3 "$W/so/hasty.so"
    [ "$status" -eq 1 ]
    [[ $output == *"FAIL  log: read() that follows gives what is written"* ]]
}

@test "what cannot be loaded is told as the daemon would, and how it is linked" {
    local c=$BATS_TEST_DIRNAME/plugins/faulty.c
    echo "no plugin" >"$W/so/text.so"
    run check "$W/so/text.so"
    [ "$status" -eq 1 ]
    [[ $output == *"FAIL  the file is refused: it is not an ELF shared object"* ]]
    sed 's/\.mount = mount_volume,//; s/^static int32_t mount_volume/__attribute__((unused)) &/' "$c" >"$W/nomount.c"
    build "$W/so/nomount.so" "$W/nomount.c" '-DFAULT="none"'
    run check "$W/so/nomount.so"
    [ "$status" -eq 1 ]
    [[ $output == *"FAIL  it lacks the mandatory volume operation mount()"* ]]
    sed 's/\.name = "faulty"/.name = "other"/' "$c" >"$W/name.c"
    build "$W/so/name.so" "$W/name.c" '-DFAULT="none"'
    run check "$W/so/name.so"
    [ "$status" -eq 1 ]
    [[ $output == *"both must agree"* ]]
    cc -shared -fPIC -D_GNU_SOURCE -I"$SDK/include" '-DFAULT="none"' -Wl,-z,lazy,-z,execstack -o "$W/so/lax.so" -x c - <<C
#include "$c"
int helper(void);
int helper(void) { return 1; }
static __attribute__((constructor)) void early(void) {}
C
    chmod 666 "$W/so/lax.so"
    run check "$W/so/lax.so"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"warn  drayd would refuse it where it lies: the file may be changed by others"* ]]
    [[ $output == *"warn  it may be unmapped"* ]]
    [[ $output == *"warn  it wants a stack that can be executed"* ]]
    [[ $output == *"warn  it has constructors"* ]]
    [[ $output == *"warn  it exports 1 symbols beside dray_plugin_v1 (helper)"* ]]
}

@test "options of the plugin are checked; show tells of them; wrong arguments" {
    run check -o roof=/srv "$W/so/myvol.so"
    [ "$status" -eq 1 ]
    [[ $output == *'option "roof" is not one of its options; did you mean "root"?'* ]]
    run "$DRAY_STAGE/bin/dray-plugin" show "$W/so/steady.so"
    [ "$status" -eq 0 ]
    [[ $output == *'"name":"steady"'*"spare (integer)"*"default: 0"*"from 0 to 4096"* ]]
    run "$DRAY_STAGE/bin/dray-plugin" check
    [ "$status" -eq 2 ]
    run "$DRAY_STAGE/bin/dray-plugin" check -o x "$W/so/myvol.so"
    [ "$status" -eq 2 ]
}

@test "the documentation has every option of our plugins, and no other" {
    local so
    for so in "$DRAY_STAGE"/lib/dray/plugins/*.so; do
        "$DRAY_STAGE/bin/dray-plugin" show "$so" | sed -nE 's/^  ([a-z0-9-]+) \(.*\)$/\1/p'
    done | sort -u >"$W/declared"
    sed -n '/^## storage/,$s/^| `\([a-z0-9-]*\)` |.*/\1/p' "$BATS_TEST_DIRNAME/../../docs/plugins.md" | sort -u >"$W/documented"
    [ "$(wc -l <"$W/declared")" -gt 20 ]
    diff "$W/declared" "$W/documented"
}
