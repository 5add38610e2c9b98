#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# firewalls.sh - puts Debian's ufw and firewalld into the tests' cache, unpacked and not installed: as
# services they would change the machine. Prints the folder; says on stderr why there is none.
set -euo pipefail
cache=${DRAY_CACHE:-/var/tmp/dray-tests}/firewalls
if [ -d "$cache/usr" ]; then
    echo "$cache"
    exit 0
fi
[ -z "${DRAY_OFFLINE:-}" ] || { echo "ufw and firewalld are not in $cache, and DRAY_OFFLINE is set" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{archives/partial,root}
if ! apt-get -q -y -o Debug::NoLocking=1 -o APT::Sandbox::User=root -o Dir::Cache::archives="$work/archives" \
    install --download-only --reinstall --no-install-recommends ufw firewalld >"$work/log" 2>&1; then
    echo "ufw and firewalld cannot be fetched: $(tail -n 1 "$work/log")" >&2
    exit 1
fi
for deb in "$work"/archives/*.deb; do dpkg-deb -x "$deb" "$work/root"; done
# Debian's /lib is /usr/lib, and what their installation would choose.
if [ -d "$work/root/lib" ]; then
    cp -a "$work/root/lib/." "$work/root/usr/lib/"
fi
actions=$work/root/usr/share/polkit-1/actions/org.fedoraproject.FirewallD1
cp "$actions.server.policy.choice" "$actions.policy"
mkdir -p "$work/root/etc/default" "$work/root/etc/ufw"
cp -n "$work"/root/usr/share/ufw/{before,after,user}*.rules "$work/root/usr/share/ufw/ufw.conf" "$work/root/etc/ufw/"
rm -rf "$cache"
mv "$work/root" "$cache"
echo "$cache"
