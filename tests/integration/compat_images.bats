#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# compat_images.bats - small behaviours of images and builds that clients' own test suites look for.

bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
    daemon_init
    echo '{"registry-mirrors":["http://127.0.0.1:1","https://m.example/"],"default-ipc-mode":"shareable"}' >"$T/daemon.json"
    daemon_start && busybox_import
}
teardown_file() { daemon_done; }

build() { DOCKER_BUILDKIT=0 docker build "$@" 2>&1; }

@test "info shows mirrors with a slash; the daemon's IPC mode is taken" {
    [ "$(docker info -f '{{json .RegistryConfig.Mirrors}}')" = '["http://127.0.0.1:1/","https://m.example/"]' ]
    [ "$(docker info -f '{{json (index .RegistryConfig.IndexConfigs "docker.io").Mirrors}}')" = '["http://127.0.0.1:1/","https://m.example/"]' ]
    id=$(docker create busybox)
    [ "$(docker inspect -f '{{.HostConfig.IpcMode}}' "$id")" = shareable ]
    docker rm "$id"
}

@test "no tag may look like a digest" {
    for name in sha256 sha256:sometag; do
        run docker tag busybox "$name"
        [ "$status" -ne 0 ]
        [[ $output == *'refusing to create an ambiguous tag using digest algorithm as name'* ]]
    done
    docker tag busybox sha256x
    docker rmi sha256x
}

@test "a platform that is none is refused before anything is done" {
    for path in '/images/create?fromImage=busybox&platform=foobar' '/build?platform=foobar'; do
        [[ $(api POST "$path") == *'unknown operating system or architecture'* ]]
        [ "$(status_of POST "$path")" = 400 ]
    done
    [[ $(api POST '/images/create?fromImage=busybox&platform=linux/') == *'invalid component of'* ]]
    [[ $(api POST '/images/create?fromImage=busybox&platform=%20') == *'is an invalid OS component of'* ]]
    [ "$(status_of POST '/containers/create?platform=foobar' -H 'Content-Type: application/json' -d '{"Image":"busybox","Cmd":["true"]}')" = 400 ]
}

@test "changes of a commit see the variables of the image" {
    id=$(docker create -e 'A=one two' busybox)
    docker commit -c 'ENV PATH=/opt:$PATH B="<$A>" C='"'"'$A'"'"' D=${NONE:-or} E=${A:+then} F=\$A' \
        -c 'LABEL who=${A}' -c 'WORKDIR /w$D' -c 'ENTRYPOINT echo $A' "$id" changed
    docker rm "$id"
    docker image inspect -f '{{range .Config.Env}}{{println .}}{{end}}' changed >"$T/env"
    for line in 'PATH=/opt:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' 'B=<one two>' 'C=$A' D=or E=then 'F=$A'; do
        grep -Fx -- "$line" "$T/env"
    done
    [ "$(docker image inspect -f '{{.Config.Labels.who}}' changed)" = 'one two' ]
    [ "$(docker image inspect -f '{{json .Config.Entrypoint}}' changed)" = '["/bin/sh","-c","echo $A"]' ]
    docker rmi changed
}

@test "a commit's config is joined with the container's, its history tells the container's command" {
    id=$(docker create -e OWN=1 -l own=1 --expose 1 busybox echo made)
    api POST "/commit?container=$id&repo=joined" -H 'Content-Type: application/json' \
        -d '{"Env":["A=b"],"Labels":{"x":"y"},"ExposedPorts":{"2/tcp":{}},"Entrypoint":["e"]}'
    api GET /images/joined/json >"$T/joined"
    [ "$(jq -c '.Config | .Env[0], .Env[1], .Labels, (.ExposedPorts | keys), .Entrypoint, .Cmd' "$T/joined" | xargs)" = \
        'A=b OWN=1 {x:y,own:1} [1/tcp,2/tcp] [e] null' ]
    [ "$(docker history --no-trunc --format '{{.CreatedBy}}' joined | head -n 1)" = 'echo made' ]
    [ "$(api POST "/commit?container=$id" -H 'Content-Type: application/json' -d '{"Cmd":[1]}' | jq -r .message)" = \
        'invalid JSON: json: cannot unmarshal number into Go struct field Config.Cmd of type string' ]
    docker rm "$id"
    docker rmi joined
    # [] asks for no entrypoint, null for the container's.
    id=$(docker create --entrypoint e busybox echo made)
    for entry in '[]' null; do
        api POST "/commit?container=$id&repo=joined" -H 'Content-Type: application/json' -d "{\"Entrypoint\":$entry,\"Cmd\":[\"c\"]}"
        docker inspect -f '{{.Config.Entrypoint}} {{.Config.Cmd}}' joined
        docker rmi joined >/dev/null
    done >"$T/entries"
    [ "$(grep -v Id "$T/entries" | paste -sd,)" = '[] [c],[e] [c]' ]
    docker rm "$id"
}

