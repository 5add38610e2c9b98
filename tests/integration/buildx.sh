#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# buildx.sh - puts Debian 13's docker CLI with its plugins buildx and compose into the tests' cache and prints
# a folder with "docker" and "cli-plugins", which run beside their own C library. Without a network it says
# why on stderr and fails.
set -euo pipefail
cache=${DRAY_CACHE:-/var/tmp/dray-tests}/buildx
if [ -x "$cache/docker" ]; then
    echo "$cache"
    exit 0
fi
[ -z "${DRAY_OFFLINE:-}" ] || { echo "buildx is not in $cache, and DRAY_OFFLINE is set" >&2; exit 1; }
mirror=${DRAY_DEBIAN_MIRROR:-$(sed -n 's/^URIs: *\(.*\/debian\)\/*$/\1/p; s/^deb .*\(http[^ ]*\/debian\)\/* .*/\1/p' \
    /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1 || true)}
[ -n "$mirror" ] || { echo "buildx: no Debian mirror is configured" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,archives/partial,etc} "$work/new/lib" "$work/new/cli-plugins"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/etc/sources.list"
touch "$work/status"
apt=(apt-get -q -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status"
    -o Dir::Cache="$work" -o Dir::Cache::archives="$work/archives" -o Dir::Etc::sourcelist="$work/etc/sources.list"
    -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::http::Timeout=20)
if ! "${apt[@]}" update >"$work/log" 2>&1 ||
    ! (cd "$work" && "${apt[@]}" download docker-cli docker-buildx docker-compose libc6 >>"$work/log" 2>&1); then
    echo "buildx cannot be fetched from $mirror: $(tail -n 1 "$work/log")" >&2
    exit 1
fi
for deb in "$work"/*.deb; do dpkg-deb -x "$deb" "$work/root"; done
find "$work/root" \( -name 'ld-linux-*' -o -name 'libc.so.6' -o -name 'libresolv.so.2' -o -name 'libpthread.so.0' \
    -o -name docker-buildx -o -name docker-compose \) -type f -exec cp {} "$work/new/lib/" \;
cp "$work/root/usr/bin/docker" "$work/new/lib/"
for program in docker cli-plugins/docker-buildx cli-plugins/docker-compose; do
    cat >"$work/new/$program" <<EOF
#!/bin/sh
exec "$cache"/lib/$(cd "$work/new/lib" && echo ld-linux-*) --library-path "$cache/lib" "$cache/lib/$(basename $program)" "\$@"
EOF
    chmod 755 "$work/new/$program"
done
rm -rf "$cache"
mv "$work/new" "$cache"
"$cache/docker" --version >/dev/null || { echo "the docker CLI of Debian 13 does not run here" >&2; rm -rf "$cache"; exit 1; }
echo "$cache"
