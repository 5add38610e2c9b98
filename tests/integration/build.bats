#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# build.bats - docker build: Dockerfiles and what comes of them, the cache, failures, hostile contexts.

bats_require_minimum_version 1.5.0
load lib
source "$BATS_TEST_DIRNAME/build_cases.sh"

setup_file() {
    export DOCKER_BUILDKIT=0
    daemon_init
    daemon_start
    busybox_import
    build_context "$T/ctx"
}

teardown_file() { daemon_done; }

id_of() { docker build -q "$@" 2>/dev/null; }
quiet() { docker build "$@" 2>&1 | grep -v 'DEPRECATED\|BuildKit is currently\|environment-variable'; return "${PIPESTATUS[0]}"; }
here() { printf '%b' "$1" | quiet "${@:2}" -; } # a Dockerfile without a context

# On failure bats shows what was printed.
show() { printf "%s\n" "$output"; }

case_() {
    local name=$1 got
    printf '%s\n' "$2" >"$T/df-$name"
    N=$((N + 1))
    if ! quiet -q -f "$T/df-$name" -t "case:$name" "$T/ctx" >"$T/out" 2>&1; then
        echo "$name: build failed: $(cat "$T/out")"; BAD=1; return
    fi
    if [ -n "${3:-}" ]; then
        got=$(docker inspect -f "$3" "case:$name" 2>&1) || true
        [ "$got" = "$4" ] || { echo "$name: config is $got, not $4"; BAD=1; }
    fi
    [ -n "${5:-}" ] || return 0
    got=$(docker run --rm --net none --entrypoint /bin/sh -u 0 -w / "case:$name" -c "$5" 2>&1) || true
    [ "$got" = "$6" ] || { echo "$name: files are $got, not $6"; BAD=1; }
}

@test "Dockerfiles give the config and the files that Docker gives" {
    N=0 BAD=0
    build_cases
    echo "$N cases"
    [ "$N" -ge 80 ] && [ $BAD -eq 0 ]
}

@test "the answer is the classic builder's, line by line" {
    run here 'FROM busybox\nRUN echo out; echo err >&2\nCMD ["x"]\n' -t lines
    show
    [ "$status" -eq 0 ]
    id=$(docker inspect -f '{{.Id}}' lines)
    [[ "$output" == *"Step 1/3 : FROM busybox"$'\n'" ---> "* ]]
    [[ "$output" == *"Step 2/3 : RUN echo out; echo err >&2"$'\n'" ---> Running in "* ]]
    [[ "$output" == *$'\nout\n'* && "$output" == *$'\nerr\n'* && "$output" == *$'\n ---> Removed intermediate container '* ]]
    [[ "$output" == *"Successfully built ${id:7:12}"$'\n'"Successfully tagged lines:latest" ]]
    run here 'FROM busybox\nRUN echo out; echo err >&2\nCMD ["x"]\n' -t lines
    show
    [ "$(grep -c ' ---> Using cache' <<<"$output")" -eq 2 ]
    [ "$(docker inspect -f '{{.Id}}' lines)" = "$id" ]
    printf 'FROM busybox\nLABEL q=1\n' >"$T/df"
    tar -C "$T" -cf "$T/one.tar" --transform 's/df/Dockerfile/' df
    run api POST "/build?t=aux" --data-binary "@$T/one.tar" -H 'Content-Type: application/x-tar'
    [[ "$output" == *'{"aux":{"ID":"sha256:'* ]]
    run bash -c "printf 'FROM busybox\nLABEL q=1\n' | docker build -q - 2>/dev/null"
    [[ "$output" =~ ^sha256:[0-9a-f]{64}$ ]]
}

