/* SPDX-License-Identifier: Apache-2.0 */
/* net_host.h - a host for network and ipam drivers in tests: loads the .so, offers its services. */
#ifndef DRAY_TESTS_NET_HOST_H
#define DRAY_TESTS_NET_HOST_H

#include <dlfcn.h>
#include <dray/plugin.h>
#include <dray/util.h>
#include <stdbool.h>
#include <stdio.h>

#define FAKE_ALLOCS 64

/** One option's value, in the form its type is read. */
struct fake_option {
    const char *name;
    const char *text;
    int64_t number;
    struct dray_strs list;
};

struct fake_host {
    struct dray_host host;
    const struct fake_option *options;
    size_t n_options;
    const struct dray_plugin *plugin;
    struct dray_self *self;
    int errors_logged;
    char last_warning[256];
};

/** Memory of one call; freed by fake_call_end(). */
struct fake_call {
    struct dray_call call;
    void *allocs[FAKE_ALLOCS];
    size_t n;
};

static inline const struct fake_option *fake_find(const struct dray_host *h, const char *name)
{
    const struct fake_host *f = h->ctx;
    for (size_t i = 0; i < f->n_options; i++)
        if (strcmp(f->options[i].name, name) == 0)
            return &f->options[i];
    return NULL;
}

static inline const char *fake_opt_str(const struct dray_host *h, const char *name)
{
    const struct fake_option *o = fake_find(h, name);
    return o ? o->text : NULL;
}

static inline int64_t fake_opt_int(const struct dray_host *h, const char *name)
{
    const struct fake_option *o = fake_find(h, name);
    return o ? o->number : 0;
}

static inline struct dray_strs fake_opt_list(const struct dray_host *h, const char *name)
{
    const struct fake_option *o = fake_find(h, name);
    return o ? o->list : (struct dray_strs){0};
}

static inline void fake_log(const struct dray_host *h, uint32_t level, const char *message)
{
    struct fake_host *f = h->ctx;
    if (level == DRAY_LOG_ERROR)
        f->errors_logged++;
    if (level == DRAY_LOG_WARN)
        (void)snprintf(f->last_warning, sizeof f->last_warning, "%s", message);
    (void)fprintf(stderr, "# %s: %s\n", f->plugin ? f->plugin->name : "?", message);
}

static inline void *fake_alloc(const struct dray_call *call, uint64_t n)
{
    struct fake_call *f = call->arena;
    if (f->n == FAKE_ALLOCS)
        return NULL;
    return f->allocs[f->n++] = calloc(1, n);
}

static inline int32_t fake_emit(const struct dray_call *call, const struct dray_record *rec)
{
    (void)call;
    (void)rec;
    return 0;
}

static inline const char *fake_path(const struct dray_host *h, uint32_t which)
{
    (void)h;
    (void)which;
    return "/tmp";
}

static inline const void *fake_iface(const struct dray_host *h, const char *name, uint32_t version)
{
    (void)h;
    (void)name;
    (void)version;
    return NULL;
}

/** Load and open a plugin; false with a printed reason. */
static inline bool fake_open(struct fake_host *f, const char *path,
                             const struct fake_option *options, size_t n)
{
    *f = (struct fake_host){.options = options, .n_options = n};
    f->host = (struct dray_host){.head = DRAY_TABLE(struct dray_host, 0),
                                 .ctx = f,
                                 .log = fake_log,
                                 .alloc = fake_alloc,
                                 .emit = fake_emit,
                                 .opt_str = fake_opt_str,
                                 .opt_int = fake_opt_int,
                                 .opt_list = fake_opt_list,
                                 .path = fake_path,
                                 .iface = fake_iface};
    void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    f->plugin = so ? dlsym(so, DRAY_PLUGIN_SYMBOL) : NULL;
    struct dray_err err = {0};
    if (!f->plugin || f->plugin->open(&f->host, "test", &f->self, &err)) {
        (void)fprintf(stderr, "# %s: %s\n", path, so ? err.text : dlerror());
        return false;
    }
    return true;
}

static inline void fake_close(struct fake_host *f)
{
    f->plugin->close(f->self);
    f->self = NULL;
}

static inline const struct dray_call *fake_call_begin(struct fake_call *f, uint32_t flags)
{
    *f = (struct fake_call){
        .call = {.size = sizeof f->call, .cancel_fd = -1, .request_id = "test", .flags = flags}};
    f->call.arena = f;
    return &f->call;
}

static inline void fake_call_end(struct fake_call *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->allocs[i]);
    f->n = 0;
}

static inline void fake_call_cleanup(struct fake_call *f)
{
    fake_call_end(f);
}

#endif
