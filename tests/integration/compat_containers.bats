#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# compat_containers.bats - small behaviours of containers that clients' own test suites look for.

load lib.bash

setup_file() { daemon_init && daemon_start && busybox_import; }
teardown_file() { daemon_done; }
teardown() { for c in $(docker ps -aq); do docker rm -f "$c" >/dev/null; done; }

json() { api "$1" "$2" -H 'Content-Type: application/json' -d "$3"; }

@test "a malformed body is explained in the words that clients match" {
    for path in /volumes/create /networks/create /networks/bridge/connect /containers/create /containers/x/exec \
        /containers/x/update /exec/x/start; do
        [[ $(json POST $path '{bad') == *"invalid JSON: invalid character 'b' looking for beginning of object key string"* ]]
        [[ $(json POST $path '{} more') == *'unexpected content after JSON'* ]]
        [ "$(status_of POST $path -H 'Content-Type: application/json' -d '{} more')" = 400 ]
    done
}

@test "IPC can be shared by default: before API 1.40, and by the daemon's option" {
    id=$(json POST /v1.39/containers/create '{"Image":"busybox"}' | jq -r .Id)
    [ "$(docker inspect -f '{{.HostConfig.IpcMode}}' "$id")" = shareable ]
    id=$(json POST /v1.40/containers/create '{"Image":"busybox"}' | jq -r .Id)
    [ "$(docker inspect -f '{{.HostConfig.IpcMode}}' "$id")" = private ]
}

@test "an environment with nothing in it is null" {
    tar c -T /dev/null | docker import - bare
    id=$(json POST /containers/create '{"Image":"bare","Cmd":["x"],"Env":[]}' | jq -r .Id)
    [ "$(docker inspect -f '{{json .Config.Env}}' "$id")" = null ]
    docker rm "$id"
    docker rmi bare
}

@test "whose namespaces a container shares is told by id" {
    local peer id field
    peer=$(docker create --name peer --ipc shareable busybox true)
    for field in Ipc Pid Network; do
        id=$(json POST /containers/create "{\"Image\":\"busybox\",\"HostConfig\":{\"${field}Mode\":\"container:peer\"}}" | jq -r .Id)
        [ "$(docker inspect -f "{{.HostConfig.${field}Mode}}" "$id")" = "container:$peer" ]
        docker rm "$id"
    done
    docker rm peer
}

@test "an update takes the limit of processes away with 0 or less, and old clients cannot" {
    id=$(docker run -d --pids-limit 32 busybox top)
    json POST "/v1.39/containers/$id/update" '{"PidsLimit":16}' >/dev/null
    [ "$(docker inspect -f '{{.HostConfig.PidsLimit}}' "$id")" = 32 ]
    for n in 0 -1 -2; do
        docker update --pids-limit 32 "$id"
        json POST "/containers/$id/update" "{\"PidsLimit\":$n}" >/dev/null
        [ "$(docker inspect -f '{{.HostConfig.PidsLimit}}' "$id")" = 0 ]
        docker exec "$id" sh -c 'cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null' | grep -x max
    done
    docker restart -t 0 "$id"
}

@test "an object without a name is told from a path that is none" {
    [ "$(api DELETE /v1.51/containers/)$(status_of DELETE /v1.51/containers/)" = '{"message":"invalid name or ID supplied: \"\""}400' ]
    [ "$(api DELETE /v1.51/images/)$(status_of DELETE /v1.51/images/)" = '{"message":"image name cannot be blank"}400' ]
    [[ "$(api GET /v1.51/volumes/)$(status_of DELETE /v1.51/volumes/)" = *'no such volume"}404' ]]
    [ "$(api GET /v1.51/volume/)" = '{"message":"page not found"}' ]
}

