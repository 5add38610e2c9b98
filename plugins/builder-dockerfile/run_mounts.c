/* SPDX-License-Identifier: Apache-2.0 */
/* run_mounts.c - RUN --mount: what it means for the cache, and what the host is to mount. */
#include "bd.h"

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* --- the key -----------------------------------------------------------------------------------*/

/* Only what a bind shows counts by its content: caches, secrets and agents are not part of it. */
static int sum_bind(struct bd_stage *s, const struct dray_df_mount *m, struct bd_sum *sum,
                    struct dray_err *err)
{
    const char *layer = NULL;
    char hash[BD_DIGEST_LEN + 8] = "";
    bool folder = !m->from;
    int rc = m->from ? bd_from(s, m->from, &layer, &folder, err) : 0;
    if (!rc && folder)
        rc = bd_copy_sum(s, m->from, or_empty(m->source), hash, err);
    bd_sum_text(sum, folder ? NULL : layer);
    bd_sum_text(sum, hash);
    bd_sum_text(sum, m->source);
    return rc;
}

int bd_mounts_sum(struct bd_stage *s, const struct dray_df_mounts *mounts, struct bd_sum *sum,
                  struct dray_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < mounts->n; i++) {
        const struct dray_df_mount *m = &mounts->v[i];
        bd_sum_num(sum, m->type);
        bd_sum_text(sum, m->target);
        bd_sum_text(sum, m->id);
        if (m->type == DRAY_DF_MOUNT_BIND)
            rc = sum_bind(s, m, sum, err);
    }
    return rc;
}

/* --- for the host ------------------------------------------------------------------------------*/

static const char *keep(struct bd_stage *s, const char *text)
{
    return dray_df_strndup(&s->arena, text, strlen(text));
}

static int make_bind(struct bd_stage *s, const struct dray_df_mount *m,
                     struct dray_build_mount *out, struct dray_err *err)
{
    dray_autofree char *path = NULL;
    out->type = DRAY_BUILD_MOUNT_LAYER;
    if (m->from) {
        out->path = or_empty(m->source);
        return bd_from(s, m->from, &out->layer, NULL, err);
    }
    int rc = bd_copy_context(s, or_empty(m->source), &out->layer, &path, err);
    if (!rc && !(out->path = keep(s, path)))
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return rc;
}

static int make_cache(struct bd_stage *s, const struct dray_df_mount *m,
                      struct dray_build_mount *out, struct dray_err *err)
{
    static const uint32_t sharing[] = {[DRAY_DF_SHARED] = DRAY_BUILD_SHARED,
                                       [DRAY_DF_PRIVATE] = DRAY_BUILD_PRIVATE,
                                       [DRAY_DF_LOCKED] = DRAY_BUILD_LOCKED};
    out->type = DRAY_BUILD_MOUNT_CACHE;
    out->sharing = sharing[m->sharing];
    out->path = or_empty(m->source);
    out->layer = "";
    return m->from ? bd_from(s, m->from, &out->layer, NULL, err) : 0;
}

static int make_ssh(struct bd_stage *s, const struct dray_df_mount *m, size_t i,
                    struct dray_build_mount *out, struct dray_err *err)
{
    char target[64];
    out->type = DRAY_BUILD_MOUNT_SSH;
    (void)snprintf(target, sizeof target, "/run/buildkit/ssh_agent.%zu", i);
    if (!m->target)
        out->target = keep(s, target);
    out->env = "SSH_AUTH_SOCK";
    return out->target ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static const char *absolute(struct bd_stage *s, const char *target)
{
    dray_autofree char *joined =
        target[0] == '/' ? strdup(target)
                         : bd_strf("%s/%s", bd_json_str(s->config, "WorkingDir", ""), target);
    dray_autofree char *clean = joined ? bd_path_clean(joined) : NULL;
    dray_autofree char *rooted = clean ? bd_strf("/%s", clean) : NULL;
    return rooted ? keep(s, rooted) : NULL;
}

static int make_one(struct bd_stage *s, const struct dray_df_mount *m, size_t i,
                    struct dray_build_mount *out, struct dray_err *err)
{
    *out = (struct dray_build_mount){
        .size = sizeof *out,
        .flags = (m->readonly ? DRAY_BUILD_MOUNT_RDONLY : 0) |
                 (m->required ? DRAY_BUILD_MOUNT_REQUIRED : 0),
        .target = m->target ? absolute(s, m->target) : "",
        .id = or_empty(m->id),
        .layer = "",
        .path = "",
        .env = or_empty(m->env),
        .mode = m->mode,
        .uid = m->uid,
        .gid = m->gid,
        .bytes = m->size,
    };
    if (!out->target)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    switch (m->type) {
    case DRAY_DF_MOUNT_BIND:
        return make_bind(s, m, out, err);
    case DRAY_DF_MOUNT_CACHE:
        return make_cache(s, m, out, err);
    case DRAY_DF_MOUNT_SSH:
        return make_ssh(s, m, i, out, err);
    case DRAY_DF_MOUNT_SECRET:
        out->type = DRAY_BUILD_MOUNT_SECRET;
        return 0;
    case DRAY_DF_MOUNT_TMPFS:
        out->type = DRAY_BUILD_MOUNT_TMPFS;
        return 0;
    }
    return dray_fail(err, DRAY_E_INTERNAL, "a mount of no type");
}

int bd_mounts_make(struct bd_stage *s, const struct dray_df_mounts *mounts,
                   struct dray_build_mount **out, struct dray_err *err)
{
    *out = calloc(mounts->n + 1, sizeof **out);
    if (!*out)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = 0;
    for (size_t i = 0; !rc && i < mounts->n; i++)
        rc = make_one(s, &mounts->v[i], i, &(*out)[i], err);
    return rc;
}
