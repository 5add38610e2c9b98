/* SPDX-License-Identifier: Apache-2.0 */
/* image_save.c - images into an archive that is a docker-archive and an OCI layout at once. */
#include "engine/image/image_variants.h"

#include "base/fs.h"

#include <archive.h>
#include <archive_entry.h>

#define CHUNK (1u << 20)

/** One archive under way. */
struct save {
    struct dray_images *im;
    struct archive *out;
    int fd;
    struct json_object *written; /* digests that are in it */
    struct json_object *index;   /* "manifests" of index.json */
    struct json_object *names;   /* manifest.json */
    const char *platform;        /* or NULL */
    bool abandoned;              /* nothing more goes out */
};

/** What the archive needs of an image, taken under the lock. */
struct facts {
    char id[DRAY_DIGEST_LEN];
    struct img_desc root; /* what index.json names: a manifest, or the index */
    struct dray_strlist layers;
    struct dray_strlist blobs; /* of all platforms that are saved, with their manifests */
    struct dray_strlist tags;  /* familiar */
};

static void facts_free(struct facts *f)
{
    img_desc_free(&f->root);
    dray_strlist_free(&f->layers);
    dray_strlist_free(&f->blobs);
    dray_strlist_free(&f->tags);
}

/* The keys of a repository's references: its tags, or where it has none, its digests. */
static void keys_of(struct dray_images *im, const char *repo, bool digests,
                    struct dray_strlist *out)
{
    struct lh_entry *e;
    lh_foreach(im->refs, e)
    {
        const struct img_ref *r = lh_entry_v(e);
        dray_autofree char *of = dray_ref_key_repo(r->key);
        if (of && strcmp(of, repo) == 0 && dray_ref_key_is_digest(r->key) == digests)
            (void)dray_strlist_add(out, dray_ref_key_familiar(r->key));
    }
}

/* A repository means all its tags; anything else means itself. */
static void expand(struct dray_images *im, struct dray_strs names, struct dray_strlist *out)
{
    for (uint64_t i = 0; i < names.n; i++) {
        DRAY_AUTO(dray_ref) ref = {0};
        struct dray_strlist keys = {0};
        bool is_id = dray_digest_valid(names.v[i]) || dray_id_is_hex(names.v[i], 64, 64);
        if (!is_id && dray_ref_parse(names.v[i], &ref, NULL) == 0 && !ref.tag && !ref.digest) {
            pthread_mutex_lock(&im->lock);
            keys_of(im, ref.repo, false, &keys);
            if (!keys.n)
                keys_of(im, ref.repo, true, &keys);
            pthread_mutex_unlock(&im->lock);
            dray_strlist_sort(&keys);
        }
        for (size_t k = 0; k < keys.n; k++)
            (void)dray_strlist_add(out, keys.v[k]);
        if (!keys.n)
            (void)dray_strlist_add(out, names.v[i]);
        dray_strlist_free(&keys);
    }
}

/** A tag names itself, an id and a digest nothing. */
static int find(struct dray_images *im, const char *name, struct facts *f, struct dray_err *err)
{
    const char *key = NULL;
    pthread_mutex_lock(&im->lock);
    struct img *g = img_lookup(im, name, &key, err);
    if (g) {
        memcpy(f->id, g->id, sizeof f->id);
        memcpy(f->root.digest, g->manifest, sizeof f->root.digest);
        f->root.media_type = strdup(g->manifest_type ? g->manifest_type : MT_DOCKER_MANIFEST);
        f->root.size = g->manifest_size;
        for (size_t i = 0; i < g->n_parts; i++)
            (void)dray_strlist_add(&f->layers, g->parts[i].digest);
        if (key && !dray_ref_key_is_digest(key))
            (void)dray_strlist_add(&f->tags, dray_ref_key_familiar(key));
    }
    pthread_mutex_unlock(&im->lock);
    return g ? 0 : err ? err->code : DRAY_E_NOTFOUND;
}

