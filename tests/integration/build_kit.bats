#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# build_kit.bats - builds with BuildKit's protocol over POST /build, by the docker CLI 20.10.

bats_require_minimum_version 1.5.0
load lib
load build_kit
load registry

setup_file() {
    DOCKER_OLD=
    for d in /usr/bin/docker /usr/local/bin/docker; do
        [[ $("$d" --version 2>/dev/null) == *" 20.10."* ]] && DOCKER_OLD=$d && break
    done
    export DOCKER_OLD DOCKER_BUILDKIT=1
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() {
    registry_stop
    docker rmi -f "$(docker images -q)" >/dev/null 2>&1
    daemon_done
}

build() {
    [ -n "$DOCKER_OLD" ] || skip "no docker CLI of 20.10 here"
    timeout 60 "$DOCKER_OLD" build --progress plain "$@"
}

@test "stages, COPY, RUN, arguments, labels, a secret: the plain view tells of steps" {
    printf 'FROM busybox AS base\nARG A=1\nRUN --network=none --mount=type=secret,id=s grep -q s3cr3t /run/secrets/s; echo hello $A >&2; echo $A > /out\nFROM base AS unused\nRUN false\nFROM busybox\nCOPY --from=base /out /out\nCOPY . /ctx\n' >Dockerfile
    mkdir -p d/e
    echo x >d/e/f && ln -s e/f d/l && ln d/e/f d/hard && mkdir -m 1777 d/tmp && printf '#!/bin/sh\n' >d/run && chmod 4755 d/run
    touch -d '2001-02-03 04:05:06 UTC' d/e/f
    head -c 9000000 /dev/urandom >big
    : >empty
    printf 'no\n*.log\n!keep.log\n' >.dockerignore
    touch no a.log keep.log
    echo s3cr3t-value >"$T/secret"
    run build --build-arg A=7 --label l=v --secret "id=s,src=$T/secret" -t kit:1 -t kit:2 .
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"[internal] load build definition from Dockerfile"* ]]
    [[ $output == *"[internal] load .dockerignore"* && $output == *"transferring context: 9."*MB* ]]
    [[ $output == *"[base 2/2] RUN"* && $output == *"hello 7"* ]]
    [[ $output == *"exporting to image"* && $output == *"naming to docker.io/library/kit:2 done"* ]]
    [[ $output != *unused* && $output != *s3cr3t-value* ]]
    [ "$(docker inspect -f '{{.Config.Labels}}' kit:2)" = 'map[l:v]' ]
    docker run --rm --network none kit:1 sh -c 'cd /ctx && find . | sort; cat /out d/l; stat -c "%a %n" d/tmp d/run; stat -c "%Y %u" d/e/f; ls /run/secrets' >"$T/got" 2>/dev/null || true
    printf '%s\n' . ./.dockerignore ./Dockerfile ./big ./d ./d/e ./d/e/f ./d/hard ./d/l ./d/run ./d/tmp ./empty ./keep.log \
        7 x '1777 d/tmp' '4755 d/run' "$(date -u -d '2001-02-03 04:05:06' +%s) 0" | diff - "$T/got"
    cmp big <(docker run --rm --network none kit:1 cat /ctx/big)
    grep -rq s3cr3t-value "$T/data" "$T/drayd.log" && return 1
    run build --build-arg A=7 --label l=v --secret "id=s,src=$T/secret" .
    [ "$status" -eq 0 ] && [[ $output == *CACHED* && ! $output =~ [0-9]" hello 7" ]]
    run build --no-cache --target base --secret "id=s,src=$T/secret" --iidfile "$T/iid" .
    [ "$status" -eq 0 ] && [[ $output == *"hello 1"* && $output != *CACHED* ]]
    [ "$(docker inspect -f '{{.Id}}' "$(cat "$T/iid")")" = "$(cat "$T/iid")" ]
}

@test "many files arrive whole" {
    python3 - <<'P'
import os
for i in range(3000):
    os.makedirs(f"t/{i % 50}", exist_ok=True)
    open(f"t/{i % 50}/{i}", "w").write(f"{i}\n" * (i % 97))
P
    printf 'FROM busybox\nCOPY t /t\n' >Dockerfile
    build -q -t many:1 . >/dev/null
    docker run --rm --network none many:1 tar cf - -C /t . >"$T/many.tar"
    mkdir got && tar xf "$T/many.tar" -C got
    diff -r t got
}

@test "a Dockerfile from elsewhere with its own ignore file, from stdin; a tar from stdin" {
    mkdir "$T/else"
    printf 'FROM busybox\nCOPY . /c\n' >"$T/else/D"
    echo two >"$T/else/D.dockerignore"
    touch one two
    build -q -f "$T/else/D" -t e:1 . >/dev/null
    [ "$(docker run --rm --network none e:1 ls -A /c)" = one ]
    printf 'FROM busybox\nCOPY one /c/\n' | build -q -f - -t e:2 . >/dev/null
    [ "$(docker run --rm --network none e:2 ls /c)" = one ]
    printf 'FROM busybox\nENV only=this\n' | build -q -t e:3 - >/dev/null
    docker inspect -f '{{.Config.Env}}' e:3 | grep -q only=this
    printf 'FROM busybox\nCOPY two /c/\n' >Dockerfile
    tar cz . | build -q -t e:4 - >/dev/null
    [ "$(docker run --rm --network none e:4 ls /c)" = two ]
    rm Dockerfile
    run build .
    [ "$status" -eq 1 ] && [[ $output == *"failed to read dockerfile: open Dockerfile: no such file or directory"* ]]
}

