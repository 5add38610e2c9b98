#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# layer-tar.sh - unpacking and packing a layer beside GNU tar: layer-tar.sh BENCH_LAYER_TAR [DIR]
set -eu
bench=$1
work=$(mktemp -d "${2:-/var/tmp}/dray-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT

# 20,000 files, 300 MB: many small ones, some of a megabyte, as an image has them.
mkdir "$work/src"
python3 - "$work/src" <<'PY'
import os, random, sys
random.seed(1)
top = sys.argv[1]
for i in range(20000):
    folder = os.path.join(top, "usr", "d%d" % (i // 400), "s%d" % (i // 20 % 20))
    if i % 20 == 0:
        os.makedirs(folder, exist_ok=True)
    size = 1 << 20 if i % 120 == 0 else random.randint(200, 12000)
    with open(os.path.join(folder, "file%d" % i), "wb") as f:
        f.write(random.randbytes(size))
PY
tar -C "$work/src" -cf "$work/layer.tar" .
ls -l "$work/layer.tar" | awk '{print $5 " bytes of tar"}'
rm -rf "$work/src"
cat "$work/layer.tar" > /dev/null
sync

now() { date +%s.%N; }
by_tar() {
    mkdir "$work/by-tar"
    start=$(now)
    tar -C "$work/by-tar" -xpf "$work/layer.tar"
    end=$(now)
    echo "round $round: tar -x    $(echo "$end $start" | awk '{printf "%.3f", $1 - $2}') s"
    sync
}
by_dray() {
    printf 'round %s: dray apply ' "$round"
    "$bench" apply "$work/layer.tar" "$work/by-dray"
    sync
}
# An ext4 without a journal looks long for inodes after others were deleted: let it settle.
sleep "${SETTLE:-40}"
for round in 1 2 3 4; do
    if [ $((round % 2)) = 1 ]; then by_tar && by_dray; else by_dray && by_tar; fi
    if [ "$round" = 1 ]; then
        printf 'round %s: dray diff  ' "$round"
        "$bench" diff "$work/out.tar" "$work/by-dray"
        start=$(now)
        tar -C "$work/by-dray" -cf "$work/out2.tar" .
        end=$(now)
        echo "round $round: tar -c    $(echo "$end $start" | awk '{printf "%.3f", $1 - $2}') s"
        diff -r --no-dereference "$work/by-tar" "$work/by-dray" && echo "same trees"
    fi
    mv "$work/by-tar" "$work/old-tar-$round"
    mv "$work/by-dray" "$work/old-dray-$round"
    sync
done
