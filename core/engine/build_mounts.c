/* SPDX-License-Identifier: Apache-2.0 */
/* build_mounts.c - what a build's commands mount: caches, layers, secrets, and their traces. */
#include "engine/build_priv.h"

struct build_mounts {
    struct build *b;
    const struct dray_build_run *run;
};

int build_mounts_open(struct build *b, const struct dray_build_run *run, struct build_mounts **out,
                      struct dray_err *err)
{
    if (run->n_mounts)
        return dray_fail(err, DRAY_E_NOTSUP, "mounts of build steps are not supported");
    *out = calloc(1, sizeof **out);
    if (!*out)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    **out = (struct build_mounts){b, run};
    return 0;
}

int build_mounts_add(struct build_mounts *m, struct json_object *body, struct json_object *host,
                     struct dray_err *err)
{
    (void)m;
    (void)body;
    (void)host;
    (void)err;
    return 0;
}

int build_mounts_clean(struct build_mounts *m, const char *layer, int64_t clamp_s,
                       struct dray_err *err)
{
    (void)m;
    (void)layer;
    (void)clamp_s;
    (void)err;
    return 0;
}

void build_mounts_close(struct build_mounts *m)
{
    free(m);
}
