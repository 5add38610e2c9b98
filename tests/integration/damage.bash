# SPDX-License-Identifier: Apache-2.0
# damage.bash - files of the daemon's state that are damaged, in every way, for every kind of object: the daemon
# starts, says what is broken, has all else, deletes nothing by itself, and what is broken can be removed.
# KIND is one of those of damage.py.

setup_file() {
    daemon_init
    daemon_start
    busybox_import
    docker run -d --name good -v vgood:/v busybox sh -c 'echo fine >/v/fine; sleep 100000'
}

teardown_file() {
    rm -f "$T"/data/images/*.json.*
    daemon_kill
    daemon_start # what was left alone is swept
    daemon_done
}

# What a test that failed has left must not fail the next one.
setup() {
    local good
    good=$(docker inspect -f '{{.Id}}' good)
    ls "$T/data/containers" | grep -v "$good" | xargs -r docker rm -f >/dev/null 2>&1 || true
    [ -e "$T/drayd.pid" ] && daemon_answers || daemon_start
}

damage() { python3 "$BATS_TEST_DIRNAME/damage.py" "$KIND" "$@"; }
id_of() { docker inspect -f '{{.Id}}' "$1"; }
said() { tail -n "+$LOG_FROM" "$T/drayd.log" | grep -q "$1" || { echo "not said: $1"; return 1; }; }
restart_damaged() { # FILE...
    [ -n "${DEAD:-}" ] || daemon_kill
    DEAD=
    damage "$@"
    LOG_FROM=$(($(wc -l <"$T/drayd.log") + 1))
    daemon_start
    all_else_is_well
}

all_else_is_well() {
    docker ps -a >/dev/null && docker images -a >/dev/null && docker network ls >/dev/null && docker volume ls >/dev/null
    docker system df >/dev/null
    [ "$(docker exec good cat /v/fine)" = fine ]
    [ "$(docker run --rm --network none busybox echo new)" = new ]
}

# The parts of a container: each has its own that is damaged.
containers() {
    local c=$T/data/containers
    for name in doc state log; do
        docker run --name $name -l a=b busybox sh -c 'echo kept >/kept; echo line; echo line2' >/dev/null
    done
    for name in updoc upstate ends upconf; do docker run -d --name $name busybox sleep 100000 >/dev/null; done
    DOC=$(id_of doc) STATE=$(id_of state) LOG=$(id_of log) UPDOC=$(id_of updoc) ENDS=$(id_of ends)
    UPPID=$(docker inspect -f '{{.State.Pid}}' updoc) STATEPID=$(docker inspect -f '{{.State.Pid}}' upstate)
    UPCONF=$(id_of upconf) UPSTATE=$(id_of upstate)
    daemon_kill
    kill -9 "$(jq .Pid "$c/$ENDS/state.json")"
    wait_until 5 test -s "$c/$ENDS/exit.json"
    DEAD=1
    restart_damaged "$c/$DOC/container.json" "$c/$STATE/state.json" "$c/$LOG/$LOG-json.log" "$c/$UPDOC/container.json" \
        "$c/$UPSTATE/state.json" "$c/$ENDS/exit.json" \
        "$T/exec/containers/$UPCONF/config.json" "$T/exec/runtime/native/$UPCONF/state"
}

containers_of() {
    containers
    case $KIND in
    of_other_types | of_huge_values) ;; # may be read, and be strange
    *)
        said "container $DOC is broken"
        said "container $UPDOC is broken"
        [ -z "$(docker ps -aq --filter name=^doc --filter name=^updoc)" ]
        # Nothing of theirs is gone, what runs goes on, and what is asked for by force is done.
        [ "$(cat "$T/data/storage/overlay/layers/$DOC/diff/kept")" = kept ]
        kill -0 "$UPPID"
        run docker rm "$DOC"
        [ "$status" -ne 0 ]
        [[ $output == *"force remove"* ]]
        daemon_kill
        daemon_start # once more the same
        [ -d "$T/data/storage/overlay/layers/$DOC/diff" ]
        kill -0 "$UPPID" ;;
    esac
    # The shim knows how it fares.
    [ "$(docker inspect -f '{{.State.Status}} {{.State.Pid}}' upstate)" = "running $STATEPID" ]
    docker exec upstate true
    [ "$(docker inspect -f '{{.State.Status}}' ends)" = exited ]
    [ "$(docker inspect -f '{{.State.Status}}' state)" != running ]
    docker inspect state log ends >/dev/null
    timeout 10 docker logs log >/dev/null 2>&1 || [ $? -ne 124 ]
    timeout 10 docker logs -f --tail 1 log >/dev/null 2>&1 || [ $? -ne 124 ]
    case $KIND in
    of_other_types | of_huge_values) timeout 20 docker start -a state >/dev/null || [ $? -ne 124 ] ;; # it may be told why not
    *) docker start -a state >/dev/null ;;
    esac
    timeout 20 docker start -a log >/dev/null || [ $? -ne 124 ]
    timeout 60 docker rm -f "$DOC" "$UPDOC" state log upstate ends upconf >/dev/null
    wait_until 10 gone "$UPPID"
    wait_until 10 gone "$STATEPID"
    [ ! -e "$T/data/storage/overlay/layers/$DOC" ]
    nothing_of() { [ -z "$(ls "$T/data/containers" "$T/exec/containers" | grep -e "$DOC" -e "$UPDOC" -e "$LOG" -e "$UPCONF")" ]; }
    wait_until 10 nothing_of
}

# Images, their layers, their names.
images_of() {
    local i=$T/data/images
    echo "$KIND" >"$T/file"
    for name in img layer blob; do
        echo $name >"$T/which"
        tar -C "$T" -c file which | docker import - $name:1 >/dev/null
        docker create --name of-$name $name:1 x >/dev/null
    done
    IMG=$(docker image inspect -f '{{.Id}}' img:1) BLOB=$(docker image inspect -f '{{.Id}}' blob:1)
    LAYER=$(docker image inspect -f '{{index .RootFS.Layers 0}}' layer:1)
    restart_damaged "$i/${IMG#sha256:}.json" "$T/data/layers/overlay-${LAYER#sha256:}.json" "$T/data/blobs/sha256/${BLOB#sha256:}"
    case $KIND in
    of_other_types | of_huge_values) ;;
    *)
        said "image document ${IMG#sha256:}.json cannot be read"
        said "layer document overlay-${LAYER#sha256:}.json cannot be read"
        [ -z "$(docker images -q img)" ]
        [ -n "$(docker images -q layer)" ] ;;
    esac
    # Containers have their files still, also after an image was named anew and the daemon started again.
    docker tag busybox other:1
    docker rmi other:1 >/dev/null
    for name in img layer blob; do docker export of-$name | tar -xO which | grep -qx $name; done
    daemon_kill
    daemon_start
    for name in img layer; do docker export of-$name | tar -xO which | grep -qx $name; done
    # A folder is not overwritten: whoever made it takes it away.
    [ ! -d "$T/data/layers/overlay-${LAYER#sha256:}.json" ] || rm -r "$T/data/layers/overlay-${LAYER#sha256:}.json"
    docker image inspect blob:1 >/dev/null || true
    docker save -o "$T/saved.tar" blob:1 2>/dev/null || true
    # Its layer is unpacked again where its blob was kept; else it is said that it cannot be.
    if docker create --pull never --name again layer:1 x >/dev/null; then
        docker export again | tar -xO which | grep -qx layer
        docker rm again >/dev/null
    fi
    docker rm of-img of-layer of-blob >/dev/null
    docker rmi -f layer:1 >/dev/null
    docker rmi -f blob:1 >/dev/null || true
    rm -rf "$i/${IMG#sha256:}.json" "$T/data/layers/overlay-${LAYER#sha256:}.json"
}

names_of() {
    cp "$T/data/references.json" "$T/references.was"
    daemon_kill
    damage "$T/data/references.json"
    LOG_FROM=$(($(wc -l <"$T/drayd.log") + 1))
    daemon_start
    [ "$(docker exec good cat /v/fine)" = fine ]
    [ -n "$(docker images -aq)" ] # it has lost its name at most
    docker tag "$(docker images -aq | head -n 1)" named:anew
    if [ "$KIND" != a_link ] && [ -z "$(docker images -q busybox)" ]; then
        said "names of images cannot be read"
        [ "$(find "$T/data" -maxdepth 1 -name 'references.json.broken-*' | wc -l)" -eq 1 ]
    fi
    daemon_kill
    rm -rf "$T/data"/references.json*
    cp "$T/references.was" "$T/data/references.json"
    daemon_start
    all_else_is_well
}

# Networks, volumes, the build cache, and what there is one of.
rest_of() {
    local d=$T/data
    NET=$(docker network create n-$KIND) BRIDGE=$(docker network inspect -f '{{.Id}}' bridge)
    docker run --name in-net --network n-$KIND -v v-$KIND:/v busybox sh -c 'echo kept >/v/kept' >/dev/null
    printf 'FROM busybox\nRUN echo %s\n' "$KIND" | DOCKER_BUILDKIT=0 docker build -q -t built - >/dev/null
    restart_damaged "$d/networks/$NET.json" "$d/networks/$BRIDGE.json" "$d/volumes-meta/v-$KIND.json" \
        "$d/build/trust.json" "$d"/build/cache/*.json "$d/engine-id" "$d/storage-driver"
    [ "$(cat "$d/volume/local/v-$KIND/_data/kept")" = kept ]
    [ "$(docker run --rm busybox echo net)" = net ] # there is a default network
    printf 'FROM busybox\nRUN echo %s\n' "$KIND" | DOCKER_BUILDKIT=0 docker build -q -t built - >/dev/null
    case $KIND in
    of_other_types | of_huge_values | a_link) ;;
    *)
        said "network $NET is broken"
        said "volume of v-$KIND.json is left out" ;;
    esac
    docker rm in-net >/dev/null
    docker network rm "$NET" >/dev/null
    docker network create n-$KIND >/dev/null
    docker network rm n-$KIND >/dev/null
    [ ! -e "$d/networks/$NET.json" ] && [ ! -L "$d/networks/$NET.json" ]
    docker network rm "$BRIDGE" >/dev/null 2>&1 || true # the broken one, if there is a new one
    [ ! -d "$d/volumes-meta/v-$KIND.json" ] || rm -r "$d/volumes-meta/v-$KIND.json"
    docker volume create "v-$KIND" >/dev/null
    [ "$(docker run --rm --network none -v "v-$KIND:/v" busybox cat /v/kept)" = kept ]
    docker volume rm "v-$KIND" >/dev/null
    docker rmi built >/dev/null
}
