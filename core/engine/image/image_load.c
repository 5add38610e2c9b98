/* SPDX-License-Identifier: Apache-2.0 */
/* image_load.c - images from archives: OCI layouts, what docker save writes now, and its older
 * form. */
#include "engine/image/image_manifest.h"
#include "engine/image/image_variants.h"

#include "base/fs.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define ENTRIES_MAX 200000
#define SPOOL_PREFIX "load-"
#define BAR_STEP (512u << 10)

/** One archive, its files spooled into a folder of ours under numbers. */
struct load {
    struct dray_images *im;
    int dir;                   /* the folder */
    char name[48];             /* its name in data_root */
    struct json_object *files; /* path -> number as text, "@path" of a link, "#digest" of a blob */
    unsigned n;
    dray_progress_fn fn;
    void *ctx;
    int cancel_fd;
    const char *platform;   /* only this one of an index, or NULL */
    bool quiet;             /* no bars */
    struct img_blob **held; /* blobs that are used until the end */
    size_t n_held;
    struct img_ahead *ahead; /* unpacks what has come in, or NULL */
};

static int say(struct load *l, const char *fmt, const char *what)
{
    struct json_object *line = json_object_new_object();
    dray_autofree char *text = dray_strf("%s%s\n", fmt, what);
    dray_json_add_str(line, "stream", text);
    return l->fn ? l->fn(l->ctx, line) : (json_object_put(line), 0);
}

/* Spooling. */

/** "./a//b" -> "a/b"; false for what leaves the archive. */
static bool plain_path(const char *path, struct dray_buf *out)
{
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n == 2 && path[0] == '.' && path[1] == '.') {
            while (out->len > 0 && out->data[--out->len] != '/')
                ;
            if (out->data)
                out->data[out->len] = '\0';
        } else if (n > 0 && !(n == 1 && *path == '.')) {
            if (out->len > 0)
                dray_buf_addc(out, '/');
            dray_buf_add(out, path, n);
        }
        path += n;
        path += strspn(path, "/");
    }
    return out->len > 0 && !out->failed;
}