@test "a large file arrives whole, whatever is told of while it comes" {
    local i
    mkdir -p d/m
    head -c 7000000 /dev/urandom >d/a
    ln -s a d/l
    ln -s ../a d/m/l
    printf 'FROM scratch\nCOPY d /d\n' >Dockerfile
    for i in 1 2 3 4 5 6; do # what is told of when is the client's choice
        build --no-cache -o "$T/large$i" .
        cmp d/a "$T/large$i/d/a"
        [ "$(readlink "$T/large$i/d/l" "$T/large$i/d/m/l" | xargs)" = 'a ../a' ]
    done
}

@test "-o: the files of the result in a folder and a tar" {
    files_of_the_result
    run build -o type=nope .
    [ "$status" -eq 1 ] && [[ $output == *'exporter "nope" could not be found'* ]]
}

@test "a failing step: its output, its name, the error; the exit code is 1" {
    printf 'FROM busybox\nRUN --network=none echo before; exit 7\n' >Dockerfile
    run build .
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"[2/2] RUN"* && $output == *before* && $output == *ERROR* && $output == *"exit code: 7"* ]]
    printf 'FROM busybox\nCOPY nothing /\n' >Dockerfile
    run build .
    [ "$status" -eq 1 ] && [[ $output == *nothing* ]]
    printf 'FROM busybox\nRUN --mount=type=secret,id=no,required --network=none true\n' >Dockerfile
    run build .
    [ "$status" -eq 1 ] && [[ $output == *"secret no: not found"* ]]
    printf 'FROM busybox\nNOPE\n' >Dockerfile
    run build .
    [ "$status" -eq 1 ] && [[ $output == *"unknown instruction: NOPE"* ]]
}

@test "the ssh agent is there while a step mounts it" {
    ssh_agent_in_a_step
    run build --no-cache .
    [ "$status" -eq 1 ] && [[ $output == *"unset ssh forward key default"* ]]
}

@test "credentials of the client reach the registry" {
    htpasswd -Bbn alice w0nder >"$T/htpasswd"
    mkdir -p "$T/registry"
    port=$(free_port)
    cat >"$T/auth.yml" <<EOF
version: 0.1
storage: {filesystem: {rootdirectory: $T/registry}}
auth: {htpasswd: {realm: r, path: $T/htpasswd}}
http: {addr: 127.0.0.1:$port}
EOF
    docker-registry serve "$T/auth.yml" </dev/null >"$T/registry.log" 2>&1 3>&- &
    echo $! >"$T/registry.pid"
    wait_until 10 curl -s -o /dev/null "http://127.0.0.1:$port/v2/"
    docker tag busybox "127.0.0.1:$port/base"
    docker login -u alice -p w0nder "127.0.0.1:$port" >/dev/null 2>&1
    docker push -q "127.0.0.1:$port/base" >/dev/null
    docker rmi "127.0.0.1:$port/base" >/dev/null
    printf 'FROM 127.0.0.1:%s/base\nENV a=b\n' "$port" >Dockerfile
    run build --pull .
    echo "$output"
    [ "$status" -eq 0 ] && [[ $output == *"[internal] pull"*"base"* ]]
    docker logout "127.0.0.1:$port" >/dev/null
    run build --pull .
    [ "$status" -eq 1 ]
}

@test "a client that goes away ends its build; nothing is left" {
    printf 'FROM busybox\nRUN --network=none touch /started; sleep 300\n' >Dockerfile
    build . >/dev/null 2>&1 3>&- &
    wait_until 10 pgrep -f '[s]leep 300' >/dev/null
    pkill -KILL -f "^$DOCKER_OLD build"
    wait_until 10 bash -c '! pgrep -f "[s]leep 300" >/dev/null'
    wait_until 10 bash -c '[ -z "$(docker ps -aq)" ]'
}

@test "POST /build/cancel ends a build" {
    printf 'FROM busybox\nRUN --network=none sleep 301\n' >Dockerfile
    tar c . | curl -s --unix-socket "$T/dray.sock" -H 'Content-Type: application/x-tar' --data-binary @- \
        "http://d/build?version=2&buildid=b1" >"$T/stream" 3>&- &
    wait_until 10 pgrep -f '[s]leep 301' >/dev/null
    [ "$(status_of POST '/build/cancel?id=other')" = 200 ]
    pgrep -f '[s]leep 301' >/dev/null
    [ "$(status_of POST '/build/cancel?id=b1')" = 200 ]
    wait_until 10 bash -c '! pgrep -f "[s]leep 301" >/dev/null'
    wait
    grep -q '"moby.buildkit.trace"' "$T/stream" && grep -q '"errorDetail"' "$T/stream"
    [ "$(status_of POST /build/cancel)" = 400 ]
    [ "$(status_of POST '/build?version=2&remote=client-session&session=nobody')" = 404 ]
    # A session that gives nothing but credentials may have ended: Node's does so over TLS.
    printf 'FROM busybox\nRUN --network=none echo without\n' >Dockerfile
    [[ $(tar c Dockerfile | timeout 4 curl -s --unix-socket "$T/dray.sock" -H 'Content-Type: application/x-tar' --data-binary @- \
        'http://d/build?version=2&session=nobody') == *'"moby.image.id"'* ]]
}

@test "hostile sessions: escapes, endless messages, broken frames, silence" {
    run timeout 100 /usr/bin/python3 "$BATS_TEST_DIRNAME/kit_hostile.py" "$T/dray.sock"
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(docker ps -aq)" = "" ]
    daemon_answers
}

@test "a client that is told of no builder takes the classic one" {
    [ -n "$DOCKER_OLD" ] || skip "no docker CLI of 20.10 here"
    printf 'FROM busybox\nRUN true\n' >Dockerfile
    run env -u DOCKER_BUILDKIT "$DOCKER_OLD" build -t classic:1 .
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"Step 2/2 : RUN true"*"Successfully tagged classic:1"* ]]
}
