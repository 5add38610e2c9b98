#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# pull.sh start|stop - a registry on 127.0.0.1:5999 with an image of 8 gzip layers, about 600 MB unpacked.
set -euo pipefail
dir=${DRAY_CACHE:-/var/tmp/dray-tests}/bench-registry
mkdir -p "$dir"

if [ "$1" = stop ]; then
    [ -r "$dir/pid" ] && kill "$(cat "$dir/pid")" 2>/dev/null || true
    rm -f "$dir/pid"
    exit 0
fi

cat >"$dir/config.yml" <<EOF
version: 0.1
storage: {filesystem: {rootdirectory: $dir/data}, delete: {enabled: true}}
http: {addr: 127.0.0.1:5999}
log: {level: error}
EOF
setsid docker-registry serve "$dir/config.yml" </dev/null >"$dir/log" 2>&1 &
echo $! >"$dir/pid"
for _ in $(seq 100); do curl -sf http://127.0.0.1:5999/v2/ >/dev/null && break; sleep 0.1; done
curl -sf http://127.0.0.1:5999/v2/bench/manifests/latest -o /dev/null \
    -H 'Accept: application/vnd.oci.image.manifest.v1+json' && exit 0

# Layers: parts of this machine's own /usr, so that they compress as real ones do.
oci=$(mktemp -d)
trap 'rm -rf "$oci"' EXIT
python3 - "$oci" <<'PY'
import gzip, hashlib, io, json, os, sys, tarfile
out = sys.argv[1]
os.makedirs(out + "/blobs/sha256")
def put(data):
    d = hashlib.sha256(data).hexdigest()
    open(f"{out}/blobs/sha256/{d}", "wb").write(data)
    return "sha256:" + d, len(data)
files = []
for base in ("/usr/lib", "/usr/share", "/usr/bin"):
    for root, _, names in os.walk(base):
        for n in sorted(names):
            p = os.path.join(root, n)
            if os.path.isfile(p) and not os.path.islink(p) and os.path.getsize(p) < 8 << 20:
                files.append(p)
layers, diffs, it = [], [], iter(files)
for i in range(8):
    raw, size = io.BytesIO(), 0
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as t:
        while size < 75 << 20:
            p = next(it, None)
            if p is None:
                break
            t.add(p, arcname=f"layer{i}{p}")
            size += os.path.getsize(p)
    data = raw.getvalue()
    diffs.append("sha256:" + hashlib.sha256(data).hexdigest())
    digest, length = put(gzip.compress(data, 6))
    layers.append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": length})
digest, length = put(json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["true"]},
                                 "rootfs": {"type": "layers", "diff_ids": diffs}}).encode())
manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": length},
            "layers": layers}
digest, length = put(json.dumps(manifest).encode())
json.dump({"schemaVersion": 2, "manifests": [{"mediaType": manifest["mediaType"], "digest": digest, "size": length}]},
          open(out + "/index.json", "w"))
json.dump({"imageLayoutVersion": "1.0.0"}, open(out + "/oci-layout", "w"))
PY
skopeo copy --dest-tls-verify=false "oci:$oci" docker://127.0.0.1:5999/bench:latest >/dev/null