static int spool_file(struct load *l, struct archive *a, const char *path, struct dray_err *err)
{
    char number[16];
    (void)snprintf(number, sizeof number, "%u", l->n++);
    dray_autofd int fd = openat(l->dir, number, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return dray_fail_errno(err, "spool %s", path);
    for (;;) {
        const void *block;
        size_t size;
        int64_t offset;
        int rc = archive_read_data_block(a, &block, &size, &offset);
        if (rc == ARCHIVE_EOF)
            break;
        if (rc < ARCHIVE_WARN)
            return dray_fail(err, DRAY_E_INVAL, "read the archive: %s", archive_error_string(a));
        for (size_t at = 0; at < size;) {
            ssize_t n = pwrite(fd, (const char *)block + at, size - at, offset + (int64_t)at);
            if (n < 0)
                return dray_fail_errno(err, "spool %s", path);
            at += (size_t)n;
        }
        if (img_fd_ready(l->cancel_fd))
            return dray_fail(err, DRAY_E_CANCELED, "canceled");
    }
    dray_json_add_str(l->files, path, number);
    if (l->ahead)
        img_ahead_file(l->ahead, number, openat(l->dir, number, O_RDONLY | O_CLOEXEC));
    return 0;
}

/* A bar for what is not JSON: layers. */
static int show_bar(struct load *l, const char *digest, uint64_t at, uint64_t total)
{
    char id[13];
    (void)snprintf(id, sizeof id, "%.12s", dray_digest_hex(digest));
    return l->fn(l->ctx, img_progress_bar(id, "Loading layer", at, total));
}

static int blob_block(struct load *l, struct dray_ingest *in, const void *block, size_t size,
                      int64_t offset, struct dray_err *err)
{
    static const char zeros[4096];
    if (offset < (int64_t)dray_ingest_offset(in))
        return dray_fail(err, DRAY_E_CORRUPT, "the archive goes back in a file");
    int rc = img_fd_ready(l->cancel_fd) ? dray_fail(err, DRAY_E_CANCELED, "canceled") : 0;
    while (!rc && dray_ingest_offset(in) < (uint64_t)offset) { /* a hole */
        uint64_t gap = (uint64_t)offset - dray_ingest_offset(in);
        rc = dray_ingest_write(in, zeros, gap < sizeof zeros ? (size_t)gap : sizeof zeros, err);
    }
    img_flush_early(l->im, size);
    return rc ? rc : dray_ingest_write(in, block, size, err);
}

static int write_blob(struct load *l, struct archive *a, const char *digest, uint64_t total,
                      struct dray_ingest *in, struct dray_err *err)
{
    uint64_t shown = 0;
    bool bar = false;
    for (int rc = 0;;) {
        const void *block;
        size_t size;
        int64_t offset;
        int got = archive_read_data_block(a, &block, &size, &offset);
        if (got == ARCHIVE_EOF)
            break;
        if (got < ARCHIVE_WARN)
            return dray_fail(err, DRAY_E_INVAL, "read the archive: %s", archive_error_string(a));
        if (offset == 0 && size > 0)
            bar = !l->quiet && l->fn && *(const char *)block != '{';
        rc = blob_block(l, in, block, size, offset, err);
        if (!rc && bar && dray_ingest_offset(in) >= shown + BAR_STEP) {
            shown = dray_ingest_offset(in);
            if (show_bar(l, digest, shown, total) != 0)
                rc = dray_fail(err, DRAY_E_CANCELED, "canceled");
        }
        if (rc)
            return rc;
    }
    int rc = dray_ingest_commit(in, UINT64_MAX, NULL, err);
    if (!rc && bar && show_bar(l, digest, total, total) != 0)
        rc = dray_fail(err, DRAY_E_CANCELED, "canceled");
    return rc;
}

static int hold(struct load *l, struct img_blob *b, struct dray_err *err);

/* A file that is named by its digest goes where it belongs at once; verified on the way. */
static int spool_blob(struct load *l, struct archive *a, struct archive_entry *e,
                      const char *digest, struct dray_err *err)
{
    bool mine = false;
    struct img_blob *b = img_blob_ref(l->im, digest);
    int rc = b ? hold(l, b, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc)
        rc = img_blob_claim(l->im, b, l->cancel_fd, &mine, err);
    if (rc || !mine)
        return rc;
    dray_autoingest *in = NULL;
    rc = dray_ingest_open(l->im->blobs, digest, &in, err);
    if (!rc && dray_ingest_offset(in) > 0)
        rc = dray_ingest_restart(in, err);
    if (!rc)
        rc = write_blob(l, a, digest, (uint64_t)archive_entry_size(e), in, err);
    if (rc && in)
        (void)dray_ingest_restart(in, NULL); /* part of an archive is worth nothing */
    uint64_t size = 0;
    (void)dray_blobs_has(l->im->blobs, digest, &size);
    img_blob_done(l->im, b, rc == 0, size);
    return rc;
}

/* "blobs/sha256/<hex>": the digest that it must have. */
static bool blob_path(const char *path, char digest[DRAY_DIGEST_LEN])
{
    static const char blobs[] = "blobs/sha256/";
    if (!dray_str_prefix(path, blobs) || strlen(path) != sizeof blobs - 1 + 64)
        return false;
    (void)snprintf(digest, DRAY_DIGEST_LEN, "sha256:%s", path + sizeof blobs - 1);
    return dray_digest_valid(digest);
}

static int spool_entry(struct load *l, struct archive *a, struct archive_entry *e,
                       struct dray_err *err)
{
    char digest[DRAY_DIGEST_LEN];
    DRAY_AUTO(dray_buf) path = {0};
    if (!archive_entry_pathname(e) || !plain_path(archive_entry_pathname(e), &path))
        return 0;
    const char *hard = archive_entry_hardlink(e), *soft = archive_entry_symlink(e);
    if (hard || soft) {
        DRAY_AUTO(dray_buf) joined = {0};
        DRAY_AUTO(dray_buf) target = {0};
        const char *slash = strrchr(path.data, '/');
        if (soft && slash)
            dray_buf_add(&joined, path.data, (size_t)(slash - path.data + 1));
        dray_buf_adds(&joined, hard ? hard : soft);
        if (plain_path(joined.data, &target)) {
            dray_autofree char *link = dray_strf("@%s", target.data);
            dray_json_add_str(l->files, path.data, link);
        }
        return 0;
    }
    if (archive_entry_filetype(e) != AE_IFREG)
        return 0;
    if (!blob_path(path.data, digest))
        return spool_file(l, a, path.data, err);
    dray_autofree char *mark = dray_strf("#%s", digest);
    dray_json_add_str(l->files, path.data, mark);
    int rc = spool_blob(l, a, e, digest, err);
    if (!rc && l->ahead)
        img_ahead_blob(l->ahead, digest);
    return rc;
}

static int spool(struct load *l, int fd, struct dray_err *err)
{
    struct archive *a = archive_read_new();
    if (!a)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    (void)archive_read_support_filter_all(a);
    (void)archive_read_support_format_tar(a);
    int rc = 0;
    if (archive_read_open_fd(a, fd, 1 << 18) != ARCHIVE_OK)
        rc = dray_fail(err, DRAY_E_INVAL, "read the archive: %s", archive_error_string(a));
    while (!rc) {
        struct archive_entry *e;
        int got = archive_read_next_header(a, &e);
        if (got == ARCHIVE_EOF)
            break;
        if (got < ARCHIVE_WARN)
            rc = dray_fail(err, DRAY_E_INVAL, "read the archive: %s", archive_error_string(a));
        else if (l->n > ENTRIES_MAX)
            rc = dray_fail(err, DRAY_E_LIMIT, "the archive has too many entries");
        else
            rc = spool_entry(l, a, e, err);
    }
    archive_read_free(a);
    return rc;
}

/** Follow the archive's links: the number of a file or "#digest" of a blob; NULL: not there. */
static const char *find_file(struct load *l, const char *path)
{
    struct json_object *v = NULL;
    for (int depth = 0; depth < 8; depth++) {
        if (!json_object_object_get_ex(l->files, path, &v))
            return NULL;
        const char *at = json_object_get_string(v);
        if (*at != '@')
            return at;
        path = at + 1;
    }
    return NULL;
}

/** Open a file of the archive; -1 when it is not there. */
static int open_file(struct load *l, const char *path)
{
    int fd = -1;
    const char *at = find_file(l, path);
    if (!at || *at != '#')
        return at ? openat(l->dir, at, O_RDONLY | O_CLOEXEC) : -1;
    return dray_blobs_get(l->im->blobs, at + 1, &fd, NULL, NULL) ? -1 : fd;
}

static int read_doc(struct load *l, const char *path, struct json_object **out,
                    struct dray_buf *raw, struct dray_err *err)
{
    dray_autofd int fd = open_file(l, path);
    if (fd < 0)
        return dray_fail(err, DRAY_E_NOTFOUND, "the archive has no %s", path);
    int rc = dray_fs_read_fd(fd, CONFIG_MAX, raw, err);
    return rc ? rc : dray_json_parse(raw->data, raw->len, out, err);
}

static int hold(struct load *l, struct img_blob *b, struct dray_err *err)
{
    struct img_blob **v = realloc(l->held, (l->n_held + 1) * sizeof(struct img_blob *));
    if (!v) {
        img_blob_unref(l->im, b, false);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    l->held = v;
    v[l->n_held++] = b;
    return 0;
}

/* OCI layouts. */

static int take_blob(struct load *l, const char *digest, struct dray_err *err)
{
    if (!digest || !dray_digest_valid(digest))
        return dray_fail(err, DRAY_E_CORRUPT, "invalid digest in the archive");
    struct img_blob *b = NULL;
    int rc;
    dray_autofree char *path = dray_strf("blobs/sha256/%s", dray_digest_hex(digest));
    struct json_object *mark = NULL;
    bool placed = path && json_object_object_get_ex(l->files, path, &mark) &&
                  *json_object_get_string(mark) == '#';
    dray_autofd int fd = path && !placed ? open_file(l, path) : -1;
    if (fd < 0 && !dray_blobs_has(l->im->blobs, digest, NULL))
        return dray_fail(err, DRAY_E_NOTFOUND, "the archive has no blob %s", digest);
    if (fd < 0) {
        b = img_blob_ref(l->im, digest);
        rc = b ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    } else {
        rc = img_blob_take_fd(l->im, digest, fd, &b, err);
    }
    return rc ? rc : hold(l, b, err);
}

static int take_manifest(struct load *l, const char *digest, const char *index,
                         char id[DRAY_DIGEST_LEN], struct dray_err *err);

/* Has the archive, or this machine, the blob? Refers to it then. */
static bool has_blob(struct load *l, const char *digest)
{
    return take_blob(l, digest, NULL) == 0;
}

/* Take what is there of the manifests of an index, so that they can be looked at. */
static void take_variants(struct load *l, struct json_object *index)
{
    struct json_object *list = dray_json_arr(index, "manifests");
    for (size_t i = 0; i < dray_json_len(list); i++) {
        dray_autojson *doc = NULL;
        const char *digest = dray_json_str(json_object_array_get_idx(list, i), "digest", "");
        if (!has_blob(l, digest) || img_read_json(l->im, digest, MANIFEST_MAX, &doc, NULL) != 0)
            continue;
        (void)has_blob(l, dray_json_str(doc, "config.digest", NULL));
        struct json_object *layers = dray_json_arr(doc, "layers");
        for (size_t k = 0; k < dray_json_len(layers); k++)
            (void)has_blob(l, dray_json_str(json_object_array_get_idx(layers, k), "digest", NULL));
    }
}

/* The platform to unpack: the one that was asked for, this machine's, or the first. */
static int choose_variant(struct load *l, const struct img_variants *vs,
                          const struct img_variant **out, struct dray_err *err)
{
    dray_autofree char *host = dray_strf("linux/%s", img_host_arch());
    if (l->platform)
        return img_variants_find(vs, "", l->platform, out, NULL) == 0
                   ? 0
                   : dray_fail(err, DRAY_E_NOTFOUND,
                               "the archive does not provide the requested platform (%s)",
                               l->platform);
    if (host && img_variants_find(vs, "", host, out, NULL) == 0)
        return 0;
    for (size_t i = 0; i < vs->n && !*out; i++)
        if (vs->v[i].here && !vs->v[i].attestation)
            *out = &vs->v[i];
    return *out ? 0 : dray_fail(err, DRAY_E_NOTFOUND, "the archive has no image");
}

/* The image keeps what else of its index is here. */
static int keep_others(struct load *l, const struct img_variants *vs,
                       const struct img_variant *chosen, const struct img_desc *index,
                       const char *id, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) blobs = {0};
    bool full = true;
    for (size_t i = 0; full && !l->platform && i < vs->n; i++) {
        const struct img_variant *v = &vs->v[i];
        if (v == chosen || !v->here)
            continue;
        full = dray_strlist_add(&blobs, v->manifest.digest);
        for (size_t k = 0; full && k < v->blobs.n; k++)
            full =
                dray_strlist_has(&blobs, v->blobs.v[k]) || dray_strlist_add(&blobs, v->blobs.v[k]);
    }
    return full ? img_keep_variants(l->im, id, index, &blobs, err)
                : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int take_index(struct load *l, struct json_object *doc, const char *digest,
                      char id[DRAY_DIGEST_LEN], struct dray_err *err)
{
    DRAY_AUTO(img_variants) vs = {0};
    const struct img_variant *v = NULL;
    struct img_desc index = {.media_type =
                                 (char *)(uintptr_t)dray_json_str(doc, "mediaType", MT_OCI_INDEX)};
    (void)snprintf(index.digest, sizeof index.digest, "%s", digest);
    take_variants(l, doc);
    int rc = img_variants_of_index(l->im, &index, "", &vs, err);
    if (!rc)
        rc = choose_variant(l, &vs, &v, err);
    if (!rc)
        rc = take_manifest(l, v->manifest.digest, digest, id, err);
    return rc ? rc : keep_others(l, &vs, v, &index, id, err);
}

static int not_the_platform(struct load *l, struct json_object *config, struct dray_err *err)
{
    return dray_fail(
        err, DRAY_E_NOTFOUND, "requested platform (%s) does not match the image's platform (%s/%s)",
        l->platform, dray_json_str(config, "os", ""), dray_json_str(config, "architecture", ""));
}

/* Is an image of one platform the one that was asked for? */
static int check_platform(struct load *l, const char *config_digest, struct dray_err *err)
{
    dray_autojson *config = NULL;
    int rc = l->platform ? img_read_json(l->im, config_digest, CONFIG_MAX, &config, err) : 0;
    if (rc || !l->platform || img_platform_is(config, l->platform))
        return rc;
    return not_the_platform(l, config, err);
}

/* The layer of a blob on top of parent: one that is here, one unpacked ahead, or a new one. */
static int take_layer(struct load *l, const char *digest, struct img_layer *parent,
                      const char *diff, struct img_layer **out, struct dray_err *err)
{
    bool mine = false;
    uint64_t size = 0;
    *out = img_layer_known(l->im, parent, diff);
    int rc = *out ? 0 : img_ahead_take_blob(l->ahead, digest, parent, diff, l->cancel_fd, out, err);
    if (rc != DRAY_E_NOTFOUND)
        return rc;
    rc = img_layer_claim(l->im, parent, diff, l->cancel_fd, out, &mine, err);
    if (rc || !mine)
        return rc;
    rc = img_unpack_blob(l->im, *out, digest, diff, l->cancel_fd, NULL, &size, err);
    int ended = img_layer_done(l->im, *out, rc == 0, size, rc ? NULL : err);
    rc = rc ? rc : ended;
    if (rc)
        img_layer_unref(l->im, dray_steal(*out));
    return rc;
}

/* The layers of a manifest whose blobs are here; *top_out is referred to, or NULL for none. */
static int take_chain(struct load *l, struct json_object *layers, struct json_object *diffs,
                      struct img_layer **top_out, struct dray_err *err)
{
    int rc = 0;
    size_t n = dray_json_len(layers);
    *top_out = NULL;
    if (!l->ahead || n != dray_json_len(diffs))
        return 0; /* img_assemble() goes its own way, or finds what is wrong */
    for (size_t i = 0; !rc && i < n; i++) {
        struct img_layer *next = NULL;
        const char *diff = json_object_get_string(json_object_array_get_idx(diffs, i));
        const char *digest = dray_json_str(json_object_array_get_idx(layers, i), "digest", "");
        if (!diff || !dray_digest_valid(diff))
            rc =
                dray_fail(err, DRAY_E_CORRUPT, "the configuration has no valid diff id %zu", i + 1);
        if (!rc)
            rc = take_layer(l, digest, *top_out, diff, &next, err);
        img_layer_unref(l->im, *top_out);
        *top_out = next;
    }
    return rc;
}

static int take_manifest(struct load *l, const char *digest, const char *index,
                         char id[DRAY_DIGEST_LEN], struct dray_err *err)
{
    dray_autojson *doc = NULL;
    dray_autojson *image = NULL;
    struct img_layer *top = NULL;
    int rc = take_blob(l, digest, err);
    if (!rc)
        rc = img_read_json(l->im, digest, MANIFEST_MAX, &doc, err);
    if (rc)
        return rc;
    if (dray_json_arr(doc, "manifests"))
        return index ? dray_fail(err, DRAY_E_CORRUPT, "an index within an index")
                     : take_index(l, doc, digest, id, err);
    const char *config = dray_json_str(doc, "config.digest", NULL);
    rc = take_blob(l, config, err);
    if (!rc && !index)
        rc = check_platform(l, config, err);
    struct json_object *layers = dray_json_arr(doc, "layers");
    for (size_t i = 0; !rc && i < dray_json_len(layers); i++)
        rc = take_blob(l, dray_json_str(json_object_array_get_idx(layers, i), "digest", NULL), err);
    if (!rc)
        rc = img_read_json(l->im, config, CONFIG_MAX, &image, err);
    if (!rc)
        rc = take_chain(l, layers, dray_json_arr(image, "rootfs.diff_ids"), &top, err);
    if (!rc)
        rc = img_assemble(l->im, digest, index, top, l->cancel_fd, id, err);
    img_layer_unref(l->im, top);
    return rc;
}

static int name_image(struct load *l, const char *name, const char *id, struct dray_err *err)
{
    DRAY_AUTO(dray_ref) ref = {0};
    int rc = dray_ref_parse_tagged(name, &ref, err);
    if (!rc)
        rc = dray_images_tag(l->im, id, name, err);
    dray_autofree char *key = rc ? NULL : dray_ref_key(&ref);
    return rc ? rc : say(l, "Loaded image: ", dray_ref_key_familiar(key));
}

/** Names that manifest.json, when there is one as well, has for a config. */
static struct json_object *repo_tags(struct json_object *manifest_json, const char *id)
{
    for (size_t i = 0; i < dray_json_len(manifest_json); i++) {
        struct json_object *m = json_object_array_get_idx(manifest_json, i);
        if (strstr(dray_json_str(m, "Config", ""), dray_digest_hex(id)))
            return dray_json_arr(m, "RepoTags");
    }
    return NULL;
}

static int load_layout(struct load *l, struct json_object *index, struct json_object *names,
                       struct dray_err *err)
{
    struct json_object *list = dray_json_arr(index, "manifests");
    int rc = dray_json_len(list) ? 0 : dray_fail(err, DRAY_E_INVAL, "the archive has no image");
    for (size_t i = 0; !rc && i < dray_json_len(list); i++) {
        struct json_object *d = json_object_array_get_idx(list, i);
        struct json_object *notes = dray_json_obj(d, "annotations"), *v = NULL;
        char id[DRAY_DIGEST_LEN] = "";
        rc = take_manifest(l, dray_json_str(d, "digest", NULL), NULL, id, err);
        if (rc)
            break;
        struct json_object *tags = repo_tags(names, id);
        const char *name = NULL;
        if (notes && (json_object_object_get_ex(notes, "io.containerd.image.name", &v) ||
                      json_object_object_get_ex(notes, "org.opencontainers.image.ref.name", &v)))
            name = json_object_get_string(v);
        for (size_t k = 0; !rc && k < dray_json_len(tags); k++)
            rc = name_image(l, json_object_get_string(json_object_array_get_idx(tags, k)), id, err);
        if (!rc && dray_json_len(tags) == 0 && name && strchr(name, ':'))
            rc = name_image(l, name, id, err);
        else if (!rc && dray_json_len(tags) == 0)
            rc = say(l, "Loaded image ID: ", id);
        if (!rc)
            img_event(l->im, id, id, "load");
    }
    return rc;
}

/* The older form: a config and layer tars by name. */

/** The layers of one image, unpacked; the topmost is referred to. */
struct layers {
    struct img_part *parts;
    size_t n;
    struct img_layer *top;
};

/* A layer tar by name on top of parent: unpacked ahead, or now. */
static int take_tar(struct load *l, const char *path, struct img_layer *parent, const char *diff,
                    struct img_intake_result *out, struct dray_err *err)
{
    dray_autofd int fd = path ? open_file(l, path) : -1;
    if (fd < 0 || !diff)
        return dray_fail(err, DRAY_E_NOTFOUND, "the archive has no layer %s", path ? path : "");
    int rc = DRAY_E_NOTFOUND;
    if (l->ahead)
        rc =
            img_ahead_take_file(l->ahead, find_file(l, path), parent, diff, l->cancel_fd, out, err);
    if (rc == DRAY_E_NOTFOUND)
        rc = img_intake_fd(l->im, parent, fd, l->cancel_fd, out, err);
    return rc;
}

static int take_layers(struct load *l, struct json_object *layers, struct json_object *diffs,
                       struct layers *out, struct dray_err *err)
{
    for (size_t i = 0; i < dray_json_len(layers); i++) {
        const char *path = json_object_get_string(json_object_array_get_idx(layers, i));
        const char *want = json_object_get_string(json_object_array_get_idx(diffs, i));
        struct img_intake_result r = {0};
        int rc = take_tar(l, path, out->top, want, &r, err);
        if (rc)
            return rc;
        img_layer_unref(l->im, out->top);
        out->top = r.layer;
        rc = hold(l, r.blob, err);
        if (!rc && strcmp(r.diff, want) != 0)
            rc = dray_fail(err, DRAY_E_CORRUPT,
                           "invalid diffID for layer %zu: expected \"%s\", "
                           "got \"%s\"",
                           i, want, r.diff);
        if (rc)
            return rc;
        out->parts[i] =
            (struct img_part){.size = r.blob_size, .media_type = (char *)(uintptr_t)r.media_type};
        memcpy(out->parts[i].digest, r.digest, sizeof r.digest);
        memcpy(out->parts[i].diff, r.diff, sizeof r.diff);
    }
    return 0;
}

/** Write the manifest that such an archive lacks, then it is as any other image. */
static int make_manifest(struct load *l, struct dray_buf *config, const struct layers *layers,
                         char id[DRAY_DIGEST_LEN], struct dray_err *err)
{
    struct img_blob *cb = NULL, *mb = NULL;
    const char *type = NULL;
    int rc = img_blob_put(l->im, config->data, config->len, &cb, err);
    if (!rc)
        rc = hold(l, cb, err);
    if (rc)
        return rc;
    dray_autojson *m = img_manifest(cb->digest, config->len, layers->parts, layers->n, &type);
    const char *text = dray_json_text(m);
    rc = img_blob_put(l->im, text, strlen(text), &mb, err);
    if (!rc)
        rc = hold(l, mb, err);
    return rc ? rc : img_assemble(l->im, mb->digest, NULL, layers->top, l->cancel_fd, id, err);
}

/* The spooled files are not needed any more: what is not on the disk yet shall never go there. */
static void drop_files(struct load *l)
{
    for (unsigned i = 0; i < l->n; i++) {
        char number[16];
        (void)snprintf(number, sizeof number, "%u", i);
        (void)unlinkat(l->dir, number, 0);
    }
}

static int load_one(struct load *l, struct json_object *m, bool last, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) raw = {0};
    dray_autojson *config = NULL;
    struct json_object *layers = dray_json_arr(m, "Layers"), *tags = dray_json_arr(m, "RepoTags");
    int rc = read_doc(l, dray_json_str(m, "Config", ""), &config, &raw, err);
    if (rc)
        return rc;
    struct json_object *diffs = dray_json_arr(config, "rootfs.diff_ids");
    size_t n = dray_json_len(layers);
    if (l->platform && !img_platform_is(config, l->platform))
        return not_the_platform(l, config, err);
    if (n != dray_json_len(diffs))
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid manifest, layers length mismatch: expected %zu, got %zu",
                         dray_json_len(diffs), n);
    dray_autofree struct img_part *parts = calloc(n + 1, sizeof *parts);
    struct layers made = {.parts = parts, .n = n};
    char id[DRAY_DIGEST_LEN] = "";
    rc = parts ? take_layers(l, layers, diffs, &made, err)
               : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (last)
        drop_files(l);
    if (!rc)
        rc = make_manifest(l, &raw, &made, id, err);
    img_layer_unref(l->im, made.top);
    for (size_t i = 0; !rc && i < dray_json_len(tags); i++)
        rc = name_image(l, json_object_get_string(json_object_array_get_idx(tags, i)), id, err);
    if (!rc && dray_json_len(tags) == 0)
        rc = say(l, "Loaded image ID: ", id);
    if (!rc)
        img_event(l->im, id, id, "load");
    return rc;
}

