#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# metrics.bats - /metrics at metrics-addr: Docker's names, true values, for Prometheus to read.

bats_require_minimum_version 1.5.0
load lib

ADDR=127.0.0.1:9323

setup_file() {
    daemon_init
    echo "{\"metrics-addr\": \"$ADDR\"}" >"$T/daemon.json"
    daemon_start
    busybox_import
}

teardown_file() {
    daemon_done
}

metrics() { curl -sf -m 5 "http://$ADDR/metrics"; }
# value SERIES: as it is written, with its labels
value() { metrics | awk -v s="$1" '{ v = $NF; sub(/ [^ ]*$/, "") } $0 == s { print v }'; }
is() { [ "$(value "$1")" = "$2" ]; }

@test "the format: each series has its type before it, once; nothing else is served there" {
    curl -sf -m 5 -D - -o /dev/null "http://$ADDR/metrics" | tr -d '\r' | grep -qx 'Content-Type: text/plain; version=0.0.4; charset=utf-8'
    [ "$(curl -s -m 5 -o /dev/null -w '%{http_code}' "http://$ADDR/containers/json")" = 404 ]
    [ "$(curl -s -m 5 -o /dev/null -w '%{http_code}' -X POST "http://$ADDR/metrics")" = 405 ]
    [ "$(status_of GET /metrics)" = 404 ]
    metrics >"$T/metrics"
    # shellcheck disable=SC2016
    python3 - "$T/metrics" <<'PY'
import re, sys
types, seen, last = {}, set(), None
for line in open(sys.argv[1]):
    line = line.rstrip("\n")
    if line.startswith("# TYPE "):
        _, _, name, kind = line.split(" ")
        assert name not in types, "twice: " + name
        types[name] = kind
        last = name
    elif not line.startswith("# HELP "):
        m = re.fullmatch(r'([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})? (\S+)', line)
        assert m, line
        float(m.group(3))
        base = re.sub(r"_(bucket|sum|count)$", "", m.group(1)) if types.get(last) == "histogram" else m.group(1)
        assert base == last, (line, last)
        key = m.group(1) + (m.group(2) or "")
        assert key not in seen, "twice: " + key
        seen.add(key)
assert len(seen) > 100, len(seen)
PY
}

@test "the engine, containers by state, the process" {
    metrics | grep -q "^engine_daemon_engine_info{.*daemon_id=\"$(docker info -f '{{.ID}}')\",graphdriver=\"$(docker info -f '{{.Driver}}')\".*version=\"$(docker info -f '{{.ServerVersion}}')\"} 1$"
    is engine_daemon_engine_cpus_cpus "$(docker info -f '{{.NCPU}}')"
    docker run -d --name one busybox sleep 1000
    docker run -d --name two busybox sleep 1000
    docker create --name three busybox true
    docker pause two
    is 'engine_daemon_container_states_containers{state="running"}' 1
    is 'engine_daemon_container_states_containers{state="paused"}' 1
    is 'engine_daemon_container_states_containers{state="stopped"}' 1
    docker rm -f one two three
    is 'engine_daemon_container_states_containers{state="running"}' 0
    [ "$(value process_open_fds)" -gt 3 ]
    [ "$(value process_resident_memory_bytes)" -gt 1000000 ]
}

@test "actions are timed, events, health checks and builds counted" {
    local before events
    before=$(value 'engine_daemon_container_actions_seconds_count{action="start"}')
    events=$(value engine_daemon_events_total)
    docker run -d --name sick --health-cmd false --health-interval 100ms --health-retries 1 busybox sleep 1000
    wait_until 5 is 'engine_daemon_container_actions_seconds_count{action="start"}' $((before + 1))
    wait_until 5 is 'engine_daemon_container_actions_seconds_bucket{action="start",le="+Inf"}' $((before + 1))
    [ "$(value engine_daemon_events_total)" -gt "$events" ]
    failed() { [ "$(value engine_daemon_health_checks_failed_total)" -ge 2 ]; }
    wait_until 20 failed
    [ "$(value engine_daemon_health_checks_total)" -ge 2 ]
    docker rm -f sick
    # One that fails is not counted among the times.
    run docker start nobody
    is 'engine_daemon_container_actions_seconds_count{action="start"}' $((before + 1))
    printf 'FROM busybox\nRUN true\n' | DOCKER_BUILDKIT=0 docker build -q -
    run env DOCKER_BUILDKIT=0 docker build - <<<$'FROM busybox\nRUN false'
    [ "$status" -ne 0 ]
    wait_until 5 is builder_builds_triggered_total 2
    wait_until 5 is 'builder_builds_failed_total{reason="error_processing_commands_error"}' 1
}

@test "plugins: that they answer, and their calls" {
    is 'dray_plugin_up{kind="volume",name="local"}' 1
    local before
    before=$(value 'dray_plugin_calls_total{kind="volume",name="local"}')
    docker volume create one
    docker volume rm one
    [ "$(value 'dray_plugin_calls_total{kind="volume",name="local"}')" -gt "$before" ]
    is 'dray_plugin_calls_under_way{kind="volume",name="local"}' 0
}

@test "an address that is taken stops the daemon with the reason" {
    echo "{\"metrics-addr\": \"$ADDR\"}" >"$T/other.json"
    run timeout 20 "$DRAY_STAGE/bin/drayd" --data-root "$T/data2" --exec-root "$T/exec2" -H "unix://$T/other.sock" \
        --pidfile "$T/other.pid" --config-file "$T/other.json" --bridge none
    [ "$status" -eq 1 ]
    [[ $output == *"metrics-addr: listen on tcp://$ADDR: Address already in use"* ]]
}
