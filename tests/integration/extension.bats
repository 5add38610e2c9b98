#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# extension.bats - routes and events of extension plugins, and the dashboard.

bats_require_minimum_version 1.5.0
load lib
load misbehave

setup_file() {
    daemon_init
    export ORDERS=$T/orders
    mkdir "$ORDERS" "$T/so"
    misbehave_build "$T/so/misbehave.so"
    echo "{\"plugins\": {\"ext\": {\"plugin\": \"misbehave\", \"path\": \"$T/so/misbehave.so\", \"dir\": \"$ORDERS\"}}}" >"$T/daemon.json"
    daemon_start
}

teardown_file() {
    go_on
    daemon_done
}

teardown() { go_on; }

@test "requests reach the extension with method, path, query and headers" {
    [ "$(api GET '/extensions/ext/?q=a%20b' -H 'X-Test: here')" = "GET / q=a b h=here events=0" ]
    [ "$(api GET /v1.41/extensions/ext/say/some/thing/)" = "GET /say/some/thing/ q= h= events=0" ]
    api GET /extensions/ext/ -D - | tr -d '\r' | grep -qx 'X-Made-By: misbehave'
    api GET /extensions/ext/ -D - | tr -d '\r' | grep -qx 'Content-Type: text/plain'
}

@test "bodies go in by a descriptor and come out by one" {
    head -c 3000000 /dev/urandom >"$T/blob"
    api POST /extensions/ext/echo --data-binary "@$T/blob" | cmp - "$T/blob"
    [ "$(api GET /extensions/ext/fd)" = "from a descriptor" ]
}

@test "what is not offered is not found, and failures are errors of the API" {
    [ "$(status_of GET /extensions/ext/other)" = 404 ]
    [ "$(status_of DELETE /extensions/ext/say/x)" = 404 ]
    [ "$(status_of GET /extensions/nobody/)" = 404 ]
    api GET /extensions/nobody/ | grep -q '"message":"No such extension: nobody"'
    [ "$(status_of GET '/extensions/ext/?fail=1')" = 409 ]
    api GET '/extensions/ext/?fail=1' | grep -q '"message":"it shall fail"'
}

@test "the list tells what they offer" {
    api GET /extensions | jq -e '.[] | select(.Name == "ext") | (.Routes | index("POST /echo")) and (.Topics == ["volume"])'
    api GET /extensions | jq -e '.[] | select(.Name == "dashboard")'
}

@test "dray extension: what there is, and their commands" {
    dray extension ls | grep -qE '^ext +say +volume +GET /say/args, GET /, '
    [ "$(dray extension ls -q | grep -c '^dashboard$')" = 1 ]
    [ "$(dray extension ls --format '{{.Name}}={{.Commands}}' | grep ext=)" = ext=say ]
    dray extension run ext | grep -qE '^  say +Tell what was asked'
    [ "$(dray extension run ext say 'two words' --flag '&x=1' | sed 's/events=[0-9]*//')" = "GET /say/args q= h=  <two words> <--flag> <&x=1>" ]
    run dray extension run ext shout
    [ "$status" -eq 1 ]
    [[ $output == *'the extension ext has no command "shout"'* ]]
    run dray extension run nobody
    [ "$status" -eq 1 ]
    [[ $output == *"No such extension: nobody"* ]]
}

@test "events of the topics that it named reach it" {
    docker volume create one
    docker volume rm one
    docker network create other
    docker network rm other
    heard() { [ "$(api GET /extensions/ext/ | sed 's/.*events=//')" = 2 ]; }
    wait_until 5 heard
}

@test "one that hangs in describe, in a request or over an event holds nobody up" {
    local pid t
    hang extension.handle
    api GET /extensions/ext/ >"$T/late" 3>&- &
    pid=$!
    hang extension.event
    docker volume create two
    t=$(date +%s%N)
    docker volume rm two
    docker ps
    api GET /extensions/dashboard/ >/dev/null
    api GET "/events?since=1&until=$(date +%s.%N)" | grep -q '"two"'
    [ $(($(date +%s%N) - t)) -lt 2000000000 ]
    go_on
    wait $pid
    grep -q '^GET /' "$T/late"
    hang extension.describe
    daemon_stop
    t=$SECONDS
    daemon_start
    docker ps
    [ $((SECONDS - t)) -le 3 ]
    api GET /extensions | jq -e 'all(.[]; .Name != "ext")'
    go_on
    [ "$(status_of GET /extensions/ext/)" = 200 ]
}

@test "a stop of the daemon waits for no extension" {
    local t=$SECONDS
    hang extension.event
    docker volume create three
    daemon_stop
    [ $((SECONDS - t)) -le 14 ]
    go_on
    daemon_start
    docker volume rm three
}

@test "the dashboard is one page without outside resources, and its script is sound" {
    [ "$(status_of GET /extensions/dashboard)" = 301 ]
    api GET /extensions/dashboard -D - | tr -d '\r' | grep -qx 'Location: dashboard/'
    api GET /extensions/dashboard/ -D "$T/head" >"$T/page.html"
    tr -d '\r' <"$T/head" | grep -qx 'Content-Type: text/html; charset=utf-8'
    grep -qi "^Content-Security-Policy: default-src 'none'; connect-src 'self'" "$T/head"
    ! grep -qE 'https?://|src=|<link' "$T/page.html"
    cmp "$T/page.html" "$BATS_TEST_DIRNAME/../../plugins/ext-dashboard/page.html"
    command -v node >/dev/null || skip "no node to run its script"
    docker volume create seen
    busybox_import
    docker run -d --name shown-here busybox sleep 100
    sed -n '/<script>/,/<\/script>/p' "$T/page.html" | sed '1d;$d' >"$T/page.js"
    timeout 20 node "$BATS_TEST_DIRNAME/dashboard_run.js" "$T/page.js" "$T/dray.sock" >"$T/shown"
    docker rm -f shown-here
    docker volume rm seen
    grep -q 'containers: .*shown-here' "$T/shown"
    grep -q 'images: .*busybox:latest' "$T/shown"
    grep -q 'usage: .*Volumes' "$T/shown"
    ! grep -q '^state: .' "$T/shown"
}
