/* SPDX-License-Identifier: Apache-2.0 */
/* image_inspect.c - tells all about one image: inspect and history. */
#include "engine/image/image_variants.h"

#include "base/clock.h"

/* Facts of an image that are copied out under the lock. */
struct facts {
    struct json_object *out;
    struct json_object *keys;
    char id[DRAY_DIGEST_LEN];
    char top[40];
};

static void facts_cleanup(struct facts *f)
{
    json_object_put(f->out);
    json_object_put(f->keys);
}

static int collect(struct dray_images *im, const char *ref, struct facts *f, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) keys = {0};
    char when[DRAY_TIME_LEN];
    f->out = json_object_new_object();
    pthread_mutex_lock(&im->lock);
    const struct img *g = img_lookup(im, ref, NULL, err);
    if (g) {
        memcpy(f->id, g->id, sizeof f->id);
        memcpy(f->top, g->top ? g->top->id : "", g->top ? sizeof g->top->id : 1);
        img_refs_of(im, g->id, &keys);
        dray_json_add_str(f->out, "Id", g->id);
        dray_json_add_str(f->out, "Parent", g->parent);
        dray_json_add_int(f->out, "Size", (int64_t)g->size);
        dray_time_format(g->tagged_ns, when);
    }
    pthread_mutex_unlock(&im->lock);
    if (!g)
        return err ? err->code : DRAY_E_NOTFOUND;
    f->keys = dray_json_strs(&keys);
    struct json_object *meta = json_object_new_object();
    dray_json_add_str(meta, "LastTagTime", when);
    dray_json_add(f->out, "Metadata", meta);
    return 0;
}

static bool is_empty(struct json_object *v)
{
    return !v || (json_object_is_type(v, json_type_array) && json_object_array_length(v) == 0) ||
           (json_object_is_type(v, json_type_object) && json_object_object_length(v) == 0);
}

/* A config with the fields that Docker shows of every container's. */
static struct json_object *container_config(struct json_object *given)
{
    static const char *const strings[] = {"User", "WorkingDir", "Hostname", "Domainname", "Image"};
    static const char *const flags[] = {"AttachStdin", "AttachStdout", "AttachStderr",
                                        "Tty",         "OpenStdin",    "StdinOnce"};
    static const char *const nulls[] = {"Env", "Cmd", "Volumes", "Entrypoint", "OnBuild", "Labels"};
    struct json_object *c = given ? dray_json_copy(given) : json_object_new_object();
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        if (!dray_json_get(c, strings[i]))
            dray_json_add_str(c, strings[i], "");
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (!dray_json_get(c, flags[i]))
            dray_json_add_bool(c, flags[i], false);
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        if (is_empty(dray_json_get(c, nulls[i])))
            dray_json_add(c, nulls[i], NULL);
    return c;
}

/* The config of an image: of what a commit took over from its container, that which is no image's
 * is not shown, or before 1.50 as unset. */
static struct json_object *image_config(struct json_object *given, int api_version)
{
    static const char *const containers[] = {
        "Hostname", "Domainname", "Image",     "AttachStdin", "AttachStdout",    "AttachStderr",
        "Tty",      "OpenStdin",  "StdinOnce", "MacAddress",  "NetworkDisabled", "StopTimeout"};
    dray_autojson *own = given ? dray_json_copy(given) : json_object_new_object();
    for (size_t i = 0; i < sizeof containers / sizeof *containers; i++)
        json_object_object_del(own, containers[i]);
    struct json_object *c = container_config(own);
    for (size_t i = 0; api_version >= 150 && i < sizeof containers / sizeof *containers; i++)
        json_object_object_del(c, containers[i]);
    return c;
}

static int32_t add_status(void *ctx, const struct dray_record *rec)
{
    struct json_object *data = ctx;
    dray_json_add_str(data, dray_kvs_get(rec->fields, "key", ""),
                      dray_kvs_get(rec->fields, "value", ""));
    return 0;
}

static struct json_object *graph_driver(struct dray_images *im, const char *layer)
{
    struct dray_driver *d = im->engine->storage;
    struct json_object *o = json_object_new_object(), *data = json_object_new_object();
    DRAY_AUTO(dray_call_scope) s = {0};
    dray_call_emit_to(&s, add_status, data);
    if (*layer && dray_driver_has(d, "inspect") &&
        dray_call_enter(&s, d, DRAY_CLASS_QUICK, -1, NULL) == 0)
        (void)((const struct dray_storage_ops *)s.ops)->inspect(s.self, &s.call, layer, NULL);
    bool empty = json_object_object_length(data) == 0;
    if (empty)
        json_object_put(data);
    dray_json_add(o, "Data", empty ? NULL : data);
    dray_json_add_str(o, "Name", dray_storage_shown(dray_driver_name(d)));
    return o;
}

