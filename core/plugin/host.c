/* SPDX-License-Identifier: Apache-2.0 */
/* host.c - the services that an instance gets, and its own opening and closing. */
#define DRAY_LOG_AREA "plugin"
#include "plugin/registry.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/logging.h"

#include <fcntl.h>
#include <stdatomic.h>

#define MAX_ALLOC (UINT64_C(1) << 30)
#define CHUNK_SIZE 4096u

uint64_t dray_mono_ns(void)
{
    return (uint64_t)dray_clock_mono();
}

/* --- memory and records of a call ------------------------------------------------------------- */

struct dray_arena_chunk {
    struct dray_arena_chunk *next;
    size_t used, size;
    _Alignas(16) char data[];
};

static void *host_alloc(const struct dray_call *call, uint64_t n)
{
    struct dray_call_scope *s = call ? call->arena : NULL;
    if (!s || n > MAX_ALLOC)
        return NULL;
    size_t need = ((size_t)n + 15) & ~(size_t)15;
    struct dray_arena_chunk *c = s->arena;
    if (!c || c->size - c->used < need) {
        size_t size = need > CHUNK_SIZE - sizeof *c ? need : CHUNK_SIZE - sizeof *c;
        c = calloc(1, sizeof *c + size);
        if (!c)
            return NULL;
        c->size = size;
        c->next = s->arena;
        s->arena = c;
    }
    void *p = c->data + c->used;
    c->used += need;
    return p;
}

void dray_arena_free(struct dray_arena_chunk *c)
{
    while (c) {
        struct dray_arena_chunk *next = c->next;
        free(c);
        c = next;
    }
}

static int32_t host_emit(const struct dray_call *call, const struct dray_record *rec)
{
    struct dray_call_scope *s = call ? call->arena : NULL;
    if (!s || !s->emit || !rec || rec->size < sizeof *rec)
        return 0;
    return s->emit(s->emit_ctx, rec);
}

/* --- options, folders, services --------------------------------------------------------------- */

struct dray_options *dray_instance_options(const struct dray_instance *in)
{
    return atomic_load(in->parent ? &in->parent->options : &in->options);
}

static const char *host_opt_str(const struct dray_host *host, const char *name)
{
    struct dray_instance *in = host->ctx;
    return dray_options_str(dray_instance_options(in), name);
}

static int64_t host_opt_int(const struct dray_host *host, const char *name)
{
    struct dray_instance *in = host->ctx;
    return dray_options_int(dray_instance_options(in), name);
}

static struct dray_strs host_opt_list(const struct dray_host *host, const char *name)
{
    struct dray_instance *in = host->ctx;
    return dray_options_list(dray_instance_options(in), name);
}

static const char *instance_label(const struct dray_instance *in)
{
    return in->n_drivers ? in->drivers[0].label : in->name;
}

static char *make_folder(const struct dray_instance *in, const char *root)
{
    char *path = dray_strf("%s/%s", root ? root : "/nonexistent", instance_label(in));
    struct dray_err err;
    if (path && root && dray_fs_mkdirs(AT_FDCWD, path, 0700, &err))
        dray_error("%s: %s", instance_label(in), err.text);
    return path;
}

static const char *host_path(const struct dray_host *host, uint32_t which)
{
    struct dray_instance *in = host->ctx;
    const struct dray_drivers_config *c = &in->registry->config;
    if (which == DRAY_PATH_LIBEXEC)
        return c->libexec_dir ? c->libexec_dir : "";
    char **slot = &in->folders[which == DRAY_PATH_RUN];
    pthread_mutex_lock(&in->lock);
    if (!*slot)
        *slot = make_folder(in, which == DRAY_PATH_RUN ? c->exec_root : c->data_root);
    const char *path = *slot ? *slot : "";
    pthread_mutex_unlock(&in->lock);
    return path;
}

static const void *host_iface(const struct dray_host *host, const char *name, uint32_t version)
{
    const struct dray_instance *in = host->ctx;
    const struct dray_host_iface *i = in->registry->config.ifaces;
    for (; i && i->name; i++)
        if (i->version == version && strcmp(i->name, name) == 0)
            return i->table;
    return NULL;
}

static void host_log(const struct dray_host *host, uint32_t level, const char *message)
{
    const struct dray_instance *in = host->ctx;
    dray_log_line(level, instance_label(in), "%s", message);
}

void dray_host_init(struct dray_instance *in)
{
    in->host = (struct dray_host){
        .head = DRAY_TABLE(struct dray_host, 0),
        .ctx = in,
        .log = host_log,
        .alloc = host_alloc,
        .emit = host_emit,
        .opt_str = host_opt_str,
        .opt_int = host_opt_int,
        .opt_list = host_opt_list,
        .path = host_path,
        .iface = host_iface,
    };
}
