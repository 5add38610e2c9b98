# SPDX-License-Identifier: Apache-2.0
# build_kit.bash - what every client of BuildKit's protocol must manage. `build` is its command with
# --progress plain, given by the file that loads this one.

setup() {
    C=$(mktemp -d "$T/ctx.XXXXXX")
    cd "$C" || return 1
}

teardown() {
    cd / && rm -rf "$C"
}

files_of_the_result() {
    mkdir -p d && echo x >d/f && ln -s f d/l && chmod 600 d/f
    head -c 7000000 /dev/urandom >d/big
    printf 'FROM scratch\nCOPY d /d\n' >Dockerfile
    build -o "$T/out" .
    [ "$(cat "$T/out/d/l")" = x ] && [ "$(stat -c %a "$T/out/d/f")" = 600 ]
    cmp d/big "$T/out/d/big"
    build -o "type=tar,dest=$T/out.tar" .
    [ "$(tar tf "$T/out.tar" | sort | tr '\n' ' ')" = "d/ d/big d/f d/l " ]
    tar xOf "$T/out.tar" d/big | cmp d/big
}

ssh_agent_in_a_step() {
    ssh-keygen -q -t ed25519 -N '' -C build-key -f "$T/key"
    mkdir root
    for f in $(command -v ssh-add) $(ldd "$(command -v ssh-add)" | grep -o '/[^ ]*'); do
        cp -L --parents "$f" root
    done
    printf 'FROM busybox\nCOPY root /\nRUN --mount=type=ssh,required --network=none ssh-add -l | grep ED25519 && ssh-add -L | grep -c %s\n' "$(cut -d' ' -f2 "$T/key.pub")" >Dockerfile
    run build --ssh "default=$T/key" .
    echo "$output"
    [ "$status" -eq 0 ]
}