static struct json_object *rootfs(struct json_object *config)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "Type", dray_json_str(config, "rootfs.type", "layers"));
    struct json_object *diffs = dray_json_arr(config, "rootfs.diff_ids");
    if (dray_json_len(diffs) > 0)
        dray_json_add(o, "Layers", dray_json_copy(diffs));
    return o;
}

/* The image's own, or else that of its last step. */
static const char *comment_of(struct json_object *config)
{
    const char *own = dray_json_str(config, "comment", "");
    struct json_object *history = dray_json_arr(config, "history");
    size_t n = dray_json_len(history);
    if (*own || n == 0)
        return own;
    return dray_json_str(json_object_array_get_idx(history, n - 1), "comment", "");
}

static void add_config(struct json_object *o, struct json_object *config, int api_version)
{
    dray_json_add_str(o, "Comment", comment_of(config));
    const char *created = dray_json_str(config, "created", NULL);
    if (created || api_version < 144)
        dray_json_add_str(o, "Created", created ? created : DRAY_TIME_ZERO);
    dray_json_add_str(o, "DockerVersion", dray_json_str(config, "docker_version", ""));
    dray_json_add_str(o, "Author", dray_json_str(config, "author", ""));
    dray_json_add(o, "Config", image_config(dray_json_obj(config, "config"), api_version));
    const char *container = dray_json_str(config, "container", "");
    if (api_version < 145 && *container)
        dray_json_add_str(o, "Container", container);
    /* Gone from 1.45 on, but docker-compose 1.29 asks by the newest version and fails without. It
     * takes the image's volumes from here to carry them over to a new container, so an image that
     * has no such part is shown with its config. */
    struct json_object *made_by = dray_json_obj(config, "container_config");
    dray_json_add(o, "ContainerConfig",
                  container_config(made_by ? made_by : dray_json_obj(config, "config")));
    dray_json_add_str(o, "Architecture", dray_json_str(config, "architecture", ""));
    const char *variant = dray_json_str(config, "variant", "");
    if (*variant)
        dray_json_add_str(o, "Variant", variant);
    dray_json_add_str(o, "Os", dray_json_str(config, "os", "linux"));
    const char *os_version = dray_json_str(config, "os.version", "");
    if (*os_version)
        dray_json_add_str(o, "OsVersion", os_version);
    dray_json_add(o, "RootFS", rootfs(config));
}

/* Another platform of the image than the one that is unpacked: its config, and what of it is here.
 */
static int choose_platform(struct dray_images *im, const char *ref, const char *platform,
                           struct facts *f, struct dray_err *err)
{
    DRAY_AUTO(img_variants) vs = {0};
    const struct img_variant *v = NULL;
    int rc = img_variants_open(im, ref, &vs, err);
    if (!rc)
        rc = img_variants_find(&vs, ref, platform, &v, err);
    if (rc || v->own)
        return rc;
    memcpy(f->id, v->config, sizeof f->id);
    f->top[0] = '\0';
    dray_json_add_str(f->out, "Id", v->config);
    dray_json_add_str(f->out, "Parent", "");
    dray_json_add_int(f->out, "Size", (int64_t)v->content);
    return 0;
}

/* Facts and config of an image, or of the variant of it that was asked for. */
static int look_up(struct dray_images *im, const char *ref, const char *platform, struct facts *f,
                   struct json_object **config, struct dray_err *err)
{
    int rc = collect(im, ref, f, err);
    if (!rc && platform)
        rc = choose_platform(im, ref, platform, f, err);
    return rc ? rc : img_read_config(im, f->id, config, err);
}

static int add_manifests(struct dray_images *im, const char *ref, struct json_object *o,
                         struct dray_err *err)
{
    DRAY_AUTO(img_variants) vs = {0};
    int rc = img_variants_open(im, ref, &vs, err);
    if (!rc)
        dray_json_add(o, "Manifests", img_variants_json(&vs));
    return rc;
}

int dray_images_inspect(struct dray_images *im, const struct dray_images_inspect_req *req,
                        struct json_object **out, struct dray_err *err)
{
    struct facts f __attribute__((cleanup(facts_cleanup))) = {0};
    dray_autojson *config = NULL;
    int rc = look_up(im, req->ref, req->platform, &f, &config, err);
    if (!rc && req->manifests)
        rc = add_manifests(im, req->ref, f.out, err);
    if (rc)
        return rc;
    int api_version = req->api_version;
    struct json_object *tags = NULL, *digests = NULL;
    img_split_refs(f.keys, &tags, &digests);
    dray_json_add(f.out, "RepoTags", tags);
    dray_json_add(f.out, "RepoDigests", digests);
    add_config(f.out, config, api_version);
    if (api_version < 144)
        dray_json_add_int(f.out, "VirtualSize", dray_json_int(f.out, "Size", 0));
    dray_json_add(f.out, "GraphDriver", graph_driver(im, f.top));
    *out = dray_steal(f.out);
    return 0;
}

