#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# build_words.bats - what BuildKit does otherwise than the classic builder: clients of BuildKit get its histories, its
# order of ARG and ENV, its wildcards that match nothing.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    export DOCKER_BUILDKIT=0
    daemon_init
    daemon_start
    busybox_import
    mkdir "$T/c" && cd "$T/c" || return 1
    mkdir d && echo 1 >a && echo 2 >b && echo x >d/e && tar cf t.tar a b && tar cJf x.tar.xz a && gzip x.tar.xz
}

teardown_file() { daemon_done; }

show() { printf '%s\n' "$output"; }
build() { DOCKER_BUILDKIT=1 dray build -q --network none -f - "$@" "$T/c" 2>&1; } # Dockerfile on stdin
classic() { docker build -q --network none -f - "$@" "$T/c" 2>&1; }
by() { docker history --no-trunc --format '{{.CreatedBy}}{{if eq .Comment "buildkit.dockerfile.v0"}}!{{end}}' "$1"; }
inside() { docker run --rm --network none -u 0 -w / --entrypoint sh "$1" -c "$2"; }

@test "the history of BuildKit's clients has BuildKit's words" {
    build -t words --build-arg A=7 --label cli=1 <<'D'
FROM busybox
ARG A=1 B C=3
MAINTAINER me <x@y>
RUN true
WORKDIR /new/
COPY --chown=1:2 --chmod=0755 --link a b /c/
ADD --chown=3 t.tar /t/
COPY <<X <<"Y" /hd/
one
X
two
Y
RUN <<EOF
echo a
EOF
RUN ["true","x y"]
COPY --from=busybox /etc/passwd /pw
HEALTHCHECK --interval=1m30s --timeout=100ms --start-period=1h --start-interval=5s --retries=3 CMD a b
HEALTHCHECK NONE
EXPOSE 9-10 80/TCP
VOLUME ["/a b","/c"]
ENTRYPOINT ["a","b c"]
ENV K="a b" L=c
SHELL ["/bin/ash","-c"]
ONBUILD RUN x
USER 5:6
D
    run by words
    show
    [ "$output" = 'USER 5:6!
SHELL [/bin/ash -c]!
ENV K=a b L=c!
ENTRYPOINT ["a" "b c"]!
VOLUME [/a b /c]!
EXPOSE [80/tcp 9/tcp 10/tcp]!
HEALTHCHECK &{["NONE"] "0s" "0s" "0s" "0s" '"'\\x00'"'}!
HEALTHCHECK &{["CMD-SHELL" "a b"] "1m30s" "100ms" "1h0m0s" "5s" '"'\\x03'"'}!
COPY /etc/passwd /pw # buildkit!
RUN |3 A=7 B= C=3 true x y # buildkit!
RUN |3 A=7 B= C=3 /bin/sh -c echo a
 # buildkit!
COPY <<X <<Y /hd/ # buildkit!
ADD --chown=3 t.tar /t/ # buildkit!
COPY --chown=1:2 --chmod=0755 a b /c/ # buildkit!
WORKDIR /new/!
RUN |3 A=7 B= C=3 /bin/sh -c true # buildkit!
MAINTAINER me <x@y>!
ARG A=7 B C=3!' ]
    [ "$(docker inspect -f '{{.Comment}} {{.Config.Labels.cli}} {{.Config.OnBuild}}' words)" = "buildkit.dockerfile.v0 1 [RUN x]" ]
}

@test "the classic builder's words are Docker 28's" {
    classic -t old <<'D'
FROM busybox
COPY --chown=1:2 a /c/
HEALTHCHECK --interval=90s --timeout=100ms --start-interval=5s --retries=3 CMD a b
D
    run by old
    show
    [ "${lines[0]}" = '/bin/sh -c #(nop)  HEALTHCHECK &{[CMD-SHELL a b] 1m30s 100ms 0s 5s 3}' ]
    [[ "${lines[1]}" =~ ^'/bin/sh -c #(nop) COPY --chown=1:2 file:'[0-9a-f]{64}' in /c/ '$ ]]
}

@test "such images are sources of the cache, by what their steps were made of" {
    printf 'FROM busybox\nCOPY a /a\nRUN cat /proc/sys/kernel/random/uuid >/when\n' >"$T/df"
    build -t source <"$T/df"
    when=$(inside source 'cat /when')
    docker save source busybox >"$T/source.tar"
    docker rmi source busybox >/dev/null
    docker builder prune -af >/dev/null
    docker load -q <"$T/source.tar"
    for client in build classic; do
        $client --cache-from source -t again <"$T/df"
        [ "$(inside again 'cat /when')" = "$when" ]
        docker rmi again
        docker builder prune -af >/dev/null
    done
    # The history of a COPY does not tell its content, and yet another content is another step.
    echo other >"$T/c/a"
    build --cache-from source -t again <"$T/df"
    echo 1 >"$T/c/a"
    [ "$(inside again 'cat /a')" = other ]
    [ "$(inside again 'cat /when')" != "$when" ]
}

@test "an image whose list of steps is nonsense" {
    mkdir "$T/odd" && tar -C "$T/odd" -xf "$T/source.tar"
    python3 - "$T/odd" <<'P'
import hashlib, json, os, sys
top = sys.argv[1]
manifest = json.load(open(f"{top}/manifest.json"))
for m in manifest:
    doc = json.load(open(f"{top}/{m['Config']}"))
    doc["io.dray.steps"] = [None, 7, {}][:len(doc["history"])]
    text = json.dumps(doc).encode()
    m["Config"] = hashlib.sha256(text).hexdigest() + ".json"
    open(f"{top}/{m['Config']}", "wb").write(text)
    m["RepoTags"] = ["odd:" + str(len(doc["history"]))]
json.dump(manifest, open(f"{top}/manifest.json", "w"))
for f in "index.json", "oci-layout":
    if os.path.exists(f"{top}/{f}"):
        os.remove(f"{top}/{f}")
P
    tar -C "$T/odd" -c . | docker load
    docker builder prune -af >/dev/null
    build --cache-from odd:3 <"$T/df"
    printf 'FROM odd:3\nRUN true >/x\n' | build
    daemon_answers
}

@test "ARG hides an ENV before it from BuildKit's clients, in the build alone" {
    printf 'FROM busybox AS s\nENV A=env\nARG A=arg\nRUN echo $A >/a\nENV B=$A\nFROM s\nRUN echo $A >/again\n' >"$T/df"
    build -t hides <"$T/df"
    [ "$(inside hides 'cat /a /again')" = $'arg\nenv' ]
    [ "$(docker inspect -f '{{slice .Config.Env 1}}' hides)" = "[A=env B=arg]" ]
    classic -t hides <"$T/df"
    [ "$(inside hides 'cat /a /again')" = $'env\nenv' ]
    printf 'FROM busybox\nENV A=1\nARG A=2\nENV A=3\nARG B=$A\nRUN echo $A $B >/o\nENV C=1\nARG C\nRUN echo $C >>/o\n' | build -t hides
    [ "$(inside hides 'cat /o')" = $'3 3\n1' ]
}

@test "wildcards that match nothing copy nothing" {
    build -t none <<'D'
FROM busybox
COPY nope* /x/y/
COPY nope* a /z/
ADD nope?.tar /q/
D
    [ "$(inside none 'ls -d /x /q /z/* 2>/dev/null')" = /z/a ]
    [ "$(docker inspect -f '{{len .RootFS.Layers}}' none)" -eq 2 ]
    run classic <<<$'FROM busybox\nCOPY nope* /x/'
    [ "$status" -ne 0 ] && [[ $output == *"no source files were specified"* ]]
}

@test "FROM scratch alone" {
    build -t nothing <<<'FROM scratch'
    [ "$(docker inspect -f '{{json .RootFS}} {{len .Config.Env}}' nothing)" = '{"Type":"layers"} 1' ]
    run classic <<<'FROM scratch'
    [ "$status" -ne 0 ] && [[ $output == *"No image was generated"* ]]
}

@test "an archive that is compressed twice is a file; a checksum is for what is loaded; platforms must be known" {
    build -t twice <<<$'FROM busybox\nADD x.tar.xz.gz /q/'
    [ "$(inside twice 'find /q -type f')" = /q/x.tar.xz.gz ]
    sum=sha256:$(sha256sum <"$T/c/a" | cut -d' ' -f1)
    for client in build classic; do
        run $client <<<$'FROM busybox\n'"ADD --checksum=$sum a /a"
        show
        [ "$status" -ne 0 ] && [[ $output == *"checksum requires HTTP(S) or Git sources"* ]]
        run $client <<<$'FROM busybox\nADD --checksum=sha256:00 http://127.0.0.1:1/a /a'
        [ "$status" -ne 0 ] && [[ $output == *"invalid checksum digest length"* ]]
        run $client <<<$'FROM busybox\nADD --checksum=md5:00 http://127.0.0.1:1/a /a'
        [ "$status" -ne 0 ] && [[ $output == *"unsupported digest algorithm"* ]]
        run $client <<<'FROM --platform=bogus busybox'
        show
        [ "$status" -ne 0 ] && [[ $output == *'"bogus": unknown operating system or architecture'* ]]
        run $client <<<$'FROM --platform=$NOPE busybox'
        [ "$status" -ne 0 ] && [[ $output == *'empty platform value from expression $NOPE'* ]]
    done
}
