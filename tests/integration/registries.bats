#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# registries.bats - registries as they are met: HTTPS with an authority of their own, client certificates,
# htpasswd, token services, mirrors, proxies. No credentials ever reach a server they are not meant for.

load lib
load registry

ADDRESS=198.51.100.7 # not loopback: certificates count

setup_file() {
    daemon_init
    ip addr add $ADDRESS/32 dev lo
    make_certificates
    registry_start
    push_busybox
    push "$DRAY_CACHE/busybox-oci" library/hello:1
    PLAIN=$REGISTRY
    REGISTRY=$PLAIN faults_start --users 'alice:secret,bob:se:cret'
    TOKENS=$FAULTS
    htpasswd -Bbc "$T/htpasswd" alice secret 2>/dev/null
    TLS=$ADDRESS:$(free_port)
    server tls "$TLS" "
  tls: {certificate: $T/server.crt, key: $T/server.key}"
    MUTUAL=$ADDRESS:$(free_port)
    server mutual "$MUTUAL" "
  tls: {certificate: $T/server.crt, key: $T/server.key, clientcas: [$T/ca.crt]}"
    BASIC=$ADDRESS:$(free_port)
    server basic "$BASIC" "
  tls: {certificate: $T/server.crt, key: $T/server.key}
auth: {htpasswd: {realm: here, path: $T/htpasswd}}"
    export PLAIN TOKENS TLS MUTUAL BASIC
    mkdir -p "$T/certs.d/$TLS" "$T/certs.d/$MUTUAL" "$T/certs.d/$BASIC"
    hub_start
    configure ''
    daemon_start
}

teardown_file() {
    local f
    for f in "$T"/server-*.pid "$T"/extra-*.pid; do kill "$(cat "$f")" 2>/dev/null; done
    faults_stop
    registry_stop
    ip addr del $ADDRESS/32 dev lo
    daemon_done
}

