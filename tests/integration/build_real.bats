#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# build_real.bats - real projects: a C program in two stages, a Python application with packages from a
# mirror, a Node application with npm ci. Without the internet: what they need is on this machine.

bats_require_minimum_version 1.5.0
load lib
load registry

setup_file() {
    export DOCKER_BUILDKIT=0
    daemon_init
    daemon_start
    busybox_import
}

teardown_file() {
    [ ! -r "$T/web.pid" ] || kill "$(cat "$T/web.pid")"
    daemon_done
}

setup() {
    C=$(mktemp -d "$T/ctx.XXXXXX")
    cd "$C" || return 1
}

teardown() { cd / && rm -rf "$C"; }

show() { printf '%s\n' "$output"; }

# An image of the files of installed Debian packages and all that they depend on, and of one folder more.
host_image() { # NAME FOLDER PACKAGE...
    local name=$1 more=$2 tree
    shift 2
    tree=$(mktemp -d "$T/tree.XXXXXX")
    mkdir -p "$tree/usr/bin" "$tree/usr/sbin" "$tree/usr/lib" "$tree/usr/lib64" "$tree/tmp" "$tree/root" "$tree/etc"
    for d in bin sbin lib lib64; do ln -s "usr/$d" "$tree/$d"; done
    { [ -z "$more" ] || find "$more"; apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
        --no-enhances "$@" | grep '^[a-z]' | sort -u | xargs dpkg -L 2>/dev/null; } | sort -u |
        grep -v -e /share/doc/ -e /share/man/ -e /share/locale/ -e /lto1 -e san_ -e /perl -e '/cc1plus$' |
        while read -r f; do [ -d "$f" ] && [ ! -L "$f" ] || echo "$f"; done |
        sed -E 's:^/(bin|sbin|lib|lib64)/:/usr/\1/:; s:^/::' >"$T/files"
    tar -C / --no-recursion --ignore-failed-read -T "$T/files" -cf - 2>/dev/null | tar -C "$tree" --keep-directory-symlink -xf -
    [ -e "$tree/usr/bin/sh" ] || ln -s dash "$tree/usr/bin/sh"
    [ -L "$tree/usr/bin/gcc" ] || [ -x "$tree/usr/bin/node" ] || return 1
    tar -C "$tree" -c . | docker import --change 'ENV PATH=/usr/bin:/usr/sbin' - "$name" >/dev/null
    rm -rf "$tree" "$T/files"
}

# Serves DIR; sets WEB.
serve() {
    local port
    port=$(free_port)
    WEB=127.0.0.1:$port
    python3 -m http.server -d "$1" -b 127.0.0.1 "$port" </dev/null >"$T/web.log" 2>&1 3>&- &
    echo $! >"$T/web.pid"
    wait_until 10 curl -sf -o /dev/null "http://$WEB/"
}

unserve() { kill "$(cat "$T/web.pid")"; rm -f "$T/web.pid"; }

@test "a C program: compiled in one stage, alone in the next" {
    command -v gcc >/dev/null || skip "no compiler here"
    host_image toolchain "" gcc libc6-dev make dash coreutils grep
    mkdir src
    printf '#include <stdio.h>\n#include "greet.h"\nint main(int c, char **v) { printf("%%s %%s\\n", GREET, c > 1 ? v[1] : "world"); return 0; }\n' >src/main.c
    echo '#define GREET "hello"' >src/greet.h
    printf 'CFLAGS = -O2 -Wall -Werror\ngreet: main.o\n\t$(CC) -static -o $@ $^\nmain.o: main.c greet.h\n' >src/Makefile
    cat >Dockerfile <<'D'
FROM toolchain AS build
WORKDIR /src
COPY src/ .
RUN --mount=type=tmpfs,target=/tmp make CC=gcc && ./greet there | grep -x "hello there"
FROM scratch
COPY --from=build --chown=1000:1000 /src/greet /greet
USER 1000
ENTRYPOINT ["/greet"]
CMD ["you"]
D
    run docker build -t greet .
    show
    [ "$status" -eq 0 ]
    [ "$(docker run --rm --network none greet)" = "hello you" ]
    [ "$(docker save greet | tar -xO --wildcards '*.tar' 'blobs/*' 2>/dev/null | tar t 2>/dev/null | grep -c main.c)" -eq 0 ]
    sed -i s/hello/hi/ src/greet.h
    run docker build -q .
    [ "$status" -ne 0 ] # the step tests it
    sed -i 's/hello there/hi there/' Dockerfile
    docker build -q -t greet . 2>/dev/null
    [ "$(docker run --rm --network none greet a)" = "hi a" ]
    docker rmi -f toolchain >/dev/null
}

# One Debian package of our own.
deb() { # NAME DEPENDS FILE CONTENT
    mkdir -p "deb/DEBIAN" "deb$(dirname "$3")"
    printf 'Package: %s\nVersion: 1.0-1\nArchitecture: all\nMaintainer: nobody <n@example.org>\nDescription: for a test\n' "$1" >deb/DEBIAN/control
    [ -z "$2" ] || echo "Depends: $2" >>deb/DEBIAN/control
    printf '#!/bin/sh\necho "configured %s" >>/var/log/configured\n' "$1" >deb/DEBIAN/postinst
    chmod 755 deb/DEBIAN/postinst
    printf '%s\n' "$4" >"deb$3"
    chmod 755 "deb$3"
    dpkg-deb --root-owner-group -Zgzip -b deb "mirror/$1_1.0-1_all.deb" >/dev/null
    rm -r deb
}

