#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# client.bats - dray beside the docker CLI, both against the same daemon: the same words come out.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
    docker run -d --name web --network none -l app=web -l tier=1 -v vol1:/data busybox \
        sh -c 'echo out; echo err >&2; while :; do sleep 1; done' >/dev/null
    docker run -d --name tt -t --network none busybox sh -c 'echo tty; sleep 1000' >/dev/null
    docker create --name cr --network none busybox echo "a long command line that is cut" >/dev/null
    docker run --name ex --network none busybox sh -c 'exit 3' || true
    docker tag busybox localhost:5000/foo/bar:v1
    docker network create --internal mynet >/dev/null
}

teardown_file() {
    docker rm -fv web tt cr ex >/dev/null 2>&1
    docker volume rm vol1 >/dev/null 2>&1
    daemon_done
}

plain() { sed -e 's/docker/dray/g; s/Docker/Dray/g; s/DOCKER/DRAY/g' "$1"; }

# same ARGS...: both clients give the same outputs, once they went through $order (cat), and exit code. Tried again,
# since ages tick.
same() {
    local try want got order=${order:-cat}
    for try in 1 2 3; do
        want=0 got=0
        timeout 20 docker "$@" </dev/null >"$T/o1" 2>"$T/e1" || want=$?
        timeout 20 dray "$@" </dev/null >"$T/o2" 2>"$T/e2" || got=$?
        if [ "$want" = "$got" ] && cmp -s <(plain "$T/o1" | $order) <(plain "$T/o2" | $order) &&
            cmp -s <(plain "$T/e1") <(plain "$T/e2"); then
            return 0
        fi
    done
    echo "differs: $* (exit $want, $got)"
    diff <(plain "$T/o1") <(plain "$T/o2")
    diff <(plain "$T/e1") <(plain "$T/e2")
    return 1
}

