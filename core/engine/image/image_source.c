/* SPDX-License-Identifier: Apache-2.0 */
/* image_source.c - a repository as its registry's driver shows it. */
#include "engine/image/image_pull.h"

#include "base/fs.h"

#include <stdio.h>
#include <sys/mman.h>

int img_source_open(struct dray_images *im, const char *repo, const struct dray_auth *auth,
                    int abort_fd, struct img_source *out, struct dray_err *err)
{
    static const struct dray_auth nobody = {.size = sizeof nobody,
                                            .username = "",
                                            .password = "",
                                            .identity_token = "",
                                            .registry_token = "",
                                            .server = ""};
    int best = 0;
    *out = (struct img_source){
        .im = im, .repo = repo, .auth = auth ? auth : &nobody, .abort_fd = abort_fd};
    struct dray_driver *d = NULL;
    for (size_t i = 0; (d = dray_drivers_at(im->engine->drivers, DRAY_KIND_REGISTRY, i)); i++) {
        DRAY_AUTO(dray_call_scope) s = {0};
        if (dray_call_enter(&s, d, DRAY_CLASS_QUICK, -1, NULL) != 0)
            continue;
        int score = ((const struct dray_registry_ops *)s.ops)->match(s.self, &s.call, repo);
        if (score > best) {
            best = score;
            out->driver = d;
        }
    }
    return out->driver
               ? 0
               : dray_fail(err, DRAY_E_NOTSUP, "no registry driver is loaded that serves %s", repo);
}

void img_desc_free(struct img_desc *d)
{
    free(d->media_type);
    dray_strlist_free(&d->urls);
    *d = (struct img_desc){0};
}

struct dray_desc img_desc_view(const struct img_desc *d)
{
    return (struct dray_desc){.size = sizeof(struct dray_desc),
                              .media_type = d->media_type ? d->media_type : "",
                              .digest = d->digest,
                              .length = d->size,
                              .urls = dray_strlist_view(&d->urls)};
}

static int set_desc(struct img_desc *out, const char *type, const char *digest, uint64_t size,
                    struct dray_err *err)
{
    if (!digest || !dray_digest_valid(digest))
        return dray_fail(err, DRAY_E_CORRUPT, "invalid digest \"%.100s\" in a manifest",
                         digest ? digest : "");
    out->media_type = strdup(type ? type : "");
    (void)snprintf(out->digest, sizeof out->digest, "%s", digest);
    out->size = size;
    return out->media_type ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

int img_desc_parse(struct json_object *o, struct img_desc *out, struct dray_err *err)
{
    *out = (struct img_desc){0};
    int64_t size = dray_json_int(o, "size", 0);
    if (size < 0)
        return dray_fail(err, DRAY_E_CORRUPT, "a descriptor of the manifest has no valid size");
    int rc = set_desc(out, dray_json_str(o, "mediaType", ""), dray_json_str(o, "digest", ""),
                      size ? (uint64_t)size : UINT64_MAX, err); /* some leave it open */
    struct json_object *urls = dray_json_arr(o, "urls");
    if (!rc && urls)
        rc = dray_json_to_strlist(urls, &out->urls, err);
    if (rc)
        img_desc_free(out);
    return rc;
}

int img_source_resolve(const struct img_source *s, const char *tag_or_digest, struct img_desc *out,
                       struct dray_err *err)
{
    *out = (struct img_desc){0};
    DRAY_AUTO(dray_call_scope) c = {0};
    int rc = dray_call_enter(&c, s->driver, DRAY_CLASS_DATA, s->abort_fd, err);
    if (rc)
        return rc;
    struct dray_desc d = {.size = sizeof d, .length = UINT64_MAX};
    rc = ((const struct dray_registry_ops *)c.ops)
             ->resolve(c.self, &c.call, s->repo, tag_or_digest, s->auth, &d, err);
    return rc ? rc : set_desc(out, d.media_type, d.digest, d.length, err);
}

int img_source_get(const struct img_source *s, const struct img_desc *d, size_t max,
                   struct dray_buf *out, struct dray_err *err)
{
    if (d->size != UINT64_MAX && d->size > max)
        return dray_fail(err, DRAY_E_LIMIT, "%s is larger than the allowed %zu bytes", d->digest,
                         max);
    dray_autofd int fd = memfd_create("content", MFD_CLOEXEC);
    if (fd < 0)
        return dray_fail_errno(err, "make a memory file");
    struct dray_desc view = img_desc_view(d);
    DRAY_AUTO(dray_call_scope) c = {0};
    int rc = dray_call_enter(&c, s->driver, DRAY_CLASS_DATA, s->abort_fd, err);
    if (!rc)
        rc = ((const struct dray_registry_ops *)c.ops)
                 ->fetch(c.self, &c.call, s->repo, &view, 0, s->auth, (struct dray_fd_borrow){fd},
                         err);
    if (!rc && lseek(fd, 0, SEEK_SET) != 0)
        rc = dray_fail_errno(err, "read back %s", d->digest);
    if (!rc)
        rc = dray_fs_read_fd(fd, max, out, err);
    if (rc)
        return rc;
    char got[DRAY_DIGEST_LEN];
    dray_digest_of(out->data ? out->data : "", out->len, got);
    if (strcmp(got, d->digest) != 0)
        return dray_fail(err, DRAY_E_CORRUPT, "manifest verification failed for digest %s: got %s",
                         d->digest, got);
    return 0;
}

static int32_t take_tag(void *ctx, const struct dray_record *rec)
{
    struct dray_strlist *out = ctx;
    const char *tag = dray_kvs_get(rec->fields, "tag", "");
    if (!dray_ref_tag_valid(tag))
        return 0;
    return dray_strlist_add(out, tag) ? 0 : DRAY_E_NOMEM;
}

int img_source_tags(const struct img_source *s, struct dray_strlist *out, struct dray_err *err)
{
    DRAY_AUTO(dray_call_scope) c = {0};
    dray_call_emit_to(&c, take_tag, out);
    int rc = dray_call_enter(&c, s->driver, DRAY_CLASS_DATA, s->abort_fd, err);
    if (!rc)
        rc =
            ((const struct dray_registry_ops *)c.ops)->tags(c.self, &c.call, s->repo, s->auth, err);
    return rc;
}
