#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# build_client.bats - dray build: what is sent, how progress is shown, what becomes of the image.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() {
    docker rmi -f "$(docker images -q)" >/dev/null 2>&1
    daemon_done
}

setup() {
    C=$(mktemp -d "$T/ctx.XXXXXX")
    cd "$C" || return 1
}

teardown() {
    cd / && rm -rf "$C"
}

# The files of a built image, one a line.
files_of() { # ARGS of dray build
    dray build -q "$@" -o "type=tar,dest=$T/files.tar" . >/dev/null && tar tf "$T/files.tar" | sed 's:/$::' | sort
}

@test "the plain view tells of steps, their output, the cache, the image" {
    printf 'FROM busybox AS base\nRUN --network=none echo one; echo two >&2\nFROM base\nCOPY a /\n' >Dockerfile
    echo x >a
    run --separate-stderr dray build --progress plain -t plain:1 .
    echo "$stderr"
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    [[ $stderr == *"] FROM docker.io/library/busybox:latest"* ]]
    [[ $stderr == *"[base 2/2] RUN --network=none echo one; echo two >&2"* ]]
    [[ $stderr =~ \#[0-9]+\ [0-9.]+\ one ]]
    [[ $stderr =~ \#[0-9]+\ DONE\ [0-9.]+s ]]
    [[ $stderr == *"writing image sha256:"* && $stderr == *"naming to plain:1"* ]]
    [[ $stderr != *"Step 1/"* ]]
    run --separate-stderr dray build --progress plain .
    [ "$status" -eq 0 ]
    [[ $stderr == *CACHED* ]]
}

@test "the classic view is docker's" {
    printf 'FROM busybox\nLABEL a=b\nENV c=d\n' >Dockerfile
    DOCKER_BUILDKIT=0 dray build -q . >/dev/null
    DOCKER_BUILDKIT=0 docker build . 2>/dev/null >"$T/want"
    DOCKER_BUILDKIT=0 dray build . >"$T/got"
    diff <(grep -v -e 'Sending build' -e DEPRECATED "$T/want") <(grep -v 'Sending build' "$T/got")
    grep -q 'Successfully built' "$T/got"
}

@test "rawjson, quiet, and the live view on a terminal" {
    printf 'FROM busybox\nRUN --network=none echo hello-there; sleep 0.3\n' >Dockerfile
    run --separate-stderr dray build --progress rawjson .
    [ "$status" -eq 0 ]
    grep -q '"step"' <<<"$stderr"
    python3 -c 'import json,sys; [json.loads(l) for l in sys.stdin]' <<<"$stderr"
    run --separate-stderr dray build -q .
    [[ $output =~ ^sha256:[0-9a-f]{64}$ ]]
    [ -z "$stderr" ]
    run env TERM=xterm script -qec "dray build --no-cache ." /dev/null
    [ "$status" -eq 0 ]
    [[ $output == *"[+] Building"* && $output == *"hello-there"* && $output == *FINISHED* ]]
}

@test "a failing step: its output, its name, the exit code" {
    printf 'FROM busybox\nRUN --network=none echo before; exit 7\n' >Dockerfile
    run --separate-stderr dray build --progress plain .
    echo "$stderr"
    [ "$status" -eq 7 ]
    [[ $stderr == *"returned a non-zero code: 7"* ]]
    [[ $stderr == *" > [2/2] RUN --network=none echo before; exit 7:"* ]]
    run dray build --progress classic .
    [ "$status" -eq 7 ]
}

@test "errors name the place and show the line" {
    printf 'FROM busybox\nRUNN echo\n' >Dockerfile
    run dray build .
    [ "$status" -eq 1 ]
    [[ $output == *"dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)"* ]]
    [[ $output == *"Dockerfile:2:1"* && $output == *"2 | >>> RUNN echo"* ]]
}

@test ".dockerignore: patterns, exceptions, order; what the build needs is sent" {
    mkdir -p a/b node_modules/x docs
    touch a/b/c.txt a/b/c.md node_modules/x/f docs/x.md docs/README.md top.md secret
    printf 'node_modules\n**/*.md\n!docs/README.md\nsecret\nDockerfile\n.dockerignore\n' >.dockerignore
    printf 'FROM scratch\nCOPY . /\n' >Dockerfile
    run files_of
    echo "$output"
    [ "$output" = "$(printf 'a\na/b\na/b/c.txt\ndocs\ndocs/README.md')" ]
    printf '*\n!a/b/c.md\n' >Dockerfile.dockerignore
    run files_of
    [ "$output" = "$(printf 'a\na/b\na/b/c.md')" ]
}

@test "random folders and patterns: the same is sent as by the docker CLI" {
    run timeout 300 python3 "$BATS_TEST_DIRNAME/build_ignore.py" "${DRAY_TEST_ROUNDS:-40}"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "the context keeps modes, links, times and big files; hard links and sockets" {
    head -c 3000000 /dev/urandom >big
    echo x >f && chmod 4751 f && ln f hard && ln -s f soft && ln -s /nowhere dangling
    mkdir -m 1777 d && touch -d @1000000000 f
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
    printf 'FROM scratch\nCOPY . /\n' >Dockerfile
    dray build -q -o "type=tar,dest=$T/x.tar" .
    mkdir "$T/x" && tar -C "$T/x" -xpf "$T/x.tar"
    cmp big "$T/x/big"
    [ "$(stat -c '%a %Y' "$T/x/f")" = "4751 1000000000" ]
    [ "$(readlink "$T/x/soft") $(readlink "$T/x/dangling")" = "f /nowhere" ]
    [ "$(stat -c %a "$T/x/d")" = 1777 ]
    [ -e "$T/x/hard" ] && [ ! -e "$T/x/sock" ]
    rm -rf "$T/x" "$T/x.tar"
}

@test "stdin: a Dockerfile, a tar, a compressed tar; -f - beside a folder" {
    run bash -c "printf 'FROM busybox\nLABEL a=1\n' | dray build -q -"
    [[ $output =~ ^sha256: ]]
    [ "$(docker inspect -f '{{.Config.Labels.a}}' "$output")" = 1 ]
    echo x >f && printf 'FROM scratch\nCOPY f /\n' >D
    one=$(tar cf - . | dray build -q -f D -)
    two=$(tar czf - . | dray build -q -f D -)
    [[ $one =~ ^sha256: ]] && [ "$one" = "$two" ]
    printf 'FROM scratch\nCOPY . /\n' | dray build -q -f - -o "type=tar,dest=$T/y.tar" .
    [ "$(tar tf "$T/y.tar" | sort)" = "$(printf 'D\nf')" ]
    run bash -c "printf 'FROM scratch' | dray build -f x -"
    [[ $output == *"ambiguous Dockerfile source"* ]]
}

@test "a Dockerfile outside of the context, with an ignore file of its own" {
    mkdir "$T/out.$$"
    touch f g
    printf 'FROM scratch\nCOPY . /\n' >"$T/out.$$/Df"
    run files_of -f "$T/out.$$/Df"
    [ "$output" = "$(printf 'f\ng')" ]
    echo g >"$T/out.$$/Df.dockerignore"
    run files_of -f "$T/out.$$/Df"
    [ "$output" = "f" ]
    rm -r "$T/out.$$"
}

@test "what is wrong is said before anything is sent" {
    run dray build nope
    [ "$status" -eq 1 ] && [ "$output" = 'unable to prepare context: path "nope" not found' ]
    run dray build -f nope .
    [[ $output == "unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat $C/nope: no such file or directory" ]]
    run dray build -t A .
    [ "$status" -eq 125 ]
    [[ $output == *'invalid reference format: repository name (library/A) must be lowercase'* ]]
    run dray build --progress x .
    [ "$status" -eq 125 ]
    echo FROM scratch >Dockerfile
    echo '[' >.dockerignore
    run dray build .
    [ "$status" -eq 1 ] && [[ $output == *"error checking context: syntax error in pattern"* ]]
}

@test "iidfile, metadata file, tags, labels, build arguments, target" {
    printf 'FROM busybox AS one\nARG A=1\nENV A=$A\nFROM one AS two\nENV B=2\n' >Dockerfile
    FROM_ENV=7 dray build -q --iidfile "$T/iid" --metadata-file "$T/md" -t m:1 -t m:2 --label l=v \
        --build-arg A=5 --build-arg FROM_ENV --target one .
    id=$(cat "$T/iid")
    [ "$(docker inspect -f '{{.Id}}' m:1)" = "$id" ]
    [ "$(docker inspect -f '{{.Id}}' m:2)" = "$id" ]
    docker inspect -f '{{.Config.Env}} {{.Config.Labels}}' m:1 | grep -q 'A=5.*l:v'
    python3 -c "import json; d=json.load(open('$T/md')); assert d['containerimage.config.digest']=='$id' and d['image.name']=='m:1,m:2', d"
    printf 'FROM busybox\nRUN --network=none false\n' >Dockerfile
    run dray build --iidfile "$T/iid" .
    [ "$status" -ne 0 ] && [ ! -e "$T/iid" ]
}

@test "-o: a folder, a tar on stdout, an OCI archive that loads" {
    echo x >f && printf 'FROM scratch\nCOPY f /d/\n' >Dockerfile
    dray build -q -o out .
    [ "$(cat out/d/f)" = x ]
    rm -r out
    [ "$(dray build -o - . 2>/dev/null | tar tf - | sort)" = "$(printf 'd/\nd/f')" ]
    dray build -q -t oci:1 -o "type=oci,dest=$T/o.tar" .
    tar tf "$T/o.tar" | grep -q '^oci-layout$'
    docker rmi oci:1
    docker load -qi "$T/o.tar" | grep -q oci:1
    run dray build -o type=nope .
    [ "$status" -eq 125 ]
}

@test "--check: rules, lines, exit code; nothing is built" {
    printf 'FROM busybox as b\nWORKDIR rel\nCMD echo\n' >Dockerfile
    run --separate-stderr dray build --check .
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"WARNING: FromAsCasing - https://docs.docker.com/go/dockerfile/rule/from-as-casing/"* ]]
    [[ $output == *"WARNING: WorkdirRelativePath"* && $output == *"WARNING: JSONArgsRecommended"* ]]
    [[ $output == *"   3 | >>> CMD echo"* && $output == *"Check complete, 3 warnings have been found!"* ]]
    printf 'FROM busybox\n' >Dockerfile
    run dray build --check .
    [ "$status" -eq 0 ] && [ "$output" = "Check complete, no warnings found." ]
    printf '# check=error=true\nFROM busybox as b\n' >Dockerfile
    run dray build --check .
    [ "$status" -eq 1 ] && [[ $output == *"lint violation found for rules: FromAsCasing"* ]]
}

@test "a secret reaches the step that mounts it, and nothing else" {
    secret=s3cr3t-$RANDOM$RANDOM
    echo "$secret" >"$T/secret"
    printf 'FROM busybox\nRUN --mount=type=secret,id=s --mount=type=secret,id=e,env=E --network=none grep -q s3cr3t /run/secrets/s && [ "$E" = "v-$(cat /run/secrets/s)" ]\n' >Dockerfile
    run env EV="v-$secret" dray build --progress plain --no-cache --secret "id=s,src=$T/secret" --secret id=e,env=EV -t sec .
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output != *"$secret"* ]]
    docker history --no-trunc sec | grep -q "$secret" && return 1
    docker save sec | grep -q "$secret" && return 1
    grep -rq "$secret" "$T/data" "$T/drayd.log" && return 1
    [ -z "$(docker run --rm --network none sec ls /run/secrets 2>/dev/null)" ]
    printf 'FROM busybox\nRUN --mount=type=secret,id=no,required --network=none true\n' >Dockerfile
    run dray build .
    [ "$status" -ne 0 ] && [[ $output == *"secret no: not found"* ]]
}

@test "the ssh agent is there while a step mounts it" {
    command -v ssh-agent >/dev/null || skip "no ssh-agent on this machine"
    ssh-keygen -q -t ed25519 -N '' -C build-key -f "$T/key"
    # ssh-add itself asks, inside of the build, with the libraries it needs.
    mkdir root
    for f in $(command -v ssh-add) $(ldd "$(command -v ssh-add)" | grep -o '/[^ ]*'); do
        cp -L --parents "$f" root
    done
    cat >Dockerfile <<'D'
FROM busybox
COPY root /
RUN --mount=type=ssh --network=none ssh-add -l | grep build-key && ssh-add -l | grep -c build-key
RUN --network=none [ -z "$SSH_AUTH_SOCK" ]
D
    run dray build --progress plain --no-cache --ssh "default=$T/key" .
    echo "$output"
    [ "$status" -eq 0 ]
    run env -u SSH_AUTH_SOCK dray build --ssh default .
    [ "$status" -eq 1 ] && [[ $output == *"make sure SSH_AUTH_SOCK is set"* ]]
}

@test "the agent is known to the daemon before the build begins" {
    ssh-agent -D -a "$T/agent.sock" >/dev/null 2>&1 3>&- &
    agent=$!
    wait_until 10 [ -S "$T/agent.sock" ]
    printf 'FROM busybox\nRUN --mount=type=ssh,required --network=none [ -S "$SSH_AUTH_SOCK" ]\n' >Dockerfile
    for i in $(seq 25); do # a race, once: 1 of 10 builds had no agent
        dray build -q --no-cache --ssh "default=$T/agent.sock" . >/dev/null || { kill $agent; return 1; }
    done
    kill $agent
}

@test "a build tells of the Dockerfile's mistakes, and fails on them when it is told to" {
    printf 'FROM busybox\nARG DB_PASSWORD\nENV API_TOKEN=x\n' >Dockerfile
    run --separate-stderr dray build --progress plain --build-arg DB_PASSWORD=secret .
    echo "$stderr"
    [ "$status" -eq 0 ]
    [[ $stderr == *" 2 warnings found (use --check to expand):"* ]]
    [[ $stderr == *' - SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG "DB_PASSWORD") (line 2)'* ]]
    [[ $stderr == *'(ENV "API_TOKEN") (line 3)'* ]]
    sed -i '1i # check=error=true' Dockerfile
    run dray build .
    [ "$status" -eq 1 ] && [[ $output == *"lint violation found for rules: SecretsUsedInArgOrEnv"* ]]
    run dray build --build-arg NOBODY=x --build-arg BUILDKIT_DOCKERFILE_CHECK=skip=all .
    [[ $output == *"[Warning] One or more build-args"*NOBODY*"were not consumed"* ]]
    [ "$status" -eq 0 ] && [[ $output != *warning* ]]
}

@test "builder prune frees the cache" {
    printf 'FROM busybox\nRUN --network=none echo prune-me > /f\n' >Dockerfile
    dray build -q . >/dev/null
    run dray builder prune -af
    echo "$output"
    [ "$status" -eq 0 ] && [[ $output == *"Total reclaimed space:"* ]]
    run --separate-stderr dray build --progress plain .
    [[ $stderr == *prune-me* && $stderr == *DONE* ]]
    run bash -c 'echo n | dray builder prune'
    [[ $output == *"WARNING! This will remove all dangling build cache."* ]]
}

@test "a client that goes away cancels its build" {
    printf 'FROM busybox\nRUN --network=none touch /started; sleep 300\n' >Dockerfile
    dray build . >/dev/null 2>&1 3>&- &
    pid=$!
    wait_until 10 pgrep -f '[s]leep 300' >/dev/null
    kill -TERM $pid
    wait_until 10 bash -c '! pgrep -f "[s]leep 300" >/dev/null'
    wait_until 10 bash -c '[ -z "$(docker ps -aq)" ]'
}
