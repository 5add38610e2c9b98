#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# build_buildx.bats - builds by buildx and compose 2, which call the daemon over POST /grpc.

bats_require_minimum_version 1.5.0
load lib
load build_kit

setup_file() {
    BUILDX=$("$BATS_TEST_DIRNAME/buildx.sh" 2>"$BATS_FILE_TMPDIR/why") || skip "$(cat "$BATS_FILE_TMPDIR/why")"
    export BUILDX PATH="$BUILDX:$PATH"
    unset DOCKER_BUILDKIT
    daemon_init
    mkdir -p "$DOCKER_CONFIG"
    ln -s "$BUILDX/cli-plugins" "$DOCKER_CONFIG/cli-plugins"
    daemon_start
    busybox_import
}

teardown_file() {
    [ -n "$T" ] || return 0
    docker rmi -f "$(docker images -q)" >/dev/null 2>&1
    daemon_done
}

build() { timeout 60 docker build --progress plain "$@"; }
quiet() { timeout 60 docker build -q "$@" >/dev/null; }

@test "docker build: stages, arguments, labels, a secret, tags, the cache" {
    printf 'FROM busybox AS base\nARG A=1\nRUN --network=none --mount=type=secret,id=s grep -q s3cr3t /run/secrets/s; echo hello $A >&2; echo $A > /out\nFROM base AS unused\nRUN false\nFROM busybox\nCOPY --from=base /out /out\nCOPY . /ctx\n' >Dockerfile
    mkdir -p d/e && echo x >d/e/f && ln -s e/f d/l && touch no
    head -c 9000000 /dev/urandom >big
    echo no >.dockerignore
    echo s3cr3t-value >"$T/secret"
    run build --build-arg A=7 --label l=v --secret "id=s,src=$T/secret" -t x:1 -t x:2 --iidfile "$T/iid" --metadata-file "$T/md" .
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"using docker driver"* && $output == *"[base 2/2] RUN"* && $output == *"hello 7"* ]]
    [[ $output == *"[base 1/2] FROM docker.io/library/busybox:latest"* && $output == *"naming to docker.io/library/x:2"* && $output != *s3cr3t-value* ]]
    [ "$(docker inspect -f '{{.Id}} {{.Config.Labels}}' x:2)" = "$(cat "$T/iid") map[l:v]" ]
    python3 -c "import json; d=json.load(open('$T/md')); assert d['containerimage.config.digest']==open('$T/iid').read(), d"
    [ "$(docker run --rm --network none x:1 sh -c 'cd /ctx; find . | sort; cat /out d/l' | tr '\n' ' ')" = \
        ". ./.dockerignore ./Dockerfile ./big ./d ./d/e ./d/e/f ./d/l 7 x " ]
    cmp big <(docker run --rm --network none x:1 cat /ctx/big)
    run build --build-arg A=7 --label l=v --secret "id=s,src=$T/secret" .
    [ "$status" -eq 0 ] && [[ $output == *CACHED* && ! $output =~ [0-9]" hello 7" ]]
    run build --no-cache --target base .
    [ "$status" -eq 0 ] && [[ $output == *"hello 1"* && $output != *CACHED* ]]
    run build --add-host there:10.9.8.7 --ulimit nofile=321:654 --shm-size 12m --network none -f - . <<<'FROM busybox
RUN grep 10.9.8.7 /etc/hosts && ulimit -n && df -k /dev/shm'
    echo "$output"
    [ "$status" -eq 0 ] && [[ $output == *there* && $output == *321* && $output == *12288* ]]
}

@test "contexts: a Dockerfile from elsewhere and from stdin, a tar and a Dockerfile alone on stdin" {
    mkdir "$T/else"
    printf 'FROM busybox\nCOPY . /c\n' >"$T/else/D"
    echo two >"$T/else/D.dockerignore"
    touch one two
    quiet -f "$T/else/D" -t e:1 .
    [ "$(docker run --rm --network none e:1 ls -A /c)" = one ]
    printf 'FROM busybox\nCOPY one /c/\n' | quiet -f - -t e:2 .
    [ "$(docker run --rm --network none e:2 ls /c)" = one ]
    printf 'FROM busybox\nENV only=this\n' | quiet -t e:3 -
    docker inspect -f '{{.Config.Env}}' e:3 | grep -q only=this
    printf 'FROM busybox\nCOPY two /c/\n' >Dockerfile
    tar cz . | quiet -t e:4 -
    [ "$(docker run --rm --network none e:4 ls /c)" = two ]
}

