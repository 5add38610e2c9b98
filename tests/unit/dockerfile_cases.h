/* SPDX-License-Identifier: Apache-2.0 */
/* dockerfile_cases.h - Dockerfiles, and what the parser makes of them (or "!line:column text"). */
#ifndef DRAY_TESTS_DOCKERFILE_CASES_H
#define DRAY_TESTS_DOCKERFILE_CASES_H

/* Texts that begin with "|" follow a line "FROM scratch", which the result leaves out. */
static const struct {
    const char *name, *text, *want;
} dockerfile_cases[] = {
    {"from scratch", "FROM scratch", "FROM 'scratch'\n"},
    {"from lower case", "from busybox", "FROM 'busybox'\n"},
    {"from with tag and digest", "FROM a.example:5000/b/c:1@sha256:00000000",
     "FROM 'a.example:5000/b/c:1@sha256:00000000'\n"},
    {"from as", "FROM busybox AS Build", "FROM 'busybox' as='build'\n"},
    {"from as in lower case",
     "FROM busybox as build.2-x_y\n"
     "FROM build.2-x_y",
     "FROM 'busybox' as='build.2-x_y'\n"
     "FROM 'build.2-x_y'\n"},
    {"from platform", "FROM --platform=linux/arm64 busybox AS a",
     "FROM 'busybox' as='a' platform='linux/arm64'\n"},
    {"from platform variable", "FROM --platform=$BUILDPLATFORM busybox",
     "FROM 'busybox' platform='$BUILDPLATFORM'\n"},
    {"from with an argument",
     "ARG V=1.2\n"
     "FROM busybox:${V:-latest}",
     "ARG V='1.2'\n"
     "FROM 'busybox:${V:-latest}'\n"},
    {"several global arguments",
     "ARG A=1 B C=\"x y\"\n"
     "ARG D\n"
     "FROM scratch",
     "ARG A='1' B C='\"x y\"'\n"
     "ARG D\n"
     "FROM 'scratch'\n"},
    {"arguments of a stage are its own",
     "ARG A=1\n"
     "FROM scratch\n"
     "ARG A\n"
     "FROM scratch\n"
     "ARG B=2",
     "ARG A='1'\n"
     "FROM 'scratch'\n"
     "ARG A\n"
     "FROM 'scratch'\n"
     "ARG B='2'\n"},
    {"from without image", "FROM",
     "!1:1 dockerfile parse error on line 1: FROM requires either one or three arguments"},
    {"from two words", "FROM a b",
     "!1:1 dockerfile parse error on line 1: FROM requires either one or three arguments"},
    {"from four words", "FROM a as b c",
     "!1:1 dockerfile parse error on line 1: FROM requires either one or three arguments"},
    {"from wrong keyword", "FROM a like b",
     "!1:1 dockerfile parse error on line 1: FROM requires either one or three arguments"},
    {"stage name with a digit first", "FROM a AS 1b",
     "!1:11 dockerfile parse error on line 1: invalid name for build stage: \"1b\", name can't "
     "start with a number or contain symbols"},
    {"stage name with a symbol", "FROM a AS b+c",
     "!1:11 dockerfile parse error on line 1: invalid name for build stage: \"b+c\", name can't "
     "start with a number or contain symbols"},
    {"from unknown flag", "FROM --platfrom=x a",
     "!1:6 dockerfile parse error on line 1: unknown flag: --platfrom (did you mean platform?)"},
    {"from flag twice", "FROM --platform=x --platform=y a",
     "!1:19 dockerfile parse error on line 1: duplicate flag specified: --platform"},
    {"from flag without value", "FROM --platform a",
     "!1:6 dockerfile parse error on line 1: missing a value on flag: --platform"},
    {"empty file", "", "!0:0 the Dockerfile (Dockerfile) cannot be empty"},
    {"only blanks",
     "  \n"
     "\t\n",
     "!0:0 file with no instructions"},
    {"only comments",
     "# hello\n"
     "#\n",
     "!0:0 file with no instructions"},
    {"only arguments", "ARG A", "!0:0 dockerfile contains no stages to build"},
    {"instruction before from",
     "RUN true\n"
     "FROM scratch",
     "!1:1 dockerfile parse error on line 1: no build stage in current context"},
    {"env before from", "ENV a=b",
     "!1:1 dockerfile parse error on line 1: no build stage in current context"},
    {"unknown instruction", "|RUNN true",
     "!2:1 dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)"},
    {"unknown instruction, lower case", "|frmo x",
     "!2:1 dockerfile parse error on line 2: unknown instruction: frmo (did you mean from?)"},
    {"unknown instruction, nothing near", "|SOMETHING x",
     "!2:1 dockerfile parse error on line 2: unknown instruction: SOMETHING"},
    {"unknown instruction, mixed case", "|Coppy a b",
     "!2:1 dockerfile parse error on line 2: unknown instruction: Coppy (did you mean copy?)"},
    {"a shell line by mistake",
     "|RUN a \\\n"
     "  && b\n"
     "&& c",
     "!4:1 dockerfile parse error on line 4: unknown instruction: &&"},
    {"indented instruction", "|   \t WORKDIR /a", "WORKDIR '/a'\n"},
    {"crlf",
     "FROM scratch\r\n"
     "ENV a=b \\\r\n"
     "  c=d\r\n"
     "USER u\r\n",
     "FROM 'scratch'\n"
     "ENV a='b' c='d'\n"
     "USER 'u'\n"},
    {"byte order mark",
     "\357\273\277FROM scratch\n"
     "USER u",
     "FROM 'scratch'\n"
     "USER 'u'\n"},
    {"byte order mark before a directive",
     "\357\273\277# escape=`\n"
     "FROM scratch\n"
     "RUN a `\n"
     "b",
     "FROM 'scratch'\n"
     "RUN shell 'a b'\n"},
    {"no newline at the end", "|USER u", "USER 'u'\n"},
    {"blanks behind",
     "FROM scratch   \n"
     "USER   u  \t ",
     "FROM 'scratch'\n"
     "USER 'u'\n"},
    {"tabs between words",
     "FROM\tscratch\tAS\tx\n"
     "USER\tu",
     "FROM 'scratch' as='x'\n"
     "USER 'u'\n"},
    {"comment lines",
     "# one\n"
     "FROM scratch\n"
     "  # two\n"
     "USER u # not a comment\n"
     "#three",
     "FROM 'scratch'\n"
     "USER 'u # not a comment'\n"},
    {"hash within a line",
     "|RUN echo # x\n"
     "ENV a=#b",
     "RUN shell 'echo # x'\n"
     "ENV a='#b'\n"},
    {"continuation",
     "|RUN a \\\n"
     " b \\\n"
     "  c",
     "RUN shell 'a  b   c'\n"},
    {"continuation with blanks behind it",
     "|RUN a \\  \t\n"
     " b",
     "RUN shell 'a  b'\n"},
    {"continuation keeps leading blanks",
     "|RUN a\\\n"
     "    b",
     "RUN shell 'a    b'\n"},
    {"comment amid a continuation",
     "|RUN a \\\n"
     "# no\n"
     "  # neither\n"
     " b",
     "RUN shell 'a  b'\n"},
    {"comment at the end of a continuation",
     "|RUN a \\\n"
     "# no\n"
     "USER u",
     "RUN shell 'a USER u'\n"},
    {"empty line amid a continuation",
     "|RUN a \\\n"
     "\n"
     " b",
     "RUN shell 'a  b'\n"},
    {"blank lines amid a continuation",
     "|RUN a \\\n"
     "\n"
     "   \n"
     "\n"
     " b\n"
     "USER u",
     "RUN shell 'a  b'\n"
     "USER 'u'\n"},
    {"double backslash is none",
     "|RUN a \\\\\n"
     "USER u",
     "RUN shell 'a \\\\'\n"
     "USER 'u'\n"},
    {"continuation at the end of the file", "|RUN a \\", "RUN shell 'a'\n"},
    {"continuation within a word",
     "|RUN ab\\\n"
     "cd",
     "RUN shell 'abcd'\n"},
    {"continuation before the arguments",
     "|RUN \\\n"
     " a",
     "RUN shell 'a'\n"},
    {"continuation of a name",
     "|RU\\\n"
     "N a",
     "RUN shell 'a'\n"},
    {"a lone continuation begins",
     "|\\\n"
     "RUN a",
     "RUN shell 'a'\n"},
    {"continued flags",
     "|RUN --network=none \\\n"
     "  --mount=type=cache,target=/a \\\n"
     "  true",
     "RUN shell 'true' {cache source='/' target='/a' id='/a' rw} network='none'\n"},
    {"continued json",
     "|CMD [\"a\", \\\n"
     " \"b\"]",
     "CMD exec 'a' 'b'\n"},
    {"escape directive",
     "# escape=`\n"
     "FROM scratch\n"
     "RUN a `\n"
     " b\\c",
     "FROM 'scratch'\n"
     "RUN shell 'a  b\\c'\n"},
    {"escape directive with blanks",
     "#   escape  =  `  \n"
     "FROM scratch\n"
     "RUN a `\n"
     " b",
     "FROM 'scratch'\n"
     "RUN shell 'a  b'\n"},
    {"escape directive, upper case",
     "# ESCAPE=`\n"
     "FROM scratch\n"
     "RUN a `\n"
     " b",
     "FROM 'scratch'\n"
     "RUN shell 'a  b'\n"},
    {"escape backslash",
     "# escape=\\\n"
     "FROM scratch\n"
     "RUN a \\\n"
     " b",
     "FROM 'scratch'\n"
     "RUN shell 'a  b'\n"},
    {"escape wrong",
     "# escape=x\n"
     "FROM scratch",
     "!1:10 dockerfile parse error on line 1: invalid escape token 'x' does not match ` or \\"},
    {"escape twice",
     "# escape=`\n"
     "# escape=`\n"
     "FROM scratch",
     "!2:3 dockerfile parse error on line 2: only one escape parser directive can be used"},
    {"escape after a comment",
     "# hello\n"
     "# escape=`\n"
     "FROM scratch\n"
     "RUN a `\n"
     "USER u",
     "FROM 'scratch'\n"
     "RUN shell 'a `'\n"
     "USER 'u'\n"},
    {"escape after an empty line",
     "\n"
     "# escape=`\n"
     "FROM scratch\n"
     "RUN a `\n"
     "USER u",
     "FROM 'scratch'\n"
     "RUN shell 'a `'\n"
     "USER 'u'\n"},
    {"escape after an unknown directive",
     "# unknown=x\n"
     "# escape=`\n"
     "FROM scratch\n"
     "RUN a `\n"
     "USER u",
     "FROM 'scratch'\n"
     "RUN shell 'a `'\n"
     "USER 'u'\n"},
    {"syntax and escape",
     "# syntax=docker/dockerfile:1\n"
     "# escape=`\n"
     "FROM scratch\n"
     "RUN a `\n"
     "b",
     "FROM 'scratch'\n"
     "RUN shell 'a b'\n"},
    {"syntax twice",
     "# syntax=a\n"
     "# syntax=b\n"
     "FROM scratch",
     "!2:3 dockerfile parse error on line 2: only one syntax parser directive can be used"},
    {"check directive",
     "# check=skip=JSONArgsRecommended;error=true\n"
     "FROM scratch",
     "FROM 'scratch'\n"},
    {"check wrong option",
     "# check=skipp=a\n"
     "FROM scratch",
     "!1:9 dockerfile parse error on line 1: invalid check option \"skipp\""},
    {"check wrong boolean",
     "# check=error=maybe\n"
     "FROM scratch",
     "!1:9 dockerfile parse error on line 1: failed to parse check option \"error=maybe\": "
     "strconv.ParseBool: parsing \"maybe\": invalid syntax"},
    {"directive after an instruction",
     "|# escape=`\n"
     "RUN a `\n"
     "USER u",
     "RUN shell 'a `'\n"
     "USER 'u'\n"},
    {"words escaped by a backtick",
     "# escape=`\n"
     "FROM scratch\n"
     "ENV a=b` c d=e",
     "FROM 'scratch'\n"
     "ENV a='b` c' d='e'\n"},
    {"run shell", "|RUN echo  a   b", "RUN shell 'echo  a   b'\n"},
    {"run exec", "|RUN [\"echo\", \"a b\", \"\\\"\", \"\\u00e9\"]",
     "RUN exec 'echo' 'a b' '\"' '\303\251'\n"},
    {"run exec without blanks", "|RUN[\"echo\"]",
     "!2:1 dockerfile parse error on line 2: unknown instruction: RUN[\"echo\"]"},
    {"run almost json", "|RUN ['a']", "RUN shell '['a']'\n"},
    {"run json with a tail", "|RUN [\"a\"] b", "RUN shell '[\"a\"] b'\n"},
    {"run json of numbers", "|RUN [1]",
     "!2:5 dockerfile parse error on line 2: when using JSON array syntax, arrays must be "
     "comprised of strings only"},
    {"run json nested", "|RUN [\"a\", [\"b\"]]",
     "!2:5 dockerfile parse error on line 2: when using JSON array syntax, arrays must be "
     "comprised of strings only"},
    {"run json object", "|RUN {\"a\": 1}", "RUN shell '{\"a\": 1}'\n"},
    {"run a shell test", "|RUN [ -f x ]", "RUN shell '[ -f x ]'\n"},
    {"run json trailing comma", "|RUN [\"a\",]", "RUN shell '[\"a\",]'\n"},
    {"run json null byte", "|RUN [\"a\\u0000b\"]",
     "!2:8 dockerfile parse error on line 2: a JSON string may not hold the character NUL"},
    {"run json empty", "|RUN []",
     "!2:1 dockerfile parse error on line 2: RUN requires at least one argument"},
    {"run nothing", "|RUN",
     "!2:1 dockerfile parse error on line 2: RUN requires at least one argument"},
    {"run keeps quotes and variables", "|RUN echo \"$HOME\" 'b' \\$x",
     "RUN shell 'echo \"$HOME\" 'b' \\$x'\n"},
    {"run network", "|RUN --network=host a", "RUN shell 'a' network='host'\n"},
    {"run network wrong", "|RUN --network=bridge a",
     "!2:15 dockerfile parse error on line 2: invalid network mode \"bridge\""},
    {"run security", "|RUN --security=insecure a", "RUN shell 'a' security='insecure'\n"},
    {"run security wrong", "|RUN --security=none a",
     "!2:16 dockerfile parse error on line 2: security \"none\" is not valid"},
    {"run unknown flag", "|RUN --mounts=x a",
     "!2:5 dockerfile parse error on line 2: unknown flag: --mounts (did you mean mount?)"},
    {"run flag end", "|RUN -- --network=x", "RUN shell '--network=x'\n"},
    {"run flag in quotes", "|RUN --network=\"none\" a", "RUN shell 'a' network='none'\n"},
    {"run flag later is none", "|RUN a --network=none", "RUN shell 'a --network=none'\n"},
    {"mount bind", "|RUN --mount=target=/a x", "RUN shell 'x' {bind source='/' target='/a' ro}\n"},
    {"mount bind whole", "|RUN --mount=type=bind,from=base,source=/s,target=/t,rw x",
     "RUN shell 'x' {bind from='base' source='/s' target='/t' rw}\n"},
    {"mount bind other words", "|RUN --mount=type=bind,src=s,dst=/t,readonly=false x",
     "RUN shell 'x' {bind source='s' target='/t' rw}\n"},
    {"mount cache", "|RUN --mount=type=cache,target=/c x",
     "RUN shell 'x' {cache source='/' target='/c' id='/c' rw}\n"},
    {"mount cache whole",
     "|RUN "
     "--mount=type=cache,id=i,destination=/c,sharing=locked,mode=0700,uid=5,gid=6,from=b,source=/"
     "s,ro x",
     "RUN shell 'x' {cache from='b' source='/s' target='/c' id='i' ro locked mode=700 5:6}\n"},
    {"mount cache sharing in capitals", "|RUN --mount=type=CACHE,target=/c,sharing=Private x",
     "RUN shell 'x' {cache source='/' target='/c' id='/c' rw private}\n"},
    {"mount tmpfs", "|RUN --mount=type=tmpfs,target=/t,size=1.5k x",
     "RUN shell 'x' {tmpfs target='/t' rw size=1536}\n"},
    {"mount tmpfs size in words", "|RUN --mount=type=tmpfs,target=/t,size=2GiB x",
     "RUN shell 'x' {tmpfs target='/t' rw size=2147483648}\n"},
    {"mount secret", "|RUN --mount=type=secret,id=s x",
     "RUN shell 'x' {secret target='/run/secrets/s' id='s' ro}\n"},
    {"mount secret target", "|RUN --mount=type=secret,target=/root/.aws/key,required x",
     "RUN shell 'x' {secret target='/root/.aws/key' id='key' ro required}\n"},
    {"mount secret env", "|RUN --mount=type=secret,id=s,env=TOKEN x",
     "RUN shell 'x' {secret id='s' env='TOKEN' ro}\n"},
    {"mount secret env and target",
     "|RUN --mount=type=secret,id=s,env=TOKEN,target=/t,required=true,mode=0440,uid=1 x",
     "RUN shell 'x' {secret target='/t' id='s' env='TOKEN' ro required mode=440 1:0}\n"},
    {"mount secret by source", "|RUN --mount=type=secret,source=s x",
     "RUN shell 'x' {secret source='s' target='/run/secrets/s' id='s' ro}\n"},
    {"mount ssh", "|RUN --mount=type=ssh x", "RUN shell 'x' {ssh id='default' ro}\n"},
    {"mount ssh whole", "|RUN --mount=type=ssh,id=k,target=/s,required,mode=0666,uid=1,gid=2 x",
     "RUN shell 'x' {ssh target='/s' id='k' ro required mode=666 1:2}\n"},
    {"several mounts", "|RUN --mount=type=ssh --mount=type=cache,target=/a --network=none x",
     "RUN shell 'x' {ssh id='default' ro} {cache source='/' target='/a' id='/a' rw} "
     "network='none'\n"},
    {"mount with a variable", "|RUN --mount=type=cache,target=$D,id=$I x",
     "RUN shell 'x' {cache source='/' target='$D' id='$I' rw}\n"},
    {"mount with a variable in a number", "|RUN --mount=type=cache,target=/a,uid=$U x",
     "RUN shell 'x' {cache source='/' target='/a' id='/a' rw}\n"},
    {"mount with csv quotes", "|RUN --mount='type=bind,\"source=a,b\",target=/t' x",
     "RUN shell 'x' {bind source='a,b' target='/t' ro}\n"},
    {"mount from with a variable", "|RUN --mount=type=bind,from=$X,target=/a x",
     "!2:28 dockerfile parse error on line 2: 'from' doesn't support variable expansion, define "
     "alias stage instead"},
    {"mount type wrong", "|RUN --mount=type=bnd,target=/a x",
     "!2:18 dockerfile parse error on line 2: unsupported mount type \"bnd\" (did you mean bind?)"},
    {"mount key wrong", "|RUN --mount=type=bind,taget=/a x",
     "!2:23 dockerfile parse error on line 2: unexpected key 'taget' in 'taget=/a' (did you mean "
     "target?)"},
    {"mount key without value", "|RUN --mount=type=bind,target x",
     "!2:23 dockerfile parse error on line 2: invalid field 'target' must be a key=value pair"},
    {"mount sharing wrong", "|RUN --mount=type=cache,target=/a,sharing=lock x",
     "!2:42 dockerfile parse error on line 2: unsupported sharing value \"lock\" (did you mean "
     "locked?)"},
    {"mount sharing elsewhere", "|RUN --mount=type=tmpfs,target=/a,sharing=locked x",
     "!2:13 dockerfile parse error on line 2: invalid cache sharing set for tmpfs mount"},
    {"mount size elsewhere", "|RUN --mount=type=bind,target=/a,size=1 x",
     "!2:33 dockerfile parse error on line 2: unexpected key 'size' for mount type 'bind'"},
    {"mount size wrong", "|RUN --mount=type=tmpfs,target=/a,size=big x",
     "!2:39 dockerfile parse error on line 2: invalid value for size: big"},
    {"mount mode wrong", "|RUN --mount=type=cache,target=/a,mode=9 x",
     "!2:39 dockerfile parse error on line 2: invalid value 9 for mode"},
    {"mount mode elsewhere", "|RUN --mount=type=bind,target=/a,mode=7 x",
     "!2:13 dockerfile parse error on line 2: mode not allowed for \"bind\" type mounts"},
    {"mount required elsewhere", "|RUN --mount=type=bind,target=/a,required x",
     "!2:33 dockerfile parse error on line 2: unexpected key 'required' for mount type 'bind'"},
    {"mount boolean wrong", "|RUN --mount=type=bind,target=/a,ro=maybe x",
     "!2:36 dockerfile parse error on line 2: invalid value for ro: maybe"},
    {"mount without target", "|RUN --mount=type=cache,id=a x",
     "!2:13 dockerfile parse error on line 2: target required for \"cache\" type mounts"},
    {"mount secret of nothing", "|RUN --mount=type=secret x",
     "!2:13 dockerfile parse error on line 2: invalid secret mount. one of source, target "
     "required"},
    {"mount secret id and source", "|RUN --mount=type=secret,id=a,source=b x",
     "!2:13 dockerfile parse error on line 2: both source and id can't be set"},
    {"mount secret from", "|RUN --mount=type=secret,id=a,from=b x",
     "!2:13 dockerfile parse error on line 2: secret mount should not have a from"},
    {"mount env elsewhere", "|RUN --mount=type=ssh,env=A x",
     "!2:22 dockerfile parse error on line 2: unexpected key 'env' for mount type 'ssh'"},
    {"mount csv broken", "|RUN --mount='\"type=bind' x",
     "!2:14 dockerfile parse error on line 2: failed to parse csv mounts: extraneous or missing \" "
     "in quoted-field"},
    {"heredoc run",
     "|RUN <<EOF\n"
     "a\n"
     "  b\n"
     "EOF\n"
     "USER u",
     "RUN shell '<<EOF' <<EOF:'a~  b~'\n"
     "USER 'u'\n"},
    {"heredoc with a command",
     "|RUN python3 <<EOF > /out\n"
     "print(1)\n"
     "EOF",
     "RUN shell 'python3 <<EOF > /out' <<EOF:'print(1)~'\n"},
    {"heredoc chomped",
     "|RUN <<-EOF\n"
     "\ta\n"
     "\t\tb\n"
     "\tEOF\n",
     "RUN shell '<<-EOF' <<EOF:'a~b~'\n"},
    {"heredoc quoted",
     "|RUN <<'EOF'\n"
     "$x\n"
     "EOF",
     "RUN shell '<<'EOF'' <<EOF raw:'$x~'\n"},
    {"heredoc quoted in part",
     "|RUN <<E\"O\"F\n"
     "$x\n"
     "EOF",
     "RUN shell '<<E\"O\"F' <<EOF raw:'$x~'\n"},
    {"heredoc of two words",
     "|RUN <<'one two'\n"
     "x\n"
     "one two",
     "RUN shell '<<'one two'' <<one two raw:'x~'\n"},
    {"heredoc with a descriptor",
     "|RUN cat 3<<A 4<<B\n"
     "a\n"
     "A\n"
     "b\n"
     "B",
     "RUN shell 'cat 3<<A 4<<B' <<A fd3:'a~' <<B fd4:'b~'\n"},
    {"heredoc apart",
     "|RUN <<  EOF > x\n"
     "a\n"
     "EOF",
     "RUN shell '<<  EOF > x' <<EOF:'a~'\n"},
    {"heredoc empty",
     "|RUN <<EOF\n"
     "EOF",
     "RUN shell '<<EOF' <<EOF:''\n"},
    {"heredoc keeps comments and continuations",
     "|RUN <<EOF\n"
     "# a\n"
     "b \\\n"
     "\n"
     "c\n"
     "EOF",
     "RUN shell '<<EOF' <<EOF:'# a~b \\~~c~'\n"},
    {"heredoc in quotes is none", "|RUN echo \"<<EOF\"", "RUN shell 'echo \"<<EOF\"'\n"},
    {"herestring is none", "|RUN cat <<<EOF", "RUN shell 'cat <<<EOF'\n"},
    {"a shift is none", "|RUN echo $((1 << 2)) $((1<<2))",
     "RUN shell 'echo $((1 << 2)) $((1<<2))'\n"},
    {"heredoc unterminated",
     "|RUN <<EOF\n"
     "a",
     "!2:7 dockerfile parse error on line 2: unterminated heredoc"},
    {"heredoc quote unterminated",
     "|RUN <<'EOF\n"
     "x\n"
     "EOF",
     "!3:1 dockerfile parse error on line 3: unknown instruction: x"},
    {"heredoc in json is none", "|RUN [\"cat\", \"<<EOF\"]", "RUN exec 'cat' '<<EOF'\n"},
    {"heredoc in cmd is none", "|CMD cat <<EOF", "CMD shell 'cat <<EOF'\n"},
    {"heredoc crlf",
     "|RUN <<EOF\r\n"
     "a\r\n"
     "EOF\r\n"
     "USER u",
     "RUN shell '<<EOF' <<EOF:'a%~'\n"
     "USER 'u'\n"},
    {"heredoc copy",
     "|COPY <<a.txt <<'b' /dst/\n"
     "A $x\n"
     "a.txt\n"
     "B $x\n"
     "b",
     "COPY <<a.txt:'A $x~' <<b raw:'B $x~' -> '/dst/'\n"},
    {"heredoc copy beside a path",
     "|COPY f <<EOF /dst/\n"
     "x\n"
     "EOF",
     "COPY 'f' <<EOF:'x~' -> '/dst/'\n"},
    {"heredoc copy apart",
     "|COPY << EOF /dst\n"
     "x\n"
     "EOF",
     "COPY <<EOF:'x~' -> '/dst'\n"},
    {"heredoc add",
     "|ADD --chmod=600 <<EOF /f\n"
     "x\n"
     "EOF",
     "ADD <<EOF:'x~' -> '/f' chmod='600'\n"},
    {"heredoc as destination",
     "|COPY a <<EOF\n"
     "x\n"
     "EOF",
     "!2:8 dockerfile parse error on line 2: COPY cannot accept a heredoc as a destination"},
    {"heredoc user is none", "|USER <<EOF", "USER '<<EOF'\n"},
    {"heredoc onbuild",
     "|ONBUILD RUN <<EOF\n"
     "a\n"
     "EOF\n"
     "USER u",
     "ONBUILD 'RUN <<EOF~a~EOF'\n"
     "USER 'u'\n"},
    {"heredoc onbuild copy twice",
     "|ONBUILD COPY <<A <<-B /d/\n"
     "1\n"
     "A\n"
     "\t2\n"
     "B",
     "ONBUILD 'COPY <<A <<-B /d/~1~A~2~B'\n"},
    {"copy", "|COPY a b /c/", "COPY 'a' 'b' -> '/c/'\n"},
    {"copy json", "|COPY [\"a b\", \"c d\", \"/e f/\"]", "COPY 'a b' 'c d' -> '/e f/'\n"},
    {"copy flags",
     "|COPY --from=0 --chown=1:2 --chmod=0644 --link --parents --exclude=*.o --exclude=b a /c",
     "COPY 'a' -> '/c' from='0' chown='1:2' chmod='0644' exclude='*.o' exclude='b' link parents\n"},
    {"copy flags with values", "|COPY --link=false --parents=TRUE a b",
     "COPY 'a' -> 'b' parents\n"},
    {"copy one word", "|COPY a",
     "!2:1 dockerfile parse error on line 2: COPY requires at least two arguments, but only one "
     "was provided. Destination could not be determined"},
    {"copy nothing", "|COPY",
     "!2:1 dockerfile parse error on line 2: COPY requires at least two arguments, but only one "
     "was provided. Destination could not be determined"},
    {"copy unknown flag", "|COPY --form=x a b",
     "!2:6 dockerfile parse error on line 2: unknown flag: --form (did you mean from?)"},
    {"copy checksum is add's", "|COPY --checksum=x a b",
     "!2:6 dockerfile parse error on line 2: unknown flag: --checksum"},
    {"copy boolean wrong", "|COPY --link=yes a b",
     "!2:6 dockerfile parse error on line 2: expecting boolean value for flag --link, not: yes"},
    {"copy boolean empty", "|COPY --link= a b",
     "!2:6 dockerfile parse error on line 2: missing a value on flag: --link"},
    {"copy flag twice", "|COPY --link --link a b",
     "!2:6 dockerfile parse error on line 2: duplicate flag specified: --link"},
    {"copy from empty", "|COPY --from= a b", "COPY 'a' -> 'b'\n"},
    {"copy json of one", "|COPY [\"a\"]",
     "!2:1 dockerfile parse error on line 2: COPY requires at least two arguments, but only one "
     "was provided. Destination could not be determined"},
    {"copy with variables", "|COPY $A ${B}/c /d", "COPY '$A' '${B}/c' -> '/d'\n"},
    {"add", "|ADD http://x/y.tar.gz /z/", "ADD 'http://x/y.tar.gz' -> '/z/'\n"},
    {"add flags",
     "|ADD --keep-git-dir --checksum=sha256:0 --unpack --link --chown=a --exclude=x git@x:y /z",
     "ADD 'git@x:y' -> '/z' chown='a' checksum='sha256:0' exclude='x' link keep-git-dir unpack\n"},
    {"add unpack false", "|ADD --unpack=false a.tar /", "ADD 'a.tar' -> '/' no-unpack\n"},
    {"add from is copy's", "|ADD --from=x a b",
     "!2:5 dockerfile parse error on line 2: unknown flag: --from"},
    {"env", "|ENV a=b", "ENV a='b'\n"},
    {"env several", "|ENV a=b c=\"d e\" f='g h' i=j\\ k",
     "ENV a='b' c='\"d e\"' f=''g h'' i='j\\ k'\n"},
    {"env old form", "|ENV a b c = d", "ENV a='b c = d' legacy\n"},
    {"env old form with quotes", "|ENV a \"b\"  c", "ENV a='\"b\"  c' legacy\n"},
    {"env old form, blanks amid", "|ENV  a   b  ", "ENV a='b' legacy\n"},
    {"env empty value", "|ENV a= b=\"\"", "ENV a='' b='\"\"'\n"},
    {"env equals in a value", "|ENV a=b=c", "ENV a='b=c'\n"},
    {"env one word", "|ENV a",
     "!2:5 dockerfile parse error on line 2: ENV must have two arguments"},
    {"env nothing", "|ENV",
     "!2:1 dockerfile parse error on line 2: ENV requires at least one argument"},
    {"env later word without equals", "|ENV a=b c",
     "!2:9 dockerfile parse error on line 2: Syntax error - can't find = in \"c\". Must be of the "
     "form: name=value"},
    {"env blank name", "|ENV =b",
     "!2:1 dockerfile parse error on line 2: ENV names can not be blank"},
    {"env quote in a word", "|ENV a=b'c d'e", "ENV a='b'c d'e'\n"},
    {"env quotes unclosed", "|ENV a=\"b c", "ENV a='\"b c'\n"},
    {"env escape at the end", "|ENV a=b\\\\", "ENV a='b\\\\'\n"},
    {"env quoted name", "|ENV \"a b\"=c", "ENV \"a b\"='c'\n"},
    {"env flag", "|ENV --x a=b", "!2:5 dockerfile parse error on line 2: unknown flag: --x"},
    {"label", "|LABEL a.b.c=\"d\" \"e f\"=g", "LABEL a.b.c='\"d\"' \"e f\"='g'\n"},
    {"label old form", "|LABEL a b c", "LABEL a='b c' legacy\n"},
    {"label one word", "|LABEL a",
     "!2:7 dockerfile parse error on line 2: LABEL must have two arguments"},
    {"arg",
     "|ARG a\n"
     "ARG b=c\n"
     "ARG d=\"e f\" g",
     "ARG a\n"
     "ARG b='c'\n"
     "ARG d='\"e f\"' g\n"},
    {"arg nothing", "|ARG",
     "!2:1 dockerfile parse error on line 2: ARG requires at least one argument"},
    {"arg blank name", "|ARG =x",
     "!2:1 dockerfile parse error on line 2: ARG names can not be blank"},
    {"cmd",
     "|CMD a b\n"
     "CMD [\"a\", \"b\"]\n"
     "CMD []\n"
     "CMD",
     "CMD shell 'a b'\n"
     "CMD exec 'a' 'b'\n"
     "CMD exec\n"
     "CMD shell\n"},
    {"entrypoint",
     "|ENTRYPOINT a\n"
     "ENTRYPOINT [\"a\"]\n"
     "ENTRYPOINT []",
     "ENTRYPOINT shell 'a'\n"
     "ENTRYPOINT exec 'a'\n"
     "ENTRYPOINT exec\n"},
    {"cmd flag", "|CMD --x a", "!2:5 dockerfile parse error on line 2: unknown flag: --x"},
    {"cmd json of numbers", "|CMD [1]",
     "!2:5 dockerfile parse error on line 2: when using JSON array syntax, arrays must be "
     "comprised of strings only"},
    {"shell", "|SHELL [\"/bin/bash\", \"-c\"]", "SHELL exec '/bin/bash' '-c'\n"},
    {"shell not json", "|SHELL /bin/bash -c",
     "!2:1 dockerfile parse error on line 2: SHELL requires the arguments to be in JSON form"},
    {"shell empty", "|SHELL []",
     "!2:1 dockerfile parse error on line 2: SHELL requires at least one argument"},
    {"user", "|USER a:b", "USER 'a:b'\n"},
    {"user nothing", "|USER",
     "!2:1 dockerfile parse error on line 2: USER requires exactly one argument"},
    {"workdir with blanks", "|WORKDIR /a b/c", "WORKDIR '/a b/c'\n"},
    {"workdir nothing", "|WORKDIR  ",
     "!2:1 dockerfile parse error on line 2: WORKDIR requires exactly one argument"},
    {"expose", "|EXPOSE 80 53/udp 1000-1010/tcp $P", "EXPOSE '$P' '1000-1010/tcp' '53/udp' '80'\n"},
    {"expose nothing", "|EXPOSE",
     "!2:1 dockerfile parse error on line 2: EXPOSE requires at least one argument"},
    {"volume",
     "|VOLUME /a /b\n"
     "VOLUME [\"/c d\", \" /e \"]",
     "VOLUME '/a' '/b'\n"
     "VOLUME '/c d' '/e'\n"},
    {"volume nothing", "|VOLUME",
     "!2:1 dockerfile parse error on line 2: VOLUME requires at least one argument"},
    {"volume empty", "|VOLUME [\"\"]",
     "!2:1 dockerfile parse error on line 2: VOLUME specified can not be an empty string"},
    {"stopsignal", "|STOPSIGNAL SIGKILL", "STOPSIGNAL 'SIGKILL'\n"},
    {"stopsignal nothing", "|STOPSIGNAL",
     "!2:1 dockerfile parse error on line 2: STOPSIGNAL requires exactly one argument"},
    {"maintainer", "|MAINTAINER A B <a@b>", "MAINTAINER 'A B <a@b>'\n"},
    {"healthcheck",
     "|HEALTHCHECK --interval=5m --timeout=3s --start-period=1.5s --start-interval=100ms "
     "--retries=3 CMD curl x || exit 1",
     "HEALTHCHECK shell 'curl x || exit 1' 300000000000/3000000000/1500000000/100000000/3\n"},
    {"healthcheck exec", "|HEALTHCHECK CMD [\"a\", \"b\"]", "HEALTHCHECK exec 'a' 'b' 0/0/0/0/0\n"},
    {"healthcheck none", "|HEALTHCHECK none", "HEALTHCHECK none\n"},
    {"healthcheck none with words", "|HEALTHCHECK NONE a",
     "!2:18 dockerfile parse error on line 2: HEALTHCHECK NONE takes no arguments"},
    {"healthcheck nothing", "|HEALTHCHECK",
     "!2:1 dockerfile parse error on line 2: HEALTHCHECK requires at least one argument"},
    {"healthcheck no command", "|HEALTHCHECK CMD",
     "!2:1 dockerfile parse error on line 2: Missing command after HEALTHCHECK CMD"},
    {"healthcheck unknown type", "|HEALTHCHECK curl x",
     "!2:1 dockerfile parse error on line 2: Unknown type \"CURL\" in HEALTHCHECK (try CMD)"},
    {"healthcheck short interval", "|HEALTHCHECK --interval=1us CMD a",
     "!2:24 dockerfile parse error on line 2: Interval \"interval\" cannot be less than 1ms"},
    {"healthcheck zero interval", "|HEALTHCHECK --interval=0 CMD a",
     "HEALTHCHECK shell 'a' 0/0/0/0/0\n"},
    {"healthcheck wrong interval", "|HEALTHCHECK --interval=5x CMD a",
     "!2:24 dockerfile parse error on line 2: time: unknown unit in duration \"5x\""},
    {"healthcheck interval without unit", "|HEALTHCHECK --interval=5 CMD a",
     "!2:24 dockerfile parse error on line 2: time: missing unit in duration \"5\""},
    {"healthcheck wrong retries", "|HEALTHCHECK --retries=a CMD a",
     "!2:23 dockerfile parse error on line 2: strconv.ParseInt: parsing \"a\": invalid syntax"},
    {"healthcheck negative retries", "|HEALTHCHECK --retries=-1 CMD a",
     "!2:23 dockerfile parse error on line 2: --retries cannot be negative (-1)"},
    {"onbuild",
     "|ONBUILD RUN a  b\n"
     "onbuild copy a b",
     "ONBUILD 'RUN a  b'\n"
     "ONBUILD 'copy a b'\n"},
    {"onbuild nothing", "|ONBUILD",
     "!2:1 dockerfile parse error on line 2: ONBUILD requires at least one argument"},
    {"onbuild onbuild", "|ONBUILD ONBUILD RUN a",
     "!2:1 dockerfile parse error on line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"},
    {"onbuild from", "|ONBUILD FROM a",
     "!2:1 dockerfile parse error on line 2: FROM isn't allowed as an ONBUILD trigger"},
    {"onbuild maintainer", "|ONBUILD MAINTAINER a",
     "!2:1 dockerfile parse error on line 2: MAINTAINER isn't allowed as an ONBUILD trigger"},
    {"onbuild wrong trigger", "|ONBUILD ENV a",
     "!2:1 dockerfile parse error on line 2: ENV must have two arguments"},
    {"two stages",
     "FROM a AS x\n"
     "RUN 1\n"
     "FROM b\n"
     "COPY --from=x /a /b\n"
     "FROM x\n"
     "USER u",
     "FROM 'a' as='x'\n"
     "RUN shell '1'\n"
     "FROM 'b'\n"
     "COPY '/a' -> '/b' from='x'\n"
     "FROM 'x'\n"
     "USER 'u'\n"},
    {"healthcheck none with flags", "|HEALTHCHECK --interval=5s NONE", "HEALTHCHECK none\n"},
    {"mount secret target folder name is the id", "|RUN --mount=type=secret,target=a/b/tok x",
     "RUN shell 'x' {secret target='a/b/tok' id='tok' ro}\n"},
    {"copy exclude twice keeps order", "|COPY --exclude=b --exclude=a x y",
     "COPY 'x' -> 'y' exclude='b' exclude='a'\n"},
    {"env with a dollar in quotes", "|ENV a='$b' c=\"$d\" e=\\$f",
     "ENV a=''$b'' c='\"$d\"' e='\\$f'\n"},
    {"label with a continued value",
     "|LABEL a=\"b \\\n"
     " c\"",
     "LABEL a='\"b  c\"'\n"},
    {"instruction in mixed case", "|wOrKdIr /a", "WORKDIR '/a'\n"},
};

#endif
