/* SPDX-License-Identifier: Apache-2.0 */
/* services.c - the host's table for a plugin in this process: passed on to the daemon. */
#include "host.h"

#include <stdatomic.h>

void host_send(struct plugin_host *h, const struct dray_wire *w)
{
    struct dray_err err = {0};
    pthread_mutex_lock(&h->send_lock);
    int rc = dray_wire_send(HOST_SOCKET, w, 0, &err);
    pthread_mutex_unlock(&h->send_lock);
    if (rc == DRAY_E_UNAVAIL)
        _exit(0); /* the daemon has gone */
    if (!rc)
        return;
    /* What cannot be sent at all is answered as a failure. */
    DRAY_AUTO(dray_wire) sorry = {.type = DRAY_WIRE_REPLY, .id = w->id};
    dray_wire_put_err(&sorry, rc, &err);
    pthread_mutex_lock(&h->send_lock);
    (void)dray_wire_send(HOST_SOCKET, &sorry, 0, NULL);
    pthread_mutex_unlock(&h->send_lock);
}

static void svc_log(const struct dray_host *host, uint32_t level, const char *message)
{
    DRAY_AUTO(dray_wire) w = {.type = DRAY_WIRE_LOG};
    dray_wire_put_u32(&w, level);
    dray_wire_put_str(&w, message);
    host_send(host->ctx, &w);
}

static void *svc_alloc(const struct dray_call *call, uint64_t n)
{
    struct host_job *job = call ? call->arena : NULL;
    return job ? dray_wire_arena_alloc(&job->memory, n) : NULL;
}

/* The daemon's caller decides whether there shall be more. */
static int32_t svc_emit(const struct dray_call *call, const struct dray_record *rec)
{
    struct host_job *job = call ? call->arena : NULL;
    if (!job || !rec || rec->size < sizeof *rec)
        return 0;
    struct plugin_host *h = job->host;
    DRAY_AUTO(dray_wire) w = {.type = DRAY_WIRE_EMIT, .id = job->request.id};
    dray_wire_put_record(&w, rec);
    host_send(h, &w);
    pthread_mutex_lock(&h->lock);
    while (!job->emitted)
        pthread_cond_wait(&job->turn, &h->lock);
    job->emitted = false;
    int32_t rc = job->emit_rc;
    pthread_mutex_unlock(&h->lock);
    return rc;
}

static const struct dray_options *options_of(const struct dray_host *host)
{
    struct plugin_host *h = host->ctx;
    return atomic_load(&h->options);
}

static const char *svc_opt_str(const struct dray_host *host, const char *name)
{
    return dray_options_str(options_of(host), name);
}

static int64_t svc_opt_int(const struct dray_host *host, const char *name)
{
    return dray_options_int(options_of(host), name);
}

static struct dray_strs svc_opt_list(const struct dray_host *host, const char *name)
{
    return dray_options_list(options_of(host), name);
}

static const char *svc_path(const struct dray_host *host, uint32_t which)
{
    const struct plugin_host *h = host->ctx;
    return which <= DRAY_PATH_LIBEXEC && h->paths[which] ? h->paths[which] : "";
}

/* Tables of functions of the daemon cannot be had here. */
static const void *svc_iface(const struct dray_host *host, const char *name, uint32_t version)
{
    (void)host;
    (void)name;
    (void)version;
    return NULL;
}

void host_services(struct plugin_host *h)
{
    h->table = (struct dray_host){
        .head = DRAY_TABLE(struct dray_host, 0),
        .ctx = h,
        .log = svc_log,
        .alloc = svc_alloc,
        .emit = svc_emit,
        .opt_str = svc_opt_str,
        .opt_int = svc_opt_int,
        .opt_list = svc_opt_list,
        .path = svc_path,
        .iface = svc_iface,
    };
}
