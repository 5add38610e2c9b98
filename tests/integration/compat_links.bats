#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# compat_links.bats - links of the default bridge, and what lists and archives show of containers.

load lib.bash

setup_file() { daemon_init && daemon_start && busybox_import; }
teardown_file() { daemon_done; }
teardown() { for c in $(docker ps -aq); do docker rm -fv "$c" >/dev/null; done; }

names() { docker ps -a --no-trunc --format '{{.Names}}' | tr ',' '\n' | sort | paste -sd ' '; }

@test "a link gives a name, a line in hosts, and variables" {
    docker run -d --name first --hostname fred --expose 80 --expose 7/udp -e e1= -e e2=v2=v3 busybox top
    docker run -d --name second --link first --link first:my-db busybox top
    [ "$(docker inspect -f '{{json .HostConfig.Links}}' second)" = '["/first:/second/first","/first:/second/my-db"]' ]
    [ "$(names)" = 'first second second/first second/my-db' ]
    ip=$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' first)
    docker exec second cat /etc/hosts >"$T/hosts"
    grep -Fx "$ip	first fred" "$T/hosts"
    grep -Fx "$ip	my-db fred first" "$T/hosts"
    docker exec second env >"$T/env"
    for line in MY_DB_NAME=/second/my-db "MY_DB_PORT=tcp://$ip:80" "MY_DB_PORT_80_TCP=tcp://$ip:80" "MY_DB_PORT_80_TCP_ADDR=$ip" \
        MY_DB_PORT_80_TCP_PORT=80 MY_DB_PORT_7_UDP_PROTO=udp MY_DB_ENV_e1= FIRST_ENV_e2=v2=v3 FIRST_NAME=/second/first; do
        grep -Fx -- "$line" "$T/env"
    done
    ! grep -F MY_DB_ENV_PATH "$T/env"
    [ "$(docker inspect -f '{{.Name}}' second/my-db)" = /first ]
    docker rm --link second/my-db
    [ "$(names)" = 'first second second/first' ]
}

@test "links follow a container that is renamed, and want it to run" {
    docker run -d --name old busybox top
    docker run -d --name user --link old busybox top
    docker rename old new
    [ "$(docker inspect -f '{{json .HostConfig.Links}}' user)" = '["/new:/user/old"]' ]
    docker create --name old busybox
    docker restart -t 0 user
    [ "$(docker exec user env | grep ^OLD_NAME)" = OLD_NAME=/user/old ]
    docker stop -t 0 user new
    run docker start user
    [ "$status" -ne 0 ]
    [[ $output == *'Cannot link to a non running container: /new AS /user/old'* ]]
}

@test "an alias is what stands behind the last slash, as inspect shows links" {
    docker run -d --name target busybox top
    docker create --name one --link target:/db busybox
    [ "$(docker inspect -f '{{json .HostConfig.Links}}' one)" = '["/target:/one/db"]' ]
    [ "$(docker inspect -f '{{.Name}}' one/db)" = /target ]
    # One that is made from another's configuration.
    api POST '/containers/create?name=two' -H 'Content-Type: application/json' \
        -d '{"Image":"busybox","Cmd":["grep","db","/etc/hosts"],"HostConfig":{"Links":["/target:/one/db"]}}' | jq -e .Id
    [ "$(docker inspect -f '{{json .HostConfig.Links}}' two)" = '["/target:/two/db"]' ]
    [[ "$(docker start -a two)" == *"db "* ]]
    docker rm -f target one two
}

@test "links of the default bridge are to who is on it; elsewhere they are names that need nobody yet" {
    docker network create mine
    docker run -d --name far --network mine --link later:soon busybox top
    run docker exec far ping -c 1 -W 1 soon
    [ "$status" -ne 0 ]
    docker run -d --name later --network mine busybox top
    docker exec far ping -c 1 -W 2 soon
    run docker run --name near --link far:far busybox true
    [[ $output == *"container $(docker inspect -f '{{.Id}}' far) not attached to default bridge network"* ]]
    docker network connect bridge far
    docker start -a near
    docker rm --link near/far
    [ "$(docker inspect -f '{{json .HostConfig.Links}}' near)" = null ]
    docker rm -f far later near
    docker network rm mine
}

@test "links and the host's network exclude each other, and so does a chosen MAC address" {
    docker run -d --name of-host --net host busybox top
    for args in '--link of-host' '--net host --link x:y'; do
        # shellcheck disable=SC2086
        run docker create $args busybox
        [[ $output == *"conflicting options: host type networking can't be used with links"* ]]
    done
    run api POST /v1.43/containers/create -H 'Content-Type: application/json' -d '{"Image":"busybox","MacAddress":"92:d0:c6:0a:29:33","HostConfig":{"NetworkMode":"host"}}'
    [[ $output == *'conflicting options: mac-address and the network mode'* ]]
    run docker create --net container busybox
    [[ $output == *'invalid container format container:'* ]]
    [[ $(api POST /containers/create -H 'Content-Type: application/json' -d '{"User":"x"}') == *'no command specified'* ]]
}

