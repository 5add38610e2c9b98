#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# logs.bats - log drivers, their options, and what `logs` says with each of them.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    daemon_init
    echo "{\"plugins\": {\"journald\": {\"socket\": \"$T/journal.sock\"}}}" >"$T/daemon.json"
    daemon_start
    busybox_import
}

teardown_file() { daemon_done; }

setup() {
    OUT=$BATS_TEST_TMPDIR/received
    : >"$OUT"
}

teardown() {
    local ids
    # shellcheck disable=SC2046
    [ -z "$LISTENERS" ] || kill $LISTENERS 2>/dev/null || true
    ids=$(docker ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -fv $ids >/dev/null
}

# Start a listener; what it receives goes to $OUT.
listener() { # KIND ADDRESS [flags]
    local kind=$1 address=$2 ready=$BATS_TEST_TMPDIR/ready.$RANDOM
    shift 2
    /usr/bin/python3 "$BATS_TEST_DIRNAME/log_listener.py" "$kind" "$address" "$OUT" "$@" \
        >"$ready" 2>>"$BATS_TEST_TMPDIR/listener.log" 3>&- &
    LISTENERS="$LISTENERS $!"
    wait_until 10 grep -q ready "$ready"
}

received() { [ "$(wc -l <"$OUT")" -ge "$1" ]; }
await() { wait_until 10 received "$1" || { cat "$OUT" "$BATS_TEST_TMPDIR"/listener.log >&2; return 1; }; }

# Is there a line in $OUT of which this jq expression is true?
has() { jq -e -s --arg host "$(hostname)" "any(.[]; $1)" "$OUT" >/dev/null || { echo "no message with: $1" >&2; cat "$OUT" >&2; return 1; }; }

said() { # NAME: its logs without surprises
    docker logs "$1" 2>&1
}

# --- options ----------------------------------------------------------------------------------

refused() { # TEXT OPTIONS...
    local text=$1
    shift
    run docker create "$@" busybox true
    [ "$status" -eq 1 ] && [[ "$output" == *"Error response from daemon: $text"* ]] ||
        { echo "wanted: $text" >&2; echo "got: $output" >&2; return 1; }
}

@test "unknown and malformed options are refused in Docker's words" {
    local d
    for d in json-file syslog journald fluentd; do
        refused "unknown log opt 'foo' for $d log driver" --log-driver $d --log-opt foo=1
    done
    refused "unknown log opt 'foo' for log driver local" --log-driver local --log-opt foo=1
    refused "unknown log opt 'labels' for log driver local" --log-driver local --log-opt labels=a
    refused 'unknown log opt "foo" for gelf log driver' --log-driver gelf --log-opt gelf-address=udp://h:1 --log-opt foo=1
    refused "logger: no log driver named 'nope' is registered" --log-driver nope
    refused "logger: logging mode not supported: foo" --log-opt mode=foo
    refused "logger: max-buffer-size option is only supported with 'mode=non-blocking'" --log-opt max-buffer-size=4m
    refused "error parsing option max-buffer-size: invalid size: 'x'" --log-opt mode=non-blocking --log-opt max-buffer-size=x
    refused "invalid value for option cache-disabled: foo" --log-driver syslog --log-opt cache-disabled=foo
    refused "invalid size: 'huge'" --log-opt max-size=huge
    refused "max-size must be a positive number" --log-opt max-size=0
    refused "max-file cannot be less than 1" --log-opt max-file=0
    refused 'strconv.Atoi: parsing "x": invalid syntax' --log-opt max-file=x
    refused 'strconv.ParseBool: parsing "foo": invalid syntax' --log-opt compress=foo
    refused "compress cannot be true when max-file is less than 2 or max-size is not set" --log-opt compress=true --log-opt max-file=1
    refused 'error parsing regexp: missing closing ): `(`' --log-opt 'labels-regex=('
    refused 'template: log-tag:1:2: executing "log-tag" at <.Nope>: can'"'t evaluate field Nope in type *logger.Info" --log-opt 'tag={{.Nope}}'
}

@test "addresses and values of the drivers that send are checked" {
    refused "gelf-address is a required parameter" --log-driver gelf
    refused "gelf-address should be in form proto://address, got foo" --log-driver gelf --log-opt gelf-address=foo
    refused "gelf: endpoint needs to be TCP or UDP" --log-driver gelf --log-opt gelf-address=unix:///x
    refused "gelf: please provide gelf-address as proto://host:port" --log-driver gelf --log-opt gelf-address=udp://h
    local g="--log-driver gelf --log-opt gelf-address=udp://h:1" t="--log-driver gelf --log-opt gelf-address=tcp://h:1"
    # shellcheck disable=SC2086
    {
        refused 'unknown value "foo" for log opt "gelf-compression-type" for gelf log driver' $g --log-opt gelf-compression-type=foo
        refused 'unknown value "10" for log opt "gelf-compression-level" for gelf log driver' $g --log-opt gelf-compression-level=10
        refused '"gelf-tcp-max-reconnect" is only valid for TCP' $g --log-opt gelf-tcp-max-reconnect=1
        refused "compression is only supported on UDP" $t --log-opt gelf-compression-type=gzip
        refused '"gelf-tcp-reconnect-delay" must be a positive integer' $t --log-opt gelf-tcp-reconnect-delay=x
    }
    refused "syslog-address should be in form proto://address, got foo" --log-driver syslog --log-opt syslog-address=foo
    refused "stat /nope: no such file or directory" --log-driver syslog --log-opt syslog-address=unix:///nope
    refused 'parse "tcp://1.2.3.4:x": invalid port ":x" after host' --log-driver syslog --log-opt syslog-address=tcp://1.2.3.4:x
    refused "invalid syslog facility" --log-driver syslog --log-opt syslog-facility=foo
    refused "invalid syslog facility" --log-driver syslog --log-opt syslog-facility=24
    refused "Invalid syslog format" --log-driver syslog --log-opt syslog-format=foo
    refused "invalid fluentd-address (http://x): unsupported scheme: 'http'" --log-driver fluentd --log-opt fluentd-address=http://x
    refused "invalid fluentd-address (tcp://a/b): should not contain a path element" --log-driver fluentd --log-opt fluentd-address=tcp://a/b
    refused "invalid size: 'x'" --log-driver fluentd --log-opt fluentd-buffer-limit=x
    refused 'strconv.ParseBool: parsing "x": invalid syntax' --log-driver fluentd --log-opt fluentd-async=x
    refused 'strconv.ParseUint: parsing "x": invalid syntax' --log-driver fluentd --log-opt fluentd-max-retries=x
    refused 'time: invalid duration "x"' --log-driver fluentd --log-opt fluentd-retry-wait=x
    refused "conflicting options: cannot specify both 'fluentd-async' and 'fluentd-async-connect" \
        --log-driver fluentd --log-opt fluentd-async=true --log-opt fluentd-async-connect=true
}

@test "a log that cannot be opened fails the start and says why" {
    run docker run --name off --log-driver syslog --log-opt syslog-address=tcp://127.0.0.1:1 busybox true
    [ "$status" -eq 125 ]
    [[ "$output" == *"failed to initialize logging driver: dial tcp 127.0.0.1:1: connect: connection refused"* ]]
    run docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' off
    [ "$output" = "created 128" ]
    run docker run --log-driver gelf --log-opt gelf-address=tcp://127.0.0.1:1 busybox true
    [[ "$output" == *"failed to initialize logging driver: gelf: cannot connect to GELF endpoint: 127.0.0.1:1 dial tcp 127.0.0.1:1: connect: connection refused"* ]]
    run docker run --log-driver fluentd --log-opt fluentd-address=127.0.0.1:1 busybox true
    [[ "$output" == *"failed to initialize logging driver: dial tcp 127.0.0.1:1: connect: connection refused"* ]]
    run docker run --log-driver journald busybox true
    [[ "$output" == *"failed to initialize logging driver: journald is not enabled on this host"* ]]
}

@test "json-file keeps labels, variables and the tag" {
    docker run --name aa --label team=x --label app.tier=web --label no=1 -e MODE=m -e SECRET=s --log-opt labels=team --log-opt labels-regex='^app' \
        --log-opt env=MODE --log-opt tag='{{.ImageName}}/{{.Name}}/{{.ID}}/{{.Command}}' busybox echo hi
    local id line
    id=$(docker inspect -f '{{.Id}}' aa)
    line=$(docker inspect -f '{{.LogPath}}' aa)
    [ "$(jq -cS .attrs "$line")" = "{\"MODE\":\"m\",\"app.tier\":\"web\",\"tag\":\"busybox/aa/${id:0:12}/echo hi\",\"team\":\"x\"}" ]
    [ "$(docker logs --details aa)" = "MODE=m,app.tier=web,tag=busybox%2Faa%2F${id:0:12}%2Fecho+hi,team=x hi" ]
}

@test "by default all of 60 MB is kept, and no log grows without end" {
    docker run -d --name big busybox sh -c 'yes "$(printf %0999d 7)" | head -n 60000'
    [ "$(docker wait big)" = 0 ]
    [ "$(docker logs big | wc -c)" -eq 60000000 ]
    docker rm big
    "$DRAY_STAGE/bin/dray-plugin" show "$DRAY_STAGE/lib/dray/plugins/log-json-file.so" | grep -q 'default: 100m'
}

@test "files rotate, are compressed, and are read through" {
    docker run --name rr --log-opt max-size=20k --log-opt max-file=3 --log-opt compress=true busybox sh -c 'for i in $(seq 2000); do echo line $i; done'
    local path
    path=$(docker inspect -f '{{.LogPath}}' rr)
    ls "$path" "$path.1.gz" "$path.2.gz"
    [ ! -e "$path.3.gz" ]
    [ "$(docker logs -n 1 rr)" = "line 2000" ]
    [ "$(docker logs rr | head -n 1)" != "line 1" ]
    docker logs rr | awk '{ if (n && $2 != n + 1) exit 1; n = $2 } END { exit n != 2000 }'
}

@test "who follows slowly gets the whole log of a container that is removed meanwhile" {
    local id got
    id=$(docker run -d --rm --network none --log-opt max-size=500k --log-opt max-file=30 busybox \
        sh -c 'sleep 0.3; yes "$(printf %0200d 0)" | head -n 20000')
    got=$(curl -sN --unix-socket "$T/dray.sock" "http://d/containers/$id/logs?stdout=1&follow=1" |
        { wait_until 10 eval '[ "$(status_of GET "/containers/$id/json")" = 404 ]' && grep -ac 00000; })
    [ "$got" -eq 20000 ]
    wait_until 5 [ ! -e "$T/data/containers/$id" ]
}

@test "none keeps nothing and says so" {
    docker run --name nn --log-driver none busybox echo hi
    run docker logs nn
    [ "$status" -eq 1 ]
    [[ "$output" == *"configured logging driver does not support reading"* ]]
    [ "$(status_of GET '/containers/nn/logs?stdout=1')" = 501 ]
}

# --- syslog -----------------------------------------------------------------------------------

TALK='echo out; echo err >&2; sleep 0.1; echo; echo last'

@test "syslog over UDP, TCP and unix sockets, in every format" {
    local port id
    port=$(free_port)
    listener datagrams 127.0.0.1:$port
    docker run --name uu --log-driver syslog --log-opt syslog-address=udp://127.0.0.1:$port --log-opt syslog-facility=local3 --log-opt tag='t/{{.Name}}' busybox sh -c "$TALK"
    await 3
    has 'test("^<158>[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} t/uu\\[[0-9]+\\]: out\n$")'
    has 'test("^<155>.*: err\n$")'
    [ "$(wc -l <"$OUT")" -eq 3 ] # no message for an empty line
    [ "$(said uu | sort)" = $'\nerr\nlast\nout' ]
    listener lines 127.0.0.1:$port
    docker run --name vv --log-driver syslog --log-opt syslog-address=tcp://127.0.0.1:$port --log-opt syslog-format=rfc3164 busybox sh -c "$TALK"
    id=$(docker inspect -f '{{.Id}}' vv)
    await 6
    has "test(\"^<30>[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} \\(\$host) ${id:0:12}\\\\[[0-9]+\\\\]: out\")"
    listener lines "$BATS_TEST_TMPDIR/s.sock"
    docker run --log-driver syslog --log-opt syslog-address=unix://$BATS_TEST_TMPDIR/s.sock --log-opt syslog-format=rfc5424 --log-opt tag=five busybox sh -c "$TALK"
    await 9
    has 'test("^<30>1 [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(Z|[+-][0-9:]{5}) \($host) five [0-9]+ five - out$")'
    listener datagrams "$BATS_TEST_TMPDIR/g.sock"
    docker run --log-driver syslog --log-opt syslog-address=unixgram://$BATS_TEST_TMPDIR/g.sock --log-opt syslog-format=rfc5424micro --log-opt tag=micro busybox sh -c "$TALK"
    await 12
    has 'test("^<27>1 [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{6}(Z|[+-][0-9:]{5}) \($host) micro [0-9]+ micro - err\n$")'
}

certificate() { # makes $BATS_TEST_TMPDIR/{tls.pem,ca.pem}
    cd "$BATS_TEST_TMPDIR"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out ca.pem -days 2 \
        -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
    cat key.pem ca.pem >tls.pem
}

@test "syslog over TLS is framed by length and checks the peer" {
    local port address
    certificate
    port=$(free_port)
    address=tcp+tls://127.0.0.1:$port
    listener octets 127.0.0.1:$port cert="$BATS_TEST_TMPDIR/tls.pem"
    docker run --name ss --log-driver syslog --log-opt syslog-address=$address --log-opt syslog-tls-ca-cert="$BATS_TEST_TMPDIR/ca.pem" \
        --log-opt syslog-format=rfc5424 --log-opt tag=t busybox sh -c "$TALK"
    await 3
    has 'test("^<30>1 .* t [0-9]+ t - last\n$")'
    run docker run --log-driver syslog --log-opt syslog-address=$address --log-opt syslog-format=rfc5424 busybox true
    [ "$status" -eq 125 ]
    [[ "$output" == *"failed to initialize logging driver: tls: failed to verify certificate"* ]]
    docker run --log-driver syslog --log-opt syslog-address=$address --log-opt syslog-format=rfc5424 --log-opt syslog-tls-skip-verify=true busybox echo unchecked
    await 4
    has 'test("unchecked")'
}

@test "syslog connects again after its peer has closed" {
    local port
    port=$(free_port)
    listener lines 127.0.0.1:$port drop=1
    docker run --log-driver syslog --log-opt syslog-address=tcp://127.0.0.1:$port busybox sh -c 'for i in 1 2 3 4; do echo m$i; sleep 0.3; done'
    await 3
    has 'test("m1$")'
    has 'test("m4$")'
}

# --- journald ---------------------------------------------------------------------------------

@test "journald gets entries with the container's fields, long ones as files" {
    listener journal "$T/journal.sock"
    docker run --name jj --label com.x.team=blue --log-driver journald --log-opt labels=com.x.team --log-opt tag='{{.ImageName}}/{{.Name}}' \
        busybox sh -c 'echo out; echo err >&2; head -c 40000 /dev/zero | tr "\0" x; echo end; printf unfinished'
    local id
    id=$(docker inspect -f '{{.Id}}' jj)
    await 6
    has ".MESSAGE == \"out\" and .PRIORITY == \"6\" and .CONTAINER_ID == \"${id:0:12}\" and .CONTAINER_ID_FULL == \"$id\" and .CONTAINER_NAME == \"jj\"
         and .CONTAINER_TAG == \"busybox/jj\" and .SYSLOG_IDENTIFIER == \"busybox/jj\" and .IMAGE_NAME == \"busybox\" and .COM_X_TEAM == \"blue\" and .CONTAINER_PARTIAL_ID == null"
    has '.MESSAGE == "err" and .PRIORITY == "3"'
    has '(.MESSAGE | length) == 16384 and .CONTAINER_PARTIAL_MESSAGE == "true" and .CONTAINER_PARTIAL_ORDINAL == "1" and .CONTAINER_PARTIAL_LAST == "false" and (.CONTAINER_PARTIAL_ID | length) == 64'
    has '(.MESSAGE | test("xend$")) and .CONTAINER_PARTIAL_MESSAGE == null and .CONTAINER_PARTIAL_ORDINAL == "3" and .CONTAINER_PARTIAL_LAST == "true"'
    [ "$(jq -s '[.[] | select(.CONTAINER_PARTIAL_ORDINAL) | .CONTAINER_PARTIAL_ID] | unique | length' "$OUT")" -eq 2 ]
    [ "$(docker logs jj 2>/dev/null | wc -c)" -eq $((4 + 40000 + 4 + 10)) ]
}

# --- gelf -------------------------------------------------------------------------------------

@test "gelf over UDP in every compression, in chunks, and over TCP" {
    local port id
    port=$(free_port)
    listener gelf 127.0.0.1:$port
    docker run --name gg -e MODE=m --log-driver gelf --log-opt gelf-address=udp://127.0.0.1:$port --log-opt env=MODE --log-opt tag=tt busybox sh -c "$TALK"
    id=$(docker inspect -f '{{.Id}}' gg)
    await 3
    has ".form == \"plain gzip\" and .version == \"1.1\" and .host == \$host and .short_message == \"out\" and .level == 6 and .timestamp > 1600000000
         and ._container_id == \"$id\" and ._container_name == \"gg\" and ._image_name == \"busybox\" and ._tag == \"tt\" and ._MODE == \"m\"
         and (._command | startswith(\"sh -c echo out\")) and (._created | test(\"^20.*Z$\")) and (._image_id | startswith(\"sha256:\"))"
    has '.short_message == "err" and .level == 3'
    docker run --log-driver gelf --log-opt gelf-address=udp://127.0.0.1:$port --log-opt gelf-compression-type=zlib --log-opt gelf-compression-level=9 busybox echo 'z "q" <é>'
    await 4
    has '.form == "plain zlib" and .short_message == "z \"q\" <é>"'
    docker run --log-driver gelf --log-opt gelf-address=udp://127.0.0.1:$port --log-opt gelf-compression-type=none busybox sh -c 'head -c 9000 /dev/zero | tr "\0" y; echo'
    await 5
    has '.form == "chunked" and (.short_message | length) == 9000'
    listener gelf-tcp 127.0.0.1:$port
    docker run --name hh --log-driver gelf --log-opt gelf-address=tcp://127.0.0.1:$port busybox sh -c "$TALK"
    await 8
    has '.short_message == "last" and ._container_name == "hh" and .form == null'
    [ "$(said hh | sort)" = $'\nerr\nlast\nout' ]
}

# --- fluentd ----------------------------------------------------------------------------------

@test "fluentd gets records, with parts, sub-second times and acknowledgements" {
    local port id
    port=$(free_port)
    listener fluentd 127.0.0.1:$port ack
    docker run --name ff -e MODE=m --log-driver fluentd --log-opt fluentd-address=127.0.0.1:$port --log-opt env=MODE --log-opt tag=docker.f --log-opt fluentd-request-ack=true \
        busybox sh -c 'echo out; echo err >&2; head -c 20000 /dev/zero | tr "\0" x; echo'
    id=$(docker inspect -f '{{.Id}}' ff)
    await 4
    has ".tag == \"docker.f\" and (.time | type) == \"number\" and .record.log == \"out\" and .record.source == \"stdout\" and .record.container_id == \"$id\"
         and .record.container_name == \"/ff\" and .record.MODE == \"m\" and (.option.chunk | length) == 24 and .record.partial_message == null"
    has '.record.log == "err" and .record.source == "stderr"'
    has '(.record.log | length) == 16384 and .record.partial_message == "true" and .record.partial_ordinal == "1" and .record.partial_last == "false"'
    has '(.record.log | length) == 3616 and .record.partial_message == "true" and .record.partial_ordinal == "2" and .record.partial_last == "true"'
    listener fluentd "$BATS_TEST_TMPDIR/f.sock"
    docker run --log-driver fluentd --log-opt fluentd-address=unix://$BATS_TEST_TMPDIR/f.sock --log-opt fluentd-sub-second-precision=true busybox echo fine
    await 5
    has '.record.log == "fine" and (.time | type) == "array" and .time[0] > 1600000000 and .time[1] > 0 and .option == {}'
}

@test "fluentd-async starts without a peer and sends once there is one" {
    local port
    port=$(free_port)
    docker run -d --name late --log-driver fluentd --log-opt fluentd-address=127.0.0.1:$port --log-opt fluentd-async=true --log-opt fluentd-retry-wait=100ms busybox sh -c 'echo early; sleep 100'
    wait_until 5 docker logs late
    [ "$(docker logs late)" = early ]
    listener fluentd 127.0.0.1:$port
    await 1
    has '.record.log == "early"'
}

@test "fluentd sends again what its peer did not acknowledge" {
    local port
    port=$(free_port)
    listener fluentd 127.0.0.1:$port drop=2 ack
    docker run --log-driver fluentd --log-opt fluentd-address=127.0.0.1:$port --log-opt fluentd-request-ack=true --log-opt fluentd-retry-wait=50ms busybox sh -c 'for i in 1 2 3 4 5; do echo n$i; done'
    await 5
    for i in 1 2 3 4 5; do has ".record.log == \"n$i\""; done
}

# --- peers that hang --------------------------------------------------------------------------

ms() { echo $(($(date +%s%N) / 1000000)); }

@test "a peer that hangs harms neither the daemon nor other containers, nor the end of its own" {
    local port before
    port=$(free_port)
    listener lines 127.0.0.1:$port hang
    docker run -d --name stuck --log-driver syslog --log-opt syslog-address=tcp://127.0.0.1:$port busybox sh -c 'yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'
    sleep 1
    before=$(ms)
    docker ps >/dev/null
    [ "$(docker run --rm busybox echo fine)" = fine ]
    docker logs -n 1 stuck >/dev/null
    [ $(($(ms) - before)) -lt 2000 ]
    before=$(ms)
    docker kill stuck >/dev/null
    docker wait stuck
    [ $(($(ms) - before)) -lt 2000 ]
    # The next run of the same container does not wait for what the last one could not send.
    before=$(ms)
    docker start stuck >/dev/null
    docker rm -f stuck >/dev/null
    [ $(($(ms) - before)) -lt 2000 ]
}

@test "a container in non-blocking mode goes on when its peer hangs, and lines are dropped" {
    local port
    port=$(free_port)
    listener lines 127.0.0.1:$port hang
    docker run --name loose --log-driver syslog --log-opt syslog-address=tcp://127.0.0.1:$port --log-opt mode=non-blocking --log-opt max-buffer-size=64k \
        busybox sh -c 'i=0; while [ $i -lt 100 ]; do head -c 200000 /dev/zero | tr "\0" z; echo $i; i=$((i + 1)); done; echo done'
    # All 20 MB are in the copy all the same.
    [ "$(docker logs -n 1 loose)" = done ]
    wait_until 15 grep -q "lines were dropped, the log buffer was full" "$T/drayd.log"
}

@test "json-file in non-blocking mode keeps a quiet container's lines" {
    docker run --name qq --log-opt mode=non-blocking --log-opt max-buffer-size=1m busybox sh -c 'for i in 1 2 3; do echo $i; done'
    [ "$(docker logs qq)" = $'1\n2\n3' ]
}

# --- the copy that logs are read from ---------------------------------------------------------

@test "the copy is kept in files of its own sizes, or not at all" {
    local port id dir
    port=$(free_port)
    listener datagrams 127.0.0.1:$port
    docker run --name cc --log-driver syslog --log-opt syslog-address=udp://127.0.0.1:$port --log-opt cache-max-size=10k --log-opt cache-max-file=3 --log-opt cache-compress=false \
        busybox sh -c 'for i in $(seq 1500); do echo line $i; done'
    id=$(docker inspect -f '{{.Id}}' cc)
    dir=$T/data/containers/$id/local-logs
    [ "$(cd "$dir" && echo *)" = "container.log container.log.1 container.log.2" ]
    [ "$(docker logs -n 1 cc)" = "line 1500" ]
    docker run --name uncached --log-driver syslog --log-opt syslog-address=udp://127.0.0.1:$port --log-opt cache-disabled=true busybox echo hi
    run docker logs uncached
    [ "$status" -eq 1 ]
    [[ "$output" == *"configured logging driver does not support reading"* ]]
}

# --- splunk -----------------------------------------------------------------------------------

@test "splunk gets events in every format, compressed too" {
    local port
    port=$(free_port)
    refused "splunk: splunk-url is expected" --log-driver splunk
    refused "splunk: splunk-token is expected" --log-driver splunk --log-opt splunk-url=http://h:1
    refused "unknown log opt 'foo' for splunk log driver" --log-driver splunk --log-opt splunk-url=http://h:1 --log-opt splunk-token=t --log-opt foo=1
    refused "splunk: expected format scheme://dns_name_or_ip:port for splunk-url" --log-driver splunk --log-opt splunk-url=foo --log-opt splunk-token=t
    run docker run --log-driver splunk --log-opt splunk-url=http://127.0.0.1:1 --log-opt splunk-token=t busybox true
    [[ "$output" == *'failed to initialize logging driver: Options "http://127.0.0.1:1/services/collector/event/1.0": dial tcp 127.0.0.1:1: connect: connection refused'* ]]
    listener splunk 127.0.0.1:$port
    local s="--log-driver splunk --log-opt splunk-url=http://127.0.0.1:$port --log-opt splunk-token=secret"
    # shellcheck disable=SC2086
    docker run --name sp -e MODE=m $s --log-opt splunk-index=main --log-opt splunk-source=src --log-opt env=MODE --log-opt tag=tt busybox sh -c "$TALK"
    await 4
    has '.auth == "Splunk secret" and .path == "/services/collector/event/1.0" and .host == $host and .index == "main" and .source == "src"
         and .event == {"line": "out", "source": "stdout", "tag": "tt", "attrs": {"MODE": "m"}} and (.time | test("^[0-9]{10}[.][0-9]{6}$"))'
    has '.event.line == "err" and .event.source == "stderr"'
    # shellcheck disable=SC2086
    docker run $s --log-opt splunk-format=json --log-opt splunk-gzip=true busybox sh -c 'echo "{\"a\": [1, \"x\"]}"; echo "{\"a\": [1, }"'
    await 6
    has '.event.line == {"a": [1, "x"]}'
    has '.event.line == "{\"a\": [1, }"'
    # shellcheck disable=SC2086
    docker run $s --log-opt splunk-format=raw --log-opt tag=rr busybox sh -c 'echo plain; echo'
    await 7
    has '.event == "rr plain"'
    [ "$(said sp | sort)" = $'\nerr\nlast\nout' ]
}
