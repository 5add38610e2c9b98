#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# api.bats - the Engine API itself: shapes, statuses and words that clients depend on.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() {
    daemon_done
}

teardown() {
    local ids
    ids=$(docker ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -fv $ids >/dev/null
}

post() { # PATH JSON [curl arguments]
    local path=$1 body=$2
    shift 2
    api POST "$path" -H 'Content-Type: application/json' -d "$body" "$@"
}

# field JSON PATH: a value of a JSON document, as JSON
field() { python3 -c 'import json,sys
v=json.loads(sys.argv[1])
for k in sys.argv[2].split("."):
    v=v[int(k)] if isinstance(v,list) else v[k]
print(json.dumps(v))' "$1" "$2"; }

inspect() { field "$(api GET "/containers/$1/json")" "$2"; }

# answers METHOD PATH STATUS TEXT [curl arguments]
answers() {
    local method=$1 path=$2 status=$3 text=$4 got
    shift 4
    got=$(curl -sg --max-time 20 --unix-socket "$T/dray.sock" -w ' %{http_code}' -X "$method" "http://d$path" "$@")
    [[ $got == *"$text"*" $status" ]] || { echo "$method $path: $got, not $status $text" >&2; return 1; }
}

# refused TEXT JSON: a container that must not be made
refused() {
    answers POST /containers/create 400 "$1" -H 'Content-Type: application/json' -d "$2"
}

run_body() { # NAME JSON: create and start
    local id
    id=$(post "/containers/create?name=$1" "$2")
    [[ $id == *'"Id"'* ]] || { echo "$id" >&2; return 1; }
    [ "$(status_of POST "/containers/$1/start")" = 204 ]
}

@test "what is not here answers as a Docker daemon that has no part in it" {
    local none='This node is not a swarm manager.'
    for path in /swarm /nodes /nodes/x /services /services/x /tasks /tasks/x /secrets /configs /configs/x /swarm/unlockkey; do
        answers GET $path 503 "$none"
    done
    answers POST /services/create 503 "$none"
    answers DELETE /secrets/x 503 "$none"
    answers POST '/swarm/leave?force=1' 503 'This node is not part of a swarm'
    answers POST /swarm/init 501 'swarm mode is not supported'
    answers GET /plugins 200 '[]'
    answers GET /plugins/a/b/json 404 'plugin \"a/b\" not found'
    answers DELETE /plugins/x 404 'plugin \"x\" not found'
    answers POST '/plugins/x/enable?timeout=0' 404 'plugin \"x\" not found'
    answers GET /containers/x/checkpoints 501 'This experimental feature is disabled by default'
    answers DELETE /containers/x/checkpoints/y 501 'This experimental feature is disabled by default'
    answers POST /session 400 'no upgrade proto in request'
    answers POST /session 400 'protocol tcp not supported' -H 'Connection: Upgrade' -H 'Upgrade: tcp'
    answers POST /session 400 'a session needs an id' -H 'Connection: Upgrade' -H 'Upgrade: h2c'
    answers POST /grpc 400 'no upgrade proto in request'
    answers POST /grpc 400 'protocol tcp not supported' -H 'Connection: Upgrade' -H 'Upgrade: tcp'
    run docker node ls
    [[ $status -eq 1 && $output == *"This node is not a swarm manager"* ]]
    run docker plugin ls --format '{{.Name}}'
    [[ $status -eq 0 && -z $output ]]
    run docker checkpoint create x y
    [[ $status -eq 1 ]]
}

@test "a body that is no container is refused" {
    refused 'config cannot be empty in order to create a container' '{}'
    refused 'unexpected content after JSON' '{"Image":"busybox"} x'
    refused 'cannot unmarshal number into Go struct field Config.Image of type string' '{"Image":5}'
    answers POST /containers/create 400 'unsupported Content-Type header' -H 'Content-Type: text/plain' -d '{"Image":"busybox"}'
    # Keys match without regard to case, as in Go.
    [ "$(status_of POST '/containers/create' -H 'Content-Type: application/json' -d '{"image":"busybox","cmd":["true"]}')" = 201 ]
}

@test "what cannot be kept is refused at create, in Docker's words" {
    host() { refused "$1" "{\"Image\":\"busybox\",\"HostConfig\":{$2}}"; }
    config() { refused "$1" "{\"Image\":\"busybox\",$2}"; }
    host 'invalid CapAdd: unknown capability: \"CAP_ZZ\"' '"CapAdd":["ZZ"]'
    host 'invalid --security-opt 2: \"zz=1\"' '"SecurityOpt":["zz=1"]'
    host 'invalid --security-opt' '"SecurityOpt":["zz"]'
    host 'Decoding seccomp profile failed' '"SecurityOpt":["seccomp=zz"]'
    [ -e /sys/kernel/security/apparmor ] || host 'AppArmor is not available' '"SecurityOpt":["apparmor=zz"]'
    host 'No such container: nope' '"IpcMode":"container:nope"'
    host 'No such container: nope' '"PidMode":"container:nope"'
    host 'No such container: nope' '"VolumesFrom":["nope"]'
    host 'could not get container for nope: No such container: nope' '"Links":["nope:x"]'
    host 'bad format for add-host: \"zz\"' '"ExtraHosts":["zz"]'
    host 'invalid IP address in add-host: \"zz\"' '"ExtraHosts":["a:zz"]'
    host 'sysctl \"kernel.panic\" is not in a separate kernel namespace' '"Sysctls":{"kernel.panic":"1"}'
    host 'sysctl \"net.ipv4.ip_forward\" not allowed in host network namespace' '"NetworkMode":"host","Sysctls":{"net.ipv4.ip_forward":"1"}'
    host 'sysctl \"kernel.msgmax\" is not allowed in the hosts ipc namespace' '"IpcMode":"host","Sysctls":{"kernel.msgmax":"100"}'
    host 'invalid tmpfs option [\"zz\" \"1\"]' '"Tmpfs":{"/t":"zz=1"}'
    host "invalid mount path: 't' mount path must be absolute" '"Tmpfs":{"t":""}'
    host 'invalid QoS settings: linux does not support configuration of maximum bandwidth' '"IOMaximumBandwidth":1'
    host 'could not select device driver \"\" with capabilities: [[gpu utility]]' '"DeviceRequests":[{"Count":-1,"Capabilities":[["gpu","utility"]]}]'
    host 'Requested CPUs are not available - requested 0-999' '"CpusetCpus":"0-999"'
    host 'invalid port specification: \"zz\"' '"PortBindings":{"80/tcp":[{"HostPort":"zz"}]}'
    host 'mount type unknown' '"Mounts":[{"Type":"zz","Target":"/x"}]'
    host 'volume name is too short' '"Binds":["v:/v"]'
    config 'invalid signal: ZZ' '"StopSignal":"ZZ"'
    answers POST /v1.43/containers/create 400 'Container cannot be created with multiple network endpoints' -H 'Content-Type: application/json' \
        -d '{"Image":"busybox","NetworkingConfig":{"EndpointsConfig":{"bridge":{},"x":{}}}}'
    # An image is not pulled because some other container is missing.
    run docker run --rm --volumes-from nope busybox true
    [[ $status -eq 125 && $output == *"No such container: nope"* && $output != *Unable* ]]
    run docker run --rm --gpus all busybox true
    [[ $status -eq 125 && $output == *"could not select device driver"* ]]
}

@test "what the machine cannot keep is dropped with a warning" {
    out=$(post /containers/create '{"Image":"busybox","HostConfig":{"KernelMemory":16777216,"CpuCount":1}}')
    [[ $out == *"does not support kernel memory limit"* && $out == *"does not support CPU count"* ]]
    # No I/O scheduler keeps weights unless bfq or iocost does.
    if [ ! -e /sys/fs/cgroup/blkio/blkio.weight ] && [ ! -e /sys/fs/cgroup/blkio/blkio.bfq.weight ] && [ ! -e /sys/fs/cgroup/io.cost.qos ]; then
        out=$(post '/containers/create?name=ww' '{"Image":"busybox","HostConfig":{"BlkioWeight":300}}')
        [[ $out == *"does not support Block I/O weight"* ]]
        [ "$(inspect ww HostConfig.BlkioWeight)" = 0 ]
    fi
}

@test "HostConfig is shown as Docker shows it" {
    post '/containers/create?name=aa' '{"Image":"busybox","HostConfig":{"Memory":67108864,"PidsLimit":0,"Privileged":true}}'
    [ "$(inspect aa HostConfig.MemorySwap)" = 134217728 ]
    [ "$(inspect aa HostConfig.PidsLimit)" = null ]
    [ "$(inspect aa HostConfig.SecurityOpt)" = '["label=disable"]' ]
    for key in Dns DnsOptions DnsSearch Devices Ulimits PortBindings BlkioDeviceReadBps; do
        [ "$(inspect aa HostConfig.$key)" = null ]
    done
    docker create --name bb --dns 1.2.3.4 busybox
    [ "$(inspect bb HostConfig.Dns)" = '["1.2.3.4"]' ]
    [ "$(inspect bb HostConfig.Devices)" = '[]' ]
}

@test "networks that are named take the place of the default one, and none can be had" {
    docker network create n1
    run_body c1 '{"Image":"busybox","Cmd":["sleep","100"],"NetworkingConfig":{"EndpointsConfig":{"n1":{}}}}'
    run docker inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}' c1
    [ "$output" = "n1 " ]
    run_body c2 '{"Image":"busybox","Cmd":["sleep","100"],"NetworkDisabled":true}'
    run docker exec c2 ip -o link
    [[ ${#lines[@]} -eq 1 && $output == *lo* ]]
    docker rm -f c1 c2
    docker network rm n1
}

@test "a port without its protocol is of tcp" {
    port=$(free_port)
    run_body pp "{\"Image\":\"busybox\",\"Cmd\":[\"sleep\",\"100\"],\"ExposedPorts\":{\"81\":{}},\"HostConfig\":{\"PortBindings\":{\"80\":[{\"HostPort\":\"$port\"}]}}}"
    [[ $(inspect pp NetworkSettings.Ports) == *'"80/tcp": [{'* ]]
    [ "$(inspect pp NetworkSettings.Ports.81/tcp)" = null ]
    [ "$(docker ps -q --filter "publish=$port" | wc -l)" = 1 ]
    [ "$(docker ps -q --filter publish=80 | wc -l)" = 0 ]
    [ "$(docker ps -q --filter "publish=$port-$((port + 3))/tcp" | wc -l)" = 1 ]
    [ "$(docker ps -q --filter "publish=$port/udp" | wc -l)" = 0 ]
    [ "$(docker ps -q --filter expose=80-90/tcp | wc -l)" = 1 ]
    [ "$(docker ps -q --filter is-task=true | wc -l)" = 0 ]
    [ "$(docker ps -q --filter is-task=false | wc -l)" = 1 ]
    run docker ps --filter health=zz
    [[ $status -ne 0 && $output == *"invalid filter 'health=zz': invalid value for health (zz): must be one of none, starting"* ]]
}

@test "the list shows whole endpoints" {
    docker create --name ee busybox
    row=$(api GET '/containers/json?all=1')
    for key in IPAMConfig Links Aliases DriverOpts GlobalIPv6Address IPPrefixLen NetworkID; do
        field "$row" "0.NetworkSettings.Networks.bridge.$key"
    done
    docker network create n2
    docker create --name mm --network n2 --mac-address 02:42:00:00:00:09 busybox
    docker start mm
    [[ $(api GET '/containers/json?all=1') != *MacAddressGiven* ]]
    docker rm -f mm
    docker network rm n2
}

@test "states and signals that do not fit are told as Docker tells them" {
    docker create --name ss busybox sleep 100
    answers POST /containers/ss/start 400 'starting container with non-empty request body' -H 'Content-Type: application/json' -d '{"Binds":[]}'
    answers POST '/containers/ss/start?checkpoint=c' 400 'checkpoint is only supported in experimental mode'
    answers POST /containers/ss/exec 400 'o exec command specified' -H 'Content-Type: application/json' -d '{}'
    [ "$(status_of POST /containers/ss/start -H 'Content-Type: application/json' -d '{}')" = 204 ]
    answers POST '/containers/ss/attach?stream=1&detachKeys=ctrl-A,a' 400 'Invalid detach keys (ctrl-A,a) provided'
    answers POST '/containers/ss/attach?stream=1&detachKeys=a,,b' 400 'Invalid detach keys (a,,b) provided'
    answers POST /containers/ss/unpause 500 'is not paused'
    answers POST '/containers/ss/kill?signal=0' 400 'invalid signal: 0'
    docker create --name tt busybox
    answers POST '/containers/ss/rename?name=tt' 409 'Error when allocating new name: Conflict. The container name \"/tt\" is already in use by container'
    id=$(docker inspect -f '{{.Id}}' ss)
    docker update -m 64m --memory-swap 128m ss
    answers POST /containers/ss/update 409 "Cannot update container $id: Memory limit should be smaller than already set memoryswap limit" \
        -H 'Content-Type: application/json' -d '{"Memory":268435456}'
    docker update --memory-swap -1 ss
    run -1 docker update -m 80m ss # a limit of swap that is none, or was never set, counts as one
    [[ "$output" == *"already set memoryswap limit, update the memoryswap at the same time"* ]]
    run -1 docker update -m 80m tt
    [[ "$output" == *"already set memoryswap limit, update the memoryswap at the same time"* ]]
    docker update --restart always ss
    [ "$(inspect ss HostConfig.RestartPolicy.MaximumRetryCount)" = 0 ]
    docker update --restart no ss
}

@test "statistics have numbers, and their shape without any" {
    docker run -d --name busy busybox sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 100'
    docker create --name idle busybox
    sleep 0.5
    s=$(api GET '/containers/busy/stats?stream=0')
    [ "$(field "$s" cpu_stats.cpu_usage.total_usage)" -gt 1000000 ]
    [ "$(field "$s" precpu_stats.system_cpu_usage)" -gt 0 ]
    [ "$(field "$s" pids_stats.current)" -ge 1 ]
    [ "$(field "$s" networks.eth0.rx_bytes)" -ge 0 ]
    [ "$(field "$s" memory_stats.usage)" -gt 0 ]
    s=$(api GET '/containers/busy/stats?stream=0&one-shot=1')
    [ "$(field "$s" precpu_stats.cpu_usage.total_usage)" = 0 ]
    s=$(api GET '/containers/idle/stats?stream=0')
    [ "$(field "$s" blkio_stats.io_service_bytes_recursive)" = null ]
    [ "$(field "$s" read)" = '"0001-01-01T00:00:00Z"' ]
    [ "$(field "$s" memory_stats)" = '{}' ]
}

@test "a WebSocket attaches" {
    docker create -i --name ws busybox sh -c 'echo out; echo err >&2; read x; echo "got $x"; head -c 200000 /dev/zero | tr "\0" a'
    docker start ws
    run python3 "$BATS_TEST_DIRNAME/ws_attach.py" "$T/dray.sock" '/containers/ws/attach/ws?stream=1&stdin=1&stdout=1&stderr=1&logs=1' $'hello\n'
    [ "$status" -eq 0 ]
    [[ $output == *"out"*"got hello"* && $output == *err* ]]
    [ "$(printf %s "$output" | tr -dc a | wc -c)" -ge 200000 ]
    docker run -d -i --name cat busybox cat
    big=$(head -c 90000 /dev/zero | tr '\0' b)
    run timeout 20 python3 "$BATS_TEST_DIRNAME/ws_attach.py" "$T/dray.sock" '/containers/nope/attach/ws' x
    [[ $status -ne 0 && $output == *"404"*"No such container: nope"* ]]
    answers GET /containers/cat/attach/ws 400 'asks for no WebSocket'
}

@test "stat names what was asked for" {
    docker run --name ff busybox sh -c 'mkdir /d; echo x >/d/file; ln -s b /a; ln -s /d/file /b'
    name() { curl -sI --unix-socket "$T/dray.sock" "http://d/containers/ff/archive?path=$1" | tr -d '\r' |
        sed -n 's/^X-Docker-Container-Path-Stat: //p' | base64 -d; }
    [ "$(field "$(name /d/)" name)" = '"d"' ]
    [ "$(field "$(name /d/.)" name)" = '"."' ]
    [ "$(field "$(name /)" name)" = '"/"' ]
    [ "$(field "$(name /.)" name)" = '"."' ]
    [ "$(field "$(name /a)" linkTarget)" = '"/d/file"' ]
    [ "$(field "$(name /d)" mode)" = 2147484141 ]
}

@test "cp takes every form of a path" {
    docker run -d --name cp -v cpv:/vol busybox sh -c 'mkdir -p /d/sub; echo f >/d/f; echo s >/d/sub/s; ln -s /d /ld; ln -s /d/f /lf; sleep 1000'
    wait_until 5 docker exec cp test -L /lf
    files() { (cd "$1" && find . -mindepth 1 -printf '%P%y ' | tr ' ' '\n' | LC_ALL=C sort | tr '\n' ' '); }
    # FROM  WANTED: what an empty folder holds after docker cp of it
    while read -r from wanted; do
        rm -rf "$T/o"
        mkdir "$T/o"
        docker cp "cp:$from" "$T/o"
        [ "$(files "$T/o")" = "$wanted " ] || { echo "$from: $(files "$T/o")"; return 1; }
    done <<'END'
/d d/ff d/sub/sf d/subd dd
/d/ d/ff d/sub/sf d/subd dd
/d/. ff sub/sf subd
/d/f ff
/ld ldl
/ld/ ld/ff ld/sub/sf ld/subd ldd
/ld/. ff sub/sf subd
/lf lfl
d/sub/../f ff
END
    rm -rf "$T/o"
    docker cp -L cp:/ld "$T/o"
    [ "$(files "$T/o")" = "ff sub/sf subd " ]
    docker cp cp:/d "$T/new"
    [ "$(files "$T/new")" = "ff sub/sf subd " ]
    run docker cp cp:/nope "$T/o"
    [[ $status -eq 1 && $output == *"Could not find the file /nope in container cp"* ]]
    run docker cp cp:/d/f/ "$T/o"
    [ $status -eq 1 ]
    [ "$(docker cp cp:/d/. - | tar tf - | sort | tr '\n' ' ')" = "./ ./f ./sub/ ./sub/s " ]
    # In: a folder into a folder, its content, through a link, over what is of another kind.
    docker cp "$T/new" cp:/d
    docker cp "$T/new/." cp:/vol
    docker cp "$T/new/f" cp:/ld/g
    [ "$(docker exec cp sh -c 'ls -d /d/new/sub/s /vol/sub/s /d/g' | wc -l)" = 3 ]
    ln -s new "$T/lnk"
    docker cp "$T/lnk" cp:/d
    run docker cp -L "$T/lnk" cp:/d
    [[ $status -eq 1 && $output == *'cannot overwrite non-directory "lnk" with directory'* ]]
    run docker cp "$T/new" cp:/d/f
    [[ $status -eq 1 && $output == *"cannot copy directory"* ]]
    run docker cp "$T/new" cp:/nope/x
    [ $status -eq 1 ]
    docker stop -t0 cp
    docker cp "$T/new" cp:/stopped
    docker cp cp:/stopped/f - | tar tf -
    docker cp cp:/vol/sub/s - | tar tf -
    docker rm -fv cp
    docker volume rm cpv
    rm -rf "$T/o" "$T/new"
    # With its owners: the container's own user, by name.
    docker create --name own -u user:staff busybox
    echo x >"$T/x"
    docker cp -a "$T/x" own:/x
    [[ $(docker cp own:/x - | tar tvf - --numeric-owner) == *1000/50* ]]
}

@test "commit takes changes line by line" {
    docker create --name kk busybox
    post '/commit?container=kk&repo=ci&tag=1&comment=cc&author=me&changes=CMD%20%5B%22x%22%5D%0AENV%20A%3Db%0ALABEL%20x%3Dy&changes=EXPOSE%2080' '{}'
    run docker inspect -f '{{json .Config.Cmd}} {{index .Config.Labels "x"}} {{json .Config.ExposedPorts}} {{.Comment}} {{.Author}}' ci:1
    [ "$output" = '["x"] y {"80/tcp":{}} cc me' ]
    [[ $(docker inspect -f '{{.Config.Env}}' ci:1) == *A=b* ]]
    answers POST '/commit?container=kk&changes=RUN%20x' 400 'RUN is not a valid change command'
    docker rmi ci:1
}

@test "a container that never started is waited for without an error" {
    run docker run --rm --network nope busybox true
    [[ $status -eq 125 && $output == *"network nope not found"* && $output != *"waiting for container"* ]]
    [ -z "$(docker ps -aq)" ]
    run docker kill nope
    [[ $output == *"cannot kill container: nope: No such container: nope"* ]]
}

@test "volumes of a config may be relative, read-only binds forced" {
    run_body rv '{"Image":"busybox","Cmd":["sleep","100"],"Volumes":{"data":{}}}'
    docker exec rv sh -c 'mount | grep -q " /data "'
    mnt() { refused "$1" "{\"Image\":\"busybox\",\"HostConfig\":{\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/tmp\",\"Target\":\"/x\",$2}]}}"; }
    mnt 'mount source is not read-only' '"BindOptions":{"ReadOnlyForceRecursive":true}'
    mnt 'exclude each other' '"ReadOnly":true,"BindOptions":{"ReadOnlyForceRecursive":true,"ReadOnlyNonRecursive":true}'
    mnt 'requires the propagation rprivate' '"ReadOnly":true,"BindOptions":{"ReadOnlyForceRecursive":true,"Propagation":"rslave"}'
}

@test "events tell where a volume is mounted, and have no id where there is none" {
    since=$(date +%s.%N)
    docker run --rm -v vv1:/data busybox true
    docker container prune -f
    docker volume rm vv1
    ev=$(docker events --since "$since" --until "$(date +%s.%N)" --format '{{json .}}')
    [[ $(grep '"mount"' <<<"$ev") == *'"destination":"/data"'* ]]
    [[ $(grep '"prune"' <<<"$ev" | head -n1) != *'"id"'* ]]
}
