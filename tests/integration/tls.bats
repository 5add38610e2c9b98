#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# tls.bats - the API on TCP: with TLS and client certificates; without only with a loud warning.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    daemon_init
    mkdir "$T/tls"
    (
        cd "$T/tls" || exit 1
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-ca -keyout ca-key.pem -out ca.pem 2>/dev/null
        for who in server client; do
            openssl req -newkey rsa:2048 -nodes -subj "/CN=$who" -keyout $who-key.pem -out $who.csr 2>/dev/null
            printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' >ext
            openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile ext -out $who.pem 2>/dev/null
        done
        cp client.pem cert.pem
        cp client-key.pem key.pem
    )
    TLS_PORT=$(free_port)
    PLAIN_PORT=$(free_port)
    export TLS_PORT PLAIN_PORT
}

teardown_file() { daemon_done; }
teardown() { daemon_stop; }

@test "tlsverify: clients with a certificate of the CA, and no others" {
    daemon_start -H "tcp://127.0.0.1:$TLS_PORT" --tlsverify --tlscacert "$T/tls/ca.pem" \
        --tlscert "$T/tls/server.pem" --tlskey "$T/tls/server-key.pem"
    run docker -H "tcp://127.0.0.1:$TLS_PORT" --tlsverify --tlscacert "$T/tls/ca.pem" \
        --tlscert "$T/tls/cert.pem" --tlskey "$T/tls/key.pem" version --format '{{.Server.APIVersion}}'
    [ "$status" -eq 0 ] && [ "$output" = 1.51 ]
    run curl -s --max-time 5 --cacert "$T/tls/ca.pem" "https://127.0.0.1:$TLS_PORT/_ping"
    [ "$status" -ne 0 ]
    run curl -s --max-time 5 "http://127.0.0.1:$TLS_PORT/_ping"
    [[ "$output" != OK ]]
    busybox_import
    run bash -c "printf 'b\na\n' | docker -H tcp://127.0.0.1:$TLS_PORT --tlsverify --tlscacert $T/tls/ca.pem \
        --tlscert $T/tls/cert.pem --tlskey $T/tls/key.pem run --rm -i busybox sort"
    [ "$output" = $'a\nb' ]
    run dray -H "tcp://127.0.0.1:$TLS_PORT" --tlsverify --tlscacert "$T/tls/ca.pem" \
        --tlscert "$T/tls/cert.pem" --tlskey "$T/tls/key.pem" run --rm busybox echo over tls
    [ "$output" = "over tls" ]
}

pinged() { # MORE ARGUMENTS OF s_client
    printf 'GET /_ping HTTP/1.0\r\n\r\n' | timeout 5 openssl s_client -connect "127.0.0.1:$TLS_PORT" -ign_eof \
        -CAfile "$T/tls/ca.pem" -cert "$T/tls/cert.pem" -key "$T/tls/key.pem" "$@" 2>&1 | tr -d '\r'
}

@test "tlsverify: a client takes its session up again, as Node's does" {
    daemon_start -H "tcp://127.0.0.1:$TLS_PORT" --tlsverify --tlscacert "$T/tls/ca.pem" \
        --tlscert "$T/tls/server.pem" --tlskey "$T/tls/server-key.pem"
    local version
    for version in -tls1_2 -tls1_3; do
        run pinged $version -sess_out "$T/session"
        [[ "$output" == *"New, TLSv1"*"HTTP/1."*" 200 OK"* ]]
        run pinged $version -sess_in "$T/session"
        [[ "$output" == *"Reused, TLSv1"*"HTTP/1."*" 200 OK"* ]]
    done
}

@test "tcp without TLS warns loudly" {
    daemon_start -H "tcp://127.0.0.1:$PLAIN_PORT"
    run curl -s --max-time 5 "http://127.0.0.1:$PLAIN_PORT/_ping"
    [ "$output" = OK ]
    grep -qi 'warn.*tls' "$T/drayd.log"
}

@test "the unix socket has mode 0660" {
    daemon_start
    [ "$(stat -c %a "$T/dray.sock")" = 660 ]
}
