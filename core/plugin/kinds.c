/* SPDX-License-Identifier: Apache-2.0 */
/* kinds.c - the operations of each kind, and stubs for those that a plugin leaves out. */
#include "plugin/kinds.h"

#include "plugin/driver.h"

#include <dray/util.h>

/* A stub has the very type of its operation: the tables below would not compile otherwise. */
#define STUB(kind, op, ...)                                                                        \
    static int32_t kind##_##op(struct dray_self *self, const struct dray_call *call,               \
                               ##__VA_ARGS__, struct dray_err *err)                                \
    {                                                                                              \
        (void)self;                                                                                \
        (void)call;                                                                                \
        return dray_fail(err, DRAY_E_NOTSUP,                                                       \
                         "this " #kind " driver does not support the operation \"" #op "\"");      \
    }

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"

STUB(storage, inspect, const char *id)
STUB(storage, status)
STUB(storage, collect, struct dray_strs alive)
STUB(storage, seal, const char *id, const char *parent)

STUB(network, publish, const char *net, const char *ep, struct dray_port *ports, uint64_t n)
STUB(network, unpublish, const char *net, const char *ep)
STUB(network, inspect, const char *net)
STUB(network, check)
STUB(network, collect, struct dray_strs nets, struct dray_strs endpoints)

STUB(ipam, collect, struct dray_strs pools)

STUB(volume, restore, const char *name, struct dray_strs users)
STUB(volume, usage, const char *name, uint64_t *bytes_out)
STUB(volume, capabilities, uint64_t *features_out)

STUB(registry, stat, const char *repo, const struct dray_desc *d, const struct dray_auth *auth)
STUB(registry, push, const char *repo, const char *tag, const struct dray_desc *d,
     const struct dray_auth *auth, struct dray_fd_borrow in)
STUB(registry, mount, const char *repo, const char *from, const struct dray_desc *d,
     const struct dray_auth *auth)
STUB(registry, tags, const char *repo, const struct dray_auth *auth)
STUB(registry, search, const char *term, uint32_t limit, const struct dray_auth *auth)
STUB(registry, login, const struct dray_auth *auth, const char **token_out)

STUB(runtime, freeze, const char *id, uint32_t on)
STUB(runtime, update, const char *id, const char *resources)
STUB(runtime, stats, const char *id, const char **json_out)
STUB(runtime, ps, const char *id)
STUB(runtime, reattach, const char *id)
STUB(runtime, checkpoint, const char *id, const char *dir, uint32_t flags)
STUB(runtime, resume, const char *id, const struct dray_run_spec *spec, const char *dir,
     struct dray_proc *out)

STUB(log, flush, const char *id)
STUB(log, read, const struct dray_log_info *info, const struct dray_log_query *query,
     struct dray_fd_borrow out)
STUB(log, validate, struct dray_kvs options)

STUB(builder, cache_usage)
STUB(builder, cache_prune, struct dray_kvs filters, uint64_t *reclaimed_out)

STUB(extension, event, const char *json)

#pragma GCC diagnostic pop

static const struct dray_storage_ops storage_stubs = {
    .inspect = storage_inspect,
    .status = storage_status,
    .collect = storage_collect,
    .seal = storage_seal,
};
static const struct dray_network_ops network_stubs = {
    .publish = network_publish,
    .unpublish = network_unpublish,
    .inspect = network_inspect,
    .check = network_check,
    .collect = network_collect,
};
static const struct dray_ipam_ops ipam_stubs = {.collect = ipam_collect};
static const struct dray_volume_ops volume_stubs = {
    .restore = volume_restore,
    .usage = volume_usage,
    .capabilities = volume_capabilities,
};
static const struct dray_registry_ops registry_stubs = {
    .stat = registry_stat,
    .push = registry_push,
    .mount = registry_mount,
    .tags = registry_tags,
    .search = registry_search,
    .login = registry_login,
};
static const struct dray_runtime_ops runtime_stubs = {
    .freeze = runtime_freeze,
    .update = runtime_update,
    .stats = runtime_stats,
    .ps = runtime_ps,
    .reattach = runtime_reattach,
    .checkpoint = runtime_checkpoint,
    .resume = runtime_resume,
};
static const struct dray_log_ops log_stubs = {
    .flush = log_flush,
    .read = log_read,
    .validate = log_validate,
};
static const struct dray_builder_ops builder_stubs = {
    .cache_usage = builder_cache_usage,
    .cache_prune = builder_cache_prune,
};
static const struct dray_authz_ops authz_stubs = {.request = NULL};
static const struct dray_extension_ops extension_stubs = {.event = extension_event};

#define MUST(kind, op)                                                                             \
    {                                                                                              \
#op, offsetof(struct dray_##kind##_ops, op), true                                          \
    }
#define MAY(kind, op)                                                                              \
    {                                                                                              \
#op, offsetof(struct dray_##kind##_ops, op), false                                         \
    }

static const struct dray_kind_op storage_op[] = {
    MUST(storage, create), MUST(storage, remove), MUST(storage, mounts),  MUST(storage, release),
    MUST(storage, apply),  MUST(storage, diff),   MUST(storage, changes), MUST(storage, list),
    MUST(storage, usage),  MAY(storage, inspect), MAY(storage, status),   MAY(storage, collect),
    MAY(storage, seal),
};
static const struct dray_kind_op network_op[] = {
    MUST(network, net_create), MUST(network, net_remove), MUST(network, ep_create),
    MUST(network, ep_remove),  MUST(network, join),       MUST(network, leave),
    MAY(network, publish),     MAY(network, unpublish),   MAY(network, inspect),
    MAY(network, check),       MAY(network, collect),
};
static const struct dray_kind_op ipam_op[] = {
    MUST(ipam, pool_request), MUST(ipam, pool_release), MUST(ipam, addr_request),
    MUST(ipam, addr_release), MAY(ipam, collect),       MAY(ipam, capabilities),
};
static const struct dray_kind_op volume_op[] = {
    MUST(volume, create), MUST(volume, remove), MUST(volume, inspect),
    MUST(volume, list),   MUST(volume, mount),  MUST(volume, unmount),
    MAY(volume, restore), MAY(volume, usage),   MAY(volume, capabilities),
};
static const struct dray_kind_op registry_op[] = {
    MUST(registry, match), MUST(registry, resolve), MUST(registry, fetch),
    MAY(registry, stat),   MAY(registry, push),     MAY(registry, mount),
    MAY(registry, tags),   MAY(registry, search),   MAY(registry, login),
};
static const struct dray_kind_op runtime_op[] = {
    MUST(runtime, create), MUST(runtime, start), MUST(runtime, kill),    MUST(runtime, state),
    MUST(runtime, remove), MUST(runtime, exec),  MAY(runtime, freeze),   MAY(runtime, update),
    MAY(runtime, stats),   MAY(runtime, ps),     MAY(runtime, reattach), MAY(runtime, checkpoint),
    MAY(runtime, resume),
};
static const struct dray_kind_op log_op[] = {
    MUST(log, open), MUST(log, write), MUST(log, close),
    MAY(log, flush), MAY(log, read),   MAY(log, validate),
};
static const struct dray_kind_op builder_op[] = {
    MUST(builder, detect),
    MUST(builder, build),
    MAY(builder, cache_usage),
    MAY(builder, cache_prune),
};
static const struct dray_kind_op authz_op[] = {MUST(authz, request), MUST(authz, response)};
static const struct dray_kind_op extension_op[] = {
    MUST(extension, describe),
    MUST(extension, handle),
    MAY(extension, event),
};

#define ROW(KIND, kind)                                                                            \
    [DRAY_KIND_##KIND] = {#kind, sizeof(struct dray_##kind##_ops), &kind##_stubs, kind##_op,       \
                          sizeof kind##_op / sizeof kind##_op[0]}

static const struct dray_kind_info kinds[DRAY_KIND_MAX + 1] = {
    ROW(STORAGE, storage),   ROW(NETWORK, network),     ROW(IPAM, ipam), ROW(VOLUME, volume),
    ROW(REGISTRY, registry), ROW(RUNTIME, runtime),     ROW(LOG, log),   ROW(BUILDER, builder),
    ROW(AUTHZ, authz),       ROW(EXTENSION, extension),
};

const struct dray_kind_info *dray_kind_info(uint32_t kind)
{
    return kind >= 1 && kind <= DRAY_KIND_MAX ? &kinds[kind] : NULL;
}

const char *dray_kind_name(uint32_t kind)
{
    const struct dray_kind_info *info = dray_kind_info(kind);
    return info ? info->name : "unknown";
}

uint32_t dray_kind_parse(const char *name)
{
    for (uint32_t kind = 1; kind <= DRAY_KIND_MAX; kind++)
        if (strcmp(kinds[kind].name, name) == 0)
            return kind;
    return 0;
}

/* Tables hold pointers to functions of many types; all have one representation (POSIX dlsym). */
static void *read_slot(const void *table, uint32_t offset)
{
    void *p;
    memcpy(&p, (const char *)table + offset, sizeof p);
    return p;
}

int dray_kind_adopt(const struct dray_kind_info *info, const struct dray_head *theirs, void *table,
                    const char **missing_out)
{
    /* A piece of a pointer at the end would be no pointer. */
    size_t n = theirs->size - theirs->size % sizeof(void *);
    memset(table, 0, info->size);
    memcpy(table, theirs, n < info->size ? n : info->size);
    for (uint32_t i = 0; i < info->n_ops; i++) {
        const struct dray_kind_op *op = &info->ops[i];
        if (read_slot(table, op->offset))
            continue;
        if (op->mandatory) {
            *missing_out = op->name;
            return DRAY_E_NOTSUP;
        }
        void *stub = read_slot(info->stubs, op->offset);
        memcpy((char *)table + op->offset, &stub, sizeof stub);
    }
    return 0;
}

uint64_t dray_kind_offered(const struct dray_kind_info *info, const struct dray_head *theirs)
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
