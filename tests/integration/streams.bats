#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# streams.bats - bytes through attach and logs: none lost, none invented, nobody held up.
#
# DRAY_TEST_ROUNDS times 15 MB go through an attach (70: a gigabyte).

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() { daemon_done; }

teardown() {
    local ids
    # shellcheck disable=SC2086
    [ -z "$OTHERS" ] || kill -CONT $OTHERS 2>/dev/null || true
    # shellcheck disable=SC2086
    [ -z "$OTHERS" ] || kill $OTHERS 2>/dev/null || true
    ids=$(docker ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -fv $ids >/dev/null
}

ms() { echo $(($(date +%s%N) / 1000000)); }

# Numbered lines, so that a piece that is lost or comes twice shows.
COUNT='seq 1 $N'
lines_whole() { awk -v n="$1" '$1 != NR { bad = 1; exit } END { exit bad || NR != n }'; }

@test "everything arrives through an attach, by docker and by dray" {
    local n=$((${DRAY_TEST_ROUNDS:-1} * 2000000))
    docker run --rm --log-driver none -e N=$n busybox sh -c "$COUNT" | lines_whole $n
    dray run --rm --log-driver none -e N=$n busybox sh -c "$COUNT" | lines_whole $n
}

@test "both streams stay apart and whole, with a log beside" {
    docker run --name both --log-opt max-size=50m busybox sh -c 'seq 1 200000; seq 1 200000 >&2' >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err"
    lines_whole 200000 <"$BATS_TEST_TMPDIR/out"
    lines_whole 200000 <"$BATS_TEST_TMPDIR/err"
    docker logs both 2>/dev/null | lines_whole 200000
    docker logs both 2>&1 >/dev/null | lines_whole 200000
}

@test "binary input comes back as it was" {
    head -c 10000000 /dev/urandom >"$BATS_TEST_TMPDIR/in"
    docker run --rm -i --log-driver none busybox cat <"$BATS_TEST_TMPDIR/in" | cmp - "$BATS_TEST_TMPDIR/in"
    dray run --rm -i --log-driver none busybox cat <"$BATS_TEST_TMPDIR/in" | cmp - "$BATS_TEST_TMPDIR/in"
    docker run -d --name box busybox sleep 1000 >/dev/null
    docker exec -i box cat <"$BATS_TEST_TMPDIR/in" | cmp - "$BATS_TEST_TMPDIR/in"
}

@test "a container that reads nothing, or stops reading, is not held up by its input" {
    run timeout 20 bash -c 'head -c 30000000 /dev/zero | docker run --rm -i busybox true'
    [ "$status" -eq 0 ]
    run timeout 20 bash -c 'head -c 30000000 /dev/zero | docker run --rm -i busybox head -c 5'
    [ "$status" -eq 0 ]
    # Closed from within, it lives on.
    run timeout 20 bash -c 'yes | docker run --rm -i busybox sh -c "exec <&-; sleep 0.3; echo on"'
    [ "$status" -eq 0 ]
    [ "$output" = on ]
    # The input ends early, the output comes all the same.
    run bash -c 'printf abc | docker run --rm -i busybox sh -c "cat; sleep 0.5; echo; echo later"'
    [ "$output" = $'abc\nlater' ]
}

@test "a reader that does not read holds up its own container alone, and only while it is there" {
    local reader before
    docker create --name slow -e N=3000000 busybox sh -c "$COUNT; echo end" >/dev/null
    docker start -a slow >"$BATS_TEST_TMPDIR/fifo" 3>&- &
    reader=$!
    OTHERS=$reader
    wait_until 10 test -s "$BATS_TEST_TMPDIR/fifo"
    kill -STOP $reader
    sleep 0.5
    before=$(ms)
    docker ps >/dev/null
    docker inspect slow >/dev/null
    [ "$(docker run --rm busybox echo fine)" = fine ]
    docker exec slow true
    [ $(($(ms) - before)) -lt 3000 ]
    kill -KILL $reader
    [ "$(docker wait slow)" = 0 ]
    [ "$(docker logs -n 1 slow)" = end ]
    docker logs slow | head -n -1 | tail -n 100000 | awk 'NR > 1 && $1 != last + 1 { exit 1 } { last = $1 }'
}

@test "a reader that vanishes leaves the container and its log as they are" {
    docker run --name gone --log-opt max-size=-1 -e N=500000 busybox sh -c "$COUNT" | head -n 5 >/dev/null || true
    wait_until 20 ended gone
    [ "$(docker inspect -f '{{.State.ExitCode}}' gone)" = 0 ]
    docker logs gone | lines_whole 500000
}
ended() { [ "$(docker inspect -f '{{.State.Running}}' "$1")" = false ]; }

@test "logs of odd lines: long ones, unfinished ones, binary ones, those of a terminal" {
    docker run --name long busybox sh -c 'head -c 40000 /dev/zero | tr "\0" x; echo; echo end; printf open' >/dev/null
    [ "$(docker logs long | md5sum)" = "$( (head -c 40000 /dev/zero | tr '\0' x; printf '\nend\nopen') | md5sum)" ]
    [ "$(docker logs -n 3 long | wc -c)" -eq 40009 ] # lines are counted, not their pieces
    [ "$(docker logs -n 1 long)" = open ]
    [ "$(docker logs -t long | head -n 1 | grep -o '20[0-9-]*T[0-9:.]*Z ' | wc -l)" -eq 1 ]
    docker run --name bin busybox sh -c 'printf "\001\377\376\000\r\t\"\\\\<&>\n"' >/dev/null
    [ "$(docker logs bin | od -An -tx1 | tr -d ' \n')" = 01efbfbdefbfbd000d09225c3c263e0a ] # as Docker: no UTF-8 becomes U+FFFD
    docker run --name bin2 --log-driver local busybox sh -c 'printf "\001\377\376\000\r\n"' >/dev/null
    [ "$(docker logs bin2 | od -An -tx1 | tr -d ' \n')" = 01fffe000d0a ]
    docker run -t --name tty busybox sh -c 'echo hi; echo err >&2; printf x' >/dev/null
    [ "$(docker logs tty | od -An -c | tr -d ' \n')" = 'hi\r\nerr\r\nx' ]
    for c in long bin bin2 tty; do
        for f in "" "-n 1" "--details" "-f" "-n 0"; do
            # shellcheck disable=SC2086
            cmp <(docker logs $f $c 2>&1) <(dray logs $f $c 2>&1)
        done
    done
}

@test "since, until and follow choose by time" {
    local t
    docker run -d --name clock busybox sh -c 'echo one; sleep 1.2; echo two; sleep 100' >/dev/null
    wait_until 5 says clock two
    t=$(docker logs -t clock | awk '/two/ { print $1 }')
    [ "$(docker logs --since "$t" clock)" = two ]
    [ "$(docker logs --until "$(date -u -d "$t - 1 second" +%Y-%m-%dT%H:%M:%S.%NZ)" clock)" = one ]
    [ "$(docker logs --since 1h clock)" = $'one\ntwo' ]
    [ "$(docker logs --until 1h clock)" = "" ]
    run timeout 10 docker logs -f --until 1s clock # ends at that time
    [ "$status" -eq 0 ]
    docker logs -f clock >"$BATS_TEST_TMPDIR/follow" 3>&- &
    OTHERS=$!
    wait_until 5 grep -q two "$BATS_TEST_TMPDIR/follow"
    docker kill clock >/dev/null
    wait_until 5 gone $OTHERS # a follow ends with its container
}
says() { docker logs "$1" | grep -q "$2"; }

@test "when an attach has ended, an inspect tells the exit code" {
    timeout 100 python3 "$BATS_TEST_DIRNAME/attach_exit.py" "$T/dray.sock" 40
}
