# SPDX-License-Identifier: Apache-2.0
# misbehave.bash - builds the driver that hangs and crashes when it is told to, and tells it.

# misbehave_build FILE.so [compiler arguments]
misbehave_build() {
    local so=$1
    shift
    driver_build "$so" misbehave.c "$@"
}

# driver_build FILE.so SOURCE.c [compiler arguments]
driver_build() {
    local so=$1 source=$2
    shift 2
    cc "$@" -shared -fPIC -O1 -std=gnu17 -D_GNU_SOURCE -I"$BATS_TEST_DIRNAME/../../sdk/include" -fvisibility=hidden \
        -Wl,-z,defs,-z,now,-z,nodelete -o "$so" "$BATS_TEST_DIRNAME/plugins/$source"
}

hang() { : >"$ORDERS/hang.$1"; }
crash() { : >"$ORDERS/crash.$1"; }
go_on() { rm -f "$ORDERS"/hang.* "$ORDERS"/held.* "$ORDERS"/crash.*; }