setup() {
    rules '[]'
    rm -f "$DOCKER_CONFIG/config.json" "$T"/certs.d/*/*
    cp "$T/ca.crt" "$T/certs.d/registry-1.docker.io/"
    cp "$T/ca.crt" "$T/certs.d/index.docker.io/"
    docker image prune -af >/dev/null
    : >"$T/faults.log"
}

make_certificates() {
    local name
    (cd "$T" || exit 1
    openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=authority -days 2
    for name in server client; do
        openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=$name
        printf 'subjectAltName=IP:%s,DNS:registry-1.docker.io,DNS:index.docker.io\nextendedKeyUsage=serverAuth,clientAuth\n' $ADDRESS >ext
        openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out $name.crt -days 2 -extfile ext
    done) >/dev/null 2>&1
}

# server NAME ADDRESS MORE: another docker-registry over the same data
server() {
    cat >"$T/$1.yml" <<YML
version: 0.1
storage: {filesystem: {rootdirectory: $T/registry}}
log: {level: error}
http:
  addr: $2$3
YML
    docker-registry serve "$T/$1.yml" </dev/null >"$T/$1.log" 2>&1 3>&- &
    echo $! >"$T/server-$1.pid"
    wait_until 10 curl -sk -o /dev/null "https://$2/v2/" || wait_until 1 nc -z "${2%:*}" "${2#*:}"
}

# A false Docker Hub: TLS in the name of registry-1.docker.io, reached by a proxy only.
hub_start() {
    local tls
    tls=127.0.0.1:$(free_port)
    PROXY=127.0.0.1:$(free_port)
    mkdir -p "$T/certs.d/registry-1.docker.io" "$T/certs.d/index.docker.io"
    echo '[]' >"$T/hub-rules.json"
    "$BATS_TEST_DIRNAME/registry_faults.py" --listen "$tls" --upstream "$PLAIN" --rules "$T/hub-rules.json" --log "$T/hub.log" \
        --cert "$T/server.crt" --key "$T/server.key" </dev/null >/dev/null 2>&1 3>&- &
    echo $! >"$T/extra-hub.pid"
    "$BATS_TEST_DIRNAME/registry_faults.py" --listen "$PROXY" --upstream "$PLAIN" --connect --connect-to "$tls" \
        --rules "$T/hub-rules.json" --log "$T/proxy.log" </dev/null >/dev/null 2>&1 3>&- &
    echo $! >"$T/extra-proxy.pid"
    export PROXY
    wait_until 10 curl -s -o /dev/null "http://$PROXY/v2/"
    wait_until 10 curl -sk -o /dev/null "https://$tls/v2/"
}

configure() { # MORE JSON members
    echo "{\"plugins\":{\"hub\":{\"options\":{\"certs-dir\":\"$T/certs.d\",\"stall-timeout\":5}}}$1}" >"$T/daemon.json"
}

restart_with() {
    daemon_stop
    configure "$1"
    daemon_start
}

used() { jq -rc "select(.authorization != null) | .authorization" "$1" | sort -u; }

@test "HTTPS: an unknown authority is refused; certs.d makes it known; so does insecure-registries" {
    run timeout 20 docker pull "$TLS/busybox"
    [ "$status" -ne 0 ]
    [[ "$output" == *"failed to verify certificate"* ]]
    cp "$T/ca.crt" "$T/certs.d/$TLS/"
    docker pull -q "$TLS/busybox"
    docker tag "$TLS/busybox" "$TLS/tls-pushed"
    docker push -q "$TLS/tls-pushed"
    rm "$T/certs.d/$TLS/ca.crt"
    run timeout 20 docker pull "$TLS/hello:1"
    [ "$status" -ne 0 ]
    restart_with ",\"insecure-registries\":[\"198.51.100.0/24\"]"
    docker image prune -af >/dev/null
    docker pull -q "$TLS/busybox"
    restart_with ''
}

@test "client certificates of certs.d are shown to their registry" {
    cp "$T/ca.crt" "$T/certs.d/$MUTUAL/"
    run timeout 20 docker pull "$MUTUAL/busybox"
    [ "$status" -ne 0 ]
    cp "$T/client.crt" "$T/certs.d/$MUTUAL/client.cert"
    cp "$T/client.key" "$T/certs.d/$MUTUAL/client.key"
    docker pull -q "$MUTUAL/busybox"
}

@test "htpasswd: login, pull, push, logout" {
    cp "$T/ca.crt" "$T/certs.d/$BASIC/"
    run timeout 20 docker pull "$BASIC/busybox"
    [ "$status" -ne 0 ]
    [[ "$output" == *"no basic auth credentials"* ]]
    run docker login -u alice -p wrong "$BASIC"
    [ "$status" -ne 0 ]
    [[ "$output" == *"login attempt to https://$BASIC/v2/ failed with status: 401 Unauthorized"* ]]
    run docker login -u alice -p secret "$BASIC"
    [ "$status" -eq 0 ]
    [[ "$output" == *"Login Succeeded"* ]]
    docker pull -q "$BASIC/busybox"
    docker tag "$BASIC/busybox" "$BASIC/basic-pushed"
    docker push -q "$BASIC/basic-pushed"
    docker logout "$BASIC"
    run timeout 20 docker push "$BASIC/basic-pushed"
    [ "$status" -ne 0 ]
    run dray login -u alice --password-stdin "$BASIC" <<<secret
    [ "$status" -eq 0 ]
    docker image prune -af >/dev/null
    dray pull -q "$BASIC/busybox"
    run dray logout "$BASIC"
    [[ "$output" == *"Removing login credentials for $BASIC"* ]]
}

@test "a token service: scopes, anonymous pulls, identity tokens, refresh" {
    docker tag "$(docker pull -q "$PLAIN/busybox")" "$TOKENS/private:1"
    docker tag "$PLAIN/busybox" "$TOKENS/public:1"
    run timeout 20 docker push "$TOKENS/private:1"
    [ "$status" -ne 0 ]
    [[ "$output" == *"denied"* || "$output" == *"unauthorized"* ]]
    run docker login -u alice -p wrong "$TOKENS"
    [ "$status" -ne 0 ]
    [[ "$output" == *"unauthorized: incorrect username or password"* ]]
    docker login -u alice -p secret "$TOKENS"
    # An identity token came, so the password is kept nowhere.
    [ "$(jq -r ".auths[\"$TOKENS\"].identitytoken" "$DOCKER_CONFIG/config.json")" = identity-alice ]
    docker push -q "$TOKENS/private:1"
    run docker push "$TOKENS/public:1" # the blob is there already, in the other repository
    [[ "$output" == *"Mounted from private"* ]]
    docker image rm -f "$(docker images -q "$TOKENS/private:1")" >/dev/null
    docker pull -q "$TOKENS/private:1"
    docker logout "$TOKENS"
    docker image rm -f "$(docker images -q "$TOKENS/private:1")" >/dev/null
    docker pull -q "$TOKENS/public:1"
    docker image rm -f "$TOKENS/public:1" >/dev/null
    run timeout 20 docker pull "$TOKENS/private:1"
    [ "$status" -ne 0 ]
    docker login -u bob -p se:cret "$TOKENS"
    docker pull -q "$TOKENS/private:1"
}

@test "a token of one user serves no other" {
    docker tag "$(docker pull -q "$PLAIN/busybox")" "$TOKENS/mine:1"
    auth() { printf '{"username":"alice","password":"%s"}' "$1" | base64 -w 0; }
    run api POST "/images/$TOKENS/mine/push?tag=1" -H "X-Registry-Auth: $(auth secret)"
    [[ "$output" == *'"aux"'* ]]
    run api POST "/images/$TOKENS/mine/push?tag=1" -H "X-Registry-Auth: $(auth wrong)"
    [[ "$output" == *"unauthorized"* ]]
}

@test "tokens that expire amid a push are had anew" {
    docker tag "$(docker pull -q "$PLAIN/busybox")" "$TOKENS/again:1"
    docker login -u alice -p secret "$TOKENS"
    rules '[{"match":"PUT .*manifests","times":1,"status":401,"headers":{"WWW-Authenticate":"Bearer realm=\"http://'"$TOKENS"'/token\",service=\"faults\""}}]'
    docker push -q "$TOKENS/again:1"
}

@test "credentials follow no redirect and no upload location to another server" {
    docker tag "$(docker pull -q "$PLAIN/busybox")" "$TOKENS/secretive:1"
    docker login -u alice -p secret "$TOKENS"
    docker push -q "$TOKENS/secretive:1"
    docker image prune -af >/dev/null
    rules "[{\"match\":\"GET .*/blobs/\",\"redirect\":\"http://$PROXY{path}\"}]"
    : >"$T/proxy.log"
    docker pull -q "$TOKENS/secretive:1"
    [ "$(jq -s length "$T/proxy.log")" -gt 0 ]
    [ -z "$(used "$T/proxy.log")" ]
    # A challenge from there is not answered either.
    docker image prune -af >/dev/null
    echo "[{\"match\":\"GET .*/blobs/\",\"status\":401,\"headers\":{\"WWW-Authenticate\":\"Bearer realm=\\\"http://$PROXY/token\\\"\"}}]" >"$T/hub-rules.json"
    run timeout 20 docker pull "$TOKENS/secretive:1"
    [ "$status" -ne 0 ]
    [ -z "$(used "$T/proxy.log")" ]
    ! grep -q '/token' "$T/proxy.log"
    # What was signed for too short a time is asked for once more.
    echo '[{"match":"GET .*/blobs/","status":403,"times":1}]' >"$T/hub-rules.json"
    timeout 20 docker pull -q "$TOKENS/secretive:1"
    docker image rm "$TOKENS/secretive:1"
    echo '[]' >"$T/hub-rules.json"
    rules '[]'
    docker pull -q "$TOKENS/secretive:1"
    docker tag "$TOKENS/secretive:1" "$TOKENS/elsewhere:1"
    rules "[{\"match\":\"POST .*/uploads/\",\"status\":202,\"headers\":{\"Location\":\"http://$PROXY/v2/elsewhere/blobs/uploads/x\"}}]"
    : >"$T/proxy.log"
    run timeout 20 docker push "$TOKENS/elsewhere:1"
    [ "$status" -ne 0 ]
    [ "$(jq -s length "$T/proxy.log")" -gt 0 ]
    [ -z "$(used "$T/proxy.log")" ]
}

