/* SPDX-License-Identifier: Apache-2.0 */
/* image_load.c - images from archives: OCI layouts, what docker save writes now, and its older
 * form. */
#include "engine/image/image_load.h"

#include "base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

/* OCI layouts. */

static int take_blob(struct img_load *l, const char *digest, struct dray_err *err)
{
    if (!digest || !dray_digest_valid(digest))
        return dray_fail(err, DRAY_E_CORRUPT, "invalid digest in the archive");
    struct img_blob *b = NULL;
    int rc;
    dray_autofree char *path = dray_strf("blobs/sha256/%s", dray_digest_hex(digest));
    struct json_object *mark = NULL;
    bool placed = path && json_object_object_get_ex(l->files, path, &mark) &&
                  *json_object_get_string(mark) == '#';
    dray_autofd int fd = path && !placed ? img_load_open(l, path) : -1;
    if (fd < 0 && !dray_blobs_has(l->im->blobs, digest, NULL))
        return dray_fail(err, DRAY_E_NOTFOUND, "the archive has no blob %s", digest);
    if (fd < 0) {
        b = img_blob_ref(l->im, digest);
        rc = b ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    } else {
        rc = img_blob_take_fd(l->im, digest, fd, &b, err);
    }
    return rc ? rc : img_load_hold(l, b, err);
}

static int take_manifest(struct img_load *l, const char *digest, const char *index,
                         char id[DRAY_DIGEST_LEN], struct dray_err *err);

/* Has the archive, or this machine, the blob? Refers to it then. */
static bool has_blob(struct img_load *l, const char *digest)
{
    return take_blob(l, digest, NULL) == 0;
}

