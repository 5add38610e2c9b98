#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# input.bats - bad input gets Docker's status codes and {"message": ...}.

load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() { daemon_done; }

J=(-H 'Content-Type: application/json')

# expect STATUS TEXT METHOD PATH [curl arguments]
expect() {
    local want=$1 text=$2 method=$3 path=$4 body code
    shift 4
    body=$(curl -s --max-time 20 --unix-socket "$T/dray.sock" -X "$method" -w '\n%{http_code}' "http://d$path" "$@")
    code=${body##*$'\n'}
    body=${body%$'\n'*}
    [ "$code" = "$want" ] || { echo "$method $path: $code $body"; return 1; }
    [ -z "$text" ] || [[ "$(jq -r .message <<<"$body")" == *"$text"* ]] || { echo "$method $path: $body"; return 1; }
}

@test "routes and versions" {
    expect 404 'page not found' GET /nosuch
    expect 404 'page not found' GET /v1.51/containers
    expect 404 'page not found' DELETE /version
    expect 400 'too new' GET /v1.99/version
    [[ "$(curl -s -w ' %{http_code} %{content_type}' --unix-socket "$T/dray.sock" http://d/v1.12/version)" = *'1.12 is too old'*$'\n 400 text/plain; charset=utf-8' ]]
    expect 404 'page not found' POST /v1.99/version # the route is looked for first
    expect 200 '' OPTIONS /nosuch
    expect 400 'too new' OPTIONS /v1.99/version
    expect 301 '' GET //containers/json
    [ "$(curl -sI --unix-socket "$T/dray.sock" -X GET "http://d/v1.51//containers/./x%20y/json?size=1" --path-as-is |
        tr -d '\r' | sed -n 's/^Location: //p')" = '/v1.51/containers/x%20y/json?size=1' ]
    expect 200 '' GET /v1.24/version
    expect 200 '' GET /version
}

@test "malformed bodies" {
    expect 400 '' POST /containers/create "${J[@]}" -d '{'
    expect 400 '' POST /containers/create "${J[@]}" -d '[]'
    expect 400 '' POST /containers/create "${J[@]}" -d '"x"'
    expect 400 'cannot unmarshal' POST /containers/create "${J[@]}" -d '{"Image":"busybox","Tty":"yes"}'
    expect 400 'cannot unmarshal' POST /containers/create "${J[@]}" -d '{"Image":"busybox","HostConfig":{"Memory":"1g"}}'
    expect 400 '' POST /containers/create "${J[@]}" -d "{\"Image\":\"busybox\",\"a\":$(printf '[%.0s' $(seq 200))$(printf ']%.0s' $(seq 200))}"
    expect 400 'unsupported Content-Type' POST /volumes/create -H 'Content-Type: text/plain'
    expect 400 'got EOF' POST /volumes/create "${J[@]}" -d '  '
    expect 404 'No such container' POST /containers/nosuch/update
    expect 400 'No exec command specified' POST /containers/nosuch/exec
    expect 400 'name is empty' POST /networks/create
    expect 400 'cannot unmarshal' POST /networks/none/connect "${J[@]}" -d '{"Container":"x","EndpointConfig":{"GwPriority":"x"}}'
    expect 400 'cannot unmarshal' POST /networks/create "${J[@]}" -d '{"Name":"x","IPAM":{"Config":[{"Subnet":1}]}}'
    expect 400 'cannot unmarshal' POST /networks/none/disconnect "${J[@]}" -d '{"Container":"x","Force":"yes"}'
    expect 400 'cannot unmarshal' POST /volumes/create "${J[@]}" -d '{"Name":1}'
    expect 201 '' POST '/containers/create?name=unknownfields' "${J[@]}" -d '{"Image":"busybox","NoSuchField":{"x":1}}'
    expect 204 '' DELETE /containers/unknownfields
}

@test "names" {
    expect 400 'Invalid container name' POST '/containers/create?name=a%20b' "${J[@]}" -d '{"Image":"busybox"}'
    expect 400 'Invalid container name' POST '/containers/create?name=..%2Fx' "${J[@]}" -d '{"Image":"busybox"}'
    expect 400 'Invalid container name' POST '/containers/create?name=x' "${J[@]}" -d '{"Image":"busybox"}'
    expect 404 'No such image' POST /containers/create "${J[@]}" -d '{"Image":"nosuch:latest"}'
    expect 400 '' POST /containers/create "${J[@]}" -d '{"Image":"UPPER CASE"}'
    expect 404 'No such container: nosuch' GET /containers/nosuch/json
    expect 404 'No such container: nosuch' POST /containers/nosuch/start
    expect 404 'No such container: nosuch' DELETE /containers/nosuch
    expect 404 '' GET /images/nosuch/json
    expect 404 '' GET /networks/nosuch
    expect 404 'no such volume' GET /volumes/nosuch
    expect 404 'No such exec instance' GET /exec/nosuch/json
}

@test "states" {
    docker create --name st busybox sleep 1000
    expect 304 '' POST '/containers/st/stop?signal=NOSUCH'
    expect 400 'cannot kill container: st: invalid signal: NOSUCH' POST '/containers/st/kill?signal=NOSUCH'
    expect 400 'invalid resize width "x": invalid syntax' POST '/containers/st/resize?h=1&w=x'
    expect 400 'invalid resize height "65536": value out of range' POST '/containers/st/resize?h=65536&w=1'
    expect 409 'is not running' POST /containers/st/kill
    expect 409 'is not running' POST /containers/st/exec "${J[@]}" -d '{"Cmd":["true"]}'
    expect 409 'is not running' POST /containers/st/pause
    expect 304 '' POST /containers/st/stop
    expect 204 '' POST /containers/st/start
    expect 304 '' POST /containers/st/start
    expect 409 'stop the container before removing or force remove' DELETE /containers/st
    expect 400 'invalid signal' POST '/containers/st/kill?signal=SIGNOPE'
    expect 400 'cannot kill container: st: the linux daemon does not support signal 65' POST '/containers/st/kill?signal=65'
    expect 400 'cannot kill container: st: the linux daemon does not support signal -1' POST '/containers/st/kill?signal=-1'
    expect 400 'cannot kill container: st: invalid signal: 1x' POST '/containers/st/kill?signal=1x'
    expect 400 'cannot stop container: st: invalid signal: NOSUCH' POST '/containers/st/stop?signal=NOSUCH'
    expect 400 'No exec command' POST /containers/st/exec "${J[@]}" -d '{}'
    expect 400 'invalid condition' POST '/containers/st/wait?condition=never'
    expect 204 '' DELETE '/containers/st?force=1'
}

@test "filters" {
    expect 400 '' GET '/containers/json?filters=%7B'
    expect 400 'invalid filter' GET '/containers/json?filters=%7B%22nosuch%22%3A%5B%22x%22%5D%7D'
    expect 200 '' GET '/containers/json?filters=%7B%22status%22%3A%5B%22running%22%5D%7D'
    expect 200 '' GET '/containers/json?filters=%7B%22status%22%3A%7B%22running%22%3Atrue%7D%7D'
    expect 400 '' GET '/containers/json?filters=%7B%22status%22%3A%5B%22nosuch%22%5D%7D'
    expect 400 '' GET '/containers/json?limit=x'
}

@test "mounts" {
    expect 400 'mount path must be absolute' POST /containers/create "${J[@]}" -d '{"Image":"busybox","HostConfig":{"Binds":["/tmp:rel"]}}'
    expect 400 "destination can't be '/'" POST /containers/create "${J[@]}" -d '{"Image":"busybox","HostConfig":{"Binds":["/tmp:/"]}}'
    expect 400 'invalid characters for a local volume name' POST /containers/create "${J[@]}" -d '{"Image":"busybox","HostConfig":{"Binds":["../x:/y"]}}'
    expect 400 'bind source path does not exist' POST /containers/create "${J[@]}" -d '{"Image":"busybox","HostConfig":{"Mounts":[{"Type":"bind","Source":"/no/such/place","Target":"/x"}]}}'
    expect 400 'Duplicate mount point' POST /containers/create "${J[@]}" -d '{"Image":"busybox","HostConfig":{"Binds":["/tmp:/x","/var:/x"]}}'
    run docker ps -aq
    [ -z "$output" ]
}

@test "volumes and networks" {
    expect 400 '' POST /volumes/create "${J[@]}" -d '{"Name":"../x"}'
    expect 404 '' POST /volumes/create "${J[@]}" -d '{"Name":"xx","Driver":"nosuchdriver"}'
    expect 400 '' POST /networks/create "${J[@]}" -d '{}'
    expect 403 '' DELETE /networks/bridge
    expect 403 'predefined' POST /networks/create "${J[@]}" -d '{"Name":"bridge"}'
    expect 400 '' POST /networks/create "${J[@]}" -d '{"Name":"n","IPAM":{"Config":[{"Subnet":"nonsense"}]}}'
}

@test "names are no paths, and may be too long for one" {
    local long
    long=$(printf 'x%.0s' {1..300})
    docker create --name toolong busybox >/dev/null
    expect 400 'file name too long' GET "/containers/toolong/archive?path=/$long"
    expect 400 'file name too long' PUT "/containers/toolong/archive?path=/$long" --data-binary ''
    [ "$(status_of HEAD "/containers/toolong/archive?path=/$long" -I)" = 400 ]
    docker rm toolong
    # Docker takes any name for a network: it must lead nowhere.
    touch "$T/data/networks/outside" "$T/data/outside"
    local id
    id=$(api POST /networks/create "${J[@]}" -d '{"Name":"../outside"}' | jq -r .Id)
    docker network inspect "$id" -f '{{.Name}}' | grep -Fx ../outside
    docker run --rm --network ../outside busybox true
    docker network rm "$id"
    [ -e "$T/data/outside" ]
    rm "$T/data/networks/outside" "$T/data/outside"
}

@test "the daemon is still well" {
    run docker run --rm busybox echo fine
    [ "$output" = fine ]
}