@test "Docker Hub through a proxy; mirrors first, then the Hub itself" {
    local dead
    dead=127.0.0.1:$(free_port)
    restart_with ",\"proxies\":{\"https-proxy\":\"http://$PROXY\"}"
    docker pull -q hello:1
    [ "$(docker image inspect -f '{{index .RepoTags 0}}' hello:1)" = hello:1 ]
    grep -q CONNECT "$T/proxy.log"
    docker rmi hello:1
    restart_with ",\"proxies\":{\"https-proxy\":\"http://$PROXY\"},\"registry-mirrors\":[\"http://$PLAIN\"]"
    : >"$T/hub.log"
    docker pull -q hello:1
    [ ! -s "$T/hub.log" ]
    docker rmi hello:1
    # A mirror that is dead, one that has nothing, one that fails amid a layer.
    restart_with ",\"proxies\":{\"https-proxy\":\"http://$PROXY\"},\"registry-mirrors\":[\"http://$dead\",\"http://$TOKENS\"]"
    rules '[{"match":"/v2/library/","status":500}]'
    docker pull -q hello:1
    grep -q /v2/library/hello "$T/hub.log"
    docker rmi hello:1
    run timeout 20 docker pull nosuch:1
    [ "$status" -ne 0 ]
    [[ "$output" == *"not found"* || "$output" == *"pull access denied"* ]]
}