@test "history and created_by are worded as the classic builder words them" {
    printf 'FROM busybox\nARG V=1\nENV A=b\nRUN true\nCOPY f1 /x\nWORKDIR /w\nEXPOSE 80\nCMD ["sh"]\nUSER 1\nVOLUME /v\nLABEL a=b\n' >"$T/df"
    quiet -q -f "$T/df" -t hist "$T/ctx"
    run docker history --no-trunc --format '{{.CreatedBy}}' hist
    [ "${lines[0]}" = '/bin/sh -c #(nop)  LABEL a=b' ]
    [ "${lines[1]}" = '/bin/sh -c #(nop)  VOLUME [/v]' ]
    [ "${lines[2]}" = '/bin/sh -c #(nop)  USER 1' ]
    [ "${lines[3]}" = '/bin/sh -c #(nop)  CMD ["sh"]' ]
    [ "${lines[4]}" = '/bin/sh -c #(nop)  EXPOSE 80' ]
    [ "${lines[5]}" = '/bin/sh -c #(nop) WORKDIR /w' ]
    [[ "${lines[6]}" =~ ^'/bin/sh -c #(nop) COPY file:'[0-9a-f]{64}' in /x '$ ]]
    [ "${lines[7]}" = '|1 V=1 /bin/sh -c true' ]
    [ "${lines[8]}" = '/bin/sh -c #(nop)  ENV A=b' ]
    [ "${lines[9]}" = '/bin/sh -c #(nop)  ARG V=1' ]
}

@test "the cache knows files by content and mode, not by time" {
    printf 'FROM busybox\nCOPY dir /d\nRUN date +%%s >/when\n' >"$T/df"
    quiet -q -f "$T/df" -t c1 "$T/ctx"
    touch "$T/ctx/dir/top"
    quiet -q -f "$T/df" -t c2 "$T/ctx"
    [ "$(docker inspect -f '{{.Id}}' c1)" = "$(docker inspect -f '{{.Id}}' c2)" ]
    chmod 600 "$T/ctx/dir/top"
    quiet -q -f "$T/df" -t c3 "$T/ctx"
    [ "$(docker inspect -f '{{.Id}}' c1)" != "$(docker inspect -f '{{.Id}}' c3)" ]
    chmod 644 "$T/ctx/dir/top"
    run quiet --no-cache -f "$T/df" "$T/ctx"
    show
    [[ "$output" != *"Using cache"* ]]
}

@test "a failing RUN tells its code, keeps what is done, leaves nothing" {
    run here 'FROM busybox\nRUN echo kept >/k\nRUN echo shown; exit 7\n'
    show
    [ "$status" -eq 7 ]
    [[ "$output" == *shown* && "$output" == *"The command '/bin/sh -c echo shown; exit 7' returned a non-zero code: 7"* ]]
    [ -z "$(docker ps -aq)" ]
    run grep -E "$T/(exec|data)/(containers|builds|storage)" /proc/self/mountinfo
    [ -z "$output" ]
    [ -z "$(find /sys/fs/cgroup -maxdepth 3 -type d -path '*/dray/*')" ]
    run here 'FROM busybox\nRUN echo kept >/k\nRUN true\n'
    show
    [[ "$output" == *"Using cache"* ]]
}

@test "--rm=false keeps the containers of steps, as they ended" {
    run here 'FROM busybox\nRUN echo kept >/k\n' --no-cache --rm=false
    show
    [ "$status" -eq 0 ] && [[ "$output" != *"intermediate container"* ]]
    ids=$(docker ps -aq)
    [ "$(wc -w <<<"$ids")" -eq 1 ]
    docker cp "$ids:/k" - | tar -xO | grep -x kept
    docker rm "$ids"
    run here 'FROM busybox\nRUN echo gone >/k\n' --no-cache
    [[ "$output" == *" ---> Removed intermediate container "* ]]
    [ -z "$(docker ps -aq)" ]
}

