/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - loads the plugin and tells what it offers; opens its instance. */
#include "host.h"

#include "base/json.h"

#include <fcntl.h>
#include <stdatomic.h>

static void put_maybe(struct dray_wire *w, const char *text)
{
    dray_wire_put_u32(w, text != NULL);
    dray_wire_put_str(w, text);
}

static void describe_options(const struct dray_plugin *d, struct dray_wire *w)
{
    dray_wire_put_u32(w, (uint32_t)d->n_options);
    for (uint64_t i = 0; i < d->n_options; i++) {
        const struct dray_option *o = &d->options[i];
        dray_wire_put_str(w, o->name);
        dray_wire_put_u32(w, o->type);
        dray_wire_put_u32(w, o->flags);
        put_maybe(w, o->def);
        dray_wire_put_u64(w, (uint64_t)o->min);
        dray_wire_put_u64(w, (uint64_t)o->max);
        put_maybe(w, o->choices);
        put_maybe(w, o->help);
    }
}

static void describe_ifaces(const struct dray_plugin *d, struct dray_wire *w)
{
    dray_wire_put_u32(w, (uint32_t)d->n_ifaces);
    for (uint64_t i = 0; i < d->n_ifaces; i++) {
        const struct dray_iface *f = &d->ifaces[i];
        dray_wire_put_u32(w, f->kind);
        dray_wire_put_u32(w, f->threading);
        dray_wire_put_u64(w, f->ops->features);
        dray_wire_put_u64(w, dray_kind_offered(dray_kind_info(f->kind), f->ops));
    }
}

/* Stubs fill what is left out; what is mandatory and missing the daemon finds. */
static int adopt(struct plugin_host *h, struct dray_err *err)
{
    const struct dray_plugin *d = &h->file.desc;
    for (uint64_t i = 0; i < d->n_ifaces; i++) {
        const struct dray_kind_info *info = dray_kind_info(d->ifaces[i].kind);
        const char *missing = NULL;
        void *table = calloc(1, info->size);
        if (!table)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        (void)dray_kind_adopt(info, d->ifaces[i].ops, table, &missing);
        h->ops[d->ifaces[i].kind] = table;
    }
    return 0;
}

static int load_file(struct plugin_host *h, struct dray_wire *request, struct dray_err *err)
{
    char card[DRAY_CARD_MAX + 1];
    struct dray_plugin_file *f = &h->file;
    f->path = strdup(dray_wire_get_str(request));
    int fd = dray_wire_get_fd(request);
    f->fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, HOST_SOCKET + 1) : -EBADF;
    if (!f->path || f->fd < 0)
        return dray_fail(err, DRAY_E_INVAL, "no plugin file was given");
    int rc = dray_card_read_note(f->fd, card, sizeof card, err);
    rc = rc ? rc : dray_card_parse(card, &f->card, err);
    if (!rc && dray_plugin_load(f)) {
        *err = f->refusal;
        rc = f->refusal.code;
    }
    return rc ? rc : adopt(h, err);
}

void host_load(struct plugin_host *h, struct host_job *job, struct dray_wire *reply)
{
    struct dray_err err = {0};
    const struct dray_plugin *d = &h->file.desc;
    int rc = h->file.loaded ? dray_fail(&err, DRAY_E_CONFLICT, "a plugin is loaded already")
                            : load_file(h, &job->request, &err);
    dray_wire_put_err(reply, rc, &err);
    if (rc)
        return;
    dray_wire_put_u32(reply, (d->health ? 1u : 0) | (d->reload ? 2u : 0) | (d->quiesce ? 4u : 0));
    describe_options(d, reply);
    describe_ifaces(d, reply);
}

static int take_options(struct plugin_host *h, const char *text, struct dray_err *err)
{
    const struct dray_plugin *d = &h->file.desc;
    struct dray_options *parsed = NULL;
    dray_autojson *json = NULL;
    int rc = dray_json_parse(text, strlen(text), &json, err);
    rc = rc ? rc : dray_options_parse(d->options, d->n_options, json, &parsed, err);
    if (!rc && atomic_load(&h->options) && dray_options_equal(atomic_load(&h->options), parsed))
        dray_options_free(parsed);
    else if (!rc)
        dray_options_replace(&h->options, parsed);
    return rc;
}

void host_open(struct plugin_host *h, struct host_job *job, struct dray_wire *reply)
{
    struct dray_err err = {0};
    const struct dray_plugin *d = &h->file.desc;
    const char *instance = dray_wire_get_str(&job->request);
    const char *options = dray_wire_get_str(&job->request);
    for (size_t i = 0; i < 3; i++)
        h->paths[i] = strdup(dray_wire_get_str(&job->request));
    int rc = !h->file.loaded || h->self
                 ? dray_fail(&err, DRAY_E_CONFLICT, "the plugin is open, or not loaded")
                 : take_options(h, options, &err);
    if (!rc && d->probe)
        rc = d->probe(&h->table, &err);
    if (!rc)
        rc = d->open(&h->table, instance, &h->self, &err);
    if (rc && !err.code)
        rc = dray_fail(&err, DRAY_E_INTERNAL, "the plugin did not say why");
    dray_wire_put_err(reply, rc, &err);
}

void host_reload(struct plugin_host *h, struct host_job *job, struct dray_wire *reply)
{
    struct dray_err err = {0};
    int rc = take_options(h, dray_wire_get_str(&job->request), &err);
    if (!rc && h->file.desc.reload)
        rc = h->file.desc.reload(h->self, &err);
    dray_wire_put_err(reply, rc, &err);
}
