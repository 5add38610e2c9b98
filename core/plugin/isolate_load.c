/* SPDX-License-Identifier: Apache-2.0 */
/* isolate_load.c - has a process load a plugin, and makes tables of proxies of what it tells. */
#include "plugin/isolate.h"

#define MAX_OPTIONS 128u

/* Offers of one kind, as the process counted them: bit i is operation i of the kind. */
static int make_table(struct dray_isolate *iso, uint32_t kind, uint64_t features, uint64_t offered,
                      struct dray_err *err)
{
    const struct dray_kind_info *info = dray_kind_info(kind);
    if (!info || !dray_wire_has_kind(kind))
        return dray_fail(err, DRAY_E_NOTSUP,
                         "drivers of the kind %s cannot run in a process of their own; remove "
                         "\"isolation\" from its configuration",
                         dray_kind_name(kind));
    char *table = calloc(1, info->size);
    if (!table)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct dray_head head = {info->size, DRAY_ABI_MAJOR, DRAY_ABI_MINOR, features};
    memcpy(table, &head, sizeof head);
    const struct dray_wire_op *op;
    for (uint32_t i = 0; (op = dray_wire_op(i)); i++)
        for (uint32_t k = 0; op->kind == kind && k < info->n_ops; k++)
            if (strcmp(info->ops[k].name, op->name) == 0 && offered >> k & 1)
                memcpy(table + op->offset, &op->proxy, sizeof op->proxy);
    const void *ops = table;
    iso->ifaces[iso->desc.n_ifaces].kind = kind;
    iso->ifaces[iso->desc.n_ifaces++].ops = ops;
    return 0;
}

static int read_ifaces(struct dray_isolate *iso, struct dray_wire *w, struct dray_err *err)
{
    uint32_t n = dray_wire_get_u32(w), seen = 0;
    int rc = 0;
    for (uint32_t i = 0; !rc && i < n && !w->failed; i++) {
        uint32_t kind = dray_wire_get_u32(w), threading = dray_wire_get_u32(w);
        uint64_t features = dray_wire_get_u64(w), offered = dray_wire_get_u64(w);
        if (kind > DRAY_KIND_MAX || seen & 1u << kind || threading > DRAY_THREAD_PARALLEL)
            return dray_fail(err, DRAY_E_CORRUPT, "its process tells of interfaces that cannot be");
        seen |= 1u << kind;
        rc = make_table(iso, kind, features, offered, err);
        if (!rc)
            iso->ifaces[iso->desc.n_ifaces - 1].threading = threading;
    }
    iso->desc.ifaces = iso->ifaces;
    return rc;
}

/* What may be NULL is sent with a number before it. */
static const char *maybe_text(struct dray_wire *w)
{
    bool there = dray_wire_get_u32(w) != 0;
    const char *text = dray_wire_get_str(w);
    return there ? text : NULL;
}

static int read_options(struct dray_isolate *iso, struct dray_wire *w, struct dray_err *err)
{
    uint32_t n = dray_wire_get_u32(w);
    if (n > MAX_OPTIONS)
        return dray_fail(err, DRAY_E_CORRUPT, "its process tells of too many options");
    struct dray_option *o = dray_wire_arena_alloc(&iso->keep, (n + 1) * sizeof *o);
    if (!o)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < n; i++) {
        o[i].name = dray_wire_get_str(w);
        o[i].type = dray_wire_get_u32(w);
        o[i].flags = dray_wire_get_u32(w);
        o[i].def = maybe_text(w);
        o[i].min = (int64_t)dray_wire_get_u64(w);
        o[i].max = (int64_t)dray_wire_get_u64(w);
        o[i].choices = maybe_text(w);
        o[i].help = maybe_text(w);
    }
    iso->desc.options = o;
    iso->desc.n_options = n;
    return dray_options_check_table(o, n, err);
}

static int read_description(struct dray_isolate *iso, struct dray_wire *w, struct dray_err *err)
{
    w->alloc = dray_wire_arena_alloc;
    w->ctx = &iso->keep;
    int rc = dray_wire_get_err(w, err);
    if (rc)
        return rc;
    uint32_t has = dray_wire_get_u32(w);
    dray_isolate_set_functions(&iso->desc, has & 1, has & 2, has & 4);
    rc = read_options(iso, w, err);
    rc = rc ? rc : read_ifaces(iso, w, err);
    if (!rc && w->failed)
        rc = dray_fail(err, DRAY_E_CORRUPT, "its process tells what cannot be understood");
    if (!rc && iso->desc.n_ifaces)
        (void)snprintf(iso->label, sizeof iso->label, "%s/%s", dray_kind_name(iso->ifaces[0].kind),
                       iso->in->name);
    return rc;
}

int dray_isolate_load(struct dray_isolate *iso, struct dray_err *err)
{
    DRAY_AUTO(dray_wire) request = {.type = DRAY_WIRE_LOAD};
    DRAY_AUTO(dray_wire) reply = {0};
    const struct dray_card *card = &iso->in->file->card;
    dray_wire_put_str(&request, iso->in->path);
    dray_wire_put_fd(&request, iso->so_fd);
    int rc = dray_isolate_exchange(iso, &request, &reply, err);
    if (rc)
        return dray_err_note(err, "it cannot be loaded in a process of its own");
    iso->desc.magic = DRAY_PLUGIN_MAGIC;
    iso->desc.head = (struct dray_head)DRAY_TABLE(struct dray_plugin, 0);
    iso->desc.name = card->name;
    iso->desc.version = card->version;
    iso->desc.license = card->license;
    return read_description(iso, &reply, err);
}
