#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# compose_v2.sh - puts compose v2 of Debian 13 into the tests' cache and prints the path of a wrapper that
# runs it beside its own C library. Without a network it says why on stderr and fails.
set -euo pipefail
cache=${DRAY_CACHE:-/var/tmp/dray-tests}/compose-v2
if [ -x "$cache/docker-compose" ]; then
    echo "$cache/docker-compose"
    exit 0
fi
[ -z "${DRAY_OFFLINE:-}" ] || { echo "compose v2 is not in $cache, and DRAY_OFFLINE is set" >&2; exit 1; }
mirror=${DRAY_DEBIAN_MIRROR:-$(sed -n 's/^URIs: *\(.*\/debian\)\/*$/\1/p; s/^deb .*\(http[^ ]*\/debian\)\/* .*/\1/p' \
    /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1 || true)}
[ -n "$mirror" ] || { echo "compose v2: no Debian mirror is configured" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,archives/partial,etc} "$work/root"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/etc/sources.list"
touch "$work/status"
apt=(apt-get -q -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status"
    -o Dir::Cache="$work" -o Dir::Cache::archives="$work/archives" -o Dir::Etc::sourcelist="$work/etc/sources.list"
    -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::http::Timeout=20)
if ! "${apt[@]}" update >"$work/log" 2>&1 ||
    ! (cd "$work" && "${apt[@]}" download docker-compose libc6 >>"$work/log" 2>&1); then
    echo "compose v2 cannot be fetched from $mirror: $(tail -n 1 "$work/log")" >&2
    exit 1
fi
for deb in "$work"/*.deb; do dpkg-deb -x "$deb" "$work/root"; done
rm -rf "$cache"
mkdir -p "$cache"
find "$work/root" \( -name docker-compose -o -name 'ld-linux-*' -o -name 'libc.so.6' -o -name 'libresolv.so.2' \
    -o -name 'libpthread.so.0' \) -type f -exec cp {} "$cache/" \;
mv "$cache/docker-compose" "$cache/compose"
cat >"$cache/docker-compose" <<EOF
#!/bin/sh
exec "$cache"/$(cd "$cache" && echo ld-linux-*) --library-path "$cache" "$cache/compose" "\$@"
EOF
chmod 755 "$cache/docker-compose"
"$cache/docker-compose" version >/dev/null || { echo "compose v2 does not run here" >&2; rm -rf "$cache"; exit 1; }
echo "$cache/docker-compose"
