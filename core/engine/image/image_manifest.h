/* SPDX-License-Identifier: Apache-2.0 */
/* image_manifest.h - manifests and indexes (OCI image-spec 1.1, Docker schema 2). */
#ifndef DRAY_ENGINE_IMAGE_MANIFEST_H
#define DRAY_ENGINE_IMAGE_MANIFEST_H

#include "engine/image/image_pull.h"

bool img_is_index(const char *media_type);
/** Is an entry of an index no image? about: the manifest it tells of, or "". */
bool img_is_attestation(struct json_object *entry, char about[DRAY_DIGEST_LEN]);
/** The entry for a platform, borrowed from index. None: NOTFOUND in Docker's words. */
int img_index_choose(struct json_object *index, const struct img_platform *want,
                     struct json_object **entry_out, struct dray_err *err);
/** Parse a manifest: its config, and its array of layers, borrowed from *doc_out. */
int img_manifest_read(const char *text, size_t len, struct img_desc *config,
                      struct json_object **layers_out, struct json_object **doc_out,
                      struct dray_err *err);

#endif
