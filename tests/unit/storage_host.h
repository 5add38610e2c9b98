/* SPDX-License-Identifier: Apache-2.0 */
/* storage_host.h - a host for storage and volume drivers in tests: loads the .so, keeps answers. */
#ifndef DRAY_TESTS_STORAGE_HOST_H
#define DRAY_TESTS_STORAGE_HOST_H

#include "files.h"
#include "tree_print.h"

#include <CUnit/Basic.h>
#include <dlfcn.h>
#include <dray/plugin.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>

#define ST_OPTIONS 4

struct st_host {
    struct dray_host host;
    char top[88]; /* holds data and run */
    char data[96], run[96];
    const char *keys[ST_OPTIONS]; /* set by the test before st_open() */
    const char *values[ST_OPTIONS];
    const struct dray_plugin *plugin;
    const struct dray_head *ops;
    struct dray_self *self;
};

/** Memory and records of one call. */
struct st_call {
    struct dray_call call;
    void **blocks;
    size_t n;
    FILE *records; /* one line a record: "key=value key=value" */
    char *text;
    size_t len;
};

static inline void st_log(const struct dray_host *h, uint32_t level, const char *message)
{
    (void)h;
    if (level <= DRAY_LOG_ERROR)
        (void)printf("\n    log: %s\n", message);
}

static inline void *st_alloc(const struct dray_call *call, uint64_t n)
{
    struct st_call *c = call->arena;
    c->blocks = realloc(c->blocks, (c->n + 1) * sizeof *c->blocks);
    return c->blocks[c->n++] = calloc(1, n ? n : 1);
}

static inline int32_t st_emit(const struct dray_call *call, const struct dray_record *record)
{
    struct st_call *c = call->arena;
    for (uint64_t i = 0; i < record->fields.n; i++)
        (void)fprintf(c->records, "%s%s=%s", i ? " " : "", record->fields.v[i].key,
                      record->fields.v[i].value);
    (void)fprintf(c->records, "\n");
    return 0;
}

static inline const char *st_opt_str(const struct dray_host *h, const char *name)
{
    const struct st_host *s = h->ctx;
    for (size_t i = 0; i < ST_OPTIONS && s->keys[i]; i++)
        if (strcmp(s->keys[i], name) == 0)
            return s->values[i];
    return NULL;
}

static inline int64_t st_opt_int(const struct dray_host *h, const char *name)
{
    const char *text = st_opt_str(h, name);
    return text ? strtoll(text, NULL, 10) : 0;
}

static inline struct dray_strs st_opt_list(const struct dray_host *h, const char *name)
{
    (void)h, (void)name;
    return (struct dray_strs){NULL, 0};
}

static inline const char *st_path(const struct dray_host *h, uint32_t which)
{
    const struct st_host *s = h->ctx;
    const char *path = which == DRAY_PATH_DATA ? s->data : s->run;
    (void)mkdir(path, 0700);
    return path;
}

static inline const void *st_iface(const struct dray_host *h, const char *name, uint32_t version)
{
    (void)h, (void)name, (void)version;
    return NULL;
}

/** Open an instance; folders and options must be set. */
static inline void st_open(struct st_host *s)
{
    struct dray_err err = {0};
    s->host = (struct dray_host){.head = {sizeof s->host, DRAY_ABI_MAJOR, DRAY_ABI_MINOR, 0},
                                 .ctx = s,
                                 .log = st_log,
                                 .alloc = st_alloc,
                                 .emit = st_emit,
                                 .opt_str = st_opt_str,
                                 .opt_int = st_opt_int,
                                 .opt_list = st_opt_list,
                                 .path = st_path,
                                 .iface = st_iface};
    int rc = s->plugin->probe ? s->plugin->probe(&s->host, &err) : 0;
    if (rc == 0)
        rc = s->plugin->open(&s->host, "test", &s->self, &err);
    if (rc != 0)
        (void)printf("\n    open: %s\n", err.text);
    CU_ASSERT_FATAL(rc == 0);
}

/** Load the plugin and open it in a fresh folder below base. */
static inline void st_start(struct st_host *s, const char *so, const char *base)
{
    void *lib = dlopen(so, RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        (void)printf("\n    %s\n", dlerror());
    CU_ASSERT_FATAL(lib != NULL);
    s->plugin = dlsym(lib, DRAY_PLUGIN_SYMBOL);
    CU_ASSERT_FATAL(s->plugin != NULL);
    CU_ASSERT_FATAL(s->plugin->magic == DRAY_PLUGIN_MAGIC);
    s->ops = s->plugin->ifaces[0].ops;
    (void)snprintf(s->top, sizeof s->top, "%s/dray-storage-XXXXXX", base);
    CU_ASSERT_FATAL(mkdtemp(s->top) != NULL);
    (void)snprintf(s->data, sizeof s->data, "%s/data", s->top);
    (void)snprintf(s->run, sizeof s->run, "%s/run", s->top);
    st_open(s);
}

static inline void st_close(struct st_host *s)
{
    struct dray_err err = {0};
    CU_ASSERT(!s->plugin->quiesce || s->plugin->quiesce(s->self, 0, &err) == 0);
    s->plugin->close(s->self);
    s->self = NULL;
}

/** Close it and drop its folder. */
static inline void st_end(struct st_host *s)
{
    struct dray_err err = {0};
    st_close(s);
    int rc = remove_path(s->top, &err);
    if (rc < 0)
        (void)printf("\n    %s\n", err.text);
    CU_ASSERT(rc == 0);
}

static inline struct st_call *st_call(struct st_call *c)
{
    *c = (struct st_call){.call = {.size = sizeof c->call,
                                   .klass = DRAY_CLASS_DATA,
                                   .cancel_fd = -1,
                                   .request_id = "test"}};
    c->call.arena = c;
    c->records = open_memstream(&c->text, &c->len);
    return c;
}

/** The records so far. */
static inline const char *st_records(struct st_call *c)
{
    (void)fflush(c->records);
    return c->text;
}

static inline void st_call_end(struct st_call *c)
{
    (void)fclose(c->records);
    free(c->text);
    for (size_t i = 0; i < c->n; i++)
        free(c->blocks[i]);
    free(c->blocks);
}

#endif