# The texts of complaints are those of docker 28; older clients word some otherwise.
needs_28() {
    local major
    major=$(docker --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
    [ "$major" -ge 28 ] || skip "the docker CLI here is version $major: its words differ"
}

@test "lists of containers" {
    needs_28
    same ps
    same ps -aq
    same ps -a --no-trunc
    same ps -a --format '{{.ID}}: {{.Names}} {{.Label "app"}}'
    same ps -a --format 'table {{.Names}}\t{{.Status}}\t{{.Mounts}}\t{{.LocalVolumes}}\t{{.Labels}}'
    same ps -a --format json
    same ps -l
    same ps -n 2 -q
    same ps -f label=app=web -f status=running
    same container ls -a -f name=ex -f status=exited --format '{{json .}}'
}

@test "lists of images, networks and volumes" {
    needs_28
    local order=sort # docker's client takes several names of one image in no order
    same images --no-trunc
    same images -q
    same images --digests
    order='jq -c del(.Containers)' same images --format json busybox # counted since API 1.51
    same images --format '{{.Repository}}:{{.Tag}} {{.Size}}'
    order=cat
    same history busybox
    same history --no-trunc --format json busybox
    same network ls
    same network ls -q --no-trunc
    same network ls --format json -f driver=bridge
    same volume ls
    same volume ls --format json
}

@test "inspect and its templates" {
    needs_28
    local t
    same inspect web
    same inspect mynet vol1
    same inspect web nope
    same image inspect busybox
    same inspect -f json web
    for t in '{{.State.Status}} {{.Name}}' '{{json .Config}}' '{{index .Config.Labels "app"}}' \
        '{{.Foo}}' '{{.State.Foo.Bar}}' \
        '{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}' '{{len .Mounts}} {{.State.Pid}}' \
        '{{if eq .State.Status "running"}}yes{{else}}no{{end}}' '{{join .Config.Cmd "|"}}' \
        '{{upper .Name}} {{printf "%s-%05d" .Name .State.ExitCode}}' '{{index .Args 9}}' \
        '{{with .State}}{{.Status}}{{end}}{{- /* c */ -}} !' '{{slice .Id 0 5}}' '{{.Name'; do
        same inspect -f "$t" web
    done
}

@test "logs, top, port, diff, df and exec" {
    needs_28
    same logs web
    same logs --tail 1 -t web
    same logs tt
    same logs --since 1h web
    same top web
    same port web
    same system df
    same exec web echo hi
    same exec web sh -c 'echo e >&2; exit 7'
    same exec -e A=b -w /tmp -u 0 web sh -c 'echo $A; pwd'
    same exec web nope
    same exec ex true
}

@test "run: outputs, exit codes, failures" {
    needs_28
    same run --rm --network none busybox sh -c 'echo o; echo e >&2; exit 5'
    same run --rm --network none -w /tmp --user 1:2 -h foo busybox sh -c 'pwd; id -u; hostname'
    same run --rm --network none --entrypoint /bin/echo busybox a b
    same run --rm --network none --read-only --tmpfs /t busybox touch /x
    same run --rm --network none --cap-drop ALL busybox grep Cap /proc/self/status
    same run --rm -t --network none busybox sh -c 'echo a; tty'
    same run -d --rm --restart always busybox
    same run -it busybox true
    run dray run --rm --network none busybox /nope
    [ "$status" -eq 127 ] && [[ $output == *"dray: Error response from daemon"*"/nope"* ]]
    run dray run --rm --network none busybox /etc
    [ "$status" -eq 126 ]
    docker ps -aq -f status=created -f ancestor=busybox | while read -r id; do
        [ "$(docker inspect -f '{{.Name}}' "$id")" = /cr ] || docker rm "$id" >/dev/null
    done
}

@test "complaints and exit codes" {
    needs_28
    local line
    while read -r line; do
        # shellcheck disable=SC2086
        same $line
    done <<'EOF'
ps --foo
ps -Z
foo
container foo
--foo ps
ps -n x
rm
run
ps a b
rename a
run --memory x busybox
run --cpus x busybox
run --add-host foo busybox
run -e
run --name
run -p foo busybox
run --mount type=foo busybox
run --restart foo busybox true
run --gpus x busybox
run --ulimit x busybox
run --health-interval x busybox
run --pull x busybox true
run --security-opt foo busybox true
run --network a --network bridge busybox true
run --expose foo busybox true
create --expose 80-70 busybox
create --dns bad busybox
create --mount dst=/x,foo=bar busybox
create --sysctl a=b busybox
create --mac-address zz busybox
create --shm-size -1 busybox
create --rm --restart always busybox
create --device /dev/null:/x:bad busybox
create --storage-opt bad busybox
create --volume /a:/b:/c:d busybox
create --ip 1.2.3.4 --network name=mynet,ip=10.1.1.1 busybox
create --platform linux/riscv64 localhost:1/nope
create --platform linux/riscv64 busybox
network create --aux-address x new
network create --label = new
attach ex
inspect nope
rm nope
rm -f nope
stop nope nope2
logs nope
exec nope sh
start nope
rmi nope
kill nope
attach nope
network rm nope
volume rm nope
update nope
ps --format {{.Foo}}
ps --filter foo
ps --filter foo=bar
cp a b
cp nope:/x /tmp/y
-l foo ps
-H foo://x ps
-H unix:///nope ps
network create
pull UPPER
load -i /nope
EOF
}

@test "help of every command" {
    needs_28
    local c
    for c in ps images rm rmi stop kill logs exec start attach wait rename pause unpause commit diff \
        export import load save tag push pull history inspect port top events info version \
        "network ls" "network create" "network connect" "network rm" "volume ls" "volume create" \
        "image ls" "image rm" "container ls" "container prune" "system prune" "system df"; do
        # shellcheck disable=SC2086
        DOCKER_API_VERSION=1.50 same $c --help
    done
}

@test "cp follows docker's rules of naming" {
    local c
    mkdir -p "$T/cp/d/e"
    echo a >"$T/cp/f"
    echo b >"$T/cp/d/e/g"
    ln -s e "$T/cp/d/l"
    for c in docker dray; do
        mkdir "$T/$c-out"
        {
            $c cp "$T/cp/f" web:/tmp/f2
            $c cp "$T/cp/d" web:/tmp/
            $c cp "$T/cp/d" web:/tmp/newd
            $c cp "$T/cp/d/." web:/tmp/newd
            $c cp "$T/cp/d" web:/tmp/f2 && echo "must fail"
            $c cp web:/tmp/d "$T/$c-out/"
            $c cp web:/tmp/d "$T/$c-out/dd"
            $c cp web:/tmp/d/. "$T/$c-out/ddd"
            $c cp web:/tmp/f2 "$T/$c-out/f3"
            $c cp -L web:/tmp/d/l "$T/$c-out/ll"
            tar -C "$T/cp" -c f | $c cp - web:/tmp/newd
            $c cp web:/tmp/d - | tar -t | sort
            docker exec web sh -c 'cd /tmp; find f2 d newd | sort; rm -rf f2 d newd'
            (cd "$T/$c-out" && find . | sort)
        } >"$T/cp-$c" 2>/dev/null
    done
    diff "$T/cp-docker" "$T/cp-dray"
    grep -q must "$T/cp-dray" && return 1
    grep -qx './ll/g' "$T/cp-dray"
}

@test "terminals: size, resize, ctrl-c, detach, attach, exec, signals" {
    run timeout 90 python3 "$BATS_TEST_DIRNAME/client_tty.py" "$(command -v dray)"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "stdin of 50 MB passes through unharmed" {
    head -c 50000000 /dev/urandom >"$T/random"
    want=$(md5sum <"$T/random")
    got=$(dray run --rm -i --network none busybox cat <"$T/random" | md5sum)
    rm -f "$T/random"
    [ "$want" = "$got" ]
}

@test "the client starts without libraries that it does not need" {
    run ldd "$(command -v dray)"
    [[ $output != *libcrypto* && $output != *libssl* && $output != *libcurl* ]]
    [[ $output != *microhttpd* && $output != *libarchive* ]]
}

@test "completion scripts parse and know the commands" {
    dray completion bash >"$T/c.bash"
    bash -n "$T/c.bash"
    run bash -c ". '$T/c.bash'; COMP_WORDS=(dray container l); COMP_CWORD=2; _dray; echo \"\${COMPREPLY[*]}\""
    [[ $output == *logs* && $output == *ls* ]]
    run bash -c ". '$T/c.bash'; COMP_WORDS=(dray ps --no); COMP_CWORD=2; _dray; echo \"\${COMPREPLY[*]}\""
    [ "$output" = "--no-trunc" ]
}

@test "contexts and configuration are read" {
    mkdir -p "$T/cfg"
    echo '{"psFormat":"table {{.Names}}","proxies":{"default":{"httpProxy":"http://p:1"}}}' >"$T/cfg/config.json"
    run env DOCKER_CONFIG="$T/cfg" dray ps -f name=web
    [ "$output" = $'NAMES\nweb' ]
    run env DOCKER_CONFIG="$T/cfg" dray run --rm --network none busybox env
    [[ $output == *HTTP_PROXY=http://p:1* && $output == *http_proxy=http://p:1* ]]
    run dray context ls --format '{{.Name}} {{.DockerEndpoint}}'
    [ "$output" = "default $DOCKER_HOST" ]
    run env -u DRAY_HOST -u DOCKER_HOST dray -H "$DOCKER_HOST" ps -q
    [ "$status" -eq 0 ]
}

@test "plugin ls shows kinds, names and paths" {
    run dray plugin ls
    [ "$status" -eq 0 ]
    [[ $output == *storage*overlay*ready* && $output == *net-bridge.so* ]]
}