@test "the list shows an image's id once its name means another" {
    docker tag busybox moving:1
    id=$(docker image inspect -f '{{.Id}}' moving:1)
    docker create --name cc moving:1
    [ "$(docker ps -a --no-trunc --format '{{.Image}}')" = moving:1 ]
    printf 'FROM busybox\nLABEL a=b\n' | DOCKER_BUILDKIT=0 docker build -q -t moving:1 -
    [ "$(docker ps -a --no-trunc --format '{{.Image}}')" = "$id" ]
    docker rmi moving:1
    [ "$(docker ps -a --no-trunc --format '{{.Image}}')" = "$id" ]
}

@test "what is read-only takes no archive, stopped or not" {
    echo x >"$T/f"
    docker run --name ro -v vol:/vol:ro -v vol2:/rw busybox true
    run docker cp "$T/f" ro:/vol/f
    [[ $output == *'mounted volume is marked read-only'* ]]
    docker cp "$T/f" ro:/rw/f
    docker run --name roroot --read-only -v vol:/vol busybox true
    run docker cp "$T/f" roroot:/f
    [[ $output == *'container rootfs is marked read-only'* ]]
    docker cp "$T/f" roroot:/vol/f
    docker run --rm -v vol:/vol busybox ln -s /home /vol/out
    tar -C "$T" -c f >"$T/f.tar" # a link that leads out of the volume
    run api PUT '/containers/roroot/archive?path=/vol/out' --data-binary @"$T/f.tar"
    [[ $output == *'container rootfs is marked read-only'* ]]
    docker rm ro roroot
    docker volume rm vol vol2
}

@test "a stopped container's archive has its own files of /etc; a new one has its working directory" {
    docker run --name cc --add-host some:1.2.3.4 --hostname here busybox true
    docker cp cc:/etc/hosts - | tar xO | grep -x '1.2.3.4.some'
    docker cp cc:/etc/hostname - | tar xO | grep -x here
    [ "$(docker cp cc:/etc/resolv.conf - | tar xO)" = "$(cat "$(docker inspect -f '{{.ResolvConfPath}}' cc)")" ]
    docker create --name ww -w /home/deep/er busybox
    docker cp ww:/home/deep/er - | tar t | grep -x er/
    mkdir "$T/bound"
    echo in >"$T/one"
    docker create --name new -v "$T/bound:/not/there" -v "$T/one:/not/one" -v fresh:/vol busybox
    docker cp "$T/one" new:/not/there/copied
    [ "$(cat "$T/bound/copied")" = in ]
    [ "$(docker cp new:/not/one - | tar xO)" = in ]
    docker cp "$T/one" new:/vol/two
    [ "$(docker run --rm -v fresh:/v busybox cat /v/two)" = in ]
    docker rm -v new
    docker volume rm fresh
}

@test "a volume that is taken from another container is not filled from the image" {
    docker run --name bare -v /full busybox true
    docker run --name made busybox sh -c 'mkdir /full; touch /full/file'
    docker commit made with:file
    [ -z "$(docker run --rm --volumes-from bare with:file ls /full)" ]
    [ "$(docker run --rm -v /full with:file ls /full)" = file ]
    docker rm -v bare made
    docker rmi with:file
}

@test "of two volumes of others for one place the last one stands" {
    docker run --name d1 -v /data busybox true
    docker run --name d2 -v /data busybox true
    second=$(docker inspect -f '{{(index .Mounts 0).Name}}' d2)
    docker create --name app --volumes-from d1 --volumes-from d2 busybox
    [ "$(docker inspect -f '{{range .Mounts}}{{.Name}}{{end}}' app)" = "$second" ]
    docker create --name own --volumes-from d1 -v mine:/data busybox
    [ "$(docker inspect -f '{{range .Mounts}}{{.Name}}{{end}}' own)" = mine ]
    docker rm -v d1 # nothing holds its volume any more
    [ "$(docker volume ls -q --filter dangling=false | wc -l)" = 2 ]
    docker rm -v app own d2
    docker volume rm mine
}

@test "top takes options that choose no columns; resize and load are events" {
    id=$(docker run -d busybox top)
    [ "$(docker top "$id" aux --sort=comm | awk 'NR == 1 {print $1, $11}')" = 'USER COMMAND' ]
    since=$(date +%s.%N)
    [ "$(status_of POST "/containers/$id/resize?h=80&w=24")" = 200 ]
    docker save busybox | docker load
    image=$(docker image inspect -f '{{.Id}}' busybox)
    docker events --since "$since" --until "$(date +%s.%N)" >"$T/events"
    grep -E "container resize $id .*height=80,.* width=24" "$T/events"
    grep -E "image load $image" "$T/events"
}

@test "a health check that takes too long says its limit as people write it" {
    id=$(docker run -d --health-cmd 'sleep 30' --health-interval 100ms --health-timeout 1s --health-retries 1 busybox top)
    wait_until 20 sh -c "docker inspect -f '{{json .State.Health.Log}}' $id | grep -F 'exceeded timeout (1s)'"
}
