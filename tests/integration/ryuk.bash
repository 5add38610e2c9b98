# SPDX-License-Identifier: Apache-2.0
# ryuk.bash - an image that does what Testcontainers' reaper does, of busybox and the docker client: it listens on
# port 8080 for lines "label=key=value", and removes what has one of them once the last connection is gone.

# Import it as NAME.
ryuk_import() { # NAME
    local root library applet
    root=$(mktemp -d "$T/ryuk.XXXXXX")
    mkdir -p "$root/bin" "$root/tmp"
    cp "$(command -v busybox)" "$root/bin/busybox"
    for applet in sh nc xargs sleep cat touch rm ls; do ln -s busybox "$root/bin/$applet"; done
    cp "$(readlink -f "$(command -v docker)")" "$root/bin/docker"
    ldd "$root/bin/docker" 2>/dev/null | grep -oE '/[^ )]+' | while read -r library; do
        install -D "$library" "$root$library"
    done
    cat >"$root/bin/connection" <<'EOF'
#!/bin/sh
touch /tmp/connection.$$
while read -r line; do
    echo "${line%?}" >>/tmp/filters
    echo ACK
done
rm /tmp/connection.$$
EOF
    cat >"$root/bin/reap" <<'EOF'
#!/bin/sh
export DOCKER_HOST=unix:///var/run/docker.sock
docker version >/dev/null || exit 1
echo Started
nc -ll -p 8080 -e /bin/connection &
until [ -e /tmp/filters ] && ! ls /tmp/connection.* >/dev/null 2>&1; do sleep 0.2; done
for label in $(cat /tmp/filters); do
    for id in $(docker ps -aq --filter "$label"); do
        [ "$(docker inspect -f '{{index .Config.Labels "org.testcontainers.ryuk"}}' "$id")" = true ] ||
            docker rm -fv "$id"
    done
    docker network ls -q --filter "$label" | xargs -r docker network rm
    docker volume ls -q --filter "$label" | xargs -r docker volume rm
    docker images -q --filter "$label" | xargs -r docker rmi -f
done
EOF
    chmod +x "$root/bin/connection" "$root/bin/reap"
    tar c -C "$root" . | docker import -c 'CMD ["/bin/reap"]' -c 'ENV PATH=/bin' -c 'LABEL org.testcontainers.ryuk=true' - "$1" >/dev/null
    rm -r "$root"
}