@test "mistakes are told as Docker tells them" {
    run here 'FROM busybox\nRUNN x\n'
    show
    [ "$status" -ne 0 ] && [[ "$output" == *"unknown instruction: RUNN"* ]]
    run here 'FROM busybox\nCOPY nofile /\n'
    show
    [[ "$output" == *"COPY failed: file not found in build context or excluded by .dockerignore: stat nofile: file does not exist"* ]]
    run here 'FROM nosuchhost.invalid/x\n'
    show
    [ "$status" -ne 0 ]
    run here 'FROM busybox\n' --target nosuch
    show
    [[ "$output" == *"target stage \"nosuch\" could not be found"* ]]
    run here 'FROM busybox\nCOPY --chown=nobodyhere <<a /a\na\n'
    show
    [[ "$output" == *"no such user: nobodyhere"* || "$output" == *"unterminated heredoc"* ]]
    run here 'FROM busybox\nARG USED\nRUN echo $USED\n' --build-arg USED=1 --build-arg UNUSED=2
    show
    [[ "$output" == *"[Warning] One or more build-args [UNUSED] were not consumed"* ]]
}

@test "--target, --label, --build-arg, several tags, limits, squash" {
    run here 'FROM busybox AS a\nLABEL s=a\nFROM a AS b\nRUN false\n' --target a -t tgt:1 -t tgt:2 --label l1=v1
    show
    [ "$status" -eq 0 ]
    [ "$(docker inspect -f '{{json .Config.Labels}}' tgt:2)" = '{"l1":"v1","s":"a"}' ]
    run here 'FROM busybox\nARG V\nRUN echo $V; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; df -k /dev/shm | tail -1\n' --build-arg V=given -m 64m --shm-size 8m
    show
    [[ "$output" == *given* && "$output" == *67108864* && "$output" == *8192* ]]
    here 'FROM busybox\nRUN echo 1 >/1\nRUN echo 2 >/2; rm /1\n' -q >/dev/null
    run api POST "/build?t=sq&squash=1" --data-binary $'FROM busybox\nRUN echo 1 >/1\nRUN echo 2 >/2; rm /1\n' -H 'Content-Type: application/x-tar'
    [ "$(docker inspect -f '{{len .RootFS.Layers}}' sq)" -eq 2 ]
    run docker run --rm --net none sq sh -c 'cat /2; ls /1'
    [[ "$output" == 2$'\n'*"No such file"* ]]
}

@test "ONBUILD runs in the image that is built on it" {
    here 'FROM busybox\nONBUILD RUN echo trig >/t\nONBUILD ENV OB=1\n' -q -t ob >/dev/null
    run here 'FROM ob\nRUN cat /t\n' -t obc
    show
    [[ "$output" == *"# Executing 2 build triggers"* && "$output" == *$'\ntrig\n'* ]]
    [ "$(docker inspect -f '{{json .Config.OnBuild}}' obc)" = null ]
    here 'FROM busybox\nONBUILD COPY --from=st /q /z\n' -q -t ob >/dev/null
    run here 'FROM busybox AS below\nRUN echo below >/b\nFROM busybox AS st\nCOPY --from=below /b /q\nFROM ob\nRUN cat /z\n' -t obc
    show
    [[ "$status" -eq 0 && "$output" == *$'\nbelow\n'* && "$output" == *"FROM busybox AS st"* ]]
}

@test "SOURCE_DATE_EPOCH gives the same image twice" {
    printf 'FROM busybox\nCOPY . /c\nRUN echo a >/a; mkdir /d; touch /d/x\nWORKDIR /new/w\n' >"$T/df"
    a=$(id_of --no-cache --build-arg SOURCE_DATE_EPOCH=1600000000 -f "$T/df" "$T/ctx")
    sleep 1.1
    b=$(id_of --no-cache --build-arg SOURCE_DATE_EPOCH=1600000000 -f "$T/df" "$T/ctx")
    [ "$a" = "$b" ]
    [ "$(docker run --rm --net none "$a" stat -c %Y /a)" = 1600000000 ]
    [ "$(docker inspect -f '{{.Created}}' "$a")" = 2020-09-13T12:26:40Z ]
}