@test "search asks the Hub, with filters and limits" {
    restart_with ",\"proxies\":{\"https-proxy\":\"http://$PROXY\"}"
    echo '[{"match":"/v1/search","status":200,"headers":{"Content-Type":"application/json"},"body":"{\"num_results\":2,\"query\":\"he\",\"results\":[{\"name\":\"hello\",\"description\":\"greets\",\"star_count\":12,\"is_official\":true,\"is_automated\":false},{\"name\":\"who/hello\",\"description\":\"x\",\"star_count\":1,\"is_official\":false,\"is_automated\":false}]}"}]' >"$T/hub-rules.json"
    run docker search hello
    [[ "$output" == *"NAME"*"hello"*"greets"*"12"*"[OK]"*"who/hello"* ]]
    run docker search --filter is-official=true --format '{{.Name}} {{.StarCount}}' hello
    [ "$output" = "hello 12" ]
    run docker search --filter stars=5 --format '{{.Name}}' hello
    [ "$output" = hello ]
    run dray search --limit 1 --format '{{.Name}}' hello
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" = hello ]]
    echo '[]' >"$T/hub-rules.json"
}

@test "search asks another registry that the term begins with, and says when it has no search" {
    rules '[{"match":"/v1/search.q=hel%2Flo&n=7","status":200,"headers":{"Content-Type":"application/json"},"body":"{\"num_results\":1,\"results\":[{\"name\":\"team/hello\",\"description\":\"ours\",\"star_count\":3}]}"}]'
    run docker search --limit 7 --format '{{.Name}} {{.Description}} {{.StarCount}}' "$TOKENS/hel/lo"
    [ "$output" = "team/hello ours 3" ]
    run docker search "$PLAIN/hello"
    [ "$status" -ne 0 ]
    [[ $output == *"Unexpected status code 404"* ]]
    [ "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$T/dray.sock" "http://d/v1.41/images/search?term=$PLAIN/hello")" = 500 ]
    run docker search "http://$PLAIN/hello"
    [[ $output == *"repository name (http://$PLAIN/hello) should not have a scheme"* ]]
    run docker search "127.0.0.1:1/hello"
    [ "$status" -ne 0 ]
}

@test "proxies: of the configuration and of the environment; no-proxy and loopback go past them" {
    local name=far.example.invalid
    restart_with ",\"insecure-registries\":[\"$name\"],\"proxies\":{\"http-proxy\":\"http://$PROXY\"}"
    : >"$T/proxy.log"
    docker pull -q "$name/busybox"
    grep -q "http://$name/v2/busybox" "$T/proxy.log"
    : >"$T/proxy.log"
    docker pull -q "$PLAIN/hello:1" || docker pull -q "$PLAIN/library/hello:1"
    [ ! -s "$T/proxy.log" ]
    daemon_stop
    configure ",\"insecure-registries\":[\"$name\",\"$ADDRESS\"]"
    HTTP_PROXY=http://$PROXY NO_PROXY=$ADDRESS daemon_start
    docker image prune -af >/dev/null
    docker pull -q "$name/busybox"
    grep -q "http://$name/v2/busybox" "$T/proxy.log"
    : >"$T/proxy.log"
    docker image prune -af >/dev/null
    docker pull -q "$TLS/busybox"
    [ ! -s "$T/proxy.log" ]
    restart_with ''
}

