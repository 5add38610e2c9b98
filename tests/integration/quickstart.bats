#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# quickstart.bats - the first of the README's two commands, twice, with the build under test.

load lib

setup() {
    T=$(mktemp -d /tmp/dray-it.XXXXXX)
    export DRAY_QUICKSTART_ROOT=$T/root DRAY_QUICKSTART_BUILD=${DRAY_STAGE%/stage}
    unset DOCKER_HOST DRAY_HOST
    sanitizers_into "$T/sanitizer"
}

teardown() {
    sanitizers_silent "$T/sanitizer" || return 1
    rm -rf "$T"
}

@test "quickstart shows running containers, safe to run twice, and cleans up after itself" {
    script=$BATS_TEST_DIRNAME/../../examples/quickstart.sh
    for round in 1 2; do
        run timeout 120 "$script" </dev/null 3>&-
        echo "$output"
        [ "$status" -eq 0 ]
        [[ $output == *"hello from inside"* && $output == *"answers: hello from port 80"* ]]
    done
    "$T/root/install/bin/dray" -H "unix://$T/root/dray.sock" network create more
    run timeout 60 "$script" stop
    [ "$status" -eq 0 ]
    [ -z "$(nft list tables)" ]
    [ -z "$(ip -br link show type bridge)" ]
    [ ! -e "$T/root" ]
    run ! grep -F "$T/" /proc/self/mountinfo
}
