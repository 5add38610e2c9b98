#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# package.bats - what an installation and the Debian package put where.

load lib

setup_file() {
    P=$(mktemp -d)
    export P
}

teardown_file() { rm -rf "$P"; }

unit_value() { sed -n "s/^$2=//p" "$1"; }

@test "an installation runs from its prefix, and its unit starts the daemon that is there" {
    cmake --install "$DRAY_STAGE/.." --prefix "$P/opt/dray" >"$P/install.log"
    [ "$(unit_value "$P/opt/dray/lib/systemd/system/dray.service" ExecStart)" = "$P/opt/dray/bin/drayd -H fd://" ]
    [ -e "$P/opt/dray/share/doc/dray/README.md" ]
    [ "$(unit_value "$P/opt/dray/lib/systemd/system/dray.service" Documentation)" = "file:$P/opt/dray/share/doc/dray/README.md" ]
    "$P/opt/dray/bin/drayd" --version | grep -q '^Dray'
    echo "{}" >"$P/daemon.json"
    "$P/opt/dray/bin/drayd" --validate --config-file "$P/daemon.json"
    # As a package is made: what is below DESTDIR does not name it.
    DESTDIR=$P/dest cmake --install "$DRAY_STAGE/.." --prefix /usr >>"$P/install.log"
    [ "$(unit_value "$P/dest/usr/lib/systemd/system/dray.service" ExecStart)" = "/usr/bin/drayd -H fd://" ]
}

@test "units keep containers alive and are sound" {
    local unit=$P/opt/dray/lib/systemd/system/dray.service
    [ "$(unit_value "$unit" KillMode)" = process ]
    [ "$(unit_value "$unit" Delegate)" = yes ]
    [ "$(unit_value "$unit" Type)" = notify ]
    [ "$(unit_value "$P/opt/dray/lib/systemd/system/dray.socket" SocketGroup)" = dray ]
    type -p systemd-analyze >/dev/null || skip "no systemd-analyze"
    cp "$P/opt/dray/lib/systemd/system/"dray.* "$P/"
    run systemd-analyze verify --man=no "$P/dray.service" "$P/dray.socket"
    [[ $output != *"dray."*"Unknown"* && $output != *"not executable"* ]]
}

@test "the Debian package has its programs in /usr, and depends on what it loads" {
    type -p cpack dpkg-shlibdeps >/dev/null || skip "no cpack or dpkg-shlibdeps"
    cpack -G DEB --config "$DRAY_STAGE/../CPackConfig.cmake" -B "$P/deb" >"$P/cpack.log"
    deb=$(ls "$P"/deb/*.deb)
    dpkg -x "$deb" "$P/root"
    [ "$(unit_value "$P/root/usr/lib/systemd/system/dray.service" ExecStart)" = "/usr/bin/drayd -H fd://" ]
    "$P/root/usr/bin/drayd" --version
    ls "$P"/root/usr/lib/*/dray/plugins/storage-overlay.so || ls "$P"/root/usr/lib/dray/plugins/storage-overlay.so
    [[ $(dpkg -f "$deb" Depends) == *libnftables1*libsystemd0*libc6* ]]
    dpkg -e "$deb" "$P/control"
    sh -n "$P/control/postinst"
}
