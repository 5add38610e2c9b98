/* SPDX-License-Identifier: Apache-2.0 */
/*
 * testhost.h - a small host for the tests of a plugin; nothing here is ABI.
 *
 *     struct dray_testhost t;
 *     struct dray_err err;
 *     if (dray_testhost_open(&t, "./volume-myvol.so", "size=1m", &err)) ...
 *     const struct dray_volume_ops *ops = dray_testhost_ops(&t, DRAY_KIND_VOLUME);
 *     ops->create(t.self, &t.call, "v1", (struct dray_kvs){0}, &err);
 *     dray_testhost_close(&t);
 *
 * It loads the plugin as Dray does, gives it private folders below $TMPDIR, keeps what the plugin
 * allocates until dray_testhost_reset(), and collects what it emits as lines of text. Options are
 * taken as they are: the real host also checks them. For one thread.
 */
#ifndef DRAY_TESTHOST_H
#define DRAY_TESTHOST_H

#include <dray/plugin.h>
#include <dray/util.h>

#include <dlfcn.h>
#include <sys/stat.h>

struct dray_testhost_block {
    struct dray_testhost_block *next;
    uint64_t padding; /* what follows is aligned for anything */
};

/** Longest list that an option may be. */
#define DRAY_TESTHOST_LIST_MAX 32

struct dray_testhost {
    struct dray_host host;
    struct dray_call call; /**< to be handed to operations */
    const struct dray_plugin *plugin;
    struct dray_self *self;
    char emitted[65536]; /**< "key=value key=value\n" for each record */
    char dir[256];       /**< holds the folders; emptied by nobody but the test */
    char paths[3][300];
    char options[1024];                       /**< "name=value\0name=value\0\0" */
    const char *list[DRAY_TESTHOST_LIST_MAX]; /**< the last list that was asked for */
    char logged[1024];                        /**< last line of the plugin's log */
    struct dray_testhost_block *blocks;
};

static inline void *dray_testhost_alloc_(const struct dray_call *call, uint64_t n)
{
    struct dray_testhost *t = (struct dray_testhost *)call->arena;
    struct dray_testhost_block *b = (struct dray_testhost_block *)calloc(1, sizeof *b + (size_t)n);
    if (!b)
        return NULL;
    b->next = t->blocks;
    t->blocks = b;
    return b + 1;
}

static inline int32_t dray_testhost_emit_(const struct dray_call *call,
                                          const struct dray_record *rec)
{
    struct dray_testhost *t = (struct dray_testhost *)call->arena;
    for (uint64_t i = 0; i < rec->fields.n; i++) {
        size_t at = strlen(t->emitted);
        (void)snprintf(t->emitted + at, sizeof t->emitted - at, "%s%s=%s", i ? " " : "",
                       rec->fields.v[i].key, rec->fields.v[i].value);
    }
    size_t at = strlen(t->emitted);
    (void)snprintf(t->emitted + at, sizeof t->emitted - at, "\n");
    return 0;
}

static inline void dray_testhost_log_(const struct dray_host *host, uint32_t level,
                                      const char *message)
{
    struct dray_testhost *t = (struct dray_testhost *)host->ctx;
    (void)level;
    (void)snprintf(t->logged, sizeof t->logged, "%s", message);
}

static inline const struct dray_option *dray_testhost_option_(const struct dray_host *host,
                                                              const char *name)
{
    const struct dray_plugin *p = ((struct dray_testhost *)host->ctx)->plugin;
    for (uint64_t i = 0; i < p->n_options; i++)
        if (strcmp(p->options[i].name, name) == 0)
            return &p->options[i];
    return NULL;
}

static inline const char *dray_testhost_str_(const struct dray_host *host, const char *name)
{
    const struct dray_testhost *t = (const struct dray_testhost *)host->ctx;
    const struct dray_option *o = dray_testhost_option_(host, name);
    size_t n = strlen(name);
    if (!o)
        return NULL;
    for (const char *p = t->options; *p; p += strlen(p) + 1)
        if (strncmp(p, name, n) == 0 && p[n] == '=')
            return p + n + 1;
    return o->def;
}

static inline int64_t dray_testhost_int_(const struct dray_host *host, const char *name)
{
    const struct dray_option *o = dray_testhost_option_(host, name);
    const char *text = dray_testhost_str_(host, name);
    if (!o || !text)
        return 0;
    if (o->type == DRAY_OPT_BOOL)
        return strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    char *end = NULL;
    long long v = strtoll(text, &end, 10);
    if (o->type == DRAY_OPT_SIZE) {
        const char *units = "kmgt";
        const char *unit = *end ? strchr(units, *end | 0x20) : NULL;
        for (const char *u = units; unit && u <= unit; u++)
            v *= 1024;
    } else if (o->type == DRAY_OPT_DURATION) {
        v *= strcmp(end, "ms") == 0  ? 1000000LL
             : strcmp(end, "m") == 0 ? 60000000000LL
             : strcmp(end, "h") == 0 ? 3600000000000LL
                                     : 1000000000LL;
    }
    return v;
}

