#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# authz.bats - authorization plugins in front of the API: whatever is not allowed is denied.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    S=$(mktemp -d /tmp/dray-it.XXXXXX)
    export S
    mkdir -p "$S/p"
    daemon_init
    cat >"$T/daemon.json" <<JSON
{"authorization-plugins": ["guard"],
 "plugins": {"authz/remote": {"socket-dirs": ["$S/p"], "spec-dirs": [], "timeout": "2s"}}}
JSON
    server guard
    daemon_start
    busybox_import
}

teardown_file() {
    local f
    mode ok
    rm -f "$S"/guard/deny "$S"/guard/deny-answer
    daemon_done || cat "$T/drayd.log" >&2
    for f in "$S"/*.pid; do kill "$(cat "$f")" 2>/dev/null; done
    rm -rf "$S"
}

server() {
    rm -f "$S/p/$1.sock"
    python3 "$BATS_TEST_DIRNAME/plugin_server.py" "$S/p/$1.sock" "$S/$1" </dev/null >"$S/$1.log" 2>&1 3>&- &
    echo $! >"$S/$1.pid"
    wait_until 10 test -S "$S/p/$1.sock"
}

mode() { echo "$1" >"$S/guard/mode"; }
setup() { mode ok; }
teardown() { rm -f "$S/guard/deny" "$S/guard/deny-answer"; }

@test "what the plugin allows goes on as ever, streams too" {
    [ "$(docker run --rm busybox echo hello)" = hello ]
    [ "$(echo in | docker run --rm -i busybox cat)" = in ]
    docker run -d --name streams busybox sh -c 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done'
    docker logs -f streams 2>/dev/null | head -n 5 | tail -n 1 | grep -qx 4
    docker exec streams echo inside | grep -q inside
    timeout 10 docker stats --no-stream streams | grep -q streams
    docker cp streams:/etc/passwd - | tar t | grep -q passwd
    docker rm -f streams
}

@test "the plugin sees method, address, headers, body and answer, but no credentials" {
    : >"$S/guard/calls"
    api POST '/v1.41/containers/create?name=seen' -H 'Content-Type: application/json' \
        -H 'X-Registry-Auth: c2VjcmV0' -H 'X-Trace: abc' -d '{"Image":"busybox","Labels":{"k":"find-me"}}'
    python3 - "$S/guard/calls" <<'PY'
import base64, json, sys
calls = [line.split(" ", 1) for line in open(sys.argv[1])]
req = [json.loads(b) for m, b in calls if m == "AuthZPlugin.AuthZReq"][0]
res = [json.loads(b) for m, b in calls if m == "AuthZPlugin.AuthZRes"][0]
assert req["RequestMethod"] == "POST" and req["RequestUri"] == "/v1.41/containers/create?name=seen", req
assert "find-me" in base64.b64decode(req["RequestBody"]).decode()
assert req["RequestHeaders"]["X-Trace"] == "abc"
assert not any(k.lower() == "x-registry-auth" for k in req["RequestHeaders"])
assert req["User"] == "" and req["UserAuthNMethod"] == ""
assert res["ResponseStatusCode"] == 201 and "Id" in json.loads(base64.b64decode(res["ResponseBody"]))
PY
    docker rm seen
    : >"$S/guard/calls"
    api POST /auth -H 'Content-Type: application/json' -d '{"username":"u","password":"hidden"}' >/dev/null
    ! grep -q "$(printf '{"username":"u","password":"hidden"}' | base64 -w0)" "$S/guard/calls"
}

@test "a denied request is not done: 403 and Docker's words" {
    echo '"Privileged":true' >"$S/guard/deny"
    run docker run --rm --privileged busybox true
    [ "$status" -ne 0 ]
    [[ $output == *'authorization denied by plugin guard: the word "Privileged":true is not allowed'* ]]
    docker run --rm busybox true
    echo /volumes/create >"$S/guard/deny"
    [ "$(status_of POST /volumes/create -H 'Content-Type: application/json' -d '{"Name":"forbidden"}')" = 403 ]
    rm "$S/guard/deny"
    ! docker volume inspect forbidden
}

@test "a denied answer is not shown" {
    docker volume create s3cret
    echo s3cret >"$S/guard/deny-answer"
    run docker volume ls
    [ "$status" -ne 0 ]
    [[ $output == *'authorization denied by plugin guard: an answer with s3cret is not allowed'* ]]
    [ "$(api GET /volumes | grep -c Mountpoint)" -eq 0 ]
    rm "$S/guard/deny-answer"
    docker volume rm s3cret
}

@test "hijacked and streamed answers are asked about before they begin" {
    docker run -d --name quiet busybox sleep 100
    echo /exec/ >"$S/guard/deny"
    run docker exec quiet touch /never
    [ "$status" -ne 0 ]
    [[ $output == *403* ]]
    rm "$S/guard/deny"
    ! docker exec quiet test -e /never
    echo /logs >"$S/guard/deny"
    [ "$(status_of GET '/containers/quiet/logs?stdout=1')" = 403 ]
    echo /events >"$S/guard/deny"
    [ "$(status_of GET /events)" = 403 ]
    rm "$S/guard/deny"
    docker rm -f quiet
}

@test "a body that the plugin cannot see is denied" {
    head -c 1100000 /dev/zero | tr '\0' x >"$T/big"
    { printf '{"Name":"big","Labels":{"k":"'; cat "$T/big"; printf '"}}'; } >"$T/big.json"
    [ "$(status_of POST /volumes/create -H 'Content-Type: application/json' --data-binary "@$T/big.json")" = 403 ]
    # Streams are no JSON: an archive of any size goes through.
    docker run -d --name sink busybox sleep 100
    docker cp "$T/big" sink:/big
    docker rm -f sink
}

@test "failures of every sort deny: rubbish, its own error, a hanging one in time" {
    local m t
    for m in rubbish nojson fail; do
        mode $m
        [ "$(status_of GET /_ping)" = 500 ]
        api GET /containers/json | grep -q '"plugin guard failed with error'
    done
    mode hang
    t=$SECONDS
    [ "$(status_of GET /containers/json)" = 500 ]
    [ $((SECONDS - t)) -le 4 ]
    mode ok
    wait_until 5 daemon_answers
}

@test "a stream that runs is not held up by a plugin that hangs" {
    docker run -d --name runs busybox sh -c 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.1; done'
    docker logs -f runs >"$T/runs.out" 2>&1 3>&- &
    wait_until 5 test -s "$T/runs.out"
    mode hang
    local before
    before=$(wc -l <"$T/runs.out")
    sleep 1
    [ "$(wc -l <"$T/runs.out")" -gt "$((before + 3))" ]
    mode ok
    wait_until 5 daemon_answers
    docker rm -f runs
}

@test "a plugin that has gone denies, and the chain changes by reload" {
    mv "$S/p/guard.sock" "$S/p/away"
    api GET /containers/json | grep -q '"plugin guard failed with error.*has gone'
    sed -i 's/\["guard"\]/[]/' "$T/daemon.json"
    kill -HUP "$(daemon_pid)"
    wait_until 5 docker ps
    sed -i 's/"authorization-plugins": \[\]/"authorization-plugins": ["nobody"]/' "$T/daemon.json"
    kill -HUP "$(daemon_pid)"
    not_allowed() { api GET /containers/json | grep -q '"plugin nobody failed with error: .*not found'; }
    wait_until 5 not_allowed
    mv "$S/p/away" "$S/p/guard.sock"
    sed -i 's/\["nobody"\]/["guard"]/' "$T/daemon.json"
    kill -HUP "$(daemon_pid)"
    wait_until 5 docker ps
}

@test "the option of dockerd; the user is the name on the client's certificate" {
    local port
    port=$(free_port)
    daemon_stop
    mkdir -p "$T/tls"
    (
        cd "$T/tls" || exit 1
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-ca -keyout ca-key.pem -out ca.pem
        for who in server alice; do
            openssl req -newkey rsa:2048 -nodes -subj "/CN=$who" -keyout $who-key.pem -out $who.csr
            printf 'subjectAltName=IP:127.0.0.1\n' >ext
            openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile ext -out $who.pem
        done
    ) 2>/dev/null
    sed -i 's/"authorization-plugins": \["guard"\],//' "$T/daemon.json"
    : >"$S/guard/calls"
    daemon_start -H "tcp://127.0.0.1:$port" --authorization-plugin guard --tlsverify --tlscacert "$T/tls/ca.pem" \
        --tlscert "$T/tls/server.pem" --tlskey "$T/tls/server-key.pem"
    curl -sf --max-time 5 --cacert "$T/tls/ca.pem" --cert "$T/tls/alice.pem" --key "$T/tls/alice-key.pem" \
        "https://127.0.0.1:$port/version" >/dev/null
    grep '"/version"' "$S/guard/calls" | grep -q '"User":"alice","UserAuthNMethod":"TLS"'
    grep '"/_ping"' "$S/guard/calls" | grep -q '"User":"","UserAuthNMethod":""'
}
