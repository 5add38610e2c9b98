/* SPDX-License-Identifier: Apache-2.0 */
/* image_remote.c - asking registries: which driver serves a repository, search, distribution. */
#include "engine/image_priv.h"

#include "base/fs.h"
#include "engine/filters.h"

#include <fcntl.h>
#include <sys/mman.h>

struct dray_driver *img_registry(struct dray_images *im, const char *repo, struct dray_err *err)
{
    struct dray_driver *best = NULL, *d;
    int best_score = 0;
    for (size_t i = 0; (d = dray_drivers_at(im->engine->drivers, DRAY_KIND_REGISTRY, i)); i++) {
        DRAY_AUTO(dray_call_scope) s = {0};
        if (dray_call_enter(&s, d, DRAY_CLASS_QUICK, -1, NULL) != 0)
            continue;
        int score = ((const struct dray_registry_ops *)s.ops)->match(s.self, &s.call, repo);
        if (score > best_score) {
            best_score = score;
            best = d;
        }
    }
    if (!best)
        (void)dray_fail(err, DRAY_E_NOTSUP, "no registry driver serves %s", repo);
    return best;
}

int img_resolve(struct dray_driver *d, const char *repo, const char *what,
                const struct dray_auth *auth, int cancel_fd, struct img_found *out,
                struct dray_err *err)
{
    static const struct dray_auth nobody = {.size = sizeof nobody,
                                            .username = "",
                                            .password = "",
                                            .identity_token = "",
                                            .registry_token = "",
                                            .server = ""};
    DRAY_AUTO(dray_call_scope) s = {0};
    struct dray_desc desc = {.size = sizeof desc};
    int rc = dray_call_enter(&s, d, DRAY_CLASS_MOUNT, cancel_fd, err);
    if (rc)
        return rc;
    rc = ((const struct dray_registry_ops *)s.ops)
             ->resolve(s.self, &s.call, repo, what, auth ? auth : &nobody, &desc, err);
    if (!rc && (!desc.digest || !dray_digest_valid(desc.digest) || !desc.media_type))
        rc = dray_fail(err, DRAY_E_CORRUPT, "the registry gave no valid digest for %s", repo);
    if (!rc) {
        (void)snprintf(out->digest, sizeof out->digest, "%s", desc.digest);
        (void)snprintf(out->media_type, sizeof out->media_type, "%s", desc.media_type);
        out->length = desc.length;
    }
    return rc;
}

int img_fetch_small(struct dray_driver *d, const char *repo, const struct img_found *what,
                    const struct dray_auth *auth, int cancel_fd, struct dray_buf *out,
                    struct dray_err *err)
{
    dray_autofd int fd = memfd_create("manifest", MFD_CLOEXEC);
    char digest[DRAY_DIGEST_LEN];
    if (fd < 0)
        return dray_fail_errno(err, "memfd");
    if (what->length != UINT64_MAX && what->length > CONFIG_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "%s is too large: %llu bytes", what->digest,
                         (unsigned long long)what->length);
    struct dray_auth nobody = {.size = sizeof nobody,
                               .username = "",
                               .password = "",
                               .identity_token = "",
                               .registry_token = "",
                               .server = ""};
    struct dray_desc desc = {.size = sizeof desc,
                             .media_type = what->media_type,
                             .digest = what->digest,
                             .length = what->length};
    int rc = 0;
    {
        DRAY_AUTO(dray_call_scope) s = {0};
        rc = dray_call_enter(&s, d, DRAY_CLASS_DATA, cancel_fd, err);
        if (!rc)
            rc = ((const struct dray_registry_ops *)s.ops)
                     ->fetch(s.self, &s.call, repo, &desc, 0, auth ? auth : &nobody,
                             (struct dray_fd_borrow){fd}, err);
    }
    if (!rc && lseek(fd, 0, SEEK_SET) < 0)
        rc = dray_fail_errno(err, "seek");
    if (!rc)
        rc = dray_fs_read_fd(fd, CONFIG_MAX, out, err);
    if (rc)
        return rc;
    dray_digest_of(out->data ? out->data : "", out->len, digest);
    if (strcmp(digest, what->digest) != 0)
        return dray_fail(err, DRAY_E_CORRUPT,
                         "manifest verification failed for digest %s: the content has %s",
                         what->digest, digest);
    return 0;
}

/* Search. */

struct results {
    struct json_object *list;
    const struct dray_filters *f;
};