@test "cache mounts keep their folder, are counted and pruned" {
    here 'FROM busybox\nRUN --mount=type=cache,id=cm,target=/c echo 1 >>/c/log; cat /c/log | wc -l\n' -q >/dev/null
    run here 'FROM busybox\nRUN --mount=type=cache,id=cm,target=/c echo 1 >>/c/log; wc -l </c/log\n'
    show
    [[ "$output" == *$'\n2\n'* ]]
    run docker system df -v --format '{{range .BuildCache}}{{.CacheType}} {{end}}'
    [[ "$output" == *exec.cachemount* && "$output" == *regular* ]]
    run docker builder prune -f --filter type=exec.cachemount
    [ "$status" -eq 0 ]
    run here 'FROM busybox\nRUN --mount=type=cache,id=cm,target=/c echo 1 >>/c/log; echo n=$(wc -l </c/log)\n'
    show
    [[ "$output" == *n=1* ]]
    here 'FROM busybox\nRUN echo gone >/gone\n' -q -t gone >/dev/null
    docker rmi gone >/dev/null
    run docker builder prune -af
    [[ "$output" == *"Total reclaimed space:"* ]]
    run here 'FROM busybox\nRUN echo gone >/gone\n'
    show
    [[ "$output" != *"Using cache"* ]]
}

@test "stages that need not wait for each other run side by side" {
    start=$(date +%s%N)
    run here 'FROM busybox AS a\nRUN sleep 1; echo a >/x\nFROM busybox AS b\nRUN sleep 1; echo b >/x\nFROM busybox\nCOPY --from=a /x /a\nCOPY --from=b /x /b\nRUN cat /a /b\n' --no-cache
    show
    [ "$status" -eq 0 ]
    [ $((($(date +%s%N) - start) / 1000000)) -lt 1900 ]
    [[ "$output" == *$'\na\nb\n'* ]]
}

@test "a client that goes ends its build" {
    printf 'FROM busybox\nRUN sleep 60\n' >"$T/df"
    docker build -f "$T/df" "$T/ctx" >/dev/null 2>&1 3>&- &
    pid=$!
    wait_until 10 bash -c '[ -n "$(docker ps -q)" ]'
    kill -KILL $pid
    wait_until 10 bash -c '[ -z "$(docker ps -aq)" ]'
}

@test "kill -9 of the daemon in a step: the next build goes on from the cache" {
    printf 'FROM busybox\nRUN echo before >/b\nCOPY f1 /x\nRUN sleep 60\n' >"$T/df"
    docker build -f "$T/df" "$T/ctx" >/dev/null 2>&1 3>&- &
    wait_until 10 bash -c '[ -n "$(docker ps -q)" ]'
    daemon_kill
    daemon_start
    [ -z "$(docker ps -aq)" ]
    sed -i 's/sleep 60/true/' "$T/df"
    run quiet -f "$T/df" "$T/ctx"
    show
    [ "$status" -eq 0 ]
    [ "$(grep -c 'Using cache' <<<"$output")" -eq 2 ]
}

