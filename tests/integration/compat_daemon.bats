#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# compat_daemon.bats - what clients see of the daemon itself where only Docker's own tests look.

load lib

setup_file() {
    daemon_init
    echo '{"labels":["foo=bar"],"max-concurrent-downloads":2,"insecure-registries":["a.example:1"],"default-cgroupns-mode":"private"}' >"$T/daemon.json"
    daemon_start && busybox_import
}
teardown_file() { daemon_done; }

reloaded() { docker events --since "$1" --until "$(date +%s.%N)" "${@:2}" | grep -q 'daemon reload'; }

@test "a reload is an event that clients can read" {
    local begin id
    begin=$(date +%s.%N)
    id=$(docker info -f '{{.ID}}')
    sed -i 's/"a.example:1"/"b.example:1"/' "$T/daemon.json"
    kill -HUP "$(daemon_pid)"
    wait_until 10 reloaded "$begin"
    # All that watch go on: each attribute is text, as Docker's clients have it.
    run docker events --since "$begin" --until "$(date +%s.%N)" -f type=daemon --format '{{json .}}'
    [ "$(jq -c '[.Type, .Action, .Actor.ID]' <<<"$output")" = "[\"daemon\",\"reload\",\"$id\"]" ]
    [ "$(jq -r '.Actor.Attributes | map_values(type) | [.[]] | unique | .[]' <<<"$output")" = string ]
    for want in 'name '"$(hostname)" 'labels ["foo=bar"]' 'debug false' 'max-concurrent-downloads 2' \
        'max-concurrent-uploads 5' 'insecure-registries ["b.example:1"]' 'registry-mirrors []' 'live-restore true'; do
        [ "$(jq -r --arg k "${want%% *}" '.Actor.Attributes[$k]' <<<"$output")" = "${want#* }" ] || { echo "$want: $output" >&2; return 1; }
    done
    reloaded "$begin" -f "daemon=$id"
    run reloaded "$begin" -f daemon=other
    [ "$status" -ne 0 ]
}

settings() { docker info -f '{{.Debug}} {{.Labels}} {{.DefaultRuntime}} {{.RegistryConfig.Mirrors}} {{range $k, $v := .RegistryConfig.IndexConfigs}}{{$k}} {{end}}'; }
are() { [ "$(settings)" = "$1" ]; }
told() { grep -q "$1" "$T/drayd.log"; }

@test "what a reload can change changes, to and fro; the rest waits for a restart" {
    local before attrs begin
    before=$(cat "$T/daemon.json")
    begin=$(date +%s.%N)
    echo '{"debug":true,"labels":["a=b"],"max-concurrent-downloads":7,"max-concurrent-uploads":8,"max-download-attempts":9,
        "shutdown-timeout":33,"default-runtime":"runc","insecure-registries":["x.example:1"],"default-shm-size":"77m",
        "registry-mirrors":["https://m.example"],"features":{"buildkit":true},"default-cgroupns-mode":"private"}' >"$T/daemon.json"
    kill -HUP "$(daemon_pid)"
    wait_until 10 are 'true [a=b] runc [https://m.example/] docker.io x.example:1 '
    attrs=$(docker events --since "$begin" --until "$(date +%s.%N)" -f type=daemon --format '{{json .Actor.Attributes}}')
    [ "$(jq -r '[."max-concurrent-downloads", ."max-concurrent-uploads", ."max-download-attempts", ."shutdown-timeout",
        ."default-runtime", ."default-shm-size", .features] | join(" ")' <<<"$attrs")" = "7 8 9 33 runc 80740352 map[buildkit:true]" ]
    docker create --name new busybox >/dev/null
    [ "$(docker inspect -f '{{.HostConfig.Runtime}} {{.HostConfig.ShmSize}}' new)" = 'runc 80740352' ]
    docker rm new >/dev/null
    # What is not valid changes nothing; what cannot change does not keep the rest from changing.
    echo '{"insecure-registries":["not/valid"]}' >"$T/daemon.json"
    kill -HUP "$(daemon_pid)"
    wait_until 10 told 'not reloaded: insecure registry not/valid is not valid'
    echo '{"default-runtime":"nosuch"}' >"$T/daemon.json"
    kill -HUP "$(daemon_pid)"
    wait_until 10 told "not reloaded: specified default runtime 'nosuch' does not exist"
    are 'true [a=b] runc [https://m.example/] docker.io x.example:1 '
    jq -c '. + {mtu: 1400}' <<<"$before" >"$T/daemon.json"
    kill -HUP "$(daemon_pid)"
    wait_until 10 are "false [foo=bar] native [] $(jq -r '."insecure-registries"[0]' <<<"$before") docker.io "
    told 'option "mtu" cannot be changed while it runs: its options stay as they are until the daemon is restarted'
    echo "$before" >"$T/daemon.json"
}

@test "clients before API 1.41 get no namespace of control groups, but on version 2" {
    local mode=host
    [ ! -e /sys/fs/cgroup/cgroup.controllers ] || mode=private
    create() { api POST "$1/containers/create" -H 'Content-Type: application/json' -d "$2" | jq -r .Id; }
    [ "$(docker inspect -f '{{.HostConfig.CgroupnsMode}}' "$(create /v1.40 '{"Image":"busybox"}')")" = $mode ]
    [ "$(docker inspect -f '{{.HostConfig.CgroupnsMode}}' "$(create /v1.41 '{"Image":"busybox"}')")" = private ]
    [ "$(docker inspect -f '{{.HostConfig.CgroupnsMode}}' \
        "$(create /v1.40 '{"Image":"busybox","HostConfig":{"CgroupnsMode":"private"}}')")" = private ]
}

security() { docker info -f '{{json .SecurityOptions}}'; }
proxies() { docker info -f '{{.HTTPProxy}} {{.HTTPSProxy}} {{.NoProxy}}'; }

@test "info tells the proxies in use without their passwords, and the seccomp profile; a file without content is none" {
    local before
    before=$(cat "$T/daemon.json")
    [[ $(security) == *name=seccomp,profile=builtin* ]]
    daemon_stop
    : >"$T/daemon.json"
    HTTP_PROXY=http://me:secret@p.example:1 https_proxy=q.example:2 NO_PROXY=a.example daemon_start
    [ "$(proxies)" = 'http://xxxxx:xxxxx@p.example:1 q.example:2 a.example' ]
    daemon_stop
    echo '{"seccomp-profile":"unconfined","proxies":{"http-proxy":"http://p.example/me@here","https-proxy":"me@q.example"}}' >"$T/daemon.json"
    HTTPS_PROXY=http://other.example daemon_start
    [ "$(proxies)" = 'http://p.example/me@here xxxxx:xxxxx@q.example ' ]
    [[ $(security) == *name=seccomp,profile=unconfined* ]]
    run "$DRAY_STAGE/bin/drayd" --validate --config-file "$T/daemon.json" --http-proxy http://me:secret@p.example
    [[ $status -ne 0 && $output == *'both as a flag and in the configuration file: http-proxy: (from flag: http://xxxxx:xxxxx@p.example, from file: http://p.example/me@here)'* ]]
    daemon_stop
    echo "$before" >"$T/daemon.json"
    daemon_start
}

@test "info warns of every address without encryption, with the scheme or without" {
    daemon_stop
    daemon_start -H 127.0.0.1:23756 -H tcp://127.0.0.1:23757
    [ "$(docker info -f '{{json .Warnings}}' | jq -r '[.[] | select(contains("API is accessible")) | sub(".*//(?<a>[^ ]*) .*"; "\(.a)")] | join(" ")')" = '127.0.0.1:23756 127.0.0.1:23757' ]
}