static int set_root(struct facts *f, const struct img_desc *d, struct dray_err *err)
{
    img_desc_free(&f->root);
    f->root = (struct img_desc){.size = d->size, .media_type = strdup(d->media_type)};
    memcpy(f->root.digest, d->digest, sizeof f->root.digest);
    return f->root.media_type ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

/* One platform of an image instead of what is unpacked. */
static int take_variant(struct facts *f, const struct img_variant *v, struct dray_err *err)
{
    dray_strlist_free(&f->layers);
    memcpy(f->id, v->config, sizeof f->id);
    for (size_t i = 1; i < v->blobs.n; i++) /* the config is the first */
        if (!dray_strlist_add(&f->layers, v->blobs.v[i]))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return set_root(f, &v->manifest, err);
}

/* All platforms, when all are here: manifest.json names the unpacked one. */
static int take_index(struct facts *f, const struct img_variants *vs, struct dray_err *err)
{
    bool full = true;
    for (size_t i = 0; i < vs->n; i++) {
        full = full && dray_strlist_add(&f->blobs, vs->v[i].manifest.digest);
        for (size_t k = 0; full && k < vs->v[i].blobs.n; k++)
            full = dray_strlist_add(&f->blobs, vs->v[i].blobs.v[k]);
    }
    return full ? set_root(f, &vs->index, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

/* Which of the image's platforms are saved. */
static int choose(struct dray_images *im, const char *name, const char *platform, struct facts *f,
                  struct dray_err *err)
{
    DRAY_AUTO(img_variants) vs = {0};
    const struct img_variant *v = NULL;
    int rc = img_variants_open(im, name, &vs, err);
    if (!rc && platform)
        rc = img_variants_find(&vs, name, platform, &v, err);
    if (rc)
        return dray_err_note(err, "no suitable export target found");
    if (v && !v->own)
        return take_variant(f, v, err);
    return !platform && vs.index.digest[0] && vs.all_here ? take_index(f, &vs, err) : 0;
}

int dray_images_save_check(struct dray_images *im, struct dray_strs names, const char *platform,
                           struct dray_err *err)
{
    struct dray_err own = {0};
    struct dray_strlist all = {0};
    expand(im, names, &all);
    int rc = names.n ? 0 : dray_fail(err, DRAY_E_INVAL, "no images to save");
    for (size_t i = 0; !rc && i < all.n; i++) {
        struct facts f = {0};
        rc = find(im, all.v[i], &f, err ? err : &own);
        if (!rc && platform)
            rc = choose(im, all.v[i], platform, &f, err);
        facts_free(&f);
    }
    dray_strlist_free(&all);
    return rc;
}

static int fault(struct save *s, struct dray_err *err)
{
    return dray_fail(err, DRAY_E_CANCELED, "write the archive: %s", archive_error_string(s->out));
}

static int head(struct save *s, const char *path, uint64_t size, struct dray_err *err)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, path);
    archive_entry_set_size(e, (int64_t)size);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_mtime(e, 0, 0);
    int rc = archive_write_header(s->out, e);
    archive_entry_free(e);
    return rc < ARCHIVE_WARN ? fault(s, err) : 0;
}

static int put_text(struct save *s, const char *path, const char *text, struct dray_err *err)
{
    size_t n = strlen(text);
    int rc = head(s, path, n, err);
    return rc ? rc : archive_write_data(s->out, text, n) < 0 ? fault(s, err) : 0;
}

/* The bytes of a blob, which must still be those of its digest. */
static int put_bytes(struct save *s, const char *digest, int fd, struct dray_err *err)
{
    char got[DRAY_DIGEST_LEN];
    dray_autofree char *buf = malloc(CHUNK);
    struct dray_sha256 *sum = dray_sha256_new();
    int rc = buf && sum ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    while (!rc) {
        ssize_t n = read(fd, buf, CHUNK);
        if (n < 0)
            rc = dray_fail_errno(err, "read blob %s", digest);
        if (n <= 0)
            break;
        dray_sha256_add(sum, buf, (size_t)n);
        if (archive_write_data(s->out, buf, (size_t)n) < 0)
            rc = fault(s, err);
    }
    if (!rc) {
        dray_sha256_end(sum, got);
        rc = dray_blobs_compare(digest, got, err);
    }
    dray_sha256_free(sum);
    return rc;
}

static int put_blob(struct save *s, const char *digest, struct dray_err *err)
{
    if (json_object_object_get_ex(s->written, digest, NULL))
        return 0;
    dray_json_add_bool(s->written, digest, true);
    uint64_t size = 0;
    dray_autofd int fd = -EBADF;
    int rc = dray_blobs_get(s->im->blobs, digest, &fd, &size, err);
    dray_autofree char *path = dray_strf("blobs/sha256/%s", dray_digest_hex(digest));
    if (!rc && !path)
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc)
        rc = head(s, path, size, err);
    return rc ? rc : put_bytes(s, digest, fd, err);
}

static struct json_object *layer_paths(const struct facts *f)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < f->layers.n; i++) {
        dray_autofree char *path = dray_strf("blobs/sha256/%s", dray_digest_hex(f->layers.v[i]));
        json_object_array_add(list, json_object_new_string(path ? path : ""));
    }
    return list;
}

static void add_to_index(struct save *s, const struct facts *f)
{
    struct json_object *d = img_desc_json(&f->root);
    if (f->tags.n > 0) {
        DRAY_AUTO(dray_ref) ref = {0};
        struct json_object *notes = json_object_new_object();
        if (dray_ref_parse_tagged(f->tags.v[0], &ref, NULL) == 0) {
            dray_autofree char *key = dray_ref_key(&ref);
            json_object_object_add(notes, "io.containerd.image.name",
                                   json_object_new_string(key ? key : ""));
            json_object_object_add(notes, "org.opencontainers.image.ref.name",
                                   json_object_new_string(ref.tag ? ref.tag : ""));
        }
        dray_json_add(d, "annotations", notes);
    }
    json_object_array_add(s->index, d);
}