@test "what is no archive and what is no image is told in the stream" {
    api POST /images/load -H 'Content-Type: application/x-tar' -d junk -w '%{http_code}' >"$T/load"
    grep -q '"errorDetail":{"message":"read the archive: Unrecognized archive format"}' "$T/load"
    [ "$(tail -n 1 "$T/load")" = 200 ]
    api POST /images/nosuch/push >"$T/push"
    [ "$(jq -r '.status // .error' "$T/push" | paste -sd ';')" = \
        'The push refers to repository [docker.io/library/nosuch];An image does not exist locally with the tag: nosuch' ]
}

@test "a list of no names is null for old clients and in the use of the disk" {
    [ "$(api GET /v1.42/images/json | jq -c '.[0].RepoDigests')" = null ]
    [ "$(api GET /v1.43/images/json | jq -c '.[0].RepoDigests')" = '[]' ]
    [ "$(api GET /v1.51/system/df | jq -c '.Images[0].RepoDigests')" = null ]
    [ "$(api GET /v1.41/system/df | jq -c 'has("BuilderSize")')" = false ]
}

@test "a stage that another begins with pulls its triggers there too" {
    printf 'FROM busybox AS one\nONBUILD RUN echo foo >somefile\nONBUILD ENV bar=baz\nFROM one\nRUN cat somefile\nFROM one\nRUN cat somefile\n' |
        build -t triggered -
    [ "$(docker run --rm triggered cat somefile)" = foo ]
    docker image inspect -f '{{json .Config.Env}} {{json .Config.OnBuild}}' triggered | grep -F '"bar=baz"' | grep -E 'null$|\[\]$'
    docker rmi triggered
}

@test "an image is the ancestor of what containers of images made from it have" {
    printf 'FROM busybox\nLABEL a=1\n' | build -q -t child - && printf 'FROM child\nLABEL b=1\n' | build -q -t grand:x -
    local b c g
    b=$(docker create busybox) c=$(docker create child) g=$(docker create grand:x)
    of() { docker ps -aq --no-trunc -f "ancestor=$1" | sort | xargs; }
    all=$(printf '%s\n' "$b" "$c" "$g" | sort | xargs)
    [ "$(of busybox)" = "$all" ]
    [ "$(of busybox:latest)" = "$all" ]
    [ "$(of "$(docker inspect -f '{{.Id}}' busybox)")" = "$all" ]
    [ "$(of child)" = "$(printf '%s\n' "$c" "$g" | sort | xargs)" ]
    [ "$(of grand:x)" = "$g" ]
    [ -z "$(of grand)" ] # there is no grand:latest
    [ -z "$(of nosuch)" ]
    [ "$(docker ps -aq --no-trunc -f ancestor=nosuch -f ancestor=grand:x)" = "$g" ]
    docker tag child grand:x # the name means another image now
    [ "$(of grand:x)" = "$(printf '%s\n' "$c" "$g" | sort | xargs)" ]
    docker rm "$b" "$c" "$g"
    docker rmi child grand:x
}

@test "a load tells of names that are taken from others, knows parents, and gives no name anew" {
    local from kid parent
    docker create --name cc busybox
    parent=$(docker commit -c 'LABEL a=1' cc)
    docker rm cc
    docker create --name cc "$parent"
    kid=$(docker commit -c 'LABEL a=2' cc)
    docker rm cc
    docker tag "$kid" moved:1
    docker save -o "$T/kid.tar" moved:1 "$parent"
    tar -xOf "$T/kid.tar" manifest.json | jq -e --arg p "$parent" 'map(.Parent) | index($p)'
    docker rmi moved:1 >/dev/null
    docker tag busybox moved:1
    from=$(date +%s.%N)
    [[ "$(docker load -i "$T/kid.tar")" == *"The image moved:1 already exists, renaming the old one with ID $(docker image inspect -f '{{.Id}}' busybox) to empty string"* ]]
    [ "$(docker image inspect -f '{{.Parent}}' "$kid")" = "$parent" ]
    [ "$(docker image inspect -f '{{.Metadata.LastTagTime}}' moved:1)" = '0001-01-01 00:00:00 +0000 UTC' ]
    [ -z "$(docker events --since "$from" --until "$(date +%s.%N)" --filter event=tag)" ]
    docker rmi moved:1 >/dev/null
    run api DELETE /images/%20
    [[ $output == *'image name cannot be blank'* ]]
}

