/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules_run.c - carries out commands in nft's language with libnftables.
 *
 * The library is needed once at start and after an accident, and keeps half a megabyte with the
 * libraries it brings: it is loaded for the moment, by the name that its headers belong to.
 */
#include "rules.h"

#include <dlfcn.h>
#include <nftables/libnftables.h>

#define LIBRARY "libnftables.so.1"

struct nft_library {
    void *handle;
    __typeof__(&nft_ctx_new) ctx_new;
    __typeof__(&nft_ctx_free) ctx_free;
    __typeof__(&nft_ctx_buffer_error) buffer_error;
    __typeof__(&nft_ctx_get_error_buffer) error_buffer;
    __typeof__(&nft_run_cmd_from_buffer) run;
};

static void *symbol(struct nft_library *l, const char *name, bool *missing)
{
    void *at = dlsym(l->handle, name);
    *missing = *missing || !at;
    return at;
}

static int load(struct nft_library *l, struct dray_err *err)
{
    bool missing = false;
    l->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!l->handle)
        return dray_fail(err, DRAY_E_NOTSUP, "nftables: %.300s: install libnftables1", dlerror());
    l->ctx_new = (__typeof__(l->ctx_new))symbol(l, "nft_ctx_new", &missing);
    l->ctx_free = (__typeof__(l->ctx_free))symbol(l, "nft_ctx_free", &missing);
    l->buffer_error = (__typeof__(l->buffer_error))symbol(l, "nft_ctx_buffer_error", &missing);
    l->error_buffer = (__typeof__(l->error_buffer))symbol(l, "nft_ctx_get_error_buffer", &missing);
    l->run = (__typeof__(l->run))symbol(l, "nft_run_cmd_from_buffer", &missing);
    return missing ? dray_fail(err, DRAY_E_NOTSUP, "nftables: " LIBRARY " lacks functions") : 0;
}

static int run(const struct nft_library *l, const char *commands, struct dray_err *err)
{
    struct nft_ctx *ctx = l->ctx_new(NFT_CTX_DEFAULT);
    if (!ctx)
        return dray_fail(err, DRAY_E_NOMEM, "nftables: no context");
    (void)l->buffer_error(ctx);
    int rc = 0;
    if (l->run(ctx, commands)) {
        const char *words = l->error_buffer(ctx);
        rc = dray_fail(err, DRAY_E_IO, "nftables: %.300s", words ? words : "failed");
    }
    l->ctx_free(ctx);
    return rc;
}

int rules_run(const char *commands, struct dray_err *err)
{
    struct nft_library l = {0};
    int rc = load(&l, err);
    rc = rc ? rc : run(&l, commands, err);
    if (l.handle)
        (void)dlclose(l.handle);
    return rc;
}
