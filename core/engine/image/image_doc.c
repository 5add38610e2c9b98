/* SPDX-License-Identifier: Apache-2.0 */
/* image_doc.c - what the store keeps of an image: its fields, and their durable document. */
#include "engine/image/image_priv.h"

#include "base/clock.h"
#include "base/fs.h"

#include <stdio.h>

void img_free(struct img *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n_parts; i++) {
        free(g->parts[i].media_type);
        json_object_put(g->parts[i].urls);
    }
    free(g->parts);
    free(g->manifest_type);
    free(g->os);
    free(g->arch);
    free(g->variant);
    json_object_put(g->labels);
    dray_strlist_free(&g->holds);
    dray_strlist_free(&g->others);
    free(g);
}

void img_chain_next(const char *parent, const char *diff, char out[DRAY_DIGEST_LEN])
{
    if (!*parent) {
        (void)snprintf(out, DRAY_DIGEST_LEN, "%s", diff);
        return;
    }
    char both[2 * DRAY_DIGEST_LEN + 2];
    int n = snprintf(both, sizeof both, "%s %s", parent, diff);
    dray_digest_of(both, (size_t)n, out);
}

/* Compute the chain ids of parts from their diff ids. */
static void set_chains(struct img_part *parts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        img_chain_next(i ? parts[i - 1].chain : "", parts[i].diff, parts[i].chain);
}

static char *dup_or_null(const char *text)
{
    return text && *text ? strdup(text) : NULL;
}

int img_from_config(struct img *g, struct json_object *config, struct dray_err *err)
{
    if (!json_object_is_type(config, json_type_object))
        return dray_fail(err, DRAY_E_CORRUPT, "invalid image config");
    g->os = strdup(dray_json_str(config, "os", "linux"));
    g->arch = strdup(dray_json_str(config, "architecture", ""));
    g->variant = dup_or_null(dray_json_str(config, "variant", ""));
    (void)dray_time_parse(dray_json_str(config, "created", ""), &g->created_ns);
    g->labels = dray_json_copy(dray_json_obj(config, "config.Labels"));
    struct json_object *diffs = dray_json_arr(config, "rootfs.diff_ids");
    if (!g->os || !g->arch)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (dray_json_len(diffs) != g->n_parts)
        return dray_fail(err, DRAY_E_CORRUPT,
                         "layers from manifest don't match image configuration");
    for (size_t i = 0; i < g->n_parts; i++) {
        struct json_object *d = json_object_array_get_idx(diffs, i);
        const char *text =
            json_object_is_type(d, json_type_string) ? json_object_get_string(d) : "";
        if (!dray_digest_valid(text))
            return dray_fail(err, DRAY_E_CORRUPT, "invalid diff id \"%.80s\" in image config",
                             text);
        (void)snprintf(g->parts[i].diff, sizeof g->parts[i].diff, "%s", text);
    }
    set_chains(g->parts, g->n_parts);
    return 0;
}

/* --- writing ----------------------------------------------------------------------------------*/

static struct json_object *part_doc(const struct img_part *p)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "digest", p->digest);
    dray_json_add_str(o, "diff", p->diff);
    dray_json_add_int(o, "size", (int64_t)p->size);
    dray_json_add_str(o, "mediaType", p->media_type);
    if (p->urls)
        dray_json_add(o, "urls", dray_json_copy(p->urls));
    return o;
}

static struct json_object *to_doc(const struct img *g)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "id", g->id);
    dray_json_add_str(o, "manifest", g->manifest);
    dray_json_add_str(o, "manifestType", g->manifest_type);
    dray_json_add_int(o, "manifestSize", (int64_t)g->manifest_size);
    dray_json_add_str(o, "index", g->index);
    dray_json_add_str(o, "parent", g->parent);
    dray_json_add_str(o, "os", g->os);
    dray_json_add_str(o, "arch", g->arch);
    dray_json_add_str(o, "variant", g->variant);
    dray_json_add_int(o, "created", g->created_ns);
    dray_json_add_int(o, "size", (int64_t)g->size);
    dray_json_add_bool(o, "deleted", g->deleted);
    if (g->labels)
        dray_json_add(o, "labels", dray_json_copy(g->labels));
    struct json_object *parts = json_object_new_array();
    for (size_t i = 0; i < g->n_parts; i++)
        json_object_array_add(parts, part_doc(&g->parts[i]));
    dray_json_add(o, "layers", parts);
    if (g->others.n > 0)
        dray_json_add(o, "others", dray_json_strs(&g->others));
    return o;
}

