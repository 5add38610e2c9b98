#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# compat_registry.bats - what clients see of registries where only Docker's own tests look.
load lib
load registry

setup_file() {
    daemon_init
    registry_start
    faults_start --users alice:secret
    daemon_start
    busybox_import
    docker tag busybox "$REGISTRY/bb:1"
}
teardown_file() {
    faults_stop
    registry_stop
    daemon_done
}

@test "credentials that are none count as absent" {
    local auth
    docker push -q "$REGISTRY/bb:1"
    for auth in null e30= bnVsbA== 'no base64!' A WyJhIl0 "$(printf '{"username":' | base64)"; do
        run api POST "/images/create?fromImage=$REGISTRY/bb&tag=1" -H "X-Registry-Auth: $auth"
        [[ "$output" == *"Image is up to date"* ]] || { echo "$auth: $output" >&2; return 1; }
        run api POST "/images/$REGISTRY/bb/push?tag=1" -H "X-Registry-Auth: $auth"
        [[ "$output" == *'"aux"'* ]] || { echo "$auth: $output" >&2; return 1; }
        [ "$(status_of GET "/distribution/$REGISTRY/bb:1/json" -H "X-Registry-Auth: $auth")" = 200 ]
    done
    mkdir -p "$T/context"
    printf 'FROM %s/bb:1\nLABEL a=b\n' "$REGISTRY" >"$T/context/Dockerfile"
    for auth in null 'no base64!' WyJhIl0; do
        run api POST /build -H "X-Registry-Config: $auth" -H 'Content-Type: application/x-tar' \
            --data-binary @<(tar -C "$T/context" -c .)
        [[ "$output" == *"Successfully built"* ]] || { echo "$auth: $output" >&2; return 1; }
    done
}

@test "a registry that cannot be reached is 500, which clients try again at" {
    [ "$(status_of POST "/images/create?fromImage=127.0.0.1:1/x&tag=1")" = 500 ]
    [ "$(status_of GET "/distribution/127.0.0.1:1/x:1/json")" = 500 ]
    [ "$(status_of POST /auth -H 'Content-Type: application/json' \
        -d '{"username":"u","password":"p","serveraddress":"127.0.0.1:1"}')" = 500 ]
    [ "$(status_of GET "/images/search?term=x")" = 500 ]
    [[ "$(api POST "/images/create?fromImage=127.0.0.1:1/x&tag=1" | jq -r .message)" == *"connection refused"* ]]
}

@test "what a token service says is said, and not only that there was an error" {
    local n rule
    docker tag busybox "$FAULTS/bb:1"
    says() { # STATUS BODY TEXT
        rules "$(jq -n --argjson status "$1" --arg body "$2" '[{match: "/token", status: $status, body: $body}]')"
        run timeout 60 docker push "$FAULTS/bb:1"
        [ "$status" -ne 0 ]
        [[ "${lines[-1]}" == *"$3" ]] || { echo "$output" >&2; return 1; }
    }
    says 401 '{"errors":[{"Code":"UNAUTHORIZED","message":"a message","detail":null}]}' 'unauthorized: a message'
    says 401 '{"error":"unauthorized"}' 'unauthorized: authentication required'
    says 401 '{"details":"try elsewhere"}' 'unauthorized: try elsewhere'
    says 403 'no way' 'error parsing HTTP 403 response body: no error details found in HTTP response body: "no way"'
    says 429 '{"errors":[{"code":"TOOMANYREQUESTS","message":"out of tokens"}]}' 'toomanyrequests: out of tokens'
    says 200 '{"something":"wrong"}' 'authorization server did not include a token in the response'
    rules '[]'
}

# A registry that has nothing, wants a token, and notes who asks: "<path> <User-Agent>".
agents_start() {
    local port
    port=$(free_port)
    AGENTS=127.0.0.1:$port
    python3 - "$port" "$T/agents" >/dev/null 2>&1 3>&- <<'PY' &
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open(sys.argv[2], "a") as f:
            f.write(f"{self.path.split('?')[0]} {self.headers.get('User-Agent')}\n")
        token = self.path.startswith("/token")
        self.send_response(200 if token else 404 if self.headers.get("Authorization") else 401)
        self.send_header("WWW-Authenticate", f'Bearer realm="http://127.0.0.1:{sys.argv[1]}/token",service="x"')
        body = b'{"token": "t"}' if token else b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_HEAD = do_POST = do_GET
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
PY
    agents_pid=$!
    wait_until 10 curl -s -o /dev/null "http://$AGENTS/up"
}

@test "a registry and its token service are told which client asks, as dockerd tells them" {
    agents_start
    rm "$T/agents"
    api POST "/images/create?fromImage=$AGENTS/a/b&tag=1" -A 'odd; (a\b)' >/dev/null || true
    docker tag busybox "$AGENTS/a/b:1"
    api POST "/images/$AGENTS/a/b/push?tag=1" -A 'odd; (a\b)' >/dev/null || true
    api POST "/images/create?fromImage=$AGENTS/a/c&tag=1" -A '' >/dev/null || true
    kill "$agents_pid"
    docker rmi "$AGENTS/a/b:1" >/dev/null
    for path in /v2/a/b/manifests/1 /token /v2/a/b/blobs/; do
        grep "^$path" "$T/agents" | grep -v 'a/c' | grep -qF ' dray/0.1.0 UpstreamClient(odd\; \(a\\b\))' ||
            { cat "$T/agents"; return 1; }
    done
    grep -qx '/v2/a/c/manifests/1 dray/0.1.0' "$T/agents"
    [ "$(grep '^/v2/a/b/' "$T/agents" | grep -vcF 'UpstreamClient(odd')" -eq 0 ]
}