@test "a platform must match to its end" {
    arch=$(docker image inspect -f '{{.Architecture}}' busybox)
    [ "$(status_of POST "/containers/create?platform=linux/${arch}x" -H 'Content-Type: application/json' -d '{"Image":"busybox"}')" = 404 ]
    [ "$(status_of POST "/containers/create?platform=linux/$arch" -H 'Content-Type: application/json' -d '{"Image":"busybox"}')" = 201 ]
}

@test "a tmpfs cannot take the place of the root" {
    for at in / // /./; do
        run json POST /containers/create "{\"Image\":\"busybox\",\"HostConfig\":{\"Tmpfs\":{\"$at\":\"\"}}}"
        [[ $output == *"destination can't be '/'"* ]]
    done
}

@test "a tmpfs has the propagation that is asked for; no parent of groups is above the root" {
    [[ "$(docker run --rm --tmpfs /x:shared busybox grep ' /x ' /proc/self/mountinfo)" == *' shared:'* ]]
    docker run -d --name up --cgroup-parent ../../../far busybox top
    grep -qE ":/far/$(docker inspect -f '{{.Id}}' up)$" "/proc/$(docker inspect -f '{{.State.Pid}}' up)/cgroup"
    docker rm -f up
}

@test "a bind of the daemon's root is a slave of it, and may not be private" {
    for source in "$T/data" "$T/data/containers" "$T" /; do
        id=$(docker create -v "$source:/foo" busybox true)
        [ "$(docker inspect -f '{{(index .Mounts 0).Propagation}}' "$id")" = rslave ]
        id=$(docker create --mount "type=bind,source=$source,target=/foo" busybox true)
        [ "$(docker inspect -f '{{(index .Mounts 0).Propagation}}' "$id")" = rslave ]
        for mode in private rprivate slave shared; do
            run docker create -v "$source:/foo:$mode" busybox true
            [[ $output == *'must use either propagation mode "rslave" or "rshared" when mount source is within the daemon root'* ]]
        done
        docker create -v "$source:/foo:rshared" busybox true
    done
    docker run --rm -v /:/host busybox ls /host/proc
    mkdir "$T/datax" # beside it, not below
    id=$(docker create -v "$T/datax:/foo" busybox true)
    [ "$(docker inspect -f '{{(index .Mounts 0).Propagation}}' "$id")" = rprivate ]
}

@test "an archive's names: of the root, through a link to it, and of what is no folder" {
    id=$(docker run -d busybox sh -c 'ln -s / /home/root; touch /home/done; sleep 60')
    wait_until 10 docker exec "$id" test -e /home/done
    api GET "/containers/$id/archive?path=/" | tar tPf - >"$T/names"
    grep -x / "$T/names"
    grep -x /bin/busybox "$T/names"
    api GET "/containers/$id/archive?path=/home/root/" | tar tPf - >"$T/names"
    [ "$(head -n 1 "$T/names")" = root/ ]
    grep -x root/bin/busybox "$T/names"
    mkdir "$T/out"
    docker cp "$id:/" "$T/out/all" && [ -x "$T/out/all/bin/busybox" ]
    [[ $(api GET "/containers/$id/archive?path=/etc/passwd/") == *'not a directory'* ]]
    for path in . ./ /. /./ home/root/.; do
        api GET "/containers/$id/archive?path=$path" | tar tPf - >"$T/names"
        [ "$(head -n 1 "$T/names")" = ./ ]
        grep -x ./bin/busybox "$T/names"
    done
    rm -rf "$T/out"
}

@test "a folder in the way of an archive's file is replaced, unless the client asks to keep it" {
    local id tar="$T/way.tar"
    id=$(docker run -d busybox sh -c 'mkdir -p /way/in; sleep 60')
    wait_until 10 docker exec "$id" test -d /way/in
    mkdir "$T/w" && echo file >"$T/w/way" && tar cf "$tar" -C "$T/w" way
    put() { curl -s -o "$T/said" -w '%{http_code}' --unix-socket "$T/dray.sock" -X PUT -T "$tar" "http://d/containers/$id/archive?path=/$1"; }
    [ "$(put '&noOverwriteDirNonDir=1')" = 400 ]
    grep -q 'cannot overwrite directory' "$T/said"
    [ "$(put '')" = 200 ]
    [ "$(docker exec "$id" cat /way)" = file ]
    docker rm -f "$id"
    rm -rf "$T/w" "$tar"
}

