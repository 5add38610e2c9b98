#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# compose2.bats - compose v2, as Debian 13 has it, on the projects of compose/.

bats_require_minimum_version 1.5.0
load lib
load compose_cases

setup_file() {
    export SEP=-
    COMPOSE=$("$BATS_TEST_DIRNAME/buildx.sh" 2>"$BATS_FILE_TMPDIR/why") && COMPOSE=$COMPOSE/cli-plugins/docker-compose
    export COMPOSE
    [ -z "$COMPOSE" ] || compose_file_setup
}

setup() { [ -n "$COMPOSE" ] || skip "$(cat "$BATS_FILE_TMPDIR/why")"; }

teardown() { [ -z "$COMPOSE" ] || compose_teardown; }

teardown_file() { [ -z "$COMPOSE" ] || daemon_done; }

@test "a web server waits for a healthy database and cache; down -v removes their data" { case_shop; }
@test "static addresses, aliases, links and a MAC on several networks, also after a restart" { case_static; }
@test "copies of a service share its name; scaling down takes them out" { case_scale; }
@test "profiles choose what starts" { case_profiles; }
@test "volumes: named, by driver options, bound, anonymous, external, read-only, tmpfs" { case_volumes; }
@test "secrets and configs by file" { case_secrets; }
@test "init, user, hosts, DNS, ulimits, sysctls, capabilities, limits, restart policies" { case_service; }
@test "network_mode service:, none and bridge" { case_sidecar; }
@test "a second up recreates only what changed; anonymous volumes go along" { case_change; }
@test "internal and external networks, and driver options" { case_inner; }
@test "environment from files, .env and the caller" { case_environ; }
@test "logs -f, exec, top, cp, port, pause, run, kill, stop, start, rm" { case_tools; }
@test "images that are built: arguments, labels, stages, the cache, down --rmi" { case_build; }
