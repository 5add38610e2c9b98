#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# lint.sh - static analysis on a sane list of checks: cppcheck over everything, clang-tidy over what a
# build knows, headers on their own in C and (the SDK's) in C++.
#
#   tests/lint.sh [--deep]     --deep: with clang's path-sensitive analyzer too, ten times as long
set -uo pipefail
cd "$(dirname "$0")/.."
rc=0
checks=-clang-analyzer-*
[ "${1:-}" = --deep ] && checks=

cflags="$(pkg-config --cflags json-c libmicrohttpd libnl-3.0 libarchive) -D_GNU_SOURCE -Icore -Isdk/include"
for h in sdk/include/dray/*.h; do
    # shellcheck disable=SC2086
    gcc -std=c17 $cflags -Wall -Wextra -Werror -fsyntax-only -x c "$h" || rc=1
    # shellcheck disable=SC2086
    g++ -std=c++17 $cflags -Wall -Wextra -Werror -fsyntax-only -x c++ "$h" || rc=1
done
for h in core/*/*.h core/*/*/*.h; do
    # shellcheck disable=SC2086
    gcc -std=gnu17 $cflags -Wall -Wextra -Werror -Wno-unused-function -fsyntax-only -x c "$h" || { echo "$h does not stand alone"; rc=1; }
done

# Leaks are left to asan: cppcheck does not know of cleanup attributes. NULL is a pointer here.
cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 \
    --suppress=memleak --suppress=varFuncNullUB --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches --suppress=unknownMacro \
    --suppress=syntaxError --suppress=nullPointerOutOfMemory --suppress=internalAstError \
    -j 2 -Icore -Isdk/include core plugins 2>&1 | head -n 60
[ "${PIPESTATUS[0]}" -eq 0 ] || rc=1

if [ -f build/compile_commands.json ]; then
    find core plugins -name '*.c' -print0 | xargs -0 -n 8 -P 2 clang-tidy -p build --quiet --checks="$checks" \
        --warnings-as-errors='*' 2>/dev/null >build/tidy.log || rc=1
    grep -E 'error:|warning:' build/tidy.log | head -n 40
fi
[ $rc -eq 0 ] && echo "nothing to say"
exit $rc
