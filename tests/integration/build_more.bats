#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# build_more.bats - cache sources, scripts with interpreters, what builds may do, collection of the cache.

bats_require_minimum_version 1.5.0
load lib
load registry

setup_file() {
    export DOCKER_BUILDKIT=0
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() { daemon_done; }

setup() {
    C=$(mktemp -d "$T/ctx.XXXXXX")
    cd "$C" || return 1
}

teardown() { cd / && rm -rf "$C"; }

show() { printf '%s\n' "$output"; }

restart_with() { # daemon.json
    daemon_stop
    echo "$1" >"$T/daemon.json"
    daemon_start
}

@test "--cache-from: steps of an image that was loaded are not run again" {
    echo one >f
    printf 'FROM busybox\nENV A=1\nARG V=1\nRUN cat /proc/sys/kernel/random/uuid >/when; echo $V >/v\nWORKDIR /w\nCOPY f /w/\nCMD ["x"]\n' >Dockerfile
    docker build -q -t src . 2>/dev/null
    id=$(docker inspect -f '{{.Id}}' src)
    docker save src busybox >"$T/src.tar"
    docker rmi -f src busybox >/dev/null
    docker builder prune -af >/dev/null
    docker load -q <"$T/src.tar" >/dev/null
    run docker build --cache-from src -t again .
    show
    [ "$(grep -c 'Using cache' <<<"$output")" -eq 6 ]
    [ "$(docker inspect -f '{{.Id}}' again)" = "$id" ]
    docker run --rm --net none again sh -c '[ "$(cat /w/f) $(cat /v)" = "one 1" ]'
    # Without it everything is made anew; what differs is, and all behind it.
    docker builder prune -af >/dev/null
    run docker build -q .
    [ "$output" != "$id" ]
    docker builder prune -af >/dev/null
    echo two >f
    run docker build --cache-from "type=registry,ref=src" -t third .
    show
    [ "$(grep -c 'Using cache' <<<"$output")" -eq 4 ]
    docker run --rm --net none third grep -q two /w/f
    docker builder prune -af >/dev/null
    run docker build --build-arg V=2 --cache-from src .
    [ "$(grep -c 'Using cache' <<<"$output")" -eq 2 ]
    run docker build --cache-from nowhere:1 .
    [ "$status" -eq 0 ]
    [[ $output == *"[Warning] cache-from nowhere:1 is not used: "* ]]
}

@test "a script with #! is run by its interpreter, and leaves nothing" {
    printf 'FROM busybox\nRUN <<S\n#!/bin/awk -f\nBEGIN { print "awk", 6 * 7 >"/out"; print ARGV[0] >"/out" }\nS\n' >Dockerfile
    docker build -q -t script . 2>/dev/null
    run docker run --rm --net none script sh -c 'cat /out; ls /dev/pipes 2>&1'
    show
    [ "$output" = $'awk 42\nawk\nls: /dev/pipes: No such file or directory' ]
    run docker build .
    [[ $output == *"Using cache"* ]]
    sed -i 's/6 \* 7/6 * 8/' Dockerfile
    docker build -q -t script . 2>/dev/null
    run docker run --rm --net none script cat /out
    [ "${lines[0]}" = "awk 48" ]
}

@test "a Dockerfile alone gets neither privileges nor the host's network" {
    printf 'FROM busybox\nRUN --security=insecure --network=none grep CapEff /proc/self/status\n' >Dockerfile
    run dray build --progress plain .
    show
    [ "$status" -eq 1 ]
    [[ $output == *"security.insecure is not allowed"* ]]
    run dray build --progress plain --allow security.insecure .
    show
    [ "$status" -eq 0 ]
    printf 'FROM busybox\nRUN --network=host true\n' >D2
    run dray build -f D2 --progress plain .
    [ "$status" -eq 1 ] && [[ $output == *"network.host is not allowed"* ]]
    dray build -q -f D2 --allow network.host .
    run dray build --allow everything .
    [ "$status" -eq 125 ] && [[ $output == *'unsupported entitlement "everything"'* ]]
    restart_with '{"builder":{"entitlements":{"security-insecure":false,"network-host":false}}}'
    run dray build --no-cache --progress plain --allow security.insecure .
    [ "$status" -eq 1 ] && [[ $output == *"builder.entitlements"* ]]
    printf 'FROM busybox\nRUN true\n' >D3
    run docker build --network host -f D3 .
    [ "$status" -ne 0 ] && [[ $output == *"network.host is not allowed"* ]]
}

@test "a private base image: X-Registry-Config has the credentials, of both clients" {
    REGISTRY=127.0.0.1:$(free_port)
    htpasswd -Bbc "$T/htpasswd" alice secret 2>/dev/null
    printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\nlog: {level: error}\nauth: {htpasswd: {realm: here, path: %s}}\n' \
        "$T/private" "$REGISTRY" "$T/htpasswd" >"$T/private.yml"
    docker-registry serve "$T/private.yml" </dev/null >"$T/private.log" 2>&1 3>&- &
    server=$!
    wait_until 10 curl -sf -u alice:secret -o /dev/null "http://$REGISTRY/v2/"
    docker login -u alice -p secret "$REGISTRY" 2>/dev/null
    docker tag busybox "$REGISTRY/base" && docker push -q "$REGISTRY/base"
    printf 'FROM %s/base\nLABEL private=1\n' "$REGISTRY" >Dockerfile
    for client in docker dray; do
        docker rmi -f "$REGISTRY/base" >/dev/null
        run $client build -q .
        show
        [ "$status" -eq 0 ] || break
    done
    ok=$status
    docker logout "$REGISTRY" >/dev/null
    docker rmi -f "$REGISTRY/base" >/dev/null
    run docker build .
    kill $server
    show
    [ "$ok" -eq 0 ] && [ "$status" -ne 0 ]
    [[ $output == *"no basic auth credentials"* ]]
}

@test "docker-py and dockerode build, and see a failure" {
    printf 'FROM busybox\nARG A=1\nLABEL a=$A\nRUN test "$A" = 5\n' >Dockerfile
    run timeout 60 /usr/bin/python3 - <<'P'
import docker
c = docker.from_env()
image, log = c.images.build(path=".", tag="py:1", buildargs={"A": "5"}, labels={"l": "m"}, network_mode="none", rm=True)
assert image.labels == {"a": "5", "l": "m"} and image.tags == ["py:1"], image.attrs
assert any("Successfully built" in line.get("stream", "") for line in log)
try:
    c.images.build(path=".", network_mode="none", rm=True)
except docker.errors.BuildError as e:
    assert "returned a non-zero code: 1" in str(e), e
else:
    raise SystemExit("no error")
P
    show
    [ "$status" -eq 0 ]
    [ -d "$DRAY_CACHE/node/node_modules/dockerode" ] || return 0
    cat >"$T/build.js" <<'J'
const Docker = require('dockerode');
const docker = new Docker({ socketPath: process.env.DOCKER_HOST.slice('unix://'.length) });
(async () => {
  const stream = await docker.buildImage({ context: process.cwd(), src: ['Dockerfile'] }, { t: 'js:1', buildargs: { A: '5' }, networkmode: 'none' });
  const lines = await new Promise((ok, no) => docker.modem.followProgress(stream, (e, r) => e ? no(e) : ok(r)));
  if (!lines.some(l => l.aux && l.aux.ID)) throw new Error('no id');
  const i = await docker.getImage('js:1').inspect();
  if (i.Config.Labels.a !== '5') throw new Error(JSON.stringify(i.Config));
})().catch(e => { console.error(e); process.exit(1); });
J
    NODE_PATH=$DRAY_CACHE/node/node_modules run timeout 60 node "$T/build.js"
    show
    [ "$status" -eq 0 ]
}

records() { api GET /system/df | python3 -c 'import json,sys; print(sum(c["Size"] for c in json.load(sys.stdin)["BuildCache"]))'; }
at_most() { [ "$(records)" -le "$1" ]; }

@test "the cache is collected by the rules of daemon.json" {
    restart_with '{"builder":{"gc":{"enabled":false,"defaultKeepStorage":"4MB"}}}'
    docker builder prune -af >/dev/null
    for i in 1 2 3 4 5; do
        printf 'FROM busybox\nRUN head -c 2000000 /dev/urandom >/f%s\n' $i >Dockerfile
        docker build -q --network none . >/dev/null 2>&1
    done
    [ "$(records)" -ge 10000000 ]
    docker rmi -f $(docker images -q --filter dangling=true) >/dev/null
    restart_with '{"builder":{"gc":{"defaultKeepStorage":"4MB"}}}'
    docker build -q --network none . >/dev/null 2>&1
    wait_until 15 at_most 4194304
    run docker build --network none .
    show
    [[ $output == *"Using cache"* ]] # what was used last stays
    restart_with '{"builder":{"gc":{"policy":[{"keepStorage":"1MB","filter":["unused-for=100h"]},{"keepStorage":"2100kB","all":true}]}}}'
    docker build -q --network none . >/dev/null 2>&1
    wait_until 15 at_most 2150400
    daemon_stop
    echo '{"builder":{"gc":{"defaultKeepStorage":"much"}}}' >"$T/daemon.json"
    run timeout 20 drayd --data-root "$T/data" --exec-root "$T/exec" -H "$DOCKER_HOST" --config-file "$T/daemon.json"
    show
    [ "$status" -ne 0 ]
    [[ $output == *"invalid defaultKeepStorage: much"* ]]
    echo '{}' >"$T/daemon.json"
    daemon_start
}

@test "a storage driver that cannot seal a layer or give its diff again builds the same image" {
    echo one >f && mkdir d && ln -s ../f d/l && mkfifo d/p
    printf 'FROM busybox AS a\nRUN echo made >/made && rm /bin/vi\nFROM busybox\nCOPY --from=a /made /m\nCOPY d /d\nRUN rm /m; mkdir /n; ln /d/l /n/l\nRUN true\n' >Dockerfile
    docker build -q --build-arg SOURCE_DATE_EPOCH=1000000000 -t sealed . 2>/dev/null
    first='{{len .RootFS.Layers}}{{range $i, $l := .RootFS.Layers}}{{if lt $i 3}} {{$l}}{{end}}{{end}}'
    want=$(docker inspect -f "$first" sealed)
    docker rmi sealed >/dev/null
    daemon_stop
    daemon_start --storage-driver vfs
    docker builder prune -af >/dev/null
    run docker build --build-arg SOURCE_DATE_EPOCH=1000000000 -t copied .
    show
    [ "$status" -eq 0 ]
    [[ $output != *"Using cache"* ]]
    run docker inspect -f "$first" copied # what a step deletes and links is told in the driver's own way
    show
    [[ $output == "4 "* && $output == "$want" ]]
    run docker run --rm --net none copied sh -c 'ls -A /n; [ ! -e /m ]; [ -p /d/p ]; [ -e /bin/vi ]'
    [ "$status" -eq 0 ] && [ "$output" = l ]
    docker save copied | tar -t >/dev/null
    docker rmi copied >/dev/null
    docker builder prune -af >/dev/null
    daemon_stop
    daemon_start
}
