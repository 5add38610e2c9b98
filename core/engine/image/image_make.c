/* SPDX-License-Identifier: Apache-2.0 */
/* image_make.c - images that are made here: their config, manifest and registration. */
#include "engine/image/image_priv.h"

#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>
#include <sys/utsname.h>

static const struct {
    const char *machine, *arch, *variant;
} machines[] = {
    {"x86_64", "amd64", ""},    {"aarch64", "arm64", "v8"}, {"armv7l", "arm", "v7"},
    {"armv6l", "arm", "v6"},    {"i686", "386", ""},        {"i386", "386", ""},
    {"ppc64le", "ppc64le", ""}, {"s390x", "s390x", ""},     {"riscv64", "riscv64", ""},
};

/* Row of this machine, or -1. */
static int machine_row(void)
{
    struct utsname u;
    if (uname(&u) != 0)
        return -1;
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++)
        if (strcmp(u.machine, machines[i].machine) == 0)
            return (int)i;
    return -1;
}

const char *img_host_arch(void)
{
    int row = machine_row();
    return row < 0 ? "amd64" : machines[row].arch;
}

void img_platform_read(struct json_object *o, struct img_platform *out)
{
    (void)snprintf(out->os, sizeof out->os, "%s", dray_json_str(o, "os", ""));
    (void)snprintf(out->arch, sizeof out->arch, "%s", dray_json_str(o, "architecture", ""));
    (void)snprintf(out->variant, sizeof out->variant, "%s", dray_json_str(o, "variant", ""));
}

static void lower(char *word)
{
    for (; *word; word++)
        *word = (char)tolower((unsigned char)*word);
}

void img_platform_normal(struct img_platform *p)
{
    static const struct {
        const char *given, *arch, *variant;
    } names[] = {{"x86_64", "amd64", ""}, {"x86-64", "amd64", ""}, {"aarch64", "arm64", ""},
                 {"armhf", "arm", "v7"},  {"armel", "arm", "v6"},  {"i386", "386", ""}};
    lower(p->os);
    lower(p->arch);
    lower(p->variant);
    if (strcmp(p->os, "macos") == 0)
        (void)snprintf(p->os, sizeof p->os, "darwin");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(p->arch, names[i].given) != 0)
            continue;
        (void)snprintf(p->arch, sizeof p->arch, "%s", names[i].arch);
        if (!p->variant[0])
            (void)snprintf(p->variant, sizeof p->variant, "%s", names[i].variant);
    }
    if (strcmp(p->arch, "amd64") == 0 && strcmp(p->variant, "v1") == 0)
        p->variant[0] = '\0';
    if (strcmp(p->arch, "arm64") == 0 && (strcmp(p->variant, "8") == 0 || !p->variant[0]))
        (void)snprintf(p->variant, sizeof p->variant, "v8");
    if (strcmp(p->arch, "arm") == 0 && !p->variant[0])
        (void)snprintf(p->variant, sizeof p->variant, "v7");
    if (strcmp(p->arch, "arm") == 0 && strchr("5678", p->variant[0]) && !p->variant[1])
        (void)snprintf(p->variant, sizeof p->variant, "v%c", p->variant[0]);
}

#define WORD_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

static bool is_listed(const char *const *list, const char *word)
{
    while (*list && strcasecmp(*list, word) != 0)
        list++;
    return *list;
}

static bool is_os(const char *word)
{
    static const char *const oses[] = {"aix",    "android", "darwin", "dragonfly", "freebsd",
                                       "hurd",   "illumos", "ios",    "js",        "linux",
                                       "netbsd", "openbsd", "plan9",  "solaris",   "windows",
                                       "macos",  "wasi",    "zos",    NULL};
    return is_listed(oses, word);
}

static bool is_arch(const char *word)
{
    static const char *const archs[] = {
        "386",    "amd64",  "arm",     "arm64",   "loong64",  "mips",  "mipsle",
        "mips64", "ppc64",  "ppc64le", "riscv64", "mips64le", "s390x", "wasm",
        "x86_64", "x86-64", "aarch64", "armhf",   "armel",    "i386",  NULL};
    return is_listed(archs, word);
}

