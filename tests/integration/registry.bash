# SPDX-License-Identifier: Apache-2.0
# registry.bash - a real registry server on loopback, and a real Python image in it.

# registry_start [PORT]: docker-registry on 127.0.0.1, its data below $T; sets REGISTRY.
registry_start() {
    local port=${1:-$(free_port)}
    REGISTRY=127.0.0.1:$port
    mkdir -p "$T/registry"
    cat >"$T/registry.yml" <<EOF
version: 0.1
storage: {filesystem: {rootdirectory: $T/registry}, delete: {enabled: true}}
http: {addr: $REGISTRY}
log: {level: error}
EOF
    docker-registry serve "$T/registry.yml" </dev/null >"$T/registry.log" 2>&1 3>&- &
    echo $! >"$T/registry.pid"
    export REGISTRY
    wait_until 10 curl -sf -o /dev/null "http://$REGISTRY/v2/"
}

registry_stop() {
    [ -r "$T/registry.pid" ] || return 0
    kill "$(cat "$T/registry.pid")" 2>/dev/null
    wait_until 5 gone "$(cat "$T/registry.pid")"
    rm -f "$T/registry.pid"
}

# push OCI_LAYOUT NAME: into the registry
push() { skopeo copy --quiet --dest-tls-verify=false "oci:$1" "docker://$REGISTRY/$2"; }

# push_busybox: $REGISTRY/busybox:latest, one layer
push_busybox() {
    [ -d "$DRAY_CACHE/busybox-oci" ] || {
        "$BATS_TEST_DIRNAME/mkimage.py" "$DRAY_CACHE/.busybox-oci.$$" \
            '{"Cmd":["sh"],"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}' "$(busybox_tar)"
        mv "$DRAY_CACHE/.busybox-oci.$$" "$DRAY_CACHE/busybox-oci"
    }
    push "$DRAY_CACHE/busybox-oci" "${1:-busybox:latest}"
}

# python_oci: the folder of an OCI layout of Debian with python3-minimal, in three layers: the system,
# Python (zstd), an application. Made with debootstrap once a machine.
python_oci() {
    local tree mirror suite
    if [ ! -d "$DRAY_CACHE/python-oci" ]; then
        mkdir -p "$DRAY_CACHE"
        tree=$DRAY_CACHE/python-tree.$$
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
        suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
        debootstrap --variant=minbase --include=python3-minimal "$suite" "$tree" "$mirror" >"$tree.log" 2>&1 ||
            { tail -n 20 "$tree.log" >&2; return 1; }
        rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/* "$tree"/usr/share/doc "$tree"/usr/share/locale
        (cd "$tree" && find usr/bin/python3* usr/lib/python3* -print0 | sort -z >../python.list)
        tar -C "$tree" --numeric-owner --no-recursion --null -T "$DRAY_CACHE/python.list" -cf "$tree.2.tar"
        tar -C "$tree" --numeric-owner --exclude='./usr/bin/python3*' --exclude='./usr/lib/python3*' -cf "$tree.1.tar" .
        mkdir -p "$tree.app/app"
        printf 'import sys, platform\nprint("python", sys.version_info.major, platform.system())\nsys.exit(int(sys.argv[1]) if len(sys.argv) > 1 else 0)\n' >"$tree.app/app/hello.py"
        tar -C "$tree.app" --numeric-owner --owner=0 --group=0 -cf "$tree.3.tar" .
        "$BATS_TEST_DIRNAME/mkimage.py" "$DRAY_CACHE/.python-oci.$$" \
            '{"Cmd":["python3"],"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"WorkingDir":"/app"}' \
            "$tree.1.tar" "$tree.2.tar:zstd" "$tree.3.tar"
        mv "$DRAY_CACHE/.python-oci.$$" "$DRAY_CACHE/python-oci"
        rm -rf "$tree" "$tree".*
    fi
    echo "$DRAY_CACHE/python-oci"
}

# --- a proxy that misbehaves ------------------------------------------------------------------

# faults_start [ARGUMENTS]: registry_faults.py before $REGISTRY; sets FAULTS. rules JSON tells it what to do.
faults_start() {
    FAULTS=127.0.0.1:$(free_port)
    [ -e "$T/rules.json" ] || echo '[]' >"$T/rules.json"
    "$BATS_TEST_DIRNAME/registry_faults.py" --listen "$FAULTS" --upstream "$REGISTRY" --rules "$T/rules.json" \
        --log "$T/faults.log" "$@" </dev/null >"$T/faults.out" 2>&1 3>&- &
    echo $! >"$T/faults.pid"
    export FAULTS
    wait_until 10 curl -s -o /dev/null "http://$FAULTS/v2/"
}

faults_stop() {
    [ -r "$T/faults.pid" ] || return 0
    kill "$(cat "$T/faults.pid")" 2>/dev/null
    wait_until 5 gone "$(cat "$T/faults.pid")"
    rm -f "$T/faults.pid"
}

rules() {
    echo "$1" >"$T/rules.json.new"
    mv "$T/rules.json.new" "$T/rules.json"
}