@test "a prune leaves an image that is used its last name" {
    local id t
    for t in h a z; do docker tag busybox:latest spare:$t; done
    id=$(docker create busybox)
    docker image prune -af >"$T/pruned"
    cat "$T/pruned"
    [ "$(sed -n 's/^untagged: //p' "$T/pruned" | grep spare | xargs)" = 'spare:a spare:h' ]
    docker tag spare:z busybox:latest
    docker rmi spare:z
    docker image prune -af >"$T/pruned"
    run ! grep busybox "$T/pruned"
    docker image inspect busybox:latest
    docker rm "$id"
}

@test "an import for another system is refused, an architecture has its usual name" {
    printf x >"$T/x"
    for platform in macos/arm64 macos; do
        run bash -c "tar -C '$T' -c x | docker import --platform $platform - foreign"
        [[ $status -ne 0 && $output == *"operating system is not supported"* ]]
    done
    tar -C "$T" -c x | docker import --platform LINUX/x86_64 - usual
    [ "$(docker image inspect -f '{{.Architecture}}' usual)" = amd64 ]
    docker rmi usual
}

@test "a commit: its events, and a history with the ids of the parents that are here" {
    local since id
    docker create --name made busybox sh
    since=$(date +%s.%N)
    id=$(docker commit made made:1)
    docker commit made made >/dev/null # gets the tag that is told
    docker save made:1 >/dev/null
    docker events --since "$since" --until "$(date +%s.%N)" --format '{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.imageRef}}' >"$T/events"
    cat "$T/events"
    diff - "$T/events" <<EOF
image create $id <no value>
image tag made:1 <no value>
container commit made made:1
image create $(docker images -q --no-trunc made:latest) <no value>
image tag made:latest <no value>
container commit made made:latest
image save $id <no value>
EOF
    docker rmi made:latest
    [ "$(docker history --no-trunc -q made:1)" = "$id"$'\n'"$(docker images -q --no-trunc busybox)" ]
    [ "$(api GET /images/made:1/history | jq -c '[.[].Tags]')" = '[["made:1"],["busybox:latest"]]' ]
    docker rm made
    docker rmi made:1
}

@test "of a committed container an image shows what images have, as its API version does" {
    local id list=.Config.Hostname,.Config.Tty,.Config.Image,.Config.Labels
    id=$(docker create -it -h myhost --stop-timeout 7 -e Q=1 busybox sh)
    docker commit "$id" made:2
    [ "$(api GET /v1.44/images/made:2/json | jq -c "[$list,.Config.StopTimeout,.Container,.ContainerConfig.Image]")" = \
        "[\"\",false,\"\",null,null,\"$id\",\"busybox\"]" ]
    [ "$(api GET /v1.51/images/made:2/json | jq -c '.Config | keys')" = \
        '["Cmd","Entrypoint","Env","Labels","OnBuild","User","Volumes","WorkingDir"]' ]
    [ "$(api GET /v1.51/images/made:2/json | jq -c '[.Config.Env[0],has("Container")]')" = '["Q=1",false]' ]
    [ "$(api GET /v1.50/images/json | jq -c 'map(.Containers) | unique')" = '[-1]' ]
    [ "$(api GET /v1.51/images/json | jq -c 'map(select(.RepoTags == ["busybox:latest"] or .RepoTags == ["made:2"]) | .Containers) | sort')" = '[0,1]' ]
    docker rm "$id"
    docker rmi made:2
}

@test "the names of an image come in the order of the whole ones" {
    local names='a/b:1 busybox:latest zz:1 x.example/b:1' name
    for name in x.example/b:1 zz:1 a/b:1; do docker tag busybox "$name"; done
    [ "$(docker image inspect -f '{{join .RepoTags " "}}' busybox)" = "$names" ]
    [ "$(api GET /images/json | jq -r '.[].RepoTags | select(length == 4) | join(" ")')" = "$names" ]
    docker rmi x.example/b:1 zz:1 a/b:1
}

@test "a build tells of its image, whether it is new or not" {
    local since id i
    for i in 1 2; do
        since=$(date +%s.%N)
        id=$(echo 'FROM busybox
LABEL told=yes' | DOCKER_BUILDKIT=0 docker build -q -t told:1 - 2>/dev/null)
        docker events --since "$since" --until "$(date +%s.%N)" --filter type=image --format '{{.Action}} {{.Actor.Attributes.name}}' >"$T/events"
        diff - "$T/events" <<EOF
create $id
tag told:1
EOF
    done
    docker rmi told:1
}