/* "os", "os(version)" or "os(version+feature+feature)"; the name goes to out. */
static bool split_os(const char *word, char *out, size_t size)
{
    size_t n = strspn(word, WORD_CHARS);
    (void)snprintf(out, size, "%.*s", (int)n, word);
    if (n == 0 || !word[n])
        return n > 0;
    size_t in = word[n] == '(' ? strspn(word + n + 1, WORD_CHARS ".%+") : 0;
    return word[n] == '(' && strcmp(word + n + 1 + in, ")") == 0;
}

/* "linux/amd64" and "linux/arm/v7" may name anything; one word alone must be known. */
static int check_platform(const char *text, const struct dray_strlist *parts,
                          struct img_platform *out, struct dray_err *err)
{
    if (!split_os(parts->v[0], out->os, sizeof out->os))
        return dray_fail(
            err, DRAY_E_INVAL,
            "\"%.80s\" is an invalid OS component of \"%.80s\": OSAndVersion specifier "
            "component must match "
            "\"^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.%%-]*)((?:\\\\+[A-Za-z0-9_.%%-]+)*)"
            "\\\\))?$\": invalid argument",
            parts->v[0], text);
    for (size_t i = 1; i < parts->n; i++) {
        const char *w = parts->v[i];
        if (!*w || w[strspn(w, WORD_CHARS ".")])
            return dray_fail(err, DRAY_E_INVAL,
                             "\"%.80s\" is an invalid component of \"%.80s\": platform specifier "
                             "component must match \"^[A-Za-z0-9_.-]+$\": invalid argument",
                             w, text);
    }
    if (parts->n > 3 || strlen(text) > 80)
        return dray_fail(err, DRAY_E_INVAL,
                         "\"%.80s\": cannot parse platform specifier: invalid argument", text);
    if (parts->n == 1 && !is_os(out->os) && !is_arch(text))
        return dray_fail(err, DRAY_E_INVAL,
                         "\"%.80s\": unknown operating system or architecture: invalid argument",
                         text);
    return 0;
}

int img_platform_parse(const char *text, struct img_platform *out, struct dray_err *err)
{
    int row = machine_row();
    *out = (struct img_platform){.os = "linux"};
    (void)snprintf(out->arch, sizeof out->arch, "%s", img_host_arch());
    if (row >= 0)
        (void)snprintf(out->variant, sizeof out->variant, "%s", machines[row].variant);
    if (!text || !*text)
        return 0;
    DRAY_AUTO(dray_strlist) parts = {0};
    struct img_platform given = {0};
    if (!dray_strlist_split(&parts, text, '/'))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = check_platform(text, &parts, &given, err);
    if (rc)
        return rc;
    if (parts.n > 1 || is_os(given.os))
        memcpy(out->os, given.os, sizeof out->os);
    if (parts.n > 1 || !is_os(given.os)) {
        (void)snprintf(out->arch, sizeof out->arch, "%s", parts.n > 1 ? parts.v[1] : text);
        (void)snprintf(out->variant, sizeof out->variant, "%s", parts.n > 2 ? parts.v[2] : "");
    }
    img_platform_normal(out);
    return 0;
}

struct json_object *img_history(const char *created, const char *created_by, const char *author,
                                const char *comment, bool empty)
{
    struct json_object *h = json_object_new_object();
    dray_json_add_str(h, "created", created);
    if (created_by && *created_by)
        dray_json_add_str(h, "created_by", created_by);
    if (author && *author)
        dray_json_add_str(h, "author", author);
    if (comment && *comment)
        dray_json_add_str(h, "comment", comment);
    if (empty)
        dray_json_add_bool(h, "empty_layer", true);
    return h;
}

static struct json_object *descriptor(const char *type, const char *digest, uint64_t size)
{
    struct json_object *d = json_object_new_object();
    dray_json_add_str(d, "mediaType", type);
    dray_json_add_int(d, "size", (int64_t)size);
    dray_json_add_str(d, "digest", digest);
    return d;
}

