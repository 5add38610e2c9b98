#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# races.bats - many clients at once: no answer that Docker would not give, nothing left over.

load lib

CLIENTS=${DRAY_RACE_CLIENTS:-16}
TOTAL=${DRAY_RACE_CONTAINERS:-1000}

setup_file() {
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() { daemon_done; }

@test "$CLIENTS clients and $TOTAL containers, with readers and meddlers" {
    docker run --rm busybox true
    docker run --rm --network none busybox true
    before=$(leftovers_list | grep -v "^mount .*/exec/netns" || true)
    run timeout $((280 * ${DRAY_TEST_SLOW:-1})) python3 "$BATS_TEST_DIRNAME/race.py" "$T/dray.sock" "$CLIENTS" "$TOTAL"
    echo "$output"
    [ "$status" -eq 0 ]
    [ -z "$(docker ps -aq)" ]
    # Nothing of them is left: shims, mounts, groups, links, files.
    wait_until 10 nothing_left || { find "$T/data/containers" "$T/exec/containers" -maxdepth 1; leftovers_list; false; }
}

@test "all kinds of work on the same few objects, with reloads, until a SIGTERM in the middle of it" {
    run timeout $((100 * ${DRAY_TEST_SLOW:-4})) python3 "$BATS_TEST_DIRNAME/race_mixed.py" "$T/dray.sock" 8 5 "$(daemon_pid)"
    echo "$output"
    [ "$status" -eq 0 ]
    daemon_start
    docker ps -aq --filter name=mix | xargs -r docker rm -f >/dev/null
    docker network ls -q --filter name=^n[0-9]$ | xargs -r docker network rm >/dev/null
    docker volume ls -q | xargs -r docker volume rm >/dev/null
    docker run --rm busybox true
    wait_until 10 nothing_left || { find "$T/data/containers" "$T/exec/containers" -maxdepth 1; leftovers_list; false; }
}

@test "a stop that comes while the restart policy is at work is the last word" {
    names=$(seq -f 'again%g' 20)
    for n in $names; do docker run -d --name "$n" --network none --restart always busybox sleep 0.1 >/dev/null; done
    sleep 0.3
    # shellcheck disable=SC2086
    docker stop -t 1 $names >/dev/null
    sleep 1.5
    [ "$(docker ps -aq --filter name=again --filter status=exited | wc -l)" -eq 20 ] || { docker ps -a; false; }
    # shellcheck disable=SC2086
    docker rm $names >/dev/null
}

@test "restarts and starts of one container at once: it runs once, and stays" {
    local id
    docker run -d --rm --name one --network none busybox sleep 31536
    id=$(docker inspect -f '{{.Id}}' one)
    for _ in 1 2 3 4; do
        for op in restart restart start restart restart stop restart; do
            curl -s --unix-socket "$T/dray.sock" -X POST "http://d/containers/one/$op?t=0" >>"$T/answers" 3>&- &
        done
        wait $(jobs -p)
        docker start one >/dev/null 2>&1 || docker run -d --rm --name one --network none busybox sleep 31536
        docker exec one true
        [ "$(pgrep -fc '^sleep 31536$')" = 1 ]
    done
    run cat "$T/answers"
    [ -z "$(grep -v 'marked for removal\|No such container\|removal of container' <<<"$output" | tr -d '\n')" ]
    docker stop -t 0 one
    wait_until 5 nothing_left # it removed itself
}

nothing_left() {
    [ -z "$(ls -A "$T/data/containers")" ] && [ -z "$(ls -A "$T/exec/containers")" ] &&
        [ "$(pgrep -fc "dray-shim.*$T" || true)" -le 1 ] &&
        [ "$(grep -c "$T/data/.*overlay" /proc/self/mountinfo)" -eq 0 ] &&
        [ "$(leftovers_list | grep -c '^cgroup .*/[0-9a-f]\{64\}')" -eq 0 ]
}
