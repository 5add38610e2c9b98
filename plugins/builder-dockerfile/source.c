/* SPDX-License-Identifier: Apache-2.0 */
/* source.c - what --from names. */
#include "copy.h"

int bd_layer_tree(struct bd_build *b, const char *layer, struct bd_tree **out, struct dray_err *err)
{
    struct dray_fd_take root = {-1};
    int rc = b->engine->layer_open(b->call, layer, &root, err);
    return rc ? rc : bd_tree_dir(root.fd, out, err);
}

const char *bd_image_name(struct bd_build *b, const char *ref)
{
    const char *name = ref;
    (void)b->engine->image_name(b->call, ref, &name, NULL);
    return name;
}

bool bd_is_scratch(struct bd_build *b, const char *name)
{
    return strcmp(dray_kvs_get(b->spec->contexts, name, name), "docker-image://scratch") == 0 ||
           strcmp(name, "scratch") == 0;
}

int bd_image(struct bd_stage *s, const char *ref, const char *platform,
             struct dray_build_image *out, struct dray_err *err)
{
    struct bd_build *b = s->build;
    struct dray_err why = {0};
    const char *name = bd_image_name(b, ref);
    if (bd_add_is_remote(name))
        return bd_far_image(s, ref, name, out, err);
    /* Of what a client gives in place of an image only an image is looked up. */
    static const char scheme[] = "docker-image://";
    const char *context = dray_kvs_get(b->spec->contexts, ref, NULL);
    bool image = context && bd_prefix(context, scheme);
    dray_autofree char *title =
        image ? bd_strf("[context %s] load metadata for %s", ref, context + strlen(scheme))
              : bd_strf("[internal] load metadata for %s", name);
    if (!title)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    bool pulls = !context || image;
    if (pulls)
        bd_trace_begin(b, title, title);
    int rc =
        b->engine->image_get(b->call, ref, platform, b->spec->flags & DRAY_BUILD_PULL, out, &why);
    if (pulls)
        bd_trace_finish(b, title, rc ? &why : NULL);
    if (rc && err)
        *err = why;
    return rc && bd_tracing(b)
               ? dray_err_note(err, "%s: failed to resolve source metadata for %s", ref, name)
               : rc;
}

int bd_stage_named(struct bd_build *b, const char **name, uint32_t before)
{
    const struct dray_kvs contexts = b->spec->contexts;
    if (dray_kvs_get(contexts, *name, NULL))
        return -1;
    int i = dray_df_stage_find(b->file, *name, before);
    const char *own = i >= 0 ? b->file->stages[i].name : NULL;
    if (!own || !dray_kvs_get(contexts, own, NULL))
        return i;
    *name = own;
    return -1;
}

int bd_from(struct bd_stage *s, const char *from, const char **layer, bool *folder,
            struct dray_err *err)
{
    struct bd_build *b = s->build;
    int i = bd_stage_named(b, &from, s->df->index);
    if (i >= 0) {
        int rc = s->deps[i] ? 0 : bd_stage_await(s, (uint32_t)i, err);
        *layer = rc ? NULL : b->stages[i].layer;
        return rc;
    }
    if (from[strspn(from, "0123456789")] == '\0')
        return dray_fail(err, DRAY_E_INVAL, "invalid from flag value %s: %s", from,
                         strtoul(from, NULL, 10) == s->df->index ? "refers to current build stage"
                                                                 : "index out of bounds");
    if (dray_kvs_get(b->spec->contexts, from, NULL) && bd_is_scratch(b, from)) {
        *layer = "";
        return 0;
    }
    struct dray_build_image image = {.size = sizeof image};
    int rc = bd_image(s, from, b->spec->platform, &image, err);
    if (!rc) {
        *layer = image.layer;
        if (folder)
            *folder = !*image.id;
    }
    return rc ? dray_err_note(err, "invalid from flag value %s", from) : 0;
}

int bd_stage_root(struct bd_stage *s, struct bd_tree **out, struct dray_err *err)
{
    if (s->root && s->root_layer && strcmp(s->root_layer, s->layer) == 0) {
        *out = s->root;
        return 0;
    }
    bd_tree_free(s->root);
    s->root = NULL;
    int rc = bd_layer_tree(s->build, s->layer, &s->root, err);
    if (rc)
        return rc;
    s->root_layer = s->layer;
    *out = s->root;
    return 0;
}
