/* SPDX-License-Identifier: Apache-2.0 */
/* layout.h - the parts of registry-layout: where an OCI layout lies, what its index says. */
#ifndef DRAY_LAYOUT_H
#define DRAY_LAYOUT_H

#include <dray/host.h>
#include <dray/registry.h>
#include <dray/util.h>

#include <json-c/json.h>
#include <pthread.h>
#include <stdbool.h>

#define LAYOUT_PREFIX "oci:"
#define LAYOUT_SMALL (8u << 20) /* largest index or manifest that is read */
#define LAYOUT_REF_NAME "org.opencontainers.image.ref.name"

/** The instance. */
struct dray_self {
    const struct dray_host *host;
    pthread_mutex_t lock; /* one maker of a layout, one writer of an index at a time; with flock()
                                         against other programs */
};

/* --- place.c: a folder or an archive ----------------------------------------------------------*/

/** An opened layout: a folder (dir_fd), or the path of a tar. */
struct place {
    const char *path;
    int dir_fd; /* -EBADF: an archive */
};

/** repo is "oci:/path". create: make an empty layout where nothing is. */
int place_open(const char *repo, bool create, struct place *out, struct dray_err *err);
void place_close(struct place *p);
/** Gets the pieces of a member; nonzero ends it. */
typedef int (*place_sink_fn)(void *ctx, const void *data, size_t len, struct dray_err *err);
/** Hand the member's bytes from offset on to fn. NOTFOUND. */
int place_stream(const struct place *p, const char *member, uint64_t offset, place_sink_fn fn,
                 void *ctx, struct dray_err *err);
/** Read a small member whole; owned text, with a NUL behind it. */
int place_read(const struct place *p, const char *member, char **out, size_t *len_out,
               struct dray_err *err);
bool place_has(const struct place *p, const char *member);
/** Create or replace a member of a folder from fd, or from memory when fd is -1. */
int place_write(const struct place *p, const char *member, int fd, const void *data, size_t len,
                struct dray_err *err);

/* --- index.c ----------------------------------------------------------------------------------*/

/** "blobs/sha256/<hex>" of a digest; false when it is none. */
bool layout_member(const char *digest, char out[96]);
/** The parsed index.json; put it. */
int layout_index(const struct place *p, struct json_object **out, struct dray_err *err);
/** The descriptor that a tag means: by name, or the only one; NULL. Borrowed. */
struct json_object *layout_find(struct json_object *index, const char *tag);
/** The descriptor of a digest; NULL. Borrowed. */
struct json_object *layout_find_digest(struct json_object *index, const char *digest);
/** The tag that an entry has, or NULL. Borrowed. */
const char *layout_tag(struct json_object *entry);
const char *layout_text(struct json_object *o, const char *key);
/** Point a tag to a manifest; "" adds it without one. */
int layout_set(struct dray_self *s, const struct place *p, const char *tag,
               const struct dray_desc *d, uint64_t length, struct dray_err *err);

/* --- ops.c ------------------------------------------------------------------------------------*/

extern const struct dray_registry_ops layout_ops;

#endif
