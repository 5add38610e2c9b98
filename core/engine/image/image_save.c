/* SPDX-License-Identifier: Apache-2.0 */
/* image_save.c - images into an archive that is a docker-archive and an OCI layout at once.
 *
 * As dockerd writes it: layers are plain tars, so that whoever untars them needs no decompressor,
 * and a manifest that says so is made for each image. An image all of whose platforms are here is
 * saved with its index, for which the blobs go as they came.
 */
#include "engine/image/image_save.h"

#include "base/clock.h"
#include "base/fs.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>

#define CHUNK (1u << 20)

/** A file in blobs/sha256/. */
struct item {
    char digest[DRAY_DIGEST_LEN];
    uint64_t size;
    int64_t time;
    char *text;           /* the content, or NULL */
    bool raw;             /* the content is a blob as it came */
    struct img_part part; /* otherwise, or the digest of that blob */
};

/** One archive under way. */
struct save {
    struct dray_images *im;
    struct archive *out;
    int fd;
    const char *platform; /* or NULL */
    struct img_saved *images;
    size_t n_images;
    struct item *items;
    size_t n_items;
    bool abandoned; /* nothing more goes out */
};

/* --- what of them -----------------------------------------------------------------------------*/

/* A file, unless the archive has it; *out NULL then. */
static int add_item(struct save *s, const char *digest, const struct img_saved *of,
                    struct item **out, struct dray_err *err)
{
    *out = NULL;
    for (size_t i = 0; i < s->n_items; i++)
        if (strcmp(s->items[i].digest, digest) == 0)
            return 0;
    struct item *v = realloc(s->items, (s->n_items + 1) * sizeof *v);
    if (!v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->items = v;
    v = &s->items[s->n_items++];
    *v = (struct item){.time = of->created};
    (void)snprintf(v->digest, sizeof v->digest, "%s", digest);
    *out = v;
    return 0;
}

static int add_blob(struct save *s, const char *digest, const struct img_saved *of,
                    struct dray_err *err)
{
    dray_autofd int fd = -EBADF;
    struct item *it = NULL;
    int rc = add_item(s, digest, of, &it, err);
    if (rc || !it)
        return rc;
    it->raw = true;
    memcpy(it->part.digest, it->digest, sizeof it->part.digest);
    return dray_blobs_get(s->im->blobs, digest, &fd, &it->size, err);
}

static int add_plain(struct save *s, struct img_part *p, const struct img_saved *of,
                     struct dray_err *err)
{
    struct item *it = NULL;
    int rc = add_item(s, p->diff, of, &it, err);
    if (rc || !it) {
        for (size_t i = 0; i < s->n_items; i++)
            if (strcmp(s->items[i].digest, p->diff) == 0)
                p->size = s->items[i].size;
        return rc;
    }
    it->part = *p;
    rc = img_plain_size(s->im, p, &it->size, err);
    p->size = it->size;
    return rc;
}

/* The manifest with plain layers. */
static int add_manifest(struct save *s, struct img_saved *g, uint64_t config_size,
                        struct dray_err *err)
{
    struct item *it = NULL;
    dray_autojson *doc = img_plain_manifest(g, config_size);
    const char *text = dray_json_text(doc);
    struct img_desc root = {.media_type = (char *)(uintptr_t)MT_OCI_MANIFEST, .size = strlen(text)};
    dray_digest_of(text, root.size, root.digest);
    int rc = img_saved_set_root(g, &root, err);
    if (!rc)
        rc = add_item(s, root.digest, &(struct img_saved){0}, &it, err);
    if (rc || !it)
        return rc;
    it->size = root.size;
    it->text = strdup(text);
    return it->text ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int add_plain_image(struct save *s, struct img_saved *g, struct dray_err *err)
{
    uint64_t config_size = 0;
    int rc = add_blob(s, g->id, g, err);
    (void)dray_blobs_has(s->im->blobs, g->id, &config_size);
    for (size_t i = 0; !rc && i < g->n_parts; i++)
        rc = add_plain(s, &g->parts[i], g, err);
    return rc ? rc : add_manifest(s, g, config_size, err);
}

/* All platforms with their index. */
static int add_whole_image(struct save *s, struct img_saved *g, const struct img_variants *vs,
                           struct dray_err *err)
{
    int rc = img_saved_set_root(g, &vs->index, err);
    if (!rc)
        rc = add_blob(s, g->root.digest, g, err);
    for (size_t i = 0; !rc && i < vs->n; i++) {
        rc = add_blob(s, vs->v[i].manifest.digest, g, err);
        for (size_t k = 0; !rc && k < vs->v[i].blobs.n; k++)
            rc = add_blob(s, vs->v[i].blobs.v[k], g, err);
    }
    return rc;
}

/* The image of that config that is in the list. */
static struct img_saved *find_saved(struct save *s, const char *id)
{
    for (size_t i = 0; i < s->n_images; i++)
        if (strcmp(s->images[i].id, id) == 0)
            return &s->images[i];
    return NULL;
}

static int read_created(struct save *s, struct img_saved *g, struct dray_err *err)
{
    dray_autojson *config = NULL;
    int64_t ns = 0;
    int rc = img_read_json(s->im, g->id, CONFIG_MAX, &config, err);
    if (!rc && dray_time_parse(dray_json_str(config, "created", ""), &ns) && ns > 0)
        g->created = ns / DRAY_NS_PER_S;
    return rc;
}

static int add_name(struct img_saved *g, struct img_saved *other, struct dray_err *err)
{
    bool full = true;
    for (size_t i = 0; full && i < other->tags.n; i++)
        full = dray_strlist_has(&g->tags, other->tags.v[i]) ||
               dray_strlist_add(&g->tags, other->tags.v[i]);
    img_saved_free(other);
    return full ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

/* One name: its image, or one more name of an image that is in the list. */
static int add_image(struct save *s, const char *name, struct dray_err *err)
{
    DRAY_AUTO(img_variants) vs = {0};
    struct img_saved g = {0};
    int rc = img_save_pick(s->im, name, s->platform, &vs, &g, err);
    struct img_saved *known = rc ? NULL : find_saved(s, g.id);
    if (known)
        return add_name(known, &g, err);
    if (!rc)
        rc = read_created(s, &g, err);
    if (!rc)
        rc = g.whole ? add_whole_image(s, &g, &vs, err) : add_plain_image(s, &g, err);
    struct img_saved *v =
        rc ? NULL : realloc(s->images, (s->n_images + 1) * sizeof(struct img_saved));
    if (!rc && !v)
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc) {
        img_saved_free(&g);
        return rc;
    }
    s->images = v;
    s->images[s->n_images++] = g;
    return 0;
}

/* --- the archive ------------------------------------------------------------------------------*/

static int fault(struct save *s, struct dray_err *err)
{
    return dray_fail(err, DRAY_E_CANCELED, "write the archive: %s", archive_error_string(s->out));
}

static int head(struct save *s, const char *path, unsigned type, uint64_t size, int64_t time,
                struct dray_err *err)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, path);
    archive_entry_set_size(e, (int64_t)size);
    archive_entry_set_filetype(e, type);
    archive_entry_set_perm(e, type == AE_IFDIR ? 0755 : 0644);
    archive_entry_set_mtime(e, time, 0);
    int rc = archive_write_header(s->out, e);
    archive_entry_free(e);
    return rc < ARCHIVE_WARN ? fault(s, err) : 0;
}