static int load_all(struct load *l, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) raw = {0};
    DRAY_AUTO(dray_buf) raw_index = {0};
    dray_autojson *names = NULL;
    dray_autojson *index = NULL;
    int have_names = read_doc(l, "manifest.json", &names, &raw, err);
    if (have_names != 0 && have_names != DRAY_E_NOTFOUND)
        return have_names;
    int have_index = read_doc(l, "index.json", &index, &raw_index, err);
    if (have_index == 0)
        return load_layout(l, index, names, err);
    if (have_index != DRAY_E_NOTFOUND)
        return have_index;
    if (have_names != 0 || !json_object_is_type(names, json_type_array))
        return dray_fail(err, DRAY_E_INVAL, "open manifest.json: no such file or directory");
    int rc = 0;
    size_t n = dray_json_len(names);
    for (size_t i = 0; !rc && i < n; i++)
        rc = load_one(l, json_object_array_get_idx(names, i), i + 1 == n, err);
    return rc;
}

void img_drop_spools(struct dray_images *im)
{
    DRAY_AUTO(dray_strlist) names = {0};
    int fd = openat(im->data_fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        dray_cleanup_fd(&fd);
        return;
    }
    for (struct dirent *e = readdir(d); e; e = readdir(d))
        if (dray_str_prefix(e->d_name, SPOOL_PREFIX))
            (void)dray_strlist_add(&names, e->d_name);
    for (size_t i = 0; i < names.n; i++)
        (void)dray_fs_remove_tree(dirfd(d), names.v[i], NULL);
    (void)closedir(d);
}

int dray_images_load(struct dray_images *im, const struct dray_load_req *req, dray_progress_fn fn,
                     void *ctx, struct dray_err *err)
{
    struct load l = {.im = im,
                     .dir = -EBADF,
                     .fn = fn,
                     .ctx = ctx,
                     .cancel_fd = req->cancel_fd,
                     .platform = req->platform,
                     .quiet = req->quiet};
    char tail[13];
    dray_id_hex(tail, sizeof tail - 1);
    (void)snprintf(l.name, sizeof l.name, "tmp/" SPOOL_PREFIX "%s", tail);
    int rc = dray_fs_open_dir(im->data_fd, l.name, 0700, &l.dir, err);
    if (rc)
        return rc;
    l.files = json_object_new_object();
    rc = img_ahead_open(im, &l.ahead, err);
    if (!rc)
        rc = spool(&l, req->fd, err);
    if (!rc)
        rc = load_all(&l, err);
    img_ahead_close(l.ahead);
    for (size_t i = 0; i < l.n_held; i++)
        img_blob_unref(im, l.held[i], false);
    free(l.held);
    json_object_put(l.files);
    (void)close(l.dir);
    (void)dray_fs_remove_tree(im->data_fd, l.name, NULL);
    return rc;
}