static void doc_name(const char *id, char out[80])
{
    (void)snprintf(out, 80, "%s.json", dray_digest_hex(id));
}

char *img_doc_text(const struct img *g)
{
    dray_autojson *doc = to_doc(g);
    const char *text = dray_json_text(doc);
    return text ? strdup(text) : NULL;
}

int img_save(struct dray_images *im, const char *id, const char *text, bool sync,
             struct dray_err *err)
{
    char name[80];
    doc_name(id, name);
    if (!text)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return dray_fs_replace(im->images_fd, name, text, strlen(text), 0600,
                           sync ? DRAY_FS_DURABLE : DRAY_FS_PLAIN, err);
}

void img_unlink_doc(struct dray_images *im, const char *id)
{
    char name[80];
    doc_name(id, name);
    (void)unlinkat(im->images_fd, name, 0);
}

/* --- reading ----------------------------------------------------------------------------------*/

static void copy_digest(char out[DRAY_DIGEST_LEN], struct json_object *o, const char *key)
{
    const char *text = dray_json_str(o, key, "");
    (void)snprintf(out, DRAY_DIGEST_LEN, "%s", dray_digest_valid(text) ? text : "");
}

static bool read_parts(struct img *g, struct json_object *list)
{
    g->n_parts = dray_json_len(list);
    g->parts = calloc(g->n_parts + 1, sizeof *g->parts);
    if (!g->parts)
        return false;
    for (size_t i = 0; i < g->n_parts; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        struct img_part *p = &g->parts[i];
        copy_digest(p->digest, o, "digest");
        copy_digest(p->diff, o, "diff");
        p->size = (uint64_t)dray_json_int(o, "size", 0);
        p->media_type = strdup(dray_json_str(o, "mediaType", MT_DOCKER_LAYER));
        p->urls = dray_json_copy(dray_json_arr(o, "urls"));
        if (!p->media_type || !p->diff[0] || !p->digest[0])
            return false;
    }
    set_chains(g->parts, g->n_parts);
    return true;
}

struct img *img_load(struct dray_images *im, const char *name)
{
    dray_autojson *o = NULL;
    struct img *g = calloc(1, sizeof *g);
    if (!g || dray_json_load(im->images_fd, name, &o, NULL)) {
        img_free(g);
        return NULL;
    }
    copy_digest(g->id, o, "id");
    copy_digest(g->manifest, o, "manifest");
    copy_digest(g->index, o, "index");
    copy_digest(g->parent, o, "parent");
    g->manifest_type = strdup(dray_json_str(o, "manifestType", MT_DOCKER_MANIFEST));
    g->manifest_size = (uint64_t)dray_json_int(o, "manifestSize", 0);
    g->os = strdup(dray_json_str(o, "os", "linux"));
    g->arch = strdup(dray_json_str(o, "arch", ""));
    g->variant = dup_or_null(dray_json_str(o, "variant", ""));
    g->created_ns = dray_json_int(o, "created", 0);
    g->size = (uint64_t)dray_json_int(o, "size", 0);
    g->deleted = dray_json_bool(o, "deleted", false);
    g->labels = dray_json_copy(dray_json_obj(o, "labels"));
    bool ok = read_parts(g, dray_json_arr(o, "layers"));
    if (ok && dray_json_arr(o, "others"))
        ok = dray_json_to_strlist(dray_json_arr(o, "others"), &g->others, NULL) == 0;
    if (ok && g->id[0] && g->manifest[0] && g->manifest_type && g->os && g->arch)
        return g;
    img_free(g);
    return NULL;
}