static int32_t on_result(void *ctx, const struct dray_record *rec)
{
    struct results *r = ctx;
    struct json_object *o = json_object_new_object();
    const char *official = dray_kvs_get(rec->fields, "official", "false");
    int stars = atoi(dray_kvs_get(rec->fields, "stars", "0"));
    const char *least = dray_filters_get(r->f, "stars", 0);
    bool is_official = strcmp(official, "true") == 0 || strcmp(official, "1") == 0, want = false;
    dray_json_add_int(o, "star_count", stars);
    dray_json_add_bool(o, "is_official", is_official);
    dray_json_add_str(o, "name", dray_kvs_get(rec->fields, "name", ""));
    dray_json_add_bool(o, "is_automated", false);
    dray_json_add_str(o, "description", dray_kvs_get(rec->fields, "description", ""));
    bool keep = !least || stars >= atoi(least);
    if (dray_filters_has(r->f, "is-official") &&
        dray_filters_bool(r->f, "is-official", true, &want, NULL) == 0)
        keep = keep && is_official == want;
    if (dray_filters_has(r->f, "is-automated") &&
        dray_filters_bool(r->f, "is-automated", true, &want, NULL) == 0)
        keep = keep && !want;
    if (keep)
        json_object_array_add(r->list, o);
    else
        json_object_put(o);
    return 0;
}

int dray_images_search(struct dray_images *im, const char *term, uint32_t limit,
                       const struct dray_filters *f, const struct dray_auth *auth,
                       struct json_object **out, struct dray_err *err)
{
    struct dray_driver *d = img_registry(im, "docker.io/library/x", err);
    if (!d)
        return DRAY_E_NOTSUP;
    dray_autojson *list = json_object_new_array();
    struct results r = {list, f};
    DRAY_AUTO(dray_call_scope) s = {0};
    dray_call_emit_to(&s, on_result, &r);
    int rc = dray_call_enter(&s, d, DRAY_CLASS_MOUNT, -1, err);
    if (!rc)
        rc = ((const struct dray_registry_ops *)s.ops)
                 ->search(s.self, &s.call, term, limit, auth, err);
    if (!rc)
        *out = dray_steal(list);
    return rc;
}

/* Distribution. */

static void add_platform(struct json_object *list, struct json_object *p)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "architecture", dray_json_str(p, "architecture", ""));
    dray_json_add_str(o, "os", dray_json_str(p, "os", ""));
    const char *variant = dray_json_str(p, "variant", "");
    if (*variant)
        dray_json_add_str(o, "variant", variant);
    json_object_array_add(list, o);
}

static int platforms(struct dray_driver *d, const char *repo, struct json_object *doc,
                     const struct dray_auth *auth, int cancel_fd, struct json_object *list,
                     struct dray_err *err)
{
    struct json_object *manifests = dray_json_arr(doc, "manifests");
    for (size_t i = 0; i < dray_json_len(manifests); i++)
        add_platform(list, dray_json_obj(json_object_array_get_idx(manifests, i), "platform"));
    if (manifests)
        return 0;
    struct img_found config = {.length = (uint64_t)dray_json_int(doc, "config.size", 0)};
    (void)snprintf(config.digest, sizeof config.digest, "%s",
                   dray_json_str(doc, "config.digest", ""));
    (void)snprintf(config.media_type, sizeof config.media_type, "%s",
                   dray_json_str(doc, "config.mediaType", MT_DOCKER_CONFIG));
    DRAY_AUTO(dray_buf) text = {0};
    dray_autojson *c = NULL;
    int rc = img_fetch_small(d, repo, &config, auth, cancel_fd, &text, err);
    if (!rc)
        rc = dray_json_parse(text.data, text.len, &c, err);
    if (!rc)
        add_platform(list, c);
    return rc;
}

int dray_images_distribution(struct dray_images *im, const char *ref, const struct dray_auth *auth,
                             int cancel_fd, struct json_object **out, struct dray_err *err)
{
    DRAY_AUTO(dray_ref) r = {0};
    struct img_found found = {0};
    DRAY_AUTO(dray_buf) text = {0};
    dray_autojson *doc = NULL;
    int rc = dray_ref_parse_tagged(ref, &r, err);
    struct dray_driver *d = rc ? NULL : img_registry(im, r.repo, err);
    if (!d)
        return rc ? rc : DRAY_E_NOTSUP;
    rc = img_resolve(d, r.repo, r.digest ? r.digest : r.tag, auth, cancel_fd, &found, err);
    if (!rc)
        rc = img_fetch_small(d, r.repo, &found, auth, cancel_fd, &text, err);
    if (!rc)
        rc = dray_json_parse(text.data, text.len, &doc, err);
    dray_autojson *list = json_object_new_array();
    if (!rc)
        rc = platforms(d, r.repo, doc, auth, cancel_fd, list, err);
    if (rc)
        return rc;
    struct json_object *o = json_object_new_object(), *desc = json_object_new_object();
    dray_json_add_str(desc, "mediaType", found.media_type);
    dray_json_add_str(desc, "digest", found.digest);
    dray_json_add_int(desc, "size", (int64_t)text.len);
    dray_json_add(o, "Descriptor", desc);
    dray_json_add(o, "Platforms", json_object_get(list));
    *out = o;
    return 0;
}