static inline struct dray_strs dray_testhost_list_(const struct dray_host *host, const char *name)
{
    struct dray_testhost *t = (struct dray_testhost *)host->ctx;
    struct dray_strs list = {t->list, 0};
    size_t n = strlen(name);
    for (const char *p = t->options; *p; p += strlen(p) + 1)
        if (strncmp(p, name, n) == 0 && p[n] == '=' && list.n < DRAY_TESTHOST_LIST_MAX)
            t->list[list.n++] = p + n + 1;
    return list;
}

static inline const char *dray_testhost_path_(const struct dray_host *host, uint32_t which)
{
    const struct dray_testhost *t = (const struct dray_testhost *)host->ctx;
    const char *path = t->paths[which < 3 ? which : 2];
    (void)mkdir(path, 0700);
    return path;
}

static inline const void *dray_testhost_iface_(const struct dray_host *host, const char *name,
                                               uint32_t version)
{
    (void)host;
    (void)name;
    (void)version;
    return NULL;
}

/** Forget what was allocated and emitted, as at the end of a call. */
static inline void dray_testhost_reset(struct dray_testhost *t)
{
    while (t->blocks) {
        struct dray_testhost_block *next = t->blocks->next;
        free(t->blocks);
        t->blocks = next;
    }
    t->emitted[0] = '\0';
}

static inline int dray_testhost_init_(struct dray_testhost *t, const char *options,
                                      struct dray_err *err)
{
    static const char *const names[3] = {"data", "run", "libexec"};
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(t->dir, sizeof t->dir, "%s/dray-testhost-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(t->dir))
        return dray_fail_errno(err, "make folder %s", t->dir);
    for (int i = 0; i < 3; i++)
        (void)snprintf(t->paths[i], sizeof t->paths[i], "%s/%s", t->dir, names[i]);
    (void)snprintf(t->options, sizeof t->options - 1, "%s", options ? options : "");
    for (char *p = t->options; *p; p++)
        if (*p == ',')
            *p = '\0';
    t->host.head.size = (uint32_t)sizeof t->host;
    t->host.head.major = DRAY_ABI_MAJOR;
    t->host.head.minor = DRAY_ABI_MINOR;
    t->host.ctx = t;
    t->host.log = dray_testhost_log_;
    t->host.alloc = dray_testhost_alloc_;
    t->host.emit = dray_testhost_emit_;
    t->host.opt_str = dray_testhost_str_;
    t->host.opt_int = dray_testhost_int_;
    t->host.opt_list = dray_testhost_list_;
    t->host.path = dray_testhost_path_;
    t->host.iface = dray_testhost_iface_;
    t->call.size = (uint32_t)sizeof t->call;
    t->call.cancel_fd = -1;
    t->call.request_id = "test";
    t->call.arena = t;
    return 0;
}

/** Load the plugin and open an instance "test". options: "name=value,name=value" or NULL;
 *  a list is its name given again for each value, without a default. */
static inline int dray_testhost_open(struct dray_testhost *t, const char *path, const char *options,
                                     struct dray_err *err)
{
    memset(t, 0, sizeof *t);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return dray_fail(err, DRAY_E_INVAL, "%s", dlerror());
    t->plugin = (const struct dray_plugin *)dlsym(handle, DRAY_PLUGIN_SYMBOL);
    if (!t->plugin || t->plugin->magic != DRAY_PLUGIN_MAGIC)
        return dray_fail(err, DRAY_E_INVAL, "%s has no descriptor", path);
    int rc = dray_testhost_init_(t, options, err);
    if (!rc && t->plugin->probe)
        rc = t->plugin->probe(&t->host, err);
    return rc ? rc : t->plugin->open(&t->host, "test", &t->self, err);
}

/** The table of a kind, or NULL. */
static inline const void *dray_testhost_ops(const struct dray_testhost *t, uint32_t kind)
{
    for (uint64_t i = 0; i < t->plugin->n_ifaces; i++)
        if (t->plugin->ifaces[i].kind == kind)
            return t->plugin->ifaces[i].ops;
    return NULL;
}

/** Close the instance. Its folders below t->dir are the test's to look at and remove. */
static inline void dray_testhost_close(struct dray_testhost *t)
{
    if (t->self)
        t->plugin->close(t->self);
    t->self = NULL;
    dray_testhost_reset(t);
}

#ifdef __cplusplus
static_assert(sizeof(struct dray_testhost_block) == 16, "blocks keep the alignment");
#else
_Static_assert(sizeof(struct dray_testhost_block) == 16, "blocks keep the alignment");
#endif

#endif
