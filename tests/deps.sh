#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deps.sh - the one place that names the Debian packages that Dray needs.
# Usage: deps.sh build|test    (as root; installs only what is missing)
set -eu

build="cmake ninja-build pkg-config gcc g++ libc6-dev git ca-certificates
 libjson-c-dev libssl-dev libmicrohttpd-dev libnghttp2-dev libcurl4-openssl-dev libarchive-dev libzstd-dev
 zlib1g-dev liblzma-dev libbz2-dev libisal-dev libnl-3-dev libnl-route-3-dev libnftables-dev libnftnl-dev libmnl-dev
 libldns-dev libseccomp-dev libsystemd-dev libmsgpack-dev libpcre2-dev
 busybox-static iproute2 nftables curl"

test="libcunit1-dev bats clang clang-tidy cppcheck clang-format llvm skopeo docker-registry
 docker.io debootstrap python3 python3-docker xz-utils bzip2 zstd gzip tar jq socat netcat-openbsd iperf3 iptables tmux
 attr procps util-linux e2fsprogs file binutils psmisc openssl apache2-utils runc fuse3 rclone
 docker-compose umoci bind9-dnsutils python3-msgpack python3-h2 crun openssh-client bsdutils dpkg-dev libsqlite3-dev"

case "${1:-}" in
build) wanted=$build ;;
test) wanted="$build $test" ;;
*) echo "usage: $0 build|test" >&2; exit 2 ;;
esac

missing=
for p in $wanted; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done

# Clients of the API that are no Debian packages; their tests are skipped without npm.
node_clients() {
    dir=${DRAY_CACHE:-/var/tmp/dray-tests}/node
    [ "${1:-}" = test ] && command -v npm >/dev/null || return 0
    [ -d "$dir/node_modules/dockerode" ] && [ -d "$dir/node_modules/testcontainers" ] && return 0
    mkdir -p "$dir"
    npm install --prefix "$dir" --no-audit --no-fund dockerode@4 testcontainers@10 >"$dir/npm.log" 2>&1 ||
        echo "npm could not install the test clients: see $dir/npm.log" >&2
}

node_clients "$1"
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "these packages are missing, run as root to install them:$missing" >&2; exit 1; }

echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# No service of a test's package may start by itself: tests start what they need.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
    trap 'rm -f $policy' EXIT
fi
install() { # PACKAGES
    apt-get install -y -q --no-install-recommends "$@" >/dev/null 2>&1 || {
        apt-get update -q
        apt-get install -y -q --no-install-recommends "$@"
    }
}
# shellcheck disable=SC2086
install $missing
# Debian 13 has the docker CLI in a package of its own.
[ "$1" = build ] || command -v docker >/dev/null || install docker-cli