/** The row of manifest.json for a config; names of the same image share it. */
static void add_names(struct save *s, const struct facts *f)
{
    dray_autofree char *config = dray_strf("blobs/sha256/%s", dray_digest_hex(f->id));
    struct json_object *row = NULL;
    for (size_t i = 0; i < dray_json_len(s->names) && !row; i++) {
        struct json_object *r = json_object_array_get_idx(s->names, i);
        if (config && strcmp(dray_json_str(r, "Config", ""), config) == 0)
            row = r;
    }
    if (!row) {
        row = json_object_new_object();
        dray_json_add_str(row, "Config", config);
        dray_json_add(row, "RepoTags", f->tags.n ? json_object_new_array() : NULL);
        dray_json_add(row, "Layers", layer_paths(f));
        json_object_array_add(s->names, row);
        add_to_index(s, f);
    }
    if (f->tags.n && !dray_json_arr(row, "RepoTags"))
        dray_json_add(row, "RepoTags", json_object_new_array());
    for (size_t i = 0; i < f->tags.n; i++)
        json_object_array_add(dray_json_arr(row, "RepoTags"), json_object_new_string(f->tags.v[i]));
}

static int save_one(struct save *s, const char *name, struct dray_err *err)
{
    struct facts f = {0};
    int rc = find(s->im, name, &f, err);
    if (!rc && !(rc = img_settle(s->im, f.id, -1, err))) {
        facts_free(&f);
        f = (struct facts){0};
        rc = find(s->im, name, &f, err);
    }
    if (!rc)
        rc = choose(s->im, name, s->platform, &f, err);
    if (!rc)
        rc = put_blob(s, f.id, err);
    if (!rc)
        rc = put_blob(s, f.root.digest, err);
    for (size_t i = 0; !rc && i < f.blobs.n; i++)
        rc = put_blob(s, f.blobs.v[i], err);
    for (size_t i = 0; !rc && i < f.layers.n; i++)
        rc = put_blob(s, f.layers.v[i], err);
    if (!rc) {
        add_names(s, &f);
        img_event(s->im, f.id, f.id, "save");
    }
    facts_free(&f);
    return rc;
}

static int finish(struct save *s, struct dray_err *err)
{
    dray_autojson *index = json_object_new_object();
    dray_json_add_int(index, "schemaVersion", 2);
    dray_json_add_str(index, "mediaType", MT_OCI_INDEX);
    dray_json_add(index, "manifests", json_object_get(s->index));
    int rc = put_text(s, "index.json", dray_json_text(index), err);
    if (!rc)
        rc = put_text(s, "manifest.json", dray_json_text(s->names), err);
    if (!rc)
        rc = put_text(s, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}", err);
    if (!rc && archive_write_close(s->out) != ARCHIVE_OK)
        rc = fault(s, err);
    return rc;
}

static la_ssize_t write_out(struct archive *a, void *ctx, const void *data, size_t len)
{
    struct save *s = ctx;
    struct dray_err err = {0};
    if (s->abandoned || dray_fs_write_all(s->fd, data, len, &err) == 0)
        return (la_ssize_t)len;
    archive_set_error(a, err.os_errno, "%s", err.text);
    return -1;
}

/* libarchive frees the block that it fills in closing alone, also when it has failed; a tar that is
 * not whole gets no end. */
static void abandon(struct save *s)
{
    if (archive_filter_count(s->out) == 0)
        return; /* was never opened */
    s->abandoned = true;
    (void)archive_write_fail(s->out);
    (void)archive_write_close(s->out);
}

int dray_images_save(struct dray_images *im, struct dray_strs names, const char *platform,
                     int out_fd, struct dray_err *err)
{
    struct dray_err own = {0};
    struct save s = {.im = im,
                     .out = archive_write_new(),
                     .fd = out_fd,
                     .platform = platform,
                     .written = json_object_new_object(),
                     .index = json_object_new_array(),
                     .names = json_object_new_array()};
    if (!err)
        err = &own;
    int rc = s.out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc) {
        (void)archive_write_set_format_pax_restricted(s.out);
        (void)archive_write_set_bytes_per_block(s.out, 1 << 18);
        (void)archive_write_set_bytes_in_last_block(s.out, 1);
        if (archive_write_open(s.out, &s, NULL, write_out, NULL) != ARCHIVE_OK)
            rc = fault(&s, err);
    }
    struct dray_strlist all = {0};
    expand(im, names, &all);
    for (size_t i = 0; !rc && i < all.n; i++)
        rc = save_one(&s, all.v[i], err);
    dray_strlist_free(&all);
    if (!rc)
        rc = finish(&s, err);
    if (rc && s.out)
        abandon(&s);
    (void)archive_write_free(s.out);
    json_object_put(s.written);
    json_object_put(s.index);
    json_object_put(s.names);
    return rc;
}