@test "root has the groups that the image gives it, with others or without" {
    id=$(docker create busybox)
    printf 'root:x:0:\nwheel:x:10:root\naudio:x:29:\n' >"$T/group"
    docker cp "$T/group" "$id:/etc/group"
    docker commit "$id" grouped
    [ "$(docker run --rm grouped id)" = 'uid=0(root) gid=0(root) groups=0(root),10(wheel)' ]
    [ "$(docker run --rm --group-add audio --group-add 777 grouped id)" = 'uid=0(root) gid=0(root) groups=0(root),10(wheel),29(audio),777' ]
    [ "$(docker run --rm --runtime runc grouped id -G)" = '0 10' ]
    docker rmi grouped
}

@test "variables: an empty HOME is none, a bare name takes one away" {
    [ "$(docker run --rm -e HOME= busybox env | grep -c ^HOME=/root)" = 1 ]
    [ "$(docker run --rm -e HOME= busybox env | grep -c ^HOME)" = 1 ]
    ! docker run --rm -e HOSTNAME busybox env | grep HOSTNAME
}

@test "a full name as host name is in hosts with its first part" {
    docker run --rm --hostname foo.example.com busybox cat /etc/hosts | grep 'foo.example.com foo$'
    docker run --rm --hostname foo --domainname example.com busybox cat /etc/hosts | grep 'foo.example.com foo$'
    [ "$(docker run --rm --hostname foo.example.com busybox hostname)" = foo.example.com ]
    [ "$(docker run --rm --hostname foo --domainname example.com busybox cat /etc/hostname)" = foo ]
}

@test "what cannot be is refused in known words" {
    docker run -d --name one -v /vol busybox top
    refuse() {
        local text=$1
        shift
        run docker create "$@" busybox
        [[ $output == *"$text"* ]]
    }
    refuse 'Duplicate mount point: /run' --tmpfs /run -v /var:/run
    refuse 'port exposing and the container type network mode' --net container:one --expose 80
    refuse 'invalid mode: bar' --volumes-from one:bar
    refuse 'the minimum allowed cpu-shares is 2' --cpu-shares 1
    run docker run --device /etc busybox true
    [[ $output == *'not a device node'* ]]
    docker rm -fv one
}