static int put_text(struct save *s, const char *path, const char *text, struct dray_err *err)
{
    size_t n = strlen(text);
    int rc = head(s, path, AE_IFREG, n, 0, err);
    return rc ? rc : archive_write_data(s->out, text, n) < 0 ? fault(s, err) : 0;
}

struct filling {
    struct save *s;
    uint64_t left;
};

static int fill(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    struct filling *f = ctx;
    if (len > f->left)
        return dray_fail(err, DRAY_E_CORRUPT, "a blob is longer than it was");
    f->left -= len;
    return archive_write_data(f->s->out, data, len) < 0 ? fault(f->s, err) : 0;
}

/* A blob as it came. */
static int put_raw(struct save *s, const char *digest, struct filling *f, struct dray_err *err)
{
    dray_autofd int fd = -EBADF;
    dray_autofree char *buf = malloc(CHUNK);
    int rc = buf ? dray_blobs_get(s->im->blobs, digest, &fd, NULL, err)
                 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    while (!rc) {
        ssize_t n = read(fd, buf, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = dray_fail_errno(err, "read blob %s", digest);
        if (n <= 0)
            break;
        rc = fill(f, buf, (size_t)n, err);
    }
    return rc;
}

static int put_item(struct save *s, const struct item *it, struct dray_err *err)
{
    struct filling f = {s, it->size};
    dray_autofree char *path = dray_strf("blobs/sha256/%s", dray_digest_hex(it->digest));
    if (!path)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (it->text)
        return put_text(s, path, it->text, err);
    int rc = head(s, path, AE_IFREG, it->size, it->time, err);
    if (!rc)
        rc = it->raw ? put_raw(s, it->part.digest, &f, err)
                     : img_plain_write(s->im, &it->part, fill, &f, err);
    return rc || f.left == 0 ? rc : dray_fail(err, DRAY_E_CORRUPT, "a blob is shorter than it was");
}

static int by_digest(const void *a, const void *b)
{
    return strcmp(((const struct item *)a)->digest, ((const struct item *)b)->digest);
}

static int put_files(struct save *s, struct dray_err *err)
{
    int64_t time = s->images[0].created;
    int rc = head(s, "blobs/", AE_IFDIR, 0, time, err);
    if (!rc)
        rc = head(s, "blobs/sha256/", AE_IFDIR, 0, time, err);
    for (size_t i = 0; !rc && i < s->n_items; i++)
        rc = put_item(s, &s->items[i], err);
    return rc;
}

/* The files, each of which must be what it was; the tables that make an archive of them come after.
 */
static int put_items(struct save *s, struct dray_err *err)
{
    struct dray_err why = {0};
    struct img_save_check *check = NULL;
    size_t n = 0;
    dray_autofree struct img_part *parts = calloc(s->n_items + 1, sizeof *parts);
    if (!parts)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    qsort(s->items, s->n_items, sizeof *s->items, by_digest);
    for (size_t i = 0; i < s->n_items; i++)
        if (!s->items[i].text)
            parts[n++] = s->items[i].part;
    int rc = img_save_check_begin(s->im, parts, n, &check, err);
    if (rc)
        return rc;
    rc = put_files(s, err);
    int wrong = img_save_check_end(check, rc != 0, &why);
    if (!wrong || (rc && wrong == DRAY_E_CANCELED))
        return rc;
    *err = why; /* also where it could not be inflated */
    return wrong;
}

static int put_line(struct save *s, const char *path, struct json_object *o, struct dray_err *err)
{
    dray_autofree char *line = dray_strf("%s\n", dray_json_text(o));
    return line ? put_text(s, path, line, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int put_tables(struct save *s, struct dray_err *err)
{
    dray_autojson *index = img_saved_index(s->images, s->n_images);
    dray_autojson *names = img_saved_names(s->images, s->n_images);
    dray_autojson *repositories = img_saved_repositories(s->images, s->n_images);
    int rc = put_text(s, "index.json", dray_json_text(index), err);
    if (!rc)
        rc = put_line(s, "manifest.json", names, err);
    if (!rc)
        rc = put_text(s, "oci-layout", "{\"imageLayoutVersion\": \"1.0.0\"}", err);
    if (!rc && json_object_object_length(repositories) > 0)
        rc = put_line(s, "repositories", repositories, err);
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

static int open_archive(struct save *s, struct dray_err *err)
{
    s->out = archive_write_new();
    if (!s->out)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    (void)archive_write_set_format_pax_restricted(s->out);
    (void)archive_write_set_bytes_per_block(s->out, 0); /* pieces are large */
    return archive_write_open(s->out, s, NULL, write_out, NULL) == ARCHIVE_OK ? 0 : fault(s, err);
}

static void close_archive(struct save *s, bool failed)
{
    if (failed && s->out)
        abandon(s);
    (void)archive_write_free(s->out);
    for (size_t i = 0; i < s->n_images; i++)
        img_saved_free(&s->images[i]);
    for (size_t i = 0; i < s->n_items; i++)
        free(s->items[i].text);
    free(s->images);
    free(s->items);
}

int dray_images_save(struct dray_images *im, struct dray_strs names, const char *platform,
                     int out_fd, struct dray_err *err)
{
    struct dray_err own = {0};
    struct save s = {.im = im, .fd = out_fd, .platform = platform};
    struct dray_strlist all = {0};
    if (!err)
        err = &own;
    img_save_expand(im, names, &all);
    int rc = all.n ? open_archive(&s, err) : dray_fail(err, DRAY_E_INVAL, "no images to save");
    for (size_t i = 0; !rc && i < all.n; i++)
        rc = add_image(&s, all.v[i], err);
    dray_strlist_free(&all);
    if (!rc)
        rc = put_items(&s, err);
    if (!rc)
        rc = put_tables(&s, err);
    for (size_t i = 0; !rc && i < s.n_images; i++)
        img_event(im, s.images[i].id, s.images[i].id, "save");
    close_archive(&s, rc != 0);
    return rc;
}
