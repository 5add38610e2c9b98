# SPDX-License-Identifier: Apache-2.0
# build_cases.sh - Dockerfiles and what must come of them, for build.bats. Sourced.
#
# case_ NAME 'Dockerfile' 'go template of docker inspect' 'its output' 'shell in the image' 'its output'
# An empty template or script is not looked at. The context is what build_context() makes.

build_context() { # DIR
    mkdir -p "$1"/{dir/sub,many,empty} && cd "$1" || return 1
    echo one >f1; echo two >f2; echo deep >dir/sub/deep; echo top >dir/top; chmod 640 f2; chmod 755 f1
    for i in 1 2 3; do echo "m$i" >many/m$i.txt; done; echo md >many/a.md
    ln -s f1 link; ln -s dir dirlink; ln -s /etc/passwd abslink; ln -s nowhere dangling
    mkdir arch && echo packed >arch/p && tar czf a.tar.gz arch && tar cf a.tar arch && rm -r arch
    echo notatar >fake.tar; echo 'with space' >'sp ace'; : >zero
    touch -d @1000000000 f1 f2 dir/top
}

build_cases() {
    local F='FROM busybox'
    # --- config ---------------------------------------------------------------------------------
    case_ cmd-shell "$F"$'\nCMD echo hi' '{{json .Config.Cmd}}' '["/bin/sh","-c","echo hi"]'
    case_ cmd-exec "$F"$'\nCMD ["a","b c"]' '{{json .Config.Cmd}}' '["a","b c"]'
    case_ cmd-empty "$F"$'\nCMD []' '{{json .Config.Cmd}}' null
    case_ entrypoint-resets-cmd "$F"$'\nENTRYPOINT ["/e"]' '{{json .Config.Entrypoint}} {{json .Config.Cmd}}' '["/e"] null'
    case_ entrypoint-keeps-own-cmd "$F"$'\nCMD ["x"]\nENTRYPOINT ["/e"]' '{{json .Config.Entrypoint}} {{json .Config.Cmd}}' '["/e"] ["x"]'
    case_ entrypoint-shell "$F"$'\nENTRYPOINT exec top' '{{json .Config.Entrypoint}}' '["/bin/sh","-c","exec top"]'
    case_ shell "$F"$'\nSHELL ["/bin/sh","-ec"]\nCMD x' '{{json .Config.Shell}} {{json .Config.Cmd}}' '["/bin/sh","-ec"] ["/bin/sh","-ec","x"]'
    case_ env "$F"$'\nENV A=1 B="b b"\nENV C=$A-${B}\nENV A=2' '{{json .Config.Env}}' '["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","A=2","B=b b","C=1-b b"]'
    case_ env-old-form "$F"$'\nENV A one two' '{{index .Config.Env 1}}' 'A=one two'
    case_ env-default "$F"$'\nENV X=${N:-d} Y=${PATH:+p} Z=\\$A' '{{slice .Config.Env 1}}' '[X=d Y=p Z=$A]'
    case_ label "$F"$'\nLABEL a=1 "b c"="d e"\nLABEL a=2' '{{json .Config.Labels}}' '{"a":"2","b c":"d e"}'
    case_ expose "$F"$'\nEXPOSE 80 81/udp 90-91' '{{json .Config.ExposedPorts}}' '{"80/tcp":{},"81/udp":{},"90/tcp":{},"91/tcp":{}}'
    case_ expose-variable "$F"$'\nARG P="7 8"\nEXPOSE $P' '{{json .Config.ExposedPorts}}' '{"7/tcp":{},"8/tcp":{}}'
    case_ volume "$F"$'\nVOLUME /v ["w"]' '{{json .Config.Volumes}}' '{"/v":{},"[w]":{}}'
    case_ volume-json "$F"$'\nVOLUME ["/v","/w"]' '{{json .Config.Volumes}}' '{"/v":{},"/w":{}}'
    case_ user "$F"$'\nUSER user:staff\nRUN id -un >/tmp/who' '{{.Config.User}}' 'user:staff' 'cat /tmp/who; stat -c %u:%g /tmp/who' $'user\n1000:50'
    case_ workdir "$F"$'\nWORKDIR /a\nWORKDIR b\nWORKDIR ../c\nRUN pwd >/p' '{{.Config.WorkingDir}}' '/a/c' 'cat /p; ls -d /a/b /a/c' $'/a/c\n/a/b\n/a/c'
    case_ workdir-env "$F"$'\nENV D=/x\nWORKDIR $D/y' '{{.Config.WorkingDir}}' '/x/y'
    case_ stopsignal "$F"$'\nSTOPSIGNAL SIGUSR1' '{{.Config.StopSignal}}' 'SIGUSR1'
    case_ healthcheck "$F"$'\nHEALTHCHECK --interval=5s --retries=3 CMD true' '{{json .Config.Healthcheck}}' '{"Test":["CMD-SHELL","true"],"Interval":5000000000,"Retries":3}'
    case_ healthcheck-none "$F"$'\nHEALTHCHECK NONE' '{{json .Config.Healthcheck}}' '{"Test":["NONE"]}'
    case_ maintainer "$F"$'\nMAINTAINER me <a@b>' '{{.Author}}' 'me <a@b>'
    case_ onbuild "$F"$'\nONBUILD RUN touch /ob' '{{json .Config.OnBuild}}' '["RUN touch /ob"]' 'ls /ob 2>/dev/null || echo none' none
    case_ arg-default "$F"$'\nARG A=1\nENV B=$A' '{{index .Config.Env 1}}' 'B=1'
    case_ arg-global $'ARG T=latest\nFROM busybox:$T\nARG T\nENV X=$T' '{{index .Config.Env 1}}' 'X=latest'
    case_ arg-not-inherited $'ARG T=latest\nFROM busybox\nENV X=[$T]' '{{index .Config.Env 1}}' 'X=[]'
    case_ arg-platform "$F"$'\nARG TARGETARCH\nARG TARGETOS\nENV X=$TARGETOS/$TARGETARCH' '{{index .Config.Env 1}}' "X=linux/$(docker info -f '{{.Architecture}}' | sed 's/x86_64/amd64/; s/aarch64/arm64/')"
    case_ arg-env-wins "$F"$'\nENV A=env\nARG A=arg\nRUN echo $A >/a' '' '' 'cat /a' env
    case_ scratch $'FROM scratch\nCOPY f1 /\nLABEL x=y' '{{json .RootFS.Layers | len | lt 60}} {{.Config.Labels.x}} {{json .Config.Env}}' 'true y ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]'
    case_ os-arch "$F"$'\nLABEL a=b' '{{.Os}}' linux
    # --- RUN ------------------------------------------------------------------------------------
    case_ run-exec "$F"$'\nRUN ["touch","/a b"]' '' '' 'ls "/a b"' '/a b'
    case_ run-continued "$F"$'\nRUN echo a >/x && \\\n# comment\n    echo b >>/x' '' '' 'cat /x' $'a\nb'
    case_ run-heredoc "$F"$'\nRUN <<E\necho a >/x\necho b >>/x\nE' '' '' 'cat /x' $'a\nb'
    case_ run-heredoc-input "$F"$'\nRUN cat <<E >/x\nhello $HOME\nE' '' '' 'cat /x' 'hello /root'
    case_ run-arg "$F"$'\nARG V=7\nRUN echo $V >/v' '' '' 'cat /v' 7
    case_ run-deletes "$F"$'\nRUN echo a >/a; echo b >/b\nRUN rm /a' '' '' 'ls /a /b 2>&1 | sort' $'/b\nls: /a: No such file or directory'
    case_ run-mode "$F"$'\nRUN mkdir -m 1770 /d && echo x >/d/f && chown 5:6 /d/f && chmod 4711 /d/f' '' '' 'stat -c "%a %u:%g" /d /d/f' $'1770 0:0\n4711 5:6'
    case_ run-nothing "$F"$'\nRUN true' '{{len .RootFS.Layers}}' 1
    case_ run-network-none "$F"$'\nRUN --network=none ls /sys/class/net >/n' '' '' 'cat /n' lo
    case_ run-bind "$F"$'\nRUN --mount=target=/c cat /c/f1 /c/dir/top >/o; [ -e /c/f2 ]' '' '' 'cat /o; ls -d /c 2>&1' $'one\ntop\nls: /c: No such file or directory'
    case_ run-bind-file "$F"$'\nRUN --mount=source=f1,target=/in/f cat /in/f >/o' '' '' 'cat /o; ls -d /in 2>&1' $'one\nls: /in: No such file or directory'
    case_ run-bind-stage $'FROM busybox AS s\nRUN mkdir /q && echo qq >/q/f\nFROM busybox\nRUN --mount=from=s,source=/q,target=/z cat /z/f >/o' '' '' 'cat /o' qq
    case_ run-bind-rw "$F"$'\nRUN --mount=target=/c,rw echo new >/c/f1 && cat /c/f1 >/o\nRUN --mount=target=/c cat /c/f1 >>/o' '' '' 'cat /o' $'new\none'
    case_ run-tmpfs "$F"$'\nRUN --mount=type=tmpfs,target=/tmpx echo a >/tmpx/a && ls /tmpx >/o' '' '' 'cat /o; ls -d /tmpx 2>&1' $'a\nls: /tmpx: No such file or directory'
    case_ run-secret-absent "$F"$'\nRUN --mount=type=secret,id=no ls /run/secrets 2>&1 | wc -l >/o' '' '' 'cat /o' 1
    # --- COPY -----------------------------------------------------------------------------------
    case_ copy-file "$F"$'\nCOPY f1 /x' '' '' 'stat -c "%a %u:%g %Y" /x; cat /x' $'755 0:0 1000000000\none'
    case_ copy-into "$F"$'\nCOPY f1 /new/dir/' '' '' 'stat -c "%a %n" /new /new/dir /new/dir/f1' $'755 /new\n755 /new/dir\n755 /new/dir/f1'
    case_ copy-existing-dir "$F"$'\nCOPY f1 /tmp' '' '' 'ls /tmp; stat -c %a /tmp' $'f1\n1777'
    case_ copy-many "$F"$'\nCOPY f1 f2 /d/' '' '' 'ls /d' $'f1\nf2'
    case_ copy-dir "$F"$'\nCOPY dir /d' '' '' 'find /d | sort' $'/d\n/d/sub\n/d/sub/deep\n/d/top'
    case_ copy-dir-merge "$F"$'\nRUN mkdir -p /d/sub && echo old >/d/sub/old && chmod 700 /d\nCOPY dir /d' '' '' 'ls /d/sub; stat -c %a /d' $'deep\nold\n700'
    case_ copy-wildcard "$F"$'\nCOPY many/m*.txt /d/' '' '' 'ls /d' $'m1.txt\nm2.txt\nm3.txt'
    case_ copy-class "$F"$'\nCOPY many/m[13].??t /d/' '' '' 'ls /d' $'m1.txt\nm3.txt'
    case_ copy-all "$F"$'\nCOPY . /d' '' '' 'cat "/d/sp ace"; for l in link abslink dangling; do readlink /d/$l; done; ls -a /d/empty' $'with space\nf1\n/etc/passwd\nnowhere\n.\n..'
    case_ copy-json "$F"$'\nCOPY ["sp ace","/sp"]' '' '' 'cat /sp' 'with space'
    case_ copy-link-followed "$F"$'\nCOPY link /l' '' '' 'cat /l; [ -L /l ] || echo file' $'one\nfile'
    case_ copy-dirlink "$F"$'\nCOPY dirlink /l' '' '' 'cat /l/top' top
    case_ copy-workdir "$F"$'\nWORKDIR /w\nCOPY f1 .\nCOPY f2 sub/x' '' '' 'cat /w/f1 /w/sub/x' $'one\ntwo'
    case_ copy-chown "$F"$'\nCOPY --chown=user:staff f1 dir /o/' '' '' 'stat -c %u:%g /o /o/f1 /o/sub/deep' $'1000:50\n1000:50\n1000:50'
    case_ copy-chown-number "$F"$'\nCOPY --chown=7 f1 /x' '' '' 'stat -c %u:%g /x' 7:7
    case_ copy-chmod "$F"$'\nCOPY --chmod=0604 f1 /x\nCOPY --chmod=u=rw,go=r f1 /y' '' '' 'stat -c %a /x /y' $'604\n644'
    case_ copy-through-link "$F"$'\nRUN mkdir /real && ln -s real /ln\nCOPY f1 /ln/' '' '' 'cat /real/f1; [ -L /ln ] && echo link' $'one\nlink'
    case_ copy-onto-link "$F"$'\nRUN echo t >/target && ln -s target /ln\nCOPY f1 /ln' '' '' 'cat /target; [ -L /ln ] && echo link' $'one\nlink'
    case_ copy-overwrites "$F"$'\nRUN echo old >/x\nCOPY f1 /x' '' '' 'cat /x' one
    case_ copy-heredoc "$F"$'\nENV V=7\nCOPY <<a <<"b" /h/\nv=$V\na\nv=$V\nb' '' '' 'cat /h/a /h/b; stat -c %a /h/a' $'v=7\nv=$V\n644'
    case_ copy-from-stage $'FROM busybox AS s\nRUN mkdir /q && echo a >/q/a && chown 3:4 /q/a\nFROM busybox\nCOPY --from=s /q /z' '' '' 'cat /z/a; stat -c %u:%g /z/a' $'a\n3:4'
    case_ copy-from-index $'FROM busybox\nRUN echo 0 >/n\nFROM busybox\nCOPY --from=0 /n /m' '' '' 'cat /m' 0
    case_ copy-from-image "$F"$'\nCOPY --from=busybox /etc/passwd /pw' '' '' 'head -c 4 /pw' root
    case_ copy-parents "$F"$'\nCOPY --parents dir/sub/deep many/./a.md /d/' '' '' 'find /d -type f | sort' $'/d/a.md\n/d/dir/sub/deep'
    case_ copy-exclude "$F"$'\nCOPY --exclude=*.md --exclude=m1* many /d' '' '' 'ls /d' $'m2.txt\nm3.txt'
    case_ copy-link-flag "$F"$'\nCOPY --link f1 /k/f' '' '' 'cat /k/f' one
    case_ copy-root-of-stage $'FROM scratch AS s\nCOPY dir /\nFROM scratch\nCOPY --from=s / /all/\nCOPY --from=busybox /bin /bin' '' '' 'find /all | sort' $'/all\n/all/sub\n/all/sub/deep\n/all/top'
    # --- ADD ------------------------------------------------------------------------------------
    case_ add-file "$F"$'\nADD f1 /x' '' '' 'cat /x' one
    case_ add-unpacks "$F"$'\nADD a.tar.gz /u/\nADD a.tar /v' '' '' 'cat /u/arch/p /v/arch/p' $'packed\npacked'
    case_ add-not-an-archive "$F"$'\nADD fake.tar /u/' '' '' 'cat /u/fake.tar' notatar
    case_ copy-does-not-unpack "$F"$'\nCOPY a.tar /u/' '' '' 'ls /u' a.tar
    case_ add-chown "$F"$'\nADD --chown=9:8 a.tar /u/' '' '' 'stat -c %u:%g /u/arch/p' 9:8
    # --- stages and syntax ----------------------------------------------------------------------
    case_ stage-as-base $'FROM busybox AS a\nENV X=1\nRUN echo 1 >/a\nFROM a\nRUN echo 2 >/b' '{{index .Config.Env 1}}' 'X=1' 'cat /a /b' $'1\n2'
    case_ stage-unneeded-is-not-built $'FROM busybox\nRUN false\nFROM busybox\nLABEL ok=1' '{{.Config.Labels.ok}}' 1
    case_ stage-case $'FROM busybox AS Name\nRUN echo n >/n\nFROM busybox\nCOPY --from=name /n /n' '' '' 'cat /n' n
    case_ escape $'# escape=`\nFROM busybox\nRUN echo a `\n && echo b >/x' '' '' 'cat /x' b
    case_ lower-case $'from busybox\nrun echo l >/l' '' '' 'cat /l' l
    case_ syntax-line $'# syntax=docker/dockerfile:1\nFROM busybox\nLABEL s=1' '{{.Config.Labels.s}}' 1
    case_ history "$F"$'\nENV A=b\nWORKDIR /\nCOPY f1 /x\nCMD ["q"]\nRUN : 1' '{{len .RootFS.Layers}}' 2
}