@test "-o: the files of the result in a folder and a tar" {
    files_of_the_result
}

@test "failures: BuildKit's words, the exit code; what is not supported says so" {
    printf 'FROM busybox\nRUN --network=none echo before; exit 7\n' >Dockerfile
    run build .
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *'ERROR: failed to solve: process "/bin/sh -c echo before; exit 7" did not complete successfully: exit code: 7'* ]]
    [[ $output == *" > [2/2] RUN"* && $output == *before* ]]
    [[ $output == *"
Dockerfile:2
--------------------
   1 |     FROM busybox
   2 | >>> RUN --network=none echo before; exit 7
   3 |     
--------------------
"* ]]
    printf 'FROM busybox\nCOPY nothing /\n' >Dockerfile
    run build .
    [ "$status" -eq 1 ] && [[ $output == *'"/nothing": not found'* && $output == *"2 | >>> COPY nothing /"* ]]
    printf 'FROM busybox\nNOPE\n' >Dockerfile
    run build .
    [ "$status" -eq 1 ] && [[ $output == *"unknown instruction: NOPE"* && $output == *"2 | >>> NOPE"* ]]
    rm Dockerfile
    run build .
    [ "$status" -eq 1 ] && [[ $output == *"open Dockerfile: no such file or directory"* ]]
    printf 'FROM busybox\n' >Dockerfile
    mkdir -p lay && printf '{"imageLayoutVersion":"1.0.0"}' >lay/oci-layout
    run build --build-context "other=oci-layout://$PWD/lay@sha256:$(printf '0%.0s' {1..64})" .
    [ "$status" -eq 1 ] && [[ $output == *"context other: oci-layout://"*" is not supported"* ]]
}

@test "named contexts afar: a repository and a file, each fetched once; the empty image" {
    mkdir -p "$T/far/r/sub" && echo plain >"$T/far/plain"
    (cd "$T/far/r" && git init -q && echo one >f && echo sub >sub/g && git add . && git -c user.name=t -c user.email=t@t commit -qm t &&
        git tag v1 && echo two >f && git -c user.name=t -c user.email=t@t commit -qam t && git update-server-info && mv .git ../x.git)
    port=$(free_port)
    (cd "$T/far" && exec python3 -m http.server --bind 127.0.0.1 "$port") >"$T/far.log" 2>&1 3>&- &
    web=$!
    url=http://127.0.0.1:$port
    wait_until 5 curl -sfo /dev/null "$url/plain"
    printf 'FROM repo AS it\nFROM busybox\nCOPY --from=it / /i/\nCOPY --from=tag / /t/\nCOPY --from=file / /f/\nCOPY --from=empty / /e/\nRUN --network=none --mount=from=file,target=/m cp /m/plain /p; cat /i/f /t/g /f/plain /p; ls -A /e\n' >Dockerfile
    far=(--build-context "repo=$url/x.git" --build-context "tag=$url/x.git#v1:sub" --build-context "file=$url/plain" --build-context empty=docker-image://scratch)
    run build "${far[@]}" .
    echo "$output"
    [ "$status" -eq 0 ] && [[ $output == *"load git source $url/x.git#v1:sub"* && $output == *"[context file] $url/plain"* ]]
    [ "$(sed -n 's/^#[0-9]* [0-9.]* \(two\|sub\|plain\)$/\1/p' <<<"$output" | xargs)" = 'two sub plain plain' ]
    [ "$(grep -c 'GET /plain' "$T/far.log")" = 2 ] # one is curl's
    run build "${far[@]}" .
    [ "$status" -eq 0 ] && [[ ! $output =~ [0-9]" two" ]]
    run build --build-context "repo=$url/none.git" "${far[@]:2}" .
    kill $web
    [ "$status" -eq 1 ] && [[ $output == *"$url/none.git/"*"not found"* ]]
}

@test "of an endless file nothing is kept when its client gives up amid it" {
    truncate -s 1T huge
    printf 'FROM busybox\nCOPY huge /\n' >Dockerfile
    run timeout 1 docker build --progress plain .
    [ "$status" -ne 0 ]
    wait_until 5 bash -c "! ls -l /proc/$(cat "$T/drayd.pid")/fd | grep -q 'build/contexts/.*(deleted)'"
    rm huge
}

@test "ONBUILD names a stage that nothing else needs, and what is in the context" {
    printf 'FROM busybox\nONBUILD COPY --from=st /q /z\n' | quiet -t trig -
    echo ctx >file
    printf 'FROM busybox AS below\nCOPY file /b\nFROM busybox AS st\nCOPY --from=below /b /q\nFROM trig AS one\nFROM trig\nCOPY --from=one /z /y\nRUN --network=none cat /z /y\n' >Dockerfile
    run build .
    echo "$output"
    [ "$status" -eq 0 ] && [ "$(sed -n 's/^#[0-9]* [0-9.]* ctx$/ctx/p' <<<"$output" | wc -l)" = 2 ]
    docker rmi trig
}

@test "what reads a Dockerfile is the engine, whatever image is named for that; warnings come first" {
    printf '# syntax=docker/dockerfile:1\nFROM busybox AS Up\nRUN --network=none false\n' >Dockerfile
    run build --build-arg BUILDKIT_SYNTAX=docker/dockerfile:1.7-labs .
    echo "$output"
    [ "$status" -eq 1 ] && [[ $output == *"WARN: StageNameCasing"*"exit code: 1"* ]]
}

@test "a base image of another platform is warned of" {
    printf 'FROM scratch\nCOPY Dockerfile /\n' >Dockerfile
    quiet --platform linux/s390x -t other .
    printf 'FROM other\n' >Dockerfile
    run build .
    echo "$output"
    [[ $output == *'InvalidBaseImagePlatform: Base image other was pulled with platform "linux/s390x", expected "linux/'* ]]
    run build --build-arg BUILDKIT_DOCKERFILE_CHECK=skip=InvalidBaseImagePlatform .
    [[ $output != *InvalidBaseImagePlatform* ]]
    printf 'FROM --platform=linux/s390x other\n' >Dockerfile
    run build .
    [[ $output != *InvalidBaseImagePlatform* ]]
    docker rmi other
}

@test "named contexts: folders and images, for COPY, RUN --mount and FROM" {
    mkdir extra extra/sub root ctx
    head -c 1000000 /dev/urandom >extra/sub/big
    echo one >extra/f && echo two >extra/sub/g && echo no >extra/secret && echo secret >extra/.dockerignore
    echo base >root/base
    docker tag busybox other:7
    cat >ctx/Dockerfile <<'END'
FROM busybox AS a
COPY --from=alpine:latest /etc/group /group
RUN --network=none --mount=type=bind,from=extra,target=/e cat /e/f >/got && ls /e >/names
RUN --network=none --mount=type=bind,from=extra_2,source=sub,target=/e cat /e/g >>/got
FROM root
COPY --from=a /got /names /group /
COPY --from=extra sub /sub
END
    contexts=(--build-context "extra=extra" --build-context "extra_2=extra" --build-context root=root
        --build-context alpine=docker-image://other:7)
    run build "${contexts[@]}" -t named:1 ctx
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"[context extra] load from client"* ]]
    id=$(docker create named:1 x)
    docker export "$id" | tar -xf - -C "$C" got names group base sub
    [ "$(cat got base sub/g)" = $'one\ntwo\nbase\ntwo' ]
    [ "$(cat names)" = $'f\nsub' ]
    grep -q ^root: group
    # What has not changed is not made again; what has, is.
    run build "${contexts[@]}" -t named:1 ctx
    echo "$output" | grep -v transf;     [ "$(grep -c CACHED <<<"$output")" -ge 4 ]
    echo three >extra/f
    run build "${contexts[@]}" -t named:1 ctx
    [ "$status" -eq 0 ] && [[ $output == *"transferring files: 6B"* && $output != *MB* ]]
    docker rm "$id" && id=$(docker create named:1 x)
    [ "$(docker cp "$id:/got" - | tar -xOf -)" = $'three\ntwo' ]
    docker cp "$id:/sub/big" - | tar -xOf - | cmp - extra/sub/big
    docker rm "$id"
    docker rmi named:1 other:7
    run build --build-context "extra=nosuch" ctx
    [ "$status" -ne 0 ]
}

@test "bake: targets side by side, one as a context of another" {
    printf 'FROM busybox\nARG V\nRUN --network=none echo $V >/v\n' >Dockerfile
    printf 'FROM base\nRUN --network=none cat /v\nCOPY --from=base /v /w\n' >Dockerfile.top
    printf 'FROM base\n' >Dockerfile.same
    cat >docker-bake.hcl <<'E'
group "default" { targets = ["m", "top"] }
target "m" {
  name   = "m-${v}"
  matrix = { v = ["1", "2"] }
  args   = { V = v }
  tags   = ["bake:${v}"]
}
target "hidden" {
  args = { V = "hidden" }
}
target "top" {
  dockerfile = "Dockerfile.top"
  tags       = ["bake:top"]
  contexts   = { base = "target:hidden" }
}
target "same" {
  dockerfile = "Dockerfile.same"
  tags       = ["bake:same"]
  contexts   = { base = "target:hidden" }
}
E
    run timeout 60 docker buildx bake --progress plain --metadata-file "$T/md"
    echo "$output"
    [ "$status" -eq 0 ] && [[ $output != *"unknown method"* ]]
    python3 -c "import json; d=json.load(open('$T/md')); assert d['m-1']['image.name']=='docker.io/library/bake:1', d"
    [ "$(docker images --format '{{.Tag}}' bake | sort | xargs)" = '1 2 top' ]
    [ "$(docker run --rm --network none bake:2 cat /v)" = 2 ]
    [ "$(docker run --rm --network none bake:top cat /w)" = hidden ]
    run timeout 60 docker buildx bake --progress plain same
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(docker run --rm --network none bake:same cat /v)" = hidden ]
    docker rmi bake:1 bake:2 bake:top bake:same
}

@test "results that go elsewhere leave no image; several places at once" {
    printf 'FROM busybox\nRUN --network=none echo %s >/only-files\n' "$RANDOM$RANDOM" >Dockerfile
    before=$(docker images -aq --no-trunc | sort)
    quiet -t not:named -o type=cacheonly .
    build -o "$T/files" -o "type=tar,dest=$T/files.tar" .
    tar xOf "$T/files.tar" only-files | cmp "$T/files/only-files"
    [ "$(docker images -aq --no-trunc | sort)" = "$before" ]
    build -t here:too -o "$T/files2" -o type=docker .
    cmp "$T/files/only-files" "$T/files2/only-files"
    docker rmi here:too
}

# Bytes of the context that a build was sent: "none" when it was not even asked for.
sent() {
    build "$@" >"$T/sent" 2>&1 || { cat "$T/sent"; return 1; }
    grep -q 'load build context' "$T/sent" || { echo none; return; }
    grep -oE 'transferring context: [0-9.]+[kMG]?B' "$T/sent" | tail -n 1 | cut -d' ' -f3
}

@test "of the context comes what the Dockerfile names, and of that what has changed" {
    mkdir -p d/e && echo 1 >d/e/f && ln d/e/f d/hard && ln -s e/f d/soft && echo x >d-x && echo z >z
    head -c 3000000 /dev/urandom >big
    printf 'FROM busybox\nRUN --network=none true\n' >Dockerfile
    [ "$(sent .)" = none ]
    printf 'FROM busybox\nCOPY d/e d-* /c/\n' >Dockerfile
    [ "$(sent -t part:1 .)" = 4B ]
    [ "$(docker run --rm --network none part:1 sh -c 'cd /c; find . | sort | xargs')" = '. ./d-x ./f' ]
    printf 'FROM busybox\nCOPY . /c\n' >Dockerfile
    [ "$(sent -t part:2 .)" = 3.00MB ]
    [ -z "$(sent -t part:3 .)" ]
    [ "$(docker inspect -f '{{.Id}}' part:2)" = "$(docker inspect -f '{{.Id}}' part:3)" ]
    echo y >small && rm z
    [ "$(sent -t part:4 .)" = 2B ]
    rm -rf got && mkdir "$T/got" && docker run --rm --network none part:4 tar cf - -C /c . | tar xf - -C "$T/got"
    diff -r --no-dereference . "$T/got"
    [ "$(readlink "$T/got/d/soft")" = e/f ]
    # Of the same size and time, but another content: another inode tells nothing, the time does.
    printf 'n\n' >small && touch -d '1 minute ago' small
    [ "$(sent -t part:5 .)" = 2B ]
    [ "$(docker run --rm --network none part:5 cat /c/small)" = n ]
    printf 'FROM busybox\nONBUILD COPY small d-x /s/\n' >Dockerfile
    quiet -t part:base .
    printf 'FROM part:base\nARG A=d/e\nCOPY $A/f /f\n' >Dockerfile
    quiet -t part:6 .
    [ "$(docker run --rm --network none part:6 cat /s/small /s/d-x /f | xargs)" = 'n x 1' ]
    run docker buildx du --verbose
    [[ $output == *source.local* ]]
    docker builder prune -f --filter type=source.local
    [ -z "$(ls "$T/data/build/contexts")" ]
    quiet . # and comes whole again
    docker rmi part:1 part:2 part:3 part:4 part:5 part:6 part:base
}

@test "compose: additional contexts" {
    mkdir res && echo yes >res/f
    printf 'services:\n  a:\n    image: addctx:1\n    build:\n      context: .\n      additional_contexts: {res: ./res}\n      dockerfile_inline: |\n        FROM busybox\n        COPY --from=res f /f\n' >compose.yaml
    docker compose build
    [ "$(docker run --rm --network none addctx:1 cat /f)" = yes ]
    docker rmi addctx:1
}

@test "compose: a service's image as a context" {
    [[ $(docker compose version --short) =~ ^v?2\.([3-9][0-9]) ]] || skip "this compose has no contexts of services"
    printf 'services:\n  a:\n    image: addctx:1\n    build:\n      dockerfile_inline: |\n        FROM busybox\n        RUN --network=none echo yes >/f\n  b:\n    image: addctx:2\n    build:\n      additional_contexts: {up: "service:a"}\n      dockerfile_inline: |\n        FROM up\n        RUN --network=none cat /f >/g\n' >compose.yaml
    docker compose build
    [ "$(docker run --rm --network none addctx:2 cat /f /g | xargs)" = 'yes yes' ]
    docker rmi addctx:1 addctx:2
}

@test "the frontend's request lint tells what is wrong with a Dockerfile, and builds nothing" {
    export BUILDX_EXPERIMENTAL=1
    printf 'FROM busybox AS Foo\nRUN false\nENV A B\n' >Dockerfile
    run build --print=lint .
    echo "$output"
    [[ $output == *"WARNING: StageNameCasing - https://docs.docker.com/go/dockerfile/rule/stage-name-casing/"* ]]
    [[ $output == *"1 | >>> FROM busybox AS Foo"* && $output == *LegacyKeyValueFormat* && $output != *exporting* ]]
    run build --print=nope .
    [ "$status" -eq 1 ] && [[ $output == *"unsupported request frontend.nope"* ]]
}

@test "requests outline and targets tell of a Dockerfile: arguments, secrets, agents, stages" {
    export BUILDX_EXPERIMENTAL=1
    printf 'ARG TAG=latest\nARG UNUSED=1\n# base is where it begins\nFROM busybox:$TAG AS base\n# V is a version\nARG V=2\nARG Z\nRUN --mount=type=secret,id=s,required --mount=type=ssh false\nFROM base\nARG W=a$V\n' >Dockerfile
    build --print=outline,format=json --build-arg Z=7 . >"$T/outline" 2>/dev/null
    build --print=outline,format=json --target base . >"$T/base" 2>/dev/null
    build --print=targets,format=json . >"$T/targets" 2>/dev/null
    build --print=subrequests.describe . >"$T/list"
    python3 - "$T" <<'E'
import base64, json, sys
def load(name): return json.load(open(f"{sys.argv[1]}/{name}"))
o = load("outline")
args = [(a["name"], a.get("value"), a.get("description"), a["location"]["ranges"][0]["start"]["line"]) for a in o["args"]]
assert args == [("TAG", "latest", None, 1), ("V", "2", "is a version", 6), ("Z", "7", None, 7), ("W", "a2", None, 10)], args
assert [(s["name"], s.get("required")) for s in o["secrets"] + o["ssh"]] == [("s", True), ("default", None)], o
assert base64.b64decode(o["sources"][0]) == open("Dockerfile", "rb").read()
b = load("base")
assert (b["name"], b["description"], [a["name"] for a in b["args"]]) == ("base", "is where it begins", ["TAG", "V", "Z"]), b
t = load("targets")["targets"]
assert [(x.get("name"), x.get("default"), x["base"]) for x in t] == [("base", None, "busybox:$TAG"), (None, True, "base")], t
E
    grep -q '^outline  *1.0.0' "$T/list"
}

@test "a named context goes before a stage of its name, which is not built" {
    mkdir ov && echo ov >ov/f
    printf 'FROM busybox AS st\nRUN false\nFROM busybox AS keep\nRUN --network=none echo kept >/k\nFROM busybox\nCOPY --from=st /f /f\nCOPY --from=0 /f /f0\nCOPY --from=keep /k /k\n' >Dockerfile
    quiet --build-context st=ov -t over:1 .
    [ "$(docker run --rm --network none over:1 cat /f /f0 /k | xargs)" = 'ov ov kept' ]
    printf 'FROM busybox AS st\nRUN false\nFROM st\nRUN --network=none echo replaced >/r\n' >Dockerfile
    run build --build-context st=docker-image://busybox -t over:2 .
    echo "$output"
    [ "$status" -eq 0 ] && [[ $output == *"[context st] load metadata for busybox"* ]]
    docker rmi over:1 over:2
}

@test "stages that do without the cache; arguments that stages have of those below them" {
    printf 'FROM busybox AS base\nARG V=2\nRUN --network=none echo base\nFROM base AS top\nRUN --network=none echo "top-$V-"\n' >Dockerfile
    quiet .
    run build --no-cache-filter top .
    echo "$output"
    [ "$status" -eq 0 ] && [[ $output == *CACHED* && $output == *" top-2-"* ]]
    run build --no-cache-filter base,top .
    [ "$status" -eq 0 ] && [[ $output != *CACHED* ]]
    run build .
    [ "$status" -eq 0 ] && [[ $output != *" top-2-"* ]]
}

@test "the ssh agent is there while a step mounts it" {
    ssh_agent_in_a_step
}

@test "buildx ls, inspect, du, prune" {
    printf 'FROM busybox\nRUN --network=none echo cached-thing > /f\n' >Dockerfile
    quiet .
    [[ $(docker buildx ls) == *default*docker*running*linux/amd64* ]]
    [[ $(docker buildx inspect) == *"Driver:"*docker*running* ]]
    run docker buildx du --verbose
    echo "$output"
    [[ $output == *cached-thing* ]]
    run docker buildx prune -af
    echo "$output"
    [ "$status" -eq 0 ] && [[ $output == *Total:* ]]
    run docker buildx du --verbose
    [[ $output != *cached-thing* ]]
}

@test "compose builds by buildx, and starts what it has built" {
    mkdir app && echo page >app/page && printf 'FROM busybox\nARG V=0\nCOPY page /\nRUN --network=none echo $V > /v\nCMD ["sh","-c","cat /page /v"]\n' >app/Dockerfile
    printf 'services:\n  one: {build: {context: app, args: {V: 5}}, network_mode: none}\n  two: {build: {context: app, args: {V: 6}}, network_mode: none}\n' >docker-compose.yml
    run timeout 60 docker compose -p kit --progress plain build
    echo "$output"
    [ "$status" -eq 0 ] && [[ $output == *"transferring context"* ]]
    run timeout 60 docker compose -p kit up --build
    echo "$output"
    [ "$status" -eq 0 ] && [[ $output == *page* && $output == *5* && $output == *6* ]]
    docker compose -p kit down -t 0 >/dev/null 2>&1
}

@test "a client that goes away ends its build; nothing is left" {
    printf 'FROM busybox\nRUN --network=none sleep 302\n' >Dockerfile
    build . >/dev/null 2>&1 3>&- &
    wait_until 10 pgrep -f '[s]leep 302' >/dev/null
    # shellcheck disable=SC2046
    kill -KILL $(pgrep -f 'docker-buildx .*build --progress plain')
    wait_until 10 bash -c '! pgrep -f "[s]leep 302" >/dev/null'
    wait_until 10 bash -c '[ -z "$(docker ps -aq)" ]'
}