@test "links and sizes as some registries give them" {
    local doc size link
    docker login -u alice -p secret "$TOKENS"
    docker tag "$(docker pull -q "$PLAIN/busybox")" "$PLAIN/odd:1"
    docker push -q "$PLAIN/odd:1"
    doc=$(skopeo inspect --tls-verify=false --raw "docker://$PLAIN/odd:1")
    docker rmi "$PLAIN/odd:1"
    for size in 'del(.layers[].size, .config.size)' '.layers[].size = 0'; do
        jq -c "$size" <<<"$doc" >"$T/odd.json"
        rules "[{\"match\":\"(GET|HEAD) .*/manifests/\",\"status\":200,\"headers\":{\"Content-Type\":\"$(jq -r .mediaType "$T/odd.json")\"},\"body\":$(jq -Rs 'rtrimstr("\n")' "$T/odd.json")}]"
        docker pull -q "$TOKENS/odd:1"
        docker rmi "$TOKENS/odd:1"
    done
    # What is no image leaves nothing.
    local blobs
    blobs=$(ls "$T/data/blobs/sha256")
    jq -c '.config.mediaType = "application/vnd.oci.empty.v1+json"' <<<"$doc" >"$T/odd.json"
    rules "[{\"match\":\"(GET|HEAD) .*/manifests/\",\"status\":200,\"headers\":{\"Content-Type\":\"$(jq -r .mediaType "$T/odd.json")\"},\"body\":$(jq -Rs 'rtrimstr("\n")' "$T/odd.json")}]"
    run docker pull -q "$TOKENS/odd:1"
    [[ $status -ne 0 && $output == *"this is not a container image"* ]]
    [ "$(ls "$T/data/blobs/sha256")" = "$blobs" ]
    for link in '<?last=1>' '<list?last=1>' '</v2/odd/tags/list?last=1>' "<http://$TOKENS/v2/odd/tags/list?last=1>"; do
        rules "[{\"match\":\"/tags/list.*last=1\",\"status\":200,\"body\":\"{\\\"tags\\\":[\\\"1\\\"]}\"},
                {\"match\":\"/tags/list\",\"status\":200,\"headers\":{\"Link\":\"$link; rel=\\\"next\\\"\"},\"body\":\"{\\\"tags\\\":[]}\"}]"
        docker pull -q -a "$TOKENS/odd"
        docker rmi "$TOKENS/odd:1"
    done
}

@test "chunked uploads make the same blobs" {
    configure ''
    daemon_stop
    echo '{"plugins":{"hub":{"options":{"upload-chunk-size":"300k"}}}}' >"$T/daemon.json"
    daemon_start
    docker tag "$(docker pull -q "$PLAIN/busybox")" "$TOKENS/chunked:1"
    docker login -u alice -p secret "$TOKENS"
    : >"$T/faults.log"
    rules '[{"match":"PATCH ","times":1,"cut_upload":0.5}]'
    docker push -q "$TOKENS/chunked:1"
    [ "$(grep -c '"PATCH"' "$T/faults.log")" -gt 2 ]
    [ "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$PLAIN/chunked:1")" = \
      "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$PLAIN/busybox")" ]
}

@test "manifest inspect and the registry's description of an image" {
    run dray manifest inspect --insecure "$PLAIN/busybox"
    [ "$status" -eq 0 ]
    [ "$(jq -r '.Descriptor.digest // .schemaVersion' <<<"$output")" != null ]
    run api GET "/distribution/$PLAIN/busybox/json"
    [[ "$output" == *'"Descriptor"'*'"digest":"sha256:'*'"Platforms":[{'* ]]
    [ "$(status_of GET "/distribution/$PLAIN/nothere/json")" = 404 ]
}
