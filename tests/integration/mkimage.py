#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mkimage.py OUT_DIR CONFIG_JSON LAYER.tar[:gzip|:zstd|:none] ... - an OCI layout from layer tars. ARCH: amd64."""
import gzip
import hashlib
import json
import os
import subprocess
import sys

out, config, layers = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
os.makedirs(out + "/blobs/sha256", exist_ok=True)


def put(data):
    digest = hashlib.sha256(data).hexdigest()
    with open(f"{out}/blobs/sha256/{digest}", "wb") as f:
        f.write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}


PACK = {
    "gzip": ("+gzip", lambda d: gzip.compress(d, 6, mtime=0)),
    "zstd": ("+zstd", lambda d: subprocess.run(["zstd", "-qc"], input=d, stdout=subprocess.PIPE, check=True).stdout),
    "none": ("", lambda d: d),
}
descs, diffs = [], []
for spec in layers:
    path, _, how = spec.partition(":")
    suffix, pack = PACK[how or "gzip"]
    with open(path, "rb") as f:
        data = f.read()
    diffs.append("sha256:" + hashlib.sha256(data).hexdigest())
    descs.append({"mediaType": "application/vnd.oci.image.layer.v1.tar" + suffix, **put(pack(data))})
full = {"architecture": os.environ.get("ARCH", "amd64"), "os": "linux", "created": "2023-11-14T22:13:20Z", "config": config,
        "rootfs": {"type": "layers", "diff_ids": diffs},
        "history": [{"created": "2023-11-14T22:13:20Z", "created_by": f"layer {i}"} for i in range(len(diffs))]}
manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **put(json.dumps(full).encode())},
            "layers": descs}
with open(out + "/index.json", "w") as f:
    json.dump({"schemaVersion": 2, "manifests": [{"mediaType": manifest["mediaType"],
                                                  **put(json.dumps(manifest).encode())}]}, f)
with open(out + "/oci-layout", "w") as f:
    json.dump({"imageLayoutVersion": "1.0.0"}, f)