static const char *oci_layer_type(const char *type)
{
    if (strcmp(type, MT_DOCKER_LAYER) == 0)
        return "application/vnd.oci.image.layer.v1.tar+gzip";
    if (strcmp(type, MT_DOCKER_LAYER_TAR) == 0)
        return "application/vnd.oci.image.layer.v1.tar";
    return type;
}

struct json_object *img_manifest(const char *config_digest, size_t config_size,
                                 const struct img_part *parts, size_t n, const char **type_out)
{
    bool oci = false;
    for (size_t i = 0; i < n; i++)
        oci = oci || dray_str_prefix(parts[i].media_type, "application/vnd.oci.");
    *type_out = oci ? MT_OCI_MANIFEST : MT_DOCKER_MANIFEST;
    struct json_object *m = json_object_new_object();
    dray_json_add_int(m, "schemaVersion", 2);
    dray_json_add_str(m, "mediaType", *type_out);
    dray_json_add(m, "config",
                  descriptor(oci ? MT_OCI_CONFIG : MT_DOCKER_CONFIG, config_digest, config_size));
    struct json_object *layers = json_object_new_array();
    for (size_t i = 0; i < n; i++)
        json_object_array_add(
            layers, descriptor(oci ? oci_layer_type(parts[i].media_type) : parts[i].media_type,
                               parts[i].digest, parts[i].size));
    dray_json_add(m, "layers", layers);
    return m;
}

static int copy_parts(struct img *g, const struct img_part *parts, size_t n)
{
    g->parts = calloc(n + 1, sizeof *g->parts);
    if (!g->parts)
        return DRAY_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        g->parts[i] = parts[i];
        g->parts[i].urls = dray_json_copy(parts[i].urls);
        g->parts[i].media_type = strdup(parts[i].media_type);
        g->n_parts = i + 1;
        if (!g->parts[i].media_type)
            return DRAY_E_NOMEM;
    }
    return 0;
}

static uint64_t total_size(struct dray_images *im, const struct img_layer *top)
{
    uint64_t size = 0;
    pthread_mutex_lock(&im->lock);
    for (; top; top = top->parent)
        size += top->size;
    pthread_mutex_unlock(&im->lock);
    return size;
}

int img_make(struct dray_images *im, struct json_object *config, const struct img_part *parts,
             size_t n, struct img_layer *top, const char *parent, char id_out[DRAY_DIGEST_LEN],
             struct dray_err *err)
{
    struct img_blob *config_blob = NULL, *manifest_blob = NULL;
    struct img *g = calloc(1, sizeof *g);
    if (!g || copy_parts(g, parts, n)) {
        img_free(g);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    const char *text = dray_json_text(config);
    size_t len = strlen(text);
    int rc = img_from_config(g, config, err);
    if (!rc)
        rc = img_blob_put(im, text, len, &config_blob, err);
    if (!rc) {
        const char *type = NULL;
        dray_autojson *m = img_manifest(config_blob->digest, len, parts, n, &type);
        const char *mtext = dray_json_text(m);
        g->manifest_type = strdup(type);
        g->manifest_size = strlen(mtext);
        rc = img_blob_put(im, mtext, strlen(mtext), &manifest_blob, err);
    }
    if (!rc) {
        (void)snprintf(g->id, sizeof g->id, "%s", config_blob->digest);
        (void)snprintf(g->manifest, sizeof g->manifest, "%s", manifest_blob->digest);
        (void)snprintf(g->parent, sizeof g->parent, "%s", parent ? parent : "");
        memcpy(id_out, g->id, sizeof g->id);
        g->size = total_size(im, top);
        g->top = top;
        if (top) {
            pthread_mutex_lock(&im->lock);
            img_layer_ref_locked(top);
            pthread_mutex_unlock(&im->lock);
        }
        rc = img_register(im, g, err);
        g = NULL;
    }
    img_free(g);
    img_blob_unref(im, config_blob, false);
    img_blob_unref(im, manifest_blob, false);
    return rc;
}
