#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh - install what the tests need, build, and run every test.
#
#   sudo tests/run.sh                 all of it: unit tests, the same under asan+ubsan, integration, lint
#   sudo tests/run.sh --only unit|asan|integration|lint
#   sudo tests/run.sh --only integration tests/integration/run.bats ...
#   DRAY_PRESET=asan sudo tests/run.sh --only integration     the daemon itself under the sanitizers
set -uo pipefail
cd "$(dirname "$0")/.."

only=
[ "${1:-}" = --only ] && { only=$2; shift 2; }
want() { [ -z "$only" ] || [ "$only" = "$1" ]; }

[ "$(id -u)" = 0 ] || { echo "run it as root: sudo $0" >&2; exit 1; }
tests/deps.sh test || { echo "cannot install the test dependencies" >&2; exit 1; }

passed=0 failed=0 skipped=0
unsteady=() # what failed beside other work and passed alone: told in the closing line, and a fault to be mended
note() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
count() { passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + ${3:-0})); }

build() { # PRESET
    note "Build: $1"
    cmake --preset "$1" >"build-$1.log" 2>&1 && cmake --build --preset "$1" >>"build-$1.log" 2>&1 || {
        grep -E 'error|FAILED' "build-$1.log" | head -n 40
        count 0 1
        return 1
    }
    rm -f "build-$1.log"
}

# They mostly wait for the disk: twice as many at a time as there are processors.
run_ctest() { # BUILD_FOLDER
    local out total bad again
    out=$(mktemp)
    ctest --test-dir "$1" -j "$((2 * $(nproc)))" --output-on-failure --timeout 300 2>&1 | tee "$out" |
        grep -vE '^ *(Start|Test project|Internal ctest)' | grep -E 'Failed|\*\*\*|Timeout|tests passed|error|FAILED|Assert|Skipped' || true
    total=$(sed -n 's/.*tests failed out of \([0-9]*\).*/\1/p' "$out" | tail -n 1)
    bad=$(sed -n 's/.*, \([0-9]*\) tests failed out of.*/\1/p' "$out" | tail -n 1)
    rm -f "$out"
    [ -n "$total" ] || { count 0 1; return; }
    if [ "$bad" -gt 0 ]; then
        note "Once more, one at a time: what failed"
        mapfile -t again < <(sed -E 's/^[0-9]+://' "$1/Testing/Temporary/LastTestsFailed.log")
        ctest --test-dir "$1" --rerun-failed --output-on-failure --timeout 300 && unsteady+=("${again[@]}") && bad=0
    fi
    count $((total - bad)) "$bad"
}

# One file of integration tests, in namespaces of its own; its counts go to the folder in $counts.
bats_file() { # FILE
    local out ok bad skip rc begin=$SECONDS
    out=$(mktemp)
    timeout -k 10 600 tests/box.sh bats --tap "$1" </dev/null >"$out" 2>&1
    rc=$?
    ok=$(grep -c '^ok ' "$out")
    bad=$(grep -c '^not ok ' "$out")
    skip=$(grep -c '^ok .* # skip' "$out")
    [ $rc -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    echo "$((ok - skip)) $bad $skip" >"$counts/$(basename "$1")"
    {
        echo "-- $1"
        grep '# skip' "$out" | sed 's/^/   /'
        [ "$bad" -eq 0 ] || sed 's/^/   /' "$out"
        echo "   $((ok - skip)) passed, $bad failed, $skip skipped, $((SECONDS - begin)) s"
    } >"$out.report"
    cat "$out.report"
    rm -f "$out" "$out.report"
}

# They mostly wait, so as many run at a time as there are processors.
run_bats() { # FILES
    local f n
    counts=$(mktemp -d)
    export counts
    export -f bats_file
    tests/integration/prepare.sh
    printf '%s\n' "$@" | xargs -P "${DRAY_TEST_LANES:-$(nproc)}" -I{} bash -c 'bats_file "$1"' _ {}
    for f in "$@"; do
        n=$(cat "$counts/$(basename "$f")" 2>/dev/null) || n="0 1 0"
        if [[ $n != *" 0 "* ]]; then
            note "Once more, alone: $f"
            bats_file "$f"
            n=$(cat "$counts/$(basename "$f")" 2>/dev/null) || n="0 1 0"
            [[ $n != *" 0 "* ]] || unsteady+=("$f")
        fi
        # shellcheck disable=SC2086
        count $n
    done
    rm -rf "$counts"
}

# Static analysis takes only processor time, the other tests mostly wait: it runs beside them.
lint_out=$(mktemp)
lint_pid=
lint_start() {
    nice tests/lint.sh >"$lint_out" 2>&1 </dev/null &
    lint_pid=$!
}
lint_end() {
    note "Static analysis"
    if wait "$lint_pid"; then count 1 0; else count 0 1; fi
    cat "$lint_out"
}
trap 'rm -f "$lint_out"; [ -z "$lint_pid" ] || kill "$lint_pid" 2>/dev/null' EXIT

if want unit && build release; then
    note "Unit tests"
    run_ctest build
fi
if want asan && build asan; then
    note "Unit tests under asan and ubsan"
    ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=halt_on_error=1 run_ctest build-asan
fi
want lint && lint_start
if want integration; then
    preset=${DRAY_PRESET:-release}
    case $preset in release) dir=build ;; *) dir=build-$preset ;; esac
    if { [ -z "$only" ] && [ "$preset" = release ]; } || build "$preset"; then
        note "Integration tests"
        export DRAY_STAGE=$PWD/$dir/stage
        # The long ones first, so that no lane is empty at the end.
        if [ $# -gt 0 ]; then run_bats "$@"; else mapfile -t files < <(ls -S tests/integration/*.bats) && run_bats "${files[@]}"; fi
    fi
fi
want lint && lint_end
lint_pid=

note "Result"
[ ${#unsteady[@]} -eq 0 ] || printf 'unsteady (failed beside other work, passed alone): %s\n' "${unsteady[@]}"
echo "$passed passed, $failed failed, $skipped skipped, ${#unsteady[@]} unsteady"
[ "$failed" -eq 0 ]