@test "an exec of a user that is not there is refused when it is made" {
    local id path
    id=$(docker run -d -w /tmp/ busybox sleep 1000)
    path=/containers/$id/exec
    made() { # USER STATUS [TEXT]
        [ "$(status_of POST "$path" -H 'Content-Type: application/json' -d "{\"User\":\"$1\",\"Cmd\":[\"true\"]}")" = "$2" ]
        [[ $(api POST "$path" -H 'Content-Type: application/json' -d "{\"User\":\"$1\",\"Cmd\":[\"true\"]}") == *"${3:-}"* ]]
    }
    made nobody2 400 'unable to find user nobody2: no matching entries in passwd file'
    made nobody2:1 400 'unable to find user nobody2'
    made 1:nobody2 400 'unable to find group nobody2: no matching entries in group file'
    made root 201
    made 4711:4712 201
    [ "$(docker inspect -f '{{.Config.WorkingDir}}' "$id")" = /tmp ]
    docker exec "$id" rm /etc/passwd
    made root 400 'unable to find user root'
    docker rm -f "$id"
}

@test "an exec that was made and not started ends with its container's run" {
    local id x y
    id=$(docker run -d busybox top)
    make() { api POST "/containers/$id/exec" -H 'Content-Type: application/json' -d '{"Cmd":["false"]}' | jq -r .Id; }
    begin() { status_of POST "/exec/$1/start" -H 'Content-Type: application/json' -d '{"Detach":true}'; }
    x=$(make)
    [ "$(begin "$x")" = 200 ]
    y=$(make)
    docker stop -t 0 "$id"
    [ "$(docker inspect -f '{{json .ExecIDs}}' "$id")" = null ]
    [ "$(begin "$y")" = 404 ]
    docker start "$id"
    [ "$(begin "$y")" = 404 ]
    [ "$(api GET "/exec/$x/json" | jq .ExitCode)" = 1 ] # what it came to is still known
    docker rm -f "$id"
}

@test "the address that was asked for is in the config, the user of a container in its execs" {
    local id x body='{"Image":"busybox","Cmd":["sleep","60"],"User":"0:5","NetworkingConfig":{"EndpointsConfig":{"bridge":{"MacAddress":"02:42:00:00:00:31"}}}}'
    id=$(api POST /v1.51/containers/create -H 'Content-Type: application/json' -d "$body" | jq -r .Id)
    mac() { [ "$(docker inspect -f '{{.Config.MacAddress}}' "$id")" = 02:42:00:00:00:31 ]; }
    mac
    docker start "$id"
    mac
    docker stop -t0 "$id"
    mac
    docker start "$id"
    x=$(api POST "/containers/$id/exec" -H 'Content-Type: application/json' -d '{"Cmd":["true"]}' | jq -r .Id)
    [ "$(api GET "/exec/$x/json" | jq -r .ProcessConfig.user)" = 0:5 ]
    [ "$(api GET /v1.46/info | jq '.RegistryConfig | has("AllowNondistributableArtifactsCIDRs")')" = true ]
    [ "$(api GET /v1.47/info | jq '.RegistryConfig | has("AllowNondistributableArtifactsCIDRs")')" = false ]
    docker rm -f "$id"
}

@test "a port's protocol is read in any case, and what comes after it is not" {
    local body='{"Image":"busybox","Cmd":["sleep","60"],"ExposedPorts":{"7001/udp/tcp":{},"7002/UDP":{},"80":{}},"HostConfig":{"PortBindings":{"7001/UDP":[{"HostIp":"127.0.0.1","HostPort":""}]}}}'
    id=$(api POST /v1.44/containers/create -H 'Content-Type: application/json' -d "$body" | jq -r .Id)
    docker start "$id"
    [ "$(docker inspect -f '{{json .NetworkSettings.Ports}}' "$id" | jq -c 'map_values(length)')" = '{"7001/udp":1,"7002/udp":0,"80/tcp":0}' ]
    docker rm -f "$id"
    [ "$(status_of POST /v1.44/containers/create -H 'Content-Type: application/json' -d '{"Image":"busybox","ExposedPorts":{"80/xyz":{}}}')" = 400 ]
}

@test "who waits for a container that has removed itself just before is told its exit code" {
    local id
    id=$(api POST '/v1.44/containers/create?name=departs' -H 'Content-Type: application/json' -d '{"Image":"busybox","Cmd":["sh","-c","exit 5"],"HostConfig":{"AutoRemove":true,"NetworkMode":"none"}}' | jq -r .Id)
    api POST "/containers/$id/start"
    wait_until 5 eval '[ "$(status_of GET "/containers/$id/json")" = 404 ]'
    [ "$(api POST "/containers/$id/wait")" = '{"StatusCode":5}' ]
    [ "$(api POST /containers/departs/wait)" = '{"StatusCode":5}' ]
    docker create --name departs busybox true # one that is there goes before one that was
    [ "$(api POST /containers/departs/wait)" = '{"StatusCode":0}' ]
    docker rm departs
    [ "$(status_of POST "/containers/${id:0:12}/wait")" = 404 ]
    wait_until 5 eval '[ "$(status_of POST "/containers/$id/wait")" = 404 ]'
}
