/* SPDX-License-Identifier: Apache-2.0 */
/* index.c - what the index.json of an OCI layout says (image-spec 1.1 "Image Layout"). */
#include "layout.h"

#include <ctype.h>
#include <fcntl.h>
#include <sys/file.h>

bool layout_member(const char *digest, char out[96])
{
    if (strncmp(digest, "sha256:", 7) != 0 || strlen(digest) != 71)
        return false;
    for (const char *p = digest + 7; *p; p++)
        if (!isdigit((unsigned char)*p) && (*p < 'a' || *p > 'f'))
            return false;
    (void)snprintf(out, 96, "blobs/sha256/%s", digest + 7);
    return true;
}

const char *layout_text(struct json_object *o, const char *key)
{
    struct json_object *v = NULL;
    return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &v) &&
                   json_object_is_type(v, json_type_string)
               ? json_object_get_string(v)
               : "";
}

static struct json_object *entries(struct json_object *index)
{
    struct json_object *list = NULL;
    return json_object_object_get_ex(index, "manifests", &list) &&
                   json_object_is_type(list, json_type_array)
               ? list
               : NULL;
}

int layout_index(const struct place *p, struct json_object **out, struct dray_err *err)
{
    dray_autofree char *text = NULL;
    int rc = place_read(p, "index.json", &text, NULL, err);
    if (rc != 0)
        return rc;
    struct json_object *doc = json_tokener_parse(text);
    if (json_object_is_type(doc, json_type_object) && entries(doc)) {
        *out = doc;
        return 0;
    }
    json_object_put(doc);
    return dray_fail(err, DRAY_E_CORRUPT, "the index.json of %s is not that of an OCI layout",
                     p->path);
}

const char *layout_tag(struct json_object *entry)
{
    struct json_object *notes = NULL;
    if (!json_object_is_type(entry, json_type_object) ||
        !json_object_object_get_ex(entry, "annotations", &notes))
        return NULL;
    const char *name = layout_text(notes, LAYOUT_REF_NAME);
    /* Some write the whole reference there. */
    const char *slash = strrchr(name, '/'), *colon = strrchr(slash ? slash : name, ':');
    return !*name ? NULL : colon ? colon + 1 : name;
}

struct json_object *layout_find(struct json_object *index, const char *tag)
{
    struct json_object *list = entries(index);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *e = json_object_array_get_idx(list, i);
        const char *name = layout_tag(e);
        if (name && strcmp(name, tag) == 0)
            return e;
    }
    if (strcmp(tag, "latest") == 0 && json_object_array_length(list) == 1)
        return json_object_array_get_idx(list, 0);
    return NULL;
}

struct json_object *layout_find_digest(struct json_object *index, const char *digest)
{
    struct json_object *list = entries(index);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *e = json_object_array_get_idx(list, i);
        if (strcmp(layout_text(e, "digest"), digest) == 0)
            return e;
    }
    return NULL;
}

static struct json_object *new_entry(const char *tag, const struct dray_desc *d, uint64_t length)
{
    struct json_object *e = json_object_new_object();
    (void)json_object_object_add(e, "mediaType", json_object_new_string(d->media_type));
    (void)json_object_object_add(e, "digest", json_object_new_string(d->digest));
    (void)json_object_object_add(e, "size", json_object_new_int64((int64_t)length));
    if (*tag) {
        struct json_object *notes = json_object_new_object();
        (void)json_object_object_add(notes, LAYOUT_REF_NAME, json_object_new_string(tag));
        (void)json_object_object_add(e, "annotations", notes);
    }
    return e;
}

/** The entries but that of the tag, and the new one. */
static int replace_entry(struct json_object *index, const char *tag, const struct dray_desc *d,
                         uint64_t length)
{
    struct json_object *old = entries(index), *list = json_object_new_array();
    for (size_t i = 0; i < json_object_array_length(old); i++) {
        struct json_object *e = json_object_array_get_idx(old, i);
        const char *name = layout_tag(e);
        if (*tag ? name && strcmp(name, tag) == 0
                 : strcmp(layout_text(e, "digest"), d->digest) == 0)
            continue;
        (void)json_object_array_add(list, json_object_get(e));
    }
    (void)json_object_array_add(list, new_entry(tag, d, length));
    return json_object_object_add(index, "manifests", list);
}

static int set_locked(const struct place *p, const char *tag, const struct dray_desc *d,
                      uint64_t length, struct dray_err *err)
{
    struct json_object *index = NULL;
    int rc = layout_index(p, &index, err);
    if (rc != 0)
        return rc;
    const char *text = replace_entry(index, tag, d, length) == 0
                           ? json_object_to_json_string_ext(
                                 index, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
                           : NULL;
    rc = text ? place_write(p, "index.json", -1, text, strlen(text), err)
              : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    json_object_put(index);
    return rc;
}

int layout_set(struct dray_self *s, const struct place *p, const char *tag,
               const struct dray_desc *d, uint64_t length, struct dray_err *err)
{
    dray_autofd int guard = openat(p->dir_fd, "oci-layout", O_RDONLY | O_CLOEXEC);
    pthread_mutex_lock(&s->lock);
    /* Another program's lock is respected, but not waited for: the rename is atomic anyway. */
    if (guard >= 0)
        (void)flock(guard, LOCK_EX | LOCK_NB);
    int rc = set_locked(p, tag, d, length, err);
    pthread_mutex_unlock(&s->lock);
    return rc;
}