/* --- history ----------------------------------------------------------------------------------*/

static struct json_object *history_item(struct json_object *h, int64_t size)
{
    int64_t created = 0;
    (void)dray_time_parse(dray_json_str(h, "created", ""), &created);
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "Comment", dray_json_str(h, "comment", ""));
    dray_json_add_int(o, "Created", created / DRAY_NS_PER_S);
    dray_json_add_str(o, "CreatedBy", dray_json_str(h, "created_by", ""));
    dray_json_add_str(o, "Id", "<missing>");
    dray_json_add_int(o, "Size", size);
    dray_json_add(o, "Tags", NULL);
    return o;
}

/* Sizes of the layers from the lowest on; n of them. */
static int64_t *layer_sizes(struct dray_images *im, const char *id, size_t *n_out)
{
    pthread_mutex_lock(&im->lock);
    const struct img *g = img_find(im, id);
    size_t n = g ? g->n_parts : 0;
    int64_t *sizes = calloc(n + 1, sizeof *sizes);
    size_t i = n;
    for (const struct img_layer *l = g ? g->top : NULL; l && i > 0 && sizes; l = l->parent)
        sizes[--i] = (int64_t)l->size;
    pthread_mutex_unlock(&im->lock);
    *n_out = n;
    return sizes;
}

static void name_item(struct json_object *item, const char *id, struct json_object *keys)
{
    struct json_object *tags = NULL, *digests = NULL;
    img_split_refs(keys, &tags, &digests);
    json_object_put(digests);
    bool none = dray_json_len(tags) == 0;
    if (none)
        json_object_put(tags);
    dray_json_add_str(item, "Id", id);
    dray_json_add(item, "Tags", none ? NULL : tags);
}

/* The newest entry is the image's own, and as with Docker each older one is of the parent before
 * it, as far as those are here. */
static void name_items(struct dray_images *im, const struct facts *f, struct json_object **items,
                       size_t n)
{
    char id[DRAY_DIGEST_LEN];
    if (n == 0 || !items[n - 1])
        return;
    name_item(items[n - 1], f->id, f->keys);
    (void)snprintf(id, sizeof id, "%s", dray_json_str(f->out, "Parent", ""));
    for (size_t i = n - 1; i > 0 && *id && items[i - 1]; i--) {
        DRAY_AUTO(dray_strlist) refs = {0};
        char parent[DRAY_DIGEST_LEN] = "";
        pthread_mutex_lock(&im->lock);
        const struct img *g = img_find(im, id);
        if (g) {
            img_refs_of(im, g->id, &refs);
            (void)snprintf(parent, sizeof parent, "%s", g->parent);
        }
        pthread_mutex_unlock(&im->lock);
        if (!g)
            return;
        dray_autojson *keys = dray_json_strs(&refs);
        name_item(items[i - 1], id, keys);
        memcpy(id, parent, sizeof id);
    }
}

int dray_images_history(struct dray_images *im, const char *ref, const char *platform,
                        struct json_object **out, struct dray_err *err)
{
    struct facts f __attribute__((cleanup(facts_cleanup))) = {0};
    dray_autojson *config = NULL;
    int rc = look_up(im, ref, platform, &f, &config, err);
    if (rc)
        return rc;
    size_t n = 0, layer = 0;
    dray_autofree int64_t *sizes = layer_sizes(im, f.id, &n);
    struct json_object *given = dray_json_arr(config, "history");
    size_t len = dray_json_len(given);
    struct json_object *list = json_object_new_array();
    dray_autofree struct json_object **items = calloc(len + 1, sizeof(struct json_object *));
    for (size_t i = 0; items && sizes && i < len; i++) {
        struct json_object *h = json_object_array_get_idx(given, i);
        bool has_layer = !dray_json_bool(h, "empty_layer", false) && layer < n;
        items[i] = history_item(h, has_layer ? sizes[layer] : 0);
        layer += has_layer;
    }
    if (items)
        name_items(im, &f, items, len);
    for (size_t i = len; items && i > 0; i--)
        if (items[i - 1])
            json_object_array_add(list, items[i - 1]);
    *out = list;
    return 0;
}
