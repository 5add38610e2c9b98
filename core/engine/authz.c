/* SPDX-License-Identifier: Apache-2.0 */
/* authz.c - the chain of authorization plugins, which may change while the daemon runs. */
#include "engine/authz.h"

#include <pthread.h>
#include <stdatomic.h>

struct dray_authz {
    atomic_bool none;
    pthread_mutex_t lock; /* guards: names. order: last */
    struct dray_strlist names;
};

static bool copy_names(const struct dray_strlist *from, struct dray_strlist *to)
{
    for (size_t i = 0; i < from->n; i++)
        if (!dray_strlist_has(to, from->v[i]) && !dray_strlist_add(to, from->v[i]))
            return false;
    return true;
}

int dray_authz_set(struct dray_authz *a, const struct dray_strlist *names, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) fresh = {0};
    if (!copy_names(names, &fresh))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    pthread_mutex_lock(&a->lock);
    struct dray_strlist old = a->names;
    a->names = fresh;
    fresh = old;
    atomic_store(&a->none, a->names.n == 0);
    pthread_mutex_unlock(&a->lock);
    return 0;
}

int dray_authz_open(const struct dray_strlist *names, struct dray_authz **out, struct dray_err *err)
{
    struct dray_authz *a = calloc(1, sizeof *a);
    if (!a)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    pthread_mutex_init(&a->lock, NULL);
    int rc = dray_authz_set(a, names, err);
    if (rc)
        dray_authz_close(a);
    else
        *out = a;
    return rc;
}

void dray_authz_close(struct dray_authz *a)
{
    if (!a)
        return;
    dray_strlist_free(&a->names);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

bool dray_authz_none(struct dray_authz *a)
{
    return !a || atomic_load(&a->none);
}

int dray_authz_names(struct dray_authz *a, struct dray_strlist *out, struct dray_err *err)
{
    pthread_mutex_lock(&a->lock);
    bool ok = copy_names(&a->names, out);
    pthread_mutex_unlock(&a->lock);
    return ok ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}
