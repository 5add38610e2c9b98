/* SPDX-License-Identifier: Apache-2.0 */
/* image_ref.h - the grammar of image references and their normal form, as Docker has them. */
#ifndef DRAY_ENGINE_IMAGE_REF_H
#define DRAY_ENGINE_IMAGE_REF_H

#include <dray/util.h>
#include <stdbool.h>

/** "docker.io/library/busybox:1.36@sha256:.."; tag and digest are NULL where they are not given. */
struct dray_ref {
    char *repo; /* with its domain, always */
    char *tag;
    char *digest;
    char *source; /* how a registry driver names it, where that is not the repo; else NULL */
};

/**
 * Parse what a user wrote ("busybox", "localhost:5000/a/b:c", "x@sha256:..") and make it canonical.
 * DRAY_E_INVAL in Docker's words: "invalid reference format", ...
 *
 * "oci:/srv/app[:tag]" is an OCI layout there: its source, under the name "localhost/srv/app".
 */
int dray_ref_parse(const char *text, struct dray_ref *out, struct dray_err *err);
/** The same; without tag and digest it gets the tag "latest". */
int dray_ref_parse_tagged(const char *text, struct dray_ref *out, struct dray_err *err);
void dray_ref_free(struct dray_ref *r);
bool dray_ref_tag_valid(const char *tag);
/** What a registry driver is asked for. Borrowed. */
static inline const char *dray_ref_source(const struct dray_ref *r)
{
    return r->source ? r->source : r->repo;
}

/** The part of a canonical repository that users see: "busybox", "user/x", "host/x". Borrowed. */
const char *dray_ref_familiar(const char *repo);
/** The part behind the domain, "library/busybox". Borrowed. */
const char *dray_ref_path(const char *repo);
/** "repo:tag" or "repo@digest" (the digest wins), canonical: the key of a reference. Owned. */
char *dray_ref_key(const struct dray_ref *r);
/** What users see of a key, "busybox:latest". Borrowed. */
#define dray_ref_key_familiar(key) dray_ref_familiar(key)
/** "docker.io/library/busybox" of a key; NULL without memory. */
char *dray_ref_key_repo(const char *key);
/** The tag or digest of a key. Borrowed. */
const char *dray_ref_key_tag(const char *key);
bool dray_ref_key_is_digest(const char *key);

static inline void dray_ref_cleanup(struct dray_ref *r)
{
    dray_ref_free(r);
}

#endif