@test "contexts that point outside are refused or confined" {
    python3 - "$T" <<'PY'
import io, sys, tarfile
def make(name, entries):
    with tarfile.open(f"{sys.argv[1]}/{name}.tar", "w") as t:
        for n, kind, link, data in entries:
            i = tarfile.TarInfo(n); i.type = kind; i.linkname = link or ""; i.size = len(data); i.mode = 0o755
            t.addfile(i, io.BytesIO(data))
df = b"FROM busybox\nCOPY . /c\nRUN ls -R /c; cat /c/* 2>/dev/null; true\n"
R, S, D, H = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.LNKTYPE
make("up", [("Dockerfile", R, None, df), ("../../up", R, None, b"x")])
make("ln", [("Dockerfile", R, None, df), ("l", S, "/etc", b""), ("l/passwd2", R, None, b"inside")])
make("hard", [("Dockerfile", R, None, df), ("h", H, "../../etc/passwd", b"")])
make("src", [("Dockerfile", R, None, b"FROM busybox\nCOPY l /x\n"), ("l", S, "/etc/shadow", b"")])
make("wh", [("Dockerfile", R, None, df), (".wh.bin", R, None, b"")])
make("abs", [("Dockerfile", R, None, df), ("/abs", R, None, b"fine")])
PY
    run quiet - <"$T/up.tar"
    show
    [ "$status" -eq 0 ]
    [[ "$output" == *$'/c:\n'*up* ]]
    for name in hard wh; do
        run quiet - <"$T/$name.tar"
        show
        [ "$status" -ne 0 ]
        [[ "$output" == *"outside of it"* || "$output" == *".wh."* || "$output" == *"not there"* ]]
    done
    run quiet - <"$T/ln.tar"
    show
    [ "$status" -eq 0 ]
    [ ! -e /etc/passwd2 ] && [[ "$output" == *passwd2* ]]
    run quiet - <"$T/src.tar"
    show
    [ "$status" -ne 0 ] && [[ "$output" == *"file not found in build context"* ]]
    run quiet - <"$T/abs.tar"
    show
    [ "$status" -eq 0 ] && [[ "$output" == *fine* ]]
}

@test "contexts come compressed in any way" {
    mkdir -p "$T/z" && printf 'FROM busybox\nCOPY x /x\n' >"$T/z/Dockerfile" && echo z >"$T/z/x"
    for how in gzip bzip2 xz zstd; do
        tar -C "$T/z" -c . | $how -c >"$T/z.tar"
        run quiet - <"$T/z.tar"
        show
        [ "$status" -eq 0 ]
    done
}

@test "ADD and remote= fetch files, archives and repositories" {
    mkdir -p "$T/web/repo" && cp "$T/ctx/f1" "$T/ctx/a.tar" "$T/web/"
    printf 'FROM busybox\nRUN echo from-afar\n' >"$T/web/Dockerfile"
    tar -C "$T/web" -czf "$T/web/ctx.tar.gz" Dockerfile
    (cd "$T/web/repo" && git init -q && printf 'FROM busybox\nCOPY in /in\nRUN cat /in; ls -a /\n' >Dockerfile && echo in-git >in &&
        git add . && git -c user.name=t -c user.email=t@t commit -qm t && git update-server-info && mv .git ../x.git)
    port=$(free_port)
    (cd "$T/web" && exec python3 -m http.server --bind 127.0.0.1 "$port") >/dev/null 2>&1 3>&- &
    web=$!
    url=http://127.0.0.1:$port
    wait_until 5 curl -sfo /dev/null "$url/f1"
    sum=$(sha256sum <"$T/ctx/f1" | cut -d' ' -f1)
    run here "FROM busybox\nADD --checksum=sha256:$sum $url/f1 /u/\nADD $url/a.tar /u/\nRUN stat -c '%a %n' /u/*; cat /u/f1\n"
    show
    [[ "$status" -eq 0 && "$output" == *$'600 /u/a.tar\n600 /u/f1\none'* ]]
    run here "FROM busybox\nADD --checksum=sha256:${sum//[0-9]/0} $url/f1 /u/\n"
    [[ "$status" -ne 0 && "$output" == *"digest mismatch"* ]]
    run here "FROM busybox\nADD $url/none /u/\n"
    [[ "$status" -ne 0 && "$output" == *"with status 404"* ]]
    for remote in Dockerfile ctx.tar.gz; do
        run api POST "/build?remote=$url/$remote"
        show
        [[ "$output" == *from-afar* && "$output" == *"Successfully built"* ]]
    done
    run api POST "/build?remote=$url/x.git"
    show
    kill $web
    [[ "$output" == *in-git* && "$output" == *"Successfully built"* ]]
}