/* Take what is there of the manifests of an index, so that they can be looked at. */
static void take_variants(struct img_load *l, struct json_object *index)
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
static int choose_variant(struct img_load *l, const struct img_variants *vs,
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
static int keep_others(struct img_load *l, const struct img_variants *vs,
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

static int take_index(struct img_load *l, struct json_object *doc, const char *digest,
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

static int not_the_platform(struct img_load *l, struct json_object *config, struct dray_err *err)
{
    return dray_fail(
        err, DRAY_E_NOTFOUND, "requested platform (%s) does not match the image's platform (%s/%s)",
        l->platform, dray_json_str(config, "os", ""), dray_json_str(config, "architecture", ""));
}

/* Is an image of one platform the one that was asked for? */
static int check_platform(struct img_load *l, const char *config_digest, struct dray_err *err)
{
    dray_autojson *config = NULL;
    int rc = l->platform ? img_read_json(l->im, config_digest, CONFIG_MAX, &config, err) : 0;
    if (rc || !l->platform || img_platform_is(config, l->platform))
        return rc;
    return not_the_platform(l, config, err);
}

/* Layers that are tars by name. */

/** The layers of one image, unpacked; the topmost is referred to. */
struct layers {
    struct img_part *parts;
    size_t n;
    struct img_layer *top;
};

/* A layer tar by name on top of parent: unpacked ahead, or now. */
static int take_tar(struct img_load *l, const char *path, struct img_layer *parent,
                    const char *diff, struct img_intake_result *out, struct dray_err *err)
{
    dray_autofd int fd = path ? img_load_open(l, path) : -1;
    if (fd < 0 || !diff)
        return dray_fail(err, DRAY_E_NOTFOUND, "the archive has no layer %s", path ? path : "");
    int rc = DRAY_E_NOTFOUND;
    if (l->ahead)
        rc = img_ahead_take_file(l->ahead, img_load_find(l, path), parent, diff, l->cancel_fd, out,
                                 err);
    if (rc == DRAY_E_NOTFOUND)
        rc = img_intake_fd(l->im, parent, fd, l->cancel_fd, out, err);
    return rc;
}

static int take_layers(struct img_load *l, struct json_object *layers, struct json_object *diffs,
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
        rc = img_load_hold(l, r.blob, err);
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
static int make_manifest(struct img_load *l, struct dray_buf *config, const struct layers *layers,
                         char id[DRAY_DIGEST_LEN], struct dray_err *err)
{
    struct img_blob *cb = NULL, *mb = NULL;
    const char *type = NULL;
    int rc = img_blob_put(l->im, config->data, config->len, &cb, err);
    if (!rc)
        rc = img_load_hold(l, cb, err);
    if (rc)
        return rc;
    dray_autojson *m = img_manifest(cb->digest, config->len, layers->parts, layers->n, &type);
    const char *text = dray_json_text(m);
    rc = img_blob_put(l->im, text, strlen(text), &mb, err);
    if (!rc)
        rc = img_load_hold(l, mb, err);
    return rc ? rc : img_assemble(l->im, mb->digest, NULL, layers->top, l->cancel_fd, id, err);
}

/* The spooled files are not needed any more: what is not on the disk yet shall never go there. */
static void drop_files(struct img_load *l)
{
    for (unsigned i = 0; i < l->n; i++) {
        char number[16];
        (void)snprintf(number, sizeof number, "%u", i);
        (void)unlinkat(l->dir, number, 0);
    }
}

/* Is it what the paths say? Of a plain tar that was not stored by its digest it is not known yet.
 */
static int compare_names(struct img_load *l, const struct layers *made, struct json_object *paths,
                         bool *same_out, struct dray_err *err)
{
    *same_out = true;
    for (size_t i = 0; i < made->n; i++) {
        const char *path = json_object_get_string(json_object_array_get_idx(paths, i));
        char digest[DRAY_DIGEST_LEN];
        if (!path || !img_load_blob_path(path, digest)) {
            *same_out = false;
            continue;
        }
        const char *at = img_load_find(l, path);
        if (at && *at != '#' && strcmp(made->parts[i].diff, digest) != 0)
            return dray_fail(err, DRAY_E_CORRUPT, "wrong digest: got %s, expected %s",
                             made->parts[i].diff, digest);
        *same_out = *same_out && strcmp(made->parts[i].digest, digest) == 0;
    }
    return 0;
}

/* The image of a config and layers by their paths. manifest, index: what names them, or NULL. */
static int load_tars(struct img_load *l, struct dray_buf *raw, struct json_object *config,
                     struct json_object *paths, const char *manifest, const char *index,
                     char id[DRAY_DIGEST_LEN], struct dray_err *err)
{
    struct json_object *diffs = dray_json_arr(config, "rootfs.diff_ids");
    size_t n = dray_json_len(paths);
    bool same = false;
    if (n != dray_json_len(diffs))
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid manifest, layers length mismatch: expected %zu, got %zu",
                         dray_json_len(diffs), n);
    dray_autofree struct img_part *parts = calloc(n + 1, sizeof *parts);
    struct layers made = {.parts = parts, .n = n};
    int rc = parts ? take_layers(l, paths, diffs, &made, err)
                   : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc)
        rc = compare_names(l, &made, paths, &same, err);
    if (l->last)
        drop_files(l);
    if (!rc)
        rc = manifest && same
                 ? img_assemble(l->im, manifest, index, made.top, l->cancel_fd, id, err)
                 : make_manifest(l, raw, &made, id, err);
    img_layer_unref(l->im, made.top);
    return rc;
}

/* OCI layouts, whose layers are blobs. */

/* The layer of a blob on top of parent: one that is here, one unpacked ahead, or a new one. */
static int take_layer(struct img_load *l, const char *digest, struct img_layer *parent,
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
static int take_chain(struct img_load *l, struct json_object *layers, struct json_object *diffs,
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

/* Are some of the layers plain tars that wait in our folder? */
static bool has_tars(struct img_load *l, struct json_object *layers)
{
    for (size_t i = 0; i < dray_json_len(layers); i++) {
        const char *digest = dray_json_str(json_object_array_get_idx(layers, i), "digest", "");
        dray_autofree char *path = dray_digest_valid(digest)
                                       ? dray_strf("blobs/sha256/%s", dray_digest_hex(digest))
                                       : NULL;
        const char *at = path ? img_load_find(l, path) : NULL;
        if (at && *at != '#')
            return true;
    }
    return false;
}

/* As load_tars(), of a manifest. */
static int take_tars(struct img_load *l, const char *manifest, const char *index,
                     const char *config_digest, struct json_object *layers,
                     char id[DRAY_DIGEST_LEN], struct dray_err *err)
{
    DRAY_AUTO(dray_buf) raw = {0};
    dray_autojson *config = NULL;
    dray_autojson *paths = json_object_new_array();
    for (size_t i = 0; i < dray_json_len(layers); i++) {
        const char *digest = dray_json_str(json_object_array_get_idx(layers, i), "digest", "");
        dray_autofree char *path = dray_digest_valid(digest)
                                       ? dray_strf("blobs/sha256/%s", dray_digest_hex(digest))
                                       : strdup("");
        json_object_array_add(paths, json_object_new_string(path ? path : ""));
    }
    int rc = dray_blobs_read(l->im->blobs, config_digest, CONFIG_MAX, &raw, err);
    if (!rc)
        rc = dray_json_parse(raw.data, raw.len, &config, err);
    return rc ? rc : load_tars(l, &raw, config, paths, manifest, index, id, err);
}

static int take_manifest(struct img_load *l, const char *digest, const char *index,
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
    if (!rc && has_tars(l, layers))
        return take_tars(l, digest, index, config, layers, id, err);
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

/* What a descriptor of index.json calls its image, or NULL. */
static const char *note_name(struct json_object *desc)
{
    struct json_object *notes = dray_json_obj(desc, "annotations"), *v = NULL;
    if (notes && (json_object_object_get_ex(notes, "io.containerd.image.name", &v) ||
                  json_object_object_get_ex(notes, "org.opencontainers.image.ref.name", &v)))
        return json_object_get_string(v);
    return NULL;
}

/* One descriptor of index.json. done: the images that were loaded, by their digests. */
static int load_entry(struct img_load *l, struct json_object *desc, struct json_object *names,
                      struct json_object *done, struct dray_err *err)
{
    const char *digest = dray_json_str(desc, "digest", NULL), *name = note_name(desc);
    struct json_object *known = NULL;
    char id[DRAY_DIGEST_LEN] = "";
    bool again = digest && json_object_object_get_ex(done, digest, &known);
    if (again)
        (void)snprintf(id, sizeof id, "%s", json_object_get_string(known));
    int rc = again ? 0 : take_manifest(l, digest, NULL, id, err);
    if (rc)
        return rc;
    dray_json_add_str(done, digest, id);
    struct json_object *tags = repo_tags(names, id);
    size_t n = dray_json_len(tags);
    for (size_t k = 0; !rc && !again && k < n; k++)
        rc = img_load_name(l, json_object_get_string(json_object_array_get_idx(tags, k)), id, err);
    if (!rc && n == 0 && name && strchr(name, ':'))
        rc = img_load_name(l, name, id, err);
    else if (!rc && n == 0 && !again)
        rc = img_load_say(l, "Loaded image ID: ", id);
    if (!rc && !again)
        img_event(l->im, id, id, "load");
    return rc;
}

/* Is it one that another entry before it names? */
static bool came_before(struct json_object *list, size_t i)
{
    const char *digest = dray_json_str(json_object_array_get_idx(list, i), "digest", "");
    for (size_t k = 0; k < i; k++)
        if (strcmp(dray_json_str(json_object_array_get_idx(list, k), "digest", ""), digest) == 0)
            return true;
    return false;
}

static int load_layout(struct img_load *l, struct json_object *index, struct json_object *names,
                       struct dray_err *err)
{
    struct json_object *list = dray_json_arr(index, "manifests");
    dray_autojson *done = json_object_new_object();
    size_t n = dray_json_len(list), last = 0;
    int rc = n ? 0 : dray_fail(err, DRAY_E_INVAL, "the archive has no image");
    for (size_t i = 0; i < n; i++)
        last = came_before(list, i) ? last : i;
    for (size_t i = 0; !rc && i < n; i++) {
        l->last = i == last;
        rc = load_entry(l, json_object_array_get_idx(list, i), names, done, err);
    }
    return rc;
}

/* The older form: a config and layer tars by name. */

static int load_one(struct img_load *l, struct json_object *m, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) raw = {0};
    dray_autojson *config = NULL;
    struct json_object *layers = dray_json_arr(m, "Layers"), *tags = dray_json_arr(m, "RepoTags");
    int rc = img_load_doc(l, dray_json_str(m, "Config", ""), &config, &raw, err);
    if (rc)
        return rc;
    char id[DRAY_DIGEST_LEN] = "";
    if (l->platform && !img_platform_is(config, l->platform))
        return not_the_platform(l, config, err);
    rc = load_tars(l, &raw, config, layers, NULL, NULL, id, err);
    for (size_t i = 0; !rc && i < dray_json_len(tags); i++)
        rc = img_load_name(l, json_object_get_string(json_object_array_get_idx(tags, i)), id, err);
    if (!rc && dray_json_len(tags) == 0)
        rc = img_load_say(l, "Loaded image ID: ", id);
    if (!rc)
        img_event(l->im, id, id, "load");
    return rc;
}

static int load_all(struct img_load *l, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) raw = {0};
    DRAY_AUTO(dray_buf) raw_index = {0};
    dray_autojson *names = NULL;
    dray_autojson *index = NULL;
    int have_names = img_load_doc(l, "manifest.json", &names, &raw, err);
    if (have_names != 0 && have_names != DRAY_E_NOTFOUND)
        return have_names;
    int have_index = img_load_doc(l, "index.json", &index, &raw_index, err);
    if (have_index != 0 && have_index != DRAY_E_NOTFOUND)
        return have_index;
    if (have_index != 0 && (have_names != 0 || !json_object_is_type(names, json_type_array)))
        return dray_fail(err, DRAY_E_INVAL, "open manifest.json: no such file or directory");
    int rc = have_index == 0 ? load_layout(l, index, names, err) : 0;
    size_t n = have_index == 0 ? 0 : dray_json_len(names);
    for (size_t i = 0; !rc && i < n; i++) {
        l->last = i + 1 == n;
        rc = load_one(l, json_object_array_get_idx(names, i), err);
    }
    if (!rc)
        img_load_parents(l, names);
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
        if (dray_str_prefix(e->d_name, IMG_SPOOL_PREFIX))
            (void)dray_strlist_add(&names, e->d_name);
    for (size_t i = 0; i < names.n; i++)
        (void)dray_fs_remove_tree(dirfd(d), names.v[i], NULL);
    (void)closedir(d);
}

int dray_images_load(struct dray_images *im, const struct dray_load_req *req, dray_progress_fn fn,
                     void *ctx, struct dray_err *err)
{
    struct img_load l = {.im = im,
                         .dir = -EBADF,
                         .fn = fn,
                         .ctx = ctx,
                         .cancel_fd = req->cancel_fd,
                         .platform = req->platform,
                         .quiet = req->quiet};
    char tail[13];
    dray_id_hex(tail, sizeof tail - 1);
    (void)snprintf(l.name, sizeof l.name, "tmp/" IMG_SPOOL_PREFIX "%s", tail);
    int rc = dray_fs_open_dir(im->data_fd, l.name, 0700, &l.dir, err);
    if (rc)
        return rc;
    l.files = json_object_new_object();
    rc = img_ahead_open(im, &l.ahead, err);
    if (!rc)
        rc = img_load_spool(&l, req->fd, err);
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