@test "a Python application: packages with apt-get from a mirror that a build argument names" {
    command -v dpkg-scanpackages >/dev/null || skip "dpkg-dev is not installed"
    layout=$(python_oci) || skip "no Debian could be made here"
    skopeo copy -q "oci:$layout" "oci-archive:$T/python.tar:debian-python:1"
    docker load -qi "$T/python.tar" >/dev/null
    rm "$T/python.tar"
    mkdir mirror app
    deb greet-data '' /usr/share/greet/words 'good morning'
    deb greet 'greet-data, libc6' /usr/bin/greet $'#!/bin/sh\ncat /usr/share/greet/words'
    (cd mirror && dpkg-scanpackages -m . >Packages 2>/dev/null && gzip -k Packages)
    printf 'import os\nprint({"words": os.popen("greet").read().strip()})\n' >app/app.py
    serve mirror
    cat >Dockerfile <<'D'
FROM debian-python:1
ARG MIRROR
ARG DEBIAN_FRONTEND=noninteractive
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    echo "deb [trusted=yes] $MIRROR ./" >/etc/apt/sources.list && rm -f /etc/apt/sources.list.d/* && \
    apt-get update -q -o Acquire::Retries=0 && apt-get install -y --no-install-recommends greet && rm -rf /var/lib/apt/lists/*
RUN useradd -m app
USER app
WORKDIR /srv/app
COPY --chown=app app/ .
RUN python3 -m py_compile app.py
CMD ["python3", "app.py"]
D
    run docker build --network host --build-arg "MIRROR=http://$WEB/" -t pyapp .
    show
    unserve
    [ "$status" -eq 0 ]
    [[ $output == *"Setting up greet (1.0-1)"* ]]
    [ "$(docker run --rm --network none pyapp)" = "{'words': 'good morning'}" ]
    [ "$(docker run --rm --network none pyapp cat /var/log/configured | sort)" = $'configured greet\nconfigured greet-data' ]
    [ "$(docker run --rm --network none pyapp sh -c 'ls /srv/app/__pycache__ | wc -l; ls /var/lib/apt/lists | wc -l')" = $'1\n0' ]
    docker rmi -f debian-python:1 >/dev/null
}

# A package of a registry: its tarball, and what the lock file says of it.
npm_package() { # NAME CODE
    mkdir -p package && printf '{"name":"%s","version":"1.0.0","main":"i.js"}' "$1" >package/package.json
    echo "$2" >package/i.js
    tar czf "registry/$1-1.0.0.tgz" package && rm -r package
    echo "\"node_modules/$1\":{\"version\":\"1.0.0\",\"resolved\":\"http://$WEB/$1-1.0.0.tgz\",\"integrity\":\"sha512-$(openssl dgst -sha512 -binary "registry/$1-1.0.0.tgz" | base64 -w0)\"}"
}

@test "a Node application: npm ci, with its cache in a cache mount" {
    [ -n "${DRAY_TEST_ROUNDS:-}" ] || skip "its base of 170 MB takes a while: with DRAY_TEST_ROUNDS only"
    npm=$(readlink -f "$(command -v npm)") || skip "no npm here"
    owners=$(dpkg -S "$npm" "$(readlink -f "$(command -v node)")" 2>/dev/null | cut -d: -f1 | sort -u)
    [ -n "$owners" ] || skip "node and npm are of no Debian package here"
    # shellcheck disable=SC2086
    host_image node-base "${npm%/bin/*}" $owners dash coreutils
    mkdir registry app
    serve registry
    one=$(npm_package left 'module.exports = s => "<" + s')
    two=$(npm_package right 'module.exports = s => s + ">"')
    deps='{"left":"1.0.0","right":"1.0.0"}'
    echo "{\"name\":\"app\",\"version\":\"1.0.0\",\"dependencies\":$deps}" >app/package.json
    echo "{\"name\":\"app\",\"version\":\"1.0.0\",\"lockfileVersion\":3,\"requires\":true,\"packages\":{\"\":{\"name\":\"app\",\"version\":\"1.0.0\",\"dependencies\":$deps},$one,$two}}" >app/package-lock.json
    echo 'console.log(require("left")(require("right")(process.argv[2] || "x")))' >app/index.js
    echo node_modules >.dockerignore
    cat >Dockerfile <<'D'
FROM node-base
ENV npm_config_cache=/npm
WORKDIR /app
COPY app/package*.json ./
RUN --mount=type=cache,target=/npm npm ci --no-audit --no-fund
COPY app/ .
CMD ["node", "index.js"]
D
    run docker build --network host -t nodeapp .
    show
    [ "$status" -eq 0 ]
    [ "$(docker run --rm --network none nodeapp)" = "<x>" ]
    # Other files of the application: npm is not run again. Another lock file: it is, from its cache.
    echo '// more' >>app/index.js
    run docker build --network host .
    [ "$(grep -c 'Using cache' <<<"$output")" -eq 4 ]
    unserve
    sed -i 's/"name":"app"/"name":"renamed"/' app/package.json app/package-lock.json
    sed -i 's/npm ci/npm ci --prefer-offline/' Dockerfile
    run docker build --network host -t nodeapp .
    show
    [ "$status" -eq 0 ]
    [ "$(docker run --rm --network none nodeapp node index.js y)" = "<y>" ]
    docker rmi -f node-base >/dev/null
}
