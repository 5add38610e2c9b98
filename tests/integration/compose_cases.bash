# SPDX-License-Identifier: Apache-2.0
# compose_cases.bash - what compose must be able to do; $COMPOSE is the program, $SEP stands between the parts of
# a container's name. The projects are in compose/.

compose_file_setup() {
    daemon_init
    cp -r "$BATS_TEST_DIRNAME/compose" "$T/compose"
    sed -i '/^version:/d' "$T"/compose/*/docker-compose.yml
    [ "$SEP" = - ] || sed -i '1i version: "2.4"' "$T"/compose/*/docker-compose.yml
    [ "$SEP" = - ] || sed -i '1s/2.4/3.8/' "$T/compose/secrets/docker-compose.yml"
    daemon_start
    busybox_import
}

compose_teardown() {
    local ids
    ids=$(docker ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -fv $ids >/dev/null
    docker network prune -f >/dev/null
    docker volume prune -f >/dev/null
}

# compose PROJECT ARGUMENTS...; keeps what it said for when a test fails.
compose() {
    local project=$1
    shift
    (cd "$T/compose/$project" && timeout 60 "$COMPOSE" "$@") 2>"$T/compose.log" || { cat "$T/compose.log" >&2; return 1; }
}

up() {
    local project=$1
    shift
    compose "$project" up -d "$@" >/dev/null
}

# name PROJECT SERVICE [NUMBER]
name() { echo "$1$SEP$2$SEP${3:-1}"; }
# within PROJECT SERVICE COMMAND...: run it in the service's first container.
within() {
    local c
    c=$(name "$1" "$2")
    shift 2
    docker exec "$c" "$@"
}
state() { docker inspect -f "{{.State.$2}}" "$1"; }
ids_of() { docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$1" | sort; }
lookup() { # PROJECT SERVICE NAME: addresses as its resolver gives them
    within "$1" "$2" timeout 2 nslookup -type=a "$3" 127.0.0.11 | awk '/^Name:/ {n = 1} n && /^Address:/ {print $2}' | sort
}

# --- cases ------------------------------------------------------------------------------------

case_shop() {
    up shop
    [ "$(state "$(name shop db)" Health.Status)" = healthy ]
    wait_until 10 within shop web wget -q -O /dev/null http://127.0.0.1/db
    [ "$(curl -sf --max-time 3 "http://$(compose shop port web 80 | sed 's/0.0.0.0/127.0.0.1/')/db")" = rows ]
    [ "$(within shop web wget -q -O - http://127.0.0.1/cache)" = hot ]
    run within shop cache ping -c 1 -W 1 "$(docker inspect -f '{{.NetworkSettings.Networks.shop_front.IPAddress}}' "$(name shop web)")"
    [ "$status" -ne 0 ] # the cache is on the back network alone
    compose shop down -t 0 >/dev/null
    [ -z "$(ids_of shop)" ]
    docker volume inspect shop_dbdata >/dev/null
    compose shop down -v -t 0 >/dev/null
    run docker volume inspect shop_dbdata
    [ "$status" -ne 0 ]
    [ -z "$(docker network ls -q --filter name=shop_)" ]
}

case_static() {
    local one
    one=$(name static one)
    up static
    [ "$(docker inspect -f '{{.NetworkSettings.Networks.static_left.IPAddress}} {{.NetworkSettings.Networks.static_right.IPAddress}}' "$one")" = "10.213.1.10 10.213.2.10" ]
    [ "$(docker inspect -f '{{.NetworkSettings.Networks.static_left.MacAddress}}' "$(name static two)")" = 02:42:0a:d5:01:0b ]
    [ "$(lookup static two uno)" = 10.213.1.10 ]
    [ "$(lookup static two first)" = 10.213.1.10 ]
    [ "$(lookup static two elder)" = 10.213.1.10 ]
    [ "$(lookup static one elder)" = "" ] # a link is its owner's alone
    [ "$(lookup static two shared | tr '\n' ' ')" = "10.213.1.10 10.213.1.11 " ]
    [[ "$(lookup static one tres)" == 10.213.2.1[2-9]? || "$(lookup static one tres)" == 10.213.2.2?? ]]
    [ "$(lookup static two tres)" = "" ] # of a network that it is not on
    compose static restart -t 0 >/dev/null
    [ "$(docker inspect -f '{{.NetworkSettings.Networks.static_left.IPAddress}} {{.NetworkSettings.Networks.static_right.IPAddress}}' "$one")" = "10.213.1.10 10.213.2.10" ]
    compose static down -t 0 >/dev/null
}

case_scale() {
    local i
    up scale --scale web=3
    [ "$(lookup scale client web | wc -l)" -eq 3 ]
    for i in 1 2 3; do wait_until 5 within scale client wget -q -O /dev/null "http://$(name scale web $i)/"; done
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do within scale client wget -q -O - http://web/; done >"$T/seen"
    [ "$(sort -u "$T/seen" | wc -l)" -ge 2 ]
    up scale --scale web=1
    [ "$(lookup scale client web | wc -l)" -eq 1 ]
    compose scale down -t 0 >/dev/null
}

case_profiles() {
    up profiles
    [ "$(ids_of profiles | wc -l)" -eq 1 ]
    compose profiles --profile debug up -d >/dev/null
    [ "$(ids_of profiles | wc -l)" -eq 3 ]
    compose profiles --profile debug --profile extra down -t 0 >/dev/null
    [ -z "$(ids_of profiles)" ]
}

case_volumes() {
    docker volume create common-of-all >/dev/null
    up volumes
    wait_until 5 within volumes reader cat /named/g
    [ "$(within volumes reader cat /named/f /named/g /opts/f | tr '\n' ' ')" = "named bound opts " ]
    run within volumes reader sh -c 'echo x >/named/h'
    [ "$SEP" = - ] || [ "$status" -ne 0 ] # compose 2 forgets that it is to be read only
    run within volumes writer sh -c 'echo x >/bound/h || echo x >/h'
    [ "$status" -ne 0 ]
    [ "$(within volumes writer stat -f -c %T /tmpfs)" = tmpfs ]
    [ "$(within volumes writer stat -c %u /opts)" = 1000 ]
    [ "$(docker volume inspect -f '{{.Labels.kind}} {{index .Labels "com.docker.compose.volume"}}' volumes_named)" = "plain named" ]
    compose volumes down -v -t 0 >/dev/null
    [ "$(docker volume ls -q)" = common-of-all ]
    docker volume rm common-of-all >/dev/null
}

case_secrets() {
    up secrets
    [ "$(within secrets app cat /run/secrets/password /run/secrets/api_token | tr '\n' ' ')" = "s3cret t0ken " ]
    # Compose 1 leaves configs to a swarm.
    [ "$SEP" = _ ] || [ "$(within secrets app cat /etc/app.conf)" = mode=fast ]
    compose secrets down -t 0 >/dev/null
}

case_service() {
    local app
    app=$(name service app)
    up service
    [ "$(within service app id -u)" = 1000 ]
    [ "$(within service app hostname)" = apphost ]
    [ "$(within service app pwd)" = /tmp ]
    [ "$(within service app cat /proc/1/comm)" = docker-init ]
    within service app grep -q '^10.1.2.3	db.local$' /etc/hosts
    within service app grep -q "^$(docker network inspect bridge -f '{{(index .IPAM.Config 0).Gateway}}')	gate$" /etc/hosts
    within service app grep -q 'apphost.example.org apphost$' /etc/hosts
    [ "$(within service app grep -v -e '^#' -e '^$' /etc/resolv.conf)" = $'nameserver 127.0.0.11\nsearch corp.example\noptions timeout:1 ndots:0' ]
    within service app grep -q 'ExtServers: \[10.9.9.9\]' /etc/resolv.conf
    [ "$(within service app sh -c 'ulimit -Sn; ulimit -Hn' | tr '\n' ' ')" = "1000 2000 " ]
    [ "$(within service app cat /proc/sys/net/core/somaxconn)" = 300 ]
    within service app grep -q '^CapBnd:.*0000000000000001$' /proc/self/status
    [ "$(within service app df -k /dev/shm | awk 'END {print $2}')" = 8192 ]
    [ "$(docker inspect -f '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}} {{.Config.StopSignal}}' "$app")" = "67108864 500000000 50 SIGINT" ]
    [ "$(docker inspect -f '{{index .Config.Labels "com.example.team"}} {{index .HostConfig.LogConfig.Config "max-file"}}' "$app")" = "blue 2" ]
    wait_until 10 ended_after_retries "$(name service flaky)" 2
    [ "$(docker logs "$(name service flaky)" | grep -c try)" -eq 3 ]
    kill -KILL "$(state "$(name service steady)" Pid)"
    wait_until 10 restarted "$(name service steady)"
    compose service down -t 0 >/dev/null
}
ended_after_retries() { [ "$(docker inspect -f '{{.State.Status}} {{.RestartCount}}' "$1")" = "exited $2" ]; }
restarted() { [ "$(docker inspect -f '{{.State.Running}} {{.RestartCount}}' "$1")" = "true 1" ]; }

case_sidecar() {
    up sidecar
    wait_until 5 within sidecar sidecar wget -q -O /dev/null http://127.0.0.1:8080/
    [ "$(within sidecar sidecar cat /etc/hostname)" = "$(within sidecar web cat /etc/hostname)" ]
    [ "$(lookup sidecar sidecar web | wc -l)" -eq 1 ] # names are resolved there too
    [ "$(within sidecar alone ip -o link | wc -l)" -eq 1 ]
    [ "$(docker inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}}' "$(name sidecar bare)")" = bridge ]
    compose sidecar down -t 0 >/dev/null
}

case_change() {
    local before after
    up change
    before=$(ids_of change)
    up change
    [ "$(ids_of change)" = "$before" ]
    ROUND=2 compose change up -d >/dev/null
    after=$(ids_of change)
    [ "$(comm -12 <(echo "$before") <(echo "$after") | wc -l)" -eq 1 ]
    [ "$(within change changed sh -c 'echo $ROUND')" = 2 ]
    wait_until 5 two_lines # an anonymous volume goes over to the new container
    compose change up -d --force-recreate same >/dev/null
    [ "$(comm -12 <(echo "$after") <(ids_of change) | wc -l)" -eq 2 ]
    compose change down -v -t 0 >/dev/null
    docker volume prune -f >/dev/null # one that was handed on is no longer the container's own
    [ -z "$(docker volume ls -q)" ]
}
followed() { [ "$(grep -c line "$T/follow")" -ge 4 ]; }
two_lines() { [ "$(within change data grep -c kept /v/f)" -eq 2 ]; }

case_inner() {
    local gate
    run up inner
    [ "$status" -ne 0 ]
    [[ "$output" == *given-before* ]]
    docker network create given-before >/dev/null
    up inner
    gate=$(name inner gate)
    [ "$(within inner gate sh -c 'cat /sys/class/net/eth*/mtu' | sort -u | tr '\n' ' ')" = "1400 1500 " ]
    [ "$(within inner vault ip route | grep -c default)" -eq 0 ]
    within inner gate ip route | grep -q '^default'
    within inner vault ping -c 1 -W 1 gate >/dev/null
    docker network disconnect given-before "$gate"
    compose inner down -t 0 >/dev/null
    docker network rm given-before >/dev/null
}

case_environ() {
    PASSED=through up environ
    [ "$(within environ app sh -c 'tr "\0" "\n" </proc/1/environ' | grep -E '^(BY_|FILE_|FROM_|PASSED|NAP)' | sort | tr '\n' ,)" = "BY_ENTRYPOINT=1,FILE_A=1,FILE_B=two words,FROM_DOTENV=dotted,NAP=600,PASSED=through," ]
    compose environ down -t 0 >/dev/null
}

case_tools() {
    local log
    up tools
    : >"$T/follow"
    (cd "$T/compose/tools" && exec timeout 20 "$COMPOSE" logs -f talk >"$T/follow" 2>/dev/null 3>&-) &
    log=$!
    wait_until 15 followed
    # shellcheck disable=SC2046
    kill -KILL $(pgrep -P "$log") || true
    wait "$log" || true
    compose tools logs --no-color --tail 2 talk | grep -q 'talk.*line'
    [ "$(compose tools exec -T stay sh -c 'echo hello; cat' <<<"world" | tr '\n' ' ')" = "hello world " ]
    run compose tools exec -T stay sh -c 'exit 7'
    [ "$status" -ne 0 ]
    compose tools top stay | grep -q 'sleep 600'
    compose tools port stay 9 | grep -q '^127.0.0.1:'
    compose tools pause stay >/dev/null
    [ "$(state "$(name tools stay)" Paused)" = true ]
    compose tools unpause stay >/dev/null
    if [ "$SEP" = - ]; then
        echo copied >"$T/file"
        compose tools cp "$T/file" stay:/tmp/file
        [ "$(within tools stay cat /tmp/file)" = copied ]
        compose tools cp stay:/tmp/file "$T/back"
        cmp "$T/file" "$T/back"
    fi
    [ "$(compose tools run --rm -T stay echo once)" = once ]
    compose tools kill -s KILL talk >/dev/null
    compose tools stop -t 0 stay >/dev/null
    [ "$(state "$(name tools stay)" Status)" = exited ]
    compose tools start stay >/dev/null
    compose tools rm -sf >/dev/null
    [ -z "$(ids_of tools)" ]
    compose tools down >/dev/null
}

case_build() {
    local first
    export DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0
    up build
    [ "$(within build app cat /www/greeting /www/page.html | tr '\n' ' ')" = "hello page " ]
    [ "$(within build app stat -c %a /www/page.html)" = 600 ]
    [ "$(within build small cat /copied)" = first ]
    [ "$(docker image inspect -f '{{index .Config.Labels "built.by"}}' built-app)" = compose ]
    first=$(ids_of build)
    up build --build # nothing changed: all steps come from the cache
    [ "$(ids_of build)" = "$first" ]
    GREETING=goodbye compose build build >/dev/null
    GREETING=goodbye up build
    [ "$(within build app cat /www/greeting)" = goodbye ]
    [ "$(comm -12 <(echo "$first") <(ids_of build) | wc -l)" -eq 1 ]
    compose build down -t 0 --rmi all >/dev/null
    run docker image inspect built-app
    [ "$status" -ne 0 ]
    docker image inspect busybox >/dev/null
}
