#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mkindex.py OUT_DIR LAYOUT... - an OCI layout whose one image is an index of the images of other layouts.

The first gets an attestation beside it, as builders add them.
"""
import hashlib
import json
import os
import shutil
import sys

out, layouts = sys.argv[1], sys.argv[2:]
blobs = out + "/blobs/sha256"
os.makedirs(blobs, exist_ok=True)


def put(doc):
    data = doc if isinstance(doc, bytes) else json.dumps(doc).encode()
    digest = hashlib.sha256(data).hexdigest()
    with open(f"{blobs}/{digest}", "wb") as f:
        f.write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}


def read(digest):
    with open(f"{blobs}/{digest[7:]}", "rb") as f:
        return json.load(f)


entries = []
for layout in layouts:
    shutil.copytree(layout + "/blobs/sha256", blobs, dirs_exist_ok=True)
    with open(layout + "/index.json", encoding="utf-8") as f:
        entry = json.load(f)["manifests"][0]
    config = read(read(entry["digest"])["config"]["digest"])
    entries.append({**entry, "platform": {"os": config["os"], "architecture": config["architecture"]}})
statement = {"mediaType": "application/vnd.in-toto+json", **put(b'{"statement": "was built"}')}
proof = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [statement],
         "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                    **put({"architecture": "unknown", "os": "unknown", "config": {}, "rootfs": {
                        "type": "layers", "diff_ids": [statement["digest"]]}})}}
entries.append({"mediaType": proof["mediaType"], **put(proof), "platform": {"os": "unknown", "architecture": "unknown"},
                "annotations": {"vnd.docker.reference.type": "attestation-manifest",
                                "vnd.docker.reference.digest": entries[0]["digest"]}})
kind = "application/vnd.oci.image.index.v1+json"
with open(out + "/index.json", "w", encoding="utf-8") as f:
    json.dump({"schemaVersion": 2, "mediaType": kind, "manifests": [
        {"mediaType": kind, **put({"schemaVersion": 2, "mediaType": kind, "manifests": entries})}]}, f)
with open(out + "/oci-layout", "w", encoding="utf-8") as f:
    f.write('{"imageLayoutVersion": "1.0.0"}')
