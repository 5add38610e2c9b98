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

static const char *host_opt_str(const struct dray_host *host, const char *name)
{
    struct dray_instance *in = host->ctx;
    return dray_options_str(atomic_load(&in->options), name);
}

static int64_t host_opt_int(const struct dray_host *host, const char *name)
{
    struct dray_instance *in = host->ctx;
    return dray_options_int(atomic_load(&in->options), name);
}

static struct dray_strs host_opt_list(const struct dray_host *host, const char *name)
{
    struct dray_instance *in = host->ctx;
    return dray_options_list(atomic_load(&in->options), name);
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

/* --- an instance's life ----------------------------------------------------------------------- */

void dray_instance_event(struct dray_instance *in, const char *action)
{
    const struct dray_drivers_config *c = &in->registry->config;
    if (c->on_event)
        c->on_event(c->ctx, instance_label(in), action);
}

static uint64_t offered_ops(const struct dray_kind_info *info, const struct dray_head *theirs)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < info->n_ops; i++) {
        void *p = NULL;
        if (info->ops[i].offset + sizeof p <= theirs->size)
            memcpy(&p, (const char *)theirs + info->ops[i].offset, sizeof p);
        bits |= p ? UINT64_C(1) << i : 0;
    }
    return bits;
}

static int adopt_iface(struct dray_instance *in, struct dray_driver *d,
                       const struct dray_iface *iface)
{
    const struct dray_kind_info *info = dray_kind_info(iface->kind);
    d->instance = in;
    d->kind = iface->kind;
    d->threading = iface->threading;
    (void)snprintf(d->label, sizeof d->label, "%s/%s", info->name, in->name);
    d->ops = calloc(1, info->size);
    if (!d->ops)
        return dray_fail(&in->refusal, DRAY_E_NOMEM, "out of memory");
    d->offered = offered_ops(info, iface->ops);
    const char *missing = NULL;
    int rc = dray_kind_adopt(info, iface->ops, d->ops, &missing);
    if (rc)
        return dray_fail(&in->refusal, rc,
                         "it lacks the mandatory %s operation %s(); every %s driver must have it; "
                         "set .%s in its struct dray_%s_ops",
                         info->name, missing, info->name, missing, info->name);
    return 0;
}

static int adopt_ifaces(struct dray_instance *in)
{
    const struct dray_plugin *desc = &in->file->desc;
    in->drivers = calloc(desc->n_ifaces, sizeof *in->drivers);
    if (!in->drivers)
        return dray_fail(&in->refusal, DRAY_E_NOMEM, "out of memory");
    for (uint64_t i = 0; i < desc->n_ifaces; i++) {
        in->n_drivers++;
        int rc = adopt_iface(in, &in->drivers[i], &desc->ifaces[i]);
        if (rc)
            return rc;
    }
    return 0;
}

/* The plugin's own words, put into the frame of a refusal. */
static int refuse_answer(struct dray_instance *in, const char *what, int rc,
                         const struct dray_err *said, const char *advice)
{
    struct dray_err err = *said;
    if (rc > 0 || rc < -64)
        rc = DRAY_E_INTERNAL;
    return dray_fail(&in->refusal, rc, "%s: %.300s; %s", what,
                     err.code && err.text[0] ? err.text : "the plugin did not say why", advice);
}

static int probe_and_open(struct dray_instance *in)
{
    const struct dray_plugin *desc = &in->file->desc;
    struct dray_err said = {0};
    int rc = desc->probe ? desc->probe(&in->host, &said) : 0;
    in->unfit = rc != 0;
    if (rc)
        return refuse_answer(in, "it cannot work on this machine", rc, &said,
                             "mend that, or disable the plugin in the configuration");
    rc = desc->open(&in->host, in->name, &in->self, &said);
    if (rc)
        return refuse_answer(in, "its start failed", rc, &said,
                             "mend that, or disable the plugin in the configuration");
    return 0;
}

int dray_instance_open(struct dray_instance *in, struct json_object *options)
{
    struct dray_plugin_file *f = in->file;
    int rc = dray_plugin_load(f);
    if (rc) {
        in->refusal = f->refusal;
        return rc;
    }
    struct dray_options *parsed = NULL;
    rc = dray_options_parse(f->desc.options, f->desc.n_options, options, &parsed, &in->refusal);
    if (rc)
        return rc;
    atomic_store(&in->options, parsed);
    dray_host_init(in);
    rc = adopt_ifaces(in);
    if (!rc)
        rc = probe_and_open(in);
    if (!rc)
        in->state = DRAY_INSTANCE_READY;
    return rc;
}

/* Wait until no call is under way. in->lock is held. */
static bool wait_idle(struct dray_instance *in, uint64_t deadline_ns)
{
    struct timespec until = {
        .tv_sec = (time_t)(deadline_ns / DRAY_NS_PER_S),
        .tv_nsec = (long)(deadline_ns % DRAY_NS_PER_S),
    };
    in->n_waiting++;
    int rc = 0;
    while ((in->calls || in->n_health) && rc == 0)
        rc = pthread_cond_clockwait(&in->turn, &in->lock, CLOCK_MONOTONIC, &until);
    in->n_waiting--;
    return !in->calls && !in->n_health;
}

bool dray_instance_close(struct dray_instance *in, uint64_t deadline_ns)
{
    if (in->state != DRAY_INSTANCE_READY && in->state != DRAY_INSTANCE_SUSPECT)
        return true;
    const struct dray_plugin *desc = &in->file->desc;
    struct dray_err err = {0};
    pthread_mutex_lock(&in->lock);
    bool suspect = in->state == DRAY_INSTANCE_SUSPECT;
    in->state = DRAY_INSTANCE_DRAINING;
    pthread_cond_broadcast(&in->turn);
    pthread_mutex_unlock(&in->lock);

    if (desc->quiesce && !suspect && desc->quiesce(in->self, deadline_ns, &err))
        dray_warn("%s: quiesce: %s", instance_label(in), err.text);
    pthread_mutex_lock(&in->lock);
    bool idle = wait_idle(in, deadline_ns);
    pthread_mutex_unlock(&in->lock);
    if (!idle) {
        dray_error("%s: %u calls have not returned; left as it is", instance_label(in),
                   in->n_calls);
        return false;
    }
    desc->close(in->self);
    in->state = DRAY_INSTANCE_CLOSED;
    dray_instance_event(in, "disable");
    return true;
}

void dray_instance_free(struct dray_instance *in)
{
    for (size_t i = 0; i < in->n_drivers; i++)
        free(in->drivers[i].ops);
    free(in->drivers);
    dray_options_free(atomic_load(&in->options));
    dray_options_free(in->old_options);
    free(in->folders[0]);
    free(in->folders[1]);
    free(in->name);
    free(in->path);
    pthread_mutex_destroy(&in->lock);
    pthread_cond_destroy(&in->turn);
    free(in);
}
